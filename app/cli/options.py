"""The options of the command line and their help, written so that `--help` teaches what the program is for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from app.cli.adhoc_study import Choice
from backends.errors import StudyError
from backends.study import PROTOCOLS, ROLES, Role

STREAMLIT_SECTIONS = ("server", "browser", "client", "global", "logger", "runner", "theme")
FILE_ROLES: tuple[Role, ...] = ("forget", "retain", "neighbour", "utility", "holdout")
MODEL_OPTIONS = ("original", "unlearned", "retained", *FILE_ROLES, "judge", "concept", "name")
DEFAULT_PORT = 8501

ABOUT = """\
See what unlearning did to a generative model: the original and unlearned versions side by side on any prompt, and
what each gave up for it. Everything stays on this machine.
"""

COMMANDS = {
    "evaluate": "run every model of a study on its probes, as far as that was not done before",
    "metrics": "what can be measured, and how to read it",
    "probes": "how a file of probes is read: which column became what, and rows that cannot be used",
    "models": "what loading each model of a study really did, and what differs from the original",
    "import": "results of other tools, as runs on the Trade-offs page",
    "unlearn": "make unlearned versions of a study's original with the field's methods",
    "export": "figures, tables and one page that opens without a server, for a paper or a reviewer",
    "prepare": "convert the demo's language model once, so that the first fresh prompt needs no wait",
}
"""What stands behind `unlearnboard`; everything else opens the dashboard."""

EXAMPLES = """\
examples:
  unlearnboard
      Look around. Opens the demo, whose answers are all recorded: nothing is downloaded, nothing is trained.

  unlearnboard people/study.toml
      Compare your own models. The file names the models, what each is to the study, and the probe files.

  unlearnboard --original ./base --unlearned ./npo/checkpoint-60 ./npo/checkpoint-120 \\
               --forget forget.jsonl --retain retain.jsonl
      Have a look before writing a study file. Folders of transformers or diffusers models, hub ids (owner/name),
      PEFT adapter folders and safetensors files work; one is written for you and its path is printed.

  unlearnboard evaluate people/study.toml
      Fill the trade-off curves from a terminal, over night or on a server. What was done before is not done again.

  unlearnboard probes forget.jsonl
  unlearnboard models people/study.toml
      Before anything runs: how a probe file is read, and what each model really is beside the original.

  unlearnboard import open-unlearning/saves results.csv
      Put what other tools measured on the Trade-offs page, beside your own runs and the published tables.

  unlearnboard unlearn people/study.toml --method NPO --set lr=1e-4 steps=60 --to mine
  unlearnboard export people/study.toml --to paper

Flags of Streamlit, such as --server.address=0.0.0.0, are handed on; who serves on another address passes
--server.allowedHosts too.
"""


def _listed_commands() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join(["commands (each has its own --help):", *lines, "", ""])


def show_parser(version: str) -> argparse.ArgumentParser:
    """Parser of `unlearnboard [STUDY ...]` and `unlearnboard --original ...`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard",
        usage="%(prog)s [STUDY.toml ...] [options]\n"
        "       %(prog)s --original MODEL --unlearned MODEL ... --forget FILE ... [options]\n"
        "       %(prog)s COMMAND ...",
        description=ABOUT,
        epilog=_listed_commands() + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "study", nargs="*", type=Path, metavar="STUDY.toml", help="study files; none opens the demo"
    )
    models = parser.add_argument_group("models without a study file")
    models.add_argument(
        "--original", metavar="MODEL", help="folder or hub id that everything is compared with"
    )
    models.add_argument(
        "--unlearned",
        metavar="MODEL",
        nargs="+",
        action="extend",
        help="unlearned versions: folders, hub ids, PEFT adapter folders or safetensors files; "
        "NAME/checkpoint-60 becomes step 60 of the method NAME, so that its checkpoints join into a curve",
    )
    models.add_argument(
        "--retained", metavar="MODEL", help="trained without the forget set: what forgetting aims at"
    )
    why = {
        "forget": "what should be gone",
        "retain": "what should stay",
        "neighbour": "what is close to the forget set and should stay",
        "utility": "general abilities, with wrong options to choose from",
        "holdout": "what no model has seen, to tell memory from guessing",
    }
    for role in FILE_ROLES:
        models.add_argument(
            f"--{role}",
            metavar="FILE",
            nargs="+",
            action="extend",
            help=f"probes (JSONL, JSON, CSV): {why[role]}",
        )
    models.add_argument(
        "--judge",
        metavar="DOMAIN=FOLDER",
        nargs="+",
        action="extend",
        help="what says what pictures show: object=judges/object, style=CLIP-FOLDER, nudity=nudenet, style=said.csv",
    )
    models.add_argument(
        "--concept",
        metavar="DOMAIN=NAME",
        nargs="+",
        action="extend",
        help="what image models should forget: style=neon",
    )
    models.add_argument("--name", metavar="TEXT", help="name of the study")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port on 127.0.0.1 (default: %(default)s)"
    )
    running.add_argument(
        "--no-browser", action="store_true", help="open no browser; for a server or a tunnel"
    )
    _add_cache(running.add_argument)
    _add_rehash(running.add_argument)
    running.add_argument("--version", action="version", version=f"unlearnboard {version}")
    return parser


