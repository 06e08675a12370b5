"""What the names of tasks and folders say: benchmark, base model, split, method, hyper-parameters, seed, step.

Names are those that scripts and released checkpoints of open-unlearning have (`tofu_{model}_{split}_{trainer}`,
`unlearn_tofu_{model}_{split}_{method}_lr1e-05_beta0.1_alpha1_epoch5`, `muse_{model}_{data}_{trainer}_scal_forget_2`,
`PDU-TOFUretain90-E10-...`), those of UDS (`npo_lr1e5_b01_a1_ep5`), TOFU 2024, NPO and SimNPO
(`8GPU_simnpo_grad_diff_1e-05_forget05_epoch10_batch4_...`), and MUSE's rows (`ga_gdr`, `npo_klr`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from backends.study import Part

KNOWN_METHODS = (
    "GradAscent", "GradDiff", "GradDiffKL", "IdkDPO", "DPO", "AltPO", "NPO", "SimNPO", "RMU", "UNDIAL", "WGA", "SatImp",
    "CEU", "PDU", "IdkNLL", "GRU", "WHP", "TaskVector", "KTO", "FLAT", "ELM", "Receler",
)  # fmt: skip
_ALIASES: Mapping[str, str] = {
    **{method.lower(): method for method in KNOWN_METHODS},
    "ga": "GradAscent",
    "gd": "GradDiff",
    "grad ascent": "GradAscent",
    "grad diff": "GradDiff",
    "gradient ascent": "GradAscent",
    "gradient difference": "GradDiff",
    "idk": "IdkNLL",
    "tv": "TaskVector",
    "task vector": "TaskVector",
}
"""What a name calls a method, in small letters and with spaces -> the name that it has here."""
_REGULARISED: Mapping[str, str] = {
    "gdr": "GradDiff",
    "klr": "KL",
    "grad diff": "GradDiff",
    "kl": "KL",
    "sure": "SURE",
}
"""What follows a method in MUSE's and NPO's names: the retain term that it was trained with."""

_PARAMETERS: Mapping[str, str] = {
    "lr": "lr", "learningrate": "lr", "b": "beta", "beta": "beta", "beta1": "beta1", "beta2": "beta2", "a": "alpha",
    "alpha": "alpha", "g": "gamma", "gamma": "gamma", "d": "delta", "delta": "delta", "l": "layer", "layer": "layer",
    "s": "scoeff", "scoeff": "scoeff", "ep": "epoch", "epoch": "epoch", "epochs": "epoch", "e": "epoch", "wd": "wd",
    "seed": "seed", "temp": "temperature", "temperature": "temperature", "t": "temperature", "topp": "top_p",
    "topk": "top_k", "bs": "batch", "batch": "batch", "batchsize": "batch", "accum": "accum", "r": "rank",
    "rank": "rank", "lorar": "rank", "lora": "rank", "k": "k", "eta": "eta", "eps": "epsilon", "lam": "lambda",
    "lambda": "lambda", "step": "steps", "steps": "steps", "warmup": "warmup", "primal": "primal", "c": "C",
    "coeff": "coefficient",
}  # fmt: skip
"""Letters before a number -> the hyper-parameter."""
_BARE = ("seed", "temp", "temperature", "lr", "alpha", "beta", "gamma", "epoch", "epochs")
"""Names whose number may be the next piece: `seed_42`."""
_TWO_WORDS = frozenset(name for name in (*_ALIASES, *_REGULARISED) if " " in name)
_NUMBER = r"\d*\.?\d+(?:e-?\d+)?"
_PARAMETER = re.compile(rf"^(?P<name>[a-z]+?)[=\-]?(?P<value>{_NUMBER})$", re.IGNORECASE)
_TWO_BETAS = re.compile(rf"^(?P<name>beta[12])(?P<value>{_NUMBER})$")
_SPLIT = re.compile(r"^(?P<kind>forget|retain)(?P<share>\d\d)$")
_HYPHENS = re.compile(
    r"-(?=(?:forget\d\d|retain\d\d|full|target|retrain)(?:[-_]|$))|(?<=forget\d\d)-|(?<=retain\d\d)-|(?<=full)-"
)
"""Hyphens around what tells data and part, where somebody wrote them for `_`."""
_DATA = {"news": "News", "books": "Books"}
_SET = re.compile(r"^(?P<set>scal|sust)$")
_PDU = re.compile(
    r"^PDU-(?P<set>TOFU|Muse)(?P<data>retain\d\d|News|Books)-(?P<rest>.*?)-model_?(?P<model>.+)$",
    re.IGNORECASE,
)
_GENERIC = re.compile(
    r"evals?|eval_results?(?:-\d+)?|results?|checkpoints?|(?:checkpoint[-_])?(?:final|last|best)",
    re.IGNORECASE,
)
_EVALS = re.compile(r"evals?_(?P<split>forget\d\d|news|books)(?:_.*)?", re.IGNORECASE)
_CHECKPOINT = re.compile(r"(?:checkpoint|step|global_step)[-_=]?(?P<step>\d{1,12})", re.IGNORECASE)
_ENDS = re.compile(
    r"^(?:forget\d\d|retain\d\d|news|books|full|target|retrain|bio|cyber|chem)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class TaskName:
    """What a path says of a run; "" and None where it says nothing.

    Attributes:
        model: name for people: the task, and the step where it is a checkpoint on the way.
        base: the language model.
        split: data that was to be forgotten.
        benchmark: TOFU, MUSE or WMDP.
        task: the folder's name that this was read from.
    """

    model: str
    part: Part
    base: str = ""
    split: str = ""
    method: str = ""
    step: float | None = None
    line: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    benchmark: str = ""
    task: str = ""


def forgotten(retained: str) -> str:
    """Split that a retained model has never seen: retain90 -> forget10."""
    return f"forget{100 - int(retained.removeprefix('retain')):02d}"


def task_name(folder: PurePath) -> TaskName:
    """What the path of a folder with result files says.

    Args:
        folder: the one that holds `TOFU_EVAL.json` or the like.
    """
    parts = list(folder.parts)
    evals, step = "", None
    while len(parts) > 1:
        evaluated, checkpoint = _EVALS.fullmatch(parts[-1]), _CHECKPOINT.fullmatch(parts[-1])
        if evaluated:
            evals = evals or _split_of(evaluated["split"])
        elif checkpoint:
            step = float(checkpoint["step"]) if step is None else step
        elif not _GENERIC.fullmatch(parts[-1]):
            break
        parts = parts[:-1]
    return of_task(parts[-1] if parts else folder.name, evals=evals, step=step)


def of_task(task: str, *, evals: str = "", step: float | None = None) -> TaskName:
    """What the name of a task says.

    Args:
        task: `tofu_Llama-3.2-1B-Instruct_forget10_NPO_lr1e-05_seed2` and the like.
        evals: split that a folder below it names (`evals_forget10`).
        step: of a checkpoint on the way.
    """
    where = f"{task} step {step:g}" if step is not None else task
    pdu = _PDU.match(task)
    if pdu:
        settings = _settings(re.split(r"-(?!\d)", pdu["rest"]), "PDU")
        return TaskName(
            where, "unlearned", pdu["model"], _split_of(pdu["data"]), "PDU", step, task, settings,
            pdu["set"].upper(), task,
        )  # fmt: skip
    pool, text = _without_prefix(task)
    pieces = _HYPHENS.sub("_", text).split("_")
    benchmark = pieces[0].upper() if pieces[0].lower() in ("tofu", "muse", "wmdp") else ""
    end = next((place for place, piece in enumerate(pieces) if place and _ENDS.match(piece)), None)
    first_method = next((place for place, piece in enumerate(pieces) if piece.lower() in _ALIASES), None)
    base_end = end if end is not None else first_method if first_method else len(pieces)
    base = "_".join(pieces[1:base_end]) if benchmark else ""
    behind = pieces[base_end:] if benchmark else pieces
    rest = [part for piece in behind for part in re.split(r"-(?=[A-Za-z])", piece)]
    splits = [_split_of(piece) for piece in rest]
    split = evals or next((found for found in splits if found), "")
    method, settings = method_of("_".join(rest))
    settings |= _named_sets(rest)
    kinds = {piece.lower() for piece in rest}
    trained = any(piece.lower().startswith("forget") and _SPLIT.match(piece) for piece in rest)
    part: Part = "unlearned"
    if not method and not pool and not (trained and _unknown(rest)) and not task.startswith("unlearn_"):
        if any(_SPLIT.match(kind) and kind.startswith("retain") for kind in kinds) or "retrain" in kinds:
            part = "retained"
        elif kinds & {"full", "target"}:
            part = "original"
    if part == "unlearned" and not method and benchmark:
        method = next(iter(_unknown(rest)), "")  # an unknown method stands behind the split
        settings.pop("variant", None)
    if not benchmark:
        settings.pop("variant", None)
    if pool:
        settings["pool"] = pool
        method = ""
    return TaskName(
        where, part, base, split, method if part == "unlearned" else "", step, task, settings, benchmark, task
    )


def method_of(name: str) -> tuple[str, dict[str, object]]:
    """Method and hyper-parameters that a name holds: `npo_lr1e5_b01_a1_ep5` -> NPO, lr 1e5 as written, ..."""
    pieces = [piece for piece in re.split(r"[_\s]+|-(?=[A-Za-z])", name) if piece]
    lower = [piece.lower() for piece in pieces]
    method, place, length = "", -1, 0
    for start in range(len(pieces)):
        for count in (2, 1):
            alias = (
                _ALIASES.get(" ".join(lower[start : start + count])) if start + count <= len(pieces) else None
            )
            if alias:
                method, place, length = alias, start, count
                break
        if method:
            break
    settings: dict[str, object] = {}
    if method:
        for count in (2, 1):
            behind = " ".join(lower[place + length : place + length + count])
            if behind in _REGULARISED and place + length + count <= len(pieces):
                settings["retain term"] = _REGULARISED[behind]
                if (method, behind) in (("GradAscent", "gdr"), ("GradAscent", "grad diff")):
                    method = "GradDiff"
                    settings.pop("retain term")
                elif (method, behind) == ("GradAscent", "klr"):
                    method = "GradDiffKL"
                    settings.pop("retain term")
                break
    return method, settings | _settings(pieces, method)


def _settings(pieces: Iterable[str], method: str) -> dict[str, object]:
    """Hyper-parameters as they are written."""
    settings: dict[str, object] = {}
    held = list(pieces)
    betas = [match for piece in held if (match := _TWO_BETAS.match(piece))]
    two = len({match["name"] for match in betas}) == 2  # SatImp; in WGA's `beta1.0` the one is of the number
    for place, piece in enumerate(held):
        match = _TWO_BETAS.match(piece) if two else None
        match = match or _PARAMETER.match(piece)
        name = _PARAMETERS.get(match["name"].lower()) if match else None
        if match and name:
            settings["s" if match["name"] == "s" and method not in ("RMU", "") else name] = match["value"]
        elif re.fullmatch(r"\d\.?\d*e-\d+", piece):  # 2024's names have the learning rate bare
            settings.setdefault("lr", piece)
        elif piece.lower() in _BARE:
            follows = held[place + 1] if place + 1 < len(held) else ""
            if re.fullmatch(_NUMBER, follows):  # `seed_42`
                settings.setdefault(_PARAMETERS[piece.lower()], follows)
        elif re.fullmatch(r"quantized|quantised|4bit|8bit|nf4|int8|int4|awq|gptq", piece, re.IGNORECASE):
            settings["quantisation"] = piece
    return settings


def _named_sets(pieces: Sequence[str]) -> dict[str, object]:
    """MUSE's larger forget sets (`scal_forget_2`) and requests in a row (`sust_forget_3`), and what else there is."""
    settings: dict[str, object] = {}
    for place, piece in enumerate(pieces):
        if _SET.match(piece.lower()):
            following = pieces[place + 1 : place + 3]
            if len(following) == 2 and following[0] == "forget" and following[1].isdecimal():
                settings[piece.lower()] = f"forget_{following[1]}"
    variant = _unknown(pieces)
    if variant:
        settings["variant"] = "_".join(variant)
    return settings


