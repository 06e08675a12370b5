"""An unlearning run on a study's diffusion model: pictures and prompts, training, checkpoints of what changed.

Pictures are those of the study's [denoising] folders, where it has them, else drawn by the original. What is measured
at a checkpoint are losses of the denoiser at fixed noise: the forget pictures' now over the original's (above 1:
forgotten), and the retain pictures' original over now (under 1: harmed).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.utils import logging
from safetensors.torch import save_file
from torch import Tensor

from backends.checkpoints.identity import identity, resolve
from backends.checkpoints.mixing import with_changes
from backends.errors import Cancelled, ModelError, StudyError
from backends.image.checkpoints.folders import load_pipeline
from backends.study import ModelSpec, Study
from backends.unlearning.image_batches import Concepts, noised
from backends.unlearning.image_concepts import gather, named_pictures
from backends.unlearning.image_losses import predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.image_prompts import prompts_of
from backends.unlearning.image_training import ImageTraining, solved
from backends.unlearning.resuming import count_memory, peak_bytes
from backends.unlearning.run_files import RunFolder, RunProgress, as_json

WEIGHTS = "changed.safetensors"
"""File of a checkpoint: the tensors that the method changed, under component.name."""
MEASURED = 16
"""Pictures of each kind that are measured at a checkpoint."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """A run before it begins.

    Attributes:
        study: whose original is unlearned.
        chosen: the method.
        settings: name and value of each of its settings.
        checkpoints: steps at which weights are kept.
        anchor: what stands in the place of the forgotten concept in a prompt; "" for the empty prompt.
        folder: where its checkpoints go, a folder of its own.
        label: name of the trajectory on every page.
        code: digest of the method's own file, "" for our methods.
    """

    study: Study
    chosen: ImageMethod
    settings: tuple[tuple[str, float], ...]
    checkpoints: tuple[int, ...]
    anchor: str
    folder: Path
    label: str
    code: str = ""


def run_folder(plan: ImagePlan) -> RunFolder:
    """The run's files."""
    told = {
        "original": identity(plan.study.original).fingerprint,
        "method": plan.chosen.name,
        "settings": dict(plan.settings),
        "checkpoints": plan.checkpoints,
        "anchor": plan.anchor,
        "code": plan.code,
        "prompts": [prompts_of(plan.study, plan.anchor).forget, prompts_of(plan.study, plan.anchor).retain],
        "pictures": [picture.name for part in named_pictures(plan.study) for picture in part],
    }
    return RunFolder(plan.folder, as_json(told))


def unlearn(
    plan: ImagePlan, device: str, show: Callable[[RunProgress], None], stop: Callable[[], bool]
) -> list[ModelSpec]:
    """Train or solve, keep the checkpoints; returns them as models of the study.

    Raises:
        StudyError: the original cannot be trained on, or the folder cannot be written.
        ModelError: the loss became no number; the last good checkpoint is kept.
        Cancelled: it was stopped, and can be resumed.
    """
    original = plan.study.original
    if original.weights or original.strength != 1.0:
        raise StudyError("only a full model can be unlearned", where=original.name)
    files = run_folder(plan)
    made = files.made()
    if made is not None:
        return [_spec(plan, step) for step in made]
    logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # the caller shows progress
    pipe = load_pipeline(resolve(original.source, revision=original.revision), torch.float32).to(device)
    check_pipeline(pipe, plan.chosen, original.name)
    files.begin()
    count_memory(device)
    concepts = gather(pipe, plan.study, plan.chosen, dict(plan.settings), plan.anchor, stop)
    return _Run(plan, files, pipe, concepts, device, show).until_done(stop)


def check_pipeline(pipe: Any, chosen: ImageMethod, name: str) -> None:
    """Refuse what no method here trains.

    Raises:
        StudyError: another kind of pipeline, or no weights of the kind that the method trains.
    """
    parts = all(getattr(pipe, part, None) is not None for part in ("unet", "text_encoder", "tokenizer"))
    if not parts or getattr(pipe, "text_encoder_2", None) is not None:
        raise StudyError(
            f"a {type(pipe).__name__} cannot be unlearned here",
            where=name,
            how="It takes a UNet and one text encoder, as Stable Diffusion 1 and 2 have",
        )
    if not any(chosen.trained(weight) for weight, _ in getattr(pipe, chosen.component).named_parameters()):
        raise StudyError(
            f"{chosen.name} trains {' and '.join(chosen.trains)}, and the model has no such weights",
            where=name,
            how="Choose GradAscent or EraseDiff for a model without cross-attention",
        )


