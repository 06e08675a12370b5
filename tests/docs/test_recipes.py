"""CONTRIBUTING's recipes are followed: what they name is there, and what is added as they say is used.

A metric is added in `tests/cache/analysis/test_kept_values.py`, a method in `tests/docs/test_documents.py`, a shape of
checkpoints in `tests/backends/image/checkpoints/test_public_methods.py`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from app.charts import choices
from app.cli import main
from app.frame import shell
from backends.probes import benchmarks, columns
from backends.probes.reading import read_probes
from cache import importers
from cache.importers.findings import ImportFindings
from cache.store import open_store, schema
from cache.store.results import ImportedRun, MetricNumber
from tests.docs.documents import PAGES, ROOT

TEXT = PAGES["CONTRIBUTING.md"]
RECIPES = TEXT.partition("## Ten recipes")[2].partition("## How it is written")[0]


def test_there_are_ten_and_all_that_they_name_is_there() -> None:
    assert [int(n) for n in re.findall(r"(?m)^(\d+)\. \*\*", RECIPES)] == list(range(1, 11))
    paths = re.findall(r"`((?:app|backends|cache|docs|tests)/[\w/.]*)`", TEXT)
    assert len(paths) > 15
    assert not [path for path in paths if not (ROOT / path).exists()]
    for name, path in re.findall(r"`([A-Za-z_]+)` \(`([\w/]+\.py)`\)", RECIPES):
        assert re.search(rf"(?m)^(class |def )?{name}\b", (ROOT / path).read_text("utf-8")), (
            f"{path} has no {name}"
        )


def test_a_pair_of_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = choices.Preset("Mine", "forget/loss", "retain/loss")
    monkeypatch.setattr(choices, "PRESETS", {"text": (mine,), "image": ()})
    assert choices.presets(["forget/loss", "retain/loss"], "text") == [mine]


def test_a_page_is_routed_by_its_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "app" / "pages").glob("*/page.py")}
    assert {Path(page[0]).parent.name for page in shell.PAGES} == folders


def test_columns_of_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = benchmarks._shape("riddle solution", {"riddle": "prompt", "solution": "answer"})
    shapes = MappingProxyType({"Riddles": mine, **benchmarks.SHAPES})
    monkeypatch.setattr(benchmarks, "SHAPES", shapes)
    monkeypatch.setattr(columns, "SHAPES", shapes)
    (tmp_path / "riddles.jsonl").write_text(json.dumps({"riddle": "What am I?", "solution": "A map."}))
    read = read_probes(tmp_path / "riddles.jsonl", "forget")
    assert (read.probes[0].prompt, read.probes[0].answer) == ("What am I?", "A map.")
    assert read.how.shape == "Riddles"


def test_results_of_another_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> ImportFindings:
        value = json.loads(path.read_text())["forgotten"]
        found = ImportFindings()
        found.results.append(
            ImportedRun(
                tool="mine",
                collection="Mine",
                protocol="mine",
                modality="text",
                model="A",
                metrics={"forget/probability": MetricNumber(value)},
                source=str(path),
            )
        )
        return found

    reader = (lambda path: path.name == "mine.json", read)
    monkeypatch.setattr(importers, "_FILES", (reader, *importers._FILES))
    (tmp_path / "mine.json").write_text('{"forgotten": 0.25}')
    store = open_store(tmp_path / "evidence.sqlite")
    assert importers.import_results(store, [tmp_path / "mine.json"])[1][0] == 1
    store.close()


def test_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def add_parser(subparsers: Any) -> argparse.ArgumentParser:
        parser = subparsers.add_parser("greet", help="say hello")
        parser.add_argument("name")
        parser.set_defaults(cache=None, rehash=False)
        return parser

    def run(options: argparse.Namespace) -> int:
        print(f"Hello, {options.name}")
        return 0

    greet = SimpleNamespace(add_parser=add_parser, run=run)
    monkeypatch.setattr(main, "COMMANDS", {**main.COMMANDS, "greet": greet})
    assert main.run(["greet", "Ada"]) == 0
    assert capsys.readouterr().out == "Hello, Ada\n"


def test_every_table_of_the_store_has_a_step_and_a_rule() -> None:
    from cache.store.merge import EVIDENCE, OWN, RULES
    from cache.store.migrations import STEPS

    assert STEPS[-1].version == schema.SCHEMA_VERSION
    assert {*RULES, *EVIDENCE, *OWN} == set(schema.metadata.tables)
