"""InceptionV3 up to its last pooling, for FID: the network of torchvision or of pytorch-fid, without torchvision.

Which of the two it is, its weights tell: pytorch-fid's come from TensorFlow, with 1008 classes and other poolings.
Source: Szegedy et al. 2015, as torchvision 0.29 and pytorch-fid 0.3 build it; the names of the tensors are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, relu

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.errors import CheckpointError
from backends.evidence import FloatArray
from backends.image.checkpoints.fitting import fitted, refuse_not_finite, without_prefixes
from backends.image.checkpoints.version_files import read_tensors, tensors_in
from backends.image.networks.named import INCEPTION, files_of

SIDE = 299
TENSORFLOW_CLASSES = 1008
_BATCH = 16

Size = tuple[int, int]


class Convolution(NamedTuple):
    """One convolution of a block: its name, channels out, kernel (height, width), whether it halves the sides."""

    name: str
    channels: int
    kernel: Size = (1, 1)
    halves: bool = False


class Normalised(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, *, stride: int = 1, padding: Size = (0, 0)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, outputs, H', W')."""
        return relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side, their channels joined.

    Args:
        inputs: channels.
        branches: convolutions one after the other; those in a tuple of their own all see what came before them.
        pooled: channels of the convolution after the pooling; 0: pooling alone, which halves the sides.
        pooling: "average", "average without padding", or "maximum".
    """

    def __init__(
        self,
        inputs: int,
        branches: Sequence[Sequence[Convolution | tuple[Convolution, Convolution]]],
        pooled: int,
        pooling: str = "average",
    ) -> None:
        super().__init__()
        self._branches = branches
        self._pooled, self._pooling = pooled, pooling
        for branch in branches:
            last = inputs
            for step in branch:
                fan = [step] if isinstance(step, Convolution) else list(step)
                for each in fan:
                    padding = (0, 0) if each.halves else (each.kernel[0] // 2, each.kernel[1] // 2)
                    made = Normalised(
                        last, each.channels, each.kernel, stride=1 + each.halves, padding=padding
                    )
                    self.add_module(each.name, made)
                last = fan[0].channels
        if pooled:
            self.branch_pool = Normalised(inputs, pooled, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, channels of all branches, H', W')."""
        return torch.cat([*(self._branch(x, branch) for branch in self._branches), self._pool(x)], 1)

    def _branch(self, x: Tensor, branch: Sequence[Convolution | tuple[Convolution, Convolution]]) -> Tensor:
        for step in branch:
            fan = [step] if isinstance(step, Convolution) else step
            x = torch.cat([self.get_submodule(each.name)(x) for each in fan], 1)
        return x

    def _pool(self, x: Tensor) -> Tensor:
        if not self._pooled:
            return max_pool2d(x, 3, stride=2)
        if self._pooling == "maximum":
            return self.branch_pool(max_pool2d(x, 3, stride=1, padding=1))
        padded = self._pooling == "average"
        return self.branch_pool(avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=padded))


def _a(inputs: int, pooled: int, pooling: str) -> Block:
    double = [Convolution("branch3x3dbl_1", 64), Convolution("branch3x3dbl_2", 96, (3, 3))]
    branches = [
        [Convolution("branch1x1", 64)],
        [Convolution("branch5x5_1", 48), Convolution("branch5x5_2", 64, (5, 5))],
        [*double, Convolution("branch3x3dbl_3", 96, (3, 3))],
    ]
    return Block(inputs, branches, pooled, pooling)


def _b() -> Block:
    double = [Convolution("branch3x3dbl_1", 64), Convolution("branch3x3dbl_2", 96, (3, 3))]
    branches = [
        [Convolution("branch3x3", 384, (3, 3), halves=True)],
        [*double, Convolution("branch3x3dbl_3", 96, (3, 3), halves=True)],
    ]
    return Block(288, branches, 0)


def _c(inner: int, pooling: str) -> Block:
    wide, high = (1, 7), (7, 1)
    single = [(inner, (1, 1)), (inner, wide), (192, high)]
    double = [(inner, (1, 1)), (inner, high), (inner, wide), (inner, high), (192, wide)]
    branches = [
        [Convolution("branch1x1", 192)],
        [Convolution(f"branch7x7_{n}", *step) for n, step in enumerate(single, 1)],
        [Convolution(f"branch7x7dbl_{n}", *step) for n, step in enumerate(double, 1)],
    ]
    return Block(768, branches, 192, pooling)


