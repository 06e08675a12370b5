"""The unlearning methods for language models, one file each; this table lists them.

Each file has the method's paper and equation, its loss as a pure function, its settings and what it needs, in the form
of a person's own file (`docs/unlearning.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_methods import (
    altpo,
    ceu,
    fine_tune,
    grad_ascent,
    grad_diff,
    grad_diff_kl,
    idk_dpo,
    idk_nll,
    npo,
    pdu,
    rmu,
    satimp,
    simnpo,
    task_arithmetic,
    undial,
    wga,
)

FINE_TUNE = fine_tune.METHOD
"""Not an unlearning method; the demo's models are made with it."""

METHODS: Mapping[str, TextMethod] = MappingProxyType(
    {
        each.name: each
        for each in (
            grad_ascent.METHOD,
            grad_diff.METHOD,
            grad_diff_kl.METHOD,
            npo.METHOD,
            simnpo.METHOD,
            idk_nll.METHOD,
            idk_dpo.METHOD,
            altpo.METHOD,
            rmu.METHOD,
            undial.METHOD,
            wga.METHOD,
            satimp.METHOD,
            ceu.METHOD,
            pdu.METHOD,
            task_arithmetic.METHOD,
        )
    }
)
"""By name, in the order they are shown."""
