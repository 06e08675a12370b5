"""What is kept in JSON of models, judges and pictures: the context of each kind, read whatever the arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from blake3 import blake3

from cache.store import keys
from cache.store.interface import Store
from cache.store.keys import CODE_VERSION, IMAGE_PROTOCOL, VALUE_KINDS, Context, ValueKind

ONLY = "only"
"""Digest of what a context has one of."""


def losses_context(fingerprint: str, timesteps: str, numerics: str = "") -> Context:
    """Denoising losses of a model at the timesteps of `timesteps_key`: a value a picture and role."""
    return _context("losses", fingerprint, {"timesteps": timesteps}, numerics)


def loss_digest(role: str, name: str) -> str:
    """What the losses of a picture in a role are kept under; `name` says what the picture holds."""
    return keys.digest([role, name])


def timesteps_key(timesteps: Sequence[int]) -> str:
    """What tells one list of timesteps from another."""
    # The pictures are no part of it: they are told apart by what they hold, and their folders may lie elsewhere.
    return blake3(json.dumps([1, list(timesteps)]).encode()).hexdigest(length=8)


def trajectories_context(fingerprint: str, drawing: str, numerics: str = "") -> Context:
    """How pictures of a model form when it draws in the way of `drawing`: a value a probe.

    Args:
        fingerprint: of the model; "" where the cache is of before it was kept. `drawing` covers it.
        drawing: key of the context of the pictures, without judges and arithmetic.
        numerics: name of the arithmetic.
    """
    return _context("trajectories", fingerprint, {"drawing": drawing}, numerics, IMAGE_PROTOCOL)


def costs_context(fingerprint: str) -> Context:
    """What a model cost to make: one value."""
    return _context("costs", fingerprint, {})


def checks_context(original: str, fingerprint: str, numerics: str = "") -> Context:
    """What was found when a model was loaded beside an original: one value."""
    return _context("checks", fingerprint, {"original": original}, numerics)


def judges_context(judge: str, asked: str) -> Context:
    """What a judge said of real pictures: one value.

    Args:
        judge: identity of its files; "" where the cache is of before it was kept. `asked` covers it.
        asked: identity of the judge and of the pictures.
    """
    return _context("judges", judge, {"asked": asked})


def ratings_context(first: str, second: str, shown: str) -> Context:
    """What people said of two models' answers, shown without names: a value a rating.

    Args:
        first, second: fingerprints of the models, in either order; equal where one model was shown twice.
        shown: identity of how the answers were made.
    """
    first, second = sorted((first, second))
    return _context("ratings", first, {"other": second, "shown": shown})


def kept(store: Store, wanted: Iterable[Context], digest: str = "") -> dict[Context, dict[str, object]]:
    """Values of each of these contexts by digest, whatever the arithmetic: of several, float32 goes first.

    Args:
        store: the cache.
        wanted: contexts, whose own arithmetic does not matter.
        digest: only an arithmetic that has a value under it counts; "" takes any that has values.
    """
    sought = {_beside_arithmetic(context): context for context in wanted}
    several: dict[Context, list[Context]] = {context: [] for context in sought.values()}
    for context in made_under(store, sought.values()):
        several[sought[_beside_arithmetic(context)]].append(context)
    values = store.values([context.key for made in several.values() for context in made])
    result: dict[Context, dict[str, object]] = {}
    for asked, made in several.items():
        made.sort(key=lambda context: (context.numerics != "float32", context.numerics))
        held = [values[context.key] for context in made]
        result[asked] = next((each for each in held if (digest in each if digest else each)), {})
    return result


def made_under(store: Store, wanted: Iterable[Context]) -> list[Context]:
    """The contexts that the store has which agree with any of these but for the arithmetic."""
    sought = {_beside_arithmetic(context) for context in wanted}
    return [
        each for each in store.contexts() if each.kind in VALUE_KINDS and _beside_arithmetic(each) in sought
    ]


def _context(
    kind: ValueKind, fingerprint: str, settings: dict[str, object], numerics: str = "", protocol: str = ""
) -> Context:
    return Context(kind, fingerprint, "", protocol, keys.canonical(settings), numerics, CODE_VERSION[kind])


def _beside_arithmetic(context: Context) -> tuple[object, ...]:
    return context.kind, context.fingerprint, context.protocol, context.settings, context.code_version