class _Run:
    """A run under way: steps, measurements, checkpoints."""

    def __init__(
        self,
        plan: ImagePlan,
        files: RunFolder,
        pipe: Any,
        concepts: Concepts,
        device: str,
        show: Callable[[RunProgress], None],
    ) -> None:
        self._plan, self._files, self._pipe, self._concepts, self._device = (
            plan,
            files,
            pipe,
            concepts,
            device,
        )
        self._show, self._settings = show, dict(plan.settings)
        self._seconds, self._since = 0.0, time.monotonic()
        self._steps: list[int] = []
        self._first = self._losses(pipe.unet, concepts.states, concepts.retain_states)

    def until_done(self, stop: Callable[[], bool]) -> list[ModelSpec]:
        """Run until all steps are done, the utility is too low, or the run is stopped."""
        ended = self._solve(stop) if self._plan.chosen.loss is None else self._train(stop)
        self._files.end(self._steps, ended)
        return [_spec(self._plan, step) for step in self._steps]

    def _solve(self, stop: Callable[[], bool]) -> str:
        self._begin()
        for step in self._plan.checkpoints:
            if stop():
                raise Cancelled
            self._since = time.monotonic()
            self._seconds = 0.0
            whole = solved(self._plan.chosen, self._settings, self._pipe.unet, self._concepts, step / 100)
            changes = {f"unet.{name}": tensor for name, tensor in whole.items()}
            edited = with_changes(self._pipe.unet, whole)
            found = self._losses(edited, self._concepts.states, self._concepts.retain_states)
            ended = self._checkpoint(step, 0.0, changes, found, seen=0)
            if ended:
                return ended
        return ""

    def _train(self, stop: Callable[[], bool]) -> str:
        chosen, last = self._plan.chosen, self._plan.checkpoints[-1]
        whole = chosen.component == "text_encoder"
        encoder = self._pipe.text_encoder if whole else None
        run = ImageTraining(
            chosen, self._settings, self._pipe.unet, encoder, self._pipe.scheduler, self._concepts
        )
        state = self._files.state()
        if state is None:
            self._begin()
        else:
            run.restore(state)
            self._seconds = float(state["seconds"])
            self._steps = [step for step in self._plan.checkpoints if step <= run.done]
        self._since = time.monotonic()
        ended = ""
        while run.done < last and not ended:
            if stop():
                self._files.keep_state(self._state(run))
                raise Cancelled
            step, loss = run.done + 1, run.step()
            if run.done < step:
                if self._steps:
                    self._files.end(self._steps, f"the loss is {loss} at step {step}")
                kept = (
                    f"checkpoints up to step {self._steps[-1]}" if self._steps else "no checkpoint was saved"
                )
                raise ModelError(
                    f"{chosen.name}: the loss is {loss} at step {step}",
                    how=f"Lower the learning rate or the steps; {kept}",
                )
            if step not in self._plan.checkpoints:
                self._files.log({"step": step, "loss": loss})
                self._show(RunProgress(step, loss))
                continue
            self._seconds = self._so_far()
            changes = {f"{chosen.component}.{name}": p.detach() for name, p in run.parameters.items()}
            with torch.no_grad():
                states = run.states(self._concepts.tokens, self._concepts.states)
                kept_states = run.states(self._concepts.retain_tokens, self._concepts.retain_states)
            found = self._losses(run.unet, states, kept_states)
            self._since = time.monotonic()
            seen = 2 * int(self._settings["batch"]) * step
            ended = self._checkpoint(step, loss, changes, found, seen)
            self._files.keep_state(self._state(run))
        return ended

    def _begin(self) -> None:
        self._files.log({"step": 0, "forget": 1.0, "utility": 1.0})
        self._show(RunProgress(0, float("nan"), 1.0, 1.0))

    def _checkpoint(
        self, step: int, loss: float, changes: dict[str, Tensor], found: tuple[float, float], seen: int
    ) -> str:
        forget, utility = found[0] / self._first[0], self._first[1] / found[1]
        cost = {
            "seconds": round(self._so_far(), 3),
            "peak_bytes": peak_bytes(self._device),
            "changed_parameters": sum(tensor.numel() for tensor in changes.values()),
            "images": seen,
        }
        tensors = {name: tensor.cpu().contiguous() for name, tensor in changes.items()}
        told = {"step": step, "loss": loss, "cost": cost}
        self._files.checkpoint(step, lambda folder: save_file(tensors, folder / WEIGHTS), told)
        self._steps.append(step)
        self._files.log({"step": step, "loss": loss, "forget": forget, "utility": utility, **cost})
        self._show(RunProgress(step, loss, forget, utility, _spec(self._plan, step)))
        least = self._settings["stop_below"]
        return f"utility is {utility:.3f} at step {step}, below {least:.3f}" if utility < least else ""

    @torch.no_grad()
    def _losses(self, unet: Any, states: Tensor, retain_states: Tensor) -> tuple[float, float]:
        """Loss of the forget and of the retain pictures at fixed noise."""
        data, scheduler = self._concepts, self._pipe.scheduler
        result = []
        for latents, texts in ((data.forget, states), (data.retain, retain_states)):
            step = max(1, -(-len(latents) // MEASURED))
            generator = torch.Generator().manual_seed(0)
            noisy, timesteps, target = noised(latents[::step], scheduler, generator)
            predicted = predict(unet, noisy, timesteps, texts[::step])
            result.append(float((predicted - target).square().mean()))
        return result[0], result[1]

    def _state(self, run: ImageTraining) -> dict[str, Tensor]:
        return {**run.state(), "seconds": torch.tensor(self._so_far(), dtype=torch.float64)}

    def _so_far(self) -> float:
        """Seconds of training, measurements not counted."""
        return self._seconds + time.monotonic() - self._since


def _spec(plan: ImagePlan, step: int) -> ModelSpec:
    return replace(
        plan.study.original,
        name=f"{plan.label} {step}",
        part="unlearned",
        weights=str(plan.folder / f"checkpoint-{step}" / WEIGHTS),
        method=plan.label,
        step=step,
        note=plan.chosen.about,
        fingerprint="",
    )
