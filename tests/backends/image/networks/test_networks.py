"""Networks beside the judges: CLIP, InceptionV3 and LPIPS, and the metrics of what they say, by hand."""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from backends.errors import CheckpointError
from backends.evidence import ImageEvidence
from backends.image.networks.clip import load_clip
from backends.image.networks.inception import Block, Convolution, InceptionV3, load_inception
from backends.image.networks.named import CLIP, INCEPTION, LPIPS, network, pair_subject, text_subject
from backends.image.networks.perceptual import load_perceptual
from backends.metrics import METRICS, ImageMetric, Pictures
from backends.metrics.networks import scaled_cosine
from backends.study import Probe
from tests.tiny_image import write_tiny_clip

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (24, 48, 64)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("networks") / "tiny-clip")


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def value(key: str, pictures: Pictures) -> float:
    metric = METRICS[key]
    assert isinstance(metric, ImageMetric)
    return metric.value(pictures)


def picture(name: str) -> ImageEvidence:
    return ImageEvidence(name, 1, {}, floats(), 1.0)


def test_clip_score_is_a_hundred_times_the_cosine_and_never_negative() -> None:
    assert scaled_cosine(floats(3, 4), floats(1, 0)) == pytest.approx(60)
    assert scaled_cosine(floats(3, 4), floats(-1, 0)) == 0.0
    assert math.isnan(scaled_cosine(floats(0, 0), floats(1, 0)))
    assert math.isnan(scaled_cosine(floats(1, 0), floats(1, 0, 0)))


def test_metrics_of_networks_by_hand() -> None:
    probe = Probe("p", "retain", "a neon cat")
    kept = {
        (CLIP, text_subject("a neon cat")): floats(2, 0),
        (CLIP, "a"): floats(3, 4),
        (CLIP, "b"): floats(-1, 1),
        (LPIPS, pair_subject("a", "o")): floats(0.5),
        (LPIPS, pair_subject("b", "o")): floats(math.nan),  # of different sizes
    }
    images = {1: picture("a"), 2: picture("b"), 3: picture("unseen")}
    originals = {1: picture("o"), 2: picture("o"), 3: picture("o")}
    pictures = Pictures(probe, images, originals, {}, features=kept)
    assert value("clip_score", pictures) == pytest.approx((60 + 0) / 2)
    assert value("lpips", pictures) == 0.5
    for key in ("clip_score", "lpips"):
        assert math.isnan(value(key, Pictures(probe, images, originals, {})))


def test_clip_embeds_as_transformers_does(clip: Path) -> None:
    ours = load_clip(str(clip), "cpu")
    prompts = ["a cat", "a rocket in the rain " * 20]
    model = transformers.CLIPModel.from_pretrained(clip)
    processor = transformers.AutoImageProcessor.from_pretrained(clip)
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    pixels = processor(images=PICTURES, return_tensors="pt")["pixel_values"]
    first = tokenizer(prompts[:1], return_tensors="pt")
    with torch.inference_mode():
        output = model(**first, pixel_values=pixels)
        cosines = output.logits_per_image[:, 0] / model.logit_scale.exp()
    images, texts = ours.images(PICTURES), ours.texts(prompts)
    assert images.shape == (3, 8) and texts.shape == (2, 8)
    expected = [100 * max(float(each), 0) for each in cosines]
    assert [scaled_cosine(each, texts[0]) for each in images] == pytest.approx(expected, abs=1e-3)
    assert not np.allclose(np.linalg.norm(images, axis=1), 1)


