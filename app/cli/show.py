"""`unlearnboard [STUDY.toml ...]`: the dashboard on study files, on a few folders or on the demo.

Everything that can be wrong with the input is said before a server starts.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_rehash, pair
from app.cli.prepare import demo_files
from app.cli.terminal import printable
from backends.errors import StudyError
from backends.study import Role
from backends.versions import own_version

if TYPE_CHECKING:
    from app.cli.adhoc_study import StudyArguments
    from app.cli.options import Subparsers

STREAMLIT_SECTIONS = ("server", "browser", "client", "global", "logger", "runner", "theme")
FILE_ROLES: tuple[Role, ...] = ("forget", "retain", "neighbour", "utility", "holdout")
MODEL_OPTIONS = ("original", "unlearned", "retained", *FILE_ROLES, "judge", "concept", "name")
DEFAULT_PORT = 8501
LAST_PORT = 65535

USAGE = """\
unlearnboard [STUDY.toml ...] [options]
       unlearnboard --original MODEL --unlearned MODEL ... --forget FILE ... [options]"""

ABOUT = """\
Compare a generative model with its unlearned versions: answers side by side on any prompt, and the trade-off between
forgetting and utility. Everything stays on this machine.
"""

EXAMPLES = """\
examples:
  unlearnboard
      Open the demo. All of its answers are recorded: nothing is downloaded or trained.

  unlearnboard people/study.toml
      Compare your own models. The file names the models, what each is to the study, and the probe files.

  unlearnboard --original ./base --unlearned ./npo/checkpoint-60 ./npo/checkpoint-120 \\
               --forget forget.jsonl --retain retain.jsonl
      Try models before you write a study file. Folders of transformers or diffusers models, hub ids (owner/name),
      PEFT adapter folders and safetensors files work; the study file is written for you and its path is printed.

  unlearnboard evaluate people/study.toml
      Evaluate from a terminal or on a server. Finished work is not repeated.

  unlearnboard probes forget.jsonl
  unlearnboard models people/study.toml
      Check the input first: how a probe file is read, and how each model differs from the original.

  unlearnboard import open-unlearning/saves results.csv
      Show other tools' results on the Trade-offs page, beside your own runs and published tables.

  unlearnboard unlearn people/study.toml --method NPO --set lr=1e-4 steps=60 --to mine
  unlearnboard export people/study.toml --to paper

  unlearnboard cache pack people/study.toml --to people.pack
  unlearnboard people.pack
      Mail a study to somebody who has no weights: one file, with its probes, evidence, numbers and pictures.

Flags of Streamlit, such as --server.address=0.0.0.0, are passed on; to serve on another address, also pass
--server.allowedHosts.
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of opening the dashboard."""
    parser = subparsers.add_parser(
        "show",
        prog="unlearnboard",
        usage=USAGE,
        help="open the dashboard, as without a command: on study files, else on the demo",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Strings, as a Path forgets the "./" that tells a file from a command of the same name.
    parser.add_argument(
        "study", nargs="*", metavar="STUDY.toml", help="study files or packed studies; none opens the demo"
    )
    add_options(parser)
    parser.set_defaults(refuse=parser.error, streamlit=[])
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of opening the dashboard, without the study files."""
    models = parser.add_argument_group("models without a study file")
    models.add_argument(
        "--original",
        metavar="MODEL",
        help="folder or hub id of the original model, the baseline of all comparisons",
    )
    models.add_argument(
        "--unlearned",
        metavar="MODEL",
        nargs="+",
        action="extend",
        help="unlearned versions: folders, hub ids, PEFT adapter folders or safetensors files; "
        "NAME/checkpoint-60 becomes step 60 of the method NAME, so that checkpoints of one method form a curve",
    )
    models.add_argument(
        "--retained", metavar="MODEL", help="trained without the forget set: the gold standard"
    )
    why = {
        "forget": "what should be forgotten",
        "retain": "what should be kept",
        "neighbour": "data close to the forget set, which should be kept",
        "utility": "general abilities, with wrong options to choose from",
        "holdout": "data that no model has seen, for membership attacks",
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
        help="judges that recognise concepts in pictures: object=judges/object, style=CLIP-FOLDER, "
        "nudity=nudenet, style=said.csv",
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
        "--attacks",
        metavar="FILE.py",
        nargs="+",
        action="extend",
        help="attacks of your own, shown on the page Robustness; each file is run",
    )
    running.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port on 127.0.0.1 (default: %(default)s)"
    )
    running.add_argument("--no-browser", action="store_true", help="do not open a browser")
    add_cache(running)
    add_rehash(running)
    running.add_argument("--version", action="version", version=f"unlearnboard {own_version()}")


