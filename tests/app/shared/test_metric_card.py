"""The card of a metric says which network of the study its numbers come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.shared import metric_card
from backends.image.networks.named import Network
from backends.metrics import METRICS
from backends.study import Features, ModelSpec, Study
from cache.store import open_store
from cache.store.features import put_vectors


def test_the_network_of_a_metric_is_named_with_its_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Features(clip="openai/clip-vit-large-patch14", inception=str(tmp_path / "gone.pth"))
    study = Study("s", "image", (ModelSpec("O", "original", "o"),), (), features=features)
    store = open_store(tmp_path / "evidence.sqlite")
    put_vectors(store, Network("clip", "openai/clip-vit-large-patch14", "0123456789abcdef"), {})
    monkeypatch.setattr("app.shared.state.study", lambda: study)
    monkeypatch.setattr("app.shared.metric_card.store", lambda: store)
    said = {
        key: metric_card._network(METRICS[key].card, "retain")
        for key in ("clip_score", "fid_inception", "fid", "lpips")
    }
    assert said == {
        "clip_score": {"Network": "openai/clip-vit-large-patch14 (fingerprint 0123456789ab)"},
        "fid_inception": {"Network": "gone.pth (fingerprint unknown, its files are not here)"},
        "fid": {},
        "lpips": {},
    }