def evaluate_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard evaluate`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard evaluate",
        description="Run every model of a study on every probe and keep what it did. Ctrl-C stops; the same command "
        "goes on from there, and does not run a model twice on one probe. Two at once on one cache take "
        "turns, model by model, so no work is done twice.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="the study file")
    parser.add_argument("--models", metavar="NAME", nargs="+", help="only these, by their names in the study")
    parser.add_argument(
        "--device", choices=["cpu", "cuda", "mps"], help="where to run (default: the fastest there is)"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="how language models are asked and scored (default: what the study says, else corrected)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print every metric of the evaluated models as one line of JSON each, progress on the error stream",
    )
    parser.add_argument("--metrics", metavar="KEY", nargs="+", help="with --json: only these")
    _add_cache(parser.add_argument)
    _add_rehash(parser.add_argument)
    return parser


def metrics_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard metrics`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard metrics",
        description="List the metrics, the most trusted first; with keys, tell everything about these.",
        allow_abbrev=False,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="such as truth_ratio")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each metric")
    return parser


def probes_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard probes`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard probes",
        description="Show how a file of probes will be read, before anything runs: what its columns are taken for, its "
        "first probe, and every row that cannot be used. Exit status 2 where there are such rows.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="JSONL, JSON, CSV, TSV, Parquet or Arrow, also .gz, .xz, .zst, .bz2; or hf://owner/name/file",
    )
    parser.add_argument(
        "--columns",
        metavar="YOURS=OURS",
        nargs="+",
        help="what your columns are: q=prompt a=answer; yours= leaves one out (in a study: columns = {...})",
    )
    parser.add_argument("--role", choices=ROLES, default="forget", help="default: %(default)s")
    parser.add_argument(
        "--modality",
        choices=["text", "image"],
        help="of the models that are asked; default: as the columns say",
    )
    parser.add_argument("--encoding", default="", help="of a file that is not Unicode, such as cp1252")
    parser.add_argument("--split", default="", help="which of several splits in one file")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser


def models_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard models`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard models",
        description="Load the models of a study and say of each what kind of checkpoint it is, what loading it really "
        "did, which tensors differ from the original's, how far, and what else differs (scheduler, VAE, types). Exit "
        "status 2 where a model cannot be used, or the original does not draw the same picture twice.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="the study file")
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"], help="default: the fastest there is")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")
    _add_cache(parser.add_argument)
    _add_rehash(parser.add_argument)
    return parser


