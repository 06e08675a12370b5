"""Judges of other tools: transformers classifiers, CLIP, judgements in a CSV; and how right a judge is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from backends.errors import CheckpointError, StudyError
from backends.image.judges.classifiers import decided
from backends.image.judges.judges import load_judge
from backends.image.judges.measuring import measure
from backends.study import JudgeSpec
from tests.tiny_image import known

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (24, 48, 64)]
LABELS = ("tabby cat", "tiger cat", "rocket", "neon sign")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges") / "vit"
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        initializer_range=0.5,
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges") / "clip"
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 60, "bos_token_id": 58, "eos_token_id": 59},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    crop = {"height": 32, "width": 32}
    transformers.CLIPImageProcessor(size=size, crop_size=crop).save_pretrained(folder)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    import json

    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
    tokenizer.save_pretrained(folder)
    return folder


def by_hand(picture: NDArray[np.uint8]) -> torch.Tensor:
    """ViT's preprocessing written out: resized by PIL, bilinear, to -1..1."""
    resized = Image.fromarray(picture).resize((32, 32), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).float() / 127.5 - 1


def test_a_classifier_says_what_transformers_says(vit: Path) -> None:
    judge = load_judge(JudgeSpec("object", str(vit)), "cpu")
    model = transformers.ViTForImageClassification.from_pretrained(vit)
    with torch.inference_mode():
        shares = model(torch.stack([by_hand(picture) for picture in PICTURES])).logits.softmax(-1)
    assert judge.classes == LABELS
    for said, row in zip(known(judge.judge(PICTURES)), shares.tolist(), strict=True):
        assert [said.judgement.probabilities[label] for label in LABELS] == pytest.approx(row, abs=1e-5)
        assert said.judgement.label == LABELS[int(np.argmax(row))]
        assert said.features.shape == (16,)


def test_labels_are_renamed_and_added_and_a_threshold_rejects(vit: Path) -> None:
    plain = known(load_judge(JudgeSpec("object", str(vit)), "cpu").judge(PICTURES))[0].judgement
    renamed = (("tabby cat", "cat"), ("tiger cat", "cat"))
    spec = JudgeSpec("object", str(vit), labels=renamed)
    said = known(load_judge(spec, "cpu").judge(PICTURES))[0].judgement
    assert set(said.probabilities) == {"cat", "rocket", "neon sign"}
    both = plain.probabilities["tabby cat"] + plain.probabilities["tiger cat"]
    assert said.probabilities["cat"] == pytest.approx(both, abs=1e-6)
    sure = max(said.probabilities.values())
    for threshold, label in ((sure - 0.01, said.label), (min(1.0, sure + 0.01), "none")):
        strict = load_judge(replace(spec, threshold=threshold), "cpu")
        assert known(strict.judge(PICTURES))[0].judgement.label == label
    with pytest.raises(CheckpointError, match="no class 'dog'; it has cat, rocket, neon sign"):
        load_judge(replace(spec, classes=("cat", "dog")), "cpu")


def test_a_picture_of_something_else_is_rejected_although_its_share_of_the_kept_classes_is_high() -> None:
    kept = {"cat": 0.08, "dog": 0.02}  # of a thousand classes, the others dropped
    assert decided(kept, 0.0).label == "cat"
    assert decided(kept, 0.5).label == "none"
    assert decided(kept, 0.0).probabilities == pytest.approx({"cat": 0.8, "dog": 0.2})


