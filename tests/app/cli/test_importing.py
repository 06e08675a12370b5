"""What a person sees of imported runs: in the terminal, on the Runs page, on Trade-offs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.io.formats.style import Styler

from app.charts.points import p_value, p_value_text, p_values_shown, short_p_value
from app.cli.main import run
from cache.importers import import_results
from cache.importers.imported_runs import reference
from cache.store import open_store
from tests.filled_store import fill_text, text_study, write_study
from tests.foreign_more import MODEL, tofu_eval, write_eval

COLLECTION = f"TOFU forget10 · {MODEL}"
RETAINED = f"tofu_{MODEL}_retain90"


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """A retained model with two checkpoints and two runs, of which one has no forget quality."""
    folder = tmp_path / "saves"
    random = np.random.default_rng(0)
    for step, centre in ((30, -2.0), (60, -0.4)):
        held = np.exp(random.normal(centre, 0.4, 40)).tolist()
        write_eval(folder / "finetune" / RETAINED / f"checkpoint-{step}" / "evals", tofu_eval(held))
    unlearned = tofu_eval(np.exp(random.normal(-0.4, 0.4, 40)).tolist(), forget_Q_A_Prob=0.2)
    write_eval(folder / "unlearn" / f"tofu_{MODEL}_forget10_NPO" / "evals", unlearned)
    write_eval(
        folder / "unlearn" / f"tofu_{MODEL}_forget10_RMU" / "evals",
        {"forget_Q_A_Prob": 0.3},
        "TOFU_SUMMARY.json",
    )
    return folder


def test_the_terminal_says_the_reference_and_takes_another(
    saves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    cache = ["--cache", str(tmp_path / "cache")]
    assert run(["import", str(saves), *cache]) == 0
    said = capsys.readouterr().out
    assert f"measured against {RETAINED} step 60 (the last step of the retained run)" in said
    assert run(["import", "--reference", COLLECTION, f"{RETAINED} step 30", *cache]) == 0
    assert f"against {RETAINED} step 30 (chosen)" in capsys.readouterr().out
    assert run(["import", "--list", *cache]) == 0
    assert f"forget quality against {RETAINED} step 30 (chosen)" in capsys.readouterr().out
    assert run(["import", "--reference", COLLECTION, "another", *cache]) == 2
    assert f"'{RETAINED} step 60'" in capsys.readouterr().err
    assert run(["import", "--reference", COLLECTION, "", *cache]) == 0
    assert "step 60" in capsys.readouterr().out
    assert run(["import", str(saves), "--json", *cache]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("measured against" in note for note in notes)


PAGES = """
import json, sys
from streamlit.testing.v1 import AppTest
collection, retained = sys.argv[1:]
app = AppTest.from_file("app/frame/main.py", default_timeout=120).run()
app.switch_page("../pages/tradeoffs/page.py").run()
app.session_state["layer"] = ["this study", collection]
app.session_state["mix"] = True
app.session_state["x"] = "forget/probability"
app.session_state["y"] = "forget/forget_quality"
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
captions = " ".join(each.value for each in app.caption)
assert "runs are not plotted" in captions and "1 has no Forget quality" in captions, captions
assert any(each.label.startswith("Notes on") for each in app.expander)
assert any("measured against " + retained + " step 60" in each.value for each in app.text)
app.switch_page("../pages/runs/page.py").run()
(choice,) = (each for each in app.selectbox if each.label.startswith("Retained run"))
assert choice.value == "" and "step 60" in choice.options[0], choice.options
choice.select_index(1).run()
assert not app.exception and not app.error, (app.exception, app.error)
"""


def test_the_pages_count_runs_without_a_value_show_notes_and_change_the_reference(
    saves: Path, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(text_study(), store)
    import_results(store, [saves])
    assert reference(store, COLLECTION).run is not None
    store.close()
    own = {
        "UNLEARNBOARD_CACHE": str(tmp_path),
        "UNLEARNBOARD_STUDIES": json.dumps([str(write_study(text_study(), tmp_path))]),
    }
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", PAGES, COLLECTION, RETAINED]
    subprocess.run(command, check=True, timeout=240, cwd=root, env=os.environ | own)
    chosen = reference(open_store(tmp_path / "evidence.sqlite"), COLLECTION)
    assert chosen.chosen and chosen.run is not None and chosen.run.step == 30


def test_a_p_value_below_what_is_shown_is_said_to_be_below_it() -> None:
    assert [short_p_value(value) for value in (0.684, 0.001, 0.0004, 0.0)] == [
        "0.684",
        "0.001",
        "< 0.001",
        "< 0.001",
    ]
    assert [p_value_text(value) for value in (0.02, 1e-9)] == ["= 0.02", "< 0.001"]
    assert [p_value(value) for value in (3.1e-12, 0.0)] == ["3.1e-12", "< 1e-300"]


def test_p_values_in_a_table_stay_numbers() -> None:
    table = pd.DataFrame({"Run": ["a", "b"], "Forget quality": [1e-20, 0.5], "Utility": [0.1, 0.2]})
    shown = p_values_shown(table, ["Forget quality"])
    assert isinstance(shown, Styler)
    assert "&lt; 0.001" in shown.to_html(escape="html") or "< 0.001" in shown.to_html()
    assert shown.data["Forget quality"].tolist() == [1e-20, 0.5]
    assert p_values_shown(table, []) is table
