"""Reading and writing the keys of a study file that say how an image model draws: `inference` and `embeddings`."""

from __future__ import annotations

from typing import Any, cast

from backends.checkpoints.hub import is_on_hub
from backends.errors import StudyError
from backends.study.inference import PLAIN, SAFREE_ALPHA, SCHEDULERS, SLD_SETTINGS, Inference, SldSetting
from backends.study.table import Range, Table, shown

KEYS = ("negative_prompt", "sld", "concept", "safree", "alpha")
ALPHA = Range(float, 0, 10)
LEAST, MOST = 8, 4096
"""Pixels of a side that a study may ask for."""


def read_inference(model: Table) -> Inference:
    """The table `inference` of a model.

    Raises:
        StudyError: a misspelt key, a wrong type, or keys that do not belong together.
    """
    if "inference" not in model.values:
        return PLAIN
    table = model.table("inference")
    table.only(KEYS, "table `inference`")
    if not table.values:
        raise StudyError(
            "this table is empty",
            where=model.where("inference"),
            how='Write for instance { negative_prompt = "..." }, or remove it',
        )
    if "sld" in table.values and "safree" in table.values:
        raise StudyError(
            "`sld` and `safree` cannot be combined in one model",
            where=model.where("inference"),
            how="Make two models",
        )
    sld = cast(SldSetting, table.choice("sld", SLD_SETTINGS) if "sld" in table.values else "")
    if sld and "concept" not in table.values:
        raise StudyError(
            "`sld` needs the concept to steer away from",
            where=model.where("inference"),
            how='Add concept = "...", one text such as "nudity, sexual, naked"',
        )
    for key, other in (("concept", "sld"), ("alpha", "safree")):
        if key in table.values and other not in table.values:
            raise StudyError(
                f"`{key}` needs `{other}`, which is missing",
                where=model.where("inference"),
                how=f"Add {other}, or remove {key}",
            )
    return Inference(
        negative_prompt=table.need("negative_prompt") if "negative_prompt" in table.values else "",
        sld=sld,
        concept=table.need("concept") if sld else "",
        safree=_phrases(table) if "safree" in table.values else (),
        alpha=table.number("alpha", ALPHA, SAFREE_ALPHA),
    )


def _phrases(table: Table) -> tuple[str, ...]:
    value = table.values["safree"]
    phrases = [value] if isinstance(value, str) else value
    good = isinstance(phrases, list) and phrases
    if not good or not all(isinstance(phrase, str) and phrase.strip() for phrase in phrases):
        raise StudyError(
            f'text or a list of texts, such as ["nudity", "naked body"], was expected, not {shown(value)}',
            where=table.where("safree"),
        )
    return tuple(dict.fromkeys(phrases))


def read_embeddings(model: Table) -> tuple[tuple[str, str], ...]:
    """The key `embeddings` of a model: a file, a list of files, or a table of token = file; paths made absolute.

    Raises:
        StudyError: a wrong type.
    """
    if "embeddings" not in model.values:
        return ()
    value = model.values["embeddings"]
    if isinstance(value, dict):
        table = model.table("embeddings")
        named = [(token, table.need(token)) for token in table.values]
    else:
        named = [("", file) for file in (value if isinstance(value, list) else [value])]
    if not named or not all(isinstance(file, str) and file.strip() for _, file in named):
        raise StudyError(
            f'a file, a list of files, or {{ "<token>" = "file" }} was expected, not {shown(value)}',
            where=model.where("embeddings"),
        )
    spaced = [token for token, _ in named if token and (token != token.strip() or " " in token)]
    if spaced:
        raise StudyError(
            f"the token {shown(spaced[0])} has a space in it, and prompts are split at spaces",
            where=model.where("embeddings"),
        )
    return tuple((token, _located(model, file)) for token, file in named)


def _located(model: Table, file: str) -> str:
    if is_on_hub(file):
        return file
    one = Table({"embeddings": file}, model.place, model.text, model.path)
    return one.local("embeddings")


def read_size(sampling: Table) -> int | tuple[int, int] | None:
    """The key `size`: a side, or width and height, in pixels.

    Raises:
        StudyError: anything else.
    """
    value = sampling.values.get("size")
    if "size" not in sampling.values:
        return None
    sides: list[Any] = value if isinstance(value, list) and len(value) == 2 else [value]
    if not all(type(side) is int and LEAST <= side <= MOST for side in sides):
        raise StudyError(
            f"a whole number from {LEAST} to {MOST}, or two as [width, height], was expected, not {shown(value)}",
            where=sampling.where("size"),
        )
    width, height = int(sides[0]), int(sides[-1])
    return width if width == height else (width, height)


def read_scheduler(sampling: Table) -> str:
    """The key `scheduler`: one of the known names.

    Raises:
        StudyError: another name; the message names the nearest one.
    """
    return sampling.choice("scheduler", tuple(SCHEDULERS)) if "scheduler" in sampling.values else ""
