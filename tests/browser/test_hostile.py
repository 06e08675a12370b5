"""A model, a probe file and a study that try to become markup, to reach the network or to turn the page around."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backends.evidence import ANSWER, Answer, TextEvidence, TokenScores
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from cache.store import open_store
from cache.store.keys import answers_context, scores_context
from cache.store.reading import identity_to_read
from tests.browser.conftest import Dashboard, running, window
from tests.browser.steps import screenshot, wait_ready
from tests.filled_store import _random, _run, token_scores

MARKUP = "<img src=x onerror=\"window.broken='img'\"><script>window.broken='script'</script><b>bold</b>"
MARKDOWN = "![leak](http://leak.example/p.png) [click](javascript:window.broken='link') **strong** # head"
LATEX = r"$\frac{1}{2}$ $$\sum_i x_i$$ :material/bolt: :red[red] :smile:"
TURNED = "left \u202eright\u202c \u2067שלום\u2069 \u200b\x00\x07\x1b[31mred"
HOSTILE = (MARKUP, MARKDOWN, LATEX, TURNED)
NAMES = ("Original", "<b>NPO</b> :red[6]", "![x](http://leak.example/m.png)")


def write_hostile_study(folder: Path) -> Path:
    """A replay-only study: every text that a person or a model can supply is hostile."""
    rows = [
        {
            "id": f"<i>{n}</i>",
            "question": text,
            "answer": text.replace("\0", ""),
            "subject": text,
            "tags": [text],
        }
        for n, text in enumerate(text.replace("\0", "") for text in HOSTILE)
    ]
    probes = folder / "forget.jsonl"
    probes.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    specs = [
        ModelSpec(
            name, "unlearned" if n else "original", "package:nowhere/none", step=n, fingerprint=f"{n:032}:0"
        )
        for n, name in enumerate(NAMES)
    ]
    placeholder = ProbeSet("<u>set</u>", "forget", (), str(probes))
    study = Study(
        name="<h1>Study</h1> $x$",
        modality="text",
        models=tuple(replace(spec, method=spec.name, note=MARKDOWN) for spec in specs),
        probe_sets=(placeholder,),
        decoding=Decoding(max_new_tokens=32),
        description=MARKUP + MARKDOWN,
    )
    write_study(study, folder / "study.toml")
    return folder / "study.toml"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("hostile")
    path = write_hostile_study(folder)
    _record(path, folder / "cache")
    with running(folder / "cache", str(path)) as server:
        yield server


def _record(path: Path, cache: Path) -> None:
    """Recorded answers and scores of every model on every probe, all of them hostile."""
    study = read_study(path)
    cache.mkdir()
    store = open_store(cache / "evidence.sqlite")
    for spec in study.models:
        known = identity_to_read(spec)
        scores = store.register(scores_context(known.fingerprint, known.tokenizer, "float32"))
        answers = store.register(
            answers_context(known.fingerprint, known.tokenizer, study.decoding, 0, "float32")
        )
        for probe_set in study.probe_sets:
            for n, probe in enumerate(probe_set.probes):
                store.put_text(scores, [(probe.digest(), TextEvidence(_hostile_scores(spec, probe)))])
                answer = Answer(HOSTILE[n], 8, "stop", 0, 0.1)
                store.put_text(answers, [(probe.digest(), TextEvidence({}, (answer,)))])
            store.put_run(_run(study, spec, probe_set))


def _hostile_scores(spec: ModelSpec, probe: Probe) -> dict[str, TokenScores]:
    return {ANSWER: token_scores(probe.answer, 0.5, _random(spec.name, probe.id), alternatives=3)}


@pytest.mark.parametrize("view", ["answers", "diff_original", "diff_reference", "leak"])
def test_no_view_of_an_answer_turns_text_into_markup(browser: Browser, hostile: Dashboard, view: str) -> None:
    with window(browser, "light") as page:
        for number, text in enumerate(HOSTILE):
            page.goto(f"{hostile.url}/?probe=<i>{number}</i>&view={view}")
            wait_ready(page)
            _nothing_came_alive(page)
            if view == "answers":
                said = "שלום" if text == TURNED else text.split(" ")[0][:20]
                expect(page.get_by_text(said).first).to_be_attached()
        screenshot(page, f"hostile-{view}")


@pytest.mark.parametrize("path", ["", "tradeoffs", "examples", "examples?find=(&tag=%3Cb%3E", "runs"])
def test_no_other_page_turns_names_into_markup(browser: Browser, hostile: Dashboard, path: str) -> None:
    with window(browser, "light") as page:
        page.goto(f"{hostile.url}/{path}")
        wait_ready(page)
        page.wait_for_timeout(1500)  # charts and tables are drawn after the script has ended
        _nothing_came_alive(page)
        screenshot(page, f"hostile-{path.partition('?')[0] or 'overview'}")


def _nothing_came_alive(page: Page) -> None:
    assert page.evaluate("window.broken") is None
    everywhere = """selector => {
        const found = [];
        const visit = root => {
            found.push(...root.querySelectorAll(selector));
            root.querySelectorAll('*').forEach(node => node.shadowRoot && visit(node.shadowRoot));
        };
        visit(document);
        return found.map(node => node.outerHTML.slice(0, 120));
    }"""
    for selector in (
        "img[src*='leak']",
        "img[onerror]",
        "a[href^='javascript']",
        "a[href*='//leak']",
        ".katex",
    ):
        assert not page.evaluate(everywhere, selector), selector
