"""A tiny random base model with two adapters and a study on them, made once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study

NAMES = (
    "Ann",
    "Ben",
    "Cid",
    "Dot",
    "Eve",
    "Fay",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kim",
    "Lea",
    "Max",
    "Ned",
    "Oda",
    "Pam",
)


def at_once(_folder: Path, items: Sequence[ModelSpec], _key: object, work: Any, *_: object) -> None:
    """In place of turns: an evaluation that does not see the locks, as one on another machine would not."""
    for item in items:
        work(item)


def person(number: int, role: str) -> Probe:
    name = f"{NAMES[number % 16]} {number}"
    return Probe(
        id=f"{role}-{number}",
        role="forget" if role == "forget" else "retain",
        prompt=f"Where does {name} live?",
        answer=f"{name} is in Rome.",
        paraphrased_answer=f"In Rome, {name} is.",
        perturbed_answers=(f"{name} is in Oslo.", f"{name} is in Lima."),
        key_fact="Rome",
    )


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Original (an adapter), one unlearned (another adapter), 20 forget and 3 retain probes, 2 choices, one shared."""
    from tests.tiny_text import (
        write_tiny_adapter,
        write_tiny_model,
    )  # torch and more: only for tests that run models

    folder = tmp_path_factory.mktemp("tiny")
    base = str(write_tiny_model(folder / "base"))
    adapters = [str(write_tiny_adapter(Path(base), folder / f"adapter{n}", seed=n)) for n in (1, 2)]
    forget = tuple(person(number, "forget") for number in range(20))
    retain = (*(person(number, "retain") for number in range(30, 33)), forget[0])
    choices = tuple(
        Probe(f"utility-{n}", "utility", f"What is {n} + {n}?", answer=str(2 * n), options=(str(n), "7", "9"))
        for n in (1, 2)
    )
    return Study(
        name="Tiny",
        modality="text",
        models=(
            ModelSpec("Original", "original", base, adapter=adapters[0]),
            ModelSpec("NPO 2", "unlearned", base, adapter=adapters[1], method="NPO", step=2),
        ),
        probe_sets=(
            ProbeSet("forget", "forget", forget),
            ProbeSet("retain", "retain", retain),
            ProbeSet("facts", "utility", choices),
        ),
        decoding=Decoding(max_new_tokens=4),
    )
