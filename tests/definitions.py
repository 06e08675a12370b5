"""What the code says of every metric, as digests: so that a test sees a definition change whose version did not.

    python -m tests.definitions                  # record new metrics, raised versions and metrics that are gone
    python -m tests.definitions --same rouge_l   # record too that rouge_l gives the same numbers as before

A digest covers a metric's function and all functions, classes and constants of this repository that it uses, however
deep: their code without comments, docstrings and types. Cards are left out, but for the roles they name. Caches keep
versions, never digests: code can be moved and tidied, under any Python, without a number being computed again.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3

from backends.metrics import DRAFT, METRICS, StudyMetric
from backends.metrics.protocols import PROTOCOLS, attacks_of
from cache.analysis import kept_values

RECORDED = Path(__file__).parent / "backends" / "metrics" / "definitions.json"
VALUES, ROWS = "VALUES_VERSION", "ROWS_VERSION"
SHARED = {
    VALUES: (("cache.analysis.derive", "model_values"),),
    ROWS: (
        ("cache.analysis.scoreboard", "_frame"),
        ("cache.analysis.model_rows", "_rows"),
        ("cache.analysis.model_rows", "baselines_of"),
        ("cache.analysis.denoising_rows", "denoising_rows"),
        ("cache.analysis.rating_rows", "rating_rows"),
        ("backends.metrics.training_cost", "training_costs"),
    ),
}
"""Versions that all metrics share, of `cache.analysis.kept_values` -> where what they stand for begins."""
WITHIN = {
    VALUES: ("cache.analysis.derive", "cache.analysis.set_distances"),
    ROWS: (
        "cache.analysis.denoising_rows",
        "cache.analysis.rating_rows",
        "cache.analysis.scoreboard",
        "cache.analysis.model_rows",
        "cache.analysis.relative_test",
        "cache.analysis.study_rows",
        "cache.analysis.probe_draws",
        "cache.analysis.resampling",
        "backends.metrics",
    ),
}
"""Which modules belong to them: how evidence is found and read is not what they stand for."""
OURS = ("backends", "cache")
TABLES = {("backends.metrics", "METRICS"), ("backends.metrics.protocols", "PROTOCOLS")}
"""Tables of everything, which whoever looks something up in them does not use as a whole."""
EVIDENCE = ("backends.evidence", "backends.study.study")
"""Modules whose classes metrics are handed: an attribute may be a property of one of them."""
DISTANCES = {
    "fid_real_": ("frechet", "gaussian_of"),
    "kid_real_": ("subset_kernel_distances", "within_subsets"),
    "kid_subsets_": ("subset_kernel_distances", "within_subsets"),
    "fid": ("frechet_distance",),
    "kid": ("drawn_kernel_distance",),
}
"""Beginning of the key of a distance between sets of pictures -> what computes it; the first that fits."""

Sources = Mapping[str, str]
"""Module -> source that is taken for its file's, in tests of this module."""


class Recorded(NamedTuple):
    """A definition as it was when somebody said that its version stands for it."""

    version: int
    digest: str


class _Module(NamedTuple):
    """A module's names: what it defines at its top level, what it imports from where."""

    name: str
    defined: Mapping[str, ast.stmt]
    imported: Mapping[str, tuple[str, str]]
    tree: ast.Module


def definitions(sources: Sources | None = None) -> dict[str, Recorded]:
    """Every metric, and the shared versions, with what the code says now."""
    reach = _Reach(sources or {})
    found = {
        name: Recorded(getattr(kept_values, name), reach.digest(starts, WITHIN[name]))
        for name, starts in SHARED.items()
    }
    for key, metric in METRICS.items():
        starts = list(_functions(key))
        if starts:
            said = sorted(metric.card.roles)
            found[key] = Recorded(metric.version, reach.digest(starts, OURS, said))
        else:  # made of other metrics' values: ROWS_VERSION stands for how
            found[key] = Recorded(metric.version, "")
    return found


def complaints(now: Mapping[str, Recorded], before: Mapping[str, Recorded]) -> str:
    """What is to be done about all definitions, one line each; "" where nothing is."""
    lines = [complaint(key, now.get(key), before.get(key)) for key in sorted({*now, *before})]
    return "\n".join(line for line in lines if line)


