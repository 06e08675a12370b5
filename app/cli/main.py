"""The command line: open the dashboard on a demo, a study file or a few folders; evaluate without a browser; prepare.

Everything that can be wrong with the input is said before a server starts, in one sentence on the error stream. Torch
is imported by `evaluate` and `prepare` only.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import runpy
import shlex
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli import options as cli_options
from app.shared.settings import CACHE_VARIABLE, STUDIES_VARIABLE, cache_folder, demo_studies, open_store
from backends.errors import BoardError, Cancelled, CheckpointError, ModelError, StudyError
from backends.study import ProtocolName, Reading, Role, Study
from backends.study.file import read_study
from backends.versions import own_version

if TYPE_CHECKING:
    from cache.store import Store

USER_ERROR = 2
LAST_PORT = 65535
INTERRUPTED = 130
BROKEN_PIPE = 141


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    try:
        return _dispatch(list(arguments))
    except BoardError as error:
        from app.cli.terminal import printable

        print(f"unlearnboard: {printable(str(error))}", file=sys.stderr)
        for sentence in getattr(error, "each", ()):
            print(f"  {printable(sentence)}", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (Cancelled, KeyboardInterrupt):
        print("Stopped. What was done is kept; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["evaluate"]:
        options = cli_options.evaluate_parser().parse_args(arguments[1:])
        _use_cache(options.cache)
        _rehash(options)
        chosen = json_metrics(options)
        return evaluate(options.study, options.models, options.device, chosen, options.protocol)
    if arguments[:1] == ["metrics"]:
        options = cli_options.metrics_parser().parse_args(arguments[1:])
        return metrics(options.keys, as_json=options.json)
    if arguments[:1] == ["probes"]:
        options = cli_options.probes_parser().parse_args(arguments[1:])
        reading = Reading(cli_options.columns(options), encoding=options.encoding, split=options.split)
        return probes(options.file, reading, options.role, options.modality, as_json=options.json)
    if arguments[:1] == ["models"]:
        options = cli_options.models_parser().parse_args(arguments[1:])
        _use_cache(options.cache)
        _rehash(options)
        return models(options.study, options.device, as_json=options.json)
    if arguments[:1] == ["import"]:
        options = cli_options.import_parser().parse_args(arguments[1:])
        _use_cache(options.cache)
        return import_results(options)
    if arguments[:1] == ["unlearn"]:
        return unlearn(cli_options.unlearn_parser().parse_args(arguments[1:]))
    if arguments[:1] == ["export"]:
        options = cli_options.export_parser().parse_args(arguments[1:])
        _use_cache(options.cache)
        return export(options.study, options.to, figures=not options.no_figures)
    if arguments[:1] == ["prepare"]:
        options = cli_options.prepare_parser().parse_args(arguments[1:])
        _use_cache(options.cache)
        return prepare()
    own, streamlit = cli_options.without_streamlit_flags(arguments)
    parser = cli_options.show_parser(own_version())
    options = parser.parse_args(own)
    _use_cache(options.cache)
    _rehash(options)
    return show(_study_files(options, parser), options.port, not options.no_browser, streamlit)


def _rehash(options: argparse.Namespace) -> None:
    if options.rehash:
        from backends.files.remembered import forget_all

        forget_all()


def show(files: Sequence[Path], port: int, browser: bool, streamlit: Sequence[str] = ()) -> int:
    """Start the dashboard on these study files, or on the demo where there are none; returns when it ends.

    Args:
        files: study files.
        port: on the loopback address.
        browser: open one.
        streamlit: flags that are handed on ("--server.maxUploadSize=100").
    """
    for path in files or _demo():
        study = read_study(path)
        if files:
            _print_wrong(_check_models(study))
    open_store()
    _check_port(port)
    if files:
        os.environ[STUDIES_VARIABLE] = json.dumps([str(path) for path in files])
    print(f"Starting UnlearnBoard at http://127.0.0.1:{port} (Ctrl-C ends it) ...", flush=True)
    headless = [] if browser else ["--server.headless=true"]
    script = Path(__file__).resolve().parents[1] / "main.py"
    sys.argv = ["streamlit", "run", str(script), f"--server.port={port}", *headless, *streamlit]
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    return 0


def json_metrics(options: argparse.Namespace) -> list[str] | None:
    """Keys of the metrics that `evaluate` prints as JSON, none for all; None where it prints for people."""
    from app.cli.metric_listing import check_keys

    check_keys(options.metrics or (), "--metrics")
    if options.metrics and not options.json:
        raise StudyError(
            "--metrics chooses what --json prints; metrics cost nothing to compute", how="Add --json"
        )
    return list(options.metrics or ()) if options.json else None


def metrics(keys: Sequence[str], *, as_json: bool) -> int:
    """Print what can be measured, or all about the metrics named."""
    from app.cli.metric_listing import json_listing, listing

    for line in (json_listing if as_json else listing)(keys):
        print(line)
    return 0


def probes(file: str, reading: Reading, role: Role, modality: str | None, *, as_json: bool) -> int:
    """Print how a file of probes is read; the status says whether all of its rows can be used."""
    from app.cli.terminal import printable
    from app.shared import probe_listing
    from backends.probes.reading import inspect_probes
    from backends.probes.sources import is_on_hub, probe_file

    path = probe_file(file) if is_on_hub(file) else Path(file).expanduser().absolute()
    pictures = None if modality is None else modality == "image"
    found = inspect_probes(path, role, reading, pictures=pictures)
    for line in [probe_listing.as_json(found)] if as_json else probe_listing.lines(found):
        print(line if as_json else printable(line))
    return USER_ERROR if found.problems else 0


def evaluate(
    path: Path,
    names: Sequence[str] | None,
    device: str | None,
    as_json: Sequence[str] | None = None,
    protocol: ProtocolName | None = None,
) -> int:
    """Run the models of a study on all its probes, as far as that was not done before.

    Args:
        path: the study file.
        names: models; None is all whose weights are here.
        device: "cpu", "cuda" or "mps"; None takes the fastest there is.
        as_json: keys of the metrics to print as JSON, none for all; None prints a summary for people.
        protocol: how language models are asked; None is what the study says.
    """
    from app.cli.terminal import ProgressLines, printable, stopped_by_ctrl_c
    from app.shared.probe_listing import of_sets
    from backends.checkpoints.identity import can_be_evaluated
    from backends.pool import ModelPool
    from cache.evaluate.evaluation import evaluate as run_evaluation
    from cache.evaluate.left_out import LeftOut

    study = read_study(path)
    if protocol is not None and study.modality != "text":
        raise StudyError(
            "only studies of language models have protocols", where="--protocol", how="Leave it out"
        )
    study = replace(study, protocol=protocol or study.protocol)
    _check_names(study, names)
    store = open_store()
    wrong = _check_models(study)
    _print_wrong(wrong)
    here = [model.name for model in study.models if can_be_evaluated(model)]
    wanted = list(names or [model.name for model in study.models if model.name in {*here, *wrong}])
    if not set(wanted) & set(here):
        absent = f"the weights of {', '.join(names or ())} are not on this machine"
        raise StudyError(
            f"{absent}, only recorded answers can be shown"
            if names
            else "no model of this study has its weights on this machine",
            where=str(path),
        )
    for each in study.probe_sets:
        for row in each.left_out:
            print(printable(f"{each.name}: left out {row}"), file=sys.stderr)
    for line in of_sets(study.probe_sets):
        print(printable(line), file=sys.stdout if as_json is None else sys.stderr)
    started = time.monotonic()
    refused: LeftOut | None = None
    notes: dict[str, None] = {}
    lines = ProgressLines(None if as_json is None else sys.stderr)
    try:
        with stopped_by_ctrl_c() as stop:
            pool = ModelPool(device)
            run_evaluation(study, store, pool, wanted, lines.show, stop, lambda note: notes.setdefault(note))
    except LeftOut as error:
        refused = error  # said at the end: what could be evaluated has values
    finally:
        lines.close()
        for note in notes:
            print(printable(note), file=sys.stderr)
    if as_json is not None:
        from app.cli.metric_listing import json_values
        from cache.analysis.scoreboard import scoreboard

        named = study.protocol if study.modality == "text" else ""
        for line in json_values(scoreboard(study, store), wanted, as_json, named):
            print(line)
    if refused is not None:
        raise refused
    if as_json is not None:
        return 0
    for sentence in _lost_utility(study, store, wanted):
        print(printable(sentence))
    seconds = time.monotonic() - started
    under = f" under the protocol {study.protocol}" if study.protocol != "corrected" else ""
    print(
        f"{len(wanted)} of {len(study.models)} models are evaluated{under} ({seconds:.0f} s). See them with:"
    )
    print(f"  unlearnboard {shlex.quote(str(path))}")
    return 0


def _lost_utility(study: Study, store: Store, models: Sequence[str]) -> list[str]:
    from cache.analysis.lost_utility import lost_utility
    from cache.analysis.scoreboard import scoreboard

    return lost_utility(scoreboard(study, store), study.original.name, models)


def import_results(options: argparse.Namespace) -> int:
    """Take in results of other tools, list them, or forget some."""
    from app.cli import importing

    if options.remove:
        return importing.remove(open_store(), options.remove)
    if options.list:
        return importing.list_collections(open_store())
    if options.reference and not options.paths:
        return importing.choose(open_store(), *options.reference)
    if not options.paths:
        raise StudyError("nothing to import was named", how="Name files or folders, or --list what is there")
    status = importing.import_paths(open_store(), options.paths, as_json=options.json)
    if options.reference:
        importing.choose(open_store(), *options.reference, quiet=options.json)
    return status


def unlearn(options: argparse.Namespace) -> int:
    """Train unlearned versions of a study's original, or list the methods."""
    from app.shared import unlearning

    if options.list:
        for line in unlearning.setting_lines(options.method) if options.method else unlearning.listing():
            print(line)
        return 0
    if options.study is None or options.method is None:
        raise StudyError("a study file and --method are needed", how="--list shows the methods")
    if not 1 <= options.checkpoints <= 100:
        raise StudyError("from 1 to 100 checkpoints can be kept", where="--checkpoints")
    asked = unlearning.Asked(
        options.method,
        cli_options.settings(options),
        options.checkpoints,
        options.to.expanduser(),
        options.retain,
        options.anchor,
    )
    return unlearning.unlearn_study(options.study, asked, unlearning.grid(options.grid), options.device)


