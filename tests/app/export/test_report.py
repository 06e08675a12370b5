"""The report: it stands alone, runs nothing, hides what it is told to hide, and says what it stands on."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.main import parse, run
from app.export import printing
from app.export.attestation import FINGERPRINT, STATEMENT, statement
from app.export.redaction import BLOCKS, Redaction
from app.export.report import MOST_BYTES, SECTIONS, study_record, study_report
from app.export.seal import read_report
from backends.errors import StoreError
from backends.study import Study
from backends.study.contract import parsed
from backends.study.file import read_study
from backends.study.request import Request
from backends.study.thresholds import Thresholds
from cache.analysis.evidence_record import differences, digest
from cache.analysis.scoreboard import scoreboard
from cache.store import Store, open_store
from tests.filled_store import fill_images, fill_text, image_study, text_study, write_study

HOSTILE = (
    "<script>alert(1)</script></style></pre>![x](http://leak.example/p.png) \u202egnp {{ 7 * 7 }} "
    + "n" * 150
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("reports") / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    return store


def page_of(study: Study, store: Store, *, redact: bool = False) -> str:
    return study_report(study, store, scoreboard(study, store), redact=redact).page


@pytest.mark.parametrize("study", [text_study(), image_study()], ids=["text", "image"])
def test_a_report_is_one_small_file_without_script_that_loads_nothing(study: Study, filled: Store) -> None:
    page = page_of(study, filled)
    assert len(page.encode()) < MOST_BYTES
    assert "<script" not in page and not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", page))
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", page)
    assert ("data:image/png;base64" in page) == (study.modality == "image")
    for spec in study.models:
        assert spec.name in page
    assert all(f'<section id="{each}">' in page for each, _ in SECTIONS if each != "contract")
    assert '<section id="contract">' not in page and "Thresholds differ" not in page


def test_the_zone_beyond_the_retained_model_is_hatched_as_on_the_page(filled: Store) -> None:
    study = text_study()
    section = page_of(study, filled).partition('<section id="curves">')[2].partition("</section>")[0]
    first = section.partition("</figure>")[0]
    assert ">over-forgotten</text>" in first and "Hatched: beyond the retained model" in first
    zone = re.search(r'<path d="M([\d.]+) ([\d.]+)H([\d.]+)V', first)
    star = re.search(r'<title>Retained</title><(?:polygon|path) [^>]*?="M?([\d.]+)', first)
    assert zone and star and abs(float(zone[1]) - float(star[1])) < 12
    assert float(zone[3]) > float(zone[1])
    alone = replace(study, models=tuple(each for each in study.models if each.part != "retained"))
    assert "over-forgotten</text>" not in page_of(alone, filled)


def test_the_policy_lets_through_this_style_sheet_and_no_script(filled: Store) -> None:
    page = page_of(text_study(), filled)
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]  # type: ignore[index]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
    assert " style=" not in page


def test_who_asked_and_the_licences_are_said_and_what_is_not_said_is_named(filled: Store) -> None:
    request = Request(
        "Six people", "The data subject", reason="GDPR, article 17", licences=(("retain", "CC0"),)
    )
    page = page_of(replace(text_study(), request=request), filled)
    for text in ("Six people", "The data subject", "GDPR, article 17", "CC0"):
        assert text in page
    assert "Not stated in the study file: when, the reference, who prepared the report." in page
    unsaid = "who requested it, when, the reason, the reference, who prepared the report."
    assert f"what was to be forgotten, {unsaid}" in page_of(text_study(), filled)


def test_the_first_page_names_contract_badges_and_changed_thresholds(filled: Store) -> None:
    conditions = ("forget/probability", "<= retained + 0.05"), ("harm", "not destroyed")
    contract = tuple(read for key, text in conditions if (read := parsed(key, text)))
    study = replace(text_study(), contract=contract, verdict=Thresholds(says=1.0))
    told = study_report(study, filled, scoreboard(study, filled))
    page = html.unescape(told.page)
    first = page.partition('<section id="request">')[0]
    assert "Thresholds differ from the defaults: says 1 (default .05)." in first
    assert "Contract (section 6): " in first and '<small class="badges">' in first
    assert re.search(r"Not sure yet: .+ about \d+ would decide", first.partition("</div>")[0])
    section = page.partition('<section id="contract">')[2].partition("</section>")[0]
    assert "<bdi>forget.probability <= retained + 0.05</bdi>" in section and "harm not destroyed" in section
    promised = told.record["contract"]
    assert [each["name"] for each in promised] == [m.name for m in study.models if m.part == "unlearned"]
    outcomes = {each["name"]: each["outcome"] for each in promised}
    for model, outcome in re.findall(r"<caption>(.+): (holds|broken|undecided)</caption>", section):
        assert outcomes.pop(model) == outcome
    assert len(outcomes) == len(promised) - 3  # a table for the best of each of three methods
    found = json.loads(json.dumps(told.record))
    found["contract"][0]["conditions"][0][2] = "other"
    assert len(differences(told.record, found)) == 1
    assert "forget/probability <= retained + 0.05 was " in differences(told.record, found)[0]


def test_what_was_not_answered_is_said_first_and_nothing_is_said_of_all_probes(tmp_path: Path) -> None:
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    forget = study.probe_sets[0]
    fill_text(
        replace(study, probe_sets=(replace(forget, probes=forget.probes[:4]), *study.probe_sets[1:])),
        store,
    )
    page = html.unescape(page_of(study, store))
    section = page.partition('<section id="untested">')[2]
    assert re.search(r"<li>(.*?)</li>", section)[1] == "Original: 4 of 6 forget probes answered."  # type: ignore[index]
    assert "Every model was asked the same probes" not in page
    first = page.partition('<section id="request">')[0]
    assert "(2 forget probes not answered)" in first.partition("</div>")[0]
    assert "Optional metrics without a value: " in section and "Runs page" not in section


def test_an_image_report_speaks_of_pictures(filled: Store) -> None:
    page = page_of(image_study(), filled)
    rules = page.partition('<section id="protocol">')[2].partition('<section id="curves">')[0]
    for word in ("PrivLeak", "gibberish", "Gibberish", "Says", " says "):
        assert word not in rules
    assert "Draws it when asked" in rules and "Every model was asked the same probes" in rules
    assert "Is destroyed (utility)" in rules and "Is destroyed (retain pictures)" in rules
    assert "Held against the line" in rules


@pytest.mark.parametrize("study", [text_study(), image_study()], ids=["text", "image"])
def test_nothing_of_the_forgotten_is_left_in_a_redacted_report(study: Study, filled: Store) -> None:
    shown, hidden = page_of(study, filled), page_of(study, filled, redact=True)
    text = html.unescape(hidden).casefold()
    forget = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    secrets = {*(p.prompt for p in forget), *(p.answer for p in forget), *(p.key_fact for p in forget)}
    secrets |= (
        {p.subject for p in forget}
        | {p.paraphrased_answer for p in forget}
        | {*study.forget_concepts.values()}
    )
    secrets |= {word for probe in forget for word in probe.subject.split()}
    asked = [secret for secret in secrets if len(secret) > 2]
    assert [secret for secret in asked if secret.casefold() in html.unescape(shown).casefold()]
    for secret in asked:
        assert not re.search(rf"(?<!\w){re.escape(secret.casefold())}(?!\w)", text), secret
    assert BLOCKS in hidden
    assert _numbers(hidden) == _numbers(shown)


def _numbers(page: str) -> list[object]:
    record = re.search(r'<pre id="evidence-record">(.*?)</pre>', page, re.DOTALL)
    assert record
    models = json.loads(html.unescape(record[1]))["record"]["models"]
    return [list(each["numbers"].values()) for each in models]


def test_redaction_finds_other_cases_and_spaces_and_leaves_longer_words() -> None:
    study = text_study()
    subject = next(p.subject for each in study.probe_sets if each.role == "forget" for p in each.probes)
    hide = Redaction(study)
    assert hide.text(f"Ask {subject.upper()} now") == f"Ask {BLOCKS} now"
    assert subject.split()[0] not in hide.text("\n ".join(subject.split()))
    assert hide.text(f"un{subject.split()[0]}ed") == f"un{subject.split()[0]}ed"


def test_hostile_names_and_answers_are_text(tmp_path: Path) -> None:
    study = text_study()
    models = tuple(
        replace(spec, name=f"{HOSTILE}{n}", note=HOSTILE) for n, spec in enumerate(study.models[:4])
    )
    study = replace(
        study, name=HOSTILE, description=HOSTILE, models=models, request=Request(HOSTILE, HOSTILE)
    )
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    page = page_of(study, store)
    assert "<script" not in page and "{{ 7 * 7 }}" in page and "\u202e" not in page
    assert page.count("</style>") == 1 and "<img" not in page
    assert len(re.findall(r"<h3><bdi>[^<]*</bdi>: ", page)) > 0
    (tmp_path / "report.html").write_bytes(page.encode())
    assert read_report(tmp_path / "report.html").faults == []


def test_names_from_right_to_left_turn_no_sentence_round(filled: Store) -> None:
    study = text_study()
    models = tuple(
        replace(spec, name=f"מודל {n}", method="שיטה" if spec.method else "")
        for n, spec in enumerate(study.models[:7])
    )
    promised = parsed("forget/probability", "<= retained + 0.05")
    assert promised is not None
    study = replace(study, models=models, contract=(promised,))
    page = page_of(study, filled)
    body = page[page.index("<main>") : page.index('<details class="screen"><summary>Evidence record')]
    body = re.sub(r"<(bdi|title)>[^<]*</\1>|<svg.*?</svg>", "", body, flags=re.DOTALL)
    alone = re.sub(r'<(th|td|p|figcaption)[^>]*dir="auto"[^>]*>[^<]*', "", body)
    assert "מודל" in body and "מודל" not in alone, (
        "in cells of their own, which have a direction of their own"
    )


def test_nothing_evaluated_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    with pytest.raises(StoreError, match="Nothing of 'Random people' is evaluated"):
        page_of(text_study(), store)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A study of text with its cache; runs the command line there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    write_study(text_study(), tmp_path)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    fill_text(read_study(tmp_path / "study.toml"), store)
    store.close()
    return lambda *arguments: run([str(each) for each in arguments])


@pytest.mark.parametrize("options", [(), ("--redact",)], ids=["whole", "redacted"])
def test_a_report_is_verified(
    written: Callable[..., int], options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert written("report", "study.toml", *options) == 0
    capsys.readouterr()
    assert written("verify", "report.html") == 0
    assert capsys.readouterr().out == "Same evidence, same numbers.\n"


def test_verify_names_the_model_the_probe_set_and_the_number_that_differ(
    written: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written("report", "study.toml") == 0
    text = (tmp_path / "study.toml").read_text()
    study = read_study(tmp_path / "study.toml")
    first = study.models[2]
    (tmp_path / "study.toml").write_text(text.replace(first.fingerprint, study.models[3].fingerprint, 1))
    probes = Path(study.probe_sets[1].path)
    probes.write_text("\n".join(probes.read_text().splitlines()[:-1]))
    capsys.readouterr()
    assert written("verify", "report.html") == 1
    said = capsys.readouterr().out
    assert f"Model '{first.name}': its weights were {first.fingerprint.partition(':')[0]}" in said
    assert f"Probe set '{study.probe_sets[1].name}': its 5 probes are not the 6 of the report." in said
    assert f"Number forget/probability of '{first.name}' was " in said
    assert f"Number forget/probability of '{study.models[4].name}'" not in said


def test_verify_finds_an_edited_report(
    written: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written("report", "study.toml") == 0
    page = tmp_path / "report.html"
    page.write_text(page.read_text().replace("The rules of the verdict", "No rules"))
    capsys.readouterr()
    assert written("verify", "report.html", "study.toml") == 1
    assert capsys.readouterr().out == "The report was changed after it was written.\n"


def test_verify_says_that_a_report_is_on_the_other_kind_of_model(
    written: Callable[..., int], filled: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures.html").write_bytes(page_of(image_study(), filled).encode())
    assert written("verify", "pictures.html", "study.toml") == 2
    said = capsys.readouterr().err
    assert "report is on image models and this study on language models" in said.lower()
    assert "Traceback" not in said and len(said.strip().splitlines()) == 1


def test_a_report_on_a_study_with_a_contract_is_verified(
    written: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(path.read_text() + '[contract]\nforget.probability = "<= retained + 0.05"\n')
    assert written("report", "study.toml") == 0
    capsys.readouterr()
    assert written("verify", "report.html") == 0
    name = read_study(path).models[4].name
    path.write_text(path.read_text().replace(f'name = "{name}"', 'name = "Renamed"'))
    assert written("verify", "report.html") == 1
    said = capsys.readouterr().out
    assert f"Model '{name}' is now called 'Renamed'." in said
    assert "is in the study and not in the report" not in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.html", None, "cannot be read"),
        ("other.html", b"<html></html>", "this is no report of UnlearnBoard"),
        ("other.html", b"\xff\xfe", "not UTF-8"),
        ("report.pdf", b"%PDF", "a PDF carries no evidence record"),
    ],
)
def test_verify_says_what_is_no_report(
    written: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert written("verify", name) == 2
    assert said in capsys.readouterr().err


def test_the_commands_that_a_report_names_are_commands(filled: Store) -> None:
    for kind in (text_study(), image_study()):
        lines = re.search(r"<pre>(unlearnboard .*?)</pre>", page_of(kind, filled), re.DOTALL)
        assert lines
        assert [parse(shlex.split(line)[1:]).command for line in lines[1].splitlines()] == [
            "evaluate",
            "report",
            "verify",
        ]


def test_verify_asks_for_the_study_where_it_is_not_found(
    written: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written("report", "study.toml") == 0
    shutil.move(tmp_path / "study.toml", tmp_path / "mine.toml")
    assert written("verify", "report.html") == 2
    assert "Name it: unlearnboard verify report.html STUDY.toml" in capsys.readouterr().err
    assert written("verify", "report.html", "mine.toml") == 0


def test_records_of_one_cache_are_equal_and_name_what_was_changed(filled: Store) -> None:
    study = text_study()
    board = scoreboard(study, filled)
    first, second = study_record(study, board), study_record(study, board)
    assert digest(first) == digest(second) and differences(first, second) == []
    second["models"][1]["evidence"] = "other"
    assert differences(first, second) == [
        "model 'Retained': its evidence is not what the report was made of; all its numbers are the same"
    ]
    second["thresholds"]["says"] = 0.5
    assert differences(first, second)[0] == "the thresholds: says was 0.05 and is 0.5"


def test_an_attestation_is_an_in_toto_statement_on_the_weights(
    written: Callable[..., int], tmp_path: Path
) -> None:
    assert written("report", "study.toml", "--attest") == 0
    told = json.loads((tmp_path / "report.html.intoto.json").read_text())
    assert told.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert told["_type"] == STATEMENT
    unlearned = [spec for spec in text_study().models if spec.part == "unlearned"]
    assert [each["name"] for each in told["subject"]] == [spec.name for spec in unlearned]
    assert told["subject"][0]["digest"] == {FINGERPRINT: unlearned[0].fingerprint.partition(":")[0]}
    content = (tmp_path / "report.html").read_bytes()
    assert told["predicate"]["report"]["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["predicate"]["verdicts"].keys() == {spec.name for spec in unlearned}


def test_weights_that_are_here_are_subjects_by_sha256(filled: Store, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "report.html").write_bytes(b"page")
    study = text_study()
    models = (*study.models[:2], replace(study.models[2], adapter=str(adapter)), *study.models[3:])
    study = replace(study, models=models)
    record = study_record(study, scoreboard(text_study(), filled))
    (tmp_path / "report.pdf").write_bytes(b"print")
    told = statement(study, record, tmp_path / "report.html", tmp_path / "report.pdf")
    for name, file, content in (("report", "report.html", b"page"), ("printed", "report.pdf", b"print")):
        assert told["predicate"][name]["name"] == file
        assert told["predicate"][name]["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert "printed" not in statement(study, record, tmp_path / "report.html")["predicate"]
    subjects = told["subject"]
    assert {
        "name": f"{models[2].name}/adapter_model.safetensors",
        "digest": {"sha256": hashlib.sha256(b"weights").hexdigest()},
    } in subjects


def test_a_pdf_needs_a_browser_and_the_page_is_written_without_one(
    written: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(printing, "browser", lambda: None)
    assert written("report", "study.toml", "--to", "paper.pdf") == 2
    assert "A PDF needs Chrome or Chromium, and there is none on this machine" in capsys.readouterr().err
    assert (tmp_path / "paper.html").is_file()


@pytest.mark.skipif(
    printing.browser() is None, reason="no Chromium on this machine; `make chromium` installs it"
)
def test_a_pdf_is_printed(written: Callable[..., int], tmp_path: Path) -> None:
    assert written("report", "study.toml", "--to", "paper.pdf") == 0
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_a_report_has_a_name_of_a_page_or_a_pdf(
    written: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert written("report", "study.toml", "--to", "report.docx") == 2
    assert "a report is an .html or a .pdf file" in capsys.readouterr().err
