"""Pictures made elsewhere, as a model without weights: `source = "pictures:FOLDER"`.

Files are found by their names: `{style}_{object}_seed{seed}.jpg` as UnlearnCanvas writes them, `{probe}_seed{seed}`,
`{prompt}_seed{seed}`, folders of these, and, with one seed, plain numbers in the order of the probes as HUB writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from blake3 import blake3

from backends.checkpoints.tensors import file_digest
from backends.errors import CheckpointError
from backends.study import Probe, Sampling

PICTURES = "pictures:"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def pictures_folder(source: str) -> Path:
    """The folder that a source names."""
    return Path(source.removeprefix(PICTURES))


def pictures_in(folder: Path) -> list[Path]:
    """All picture files of a folder and of those inside it, in order.

    Raises:
        CheckpointError: no such folder, or no pictures in it.
    """
    if not folder.is_dir():
        raise CheckpointError("there is no such folder of pictures", where=str(folder), how="Check the path")
    result = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not result:
        raise CheckpointError(
            f"this folder holds no pictures ({', '.join(sorted(SUFFIXES))})", where=str(folder)
        )
    return result


def folder_digest(folder: Path, files: Sequence[Path]) -> str:
    """Identity of the pictures by their places in the folder and what they hold."""
    rows = [f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files]
    return blake3("\n".join(rows).encode()).hexdigest(length=16)


def placed(
    folder: Path, files: Sequence[Path], probes: Sequence[Probe], sampling: Sampling
) -> tuple[Mapping[tuple[str, int], Path], list[Path]]:
    """Which file is the picture of which probe and seed.

    Returns:
        (probe id, seed) -> file, and the files that are none of them.
    """
    names = {_plain(str(path.relative_to(folder).with_suffix(""))): path for path in files}
    names |= {_plain(path.stem): path for path in files if _plain(path.stem) not in names}
    result: dict[tuple[str, int], Path] = {}
    for number, probe in enumerate(probes):
        seeds = sampling.of(probe).seeds
        for seed in seeds:
            file = next((names[name] for name in _names(probe, number, seed, seeds) if name in names), None)
            if file is not None:
                result[probe.id, seed] = file
    used = set(result.values())
    return result, [path for path in files if path not in used]


def _names(probe: Probe, number: int, seed: int, seeds: Sequence[int]) -> list[str]:
    """What the file of a probe and seed may be called, the most telling first."""
    style, shown = probe.concepts.get("style"), probe.concepts.get("object")
    heads = [f"{style}_{shown}"] if style and shown else []
    heads += [probe.id, probe.prompt]
    result = [
        _plain(f"{head}{joint}{seed}") for head in heads for joint in ("_seed", "_seed_", "_", "/", "/seed")
    ]
    if len(seeds) == 1:
        result += [_plain(head) for head in heads] + [str(number)]
    return result


def _plain(name: str) -> str:
    """A name without letter case and with every run of other signs as one underscore; folders stay apart."""
    parts = [re.sub(r"[^0-9a-z]+", "_", part.casefold()).strip("_") for part in name.split("/")]
    return "/".join(part for part in parts if part)
