"""The rows of the Examples page: which probes are shown, in which order, with which columns; and the downloads.

Pure functions over `cache.examples`; the page does the drawing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.looks.safe_text import visible
from backends.errors import StudyError
from backends.study import Role
from cache.analysis.examples import LEAST_CHANGE, Examples
from cache.exporters.tables import to_csv

ORDERS = ("change", "worst", "best", "file")
NOT_WRITTEN = "(not written)"
"""In the place of an answer that no model wrote: of a holdout probe, or of one that is not evaluated."""
LONGEST_PATTERN = 500
"""Characters of a search; the time it takes grows with this times the text that is searched, and no faster."""
COLUMNS = {
    "answer": "Answers",
    "picture": "Pictures",
    "outcome": "Outcomes",
    "value": "Values",
    "change": "Changes",
    "distance": "Distances to retained",
}


def order_names(retained: str) -> dict[str, str]:
    """What each of ORDERS is called where models are compared by their distance to a retained model, or without one."""
    worst, best = (
        ("Farther from retained first", "Closer to retained first")
        if retained
        else ("Most worsened first", "Most improved first")
    )
    names = ("Largest change first", worst, best, "As in the study")
    return dict(zip(ORDERS, names, strict=True))


@dataclass(frozen=True, slots=True)
class ExampleFilter:
    """What a person wants to see.

    Attributes:
        find: regular expression (RE2) in prompts, references and answers, case ignored; "" for all.
        outcomes: only probes where one of the models beside the original has one of these; none for all.
        subject: only probes about it; "" for all.
        tag: only probes with it; "" for all.
        different: only probes on which a model does something else than the original.
        order: one of ORDERS.
    """

    find: str = ""
    outcomes: frozenset[str] = frozenset()
    subject: str = ""
    tag: str = ""
    different: bool = False
    order: str = "change"


def chosen_rows(shown: Examples, choice: ExampleFilter) -> pd.Index[str]:
    """Ids of the probes to be shown, in order.

    Raises:
        StudyError: the search is no regular expression, or one that is not searched for.
    """
    probes, others = shown.probes, shown.changes.columns.drop(shown.original, errors="ignore")
    keep = pd.Series(True, index=probes.index)
    if choice.find:
        texts = [probes["prompt"], probes["reference"], *(shown.answers[name] for name in shown.answers)]
        keep &= np.any([_contains(text, choice.find) for text in texts], axis=0)
    if choice.outcomes and len(shown.outcomes.columns):
        ours = shown.outcomes[[name for name in others if name in shown.outcomes]]
        keep &= ours.isin(choice.outcomes).any(axis=1)
    if choice.subject:
        keep &= probes["subject"] == choice.subject
    if choice.tag:
        keep &= probes["tags"].map(lambda tags: choice.tag in tags)
    if choice.different:
        keep &= _differs(shown, others)
    moved = shown.changes[others]
    ranks = {
        "change": -moved.abs().max(axis=1),
        "worst": shown.gains[shown.compared].min(axis=1),
        "best": -shown.gains[shown.compared].max(axis=1),
    }
    rank = ranks.get(choice.order, pd.Series(0.0, index=probes.index))
    return rank[keep].sort_values(kind="stable", na_position="last").index


def _contains(texts: pd.Series[str], find: str) -> NDArray[np.bool_]:
    """Which texts the expression is found in, shape (rows,).

    Arrow searches with RE2, in time linear in the text whatever the expression: both come from outside, and Python's
    own `re` takes years over `(a+)+$` on the wrong answer.
    """
    if len(find) > LONGEST_PATTERN:
        raise StudyError(
            f"a search of {len(find):,} characters is too long",
            where=f"{find[:60]} …",
            how=f"Search for at most {LONGEST_PATTERN}",
        )
    try:
        found = pc.match_substring_regex(pa.array(texts.tolist(), pa.string()), find, ignore_case=True)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ").partition(":")[0]
        raise StudyError(
            f"this is not a regular expression that can be searched for ({reason})",
            where=find[:60],
            how="Put a backslash before special characters that are meant literally, such as \\( and \\?; "
            "look-around, back-references and counts above 1,000 are not offered",
        ) from error
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def _differs(shown: Examples, others: Collection[str]) -> pd.Series[bool]:
    names = list(others)
    differs = (shown.changes[names].abs() >= LEAST_CHANGE).any(axis=1)
    if shown.original in shown.answers:
        base = shown.answers[shown.original]
        texts = [name for name in names if name in shown.answers]
        differs |= shown.answers[texts].ne(base, axis=0).any(axis=1)
    return differs


def outcome_names(role: Role | str) -> dict[str, str]:
    """What the outcomes are called on a role: to state the truth is a leak only where it should be gone."""
    true = "leak" if role == "forget" else "true answer"
    return {"true": true, "refusal": "refusal", "gibberish": "gibberish", "other": "other"}


def table(
    shown: Examples,
    rows: Sequence[str],
    columns: Collection[str],
    role: str,
    pictures: Mapping[str, Sequence[str | None]] | None = None,
) -> pd.DataFrame:
    """The rows for the screen, with text made safe to look at; columns are (model or "", what) pairs.

    Args:
        shown: all examples.
        rows: ids of the probes.
        columns: some of COLUMNS.
        role: of the probes.
        pictures: model -> address of a picture or None, one a row.
    """
    names = outcome_names(role)
    index = pd.Index(rows, dtype=object)
    places = shown.probes.index.get_indexer(index)

    def words(frame: pd.DataFrame, name: str) -> list[str]:
        return [visible(text) for text in frame[name].to_numpy(object)[places]]

    parts: dict[tuple[str, str], Sequence[str | None] | NDArray[np.float64]] = {
        ("", "prompt"): words(shown.probes, "prompt"),
        ("", "reference"): words(shown.probes, "reference"),
    }
    for model in shown.values.columns:
        if pictures and model in pictures:
            parts[model, "picture"] = pictures[model]
        if "answer" in columns and model in shown.answers:
            # An answer that was written has an outcome, even an empty one.
            written = (shown.answers[model].ne("") | shown.outcomes[model].ne("")).to_numpy(bool)[places]
            answers = zip(words(shown.answers, model), written, strict=True)
            parts[model, "answer"] = [text if known else NOT_WRITTEN for text, known in answers]
        if "outcome" in columns and model in shown.outcomes:
            kinds = shown.outcomes[model].to_numpy(object)[places]
            parts[model, "outcome"] = [names.get(kind, "") for kind in kinds]
        if "value" in columns:
            parts[model, "value"] = shown.values[model].to_numpy(float)[places]
        if "change" in columns and model != shown.original:
            parts[model, "change"] = shown.changes[model].to_numpy(float)[places]
        if "distance" in columns and shown.retained not in ("", model):
            parts[model, "distance"] = shown.distances[model].to_numpy(float)[places]
    return pd.DataFrame(parts, index=index)


def as_csv(shown: Examples, rows: Sequence[str], metric: str, protocol: str = "") -> str:
    """Everything known of these rows; text that a spreadsheet would run as a formula has a ' before it."""
    return to_csv(pd.DataFrame(_records(shown, rows, metric, protocol)))


def as_jsonl(shown: Examples, rows: Sequence[str], metric: str, protocol: str = "") -> str:
    """Everything known of these rows, text exactly as it is; NaN is null."""
    return "".join(
        json.dumps(
            {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()},
            ensure_ascii=False,
        )
        + "\n"
        for row in _records(shown, rows, metric, protocol)
    )


def _records(shown: Examples, rows: Sequence[str], metric: str, protocol: str) -> list[dict[str, object]]:
    flat = shown.probes.loc[rows].copy()
    if protocol:
        flat["protocol"] = protocol
    flat["tags"] = flat["tags"].map(", ".join)
    for model in shown.values.columns:
        if model in shown.answers:
            flat[f"{model}: answer"] = shown.answers.loc[rows, model]
            flat[f"{model}: outcome"] = shown.outcomes.loc[rows, model]
        flat[f"{model}: {metric}"] = shown.values.loc[rows, model]
        if shown.retained not in ("", model):
            flat[f"{model}: distance to {shown.retained}"] = shown.distances.loc[rows, model]
    return [{str(name): value for name, value in row.items()} for row in flat.to_dict("records")]
