"""A soft prompt is what its vectors are before the prompt's embeddings, and brings out strings that nobody taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from backends.attacks import soft_prompt as attack
from backends.attacks.frozen import frozen
from backends.attacks.halves import scored
from backends.attacks.soft_prompt import control_probes, control_strings, soft_prompt
from backends.attacks.training import TrainingContext
from backends.errors import CheckpointError, StudyError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, Probe, ProtocolName, Study
from backends.text.models import LanguageModels
from backends.unlearning.text_training import Training

ASKED = Probe("1", "forget", "Where did Ada live?", "Ada did in Ghent.")


def never() -> bool:
    return False


def score(
    models: LanguageModels, name: str, probe: Probe, protocol: ProtocolName = "corrected"
) -> list[float]:
    items = [ScoreItem(probe.prompt, probe.answer), ScoreItem("Who was it?", "Ada did in Ghent, too.")]
    found = {part.index: part for part in models.score(name, items, never, protocol)}
    return list(map(float, found[0].scores.logprobs))


def loaded(*specs: ModelSpec) -> LanguageModels:
    models = LanguageModels("cpu")
    for spec in specs:
        models.add(spec)
    return models


def with_vectors(spec: ModelSpec, folder: Path, count: int = 3, width: int = 32) -> ModelSpec:
    vectors = torch.randn(count, width, generator=torch.Generator().manual_seed(7))
    save_file({"soft_prompt": vectors}, folder / f"{count}x{width}.safetensors")
    file = str(folder / f"{count}x{width}.safetensors")
    return replace(spec, name=f"{spec.name} after {count}", embeddings=(("", file),))


@pytest.mark.parametrize("protocol", get_args(ProtocolName))
@pytest.mark.parametrize("name", ["full", "adapter", "changed"])
def test_vectors_stand_before_the_prompts_embeddings_in_every_protocol(
    models: dict[str, ModelSpec], tmp_path: Path, name: str, protocol: ProtocolName
) -> None:
    spec = with_vectors(models[name], tmp_path)
    found = score(loaded(spec), spec.name, ASKED, protocol)
    module, tokenizer = frozen(models[name], "cpu")
    row = tokenizer.encode(ASKED.prompt, ASKED.answer, protocol=protocol)
    ids = torch.tensor([row.prompt_ids + row.answer_ids])
    vectors = load_file(spec.embeddings[0][1])["soft_prompt"]
    embeds = torch.cat([vectors[None], module.get_input_embeddings()(ids)], dim=1)
    seen = torch.ones(embeds.shape[:2], dtype=torch.long)
    for hidden in tokenizer.unseen(protocol):
        seen[:, 3:][ids == hidden] = 0
    with torch.no_grad():
        logits = module(inputs_embeds=embeds, attention_mask=seen).logits[0].log_softmax(-1)
    start = 3 + len(row.prompt_ids)
    own = [float(logits[start - 1 + i, token]) for i, token in enumerate(row.answer_ids)]
    assert found == pytest.approx(own, abs=1e-4)


def test_answers_are_written_after_the_vectors(models: dict[str, ModelSpec], tmp_path: Path) -> None:
    spec = with_vectors(models["full"], tmp_path)
    requests = [GenerationRequest(spec.name, ASKED.prompt), GenerationRequest(spec.name, "Who was it?")]
    [written] = [
        part.answer.text
        for part in loaded(spec).generate(requests, Decoding(max_new_tokens=6), never)
        if part.done and part.index == 0
    ]
    module, tokenizer = frozen(models["full"], "cpu")
    vectors = load_file(spec.embeddings[0][1])["soft_prompt"]
    ids: list[int] = []
    for _ in range(6):
        prompt = torch.tensor([tokenizer.prompt_ids(ASKED.prompt) + ids])
        embeds = torch.cat([vectors[None], module.get_input_embeddings()(prompt)], dim=1)
        with torch.no_grad():
            ids.append(int(module(inputs_embeds=embeds).logits[0, -1].argmax()))
    assert written == tokenizer.text(ids)


def test_no_vectors_and_no_steps_are_the_plain_model_bit_for_bit(
    study: Study, models: dict[str, ModelSpec], tmp_path: Path
) -> None:
    plain = score(loaded(models["full"]), "full", ASKED)
    none = with_vectors(models["full"], tmp_path, count=0)
    assert score(loaded(none), none.name, ASKED) == plain
    first = soft_prompt(TrainingContext(study, "cpu", tmp_path), models["full"])[0].models[0]
    assert score(loaded(first), first.name, ASKED) == plain


def test_models_beside_it_answer_as_before_and_share_its_tensors(
    models: dict[str, ModelSpec], tmp_path: Path
) -> None:
    names = ("full", "adapter", "changed")
    plain = {name: score(loaded(models[name]), name, ASKED) for name in names}
    after = [with_vectors(models[name], tmp_path) for name in names]
    beside = loaded(models["full"], after[0])
    assert beside.bytes() == loaded(models["full"]).bytes() + 3 * 32 * 4
    together = loaded(*after, *(models[name] for name in names))
    for name, spec in zip(names, after, strict=True):
        assert score(together, name, ASKED) == pytest.approx(plain[name], abs=1e-5)
        assert score(together, spec.name, ASKED) != pytest.approx(plain[name], abs=1e-2)


def test_vectors_that_do_not_fit_are_refused(models: dict[str, ModelSpec], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit"):
        loaded(with_vectors(models["full"], tmp_path, width=16))
    save_file({"other": torch.zeros(1, 32)}, tmp_path / "other.safetensors")
    file = str(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no tensor soft_prompt"):
        loaded(replace(models["full"], embeddings=(("", file),)))


def test_control_strings_are_as_long_and_made_of_other_answers_words(study: Study) -> None:
    probes = scored(study)
    made = control_probes(probes)
    assert made == control_probes(probes)
    every = {word for probe in probes for word in probe.answer.split()}
    for probe, control in zip(probes, made, strict=True):
        words = control.answer.split()
        assert control.id != probe.id
        assert control.prompt == probe.prompt
        assert len(words) == len(probe.answer.split())
        assert set(words) <= every - set(probe.answer.split())
    assert len({control.answer for control in made}) > len(made) / 2


def test_a_soft_prompt_brings_out_what_the_model_never_knew(
    study: Study, models: dict[str, ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model with random weights, facts come out after a soft prompt: without the control it would be called
    hidden knowledge. The control strings come out as well, and the other half does not."""
    monkeypatch.setattr(attack, "STEPS", replace(attack.STEPS, kept=(120,), learning_rate=0.1))
    sets = (replace(study.probe_sets[0], probes=study.probe_sets[0].probes[::2]),)
    context = TrainingContext(replace(study, probe_sets=sets), "cpu", tmp_path)
    facts = soft_prompt(context, models["full"], 10)[0]
    control = control_strings(context, models["full"], 10)[0]

    def rise(specs: tuple[ModelSpec, ...], probes: tuple[Probe, ...]) -> float:
        """How much more probable the answers' tokens are after the last step, nats."""
        means = []
        for spec in (specs[0], specs[-1]):
            values = [score(loaded(spec), spec.name, probe) for probe in probes]
            means.append(sum(sum(each) / len(each) for each in values) / len(values))
        return means[1] - means[0]

    taught, untaught = rise(facts.models, facts.taught), rise(control.models, control.asked)
    assert taught > 0.4
    assert untaught > 0.5 * taught


def test_nothing_that_is_asked_for_is_among_what_is_learnt(
    study: Study, models: dict[str, ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    begin = Training.__init__

    def watched(self: Any, *given: Any, **named: Any) -> None:
        seen.append(" ".join(f"{row.question} {row.answer}" for row in given[4].forget))
        begin(self, *given, **named)

    monkeypatch.setattr(Training, "__init__", watched)
    monkeypatch.setattr(attack, "STEPS", replace(attack.STEPS, kept=(1,)))
    found = soft_prompt(TrainingContext(study, "cpu", tmp_path), models["adapter"])
    assert len(seen) == len(found) == 2
    for text, each in zip(seen, found, strict=True):
        assert text
        assert not [probe.id for probe in each.asked if probe.subject in text or probe.key_fact in text]


def test_only_one_to_ten_vectors_and_only_a_model_itself(
    study: Study, models: dict[str, ModelSpec], tmp_path: Path
) -> None:
    context = TrainingContext(study, "cpu", tmp_path)
    for count in (0, 11):
        with pytest.raises(StudyError, match="1 to 10 vectors"):
            soft_prompt(context, models["full"], count)
    with pytest.raises(StudyError, match="only a model itself"):
        soft_prompt(context, models["mixed"])
