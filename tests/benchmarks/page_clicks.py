"""What a person waits for: milliseconds from a click to a page that is still, in a real browser; the server's work.

    python -m tests.benchmarks.page_clicks [--only demo|made] [--models 50] [--probes 1417] [--times 5] [--folder DIR]

Each row is the median of some clicks that each do something new, on pages that were open before. Settled is when the
last change of the page's main part is drawn and the script has ended; a change that comes later than `QUIET_MS` after
the one before counts as another thing. What stands inside a canvas is not counted: browsers do not draw it, and tables
keep a copy of their cells for screen readers there, a fifth of a second after they have drawn them. Server is CPU
seconds of its process, browser those of the page's own process. Faded says for how many milliseconds anything that is
seen was grey, moved how far the layout jumped (the browser's own layout-shift score: 0.1 is called good), and rebuilt
whether another chart stands there than before. The browser and the server share this machine, so other work on it
shows in the milliseconds; the CPU seconds are steadier.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.benchmarks.made_study import WHOLE
from tests.benchmarks.pages import _made
from tests.browser.conftest import chromium, own_cache, running
from tests.browser.steps import wait_ready

QUIET_MS = 250
SETTLE_MS = 60_000
METRICS = tuple(
    f"forget · {name}"
    for name in ("Truth ratio", "Exact memorisation", "ROUGE-L recall", "Extraction strength")
)
PRESETS = ("Forgotten vs utility", "Forgotten vs neighbours", "Memorised vs private")
_WATCH = """
window.clicks = {start: 0, last: 0, moved: 0, faded: 0, on: false, ran: false, chart: null};
const clicks = window.clicks;
new PerformanceObserver(list => {
    if (clicks.on) for (const entry of list.getEntries()) clicks.moved += entry.value;
}).observe({type: "layout-shift", buffered: false});
const note = () => { if (clicks.on) clicks.last = performance.now(); };
const watch = () => new MutationObserver(changes => {
    const main = document.querySelector("[data-testid='stMain']");
    if (document.querySelector("[data-test-script-state='running']")) clicks.ran = true;
    const drawn = node => main?.contains(node) && !(node.closest ? node : node.parentElement)?.closest("canvas");
    if (changes.some(({target}) => drawn(target) || target.matches?.("[data-testid='stApp']"))) note();
}).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
document.body ? watch() : addEventListener("DOMContentLoaded", watch);
let before = performance.now();
const frame = now => {
    if (clicks.on) {
        const grey = [...document.querySelectorAll("[data-testid='stMain'] [data-stale='true']")]
            .some(each => each.checkVisibility() && Number(getComputedStyle(each).opacity) < 0.95);
        if (grey) clicks.faded += now - before;
    }
    before = now;
    requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
addEventListener("pointerdown", () => { if (clicks.armed) begin(); }, true);
addEventListener("keydown", ({key}) => { if (clicks.armed && key === "Enter") begin(); }, true);
const begin = () => {
    Object.assign(clicks, {start: performance.now(), last: performance.now(), on: true, armed: false});
};
"""
_ARM = """() => Object.assign(window.clicks, {
    armed: true, on: false, ran: false, moved: 0, faded: 0, chart: document.querySelector(".js-plotly-plot"),
})"""
_DONE = """quiet => {
    const app = document.querySelector("[data-testid='stApp']");
    const still = app?.dataset.testScriptState === "notRunning"
        && !document.querySelector("[data-testid='stMain'] [data-stale='true'], [data-testid='stSkeleton']");
    const seen = window.clicks.ran || performance.now() - window.clicks.start > 1500;  // a run may be too short to see
    return window.clicks.on && seen && still && performance.now() - window.clicks.last > quiet;
}"""
_READ = """() => {
    const {start, last, moved, faded, chart} = window.clicks;
    const now = document.querySelector(".js-plotly-plot");
    return [last - start, moved, faded, chart && now && chart !== now ? 1 : 0];
}"""


@dataclass(frozen=True, slots=True)
class Click:
    """One click: milliseconds until the page was still, CPU seconds of both sides, and what was seen meanwhile."""

    settled: float
    server: float
    browser: float
    moved: float
    faded: float
    rebuilt: float


class Watched:
    """A page of a running dashboard whose clicks are timed."""

    def __init__(self, page: Page, url: str, pid: int, processes: CDPSession) -> None:
        self.page, self._url, self._pid, self._processes = page, url, pid, processes
        self.clicks: dict[str, list[Click]] = {}

    def go(self, path: str) -> None:
        """Load a page anew, which is not timed."""
        self.page.goto(f"{self._url}/{path}")
        wait_ready(self.page)
        self.page.wait_for_timeout(1500)

    def timed(self, row: str, act: Callable[[], None]) -> None:
        """Do something whose first press of a button of the mouse, or of Enter, starts the clock."""
        self.page.evaluate(_ARM)
        before = self._cpu_seconds()
        act()
        self.page.wait_for_function(_DONE, arg=QUIET_MS, timeout=SETTLE_MS, polling=50)
        server, browser = (now - then for now, then in zip(self._cpu_seconds(), before, strict=True))
        settled, moved, faded, rebuilt = self.page.evaluate(_READ)
        self.clicks.setdefault(row, []).append(Click(settled, server, browser, moved, faded, rebuilt))
        self.page.wait_for_timeout(700)

    def _cpu_seconds(self) -> tuple[float, float]:
        known = self._processes.send("SystemInfo.getProcessInfo")["processInfo"]
        drawing = sum(each["cpuTime"] for each in known if each["type"] == "renderer")
        return _cpu_seconds(self._pid), drawing


def _cpu_seconds(pid: int) -> float:
    """Of the process and all its threads, so far."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def click_through(seen: Watched, times: int) -> None:
    """Everything that the table has a row for."""
    page = seen.page
    for path in ("examples", "tradeoffs", "compare"):
        seen.go(path)
    for turn in range(times):
        seen.timed("Next on Compare", page.get_by_role("button", name="Next").click)
        views = ("Diff to original", "Diff to reference", "Leak heat map", "Answers")
        seen.timed("change the view", page.get_by_role("radio", name=views[turn % len(views)]).click)
        model = page.locator(".picker .step").nth(turn)
        seen.timed("tick a model", model.click)
    for turn in range(times):
        seen.timed("open Trade-offs", page.get_by_role("link", name="Trade-offs").click)
        seen.timed("click a point", partial(_click_point, page, turn))
        seen.timed("change an axis", partial(_choose, page, "Vertical axis", METRICS[turn % len(METRICS)]))
        seen.timed("a preset", partial(_choose, page, "Question", PRESETS[turn % len(PRESETS)]))
        seen.timed("open Examples", page.get_by_role("link", name="Examples").click)
        box = page.get_by_placeholder("Regular expression")
        box.fill("aeiou"[turn % 5])
        seen.timed("filter", partial(box.press, "Enter"))
        box.fill("")
        box.press("Enter")
        wait_ready(page)


def _click_point(page: Page, number: int) -> None:
    """Click a checkpoint where it is drawn."""
    spot = page.locator(".js-plotly-plot").first.evaluate(
        """(plot, number) => {
            const list = values => [...(values._inputArray ?? values)];
            const points = plot.data.filter(trace => trace.customdata)
                .flatMap(trace => list(trace.x).map((x, place) => [x, list(trace.y)[place]]));
            const [x, y] = points[(number * 5 + 2) % points.length];
            const {xaxis, yaxis} = plot._fullLayout;
            const box = plot.getBoundingClientRect();
            return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
        }""",
        number,
    )
    page.mouse.move(*spot)
    page.wait_for_timeout(150)  # the hover label
    page.mouse.click(*spot)


def _choose(page: Page, label: str, option: str) -> None:
    """Another option of a list, by its name: the clock starts with the Enter that takes it."""
    box = page.get_by_role("combobox", name=label)
    page.evaluate("() => { window.clicks.armed = false; }")
    box.click()
    box.fill(option)
    page.get_by_role("option", name=option).first.wait_for()
    page.evaluate("() => { window.clicks.armed = true; }")
    box.press("Enter")


def measured(cache: Path, study_file: Path | None, times: int) -> dict[str, Click]:
    """Row -> medians, of a study in a file, or of the demo."""
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium on this machine; `make chromium` installs it")
    arguments = [] if study_file is None else [str(study_file)]
    with running(cache, *arguments) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.add_init_script(_WATCH)
        seen = Watched(page, server.url, server.process.pid, browser.new_browser_cdp_session())
        click_through(seen, times)
        browser.close()
    return {row: _medians(clicks) for row, clicks in seen.clicks.items()}


def _medians(clicks: list[Click]) -> Click:
    return Click(
        *(statistics.median(getattr(each, field.name) for each in clicks) for field in fields(Click))
    )


def main() -> None:
    """Print the tables."""
    told = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(told.folder or name).resolve()
        if told.only != "made":
            _print("demo", measured(_demo_cache(folder / "demo"), None, told.times))
        if told.only != "demo":
            cache = folder / f"{told.models}x{told.probes}"
            file = _made(cache, told.models, told.probes)
            _print(f"{told.models} models x {told.probes:,} probes", measured(cache, file, told.times))


def _demo_cache(folder: Path) -> Path:
    return folder if folder.is_dir() else own_cache(folder)


def _print(name: str, rows: dict[str, Click]) -> None:
    print(
        f"{name:24}{'settled ms':>12}{'server s':>10}{'browser s':>11}{'moved':>8}{'faded ms':>10}{'rebuilt':>9}"
    )
    for row, click in rows.items():
        numbers = f"{click.settled:12.0f}{click.server:10.2f}{click.browser:11.2f}{click.moved:8.3f}"
        print(f"{row:24}{numbers}{click.faded:10.0f}{'yes' if click.rebuilt else 'no':>9}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("demo", "made"), default="")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--probes", type=int, default=WHOLE)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--folder", default="", help="where made caches are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
