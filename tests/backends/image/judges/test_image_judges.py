"""Judges: their folder, their answers, and the pictures they must not take for a concept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.demo.image_data import OBJECTS, PER_CONCEPT, SIDE, STYLES, draw
from backends.errors import CheckpointError
from backends.image.judges.judges import REJECT, load_judge
from backends.image.png import encode
from backends.study import JudgeSpec
from tests.tiny_image import known, write_tiny_judge

PACK = Path(__file__).parents[4] / "app" / "demo" / "pack" / "image"


def test_a_judge_answers_in_order_and_for_any_size(tmp_path: Path) -> None:
    judge = load_judge(JudgeSpec("object", str(write_tiny_judge(tmp_path / "judge"))), "cpu")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (24, 48, 24)]
    together = known(judge.judge(pictures))
    for one, picture in zip(together, pictures, strict=True):
        (alone,) = known(judge.judge([picture]))
        assert np.allclose(alone.features, one.features, atol=1e-5)
        assert sum(one.judgement.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert one.judgement.label == max(
            one.judgement.probabilities, key=one.judgement.probabilities.__getitem__
        )
    assert together[0].features.shape == (8,)


def test_a_judge_of_another_domain_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    with pytest.raises(CheckpointError, match="names objects, not styles"):
        load_judge(JudgeSpec("style", str(folder)), "cpu")


def test_a_damaged_judge_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    weights = folder / "judge.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="judge cannot be read"):
        load_judge(JudgeSpec("object", str(folder)), "cpu")
    with pytest.raises(CheckpointError, match="judge cannot be read"):
        load_judge(JudgeSpec("object", str(tmp_path / "nothing")), "cpu")


def test_a_png_says_what_it_is_and_is_the_same_every_time() -> None:
    import io

    from PIL import Image

    pixels = draw("cat", "neon", 3)
    first = encode(pixels, {"prompt": "«cat» <b>"})
    assert first == encode(pixels, {"prompt": "«cat» <b>"})
    picture = Image.open(io.BytesIO(first))
    assert np.array_equal(np.asarray(picture), pixels)
    assert picture.info["prompt"] == "«cat» <b>"


@pytest.mark.demo
def test_the_shipped_judges_know_the_pictures() -> None:
    truth = [(name, style) for name in OBJECTS for style in STYLES]
    # Indices that no training picture has.
    pictures = [draw(name, style, PER_CONCEPT + 5) for name, style in truth]
    for domain, place in (("object", 0), ("style", 1)):
        judge = load_judge(JudgeSpec(domain, str(PACK / "judges" / domain)), "cpu")
        said = [each.judgement.label for each in known(judge.judge(pictures))]
        right = [label == names[place] for label, names in zip(said, truth, strict=True)]
        assert np.mean(right) > 0.9


@pytest.mark.demo
@pytest.mark.parametrize("domain", ["object", "style"])
def test_the_shipped_judges_reject_noise_blanks_and_blurs(domain: str) -> None:
    judge = load_judge(JudgeSpec(domain, str(PACK / "judges" / domain)), "cpu")
    rng = np.random.default_rng(1)
    noise = list(rng.integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8))
    plain = [np.full((SIDE, SIDE, 3), colour, np.uint8) for colour in rng.integers(0, 256, (8, 3))]
    said = [each.judgement.label for each in known(judge.judge([*noise, *plain]))]
    assert np.mean([label == REJECT for label in said]) > 0.9
