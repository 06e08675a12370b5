"""A model whose files change while it is loaded is another model: its numbers are never those of the old weights."""

from __future__ import annotations

from pathlib import Path

from backends.pool import ModelPool
from backends.study import ModelSpec, Probe, ProbeSet, Study
from cache.evaluate.compare import compare_text
from cache.evaluate.context import EvaluationContext
from cache.store import Store, open_store
from cache.store.reading import evidence_for
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PROBE = Probe("p", "forget", "Where does Ann live?", "In Rome.")


def scores(study: Study, store: Store) -> list[float]:
    return [float(each) for each in evidence_for(study, store, "NPO", [PROBE])["p"].scores["answer"].logprobs]


def test_a_loaded_model_is_loaded_anew_when_its_files_changed(tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path / "base")
    adapter = write_tiny_adapter(base, tmp_path / "adapter", seed=1, scale=2.0)
    models = (
        ModelSpec("Original", "original", str(base)),
        ModelSpec("NPO", "unlearned", str(base), adapter=str(adapter)),
    )
    study = Study("s", "text", models, (ProbeSet("f", "forget", (PROBE,)),))
    store, pool = open_store(tmp_path / "cache" / "evidence.sqlite"), ModelPool("cpu")

    def run(with_pool: ModelPool, into: Store) -> list[float]:
        names = ["Original", "NPO"]
        compare_text(EvaluationContext.of(study, into, with_pool), names, PROBE, study.decoding)
        return scores(study, into)

    first = run(pool, store)
    write_tiny_adapter(base, tmp_path / "adapter", seed=2, scale=2.0)
    second = run(pool, store)
    assert second != first
    fresh = open_store(tmp_path / "fresh" / "evidence.sqlite")
    assert second == run(ModelPool("cpu"), fresh), "as a process that never saw the old files would have it"
