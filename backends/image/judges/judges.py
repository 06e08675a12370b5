"""Judges: small image classifiers that say which object or style a picture shows, or that it shows none.

The class "none" is trained on noise, blobs, blurred, shuffled and single-coloured pictures, so that a model that
collapsed is not mistaken for one that forgot. A judge is a folder with `judge.json` and `judge.safetensors`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from backends.checkpoints.hub import is_on_hub
from backends.checkpoints.identity import resolve
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.errors import CheckpointError
from backends.evidence import Judgement
from backends.image.checkpoints.fitting import fitted, refuse_not_finite
from backends.image.judges.classifiers import load_transformers_judge
from backends.image.judges.csv_files import load_csv_judge
from backends.image.judges.nudenet import load_nudenet_judge
from backends.interfaces import Judge, JudgedImage
from backends.study import NUDENET, JudgeSpec

REJECT = "none"
_BATCH = 64


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """What a judge names and how its network is built.

    Attributes:
        domain: "object", "style".
        classes: names in the order of the outputs; one of them is "none".
        side: pictures are resized to this, pixels.
        channels: of the network's levels; the last is the number of features.
    """

    domain: str
    classes: tuple[str, ...]
    side: int = 48
    channels: tuple[int, ...] = (24, 48, 96)


class JudgeNet(nn.Module):
    """Two convolutions a level, each level half as large, mean over positions, one linear layer."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 3
        for channels in config.channels:
            for stride, inputs in ((2, last), (1, channels)):
                layers += [
                    nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                ]
            last = channels
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(last, len(config.classes))

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features, shape (B, D), of images in -1..1, shape (B, 3, side, side)."""
        features: Tensor = self.body(images).mean((2, 3))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits


class ConvJudge:
    """A `backends.interfaces.Judge` that runs a JudgeNet."""

    def __init__(
        self, config: JudgeConfig, network: JudgeNet, device: str, notes: Sequence[str] = ()
    ) -> None:
        self.notes = tuple(notes)
        self.config = config
        self._network = network.eval().to(device)
        self._device = device

    @property
    def domain(self) -> str:
        """Which concepts it names."""
        return self.config.domain

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can say, "none" aside."""
        return tuple(name for name in self.config.classes if name != REJECT)

    @torch.inference_mode()
    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage]:
        """Judgements in the order of the pictures; each uint8 (height, width, 3), of any size."""
        judged: list[JudgedImage] = []
        for start in range(0, len(pixels), _BATCH):
            images = torch.stack(
                [prepare(picture, self.config.side) for picture in pixels[start : start + _BATCH]]
            )
            features = self._network.features(images.to(self._device))
            shares = self._network.head(features).softmax(1).cpu()
            judged += [self._judged(*row) for row in zip(shares, features.cpu(), strict=True)]
        return judged

    def _judged(self, shares: Tensor, features: Tensor) -> JudgedImage:
        probabilities = dict(zip(self.config.classes, shares.tolist(), strict=True))
        label = self.config.classes[int(shares.argmax())]
        return JudgedImage(Judgement(label, probabilities), features.numpy().astype(np.float32))


def prepare(picture: NDArray[np.uint8], side: int) -> Tensor:
    """One picture as the network takes it: -1..1, shape (3, side, side)."""
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
    if image.shape[1:] == (side, side):
        return image
    return interpolate(image[None], (side, side), mode="bilinear", antialias=True, align_corners=False)[0]


def save_judge(config: JudgeConfig, network: JudgeNet, folder: Path) -> None:
    """Write the folder that `load_judge` reads; weights as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judge.json").write_text(json.dumps(asdict(config), indent=1) + "\n")
    state = {name: _half(tensor).contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "judge.safetensors")


def load_judge(spec: JudgeSpec, device: str) -> Judge:
    """The judge that is named: a folder of the demo's form or of transformers, a CSV of judgements, or NudeNet.

    Raises:
        CheckpointError: there is no judge, a damaged one, or one of another domain.
    """
    # Before the load: a download may take minutes, and nothing else could be loaded meanwhile.
    folder = resolve(spec.path) if is_on_hub(spec.path) else Path(spec.path)
    return _load(spec, folder, device)


@one_load_at_a_time
def _load(spec: JudgeSpec, folder: Path, device: str) -> Judge:
    if spec.path == NUDENET:
        return load_nudenet_judge(spec)
    if Path(spec.path).suffix.lower() == ".csv":
        return load_csv_judge(spec)
    if (folder / "config.json").is_file():
        return load_transformers_judge(spec, folder, device)
    return _load_own(spec, folder, device)


def _load_own(spec: JudgeSpec, folder: Path, device: str) -> ConvJudge:
    try:
        config = _config(json.loads((folder / "judge.json").read_text()))
        network = JudgeNet(config)
        weights = folder / "judge.safetensors"
        state, notes = fitted(load_file(weights), network.state_dict(), what="judge", where=weights)
        network.load_state_dict({name: _full(tensor) for name, tensor in state.items()})
        refuse_not_finite(network, "judge", weights)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"this judge cannot be read ({type(error).__name__})",
            where=str(folder),
            how="A judge is a folder with judge.json and judge.safetensors, an image classifier of transformers, CLIP, "
            "a CSV, or nudenet",
        ) from error
    if config.domain != spec.domain:
        raise CheckpointError(f"this judge names {config.domain}s, not {spec.domain}s", where=str(folder))
    return ConvJudge(config, network, device, notes)


def _config(values: dict[str, Any]) -> JudgeConfig:
    return JudgeConfig(
        values["domain"], tuple(values["classes"]), int(values["side"]), tuple(map(int, values["channels"]))
    )


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