def import_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard import`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard import",
        description="Take in results that other tools made, as runs for the Trade-offs page: open-unlearning files and "
        "whole `saves` folders, TOFU 2024, NPO and SimNPO, MUSE CSV, RWKU, Unlearning Depth Score, "
        "lm-evaluation-harness, UnlearnCanvas, UnlearnDiffAtk, eval-unlearn, CSV tables. No model is needed. What is "
        "not understood is listed; importing again changes nothing. Exit status 2 where a file could not be used.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--list", action="store_true", help="list what was imported")
    parser.add_argument("--remove", metavar="COLLECTION", help="forget the runs of a collection")
    parser.add_argument(
        "--reference",
        nargs=2,
        metavar=("COLLECTION", "RUN"),
        help='the retained run that forget quality of a collection is measured against; "" takes the choice back',
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of words")
    _add_cache(parser.add_argument)
    return parser


def unlearn_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard unlearn`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard unlearn",
        description="Unlearn the forget probes of a study with one method, keeping the smallest change of the weights "
        "on the way, each with its recipe; a study file with the new models is written beside them. Seeded: the same "
        "command gives the same weights on the same machine. Ctrl-C stops it, the same command goes on.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, nargs="?", metavar="STUDY.toml", help="the study file")
    parser.add_argument(
        "--method", metavar="NAME", help="which one, or a Python file with one; --list shows them"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="lr=1e-4 steps=60 beta=0.1 ..."
    )
    parser.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=A,B",
        help="a run for every combination: lr=1e-4,3e-4 beta=.1,.5",
    )
    parser.add_argument(
        "--checkpoints", type=int, default=5, metavar="N", help="how many are kept (default: 5)"
    )
    parser.add_argument(
        "--retain", type=Path, metavar="FILE", help="rows to keep, in place of the retain probes"
    )
    parser.add_argument(
        "--anchor",
        metavar="CONCEPT",
        help="what takes the forgotten concept's place (images; default: a retained one)",
    )
    parser.add_argument("--to", type=Path, default=Path("unlearned"), metavar="FOLDER", help="where to")
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"], help="default: the fastest there is")
    parser.add_argument("--list", action="store_true", help="list the methods, or the settings of --method")
    return parser


def settings(options: argparse.Namespace) -> dict[str, str]:
    """What was given with --set."""
    return dict(_pair(text, "--set") for text in options.set)


def export_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard export`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard export",
        description="Write what a study measured into a folder: one HTML page that opens without a server, tables "
        "(CSV, JSON, LaTeX, Markdown), figures (HTML, and PNG, SVG, PDF where Chrome or Chromium is on this machine), "
        "and runs in open-unlearning's shape. No model is loaded.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="the study file")
    parser.add_argument(
        "--to", type=Path, default=Path("unlearnboard-export"), metavar="FOLDER", help="where to"
    )
    parser.add_argument("--no-figures", action="store_true", help="no PNG, SVG and PDF; HTML figures only")
    _add_cache(parser.add_argument)
    return parser


def prepare_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard prepare`."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard prepare",
        description="Convert the demo's language model into the cache, once, and take over its recorded answers.",
        allow_abbrev=False,
    )
    _add_cache(parser.add_argument)
    return parser


def choice(options: argparse.Namespace) -> Choice:
    """What was named with --original and its companions."""
    return Choice(
        original=options.original,
        unlearned=options.unlearned or [],
        retained=options.retained or "",
        probes={role: getattr(options, role) for role in FILE_ROLES if getattr(options, role)},
        judges=dict(_pair(text, "--judge") for text in options.judge or []),
        concepts=dict(_pair(text, "--concept") for text in options.concept or []),
        name=options.name or "",
    )


def columns(options: argparse.Namespace) -> dict[str, str]:
    """What was given with --columns; an empty right side leaves the column out."""
    found: dict[str, str] = {}
    for text in options.columns or []:
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals):
            raise StudyError(f"{text!r} is no YOURS=OURS", where="--columns", how="Write it as q=prompt")
        found[theirs] = ours
    return found


def without_streamlit_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and those of Streamlit (`--server.x=1`, `--server.x 1`)."""
    ours: list[str] = []
    theirs: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith(tuple(f"--{section}." for section in STREAMLIT_SECTIONS)):
            theirs.append(argument if "=" in argument else f"{argument}={next(rest, '')}")
        else:
            ours.append(argument)
    return ours, theirs


def _add_rehash(add: Callable[..., object]) -> None:
    add(
        "--rehash",
        action="store_true",
        help="read all weights again instead of trusting the time stamps of files that were read before",
    )


def _add_cache(add: Callable[..., object]) -> None:
    add(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="where evidence and converted models are kept (default: $UNLEARNBOARD_CACHE, else the platform's folder)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a whole number from 1 to 65535 was expected")
    return int(text)


def _pair(text: str, option: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise StudyError(f"{text!r} is no NAME=VALUE", where=option, how=f"Write it as {option} style=...")
    return left, right
