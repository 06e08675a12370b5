"""`unlearnboard attack`: what the models of a study still know when they are asked hard."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_device, add_study
from app.cli.terminal import ProgressLines, ctrl_c_flag, printable
from backends.attacks import FAMILIES, Attack
from backends.attacks.own_attack import attacks_named
from backends.errors import StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from backends.study import Study
    from cache.analysis.robustness.ladder import Ladder, Rung

TITLES = {"": "asked plainly", "strongest": "strongest (picked on other facts)"}


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard attack`."""
    parser = subparsers.add_parser(
        "attack",
        help="ask the models hard: is it erased, or hidden?",
        description="Try attacks on the models of a study and keep the evidence. The original and the retained model "
        "are attacked in the same way: they are ceiling and floor. Ctrl-C stops; the same command resumes.",
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument(
        "--attacks",
        metavar="KEY",
        nargs="+",
        help="only these, or a Python file with an attack of your own (default: those of the study file, else all that "
        "are possible)",
    )
    parser.add_argument(
        "--models",
        metavar="NAME",
        nargs="+",
        help="these unlearned models (default: those of the study file, else the best checkpoint of every method, as "
        "Overview shows it)",
    )
    parser.add_argument(
        "--list", action="store_true", help="print the attacks and what each needs, and try none"
    )
    parser.add_argument("--no-run", action="store_true", help="only print what the cache knows")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_device(parser)
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Try what is missing, then print what each attack recovers."""
    from app.shared.settings import open_cache
    from backends.pool import ModelPool
    from backends.study.file import read_study
    from cache.analysis.robustness.kept import kept_ladder
    from cache.analysis.robustness.trials import trials
    from cache.evaluate.attacks import train_attacks, try_attacks
    from cache.evaluate.context import EvaluationContext
    from cache.evaluate.evaluation import evaluate

    study = read_study(options.study)
    attacks = attacks_named(options.attacks or study.attacks.use, study.modality)
    if options.list:
        _list(attacks)
        return 0
    models = _models(study, options.models)
    store = open_cache()
    left_out = []
    if not options.no_run:
        lines = ProgressLines(sys.stderr if options.json else None)
        started = time.monotonic()
        try:
            with ctrl_c_flag() as stop:
                context = EvaluationContext.of(study, store, ModelPool(options.device), stop)
                wanted = [
                    spec.name for spec in study.models if spec.part != "unlearned" or spec.name in models
                ]
                evaluate(
                    context, [name for name in wanted if context.models[name].can_be_evaluated], lines.show
                )
                left_out = train_attacks(study, attacks, models, context, _training)
                found = trials(study, store, models, attacks)
                left_out += try_attacks(found, context, lambda _, progress: lines.show(progress))
        finally:
            lines.close()
        print(f"Attacks tried in {time.monotonic() - started:.0f} s.", file=sys.stderr)
    found = trials(study, store, models)
    result = kept_ladder(study, store, found)
    if options.json:
        print(json.dumps([_json(each) for each in result.rungs], indent=1, allow_nan=False))
    else:
        for line in _table(study, result):
            print(printable(line))
    wanted_keys = {each.card.key for each in attacks}
    for each in [each for each in (*found.left_out, *left_out) if each.attack in wanted_keys]:
        of = f" of {each.model}" if each.model else ""
        print(printable(f"left out: {each.attack}{of}: {each.why}"), file=sys.stderr)
    return 0


def _training(attack: str, model: str, step: int, last: int) -> None:
    if step in (1, last):
        print(printable(f"{model:<24.24} {attack:<16.16} training  step {step} of {last}"), file=sys.stderr)


def _models(study: Study, named: Sequence[str] | None) -> list[str]:
    from app.shared.chosen_models import standing
    from app.shared.settings import open_cache
    from cache.analysis.scoreboard import scoreboard
    from cache.analysis.verdict.kept import kept_verdicts

    known = [spec.name for spec in study.models]
    for name in named or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}"
            raise StudyError(f"this study has no model {name!r}", where="--models", how=hint)
    if named or study.attacks.models:
        return list(named or study.attacks.models)
    store = open_cache()
    return list(standing(study, kept_verdicts(study, scoreboard(study, store), store)).values())


def _list(attacks: Sequence[Attack]) -> None:
    for each in attacks:
        card = each.card
        needs = f"; needs {card.needs}" if card.needs else ""
        print(f"{card.key:<14} {card.title} ({FAMILIES[card.family].lower()}). {card.reading}")
        print(f"{'':<14} takes {', '.join(card.access)}; puts in: {card.injects}{needs}. {card.source}")


def _table(study: Study, found: Ladder) -> list[str]:
    """A block for each unlearned model: what every attack brings out, and what of that is recovered."""
    lines = []
    names = list(dict.fromkeys(each.model for each in found.rungs))
    for name in names:
        if study.model(name).part != "unlearned":
            continue
        lines += ["", name, f"  {'':<36}{'says':>6}  {'recovered':<36}{'rates':>6}  recovered"]
        keys = dict.fromkeys(each.attack for each in found.rungs if each.model == name)
        for key in keys:
            title = {"": "asked plainly", "strongest": "strongest (cross-fitted)"}.get(key) or found.attacks[
                key
            ].title
            says, rates = found.rung(name, "says", key), found.rung(name, "rates", key)
            lines.append(
                f"  {title:<34}{_score(says):>6}  {_recovered(says):<24}{_score(rates):>6}  {_recovered(rates)}"
            )
    return lines


def _score(rung: Rung | None) -> str:
    return "" if rung is None or math.isnan(rung.value) else f"{rung.value:.2f}"


def _recovered(rung: Rung | None) -> str:
    if rung is None:
        return ""
    if math.isnan(rung.found.share):
        return rung.told
    return f"{rung.found.share:.2f} [{rung.found.low:.2f}, {rung.found.high:.2f}] {rung.told}"


def _json(rung: Rung) -> dict[str, object]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    found = rung.found
    return {
        "model": rung.model,
        "attack": rung.attack or "plain",
        "measure": rung.measure,
        "metric": rung.metric,
        "value": number(rung.value),
        "low": number(rung.low),
        "high": number(rung.high),
        "worst": number(rung.worst),
        "recovered": number(found.share),
        "recovered_low": number(found.low),
        "recovered_high": number(found.high),
        "p": number(rung.p),
        "floor": number(found.floor),
        "floor_is": rung.floor_is,
        "ceiling": number(found.ceiling),
        "holdout": number(rung.holdout),
        "n": found.n,
        "subjects": found.groups,
        "told": rung.told,
        "picked": list(rung.picked),
    }
