"""[contract] and [verdict] in a study file: what is read is what stands there; what is wrong is named with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import StudyError
from backends.study.contract import Condition, parsed
from backends.study.file import read_study
from backends.study.thresholds import Thresholds
from backends.study.writing import write_study

TOP = """\
name = "People"
modality = "text"

[[models]]
name = "Original"
part = "original"
source = "owner/name"

[[probes]]
file = "forget.jsonl"
role = "forget"
"""
FIRST = TOP.count("\n") + 1
"""Line on which what is added begins."""


def study_file(folder: Path, added: str, modality: str = "text") -> Path:
    (folder / "forget.jsonl").write_text('{"question": "Who?", "answer": "Ada."}\n')
    path = folder / "study.toml"
    path.write_text(TOP.replace('modality = "text"', f'modality = "{modality}"') + added)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<= 0.1", Condition("k", "<= 0.1", "<=", offset=0.1)),
        (">= -5", Condition("k", ">= -5", ">=", offset=-5)),
        ("<=.5", Condition("k", "<=.5", "<=", offset=0.5)),
        ("<= retained", Condition("k", "<= retained", "<=", 1, "retained")),
        ("<= retained + 0.05", Condition("k", "<= retained + 0.05", "<=", 1, "retained", 0.05)),
        (">= 0.97 original", Condition("k", ">= 0.97 original", ">=", 0.97, "original")),
        (
            " >= 2 original - 1e-3 ",
            Condition("k", " >= 2 original - 1e-3 ", ">=", 2, "original", -0.001),
        ),
    ],
)
def test_a_condition_is_read(text: str, expected: Condition) -> None:
    assert parsed("k", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "0.1", "< 0.1", "== 0.1", "<= ", "<= nan", "<= inf", "<= 1e999", "<= retained 0.05", "<= retained * 2",
     "<= retained + -1", "<= other + 1", "<= 0.1 <= 0.2", "<= ١", "<= retained +", "<= 1_0"],
)  # fmt: skip
def test_what_is_no_condition_is_none(text: str) -> None:
    assert parsed("k", text) is None


@given(
    st.sampled_from(["<=", ">="]),
    st.floats(0, 100),
    st.sampled_from(["retained", "original"]),
    st.sampled_from("+-"),
    st.floats(0, 100),
)
def test_every_number_is_read_as_it_is_written(
    sign: str, factor: float, against: str, plus: str, offset: float
) -> None:
    found = parsed("forget/probability", f"{sign} {factor!r} {against} {plus} {offset!r}")
    if found is None:  # such as 5e-324
        assert "e-" in f"{factor!r}{offset!r}"
        return
    assert (found.sign, found.factor, found.against) == (sign, factor, against)
    assert found.offset == (offset if plus == "+" else -offset)


@pytest.mark.parametrize(
    "added",
    [
        '[contract]\nforget.probability = "<= 0.1"\n"forget" . key_fact = "<= 0.2"\nverdict = "forgotten"\n',
        '[contract]\nverdict = "forgotten"\n[contract.forget]\nprobability = "<= 0.1"\nkey_fact = "<= 0.2"\n',
        '[contract]\nforget = { probability = "<= 0.1", key_fact = "<= 0.2" }\nverdict = "forgotten"\n',
    ],
)
def test_all_ways_of_toml_say_the_same(tmp_path: Path, added: str) -> None:
    path = study_file(tmp_path, added)
    found = {each.key: each for each in read_study(path).contract}
    assert {key: each.text for key, each in found.items()} == {
        "forget/probability": "<= 0.1",
        "forget/key_fact": "<= 0.2",
        "verdict": "forgotten",
    }
    lines = path.read_text().splitlines()
    for each in found.values():
        metric = each.place[-1]
        assert metric in lines[each.line - 1], each


def test_no_contract_is_none(tmp_path: Path) -> None:
    assert read_study(study_file(tmp_path, "")).contract == ()
    assert read_study(study_file(tmp_path, "[contract]\n")).contract == ()


@pytest.mark.parametrize(
    ("added", "line", "key", "sentence"),
    [
        ('[contract]\nforgot.probability = "<= 1"', 1, "forgot", "Did you mean `forget`?"),
        ('[contract]\nforget.key_fact = "<= 1"\nforget.probabilty = "<= 1"', 2, "probabilty", "`probability`?"),
        ('[contract]\nforget.fid = "<= 1"', 1, "fid", "language models have no such metric"),
        ('[contract]\nretain.leak_16 = "<= 1"', 1, "leak_16", "Write forget.leak_16"),
        ('[contract]\nall.probability = "<= 1"', 1, "probability", "Its roles are: forget, "),
        ('[contract]\nforget.model_utility = "<= 1"', 1, "model_utility", "Write all.model_utility"),
        ('[contract]\nforget.training_seconds = "<= 1"', 1, "training_seconds", "Write all.training_seconds"),
        ('[contract]\nforget."probability@nosuch" = "<= 1"', 1, "probability@nosuch", "Write forget.probability"),
        ('[contract]\nverdict = true', 1, "verdict", "this cannot be asked of the verdict: true"),
        ('[[contract.forget]]\nsays = true', 0, "forget", "not [{ says = true }]"),
        ('[report]\nlicences = { nosuch = "CC0" }', 1, "nosuch", 'no probe set is called "nosuch"'),
        ('[contract]\nforget.probability = "< 1"', 1, "probability", 'Write it as "<= 0.1"'),
        ('[contract]\nforget.key_fact = "<= 1"\n\nforget.loss = 0.1', 3, "loss", "not a condition: 0.1"),
        ('[contract]\nforget = "<= 1"', 1, "forget", 'Write it as forget.METRIC = "<= 0.1"'),
        ('[contract]\nverdict = "hidden"', 1, "verdict", 'verdict = "forgotten"'),
        ('[contract]\nharm = 3', 1, "harm", 'harm = "not damaged" or harm = "not destroyed"'),
        ("contract = 3", 0, "contract", "a table"),
        ("[verdict]\nsays = 0.1\nsay = 0.1", 2, "say", "Did you mean `says`?"),
        ("[verdict]\nsays = 1.5", 1, "says", "from 0 to 1"),
        ("[verdict]\nsays = nan", 1, "says", "from 0 to 1"),
        ('[verdict]\nkept = "a tenth"', 1, "kept", "a number was expected"),
        ("[verdict]\nmembership = -1", 1, "membership", "from 0 to 100"),
        ("[verdict]\nsamples = 2", 1, "samples", "1, 16, 128"),
        ("[verdict]\nsamples = true", 1, "samples", "a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, added: str, line: int, key: str, sentence: str
) -> None:
    path = study_file(tmp_path, added if not added.startswith("contract") else "")
    if added.startswith("contract"):
        path.write_text(f"{added}\n{TOP}")
    with pytest.raises(StudyError) as caught:
        read_study(path)
    number = FIRST + line if line else 1
    assert f"line {number}, key `{key}`" in str(caught.value)
    assert sentence in str(caught.value)


def test_image_models_have_their_own_metrics_and_two_more(tmp_path: Path) -> None:
    added = (
        '[contract]\nall.model_utility = ">= 0.5"\nforget.closer_to_retained = ">= 0"\nretain.fid = "<= 40"\n'
    )
    assert len(read_study(study_file(tmp_path, added, "image")).contract) == 3
    with pytest.raises(StudyError, match="image models have no such metric"):
        read_study(study_file(tmp_path, '[contract]\nforget.rouge_l = "<= 1"\n', "image"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    added = (
        '[[probes]]\nfile = "forget.jsonl"\nrole = "utility"\nname = "a \\"b\\""\n'
        '[[probes]]\nfile = "forget.jsonl"\nrole = "utility"\nname = "world facts"\n'
        '[contract]\nforget.probability = "<= retained + 0.05"\nutility."rouge_l@a \\"b\\"" = ">= 0.1"\n'
        'verdict = "forgotten"\nharm = "not damaged"\n[verdict]\nsays = 0.2\nsamples = 16\nreach = 0\n'
    )
    study = read_study(study_file(tmp_path, added))
    write_study(study, tmp_path / "again" / "study.toml")
    again = read_study(tmp_path / "again" / "study.toml")
    assert again.contract == study.contract and len(study.contract) == 4
    assert again.verdict == study.verdict == Thresholds(says=0.2, samples=16, reach=0.0)
    write_study(replace(study, verdict=Thresholds(), contract=()), tmp_path / "plain.toml")
    assert not {"[verdict]", "[contract]"} & set((tmp_path / "plain.toml").read_text().splitlines())


def test_a_misspelt_slice_gets_the_nearest_name(tmp_path: Path) -> None:
    sets = "".join(
        f'[[probes]]\nfile = "forget.jsonl"\nrole = "utility"\nname = "{name}"\n'
        for name in ("real authors", "world facts")
    )
    added = f'{sets}[contract]\nutility."rouge_l@world facts" = ">= 0.5"\n'
    assert len(read_study(study_file(tmp_path, added)).contract) == 1
    with pytest.raises(StudyError, match="Did you mean `rouge_l@world facts`"):
        read_study(study_file(tmp_path, added.replace('world facts" =', 'world fact" =')))
