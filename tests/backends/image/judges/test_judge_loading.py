"""No judge and no network is ever run with weights that are not there; bad rows of a CSV do not stop the good ones."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends.errors import CheckpointError
from backends.image.checkpoints.version_files import read_tensors
from backends.image.judges.judges import load_judge
from backends.image.networks.clip import load_clip
from backends.image.networks.inception import InceptionV3, load_inception
from backends.image.networks.named import INCEPTION, files_of
from backends.study import NUDENET, JudgeSpec
from backends.study.file import read_study
from tests.backends.image.judges.test_other_judges import PICTURES, clip, vit  # noqa: F401 - fixtures
from tests.tiny_image import known, write_tiny_judge

State = Mapping[str, Tensor]
Change = Callable[[dict[str, Tensor]], State]


def lacking(name: str) -> Change:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


def prefixed(prefix: str) -> Change:
    return lambda state: {prefix + key: tensor for key, tensor in state.items()}


def with_another(name: str) -> Change:
    return lambda state: state | {name: torch.zeros(2)}


def reshaped(name: str) -> Change:
    return lambda state: state | {name: torch.zeros(7, *state[name].shape[1:])}


def spoilt(name: str) -> Change:
    return lambda state: state | {name: torch.full_like(state[name], torch.nan)}


def changed(folder: Path, to: Path, change: Change, file: str = "model.safetensors") -> Path:
    """A copy of a folder with other weights."""
    shutil.copytree(folder, to)
    save_file(dict(change(load_file(to / file))), to / file, {"format": "pt"})
    return to


FAULTS = [
    (lambda name: lacking(name), "{name} is missing"),
    (lambda _: with_another("head.extra"), "head.extra is unknown to it"),
    (lambda name: reshaped(name), "{name} is with another shape"),
    (lambda name: spoilt(name), "{name} of this .+ NaN or infinite"),
]
"""Ways to break weights, and what is said."""
PREFIXES = ["module.", "_orig_mod.", "module._orig_mod."]


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_classifier_that_lacks_a_tensor_is_refused_by_its_name(
    fault: Callable[[str], Change],
    said: str,
    vit: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = changed(vit, tmp_path / "vit", fault("classifier.weight"))
    with pytest.raises(CheckpointError, match=said.format(name="classifier.weight")):
        load_judge(JudgeSpec("object", str(folder)), "cpu")


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_clip_that_lacks_a_tensor_is_refused_by_its_name(
    fault: Callable[[str], Change],
    said: str,
    clip: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = changed(clip, tmp_path / "clip", fault("visual_projection.weight"))
    wanted = said.format(name="visual_projection.weight")
    with pytest.raises(CheckpointError, match=wanted):
        load_clip(str(folder), "cpu")
    with pytest.raises(CheckpointError, match=wanted):
        load_judge(JudgeSpec("object", str(folder), classes=("cat", "dog")), "cpu")


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_judge_of_the_demos_form_that_lacks_a_tensor_is_refused_by_its_name(
    fault: Callable[[str], Change], said: str, tmp_path: Path
) -> None:
    whole = write_tiny_judge(tmp_path / "whole")
    folder = changed(whole, tmp_path / "judge", fault("head.weight"), "judge.safetensors")
    with pytest.raises(CheckpointError, match=said.format(name="head.weight")):
        load_judge(JudgeSpec("object", str(folder)), "cpu")


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_inception_that_lacks_a_tensor_is_refused_by_its_name(
    fault: Callable[[str], Change], said: str, tmp_path: Path
) -> None:
    state = InceptionV3(tensorflow=False).state_dict()
    whole = {**state, "fc.bias": torch.zeros(1000), "AuxLogits.fc.bias": torch.zeros(1000)}
    save_file(dict(fault("Mixed_7c.branch1x1.conv.weight")(whole)), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=said.format(name="Mixed_7c.branch1x1.conv.weight")):
        load_inception(str(tmp_path / "w.safetensors"), "cpu")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_wrappers_are_taken_off_and_said(
    prefix: str,
    vit: Path,  # noqa: F811
    clip: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """What the judge says is what it says without the prefix."""
    own = write_tiny_judge(tmp_path / "own")
    for spec, file in (
        (JudgeSpec("object", str(vit)), "model.safetensors"),
        (JudgeSpec("object", str(clip), classes=("cat", "dog")), "model.safetensors"),
        (JudgeSpec("object", str(own)), "judge.safetensors"),
    ):
        to = tmp_path / f"{Path(spec.path).name}-wrapped"
        wrapped = replace(spec, path=str(changed(Path(spec.path), to, prefixed(prefix), file)))
        judge = load_judge(wrapped, "cpu")
        (said,) = (note for note in judge.notes if "was removed" in note)
        assert all(f"{wrapper}." in said for wrapper in prefix.split(".")[:-1])
        for ours, theirs in zip(
            known(judge.judge(PICTURES)), known(load_judge(spec, "cpu").judge(PICTURES)), strict=True
        ):
            assert ours.judgement.probabilities == pytest.approx(theirs.judgement.probabilities, abs=1e-6)


def test_a_prefix_of_inceptions_names_is_taken_off(tmp_path: Path) -> None:
    state = InceptionV3(tensorflow=True).state_dict() | {"fc.bias": torch.zeros(1008)}
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pth")
    assert "module." in load_inception(str(tmp_path / "w.pth"), "cpu").notes[0]


def test_of_a_folder_with_a_pickle_the_file_can_be_named(tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "pt_inception.pth")
    with pytest.raises(CheckpointError, match=r"Name the file itself, .+pt_inception\.pth"):
        files_of(INCEPTION, str(tmp_path))
    assert files_of(INCEPTION, str(tmp_path / "pt_inception.pth")) == [tmp_path / "pt_inception.pth"]
    with pytest.raises(CheckpointError, match=r"Name the file itself, .+pt_inception\.pth"):
        read_tensors(tmp_path)
    assert list(read_tensors(tmp_path / "pt_inception.pth")) == ["fc.bias"]


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A CSV beside pictures 0.png to 2.png."""
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    return tmp_path / "said.csv"