def recorded() -> dict[str, Recorded]:
    """What was recorded last."""
    return {key: Recorded(*row) for key, row in json.loads(RECORDED.read_text(encoding="utf-8")).items()}


def complaint(key: str, now: Recorded | None, before: Recorded | None) -> str:
    """What to do about a definition, in one sentence; "" where nothing is to be done."""
    where = (
        f"{key} in cache/analysis/kept_values.py" if key in SHARED else f"the `version` of the metric {key}"
    )
    if now is not None and now.version == DRAFT:
        return f"the metric {key} is a draft, whose numbers are not kept: give it the version 1"
    if now is None or before is None:
        return f"the metric {key} is {'new' if before is None else 'gone'}: run `python -m tests.definitions`"
    if now.version < before.version:
        return f"{where} fell from {before.version} to {now.version}: caches hold both, so raise it"
    if now.version > before.version:
        return f"{where} was raised: run `python -m tests.definitions`"
    if now.digest != before.digest:
        return (
            f"the code behind {key} has changed: raise {where}, or, where it gives the very same numbers, "
            f"run `python -m tests.definitions --same {key}`"
        )
    return ""


def _functions(key: str) -> Iterator[Callable[..., Any] | tuple[str, str]]:
    """What computes the numbers that are kept of a metric, under all protocols."""
    metric = METRICS[key]
    if not isinstance(metric, StudyMetric):
        yield metric.value
        yield from (protocol.values[key] for protocol in PROTOCOLS.values() if key in protocol.values)
        return
    yield from (attacks_of(name)[key] for name in PROTOCOLS if key in attacks_of(name))
    for beginning, names in DISTANCES.items():
        if key.startswith(beginning):
            paired = beginning in ("fid", "kid")
            yield from (
                (f"backends.metrics.{'' if paired else 'real_'}distributions", name) for name in names
            )
            return


