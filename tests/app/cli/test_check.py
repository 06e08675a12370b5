"""`unlearnboard check`: exit statuses, every form of output, and names that are hostile text."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.cli import check_formats as formats
from app.cli.main import run
from app.shared import contract_words
from app.shared.settings import PACK
from backends.study.contract import Condition, parsed
from cache.analysis.contract import Checked, held
from cache.store import open_store
from tests.filled_store import fill_text, text_study, write_study

HOSTILE = (
    'a|b <script>alert(1)</script> `x` @you %0A::error::\n::error file=x::y\x1b[31m\x00 \u202e"&,:'
    + "n" * 200
)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The filled study's file, without a contract."""
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").mkdir()
    with_evidence = open_store(tmp_path / "cache" / "evidence.sqlite")
    fill_text(text_study(), with_evidence)
    with_evidence.close()
    return write_study(text_study(), tmp_path)


def add(path: Path, lines: str) -> int:
    """Add a contract; the line of its first condition."""
    first = path.read_text().count("\n") + 2
    path.write_text(path.read_text() + f"[contract]\n{lines}\n")
    return first


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ('forget.probability = "<= 1"', 0),
        ('forget.probability = "<= 1"\nretain.probability = ">= 1"', 1),
        ('forget.probability = "<= 1"\nforget.mia_gradnorm = "<= 1"', 1),
        ('forget.key_fact = "<= retained + 0.5"\nforget.probability = "<= 1"', 3),
        ('forget.probability = "<="', 2),
        ("", 2),
    ],
)
def test_the_exit_status_is_the_outcome(
    study: Path, lines: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    add(study, lines)
    model = ["--model", "NPO 10"]
    assert run(["check", str(study), *model]) == status, capsys.readouterr()


def test_all_unlearned_models_are_checked_or_those_named(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(study, 'forget.probability = "<= 1"')
    assert run(["check", str(study), "--json"]) == 0
    names = [each["model"] for each in json.loads(capsys.readouterr().out)["conditions"]]
    assert names == [spec.name for spec in text_study().models if spec.part == "unlearned"]
    assert run(["check", str(study), "--json", "--model", "NPO 10", "--model", "Retained"]) == 0
    both = json.loads(capsys.readouterr().out)["conditions"]
    assert [each["model"] for each in both] == ["NPO 10", "Retained"]
    assert run(["check", str(study), "--model", "NPO 11"]) == 2
    assert "Did you mean 'NPO 10'" in capsys.readouterr().err


def test_every_form_says_the_same(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = add(study, 'retain.probability = ">= 1"\nforget.probability = "<= 1"')
    given = ["check", str(study), "--model", "NPO 10"]
    assert run([*given, "--github", "--junit", "out/junit.xml"]) == 1
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("broken     NPO 10  retain.probability >= 1") and "[" in table[0]
    assert table[1].startswith("holds      NPO 10  forget.probability <= 1")
    assert table[2] == "Contract of Random people: 1 holds, 1 broken (1 model)."
    assert table[3].startswith(f"::error file=study.toml,line={line},title=Contract broken::NPO 10: retain.")
    suite = ElementTree.parse("out/junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert [len(case) for case in suite.iter("testcase")] == [1, 0]
    assert run([*given, "--markdown"]) == 1
    assert (
        "| broken | <code>NPO 10</code> | <code>retain.probability &#62;= 1</code> |"
        in capsys.readouterr().out
    )


def hostile() -> list[Checked]:
    condition = parsed("forget/probability", "<= 0.5", 7)
    assert condition is not None
    slice_of = replace(condition, key=f"forget/probability@{HOSTILE}")
    return [
        held(each, name, 0.1, low, 0.2, 6)
        for each in (condition, slice_of)
        for name in (HOSTILE, "x\ufffe\ud800")
        for low in (0.05, -0.1)
    ]


def test_hostile_names_stay_text() -> None:
    found = hostile()
    study = replace(text_study(), name=HOSTILE, path=Path("/study,a:b%.toml"))
    table = list(formats.as_table(study, found))
    assert all(line.isprintable() and not line.startswith("::") for line in table)
    annotations = list(formats.as_annotations(study, found))
    assert len(annotations) == len(found)
    for line in annotations:
        assert line.isprintable()
        command, _, message = line[2:].partition("::")
        assert command.split(" ")[0] in ("error", "warning")
        assert command.split(" ", 1)[1].startswith("file=/study%2Ca%3Ab%25.toml,line=7,title=")
        assert "%0A" not in message
    markdown = formats.as_markdown(study, found).splitlines()
    assert all(line.count("|") == 5 for line in markdown[2:])
    assert "<script>" not in "\n".join(markdown) and "`" not in "\n".join(markdown)
    assert json.loads(json.dumps(formats.as_json(study, found)))["conditions"][0]["model"] == HOSTILE
    suites = ElementTree.fromstring(formats.as_junit(study, found))
    assert len(list(suites.iter("failure"))) == len(list(suites.iter("error"))) == 4


def test_what_is_not_finite_is_null() -> None:
    found = [held(Condition("forget/loss", "<= 1"), "m", 0.1, float("-inf"), float("nan"))]
    (row,) = formats.as_json(text_study(), found)["conditions"]
    assert row["low"] is None and row["high"] is None and row["needed"] is None


def test_an_interval_that_is_not_known_is_not_printed() -> None:
    each = replace(
        held(Condition("forget/loss", "<= 1"), "m", 0.1, -math.inf, math.inf, 5), value=1.1, line=1.0
    )
    assert "inf" not in contract_words.said(each)


def test_thousands_of_probes_are_no_advice() -> None:
    assert held(Condition("k", "<= 1"), "m", -0.01, -0.2, 0.2, 36).needed > 1000
    said = contract_words.said(held(Condition("k", "<= 1"), "m", -0.01, -0.2, 0.2, 36))
    assert said == "more than 1,000 probes would decide (36 now)"


def test_long_names_stay_apart() -> None:
    start = "a model of a very long name that goes on and on "
    names = [f"{start}10", f"{start}20", "x" * 19 + "1" + "x" * 30, "x" * 19 + "2" + "x" * 30]
    found = [held(Condition("forget/loss", "<= 1"), name, 0.1, 0.05, 0.2, 6) for name in names]
    rows = list(formats.as_table(text_study(), found))[:4]
    assert len({row.split("forget.loss")[0] for row in rows}) == 4
    assert formats._cut(names[0]).endswith("on 10") and len(formats._cut(names[0])) == formats.WIDEST


def test_a_mistyped_cache_is_refused_and_not_made(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(study, 'forget.probability = "<= 1"')
    for command in (["check", str(study)], ["report", str(study)], ["verify", "report.html", str(study)]):
        assert run([*command, "--cache", str(tmp_path / "cahce")]) == 2
        assert "--cache: there is no folder" in capsys.readouterr().err
    assert not (tmp_path / "cahce").exists()


def test_a_study_of_which_nothing_is_evaluated_is_told_so(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(study, 'forget.probability = "<= 1"')
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "fresh"))
    assert run(["check", str(study)]) == 2
    error = capsys.readouterr().err
    assert "is evaluated" in error and "unlearnboard evaluate" in error


def test_a_name_in_other_case_gets_the_right_one(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(study, 'forget.probability = "<= 1"')
    assert run(["check", str(study), "--model", "npo 10"]) == 2
    assert "Did you mean 'NPO 10'" in capsys.readouterr().err


@pytest.mark.demo
@pytest.mark.parametrize(
    ("modality", "best", "worse"), [("text", "NPO 45", "WGA 30"), ("image", "UCE 100", "UCE 60")]
)
def test_the_demos_best_models_keep_their_contract(modality: str, best: str, worse: str) -> None:
    path = str(PACK / modality / "study.toml")
    assert run(["check", path, "--model", best]) == 0
    assert run(["check", path, "--model", worse]) == 1


@pytest.mark.demo
def test_checking_loads_no_torch_and_takes_no_time() -> None:
    assert run(["check", str(PACK / "text" / "study.toml"), "--model", "NPO 45"]) == 0  # the cache is filled
    code = (
        "import sys, time; from app.cli.main import run\n"
        f"assert run(['check', {str(PACK / 'text' / 'study.toml')!r}]) == 1\n"
        "assert not {'torch', 'transformers', 'streamlit', 'plotly'} & set(sys.modules)\n"
        "print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert float(done.stdout.splitlines()[-1]) < 9  # 1.3 s on an idle machine
