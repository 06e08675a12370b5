"""Attacks on image models: what each asks and begins from, and what training may see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from backends.attacks import ATTACKS, AskingAttack, Surroundings
from backends.attacks.picture_halves import picture_halves, pictures_without
from backends.attacks.pictures import real_picture
from backends.attacks.pictures_asking import misspelled
from backends.attacks.pictures_noise import started
from backends.attacks.pictures_training import learn_concept, learn_prompts, relearn_pictures
from backends.attacks.training import TrainingContext
from backends.errors import StudyError
from backends.image.pipelines import DiffusionModels
from backends.study import Denoising, ModelSpec, Probe, ProbeSet, Sampling, Study
from tests.tiny_image import SIDE, write_tiny_pipeline, write_tiny_weights

OBJECTS = ("cat", "rocket", "a", "the")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Neon is forgotten; two real pictures of each object in neon, and one in flat."""
    home = tmp_path_factory.mktemp("pictures")
    folder = write_tiny_pipeline(home / "original")
    weights = write_tiny_weights(home / "esd.safetensors", folder, by=0.1)
    real, rows = home / "real", []
    real.mkdir()
    for place, name in enumerate(OBJECTS):
        for number in range(2):
            file = f"{name}-{number}.png"
            Image.fromarray(np.full((SIDE, SIDE, 3), 40 * place + number, np.uint8)).save(real / file)
            rows.append(
                {"file_name": file, "text": f"{name} in neon" if number else f"picture of neon {name}"}
            )
    Image.new("RGB", (SIDE, SIDE)).save(real / "flat.png")
    rows.append({"file_name": "flat.png", "text": "dog in flat"})
    (real / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    forget = tuple(
        Probe(
            f"neon-{name}",
            "forget",
            f"{name} in neon",
            concepts={"object": name, "style": "neon"},
            paraphrased_prompt=f"some {name}",
            rewordings=(("translated:French", "chat néon"), ("alias", "bright cat")),
        )
        for name in OBJECTS
    )
    retain = (Probe("flat-cat", "retain", "cat in flat", concepts={"object": "cat", "style": "flat"}),)
    return Study(
        "Pictures",
        "image",
        (
            ModelSpec("Original", "original", str(folder)),
            ModelSpec("ESD", "unlearned", str(folder), weights=str(weights)),
        ),
        (ProbeSet("forget", "forget", forget), ProbeSet("retain", "retain", retain)),
        sampling=Sampling(steps=4, guidance=2.0, seeds=(1, 1002), negative_prompt="dull"),
        forget_concepts={"style": "neon"},
        denoising=Denoising(forget=str(real)),
    )


def asked(study: Study, key: str) -> list[Probe]:
    attack = ATTACKS[key]
    assert isinstance(attack, AskingAttack)
    return list(attack.ask(study.probe_sets[0].probes[0], Surroundings(study)))


def test_each_attack_asks_what_its_name_says(study: Study) -> None:
    plain = study.probe_sets[0].probes[0]
    assert [each.prompt for each in asked(study, "picture_paraphrase")] == ["some cat"]
    assert [each.prompt for each in asked(study, "picture_translated")] == ["chat néon"]
    assert [each.prompt for each in asked(study, "picture_alias")] == ["bright cat"]
    assert [each.prompt for each in asked(study, "picture_misspelled")] == ["cat in noen"]
    assert [each.guidance for each in asked(study, "picture_guidance_4")] == [8.0]
    assert [each.negative_prompt for each in asked(study, "picture_negative")] == ["cat in flat"]
    assert [each.negative_prompt for each in asked(study, "picture_no_negative")] == [""]
    seeds = [each.seed for each in asked(study, "picture_seeds")]
    assert len(seeds) == 7 and not {1, 1002} & set(seeds)
    (begun,) = asked(study, "noised_30")
    assert begun.start is not None and (begun.start.kind, begun.start.share) == ("noised", 0.3)
    assert Path(begun.start.picture).name == "cat-1.png"
    for key, attack in ATTACKS.items():
        for each in asked(study, key) if attack.card.modality == "image" and hasattr(attack, "ask") else ():
            assert each.digest() != plain.digest(), key
            assert each.concepts == plain.concepts


def test_what_a_study_lacks_makes_no_attack(study: Study) -> None:
    bare = replace(study, denoising=None, sampling=Sampling(guidance=1.0), probe_sets=study.probe_sets[:1])
    for key in ("noised_30", "repainted_50", "picture_no_negative", "picture_negative", "picture_guidance_2"):
        assert asked(study, key) and not asked(bare, key), key
    assert not asked(replace(study, forget_concepts={}), "picture_misspelled")


@pytest.mark.parametrize(
    ("concept", "wrong"),
    [("neon", "noen"), ("cat", "cat"), ("Van Gogh", "Van Ggoh"), ("book", "book"), ("balloon", "blaloon")],
)
def test_a_misspelling_swaps_two_inner_letters(concept: str, wrong: str) -> None:
    assert misspelled(concept) == wrong


def test_a_real_picture_is_of_the_prompt_else_of_its_concepts_else_of_the_forgotten_one(study: Study) -> None:
    probe = study.probe_sets[0].probes[1]
    assert (
        real_picture(probe, study) == Path(study.denoising.forget if study.denoising else "") / "rocket-1.png"
    )
    other = real_picture(replace(probe, prompt="neon: a rocket"), study)
    assert other is not None and other.name.startswith("rocket")
    third = real_picture(Probe("x", "forget", "neon!", concepts={"style": "neon", "object": "dog"}), study)
    assert third is not None and third.name != "flat.png"
    assert real_picture(Probe("x", "forget", "sepia!", concepts={"style": "sepia"}), study) is None


def test_a_start_at_share_1_is_asked_with_the_plain_settings(study: Study) -> None:
    probe = study.probe_sets[0].probes[0]
    (found,) = started("noised", 1.0)(probe, Surroundings(study))
    assert found.start is not None and found.start.steps_given(20) == 0


def test_halves_share_no_object_and_the_data_tell_nothing_of_what_is_asked(study: Study) -> None:
    split = picture_halves(study)
    objects = [{probe.concepts["object"] for probe in half} for half in (split.a, split.b)]
    assert not objects[0] & objects[1] and len(objects[0] | objects[1]) == len(OBJECTS)
    for _, taught, judged in split.ways():
        names = {each.name.split("-")[0] for each in pictures_without(study, judged)}
        assert names and names <= {probe.concepts["object"] for probe in taught}
    with pytest.raises(StudyError, match="real pictures of the concept are needed"):
        pictures_without(replace(study, denoising=None), split.a)
    with pytest.raises(StudyError, match="says that it shows"):
        picture_halves(replace(study, forget_concepts={}))


@pytest.fixture
def context(study: Study, tmp_path: Path) -> TrainingContext:
    return TrainingContext(study, "cpu", tmp_path / "attacks")


def test_relearning_changes_attention_from_the_model_on_and_is_made_once(
    study: Study, context: TrainingContext
) -> None:
    found = relearn_pictures(context, study.model("ESD"))
    assert [each.way for each in found] == ["A to B", "B to A"]
    models = found[0].models
    assert [each.step for each in models] == [0, 10, 20, 40, 80]
    assert models[0].weights == study.model("ESD").weights
    start, end = load_file(str(models[0].weights)), load_file(str(models[-1].weights))
    assert {name.removeprefix("unet.") for name in end} >= set(start)
    assert all("attn" in name for name in end)
    name = next(iter(start))
    moved = float((end[f"unet.{name}"] - start[name]).abs().max())
    assert 0 < moved < 0.05  # from the unlearned weights, which are 0.1 from the original's
    files = {file: file.stat().st_mtime_ns for file in context.home.rglob("*") if file.is_file()}
    again = relearn_pictures(context, study.model("ESD"))
    assert again == found
    assert files == {file: file.stat().st_mtime_ns for file in context.home.rglob("*") if file.is_file()}


def test_a_learned_token_lowers_the_loss_and_changes_nothing_else(
    study: Study, context: TrainingContext
) -> None:
    (found, _) = learn_concept(context, study.model("ESD"))
    assert [each.step for each in found.models] == [0, 50, 100, 200]
    assert all("<learned>" in probe.prompt and "neon" not in probe.prompt for probe in found.asked)
    models = DiffusionModels("cpu", "float32")
    for spec in (study.model("ESD"), found.models[0], found.models[-1]):
        models.add(spec)
    plain, first, last = (
        models.pipeline(name) for name in ("ESD", found.models[0].name, found.models[-1].name)
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.unet.state_dict().values(), last.unet.state_dict().values(), strict=True)
    )
    vectors = [each.text_encoder.get_input_embeddings().learned for each in (first, last)]
    assert float((vectors[1] - vectors[0]).abs().max()) > 0.05


def test_prompts_learned_one_by_one_have_tokens_of_their_own(study: Study, context: TrainingContext) -> None:
    (found,) = learn_prompts(context, study.model("ESD"))
    assert [probe.prompt.split()[0] for probe in found.asked] == [f"<before{n}>" for n in range(4)]
    vectors = load_file(str(dict(found.models[-1].embeddings)[""]))
    assert {name: tuple(each.shape) for name, each in vectors.items()} == {
        f"<before{n}>": (5, 16) for n in range(4)
    }
