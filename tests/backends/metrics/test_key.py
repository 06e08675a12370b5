"""A key is written and read without loss, and says what stands behind it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.metrics import METRICS
from backends.metrics.foreign import FOREIGN
from backends.metrics.key import Kind, MetricKey
from backends.study import ROLES

roles = st.sampled_from([*ROLES, "all"])
known = st.sampled_from([*METRICS, *FOREIGN])
others = st.text(min_size=1).filter(lambda name: "@" not in name).map(lambda name: f"higher:{name}")


@given(roles, known | others, st.text(), st.sampled_from(get_args(Kind)))
def test_reading_is_the_inverse_of_writing(role: str, metric: str, part: str, kind: Kind) -> None:
    key = MetricKey(role, metric, part, kind)
    assert MetricKey.parse(str(key)) == key
    assert str(key) == f"{role}/{key.name}"


@given(roles, st.text(min_size=1))
def test_no_string_is_changed_by_reading_it(role: str, name: str) -> None:
    text = f"{role}/{name}"
    if not name.endswith("@") or "@" in name[:-1]:  # a part without a name is none
        assert str(MetricKey.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("forget/probability", MetricKey("forget", "probability")),
        ("utility/rouge_l@world facts", MetricKey("utility", "rouge_l", "world facts")),
        ("all/lm_eval:wmdp/bio:acc", MetricKey("all", "lm_eval:wmdp/bio:acc")),
        ("retain/higher:F1: Q/A", MetricKey("retain", "higher:F1: Q/A")),
        ("forget/rouge_l@a@b/c", MetricKey("forget", "rouge_l", "a@b/c")),
        ("forget/score:mia_loss", MetricKey("forget", "mia_loss", kind="score")),
        ("retain/whole:kid_clip", MetricKey("retain", "kid_clip", kind="whole")),
        ("x", MetricKey("x", "")),
        ("", MetricKey("", "")),
    ],
)
def test_the_forms_of_a_key(text: str, key: MetricKey) -> None:
    assert MetricKey.parse(text) == key and str(key) == text


def test_a_part_is_of_an_undivided_metric() -> None:
    key = MetricKey.parse("utility/rouge_l@world facts")
    assert str(key.undivided) == "utility/rouge_l" and key.name == "rouge_l@world facts"
    assert key.undivided.undivided == key.undivided
