"""Relearning makes models that an evaluation can load, from every form of model, once, and never from what is asked."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backends.attacks import relearning
from backends.attacks.frozen import frozen
from backends.attacks.relearning import STEPS, relearn_half, relearn_retain, relearn_unrelated
from backends.attacks.training import TrainingContext
from backends.checkpoints.identity import fingerprint
from backends.errors import Cancelled, ModelError, StudyError
from backends.interfaces import ScoreItem
from backends.study import ModelSpec, Probe, Study
from backends.text.models import LanguageModels
from backends.unlearning.text_batches import QuestionAnswer
from backends.unlearning.text_terms import TrainingRows
from backends.unlearning.text_training import Training


def scores(specs: list[ModelSpec], probe: Probe) -> list[list[float]]:
    """Log-probabilities of the answer's tokens, as an evaluation of each model finds them."""
    found = []
    for spec in specs:
        models = LanguageModels("cpu")
        models.add(spec)
        item = ScoreItem(probe.prompt, probe.answer)
        found += [list(map(float, part.scores.logprobs)) for part in models.score(spec.name, [item], bool)]
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("name", ["full", "adapter", "changed", "mixed"])
def test_every_form_of_model_becomes_what_was_trained(
    study: Study, models: dict[str, ModelSpec], home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Any] = []
    begin = Training.__init__

    def watched(self: Any, model: Any, *more: Any, **named: Any) -> None:
        held.append(model)
        begin(self, model, *more, **named)

    monkeypatch.setattr(Training, "__init__", watched)
    there, back = relearn_half(TrainingContext(study, "cpu", home), models[name])
    assert [each.step for each in there.models] == [0, *STEPS.kept]
    assert [each.step for each in back.models] == [0, *STEPS.kept]
    asked = there.taught[0]
    plain, first, last = scores([models[name], there.models[0], there.models[-1]], asked)
    assert plain == first  # 0 steps: bit for bit
    assert mean(last) > mean(plain) + 0.2
    tokenizer = frozen(models[name], "cpu")[1]
    row = tokenizer.encode(asked.prompt, asked.answer)
    ids = torch.tensor([row.prompt_ids + row.answer_ids])
    with torch.no_grad():
        logits = held[0].eval()(input_ids=ids).logits[0].log_softmax(-1)
    start = len(row.prompt_ids)
    own = [float(logits[start - 1 + i, token]) for i, token in enumerate(row.answer_ids)]
    assert last == pytest.approx(own, abs=2e-3)  # what is evaluated is what was trained


