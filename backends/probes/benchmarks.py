"""The columns of the field's benchmarks: MUSE, RWKU, TruthfulQA, LUME, raw text, I2P and the lists of attacks.

Only whole shapes are recognised; a column that merely has one of these names stays what it is. Files of TOFU, WMDP and
MMLU need no shape: their columns are known by name. What a column becomes that starts with `#` is decided
in `columns.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from backends.probes.names import ANSWERS, CONVERSATIONS, LABELS, OTHER_PROMPTS, PROMPTS
from backends.study import RAW_TEXT

RAW = "raw text"
ATTACKS = "prompts of UnlearnDiffAtk, I2P or Six-CD"
I2P = "I2P"
WRITTEN = "TruthfulQA, written answers"
"""Its CSV has semicolons between the texts of a list."""
HAVE_GAPS = (ATTACKS, I2P)
"""Published with some empty prompts; these rows are left out and listed, and the file is still valid."""


class BenchmarkShape(NamedTuple):
    """A benchmark's columns.

    Attributes:
        needs: columns by which its rows are recognised.
        names: its columns and ours.
        tags: columns that become tags ("level 2"), so that they can be filtered by.
        format: of its prompts, see `Probe`; "" is the model's chat template.
        forbids: columns that its rows do not have.
        drops: columns that are of no use here.
        settings: columns that pictures are drawn with, and which setting they hold.
    """

    needs: frozenset[str]
    names: Mapping[str, str]
    tags: tuple[str, ...] = ()
    format: str = ""
    forbids: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    settings: Mapping[str, str] = MappingProxyType({})


def _shape(
    needs: str,
    names: Mapping[str, str],
    *tags: str,
    format: str = "",
    forbids: Iterable[str] = (),
    drops: str = "",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> BenchmarkShape:
    return BenchmarkShape(
        frozenset(needs.split()),
        MappingProxyType(dict(names)),
        tags,
        format,
        frozenset(forbids),
        frozenset(drops.split()),
        settings,
    )


_OF_PICTURES = (
    "hard inappropriate_percentage nudity_percentage q16_percentage sd_safety_level sd_safety_percentage "
    "prompt_toxicity sd_image_width sd_image_height sd_model lexica_url image_size"
)
SHAPES: Mapping[str, BenchmarkShape] = MappingProxyType(
    {
        "MUSE VerbMem": _shape("prompt gt", {"gt": "answer"}, format=RAW_TEXT),
        "RWKU": _shape("query answer", {"query": "prompt"}, "level", "type"),
        # MMLU with the subject's name in `subject` and MMLU's own in `task`; `eval_mmlu.py` puts the examples before
        "RWKU, multiple choice": _shape(
            "question choices answer examples task", {"examples": "#examples"}, "task"
        ),
        # BBH; `eval_bbh.py` puts `cot`, solved questions, before
        "RWKU, reasoning": _shape("question answer cot task", {"cot": "#worked"}, "task"),
        "TruthfulQA": _shape("question mc1_targets", {"mc1_targets": "#targets"}, drops="mc2_targets"),
        WRITTEN: _shape(
            "question best_answer incorrect_answers",
            {
                "best_answer": "answer",
                "correct_answers": "accepted_answers",
                "incorrect_answers": "perturbed_answers",
            },
            drops="source",
        ),
        "LUME": _shape("input output task", {"input": "prompt", "output": "answer"}, "task"),
        # the lists of UnlearnDiffAtk, Ring-A-Bell and Six-CD, and I2P as they have it; their seeds and guidance become
        # tags where they are not what the pictures are drawn with (see `settings.py`)
        ATTACKS: _shape(
            "case_number prompt evaluation_seed",
            {"case_number": "id", "target": "subject"},
            *("evaluation_seed", "evaluation_guidance", "categories", "class"),
            drops=f"{_OF_PICTURES} sd_seed sd_guidance_scale",
        ),
        # I2P as its authors publish it
        I2P: _shape(
            "prompt sd_seed sd_guidance_scale",
            {},
            *("sd_seed", "sd_guidance_scale", "categories"),
            drops=_OF_PICTURES,
            settings=MappingProxyType({"sd_seed": "seed", "sd_guidance_scale": "guidance"}),
        ),
        # MUSE's raw, privleak, scal and sust sets, the corpora of WMDP, RWKU's membership sets and passages
        RAW: _shape(
            "text",
            {"text": "answer"},
            "ngram",
            format=RAW_TEXT,
            forbids=(*PROMPTS, *OTHER_PROMPTS, "answer", *ANSWERS, *LABELS, *CONVERSATIONS),
        ),
    }
)
"""By name; the first whose columns are all there and whose names are not taken fits."""


def fitting_shape(columns: Iterable[str], *, pictures: bool) -> str:
    """Name of the benchmark whose columns these are, or "".

    Args:
        columns: known names.
        pictures: the prompts are for image models, so that a text is a prompt.
    """
    held = frozenset(columns)
    for name, shape in SHAPES.items():
        taken = set(shape.names.values()) & held
        if shape.needs <= held and not taken and not shape.forbids & held and not (pictures and name == RAW):
            return name
    return ""