def _unknown(pieces: Sequence[str]) -> list[str]:
    """Pieces behind the split that are neither a method nor a setting."""
    found, skip = [], 0
    for place, piece in enumerate(pieces):
        lower = piece.lower()
        if skip:
            skip -= 1
        elif lower in ("scal", "sust") and pieces[place + 1 : place + 2] == ["forget"]:
            skip = 2
        elif lower in _BARE or " ".join([lower, *pieces[place + 1 : place + 2]]).lower() in _TWO_WORDS:
            skip = 1
        elif not (
            lower in _ALIASES
            or lower in _REGULARISED
            or _ENDS.match(piece)
            or _settings([piece], "")
            or _TWO_BETAS.match(piece)
            or not piece
        ):
            found.append(piece)
    return found


def _split_of(piece: str) -> str:
    """`forget10` of forget10 and retain90, `News` of news."""
    if piece.lower() in _DATA:
        return _DATA[piece.lower()]
    match = _SPLIT.match(piece.lower())
    if not match:
        return ""
    return match[0] if match["kind"] == "forget" else forgotten(match[0])


def _without_prefix(task: str) -> tuple[str, str]:
    """`pos` or `neg` of the pools of the meta-evaluation, and the name behind that and behind `unlearn_`."""
    for pool in ("pos", "neg"):
        if task.startswith(f"{pool}_tofu_"):
            return pool, task.removeprefix(f"{pool}_")
    return "", task.removeprefix("unlearn_")
