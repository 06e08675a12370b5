"""Models that are made of another one without training: rounded, pruned, read off early, set against the original.

How a touch is written, what it is called, what can be touched. What it does to weights and logits is in
`backends.text.touching` and `backends.image.touching`. Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from backends.errors import CheckpointError, StudyError
from backends.files.disk import kept, write_whole
from backends.files.places import cache_folder
from backends.study.inference import PLAIN
from backends.study.study import Modality, ModelSpec, Probe, Turns

Kind = Literal["round", "prune", "exit", "project", "contrast", "amplify", "sham", "begun"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WITH_ORIGINAL: frozenset[Kind] = frozenset({"project", "contrast", "amplify", "sham", "begun"})
"""Touches that need the original beside the model."""
OF_PICTURES: frozenset[Kind] = frozenset({"round", "prune", "sham", "begun"})
"""Touches of image models."""
OF_A_LAYER: frozenset[Kind] = frozenset({"exit", "project"})
BOUNDS: dict[Kind, tuple[float, float]] = {
    "round": (2, 8),
    "prune": (0, 99),
    "exit": (1, 10_000),
    "project": (1, 10_000),
    "contrast": (0, 100),
    "amplify": (-100, 100),
    "sham": (0, 2**31),
    "begun": (0, 1000),
}
EXAMPLES = 'Write for instance "round:4", "prune:30", "exit:12", "exit:50%" or "contrast:2"'
_WRITTEN = re.compile(r"([a-z]+):(-?\d+(?:\.\d+)?)(%?)(?::([0-9a-f]{32}))?")


@dataclass(frozen=True, slots=True)
class Touch:
    """One way to touch a model.

    Attributes:
        kind: what is done.
        value: bits, per cent of the weights, layer (from 1), weight w or a, or seed.
        relative: a layer is per cent of all layers.
        prompts: digest of the prompts that a direction is measured on, see `keep_prompts`; "" where there are none.
    """

    kind: Kind
    value: float
    relative: bool = False
    prompts: str = ""

    @property
    def text(self) -> str:
        """As it stands in `ModelSpec.touch`; equal touches are written alike."""
        of = "%" if self.relative else ""
        return f"{self.kind}:{_number(self.value)}{of}" + (f":{self.prompts}" if self.prompts else "")

    @property
    def needs_original(self) -> bool:
        """Whether it is made with the original beside the model."""
        return self.kind in WITH_ORIGINAL

    @property
    def changes_weights(self) -> bool:
        """Whether the touched model has weights of its own."""
        return self.kind in ("round", "sham") or (self.kind == "prune" and self.value > 0)

    def layer(self, count: int) -> int:
        """The layer, from 1, of a model with so many; never less than the first."""
        return max(1, math.floor(self.value * count / 100 + 0.5)) if self.relative else int(self.value)

    def title(self, layers: int = 0) -> str:
        """In plain words; `layers`: how many the model has, where that is known."""
        value = _number(self.value).replace("-", "−")
        of = f" of {layers}" if layers and not self.relative else ""
        at = f"{value} % of the layers" if self.relative else f"layer {value}{of}"
        return {
            "round": f"{value}-bit rounding",
            "prune": f"{value} % of weights pruned",
            "exit": f"early exit after {at}",
            "project": f"difference direction at {at} projected out",
            "contrast": f"contrast with the original, w = {value}",
            "amplify": f"logits amplified against the original, a = {value}",
            "begun": f"first {value} steps drawn by the original",
            "sham": f"original with a random change of the same size, seed {value}",
        }[self.kind]


def parsed(text: str, where: str = "") -> Touch:
    """What `ModelSpec.touch` says.

    Raises:
        StudyError: it says nothing that is known.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or match[1] not in KINDS:
        raise StudyError(
            f"there is no way to touch a model that is called {text!r}", where=where, how=EXAMPLES
        )
    kind: Kind = next(each for each in KINDS if each == match[1])
    value, relative, prompts = float(match[2]), bool(match[3]), match[4] or ""
    least, most = (1, 100) if relative else BOUNDS[kind]
    whole = kind not in ("prune", "contrast", "amplify") and not relative
    if (relative and kind not in OF_A_LAYER) or (prompts and kind != "project"):
        raise StudyError(f"`{text}` is not understood", where=where, how=EXAMPLES)
    if not least <= value <= most or (whole and value != int(value)):
        number = "a whole number" if whole else "a number"
        raise StudyError(f"`{kind}` takes {number} from {least:g} to {most:g}, not {match[2]}", where=where)
    return Touch(kind, value, relative, prompts)


def touched(spec: ModelSpec, original: ModelSpec, touch: str, prompts: Sequence[Probe] = ()) -> ModelSpec:
    """The model that touching this one makes, under a name that says so.

    Its identity follows from that of the model, so where those of both are declared it is declared, too, and what was
    recorded of it can be shown without weights.

    Args:
        spec: the model; the original itself may be touched, too.
        original: of its study.
        touch: see `parsed`.
        prompts: the forget probes, on which "project" measures its direction.

    Raises:
        StudyError: it cannot be touched, in one sentence.
    """
    read = parsed(touch)
    check_touch(spec, read)
    made = completed(replace(spec, touch=read.text), original, prompts)
    return replace(
        made,
        name=f"{spec.name} · {parsed(made.touch).title()}",
        part="unlearned",
        method="",
        step=None,
        note="",
        fingerprint=_declared(spec, original, made.touch),
    )


