"""What the ladder does not show: attacks that are left out and what they need, and those that wait for evidence."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.looks.safe_text import literal, visible
from app.shared.attack_jobs import untrained
from app.shared.ladders import Found
from backends.attacks import ATTACKS
from cache.analysis.robustness.trials import NOT_TRAINED, LeftOut


def waiting_line(found: Found, names: Sequence[str]) -> None:
    """Attacks that can be tried and that nobody tried yet, by name."""
    titles = [
        found.ladder.attacks[key].title
        for key, lacking in found.ladder.waiting.items()
        if set(names) <= set(lacking)
    ]
    titles += [ATTACKS[key].card.title for key in untrained(found.trials) if key in ATTACKS]
    if titles:
        st.caption(literal(f"Not tried yet on these models: {', '.join(titles)}."))


def left_out_list(found: Found, names: Sequence[str]) -> None:
    """Attacks by name with what they need."""
    missing = [
        each
        for each in found.trials.left_out
        if each.why != NOT_TRAINED and (not each.model or each.model in names)
    ]
    if not missing:
        return
    count = len({each.attack for each in missing})
    label = f"{count} attack{'s are' if count > 1 else ' is'} left out"
    with st.expander(literal(label), icon=":material/rule:"):
        st.text(visible("\n".join(left_out_line(each) for each in missing)))


def left_out_line(each: LeftOut) -> str:
    """One of them in a line, an attack of the user's own by its key."""
    title = ATTACKS[each.attack].card.title if each.attack in ATTACKS else each.attack
    return f"{title}{f' of {each.model}' if each.model else ''}: {each.why}."