def export(path: Path, folder: Path, *, figures: bool) -> int:
    """Write what a study measured into a folder."""
    from app.cli.exporting import export_study
    from app.cli.terminal import printable
    from cache.analysis.scoreboard import scoreboard

    study, store = read_study(path), open_store()
    for file in export_study(study, store, folder.expanduser(), figures=figures):
        print(printable(str(file)))
    measured = set(scoreboard(study, store).frame["model"])
    if absent := [spec.name for spec in study.models if spec.name not in measured]:
        print(printable(f"Without numbers, as they were not evaluated: {', '.join(absent)}"), file=sys.stderr)
    return 0


def models(path: Path, device: str | None, *, as_json: bool) -> int:
    """Load the models of a study, once for each, and print what loading did and what differs from the original."""
    from app.cli import loader_listing
    from app.cli.terminal import printable
    from backends.checkpoints.identity import available
    from backends.pool import ModelPool
    from cache.evaluate.left_out import naming
    from cache.store.model_checks import check_models, model_check

    study = read_study(path)
    wrong = _check_models(study)
    store, pool = open_store(), ModelPool(device)
    warnings: list[str] = []
    for model in study.models:
        if model.name not in wrong and available(model):
            try:
                warnings += check_models(study, store, pool, [model.name])
            except (CheckpointError, ModelError) as error:  # the other models are told of all the same
                wrong[model.name] = naming(model.name, error)
    found = {spec.name: model_check(study, store, spec.name) for spec in study.models}
    checks = {name: check for name, check in found.items() if check is not None}
    for line in (loader_listing.as_json if as_json else loader_listing.lines)(checks):
        print(line if as_json else printable(line))
    for sentence in (*wrong.values(), *warnings):
        print(printable(sentence), file=sys.stderr)
    unsteady = any(check.identity for check in checks.values())
    return USER_ERROR if wrong or unsteady else 0