def run(options: argparse.Namespace) -> int:
    """Open the dashboard; returns when it ends."""
    _take_attacks(options.attacks or [])
    return start(_opened(_study_files(options)), options.port, not options.no_browser, options.streamlit)


def _take_attacks(files: Sequence[str]) -> None:
    """Hand the files over to the dashboard, after a look at each."""
    from app.shared.settings import ATTACKS_VARIABLE
    from backends.attacks.own_attack import own_attacks

    paths = [Path(file).expanduser().absolute() for file in files]
    own_attacks(paths)
    if paths:
        os.environ[ATTACKS_VARIABLE] = json.dumps([str(path) for path in paths])


def _opened(files: Sequence[Path]) -> list[Path]:
    """The study files, and those of packed studies, which are taken over into the cache the first time."""
    from backends.files.archive import is_zip

    result = []
    for path in files:
        if is_zip(path):
            from app.shared.settings import open_cache
            from cache.importers.pack import open_pack, unpacked_study

            store = open_cache()
            study = unpacked_study(path, store)
            if not study.is_file():
                print(f"Importing {printable(path.name)} into the cache (once) ...", flush=True)
                study = open_pack(path, store).study
            path = study
        result.append(path)
    return result


def start(files: Sequence[Path], port: int, browser: bool, streamlit: Sequence[str] = ()) -> int:
    """Start the dashboard on these study files, or on the demo if there are none; returns when it ends.

    Args:
        files: study files.
        port: on the loopback address.
        browser: open one.
        streamlit: flags that are handed on ("--server.maxUploadSize=100").
    """
    from app.cli.usable_models import check_models, print_unusable
    from app.shared.settings import STUDIES_VARIABLE, open_cache
    from backends.study.file import read_study

    for path in files or demo_files():
        study = read_study(path)
        if files:
            print_unusable(check_models(study))
    open_cache()
    _check_port(port)
    if files:
        os.environ[STUDIES_VARIABLE] = json.dumps([str(path) for path in files])
    print(f"Starting UnlearnBoard at http://127.0.0.1:{port} (Ctrl-C stops it) ...", flush=True)
    headless = [] if browser else ["--server.headless=true"]
    script = Path(__file__).resolve().parents[1] / "frame" / "main.py"
    sys.argv = ["streamlit", "run", str(script), f"--server.port={port}", *headless, *streamlit]
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    return 0


def choice(options: argparse.Namespace) -> StudyArguments:
    """What was named with --original and its companions."""
    from app.cli.adhoc_study import StudyArguments

    return StudyArguments(
        original=options.original,
        unlearned=options.unlearned or [],
        retained=options.retained or "",
        probes={role: getattr(options, role) for role in FILE_ROLES if getattr(options, role)},
        judges=dict(pair(text, "--judge") for text in options.judge or []),
        concepts=dict(pair(text, "--concept") for text in options.concept or []),
        name=options.name or "",
    )


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


def _study_files(options: argparse.Namespace) -> list[Path]:
    """The named study files, or the one that is written for models named with --original."""
    given = {option: getattr(options, option) for option in MODEL_OPTIONS}
    for option, value in given.items():
        if value == "" or (isinstance(value, list) and "" in value):
            options.refuse(f"--{option} is empty; give a folder, a hub id or a file")
    named = [option for option, value in given.items() if value]
    if not named:
        return [Path(file).expanduser().absolute() for file in options.study]
    if options.study:
        options.refuse(f"give study files or --{named[0]}, not both")
    if not options.original:
        options.refuse(f"--{named[0]} needs --original, the baseline of all comparisons")
    from app.cli.adhoc_study import write_adhoc
    from app.shared.settings import cache_folder

    path = write_adhoc(choice(options), cache_folder() / "studies")
    print(f"The study file was written to {path}; copy and edit it to set names, steps and methods.")
    return [path]


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a port; a whole number from 1 to 65535 was expected"
        )
    return int(text)


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
