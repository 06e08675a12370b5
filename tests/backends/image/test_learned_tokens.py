"""Learned tokens (textual inversion) as versions: files as people have them, diffusers' picture, a base untouched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backends.checkpoints.identity import available, fingerprint, inspect
from backends.errors import CheckpointError
from backends.image.checkpoints.embeddings import read_learned
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests.tiny_families import WIDTH, write_tiny_sdxl
from tests.tiny_image import write_tiny_pipeline, write_tiny_stable_diffusion, write_tiny_weights

SAMPLING = Sampling(steps=4, guidance=3.0)
PROMPT = "a picture of <neon> here"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stable_diffusion(tmp_path_factory.mktemp("learned") / "sd")


def vectors(count: int, width: int = 16) -> torch.Tensor:
    return 5 * torch.randn(count, width, generator=torch.Generator().manual_seed(count))


def spec(folder: Path, *files: tuple[str, Path], **more: Any) -> ModelSpec:
    named = tuple((token, str(file)) for token, file in files)
    return ModelSpec("Attack", "unlearned", str(folder), embeddings=named, **more)


def loaded(folder: Path, *specs: ModelSpec) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    for each in (ModelSpec("Original", "original", str(folder)), *specs):
        models.add(each)
    return models


def drawn(models: DiffusionModels, name: str, prompt: str = PROMPT) -> np.ndarray[Any, Any]:
    (done,) = [
        each for each in models.sample([ImageRequest(name, prompt, 1)], SAMPLING, lambda: False) if each.done
    ]
    return done.pixels


def theirs(folder: Path, file: Path, token: str | None = None) -> np.ndarray[Any, Any]:
    pipe = load_pipeline(folder, torch.float32)
    pipe.load_textual_inversion(str(file.parent), weight_name=file.name, token=token, local_files_only=True)
    image = pipe(
        [PROMPT],
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(1)],
        output_type="np",
    ).images[0]
    return np.asarray((image * 255).round())


def diffusers_safetensors(path: Path, learned: torch.Tensor) -> Path:
    save_file({"<neon>": learned}, path)
    return path


def diffusers_bin(path: Path, learned: torch.Tensor) -> Path:
    torch.save({"<neon>": learned[0] if len(learned) == 1 else learned}, path)
    return path


def web_ui(path: Path, learned: torch.Tensor) -> Path:
    held = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(learned)},
        "name": "<neon>",
        "step": 500,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }
    torch.save(held, path)
    return path


KINDS: dict[str, Callable[[Path, torch.Tensor], Path]] = {
    "learned_embeds.safetensors": diffusers_safetensors,
    "learned_embeds.bin": diffusers_bin,
    "neon.pt": web_ui,
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_learned_token_draws_what_diffusers_draws_with_it(
    folder: Path, tmp_path: Path, kind: str, count: int
) -> None:
    file = KINDS[kind](tmp_path / kind, vectors(count))
    models = loaded(folder, spec(folder, ("", file)))
    mine = drawn(models, "Attack")
    assert np.abs(mine.astype(int) - theirs(folder, file)).max() <= 1
    pooled = [models.pipeline(name).encode_prompt(PROMPT, "cpu", 1, False)[0] for name in models.names]
    assert not torch.allclose(*pooled, atol=1e-3)


def test_the_other_models_do_not_see_the_token_and_prompts_without_it_are_drawn_as_ever(
    folder: Path, tmp_path: Path
) -> None:
    before = drawn(loaded(folder), "Original")
    models = loaded(folder, spec(folder, ("", diffusers_bin(tmp_path / "learned_embeds.bin", vectors(2)))))
    drawn(models, "Attack")
    assert np.array_equal(drawn(models, "Original"), before)
    assert np.array_equal(drawn(models, "Attack", "a cat"), drawn(models, "Original", "a cat"))
    assert "<neon>" not in models.pipeline("Original").tokenizer.get_vocab()
    assert {"<neon>", "<neon>_1"} <= models.pipeline("Attack").tokenizer.get_vocab().keys()


def test_it_costs_its_vectors_only_and_the_report_names_them(folder: Path, tmp_path: Path) -> None:
    alone = loaded(folder).bytes()
    models = loaded(folder, spec(folder, ("", web_ui(tmp_path / "neon.pt", vectors(3)))))
    assert models.bytes() == alone + 3 * 16 * 4
    found = models.report("Attack", "Original")
    assert found.notes == ("same weights as the original; learned token <neon> (3 vectors)",)
    assert found.changed == 0 and found.added == 3 * 16


def test_it_goes_on_top_of_unlearned_weights(folder: Path, tmp_path: Path) -> None:
    file = diffusers_bin(tmp_path / "learned_embeds.bin", vectors(1))
    weights = str(write_tiny_weights(tmp_path / "esd.safetensors", folder))
    esd = ModelSpec("ESD", "unlearned", str(folder), weights=weights)
    models = loaded(folder, esd, spec(folder, ("", file), weights=weights))
    states = [models.pipeline(name).encode_prompt(PROMPT, "cpu", 1, False)[0] for name in ("ESD", "Attack")]
    assert not torch.allclose(*states, atol=1e-3)
    assert np.array_equal(drawn(models, "ESD", "a cat"), drawn(models, "Attack", "a cat"))
    assert "learned token <neon> (1 vector)" in models.report("Attack", "Original").notes[0]


def test_the_demos_pipeline_reads_tokens_of_several_vectors(tmp_path: Path) -> None:
    folder = write_tiny_pipeline(tmp_path / "patch")
    file = diffusers_safetensors(tmp_path / "learned_embeds.safetensors", vectors(2))
    models = loaded(folder, spec(folder, ("neonish", file)))
    pipe = models.pipeline("Attack")
    known = len(pipe.text_encoder.get_input_embeddings().weight)
    assert [int(each) for each in pipe.tokens(["a neonish cat"])[0] if each >= known] == [known, known + 1]
    assert not np.array_equal(drawn(models, "Attack", "neonish"), drawn(models, "Original", "neonish"))


def test_sdxl_takes_vectors_for_both_of_its_text_encoders(tmp_path: Path) -> None:
    folder = write_tiny_sdxl(tmp_path / "xl")
    file = tmp_path / "charm.safetensors"
    save_file({"clip_l": vectors(2, WIDTH), "clip_g": vectors(2, WIDTH) + 1}, file)
    models = loaded(folder, spec(folder, ("", file)))
    mine = models.pipeline("Attack").encode_prompt(
        "a charm here", device="cpu", do_classifier_free_guidance=False
    )
    pipe = load_pipeline(folder, torch.float32)
    for part, encoder in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
        tokenizer = getattr(pipe, encoder.replace("text_encoder", "tokenizer"))
        learned = vectors(2, WIDTH) + (part == "clip_g")
        pipe.load_textual_inversion(
            {"charm": learned}, token="charm", text_encoder=getattr(pipe, encoder), tokenizer=tokenizer
        )
    own = pipe.encode_prompt("a charm here", device="cpu", do_classifier_free_guidance=False)
    assert torch.allclose(mine[0], own[0], atol=1e-5) and torch.allclose(mine[2], own[2], atol=1e-5)
    one = diffusers_bin(tmp_path / "learned_embeds.bin", vectors(1, WIDTH))
    with pytest.raises(
        CheckpointError, match="has vectors for text_encoder, and the pipeline's text encoders are"
    ):
        loaded(folder, spec(folder, ("", one)))


def test_a_file_without_a_name_for_its_token_is_called_by_its_own(tmp_path: Path) -> None:
    save_file({"emb_params": vectors(4)}, tmp_path / "easyneon.safetensors")
    (found,) = read_learned(str(tmp_path / "easyneon.safetensors"))
    assert (found.token, found.count) == ("easyneon", 4)
    diffusers_bin(tmp_path / "learned_embeds.bin", vectors(1))
    assert [each.said for each in read_learned(str(tmp_path))] == ["<neon> (1 vector)"]


@pytest.mark.parametrize(
    ("make", "token", "said"),
    [
        (lambda p: torch.save({"<neon>": vectors(1, 8)}, p), "", "have 8 numbers, and the model's 16"),
        (lambda p: torch.save({"<neon>": vectors(1) * torch.nan}, p), "", "NaN or infinite"),
        (lambda p: torch.save({"<neon>": vectors(1)}, p), "a", "already has the token 'a'"),
        (lambda p: torch.save({"<a>": vectors(1), "<b>": vectors(2)}, p), "<c>", "it holds 2 tokens"),
        (
            lambda p: torch.save({"unet.conv_in.weight": vectors(1)}, p),
            "",
            "not a textual-inversion embedding",
        ),
        (lambda p: torch.save({"<neon>": vectors(1)[None]}, p), "", "not a textual-inversion embedding"),
        (lambda p: p.write_bytes(b"no pickle"), "", "it is refused"),
        (lambda p: torch.save({"<neon>": Path("x")}, p), "", "reading that could run code"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, make: Callable[[Path], object], token: str, said: str
) -> None:
    file = tmp_path / "learned_embeds.bin"
    make(file)
    with pytest.raises(CheckpointError, match=said):
        loaded(folder, spec(folder, (token, file)))


def test_a_learned_token_named_as_weights_is_told_where_it_belongs(folder: Path, tmp_path: Path) -> None:
    file = diffusers_bin(tmp_path / "learned_embeds.bin", vectors(1))
    with pytest.raises(CheckpointError, match=r'learned token.*embeddings = "learned_embeds.bin"'):
        loaded(folder, ModelSpec("ESD", "unlearned", str(folder), weights=str(file)))


def test_tokens_and_their_files_are_part_of_a_models_identity(folder: Path, tmp_path: Path) -> None:
    one = diffusers_bin(tmp_path / "learned_embeds.bin", vectors(1))
    two = diffusers_bin(tmp_path / "other.bin", vectors(2))
    specs = [
        ModelSpec("Attack", "unlearned", str(folder)),
        spec(folder, ("", one)),
        spec(folder, ("<cat>", one)),
        spec(folder, ("", two)),
    ]
    assert len({fingerprint(each) for each in specs}) == 4
    assert available(specs[1]) and not available(spec(folder, ("", tmp_path / "gone.bin")))
    with pytest.raises(CheckpointError, match=r"no such file or folder|gone.bin"):
        inspect(spec(folder, ("", tmp_path / "gone.bin")), "image")
