"""Devices: what is picked, its kind, and that float32 is float32 everywhere."""

from __future__ import annotations

import pytest
import torch

from backends.device import device_kind
from backends.pool import ModelPool
from backends.unlearning.resuming import random_state, restore_random
from cache.store.keys import numerics


def test_a_numbered_device_is_of_its_kind() -> None:
    assert [device_kind(name) for name in ("cpu", "cuda", "cuda:1", "mps")] == ["cpu", "cuda", "cuda", "mps"]
    assert numerics("cuda:1", "float32") == numerics("cuda", "float32") == numerics("cpu", "float32")


def test_whoever_uses_the_pool_computes_without_tf32() -> None:
    """Judges and other networks run where no pipeline was loaded, too."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    assert ModelPool("cpu").device == "cpu"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_what_dropout_draws_from_is_put_back() -> None:
    state = random_state("cpu")
    first = torch.rand(3)
    restore_random(state, "cpu")
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_so_is_the_device_s_own(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout on a device draws from the device's generator; there is none here, so its two functions are recorded."""
    kept, put = torch.arange(3, dtype=torch.uint8), []
    library = getattr(torch, device_kind(device))
    monkeypatch.setattr(library, "get_rng_state", lambda *_: kept)
    monkeypatch.setattr(library, "set_rng_state", lambda *given: put.append(given))
    restore_random(random_state(device), device)
    assert [given[0] is kept for given in put] == [True]
    put.clear()
    restore_random(random_state("cpu"), device)  # stopped by a version that kept the CPU's alone
    assert put == []
