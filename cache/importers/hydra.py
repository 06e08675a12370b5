"""What Hydra wrote beside open-unlearning's results, `.hydra/config.yaml`: the run's settings, and which metrics were
measured in another way than usual, so that they are other metrics.

The file has references such as `${eval.tofu.question_key}` in it; they are followed here. Only plain data is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from backends.files.plain import NotPlain, read_plain
from cache.importers.findings import plain_settings

PLACE = Path(".hydra") / "config.yaml"
MOST_BYTES = 4 * 2**20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # tens of times faster where libyaml is there
_SECTION = re.compile(r"^(?=[A-Za-z_][\w.-]*:)", re.MULTILINE)
_MOST_NESTED = 100
_OPENERS = re.compile(r"(?<!\$)[\[{]")
_DEEP_LINE = re.compile(
    rf"^(?:[ \t]{{{4 * _MOST_NESTED}}}|(?:[ \t]*[-?:](?=[ \t])){{{_MOST_NESTED}}})", re.MULTILINE
)
_REFERENCE = re.compile(r"\$\{([\w.@-]+)\}")
_TRAINERS = ("FinetuneTrainer", "Trainer")
_DEEPEST, _MOST_LEAVES, _MOST_PARTS = 24, 5000, 50


@dataclass(frozen=True, slots=True)
class Config:
    """Settings beside a folder of results; everything is empty if there are none.

    Attributes:
        evaluation: of the nearest file, which made the results.
        training: of the nearest file that has a trainer.
        there: whether there is any such file.
        problem: why a file that is there could not be read, or "".
    """

    evaluation: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    there: bool = False
    problem: str = ""

    def text(self, *names: str) -> str:
        """The first of these settings (`eval.tofu.forget_split`) that is a text, in the evaluation's file."""
        for name in names:
            value = _at(self.evaluation, name)
            if isinstance(value, str) and value and "${" not in value and value != "???":
                return value
        return ""

    def settings(self) -> dict[str, object]:
        """The trainer's settings, flat, and the log that the tool compared with."""
        trainer = self.training.get("trainer")
        flat = plain_settings({"trainer": trainer}) if isinstance(trainer, Mapping) else {}
        log = self._log()
        return flat | ({"retain_logs_path": log} if log else {})

    def _log(self) -> str:
        return self.text("eval.tofu.retain_logs_path", "eval.muse.retain_logs_path", "retain_logs_path")

    def without_log(self, benchmark: str) -> bool:
        """The evaluation of a benchmark (tofu or muse) is set here, and names no retained log."""
        return isinstance(_at(self.evaluation, f"eval.{benchmark}"), Mapping) and not self._log()

    def handler(self) -> str:
        """The unlearning method that the trainer's settings name; "" for ordinary training."""
        trainer = self.training.get("trainer")
        name = trainer.get("handler") if isinstance(trainer, Mapping) else None
        return name[:80] if isinstance(name, str) and name not in _TRAINERS and "${" not in name else ""

    def changed(self, benchmark: str, metric: str) -> tuple[str, ...]:
        """What a metric was told to do differently than usual: `aggregator=prob_mean`, each once; () as usual.

        Args:
            benchmark: tofu or muse.
            metric: the tool's name of it.
        """
        metrics = _at(self.evaluation, f"eval.{benchmark}.metrics")
        if not isinstance(metrics, Mapping) or not isinstance(metrics.get(metric), Mapping):
            return ()
        told = self._unusual(benchmark, metric, metrics[metric])
        # The tool evaluates a part that is a metric of its own once, as that metric is set.
        for part in {inner for inner, _ in told} | self._parts(metrics[metric]):
            if part != metric and isinstance(metrics.get(part), Mapping):
                told += [
                    (part, change)
                    for inner, change in self._unusual(benchmark, part, metrics[part])
                    if inner == part
                ]
        changes: dict[str, dict[str, None]] = {}
        for inner, change in told:
            changes.setdefault(change, {})[inner] = None
        return tuple(
            change if metric in inners or len(inners) > 1 else f"{next(iter(inners))} {change}"
            for change, inners in changes.items()
        )

    def _unusual(self, benchmark: str, metric: str, held: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Settings of a metric and of its parts that are not the tool's usual ones, with whose they are."""
        leaves = islice(_leaves(held, metric, self.evaluation, 0), _MOST_LEAVES)
        return [
            (inner, f"{name}={value}"[:120])
            for inner, name, value in leaves
            if _unusual(benchmark, inner, name, value)
        ]

    def _parts(self, held: Mapping[str, Any]) -> set[str]:
        """Names of the metrics that a metric is made of."""
        parts = held.get("pre_compute")
        return {str(name) for name in islice(parts, _MOST_PARTS)} if isinstance(parts, Mapping) else set()


def config_beside(folder: Path) -> Config:
    """What Hydra wrote in the folder, or up to two above it (`checkpoint-60/evals`)."""
    evaluation: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}
    problem, there = "", False
    for place in (folder, folder.parent, folder.parent.parent):
        try:
            state = (place / PLACE).stat()
        except (OSError, ValueError):
            continue
        held, why = _read(place / PLACE, state.st_mtime_ns, state.st_size)
        there, problem = True, problem or why
        evaluation = evaluation or held
        if isinstance(held.get("trainer"), Mapping):
            training = held
            break
    return Config(evaluation, training, there, problem)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> tuple[Mapping[str, Any], str]:
    """The file, read once for all checkpoints of a task; `changed` and `size` tell when to read it again."""
    try:
        return _sections(read_plain(path, MOST_BYTES).decode("utf-8-sig")), ""
    except NotPlain as error:
        return {}, str(error)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, OverflowError):
        return {}, "is not YAML with settings"