def test_clip_chooses_among_the_studys_concepts(clip: Path) -> None:
    spec = JudgeSpec("object", str(clip), classes=("cat", "rocket", "umbrella"))
    judge = load_judge(spec, "cpu")
    said = known(judge.judge(PICTURES))
    model = transformers.CLIPModel.from_pretrained(clip)
    processor = transformers.AutoImageProcessor.from_pretrained(clip)
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    texts = tokenizer([f"a photo of a {name}" for name in spec.classes], padding=True, return_tensors="pt")
    pixels = processor(images=PICTURES, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        output = model(**texts, pixel_values=pixels)
    for one, row in zip(said, output.logits_per_image.softmax(-1).tolist(), strict=True):
        assert list(one.judgement.probabilities.values()) == pytest.approx(row, abs=1e-5)
        assert one.features.shape == (8,)
        assert np.linalg.norm(one.features) == pytest.approx(1, abs=1e-5)
    with pytest.raises(CheckpointError, match="needs a list of concepts"):
        load_judge(replace(spec, classes=()), "cpu")


def test_a_folder_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    with pytest.raises(CheckpointError, match="cannot load this image classifier"):
        load_judge(JudgeSpec("object", str(tmp_path / "gpt")), "cpu")


def test_judgements_made_elsewhere_are_found_by_the_pixels(tmp_path: Path) -> None:
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    rows = "image,label,probability\n0.png,cat,0.9\n1.png,dog,0.3\n"
    (tmp_path / "said.csv").write_text(rows)
    judge = load_judge(JudgeSpec("object", str(tmp_path / "said.csv"), threshold=0.5), "cpu")
    first, second, third = judge.judge(PICTURES)
    assert first is not None and first.judgement.label == "cat" and first.features.size == 0
    assert first.judgement.probabilities == {"cat": 0.9}
    assert second is not None and second.judgement.label == "none"
    assert third is None  # nobody judged it: no judgement, never "none"
    assert judge.classes == ("cat", "dog")


def test_a_csv_may_hold_a_column_for_each_class(tmp_path: Path) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    (tmp_path / "said.csv").write_text("image,label,cat,dog\na.png,cat,0.6,0.2\n")
    (said,) = known(load_judge(JudgeSpec("object", str(tmp_path / "said.csv")), "cpu").judge(PICTURES[:1]))
    assert said.judgement.probabilities == pytest.approx({"cat": 0.75, "dog": 0.25})


def test_rows_of_a_csv_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    lines = ["image,label,probability", "a.png,,0.5", "b.png,cat,0.5", "a.png,cat,1.5", "a.png,cat,x"]
    (tmp_path / "said.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        CheckpointError, match=r"none of its 4 rows can be used \(row 2: no label; row 3: b.png"
    ):
        load_judge(JudgeSpec("object", str(tmp_path / "said.csv")), "cpu")
    (tmp_path / "said.csv").write_text("picture,label\n")
    with pytest.raises(CheckpointError, match="the column `image` is missing"):
        load_judge(JudgeSpec("object", str(tmp_path / "said.csv")), "cpu")


def test_a_judge_is_measured_on_real_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    said = ["image,label"]
    for number, (truth, label) in enumerate([("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", "dog")]):
        (folder / truth).mkdir(parents=True, exist_ok=True)
        picture = np.full((8, 8, 3), 40 * number, np.uint8)
        Image.fromarray(picture).save(folder / truth / f"{number}.png")
        said.append(f"{truth}/{number}.png,{label}")
    (folder / "said.csv").write_text("\n".join(said) + "\n")
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    judge = load_judge(JudgeSpec("object", str(folder / "said.csv")), "cpu")
    found = measure(judge, folder)
    assert (found.n, found.correct, found.accuracy) == (4, 3, 0.75)
    assert dict(found.per_class) == {"cat": (2, 1), "dog": (2, 2)}
    assert (found.low, found.high) == pytest.approx((0.19412, 0.99369), abs=1e-5)  # Clopper-Pearson of 3 in 4
    assert found.unreadable == ("cat/broken.png",)
    (folder / "bird").mkdir()
    with pytest.raises(StudyError, match="does not know 'bird'; it knows cat, dog"):
        measure(judge, folder)
    with pytest.raises(StudyError, match="no such folder"):
        measure(judge, tmp_path / "nothing")
