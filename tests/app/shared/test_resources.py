"""Short names of studies, as they stand in links and in the keys of components."""

from __future__ import annotations

import pytest

from app.shared.resources import _short_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Fictitious people", "fictitious-people"),
        ("my__study", "my-study"),
        ("_x_", "x"),
        ("__", "study"),
        ("a_b", "a_b"),
    ],
)
def test_a_short_name_can_be_part_of_a_components_key(name: str, short: str) -> None:
    assert _short_name(name, taken={}) == short
