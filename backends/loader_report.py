"""What an unlearned image model is beside its original, as plain data: which tensors, how far, and what else differs.

A file that does not fit, loaded leniently, shows the original under another name; this report is how a person sees that
it did not happen. Knows neither torch nor files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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