def _sections(text: str) -> Mapping[str, Any]:
    """The settings; each section on its own, because those of a sweep's runs differ in few of their thousand lines."""
    pieces = [piece for piece in _SECTION.split(text) if piece.strip()]
    if len(pieces) > 1 and all(_SECTION.match(piece) for piece in pieces):
        try:
            return {name: value for piece in pieces for name, value in _section(piece).items()}
        except (yaml.YAMLError, ValueError):
            pass  # a section that cannot be read alone
    return _parsed(text)


@lru_cache(maxsize=512)
def _section(text: str) -> Mapping[str, Any]:
    return _parsed(text)


def _parsed(text: str) -> Mapping[str, Any]:
    if _is_deep(text):
        raise ValueError("nested too deeply")
    content = yaml.load(text, Loader=_LOADER)  # a safe loader, it makes plain data only
    if not isinstance(content, dict):
        raise ValueError("no settings")
    return content


def _is_deep(text: str) -> bool:
    """Whether the text is nested so deeply that libyaml's composer, which recurses, would bring the process down."""
    openers = islice(_OPENERS.finditer(text), _MOST_NESTED + 1)
    if sum(1 for _ in openers) <= _MOST_NESTED and not _DEEP_LINE.search(text):
        return False
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):  # this part of it does not recurse
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_NESTED:
            return True
    return False


def _at(settings: Mapping[str, Any], name: str) -> Any:
    """The setting of a dotted name, references followed."""
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _followed(value, settings, 0)


def _followed(value: Any, settings: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEEPEST or not isinstance(value, str) or "${" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        found: Any = settings
        for part in whole[1].split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return _followed(found, settings, depth + 1)
    return _REFERENCE.sub(lambda match: str(_followed(match[0], settings, depth + 1))[:200], value)


def _leaves(
    held: Mapping[str, Any], metric: str, settings: Mapping[str, Any], depth: int
) -> Iterator[tuple[str, str, Any]]:
    """Settings below a metric with the name of the innermost metric that they are of."""
    if depth > _DEEPEST:
        return
    for name, value in held.items():
        if name == "reference_logs":
            continue  # of the retained run
        if isinstance(value, Mapping):
            yield metric, "", None  # counted, since YAML may hold the same thing many times over
            if name == "pre_compute":
                for inner, below in value.items():
                    if isinstance(below, Mapping):
                        yield from _leaves(below, str(inner), settings, depth + 1)
            else:
                yield from _leaves(value, metric, settings, depth + 1)
        elif isinstance(name, str):
            yield metric, name, _followed(value, settings, 0)


def _unusual(benchmark: str, metric: str, name: str, value: object) -> bool:
    """Whether a setting that gives a metric its meaning differs from the tool's own file for it (d3d7cf9)."""
    if value is None or isinstance(value, Mapping | list):
        return False
    lower = metric.lower()
    if name == "aggregator":
        usual = "closer_to_1_better" if lower.startswith("forget") else "true_better"
        return bool(value != usual) and "truth_ratio" in lower
    if name == "rouge_type":
        return bool(value != ("rougeL_f1" if benchmark == "muse" else "rougeL_recall"))
    if name == "question_key":
        return value not in ("question", "prompt")
    if name == "answer_key":
        usual = (
            "paraphrased_answer"
            if "_para_" in lower
            else "perturbed_answer"
            if "_pert_" in lower
            else "answer"
        )
        return value not in (usual, "gt")
    if name == "k":
        return lower.startswith("mia_min_k") and value != 0.4
    if name == "do_sample":
        return value is True
    if name == "max_new_tokens":
        usual_length = 200 if benchmark == "tofu" else 128 if "verbmem" in lower else 32
        return "rouge" in lower and value != usual_length
    return False
