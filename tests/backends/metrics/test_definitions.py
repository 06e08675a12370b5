"""A definition that gives other numbers has another version, or caches would go on showing the old ones."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from backends.metrics import METRICS
from tests.definitions import ROWS, VALUES, Recorded, complaint, complaints, definitions, recorded


def test_every_version_stands_for_the_code_behind_it() -> None:
    assert not (said := complaints(definitions(), recorded())), said


def test_every_metric_and_the_shared_versions_are_recorded() -> None:
    assert set(recorded()) == {*METRICS, VALUES, ROWS}


def edited(module: str, old: str, new: str) -> set[str]:
    """Which definitions an edit of a module changes."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old} is not in {module} once"
    after = definitions({module: source.replace(old, new)})
    return {key for key, before in as_it_is().items() if before != after[key]}


@cache
def as_it_is() -> dict[str, Recorded]:
    return definitions()


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        (  # a function of its own
            "backends.metrics.choice",
            "right = math.exp(true)",
            "right = 2 * math.exp(true)",
            {"choice_probability"},
        ),
        (  # a property of the evidence that calls a function
            "backends.evidence",
            'object.__setattr__(self, "_mean_logprob", mean_logprob(self.logprobs))',
            'object.__setattr__(self, "_mean_logprob", 2 * mean_logprob(self.logprobs))',
            {"probability", "paraphrased_probability", "loss", "mia_loss", "mia_zlib"},
        ),
        (  # a constant that rules read, in a module that two metrics share with none
            "backends.metrics.outcome",
            "SAME_ANSWER = 0.6",
            "SAME_ANSWER = 0.7",
            {"refusal_rate", "gibberish_rate"},
        ),
        (  # a helper of a helper, behind a closure and a cache
            "backends.metrics.rouge",
            "self.length - row.bit_count()",
            "len(words) - row.bit_count()",
            {"rouge_l", "rouge_l_f1", "rouge_1", "refusal_rate", "gibberish_rate"},
        ),
        (  # a property of the evidence
            "backends.evidence",
            "self.argmax_ids == self.token_ids",
            "self.ranks == 0",
            {"exact_memorization", "extraction_strength"},
        ),
        (  # another protocol's way, which is a lambda that a function was made with
            "backends.metrics.muse",
            "_rouge(lambda scores: scores.one.recall)",
            "_rouge(lambda scores: scores.one.f1)",
            {"rouge_1"},
        ),
        (
            "backends.metrics.privacy",
            "MIN_K_SHARE = 0.4",
            "MIN_K_SHARE = 0.2",
            {"mia_min_k", "mia_min_k_plus_plus"},
        ),
        (
            "backends.metrics.networks",
            "100 * max(float(left @ right) / norm, 0.0)",
            "max(float(left @ right) / norm, 0.0)",
            {"clip_score"},
        ),
        (  # distances between sets of pictures
            "backends.metrics.real_distributions",
            "SUBSET_SIZE = 1000",
            "SUBSET_SIZE = 100",
            {"kid_real_clip", "kid_real_inception", "kid_subsets_clip", "kid_subsets_inception"},
        ),
        ("cache.analysis.set_distances", "KID_RESAMPLES = 200", "KID_RESAMPLES = 100", {VALUES}),
        ("backends.metrics.study_level", "    unsure = 1.0 / (1.0", "    unsure = 2.0 / (1.0", {ROWS}),
        ("backends.metrics.retained_privacy", "* 100.0", "* 10.0", {ROWS}),
        ("backends.metrics.denoising", "(model - original)", "(original - model)", {ROWS}),
        ("cache.analysis.resampling", "RESAMPLES = 1000", "RESAMPLES = 2000", {ROWS}),
    ],
)
def test_a_change_of_code_changes_those_definitions_that_use_it(
    module: str, old: str, new: str, changed: set[str]
) -> None:
    affected = edited(module, old, new)
    assert changed <= affected  # and metrics that came later, where they use it too
    assert len(affected - changed) < 5, "the change reaches metrics that do not use it"


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("backends.metrics.outcome", '"""No words, a sign over and over', '"""A sign over and over'),
        ("backends.metrics.outcome", '"""ROUGE-L recall from which', '"""Recall from which'),
        ("backends.metrics.outcome", "# both rates ask", "# the rates ask"),
        ("backends.metrics.memorisation", 'title="Exact memorisation"', 'title="Memorised tokens"'),
        (
            "backends.metrics.image_quality",
            "def degenerate(pixels: Pixels) -> str:",
            "def degenerate(pixels) -> str:",
        ),
    ],
    ids=["docstring", "docstring of a constant", "comment", "card", "type"],
)
def test_words_and_types_change_no_definition(module: str, old: str, new: str) -> None:
    assert not edited(module, old, new)


def test_another_role_on_a_card_changes_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = as_it_is()
    card = replace(METRICS["unlearn_accuracy"].card, roles=frozenset({"forget", "retain"}))
    changed = replace(METRICS["unlearn_accuracy"], card=card)
    monkeypatch.setattr("tests.definitions.METRICS", {**METRICS, "unlearn_accuracy": changed})
    now = definitions()
    assert {key for key in before if now[key] != before[key]} == {"unlearn_accuracy"}


def test_what_is_to_be_done_is_said_in_one_sentence() -> None:
    one = Recorded(1, "as it was")
    assert complaint("rouge_l", one, one) == ""
    assert "raise" in complaint("rouge_l", Recorded(1, "otherwise"), one)
    assert "--same rouge_l" in complaint("rouge_l", Recorded(1, "otherwise"), one)
    assert "kept_values.py" in complaint(ROWS, Recorded(1, "otherwise"), one)
    assert "was raised" in complaint("rouge_l", Recorded(2, "otherwise"), one)
    assert "fell from 2 to 1" in complaint("rouge_l", one, Recorded(2, "as it was"))
    assert "is a draft" in complaint("mine", Recorded(0, "as it is"), None)
    assert "new" in complaint("mine", one, None) and "gone" in complaint("mine", None, one)
