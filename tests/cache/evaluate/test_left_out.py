"""What an evaluation left out is said once for each reason, with the names of all that it concerns."""

from __future__ import annotations

from backends.errors import CheckpointError, ModelError
from backends.study import Probe
from cache.evaluate.incomplete import RefusedProbe, UnusableModel, left_out, with_model_name

BROKEN = CheckpointError("the file is truncated", where="/models/npo/x.safetensors", how="Copy it again")


def test_one_model_is_named_with_its_reason_in_one_sentence() -> None:
    error = left_out([], [], [UnusableModel("NPO 30", BROKEN)])
    assert str(error) == (
        "1 model could not be evaluated; everything else is evaluated: NPO 30: /models/npo/x.safetensors: "
        "the file is truncated. Copy it again."
    )
    assert error.each == ()


def test_several_reasons_are_a_sentence_each_and_one_reason_is_said_once() -> None:
    judge = CheckpointError("fc.weight is missing", where="judges/vit")
    error = left_out(
        [], [], [UnusableModel("A", judge), UnusableModel("B", BROKEN), UnusableModel("C", judge)]
    )
    assert str(error) == "3 models could not be evaluated; everything else is evaluated: A, B, C."
    assert error.each == (
        "A, C: judges/vit: fc.weight is missing.",
        "B: /models/npo/x.safetensors: the file is truncated. Copy it again",
    )
    same = left_out([], [], [UnusableModel("A", judge), UnusableModel("C", judge)])
    assert same.each == () and "A, C: judges/vit: fc.weight is missing." in str(same)


def test_probes_that_a_model_cannot_serve_are_told_beside_it() -> None:
    probe = Probe("p1", "forget", "long")
    refused = RefusedProbe("A", "forget", probe, ModelError("the prompt is too long"))
    error = left_out([refused], [], [UnusableModel("B", BROKEN)])
    assert "B: /models" in str(error) and "probe p1: 1 probe left out with A" in str(error)


def test_a_name_that_the_sentence_begins_with_is_not_said_twice() -> None:
    assert with_model_name("NPO", CheckpointError("is broken", where="NPO")) == "NPO: is broken."
    assert with_model_name("npo", BROKEN).startswith("npo: /models/npo/")
