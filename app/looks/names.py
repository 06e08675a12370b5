"""What models and roles of probes are called on every page and in exports."""

from __future__ import annotations

from backends.study import ModelSpec
from backends.study.inference import described
from backends.study.targets import target_name

PART_NAMES = {"original": "Original", "retained": "Retained", "unlearned": "Unlearned"}
ROLE_NAMES = {
    "forget": "Forget",
    "neighbour": "Neighbour",
    "retain": "Retain",
    "utility": "Utility",
    "holdout": "Holdout",
    "mine": "Mine",
}
STANDARD = "corrected"
"""The protocol that people are shown as "standard": ours, with the known faults of the others put right."""


def protocol_words(name: str) -> str:
    """What a protocol is called for people; addresses, files and commands keep its own name."""
    return "standard" if name == STANDARD else name


def protocol_with_key(name: str) -> str:
    """The same where its name in files matters too: "standard (corrected)"."""
    return f"{protocol_words(name)} ({name})" if name == STANDARD else name


def detail_of(spec: ModelSpec) -> str:
    """Part, method and step of a model in a few words, without repeating its name."""
    method = spec.method if spec.method and not spec.name.startswith(spec.method) else ""
    step = f"step {spec.step}" if spec.step is not None and not spec.name.endswith(f" {spec.step}") else ""
    part = PART_NAMES[spec.part] if spec.part != "unlearned" or not (method or step) else ""
    part = "" if part == spec.name else part
    target = target_name(dict(spec.forget))
    words = [word for word in (part, method, step, f"forgets {target}" if target else "") if word]
    words += [described(spec.inference)] if spec.inference.said else []
    words += ["learned tokens"] if spec.embeddings else []
    roles = {"original": "the baseline", "retained": "never saw the forget set"}
    return " · ".join(words) or roles.get(spec.part, "")