class _Reach:
    """Follows names through the source of this repository."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.module = cache(self._module)
        self.piece = cache(self._piece)

    def digest(
        self,
        starts: Iterable[Callable[..., Any] | tuple[str, str]],
        within: tuple[str, ...],
        said: object = "",
    ) -> str:
        """Of everything that is reached from functions or (module, name) and lies in modules that begin so."""
        dumps: set[str] = {repr(said)} if said else set()
        todo: list[tuple[str, str]] = []
        for start in starts:
            if isinstance(start, tuple):
                todo.append(start)
            else:
                todo += self._of_function(start, dumps)
        seen: set[tuple[str, str]] = set()
        while todo:
            place = todo.pop()
            if place in seen or place in TABLES or not _lies_in(place[0], within):
                continue
            seen.add(place)
            dump, uses = self.piece(*place)
            dumps |= {dump} if dump else set()
            todo += uses
        return str(blake3("\n".join(sorted(dumps)).encode()).hexdigest(length=8))

    def _of_function(self, function: Callable[..., Any], dumps: set[str]) -> list[tuple[str, str]]:
        """Where a function is defined, and those that it was made with."""
        if isinstance(function, partial):
            dumps.add(repr((function.args, sorted(function.keywords.items()))))
            return self._of_function(function.func, dumps)
        function = inspect.unwrap(function)
        found: list[tuple[str, str]] = []
        for cell in function.__closure__ or ():
            held = cell.cell_contents
            if callable(held):
                found += self._of_function(held, dumps)
            else:
                dumps.add(repr(held))
        name = function.__qualname__.partition(".")[0]
        if name != "<lambda>":
            return [*found, (function.__module__, name)]
        module = self.module(function.__module__)
        line = function.__code__.co_firstlineno
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Lambda) and node.lineno == line:
                dumps.add(repr(_plain(node)))
                found += self._used(module, node)
        return found

    def _piece(self, module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
        """What a name stands for, as plain data, and the places that it uses."""
        node = self._node(module, name)
        return ("", []) if node is None else (repr(_plain(node)), list(self._used(self.module(module), node)))

    def _node(self, module: str, name: str) -> ast.AST | None:
        """What a name stands for; None for a module and for what is imported."""
        known = self.module(module)
        owner, _, method = name.partition(".")
        node = known.defined.get(owner)
        if method and isinstance(node, ast.ClassDef):
            return next(each for each in node.body if getattr(each, "name", "") == method)
        return node

    def _used(self, module: _Module, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Places of this repository that a piece of code names."""
        for each in _walk(node):
            if isinstance(each, ast.Name):
                yield from self._place(module, each.id)
            elif isinstance(each, ast.Attribute):
                if isinstance(each.value, ast.Name) and each.value.id in module.imported:
                    owner, name = module.imported[each.value.id]
                    inside = f"{owner}.{name}" if name else owner
                    if _lies_in(inside, OURS) and _is_module(inside):
                        yield from self._place(self.module(inside), each.attr)
                yield from self._properties.get(each.attr, ())

    def _place(self, module: _Module, name: str) -> Iterator[tuple[str, str]]:
        if name in module.defined:
            yield module.name, name
        elif name in module.imported:
            owner, original = module.imported[name]
            if _lies_in(owner, OURS) and original and not _is_module(f"{owner}.{original}"):
                if original in self.module(owner).defined:
                    yield owner, original
                else:
                    yield from self._place(self.module(owner), original)  # passed on by a package

    @cached_property
    def _properties(self) -> dict[str, list[tuple[str, str]]]:
        """Name of a property or method of evidence -> where it is defined."""
        found: dict[str, list[tuple[str, str]]] = {}
        for module in EVIDENCE:
            for owner, node in self.module(module).defined.items():
                for each in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(each, ast.FunctionDef):
                        found.setdefault(each.name, []).append((module, f"{owner}.{each.name}"))
        return found

    def _module(self, name: str) -> _Module:
        tree = ast.parse(self._sources[name]) if name in self._sources else _parsed(name)
        defined: dict[str, ast.stmt] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined[node.name] = node
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                defined |= {each.id: node for each in names if isinstance(each, ast.Name)}
        imported: dict[str, tuple[str, str]] = {}
        for part in ast.walk(tree):
            if isinstance(part, ast.ImportFrom) and part.module and part.module != "__future__":
                imported |= {each.asname or each.name: (part.module, each.name) for each in part.names}
            elif isinstance(part, ast.Import):
                imported |= {each.asname: (each.name, "") for each in part.names if each.asname}
        return _Module(name, defined, imported, tree)


@cache
def _parsed(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _lies_in(module: str, within: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in within)


@cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


_TYPES = {"annotation", "returns", "type_comment", "type_params", "ctx", "kind"}


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A piece of code and its parts, without types, docstrings and cards."""
    yield node
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if name not in _TYPES and isinstance(each, ast.AST) and not _says_nothing(each):
                yield from _walk(each)


def _says_nothing(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    named = node.func if isinstance(node, ast.Call) else None
    return isinstance(named, ast.Name) and named.id == "MetricCard"


def _plain(node: object) -> object:
    """Code as plain data that is the same under all versions of Python."""
    if isinstance(node, list):
        return [_plain(each) for each in node if not (isinstance(each, ast.AST) and _says_nothing(each))]
    if not isinstance(node, ast.AST):
        return node
    if _says_nothing(node):
        return None
    fields = [(name, _plain(value)) for name, value in ast.iter_fields(node) if name not in _TYPES]
    return type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])]


def main() -> None:
    """Records what the code says now, as far as the versions say that they stand for it."""
    parser = argparse.ArgumentParser(prog="python -m tests.definitions")
    parser.add_argument(
        "--same", nargs="*", default=[], metavar="KEY", help="gives the very same numbers as before"
    )
    same = set(parser.parse_args().same)
    now, before = definitions(), recorded() if RECORDED.exists() else {}
    kept: dict[str, Recorded] = {}
    for key, each in now.items():
        old = before.get(key)
        stands = old is None or each.version > old.version or key in same
        kept[key] = each if stands or old is None else old
    content = ",\n".join(f" {json.dumps(key)}: {json.dumps(list(kept[key]))}" for key in sorted(kept))
    RECORDED.write_text(f"{{\n{content}\n}}\n", encoding="utf-8")
    print(complaints(now, kept) or "Everything is recorded.")


if __name__ == "__main__":
    main()