def test_another_model_is_refused_as_clip(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    with pytest.raises(CheckpointError, match="not a CLIP model but 'gpt2'"):
        load_clip(str(tmp_path / "gpt"), "cpu")


def test_pickled_clip_weights_are_refused(clip: Path, tmp_path: Path) -> None:
    shutil.copytree(clip, tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").rename(tmp_path / "clip" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickles"):
        load_clip(str(tmp_path / "clip"), "cpu")


def test_a_network_is_known_by_its_files_wherever_they_lie(clip: Path, tmp_path: Path) -> None:
    known = network(CLIP, str(clip))
    shutil.copytree(clip, tmp_path / "copy")
    copy = network(CLIP, str(tmp_path / "copy"))
    assert (known.name, copy.name) == ("tiny-clip", "copy")
    assert known.digest == copy.digest != ""
    (tmp_path / "copy" / "preprocessor_config.json").write_text("{}")
    assert network(CLIP, str(tmp_path / "copy")).digest != known.digest
    assert network(CLIP, str(tmp_path / "gone")).digest == ""
    assert network(LPIPS, "alex").digest != network(LPIPS, "vgg").digest


@pytest.fixture(scope="module", params=[1008, 1000])
def inception(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    classes: int = request.param
    torch.manual_seed(0)
    model = InceptionV3(tensorflow=classes == 1008)
    state = {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}
    state["fc.bias"] = torch.zeros(classes)
    path = tmp_path_factory.mktemp("networks") / ("weights.pth" if classes == 1008 else "weights.safetensors")
    torch.save(state, path) if classes == 1008 else save_file(state, path)
    return path, classes


def test_inception_is_recognised_and_resizes_as_pytorch_fid(inception: tuple[Path, int]) -> None:
    path, classes = inception
    ours = load_inception(str(path), "cpu").images(PICTURES[1:2])
    torch.manual_seed(0)
    model = InceptionV3(tensorflow=classes == 1008).eval()
    shown = torch.from_numpy(PICTURES[1]).permute(2, 0, 1)[None].float() / 255
    shown = 2 * interpolate(shown, (299, 299), mode="bilinear", align_corners=False) - 1
    with torch.inference_mode():
        expected = model(shown)
    assert ours.shape == (1, 2048)
    assert ours == pytest.approx(expected.numpy(), abs=1e-6)
    assert network(INCEPTION, str(path)).name == path.name
    # 21.8 million parameters before the last layer, as torchvision's 23.8 less 2048 x 1000 + 1000
    assert sum(each.numel() for each in model.parameters()) == 21_785_568


@pytest.mark.parametrize(
    ("pooling", "corner"), [("average", 4 / 9), ("average without padding", 1), ("maximum", 1)]
)
def test_poolings_differ_at_the_border(pooling: str, corner: float) -> None:
    block = Block(1, [[Convolution("branch1x1", 1)]], 1, pooling).eval()
    with torch.no_grad():
        block.branch_pool.conv.weight.fill_(1)
        pooled = block(torch.ones(1, 1, 5, 5))[0, 1]
    scale = 1 / math.sqrt(1 + 0.001)  # of batch normalisation as it begins
    assert pooled[0, 0].item() == pytest.approx(corner * scale)
    assert pooled[2, 2].item() == pytest.approx(scale)


def test_other_weights_are_no_inception(tmp_path: Path) -> None:
    save_file({"fc.bias": torch.zeros(1000)}, tmp_path / "other.safetensors")
    with pytest.raises(
        CheckpointError, match=r"InceptionV3 with torchvision's names: Conv2d_1a_3x3.+ missing"
    ):
        load_inception(str(tmp_path / "other.safetensors"), "cpu")
    with pytest.raises(CheckpointError, match="no such folder"):
        load_inception(str(tmp_path / "gone.safetensors"), "cpu")


class Difference(torch.nn.Module):
    """Called as LPIPS is: mean absolute difference of two batches in -1..1."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
        self.net = net

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        assert min(left.shape[2:]) >= 64 and left.shape == right.shape
        return (left - right).abs().mean((1, 2, 3), keepdim=True)


def test_lpips_compares_pictures_between_minus_one_and_one(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("lpips")
    package.LPIPS = Difference  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    ours = load_perceptual("alex", "cpu")
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    black, white = np.zeros((8, 12, 3), np.uint8), np.full((8, 12, 3), 255, np.uint8)
    found = ours.distances([black] * 20, [white] * 10 + [black] * 10)
    assert found.tolist() == [2.0] * 10 + [0.0] * 10


def test_what_lpips_needs_is_said_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(CheckpointError, match=r"Run `pip install 'unlearnboard\[lpips\]'`"):
        load_perceptual("alex", "cpu")