def prepare() -> int:
    """Make what the demo needs once: its base model as a folder, its recorded evidence in the cache."""
    from backends.checkpoints.identity import is_package, resolve
    from cache.analysis.scoreboard import scoreboard

    packed = {spec.source for path in _demo() for spec in read_study(path).models if is_package(spec.source)}
    for source in sorted(packed):
        print(f"Preparing {Path(source).stem} (once, less than a minute) ...", flush=True)
        started = time.monotonic()
        folder = resolve(source)
        print(f"  ready in {time.monotonic() - started:.0f} s: {folder}")
    store = open_store()
    for path in _demo():
        scoreboard(read_study(path), store)  # kept, so that the first look at Trade-offs need not wait
    print(f"The cache is {cache_folder()}.")
    return 0


def _demo() -> list[Path]:
    paths = demo_studies()
    if not paths:
        raise StudyError(
            "the demo is not in this checkout", how="Build it with `make demo-pack`, or name a study file"
        )
    return paths


def _study_files(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Path]:
    given = {option: getattr(options, option) for option in cli_options.MODEL_OPTIONS}
    for option, value in given.items():
        if value == "" or (isinstance(value, list) and "" in value):
            parser.error(f"--{option} is empty; give a folder, a hub id or a file")
    named = [option for option, value in given.items() if value]
    if not named:
        _check_no_command_is_meant(options.study)
        return [path.expanduser().absolute() for path in options.study]
    if options.study:
        parser.error(f"give study files or --{named[0]}, not both")
    if not options.original:
        parser.error(f"--{named[0]} needs --original, the model that everything is compared with")
    from app.cli.adhoc_study import write_adhoc

    path = write_adhoc(cli_options.choice(options), cache_folder() / "studies")
    print(f"This study is written to {path}; copy and edit it for names, steps and methods.")
    return [path]


