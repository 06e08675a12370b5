"""The judges of an image study and how accurate they are on real pictures: no metric is better than its judge."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from app.looks.safe_text import visible
from app.shared import state
from app.shared.resources import store
from backends.image.judges.accuracy import JudgeAccuracy
from backends.study import JudgeSpec
from cache.store.judge_checks import judge_accuracy

UNTESTED = "not tested: name a folder of real pictures in `real`"


def judge_panel() -> None:
    """A table of the judges; nothing in a study without."""
    judges = state.study().judges
    if not judges:
        return
    st.header("Judges", anchor=False)
    st.dataframe(
        pd.DataFrame([_row(spec, judge_accuracy(store(), spec)) for spec in judges]),
        hide_index=True,
        key=f"judges_{state.study_name()}",
        column_config={
            "Accuracy": st.column_config.NumberColumn(
                format="%.1f %%", help="Share of real pictures that the judge classifies correctly"
            ),
            "95 % interval": st.column_config.TextColumn(
                help="Exact binomial interval (Clopper and Pearson)"
            ),
            "Rejected": st.column_config.NumberColumn(
                help="Real pictures in which the judge recognised nothing"
            ),
        },
    )


def judges_summary() -> str:
    """What to know of the judges beside their judgements, or "" where none was tested."""
    said = []
    for spec in state.study().judges:
        accuracy = judge_accuracy(store(), spec)
        if accuracy is not None:
            said.append(
                f"{visible(spec.domain)} right on {accuracy.accuracy:.0%} of {accuracy.n} real pictures "
                f"({accuracy.low:.0%} to {accuracy.high:.0%})"
            )
    return "Judges: " + "; ".join(said) + "." if said else ""


def _row(spec: JudgeSpec, accuracy: JudgeAccuracy | None) -> dict[str, object]:
    weak = [item for item in accuracy.per_class.items() if item[1][1] < item[1][0]] if accuracy else []
    worst = min(weak, key=lambda item: item[1][1] / item[1][0], default=None)
    return {
        "Domain": visible(spec.domain),
        "Judge": visible(Path(spec.path).name),
        "Accuracy": 100 * accuracy.accuracy if accuracy else None,
        "95 % interval": f"{accuracy.low:.0%} to {accuracy.high:.0%}" if accuracy else UNTESTED,
        "Real pictures": accuracy.n if accuracy else None,
        "Rejected": accuracy.rejected if accuracy else None,
        "Weakest class": visible(f"{worst[0]}: {worst[1][1]} of {worst[1][0]}") if worst else "",
        "Threshold": f"{spec.threshold:g}" if spec.threshold else "none",
    }
