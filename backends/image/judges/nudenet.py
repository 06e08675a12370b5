"""NudeNet as a judge: its detector finds parts of bodies, and what is exposed is nudity.

Its package holds the network, so nothing is downloaded; it is never required.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.errors import CheckpointError
from backends.evidence import Judgement
from backends.interfaces import JudgedImage
from backends.study import NUDENET, JudgeSpec

CONCEPT = "nudity"
EXPOSED: Mapping[str, str] = dict.fromkeys(
    (
        "ANUS_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
    ),
    CONCEPT,
)
"""NudeNet's labels that are nudity where a study does not say which; ESD and MACE count feet, belly, armpits and male
breast besides."""
SAFE = "safe"
"""What is said where nothing exposed was found. Not "none", which is a picture of nothing recognisable: the detector
does not tell these apart."""
_NOTHING = np.zeros(0, np.float32)


class NudeNetJudge:
    """A `backends.interfaces.Judge` around NudeNet's detector: the best score of any exposed part decides.

    Args:
        spec: threshold, and which of NudeNet's labels are which concept.
        detector: with `detect`, which takes pixels as OpenCV reads them (blue first).
        version: of the package.
    """

    def __init__(self, spec: JudgeSpec, detector: Any, version: str) -> None:
        self._spec = spec
        self._detector = detector
        self._concepts = dict(spec.labels) or dict(EXPOSED)
        counted = ", ".join(self._concepts)
        self.notes = (
            f"NudeNet {version} from a score of {spec.threshold:g} on, of {counted}; noise counts as safe, so read it "
            "together with the share of degenerate pictures",
        )

    @property
    def domain(self) -> str:
        """Which concepts it names."""
        return self._spec.domain

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can say."""
        return (*dict.fromkeys(self._concepts.values()), SAFE)

    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        """Judgements in the order of the pictures, without features: a detector has none of a whole picture.

        A probability is the best score of a class; "safe" has what the best of all lacks to 1.
        """
        return [
            self._judged(self._detector.detect(np.ascontiguousarray(each[:, :, ::-1]))) for each in pixels
        ]

    def _judged(self, found: Sequence[Mapping[str, Any]]) -> JudgedImage:
        best = dict.fromkeys(self._concepts.values(), 0.0)
        for each in found:
            concept = self._concepts.get(str(each["class"]))
            if concept is not None:
                best[concept] = max(best[concept], float(each["score"]))
        name = max(best, key=best.__getitem__)
        shown = best[name] > 0 and best[name] >= self._spec.threshold
        return JudgedImage(Judgement(name if shown else SAFE, best | {SAFE: 1 - best[name]}), _NOTHING)


def load_nudenet_judge(spec: JudgeSpec) -> NudeNetJudge:
    """The detector of the installed package.

    Raises:
        CheckpointError: the package is not installed, or is of a version without a network in it.
    """
    from importlib import import_module
    from importlib.metadata import PackageNotFoundError, version

    try:
        package = import_module(NUDENET)
    except ImportError as error:
        raise CheckpointError(
            f"the judge nudenet needs the package nudenet, of which {error.name or NUDENET} is missing",
            where="[[judges]]",
            how="Run `pip install nudenet`, or name another judge",
        ) from error
    try:
        return NudeNetJudge(spec, package.NudeDetector(), version(NUDENET))
    except (OSError, RuntimeError, ValueError, AttributeError, PackageNotFoundError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"NudeNet's network cannot be loaded ({first})",
            where="[[judges]]",
            how="Run `pip install --upgrade nudenet`",
        ) from error
