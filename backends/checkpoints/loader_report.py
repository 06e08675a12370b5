"""What a load really did, and what a model is beside its original, as plain data: which tensors, how far, what else.

A file that does not fit, loaded leniently, shows the original under another name, or numbers of random weights; these
reports are how a person sees that it did not happen. Knows neither torch nor files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backends.errors import CheckpointError

NAMED = 3
"""How many tensors a sentence names before it counts the others."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What reading weights into one module really did; of every loader, whatever it loads.

    Attributes:
        form: what was read, in words: "whole model", "LoRA adapter".
        matched: tensors that found their place.
        missing: tensors of the module that nothing was read into; nothing may be computed with them.
        unexpected: tensors of the file that have no place in the module.
        other_shape: tensors whose shape (or kind of number) is another one in the file, told as "NAME (2 x 3, there
            2 x 4)".
        ignored: tensors of the file that the module makes itself and that are not read: rotary tables, masks.
        wrappers: what was taken away from the names, as "_orig_mod.".
        tied: tensors that are not stored because they are others of the model.
        converted: changes of type, as "BF16 to float32".
        notes: whatever else a person should know of the load, in sentences without a full stop.
    """

    form: str
    matched: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    other_shape: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def remarkable(self) -> tuple[str, ...]:
        """What of it every reader of the numbers should know, in sentences: nothing for a plain load."""
        said = [f"{' and '.join(self.wrappers)} was removed from the names of its tensors"] * bool(
            self.wrappers
        )
        return (*said, *self.notes)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that happened, in sentences."""
        said = [f"{self.form}: {self.matched} tensors read, none missing or left over"]
        if self.tied:
            said.append(f"{named(self.tied)} not stored: tied to another tensor")
        if self.converted:
            said.append(f"converted from {', '.join(self.converted)}")
        if self.ignored:
            said.append(f"{named(self.ignored)} not read: the model computes them")
        return (*said, *self.remarkable)

    def as_json(self) -> dict[str, Any]:
        """Plain values for the provenance of a run."""
        return {key: value for key, value in asdict(self).items() if value}


def refuse_incomplete(loaded: LoadResult, where: str, how: str = "") -> None:
    """Refuses a load that left anything out: whatever is not read would be random, or silently the base's.

    Raises:
        CheckpointError: in one sentence, which tensors are missing, unexpected or with another shape.
    """
    told = [
        f"{_count(len(names))} {words}: {named(names)}"
        for names, words in (
            (loaded.missing, "missing"),
            (loaded.unexpected, "not in the model"),
            (loaded.other_shape, "with another shape"),
        )
        if names
    ]
    if told:
        raise CheckpointError(
            f"the weights do not fit, so nothing is computed with them ({'; '.join(told)})",
            where=where,
            how=how or "Save the model again with save_pretrained, or correct its config.json",
        )


def named(names: tuple[str, ...]) -> str:
    """The first few names, and how many there are beside them."""
    shown = ", ".join(name[:120] for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED:,} more"


def _count(number: int) -> str:
    return f"{number:,} tensor{'s' if number > 1 else ''}"


@dataclass(frozen=True, slots=True)
class BlockChange:
    """How far one block of one component moved.

    Attributes:
        component: "unet".
        block: "down_blocks.0".
        parameters: how many numbers the block has.
        changed: how many of them are in tensors that differ.
        relative_l2: norm of the difference over the norm of the original's block; 0 is equal, infinite from zeros.
    """

    component: str
    block: str
    parameters: int
    changed: int
    relative_l2: float


@dataclass(frozen=True, slots=True)
class LoaderReport:
    """One model as it was loaded, against the original.

    Attributes:
        shape: kind of checkpoint, in words.
        matched: tensors of the file that found their place; of a folder, all.
        missing: tensors of the components touched that the file does not hold; the base's are used.
        unchanged: matched tensors that equal the original's.
        changed: matched tensors that differ.
        added: numbers of modules that the original does not have (erasers).
        parameters: numbers in the whole original.
        changed_parameters: numbers in tensors that differ.
        blocks: blocks that have anything changed, in the order of the model.
        differences: what else differs (scheduler, VAE, types), in sentences.
        notes: how the file was read, in sentences.
        ignored: how many entries of the file are no weights for drawing.
        rounded: tensors that differ from the original's by rounding to the narrower file's type only; they count as
            unchanged, and the original's are used.
    """

    shape: str
    matched: int
    missing: int
    unchanged: int
    changed: int
    added: int
    parameters: int
    changed_parameters: int
    blocks: tuple[BlockChange, ...] = ()
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: int = 0
    rounded: int = 0

    @property
    def share(self) -> float:
        """Share of the original's parameters that changed, erasers counted as changed."""
        return (self.changed_parameters + self.added) / self.parameters if self.parameters else 0.0


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What was found when a model was first loaded beside the original.

    Attributes:
        report: against the original; None for the original itself.
        identity: "" where the original loaded twice drew the same picture bit for bit, else what differed.
    """

    report: LoaderReport | None
    identity: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)


def check_from_json(values: Mapping[str, Any]) -> ModelCheck:
    """The check that `as_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: the values are no such check.
    """
    report = values["report"]
    if report is not None:
        blocks = tuple(BlockChange(**block) for block in report["blocks"])
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in report.items()}
        plain["blocks"] = blocks
        report = LoaderReport(**plain)
    return ModelCheck(report, str(values["identity"]))
