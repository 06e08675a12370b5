"""Evidence of image models, gathered cell by cell: pictures, and what the judges say of them. Knows no studies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from backends.errors import Cancelled, ModelError
from backends.evidence import ImageEvidence
from backends.interfaces import ImageModels, ImageRequest, Judge, PartialImage, Stop
from backends.study import Probe, Sampling
from backends.versions import own_version
from cache.evaluate.gather_text import OnDone, in_cells, work_on_cell
from cache.store import Store
from cache.store.keys import IMAGE_PROTOCOL

CELL_IMAGES = 12
"""Pictures in flight at once: what a kill can lose."""


class ImageTask(NamedTuple):
    """One picture to be made and stored."""

    model: str
    probe: Probe
    seed: int
    context: str


class FinishedImage(NamedTuple):
    """One finished picture: its pixels, the PNG file that holds them, and how long it took, seconds."""

    wanted: ImageTask
    pixels: NDArray[np.uint8]
    png: bytes
    seconds: float


class ImageGatherer:
    """Asks image models for pictures, judges them and stores both.

    Attributes:
        refused: probes that the model cannot serve (too long), with the reason; all others are evaluated.

    Args:
        store: where evidence goes.
        models: has the models loaded.
        judges: of the study.
        stop: checked between steps.
        sampling: settings of all pictures, but for their seeds.
    """

    def __init__(
        self, store: Store, models: ImageModels, judges: Sequence[Judge], stop: Stop, sampling: Sampling
    ) -> None:
        self._store = store
        self._sampling = sampling
        self._software = f"UnlearnBoard {own_version()}"
        self._models = models
        self._judges = judges
        self._stop = stop
        self.refused: list[tuple[Probe, ModelError]] = []

    def gather(self, wanted: Sequence[ImageTask], on_done: OnDone) -> None:
        """Make, judge and store pictures, a cell at a time.

        Raises:
            Cancelled: stopped; whole cells before that are stored.
        """

        def make(part: Sequence[ImageTask]) -> list[tuple[ImageTask, PartialImage]]:
            return [(part[found.index], found) for found in self.sample(part) if found.done]

        for every in in_cells(wanted, CELL_IMAGES):
            cell = self._missing(every)
            before = len(self.refused)
            pictures = work_on_cell(cell, make, self._refuse)
            self.keep(pictures)
            on_done(len(every) - len(cell) + len(pictures))
            if len(pictures) + len(self.refused) - before < len(cell):
                raise Cancelled

    def sample(self, wanted: Sequence[ImageTask]) -> Iterator[PartialImage]:
        """Pictures as they form, from the same noise for the same seed."""
        requests = [
            ImageRequest(
                *(each.model, each.probe.prompt, each.seed),
                *(each.probe.guidance, each.probe.negative_prompt, each.probe.start),
            )
            for each in wanted
        ]
        yield from self._models.sample(requests, self._sampling, self._stop)

    def keep(self, pictures: Sequence[tuple[ImageTask, PartialImage]]) -> None:
        """Judge finished pictures and store them, one cell for each context."""
        from backends.image.png import encode

        made = [
            FinishedImage(
                wanted,
                partial.pixels,
                encode(partial.pixels, _caption(wanted, self._sampling) | {"software": self._software}),
                partial.seconds,
            )
            for wanted, partial in pictures
        ]
        judge_and_store(self._store, self._judges, made)

    def _refuse(self, wanted: ImageTask, error: ModelError) -> None:
        self.refused.append((wanted.probe, error))

    def _missing(self, wanted: Sequence[ImageTask]) -> list[ImageTask]:
        """Those that no other process has stored by now."""
        digests: dict[str, list[str]] = {}
        for each in wanted:
            digests.setdefault(each.context, []).append(each.probe.digest())
        missing = {(context, d) for context, of in digests.items() for d in self._store.missing(context, of)}
        return [each for each in wanted if (each.context, each.probe.digest()) in missing]


def judge_and_store(store: Store, judges: Sequence[Judge], made: Sequence[FinishedImage]) -> None:
    """Ask all judges about pictures and store both, one cell for each context."""
    pixels = [each.pixels for each in made]
    said = {judge.domain: judge.judge(pixels) for judge in judges} if pixels else {}
    cells: dict[str, list[tuple[str, ImageEvidence, bytes]]] = {}
    for index, each in enumerate(made):
        judged = {domain: results[index] for domain, results in said.items()}
        known = {domain: result for domain, result in judged.items() if result is not None}
        found = ImageEvidence(
            image=blake3(each.png).hexdigest(),
            seed=each.wanted.seed,
            judgements={domain: result.judgement for domain, result in known.items()},
            features=_features([result.features for result in known.values()]),
            seconds=each.seconds,
        )
        cells.setdefault(each.wanted.context, []).append((each.wanted.probe.digest(), found, each.png))
    for context, rows in cells.items():
        store.put_images(context, rows)


def _caption(wanted: ImageTask, sampling: Sampling) -> dict[str, str]:
    """All that the picture depends on, so that a file that was copied away still says how to make it again."""
    mine = sampling.of(wanted.probe)
    settings = {
        "steps": str(mine.steps),
        "guidance": str(mine.guidance),
        "size": "" if mine.size is None else str(mine.size),
        **mine.added(),
    }
    if wanted.probe.start is not None:
        settings["start"] = " ".join(map(str, wanted.probe.start.identity()))
    return {
        "prompt": wanted.probe.prompt,
        "model": wanted.model,
        **settings,
        "seed": str(wanted.seed),
        "protocol": IMAGE_PROTOCOL,
        "context": wanted.context,
    }


def _features(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.ravel(part) for part in parts]) if parts else np.zeros(0, np.float32)
