"""The report in a browser: from a file, with its own style, without a script; on a phone, on paper, hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, expect

from app.export.report import study_report
from backends.study import request
from backends.study.file import read_study
from cache.analysis.scoreboard import scoreboard
from cache.store import open_store
from tests.browser.conftest import window
from tests.browser.steps import screenshot
from tests.browser.test_hostile import HOSTILE, MARKUP, _record, write_hostile_study
from tests.filled_store import fill_images, fill_text, image_study, text_study

LONG = "A model with a name that never ends " + "x" * 160
CLOSING = "</style></pre></svg></title><script>window.broken='closed'</script>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a study whose every text tries to become markup."""
    folder = tmp_path_factory.mktemp("hostile-report")
    path = write_hostile_study(folder)
    _record(path, folder / "cache")
    study = replace(read_study(path), request=request.Request(CLOSING + MARKUP, *HOSTILE, CLOSING))
    store = open_store(folder / "cache" / "evidence.sqlite")
    report = folder / "report.html"
    report.write_bytes(study_report(study, store, scoreboard(study, store)).page.encode())
    return report


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports on the made studies, one of whose models has a long name."""
    folder = tmp_path_factory.mktemp("reports")
    store = open_store(folder / "evidence.sqlite")
    text = text_study()
    models = (*text.models[:2], replace(text.models[2], name=LONG), *text.models[3:])
    studies = {"text": replace(text, models=models), "image": image_study()}
    fill_text(studies["text"], store)
    fill_images(studies["image"], store)
    for name, study in studies.items():
        page = study_report(study, store, scoreboard(study, store)).page
        (folder / f"{name}.html").write_bytes(page.encode())
    return {name: folder / f"{name}.html" for name in studies}


@pytest.fixture
def watched(browser: Browser) -> Iterator[Page]:
    """A window in which a dialog, a refused script or style, or anything that is loaded fails the test."""
    said: list[str] = []
    with window(browser, "light", 1280) as page:

        def refuse(dialog: Dialog) -> None:
            said.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def note(asked: Request) -> None:
            if not asked.is_navigation_request():
                said.append(asked.url[:80])

        page.on("dialog", refuse)
        page.on("console", lambda message: said.append(message.text))
        page.on("request", note)
        yield page
        assert not [each for each in said if not each.startswith("data:image/")]


def test_hostile_text_stays_text(watched: Page, hostile: Path) -> None:
    watched.goto(hostile.as_uri())
    expect(watched.get_by_role("heading", level=1)).to_contain_text("<h1>Study</h1>")
    expect(watched.get_by_text("window.broken='closed'").first).to_be_visible()
    assert watched.evaluate("window.broken") is None
    for selector in (
        "script",
        "img",
        "b",
        "[onerror]",
        "a[href^='javascript']",
        "a[href*='leak']",
        "[style]",
    ):
        expect(watched.locator(selector)).to_have_count(0)
    screenshot(watched, "report-hostile")


def test_a_script_that_got_in_would_not_run(browser: Browser, hostile: Path, tmp_path: Path) -> None:
    """The policy is the second lock: the first is that nothing gets in."""
    script = "<script>document.title = 'ran'</script><style>h1 { font-size: 3px }</style></main>"
    broken = tmp_path / "broken.html"
    broken.write_text(hostile.read_text().replace("</main>", script))
    with window(browser, "light") as page:
        page.goto(broken.as_uri())
        assert page.title().startswith("Unlearning report")
        assert page.locator("h1").evaluate("heading => getComputedStyle(heading).fontSize") != "3px"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_report_reads_well_on_a_phone_and_a_desk(
    browser: Browser, plain: dict[str, Path], kind: str, width: int
) -> None:
    with window(browser, "light", width) as page:
        page.goto(plain[kind].as_uri())
        assert page.locator("body").evaluate("body => getComputedStyle(body).maxWidth") == "900px"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => +each.tagName[1])")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        expect(page.get_by_role("img").first).to_be_visible()
        rows = page.locator(".verdicts tbody tr").first.locator("th, td")
        boxes = [each.bounding_box() for each in rows.all()]
        assert len(boxes) == 3 and all(boxes)
        tops = [round(box["y"]) for box in boxes if box]
        assert len(set(tops)) == (
            3 if width == 390 else 1
        )  # on a phone the cells of a model stand below one another
        short = page.locator("#data thead th.short bdi")
        heights = [box["height"] for each in short.all() if (box := each.bounding_box())]
        assert heights and max(heights) < 24  # "Probes" is not broken
        screenshot(page, f"report-{kind}")


def test_on_paper_nothing_is_cut_and_what_is_for_the_screen_is_left_out(
    browser: Browser, plain: dict[str, Path]
) -> None:
    with window(browser, "light", 680) as page:  # as wide as A4 within its margins
        page.emulate_media(media="print")
        page.goto(plain["text"].as_uri())
        expect(page.get_by_role("navigation")).to_be_hidden()
        expect(page.locator("#evidence-record")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        screenshot(page, "report-paper")
