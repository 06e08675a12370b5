"""One file a method: each has a card, settings with help, and the form of a person's own file; the table lists all."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.demo.image_model import build_pipeline
from backends.errors import StudyError
from backends.text.tokens import ChatTokenizer
from backends.unlearning import image_methods, text_methods
from backends.unlearning.image_batches import Concepts
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.image_settings import settings_of as image_settings
from backends.unlearning.image_training import trajectory
from backends.unlearning.own_method import image_method, text_method
from backends.unlearning.recipes import recipe, recipe_record, settings_of
from backends.unlearning.text_batches import QuestionAnswer
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_terms import TrainingRows
from backends.unlearning.text_training import Training
from tests.tiny_image import SIDE, WORDS
from tests.tiny_text import write_tiny_model

ROOT = Path(__file__).parents[3]
TABLES: Mapping[str, Mapping[str, TextMethod | ImageMethod]] = {
    "text": text_methods.METHODS,
    "image": image_methods.METHODS,
}
EACH = [(kind, name) for kind, table in TABLES.items() for name in table]
NEEDS = {
    "text": {"reference", "teacher", "refusals", "alternates"},
    "image": {"anchor", "uniform"},
}


def files(kind: str) -> list[Path]:
    folder = ROOT / "backends" / "unlearning" / f"{kind}_methods"
    return sorted(path for path in folder.glob("*.py") if path.stem != "__init__")


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(f"backends.unlearning.{path.parent.name}.{path.stem}")


def file_of(kind: str, name: str) -> Path:
    """The file that has the method."""
    holders = [path for path in files(kind) if TABLES[kind][name] in vars(module_of(path)).values()]
    assert len(holders) == 1, holders
    return holders[0]


@pytest.mark.parametrize(("kind", "name"), EACH)
def test_every_method_has_a_card_and_settings_with_help(kind: str, name: str) -> None:
    method = TABLES[kind][name]
    documented = module_of(file_of(kind, name)).__doc__ or ""
    assert method.card is not None
    # The short form of the paper's name begins the long one, and the docstring says where the paper is.
    assert method.card.paper.startswith(f"{method.source}, ")
    (number,) = re.findall(r"arXiv \d{4}\.\d{5}", method.card.paper)
    assert number in documented
    assert f"\n    {method.card.equation}\n" in documented
    assert method.about.endswith(".")
    assert set(method.needs) <= NEEDS[kind]
    known = settings_of(method) if isinstance(method, TextMethod) else image_settings(method)
    assert set(method.usual) | set(method.own) <= set(known)
    for setting in known.values():
        assert setting.help.endswith(".") and len(setting.help) > len("How.")
        assert setting.low <= setting.usual <= setting.high


@pytest.mark.parametrize("kind", TABLES)
def test_every_file_is_in_the_table(kind: str) -> None:
    listed = [each.name for each in TABLES[kind].values()]
    for path in files(kind):
        method = module_of(path).METHOD
        assert method.name in listed or path.stem == "fine_tune", path


def test_the_documented_differences_are_those_of_the_cards() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    section = text.split("## How ours differ from the papers' code\n")[1].split("\n## ")[0]
    documented = {" ".join(item.split()) for item in section.split("\n- ")[1:]}
    cards = [method.card for table in TABLES.values() for method in table.values()]
    assert documented == {sentence for card in cards if card is not None for sentence in card.differs}


ROWS = TrainingRows(
    [QuestionAnswer("Who wrote it?", "Ada Quill."), QuestionAnswer("Where was she born?", "In Ghent.")],
    [QuestionAnswer("What does he eat?", "Figs."), QuestionAnswer("Who taught him?", "An aunt.")],
)
FEW = {"lr": "1e-2", "steps": "3", "batch": "2", "retain_batch": "2"}


def text_weights(base: Path, method: TextMethod) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(base), frozenset())
    made = recipe(method, FEW)
    run = Training(model, tokenizer, made.objective, made.schedule, ROWS, "cpu", chosen=method)
    for _ in range(3):
        run.step()
    return get_peft_model_state_dict(model)


def image_weights(method: ImageMethod) -> dict[str, torch.Tensor]:
    pipe = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4)
    draw = torch.Generator().manual_seed(0)
    pictures = [torch.randn(4, 27, SIDE // 3, SIDE // 3, generator=draw) for _ in range(2)]
    states = [torch.randn(4, 16, 16, generator=draw) for _ in range(3)]
    empty = torch.randn(1, 16, 16, generator=draw)
    seen = Concepts(pictures[0], states[0], states[1], empty, pictures[1], states[2])
    use = {key: setting.usual for key, setting in image_settings(method).items()} | {"batch": 2.0}
    (made,) = trajectory(method, use, (2,), pipe.unet, pipe.scheduler, seen)
    return made.changes


def same(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_text_methods_file_can_be_given_as_ones_own_and_does_the_same(tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path / "base")
    built_in = text_weights(base, text_methods.METHODS["NPO"])
    unchanged = text_method(str(file_of("text", "NPO")))
    assert unchanged is not text_methods.METHODS["NPO"]
    assert same(text_weights(base, unchanged), built_in)
    mine = tmp_path / "mine.py"
    mine.write_bytes(file_of("text", "NPO").read_bytes())
    assert text_method(str(mine)).name == "NPO"
    mine.write_text(file_of("text", "NPO").read_text().replace('name="NPO"', 'name="Mine"'))
    assert same(text_weights(base, text_method(str(mine))), built_in)
    mine.write_text(file_of("text", "NPO").read_text().replace("2.0 / beta", "1.0 / beta"))
    with pytest.raises(StudyError, match="'NPO' is not a valid name"):
        text_method(str(mine))


def test_an_image_methods_file_can_be_given_as_ones_own_and_does_the_same(tmp_path: Path) -> None:
    built_in = image_weights(image_methods.METHODS["SalUn"])
    unchanged = image_method(str(file_of("image", "SalUn")))
    assert unchanged is not image_methods.METHODS["SalUn"]
    assert same(image_weights(unchanged), built_in)
    mine = tmp_path / "mine.py"
    mine.write_text(file_of("image", "SalUn").read_text().replace('name="SalUn"', 'name="Mine"'))
    assert same(image_weights(image_method(str(mine))), built_in)


def test_the_documented_method_of_ones_own_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "unlearning.md").read_text(encoding="utf-8")
    (block,) = [
        each for each in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "METHOD" in each
    ]
    (tmp_path / "fade.py").write_text(block)
    fade = text_method(str(tmp_path / "fade.py"))
    assert text_weights(write_tiny_model(tmp_path / "base"), fade)
    assert [*settings_of(fade)][7:] == ["log_share", "warmup", "rank", "seed", "stop_below"]
    record = recipe_record(recipe(fade, {"log_share": -1}))
    assert record["method"]["own"] == [["log_share", -1.0]]


def test_an_image_method_has_a_loss_or_a_solution() -> None:
    for name in ("UCE", "ESD"):
        method = image_methods.METHODS[name]
        with pytest.raises(ValueError, match="either a loss or a solution"):
            replace(method, loss=None, solve=None)
    with pytest.raises(ValueError, match="either a loss or a solution"):
        replace(image_methods.METHODS["ESD"], solve=image_methods.METHODS["UCE"].solve)


def test_recipes_are_recorded_as_they_always_were() -> None:
    others = {"beta2": 1.0, "delta": 0.0, "skip_first": 0, "everywhere": 0, "layer": 7, "scale": 2.0}
    npo = recipe_record(recipe(text_methods.METHODS["NPO"], {"beta": 0.5, "steps": 4}, checkpoints=2))
    weights = {"gamma": 1.0, "alpha": 1.0, "kappa": 0.0, "keep": 0.0}
    assert npo == {
        "name": "NPO",
        "method": {
            "name": "NPO", **weights, "beta": 0.5, **others, "bound": 1.0, "dual_rate": 0.0, "own": [],
        },
        "schedule": {
            "steps": 4, "learning_rate": 1e-4, "batch": 16, "retain_batch": 16, "general_batch": 8, "warmup": 2,
            "cosine": False, "checkpoints": (2, 4), "seed": 0,
        },
        "rank": 16,
        "stop_below": 0.0,
    }  # fmt: skip
    pdu = recipe_record(recipe(text_methods.METHODS["PDU"], {"bound": 0.3}))["method"]
    assert pdu == {**npo["method"], "name": "PDU", "beta": 0.1, "bound": 0.3, "dual_rate": 1.0}
    mine = replace(text_methods.METHODS["NPO"], name="Mine")
    assert recipe_record(recipe(mine, {}))["method"]["own"] == [["beta", 0.1]]