def csv_judge(path: Path, text: str | bytes, **settings: Any) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_judge(JudgeSpec("object", str(path), **settings), "cpu")


def labels(judge: Any) -> list[str | None]:
    return [None if each is None else each.judgement.label for each in judge.judge(PICTURES)]


def test_bad_rows_of_a_csv_are_named_and_the_others_are_used(said: Path) -> None:
    rows = "image,label,probability\n0.png,cat,0.9\ngone.png,cat,0.9\n1.png,,0.3\n2.png,dog,2\n"
    judge = csv_judge(said, rows)
    assert labels(judge) == ["cat", None, None]
    (note,) = judge.notes
    assert note.startswith("3 of 4 rows cannot be used: row 3: gone.png ")
    assert "row 4: no label" in note and "row 5: 2 is no probability from 0 to 1" in note


def test_columns_of_a_csv_that_name_no_class_are_left_out(said: Path) -> None:
    judge = csv_judge(
        said, "image,prompt,seed,label,cat,dog\n0.png,a cat,17,cat,0.7,0.3\n1.png,a dog,1,dog,0,1\n"
    )
    assert labels(judge) == ["cat", "dog", None]
    assert judge.judge(PICTURES)[0].judgement.probabilities == pytest.approx({"cat": 0.7, "dog": 0.3})
    assert judge.notes == ("columns left out, which are not classes: prompt, seed",)


@pytest.mark.parametrize(
    "text", ["image;label\n0.png;cat\n", "\ufeffimage,label\r\n0.png,cat\r\n", "image\tlabel\n0.png\tcat\n"]
)
def test_separators_marks_and_line_ends_of_a_csv_do_not_matter(said: Path, text: str) -> None:
    assert labels(csv_judge(said, text)) == ["cat", None, None]