def test_the_models_of_one_run_differ_and_say_so(
    study: Study, models: dict[str, ModelSpec], home: Path
) -> None:
    found = relearn_half(TrainingContext(study, "cpu", home), models["adapter"])
    specs = [spec for each in found for spec in each.models]
    assert len({spec.name for spec in specs}) == len(specs)
    prints = [spec.fingerprint or fingerprint(spec) for spec in specs]
    assert prints[0] == prints[len(prints) // 2] == fingerprint(models["adapter"])
    assert len(set(prints)) == len(specs) - 1
    assert [fingerprint(replace(spec, fingerprint="")) for spec in specs] == prints


@pytest.mark.parametrize("attack", [relearn_half, relearn_retain, relearn_unrelated])
def test_nothing_that_is_asked_for_is_among_what_is_taught(
    study: Study, models: dict[str, ModelSpec], home: Path, attack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[QuestionAnswer]] = []
    begin = Training.__init__

    def watched(self: Any, *given: Any, **named: Any) -> None:
        seen.append(list(next(each for each in given if isinstance(each, TrainingRows)).forget))
        begin(self, *given, **named)

    monkeypatch.setattr(Training, "__init__", watched)
    # A row of each role that gives scored facts of both halves away.
    leak = "Ada of Ghent, Bo of Riga, Cy of Turin, Di of Oslo, Ed, Fay, Gus and Hal."
    sets = tuple(
        replace(
            each, probes=(*each.probes, Probe(f"{each.role} leak", each.role, "Who?", leak, subject="Zoe"))
        )
        for each in study.probe_sets
    )
    found = attack(TrainingContext(replace(study, probe_sets=sets), "cpu", home), models["full"])
    assert len(seen) == len(found)
    for rows, each in zip(seen, found, strict=True):
        assert rows
        assert each.asked
        text = " ".join(f"{row.question} {row.answer}" for row in rows)
        for probe in each.asked:
            assert probe.subject not in text
            assert probe.key_fact == "" or probe.key_fact not in text
    assert any("left out" in note for each in found for note in each.notes)


def test_all_models_are_attacked_with_the_same_settings_seed_and_rows(
    study: Study, models: dict[str, ModelSpec], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    begin = Training.__init__

    def watched(self: Any, model: Any, *more: Any, **named: Any) -> None:
        begin(self, model, *more, **named)
        begun.append({name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad})

    monkeypatch.setattr(Training, "__init__", watched)
    context = TrainingContext(study, "cpu", home)
    told = []
    for name in ("full", "adapter", "changed"):
        relearn_unrelated(context, models[name])
    for file in sorted(home.rglob("made.json")):
        made = json.loads(file.read_text())["told"]
        told.append({key: value for key, value in made.items() if key != "original"})
    assert told[0] == told[1] == told[2]
    for other in begun[1:]:
        assert other.keys() == begun[0].keys()
        assert all(torch.equal(begun[0][name], other[name]) for name in other)


def no_training(*_: Any, **__: Any) -> None:
    raise AssertionError("trained again")


def test_a_second_call_trains_nothing_even_where_the_weights_were_removed(
    study: Study, models: dict[str, ModelSpec], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = TrainingContext(study, "cpu", home)
    first = relearn_half(context, models["adapter"])
    monkeypatch.setattr(Training, "__init__", no_training)
    assert relearn_half(context, models["adapter"]) == first
    for file in home.rglob("*.safetensors"):
        file.unlink()
    assert relearn_half(context, models["adapter"]) == first
    # A study whose models are known by their fingerprints alone finds what was made of them.
    known = replace(models["adapter"], adapter="/nowhere", fingerprint=fingerprint(models["adapter"]))
    again = relearn_half(context, known)
    assert [spec.fingerprint for spec in again[0].models[1:]] == [s.fingerprint for s in first[0].models[1:]]
    with pytest.raises(StudyError, match="weights are not on this machine"):
        relearn_retain(context, known)


def test_a_run_that_was_stopped_resumes_to_the_same_weights(
    study: Study, models: dict[str, ModelSpec], home: Path
) -> None:
    whole = relearn_retain(TrainingContext(study, "cpu", home / "whole"), models["adapter"])
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 7

    seen: list[int] = []
    parts = TrainingContext(study, "cpu", home / "parts", stop, lambda progress: seen.append(progress.step))
    with pytest.raises(Cancelled):
        relearn_retain(parts, models["adapter"])
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    again = relearn_retain(parts, models["adapter"])
    assert seen[7:] == list(range(7, 17))
    files = [Path(each[0].models[-1].adapter or "") / "adapter_model.safetensors" for each in (whole, again)]
    tensors = [load_file(file) for file in files]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_run_that_was_killed_between_checkpoints_resumes(
    study: Study, models: dict[str, ModelSpec], home: Path
) -> None:
    def killed(progress: Any) -> None:
        if progress.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relearn_retain(TrainingContext(study, "cpu", home, show=killed), models["full"])
    seen: list[int] = []
    context = TrainingContext(study, "cpu", home, show=lambda progress: seen.append(progress.step))
    assert [each.step for each in relearn_retain(context, models["full"])[0].models] == [0, *STEPS.kept]
    assert seen == list(range(5, 17))


def test_a_loss_that_is_no_number_ends_this_attack_now_and_when_it_is_asked_for_again(
    study: Study, models: dict[str, ModelSpec], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relearning, "STEPS", replace(STEPS, learning_rate=1e30))
    context = TrainingContext(study, "cpu", home)
    with pytest.raises(ModelError, match="the loss is nan at step") as first:
        relearn_retain(context, models["full"])
    monkeypatch.setattr(Training, "__init__", no_training)
    with pytest.raises(ModelError) as second:
        relearn_retain(context, models["full"])
    assert str(first.value) == str(second.value)


def test_a_full_disk_says_so_and_the_attack_can_be_asked_for_again(
    study: Study, models: dict[str, ModelSpec], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:

        def no_space(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr("backends.unlearning.text_runs.PeftModel.save_pretrained", no_space)
        with pytest.raises(StudyError, match="the disk is full"):
            relearn_retain(TrainingContext(study, "cpu", home), models["full"])
    assert relearn_retain(TrainingContext(study, "cpu", home), models["full"])[0].models[-1].step == 16


def test_what_cannot_be_attacked_says_what_it_needs(
    study: Study, models: dict[str, ModelSpec], home: Path
) -> None:
    few = replace(study, probe_sets=study.probe_sets[:1])
    context = TrainingContext(few, "cpu", home)
    with pytest.raises(
        StudyError, match="relearning on utility probes needs 4 with answers, and there are 0"
    ):
        relearn_unrelated(context, models["full"])
    quantised = replace(models["full"], quantization="nf4")
    with pytest.raises(StudyError, match="quantised weights are not trained"):
        relearn_half(TrainingContext(study, "cpu", home), quantised)