def _check_no_command_is_meant(given: Sequence[Path]) -> None:
    """Raises StudyError where the first word is a command misspelt: it would be looked for as a file."""
    first = str(given[0]) if given else ""
    close = difflib.get_close_matches(first, cli_options.COMMANDS, n=1)
    if close and not given[0].exists():
        raise StudyError(
            f"there is no command or file {first!r}", how=f"Did you mean `unlearnboard {close[0]}`?"
        )


def _use_cache(folder: Path | None) -> None:
    if folder is not None:
        os.environ[CACHE_VARIABLE] = str(folder.expanduser().absolute())


def _check_names(study: Study, names: Sequence[str] | None) -> None:
    known = [model.name for model in study.models]
    for name in names or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            how = f"Did you mean {close[0]!r}?" if close else f"Its models are: {', '.join(known)}"
            raise StudyError(f"the study has no model {name!r}", where="--models", how=how)


def _check_models(study: Study) -> dict[str, str]:
    """The models that cannot be used, and a sentence for each; the others can be shown and run.

    Raises:
        CheckpointError: the original cannot be used, with which everything is compared.
    """
    from backends.checkpoints.usable import problems
    from cache.evaluate.left_out import naming

    print(f"Checking the {len(study.models)} models of {study.name} ...", file=sys.stderr, flush=True)
    found = problems(study)
    if study.original.name in found:
        raise found[study.original.name]
    return {name: naming(name, error) for name, error in found.items()}


def _print_wrong(wrong: Mapping[str, str]) -> None:
    from app.cli.terminal import printable

    for sentence in wrong.values():
        print(f"Cannot be used: {printable(sentence)}", file=sys.stderr, flush=True)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StudyError(
                f"port {port} cannot be used ({error.strerror})",
                how="End the program that uses it, or choose another with --port, such as --port "
                f"{port + 1 if port < LAST_PORT else port - 1}",
            ) from error
