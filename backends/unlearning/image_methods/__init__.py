"""The unlearning methods for image models, one file a paper; this table lists them.

Each file has the method's paper and equation, its loss as a pure function, its settings and what it needs, in the form
of a person's own file. e is the edited denoiser, e0 the frozen original, c a prompt with the concept to forget, '' the
empty prompt, x_t a noised picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.unlearning.image_method import ImageMethod
from backends.unlearning.image_methods import (
    adv_text,
    concept_ablation,
    erase_diff,
    esd,
    grad_ascent,
    salun,
    selective_amnesia,
    uce,
)

METHODS: Mapping[str, ImageMethod] = MappingProxyType(
    {
        each.name: each
        for each in (
            esd.METHOD,
            esd.ESD_U,
            esd.ESD_STRICT,
            uce.METHOD,
            salun.METHOD,
            concept_ablation.METHOD,
            selective_amnesia.METHOD,
            erase_diff.METHOD,
            grad_ascent.METHOD,
            adv_text.METHOD,
        )
    }
)
"""By name, in the order they are shown."""