def test_two_words_on_one_picture_are_no_judgement_by_the_last(said: Path) -> None:
    judge = csv_judge(said, "image,label\n0.png,cat\n0.png,dog\n1.png,dog\n1.png,dog\n")
    assert labels(judge) == ["cat", "dog", None]
    assert judge.notes == (
        "1 of 4 rows cannot be used: row 3: row 2 contradicts an earlier row of the same picture",
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_no_picture_and_no_csv(said: Path) -> None:
    os.mkfifo(said.parent / "pipe.png")
    judge = csv_judge(said, "image,label\npipe.png,cat\n0.png,cat\n")
    assert labels(judge) == ["cat", None, None] and "named pipe" in judge.notes[0]
    os.mkfifo(said.parent / "pipe.csv")
    waiting = threading.Timer(20, lambda: os._exit(3))  # it must not wait for a writer
    waiting.daemon = True
    waiting.start()
    with pytest.raises(CheckpointError, match="named pipe"):
        load_judge(JudgeSpec("object", str(said.parent / "pipe.csv")), "cpu")
    waiting.cancel()


def test_a_csv_of_another_encoding_or_without_rows_says_so(said: Path) -> None:
    with pytest.raises(CheckpointError, match="not UTF-8"):
        csv_judge(said, "image,label\n0.png,caf\xe9\n".encode("latin-1"))
    with pytest.raises(CheckpointError, match="it has no rows"):
        csv_judge(said, "image,label\n")


def study_with(tmp_path: Path, judge: str) -> Any:
    (tmp_path / "f.csv").write_text("prompt,style\na cat,neon\na dog,sepia\na fish,\n")
    (tmp_path / "study.toml").write_text(
        'name = "S"\nmodality = "image"\n[[models]]\nname = "O"\npart = "original"\nsource = "o"\n'
        f'[[probes]]\nfile = "f.csv"\nrole = "forget"\n[forget]\nstyle = "popart"\n'
        f'[[judges]]\ndomain = "style"\n{judge}'
    )
    return read_study(tmp_path / "study.toml")


def test_clip_takes_its_classes_from_the_probes(clip: Path, vit: Path, tmp_path: Path) -> None:  # noqa: F811
    spec = study_with(tmp_path, f'path = "{clip}"\n').judges[0]
    assert spec.classes == ("neon", "popart", "sepia")
    judge = load_judge(spec, "cpu")
    assert judge.classes == spec.classes and judge.notes == ("CLIP chooses among neon, popart, sepia",)
    named = study_with(tmp_path, f'path = "{clip}"\nclasses = ["neon", "other"]\n').judges[0]
    assert named.classes == ("neon", "other")
    assert study_with(tmp_path, f'path = "{vit}"\n').judges[0].classes == ()


class Detector:
    """Finds a part where the middle of the picture is bright, as surely as it is red."""

    def detect(self, picture: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
        blue, _, red = picture[4, 4]
        found = [{"class": "FACE_FEMALE", "score": 0.99, "box": [0, 0, 1, 1]}]
        if red > blue:
            score = float(red) / 255
            found.append({"class": "FEMALE_BREAST_EXPOSED", "score": score, "box": [0, 0, 1, 1]})
            found.append({"class": "BELLY_EXPOSED", "score": 0.95, "box": [0, 0, 1, 1]})
        return found


@pytest.fixture
def nudenet(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("nudenet")
    module.NudeDetector = Detector  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nudenet", module)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.4.2")


@pytest.mark.usefixtures("nudenet")
def test_nudenet_calls_exposed_parts_nudity_from_its_threshold_on(tmp_path: Path) -> None:
    spec = study_with(tmp_path, f'path = "{NUDENET}"\n').judges[0]
    assert (spec.path, spec.threshold) == (NUDENET, 0.6)
    reds = [np.full((8, 8, 3), (level, 0, 0), np.uint8) for level in (0, 130, 200)]
    judge = load_judge(spec, "cpu")
    said = known(judge.judge(reds))
    assert judge.classes == ("nudity", "safe") and "from a score of 0.6" in judge.notes[0]
    assert [each.judgement.label for each in said] == ["safe", "safe", "nudity"]
    assert said[1].judgement.probabilities == pytest.approx({"nudity": 130 / 255, "safe": 1 - 130 / 255})
    lower = load_judge(replace(spec, threshold=0.45), "cpu")
    assert [each.judgement.label for each in known(lower.judge(reds))] == ["safe", "nudity", "nudity"]
    belly = load_judge(replace(spec, labels=(("BELLY_EXPOSED", "skin"),)), "cpu")
    assert [each.judgement.label for each in known(belly.judge(reds))] == ["safe", "skin", "skin"]


def test_nudenet_says_what_it_needs_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    with pytest.raises(CheckpointError, match=r"needs the package nudenet.*pip install nudenet"):
        load_judge(JudgeSpec("nudity", NUDENET), "cpu")
