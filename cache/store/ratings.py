"""What people said of pairs of answers that they saw without names, kept rating by rating: a kill loses one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from backends.errors import CheckpointError
from backends.study import Decoding, Sampling, Study
from cache.store import keys, values
from cache.store.interface import Store
from cache.store.reading import identity_to_read

Choice = Literal["left", "right", "same", "both bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Rating:
    """One comparison of two answers to one prompt.

    Attributes:
        probe: digest of the probe.
        role: that it had.
        seed: of the answers.
        left, right: names of the models; equal in a catch trial.
        choice: which answer was better.
        rater: name that the person gave, or "".
        at: when, ISO 8601.
    """

    probe: str
    role: str
    seed: int
    left: str
    right: str
    choice: Choice
    rater: str
    at: str

    @property
    def is_catch(self) -> bool:
        """One model was shown twice, so that neither side can be better."""
        return self.left == self.right


def how_made(study: Study, settings: Decoding | Sampling, seed: int) -> str:
    """Identity of how the rated answers of a seed were made."""
    made = (
        keys.decoding_settings(settings, seed)
        if isinstance(settings, Decoding)
        else keys.sampling_settings(settings, seed)
    )
    return keys.digest([study.protocol if study.modality == "text" else keys.IMAGE_PROTOCOL, made])


def keep_rating(study: Study, store: Store, rating: Rating, shown: str) -> None:
    """Keep a rating; `shown` says how the answers were made, see `how_made`.

    Raises:
        CheckpointError: a model has no identity.
        StoreError: the store cannot be written.
    """
    left, right = (identity_to_read(study.model(name)).fingerprint for name in (rating.left, rating.right))
    context = store.register(values.ratings_context(left, right, shown))
    said = asdict(rating) | {"left": left, "right": right}
    store.put_values(context, {keys.digest([rating.probe, rating.rater, rating.at]): said})


def ratings_of(study: Study, store: Store) -> list[Rating]:
    """All ratings of two models of the study on its probes, oldest first, whatever the answers' settings."""
    if not any(context.kind == "ratings" for context in store.contexts()):
        return []  # as nearly always: no model needs to be looked up
    names: dict[str, str] = {}
    for spec in study.models:
        try:
            names.setdefault(identity_to_read(spec).fingerprint, spec.name)
        except CheckpointError:
            continue
    contexts = [context.key for each in names for context in store.contexts("ratings", each)]
    kept = store.values(contexts)
    probes = {probe.digest() for probe_set in study.probe_sets for probe in probe_set.probes}
    found = [rating for said in kept.values() for value in said.values() if (rating := _rating(value, names))]
    return sorted((each for each in found if each.probe in probes), key=lambda each: each.at)


def stamp(ratings: Sequence[Rating]) -> str:
    """Changes when the ratings do."""
    return keys.digest([asdict(rating) for rating in ratings])


def _rating(value: object, names: dict[str, str]) -> Rating | None:
    """A kept rating with the models' names; None where it is of others, or not understood."""
    if not isinstance(value, dict):
        return None
    left, right = names.get(str(value.get("left"))), names.get(str(value.get("right")))
    if left is None or right is None or value.get("choice") not in CHOICES:
        return None
    try:
        return Rating(
            probe=str(value["probe"]),
            role=str(value["role"]),
            seed=int(value["seed"]),
            left=left,
            right=right,
            choice=value["choice"],
            rater=str(value["rater"]),
            at=str(value["at"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
