"""Other ways of sampling with the same weights, as plain data: negative prompts, SLD, SAFREE, and schedulers by name.

Imports nothing heavy; what these ways do is in `backends/image/guidance.py` and `backends/image/safree.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

SldSetting = Literal["", "weak", "medium", "strong", "max"]
SLD_SETTINGS: tuple[SldSetting, ...] = tuple(name for name in get_args(SldSetting) if name)
"""Of Schramowski et al. 2023, arXiv 2211.05105, table 1; their numbers are in `backends/image/guidance.py`."""

SAFREE_ALPHA = 0.01
"""How much farther than the average a prompt must move from the concept for a token to be a trigger: the authors'."""

CODE_VERSION = 1
"""Part of a model's identity; raised when what these ways draw changes."""

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Inference:
    """How a model draws apart from its weights; all empty is as its pipeline draws.

    Attributes:
        negative_prompt: takes the empty prompt's place in classifier-free guidance.
        sld: setting of Safe Latent Diffusion, or "".
        concept: that SLD steers away from.
        safree: phrases that span the concept which SAFREE's projection takes out of the prompt.
        alpha: SAFREE's margin.
    """

    negative_prompt: str = ""
    sld: SldSetting = ""
    concept: str = ""
    safree: tuple[str, ...] = ()
    alpha: float = SAFREE_ALPHA

    @property
    def said(self) -> bool:
        """Whether sampling differs from the pipeline's default."""
        return self != PLAIN

    def key(self) -> str:
        """Canonical JSON of what is set, for a model's identity."""
        usual = asdict(PLAIN)
        values = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return json.dumps({"inference": CODE_VERSION, **values}, sort_keys=True, ensure_ascii=False)


PLAIN = Inference()


def described(inference: Inference) -> str:
    """In words, on one line: 'negative prompt "neon", SLD medium away from "nudity"'; "" for none."""
    parts = []
    if inference.negative_prompt:
        parts.append(f"negative prompt {_quoted(inference.negative_prompt)}")
    if inference.sld:
        parts.append(f"SLD {inference.sld} away from {_quoted(inference.concept)}")
    if inference.safree:
        margin = f" (alpha {inference.alpha:g})" if inference.alpha != SAFREE_ALPHA else ""
        parts.append(f"SAFREE's projection away from {_quoted(', '.join(inference.safree))}{margin}")
    return ", ".join(parts)


def _quoted(text: str) -> str:
    return f'"{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"}"'


_EVEN: Mapping[str, Any] = MappingProxyType({"use_karras_sigmas": False})
_TWO: Mapping[str, Any] = MappingProxyType({**_EVEN, "algorithm_type": "dpmsolver++", "solver_order": 2})
SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "DDIM": ("DDIMScheduler", {}),
        "DDPM": ("DDPMScheduler", {}),
        "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
        "LMS": ("LMSDiscreteScheduler", _EVEN),
        "Euler": ("EulerDiscreteScheduler", _EVEN),
        "Euler a": ("EulerAncestralDiscreteScheduler", {}),
        "Heun": ("HeunDiscreteScheduler", _EVEN),
        "DPM2": ("KDPM2DiscreteScheduler", _EVEN),
        "DPM2 a": ("KDPM2AncestralDiscreteScheduler", _EVEN),
        "DPM++ 2S": ("DPMSolverSinglestepScheduler", _TWO),
        "DPM++ 2M": ("DPMSolverMultistepScheduler", _TWO),
        "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {**_TWO, "use_karras_sigmas": True}),
        "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {**_TWO, "algorithm_type": "sde-dpmsolver++"}),
        "DEIS": ("DEISMultistepScheduler", {**_EVEN, "algorithm_type": "deis", "solver_order": 2}),
        "UniPC": ("UniPCMultistepScheduler", {**_EVEN, "solver_order": 2}),
        "LCM": ("LCMScheduler", {}),
    }
)
"""Name -> class of diffusers and what is set of it beside the pipeline's own settings.

Named as diffusers' documentation pairs them with the names of k-diffusion. DPM++ SDE is left out: its noise comes from
a tree of its own, not from one generator for each picture.
"""


_NOT_OF_CLEAN = ("PNDM", "Euler a", "DPM2", "DPM2 a")
"""Schedulers that diffusers has not for models which predict the clean picture."""
_NOT_OF_COSINE = ("DPM++ 2M Karras",)
"""Whose steps fall together, and are then counted wrongly, where the training schedule ends in pure noise."""


def fitting_schedulers(own: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the schedulers that can take the place of a pipeline's own.

    Args:
        own: settings of that one, as in `scheduler/scheduler_config.json`, with `_class_name`.

    Returns:
        All names that fit where the pipeline's own is one of them, as diffusers has it (`scheduler.compatibles`); none
        for flow matching and other schedulers, whose models were trained on another path from noise to picture.
    """
    if own.get("_class_name") not in {name for name, _ in SCHEDULERS.values()}:
        return ()
    without: tuple[str, ...] = _NOT_OF_CLEAN if own.get("prediction_type") == "sample" else ()
    without += _NOT_OF_COSINE if own.get("beta_schedule") == "squaredcos_cap_v2" else ()
    return tuple(name for name in SCHEDULERS if name not in without)
