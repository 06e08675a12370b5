"""Attacks that make another model of an image model without training it; how: `backends/study/touch.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.attacks.attack import AttackCard, TouchingAttack
from backends.attacks.pictures import RATES, SAYS
from backends.study import ModelSpec, Study
from backends.study.strength import dialled
from backends.study.touch import touched


def _touch(text: str) -> Callable[[ModelSpec, Study], ModelSpec]:
    return lambda spec, study: touched(spec, study.original, text)


def _back(share: float) -> Callable[[ModelSpec, Study], ModelSpec]:
    """A step back toward the original, of which the original itself has nothing to gain."""

    def touch(spec: ModelSpec, study: Study) -> ModelSpec:
        return spec if spec.part == "original" else dialled(study.original, spec, 1 - share)

    return touch


def _touching(
    key: str,
    title: str,
    touch: Callable[[ModelSpec, Study], ModelSpec],
    reading: str,
    source: str,
    **more: Any,
) -> TouchingAttack:
    fields: dict[str, Any] = {
        "family": "touching",
        "access": ("weights",),
        "injects": "nothing",
        "cost": "one load, and one picture for each probe and seed",
        "needs": "the models' weights",
    } | more
    card = AttackCard(
        key=key,
        title=title,
        modality="image",
        reading=reading,
        source=source,
        says=SAYS,
        rates=RATES,
        **fields,
    )
    return TouchingAttack(card, touch)


_WITH_ORIGINAL = {
    "access": ("the original model", "weights"),
    "needs": "the models' weights, and the original's",
}

PICTURES_TOUCHING = (
    *(
        _touching(
            f"picture_begun_{steps}",
            f"First {steps} step{'s' if steps > 1 else ''} by the original",
            _touch(f"begun:{steps}"),
            f"The original draws the first {steps} step{'s' if steps > 1 else ''}, and the model the rest.",
            "completion in When Are Concepts Erased (2025): 0, 1 or 2 of 50 steps",
            family="noise",
            group="Begun by the original",
            strength=steps,
            unit="steps",
            **_WITH_ORIGINAL,
        )
        for steps in (1, 2, 5)
    ),
    *(
        _touching(
            f"picture_round_{bits}",
            f"Rounded to {bits} bits",
            _touch(f"round:{bits}"),
            f"All matrices of the denoiser are rounded to {bits} bits, as for a smaller file.",
            "quantisation (Zhang et al. 2024, arXiv 2410.16454); round to nearest per group of 64 weights of a row or "
            "filter, the first and last layers left out",
            group="Rounded",
            strength=-bits,
            unit="bits",
        )
        for bits in (8, 4)
    ),
    *(
        _touching(
            f"picture_prune_{percent}",
            f"Pruned by {percent} %",
            _touch(f"prune:{percent}"),
            f"The smallest {percent} % of the weights of each matrix of the denoiser are set to 0.",
            "magnitude pruning (Han et al. 2015), one matrix at a time",
            group="Pruned",
            strength=percent,
            unit="% of the weights",
        )
        for percent in (10, 30)
    ),
    *(
        _touching(
            f"picture_back_{percent}",
            f"{percent} % back to the original",
            _back(percent / 100),
            f"{percent} % of the way from the model back to the original, weight by weight.",
            "weight interpolation (Ilharco et al. 2023); needs the very model that was to forget",
            **_WITH_ORIGINAL,
            group="Back to the original",
            strength=percent,
            unit="% of the way",
        )
        for percent in (25, 50)
    ),
)