def completed(spec: ModelSpec, original: ModelSpec, prompts: Sequence[Probe] = ()) -> ModelSpec:
    """A model with a touch, and with what the touch needs: the original's place, the prompts' digest.

    Raises:
        StudyError: the original or the prompts are of no use for this touch.
    """
    touch = parsed(spec.touch, spec.name)
    if not touch.needs_original:
        return replace(spec, touch=touch.text)
    _check_original(spec, original, touch)
    if touch.kind == "project" and not touch.prompts:
        touch = replace(touch, prompts=keep_prompts(prompts, spec.name))
    return replace(spec, touch=touch.text, origin=original.source, origin_adapter=original.adapter or "")


def untouched(spec: ModelSpec) -> ModelSpec:
    """The model that was touched, under the same name; its fingerprint is not declared."""
    plain = replace(spec, touch="", fingerprint="")
    return plain if spec.strength != 1.0 else replace(plain, origin="", origin_adapter="")


def origin_of(spec: ModelSpec) -> ModelSpec:
    """The original that a touch needs, under the same name."""
    return replace(
        spec,
        source=spec.origin,
        adapter=spec.origin_adapter or None,
        weights=None,
        ema=False,
        strength=1.0,
        origin="",
        origin_adapter="",
        inference=PLAIN,
        embeddings=(),
        fingerprint="",
        touch="",
    )


def touched_fingerprint(plain: str, touch: str, origin: str) -> str:
    """Identity of a touched model's weights.

    Args:
        plain: of the model that was touched.
        touch: as it stands in `ModelSpec.touch`.
        origin: of the original; "" where the touch does not need it.
    """
    return hashlib.sha256(json.dumps([plain, touch, origin]).encode()).hexdigest()[:32]


def check_touch(spec: ModelSpec, touch: Touch) -> None:
    """Refuse what cannot be touched, before anything is loaded.

    Raises:
        StudyError: a quantised or touched model, or one that draws pictures in a way of its own.
    """
    if spec.quantization:
        raise StudyError(
            f"a quantised model cannot be touched ({touch.title()})",
            where=spec.name,
            how="Leave its `quantization` out",
        )
    if spec.touch:
        raise StudyError(
            f"it has been touched already ({parsed(spec.touch, spec.name).title()})",
            where=spec.name,
            how="Touch the model that it was made of",
        )
    if spec.samples_differently and touch.kind not in OF_PICTURES:
        raise StudyError(
            f"only language models are touched so ({touch.title()}), and this one draws", where=spec.name
        )


def check_modality(touch: Touch, modality: Modality, where: str) -> None:
    """Refuse a touch of models of the other kind.

    Raises:
        StudyError: image models have no such layer or logits, language models no such steps.
    """
    if (touch.kind not in OF_PICTURES) if modality == "image" else touch.kind == "begun":
        which = "language" if modality == "image" else "image"
        raise StudyError(
            f"only {which} models are touched so ({touch.title()})", where=where, how="Remove it"
        )


def keep_prompts(probes: Sequence[Probe], where: str) -> str:
    """Puts prompts into the cache folder, where `prompts_of` finds them, and returns their digest.

    Raises:
        StudyError: there are none, or they cannot be written.
    """
    asked = [(p.prompt, p.format, [list(turn) for turn in p.turns]) for p in probes if p.prompt.strip()]
    if not asked:
        raise StudyError(
            "the direction is measured on forget prompts, and there are none",
            where=where,
            how='Add a probe set with role = "forget"',
        )
    content = json.dumps(asked, ensure_ascii=False).encode()
    digest = hashlib.sha256(content).hexdigest()[:32]
    file = _prompt_file(digest)
    if not file.exists():
        with kept("the prompts of a direction", file.parent, len(content), StudyError):
            write_whole(file, content)
    return digest


def prompts_of(digest: str, where: str) -> list[tuple[str, str, Turns]]:
    """Prompt, format and earlier turns of every prompt under this digest.

    Raises:
        CheckpointError: they are not here, or are other ones.
    """
    try:
        content = _prompt_file(digest).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest()[:32] != digest:
        raise CheckpointError(
            "the prompts that its direction was measured on are not in this cache",
            where=where,
            how='Write `touch = "project:LAYER"` without what follows, to measure it on the study\'s forget prompts',
        )
    return [
        (prompt, form, tuple((role, text) for role, text in turns))
        for prompt, form, turns in json.loads(content)
    ]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _prompt_file(digest: str) -> Path:
    return cache_folder() / "directions" / f"{digest}.json"


def _declared(spec: ModelSpec, original: ModelSpec, touch: str) -> str:
    """The touched model's identity where those that it follows from are declared, else ""."""
    plain, colon, tokenizer = spec.fingerprint.partition(":")  # image models have no tokenizer of their own
    origin = original.fingerprint.partition(":")[0] if parsed(touch).needs_original else ""
    if not plain or (parsed(touch).needs_original and not origin):
        return ""
    return f"{touched_fingerprint(plain, touch, origin)}{colon}{tokenizer}"


def _check_original(spec: ModelSpec, original: ModelSpec, touch: Touch) -> None:
    why = ""
    if original.quantization:
        why = "the original is quantised"
    elif original.weights or original.touch or original.strength != 1.0 or original.samples_differently:
        why = "the original is itself defined as a change of another model"
    elif (original.subfolder, original.revision) != (spec.subfolder, spec.revision):
        why = "the two are in different subfolders or revisions"
    if why:
        raise StudyError(
            f"this needs the original's weights ({touch.title()}), and {why}",
            where=spec.name,
            how="Name a whole folder for each",
        )