def _d() -> Block:
    long = [(192, (1, 1)), (192, (1, 7)), (192, (7, 1))]
    branches = [
        [Convolution("branch3x3_1", 192), Convolution("branch3x3_2", 320, (3, 3), halves=True)],
        [
            *(Convolution(f"branch7x7x3_{n}", *step) for n, step in enumerate(long, 1)),
            Convolution("branch7x7x3_4", 192, (3, 3), halves=True),
        ],
    ]
    return Block(768, branches, 0)


def _e(inputs: int, pooling: str) -> Block:
    def ends(name: str) -> tuple[Convolution, Convolution]:
        return Convolution(f"{name}a", 384, (1, 3)), Convolution(f"{name}b", 384, (3, 1))

    branches: list[list[Convolution | tuple[Convolution, Convolution]]] = [
        [Convolution("branch1x1", 320)],
        [Convolution("branch3x3_1", 384), ends("branch3x3_2")],
        [
            Convolution("branch3x3dbl_1", 448),
            Convolution("branch3x3dbl_2", 384, (3, 3)),
            ends("branch3x3dbl_3"),
        ],
    ]
    return Block(inputs, branches, 192, pooling)


class InceptionV3(nn.Module):
    """From pictures to the 2048 features of the last pooling.

    Args:
        tensorflow: the variant whose weights pytorch-fid converted, else torchvision's.
    """

    def __init__(self, *, tensorflow: bool) -> None:
        super().__init__()
        average = "average without padding" if tensorflow else "average"
        self.Conv2d_1a_3x3 = Normalised(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = Normalised(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Normalised(32, 64, (3, 3), padding=(1, 1))
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = Normalised(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Normalised(80, 192, (3, 3))
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (
            _a(192, 32, average),
            _a(256, 64, average),
            _a(288, 64, average),
        )
        self.Mixed_6a = _b()
        self.Mixed_6b, self.Mixed_6c = _c(128, average), _c(160, average)
        self.Mixed_6d, self.Mixed_6e = _c(160, average), _c(192, average)
        self.Mixed_7a = _d()
        self.Mixed_7b, self.Mixed_7c = _e(1280, average), _e(2048, "maximum" if tensorflow else average)

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (B, 2048), of images in -1..1, shape (B, 3, 299, 299)."""
        for layer in self.children():
            images = layer(images)
        return images.mean((2, 3))


class InceptionFeatures:
    """A `backends.image.networks.named.PictureFeatures`: pictures are resized as pytorch-fid resizes them."""

    def __init__(self, model: InceptionV3, device: str, notes: Sequence[str] = ()) -> None:
        self.notes = tuple(notes)
        self._model = model.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def images(self, pixels: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Shape (N, 2048)."""
        result = []
        for start in range(0, len(pixels), _BATCH):
            batch = torch.stack([_prepared(each) for each in pixels[start : start + _BATCH]])
            result.append(self._model(batch.to(self._device)).cpu().numpy())
        return np.concatenate(result).astype(np.float32) if result else np.zeros((0, 2048), np.float32)


def load_inception(source: str, device: str) -> InceptionFeatures:
    """The network of a file or folder of weights.

    Raises:
        CheckpointError: nothing is there, or it is no InceptionV3.
    """
    # What may download comes before the load, as nothing else could be loaded meanwhile.
    return _load(files_of(INCEPTION, source)[0], device)


@one_load_at_a_time
def _load(file: Path, device: str) -> InceptionFeatures:
    tensors = tensors_in(read_tensors(file))
    names, _ = without_prefixes(tensors, file)
    result = {names[name]: tensor for name, tensor in tensors.items()}
    how = (
        "Name pytorch-fid's pt_inception-2015-12-05-6726825d.pth or torchvision's inception_v3 in `inception`"
    )
    if "fc.bias" not in result:  # its length tells the two variants apart
        raise CheckpointError(
            "this is not an InceptionV3 with torchvision's names: fc.bias is missing",
            where=str(file),
            how=how,
        )
    model = InceptionV3(tensorflow=result["fc.bias"].shape[0] == TENSORFLOW_CLASSES)
    wanted = model.state_dict()
    # pytorch-fid's file is from before batches were counted; nothing here looks at the count.
    counts = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}
    state, notes = fitted(
        tensors,
        wanted,
        what="InceptionV3 with torchvision's names",
        where=file,
        how=how,
        unused=("fc.", "AuxLogits."),
        optional=counts,
    )
    model.load_state_dict(counts | state)
    refuse_not_finite(model, "InceptionV3", file)
    return InceptionFeatures(model, device, notes)


def _prepared(picture: NDArray[np.uint8]) -> Tensor:
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    return 2 * interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False)[0] - 1
