"""One test for each part of a key: a change of it changes the key. And the parts that must not matter do not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.study import Decoding, Probe, Sampling
from cache.store import keys
from cache.store.keys import Context

CONTEXT = Context("scores", "weights", "tokenizer", "corrected/1", "{}", "float32", 1)
CHANGED: dict[str, Any] = {
    "kind": "answers",
    "fingerprint": "other",
    "tokenizer": "other",
    "protocol": "open-unlearning/1",
    "settings": '{"a": 1}',
    "numerics": "bfloat16-cuda",
    "code_version": 2,
}


@pytest.mark.parametrize("part", CHANGED)
def test_every_part_of_a_context_changes_its_key(part: str) -> None:
    assert replace(CONTEXT, **{part: CHANGED[part]}).key != CONTEXT.key


def test_no_part_is_forgotten_by_the_test_above() -> None:
    assert set(CHANGED) == set(Context.__slots__)


def test_parts_cannot_run_into_each_other() -> None:
    assert (
        replace(CONTEXT, fingerprint="ab", tokenizer="c").key
        != replace(CONTEXT, fingerprint="a", tokenizer="bc").key
    )


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_order_of_settings_does_not_matter(settings: dict[str, object]) -> None:
    backwards = dict(reversed(list(settings.items())))
    assert keys.canonical(settings) == keys.canonical(backwards)


def test_greedy_answers_know_neither_seed_nor_top_p() -> None:
    one = keys.answers_context("w", "t", Decoding(48, 0.0, 1.0, (0,)), 0, "float32")
    other = keys.answers_context("w", "t", Decoding(48, 0.0, 0.5, (7, 8)), 7, "float32")
    assert one.key == other.key
    assert keys.decoding_seeds(Decoding(48, 0.0, 1.0, (7, 8))) == (7,)


@pytest.mark.parametrize(
    ("decoding", "seed"),
    [
        (Decoding(49, 0.7, 0.9), 1),
        (Decoding(48, 0.8, 0.9), 1),
        (Decoding(48, 0.7, 0.8), 1),
        (Decoding(48, 0.7, 0.9), 2),
    ],
)
def test_each_decoding_setting_changes_the_key(decoding: Decoding, seed: int) -> None:
    base = keys.answers_context("w", "t", Decoding(48, 0.7, 0.9), 1, "float32")
    assert keys.answers_context("w", "t", decoding, seed, "float32").key != base.key


def test_number_of_other_seeds_does_not_change_the_key_of_one() -> None:
    one = keys.answers_context("w", "t", Decoding(48, 0.7, 0.9, (1,)), 1, "float32")
    many = keys.answers_context("w", "t", Decoding(48, 0.7, 0.9, (1, 2, 3)), 1, "float32")
    assert one.key == many.key


@pytest.mark.parametrize(
    ("sampling", "seed", "judges"),
    [
        (Sampling(11, 4.0, 64), 1, "j"),
        (Sampling(10, 5.0, 64), 1, "j"),
        (Sampling(10, 4.0, None), 1, "j"),
        (Sampling(10, 4.0, 64), 2, "j"),
        (Sampling(10, 4.0, 64), 1, "k"),
    ],
)
def test_each_sampling_setting_and_the_judges_change_the_key(
    sampling: Sampling, seed: int, judges: str
) -> None:
    base = keys.images_context("w", Sampling(10, 4.0, 64), 1, "j", "float32")
    assert keys.images_context("w", sampling, seed, judges, "float32").key != base.key


def test_settings_that_probes_bring_along_have_one_key_for_all_their_values() -> None:
    base, other = Sampling(10, 4.0, 64, (1, 2)), Sampling(10, 5.0, 64, (3,))
    plain, seeded = Probe("a", "forget", "A"), Probe("b", "forget", "B", seed=7)
    both = Probe("c", "forget", "C", seed=8, guidance=7.5)
    assert (
        keys.image_seed_settings(base, [plain])
        == keys.image_seed_settings(base, [])
        == [keys.SeedSetting(1), keys.SeedSetting(2)]
    )
    assert keys.image_seed_settings(base, [seeded, plain, both, replace(both, seed=9)]) == [
        keys.SeedSetting(0, ("seed",)),
        keys.SeedSetting(1),
        keys.SeedSetting(2),
        keys.SeedSetting(0, ("seed", "guidance")),
    ]
    found = {
        keys.images_context("w", sampling, seed, "j", "float32", both.own).key
        for sampling in (base, other)
        for seed in sampling.seeds
    }
    assert len(found) == 1
    assert len({keys.images_context("w", s, 1, "j", "float32", seeded.own).key for s in (base, other)}) == 2
    assert keys.images_context("w", base, 1, "j", "float32").key == "22478fbcfa4f53949d6cfac53d658596"


def test_settings_that_came_later_change_the_key_where_they_are_set_and_only_there() -> None:
    base = Sampling(10, 4.0, 64)
    assert keys.images_context("w", base, 1, "j", "float32").key == "22478fbcfa4f53949d6cfac53d658596"
    assert keys.sampling_settings(base, 1) == {"steps": 10, "guidance": 4.0, "size": 64, "seed": 1}
    others = [
        replace(base, negative_prompt="neon"),
        replace(base, scheduler="DDIM"),
        replace(base, size=(64, 32)),
        replace(base, size=(32, 64)),
    ]
    assert len({keys.images_context("w", each, 1, "j", "float32").key for each in (base, *others)}) == 5
    assert len({each.key(1) for each in (base, *others)}) == 5


def test_float32_on_cpu_and_cuda_is_one_arithmetic_and_everything_else_another() -> None:
    names = [
        keys.numerics(device, dtype) for device in ("cpu", "cuda", "mps") for dtype in ("float32", "bfloat16")
    ]
    assert names == ["float32", "bfloat16-cpu", "float32", "bfloat16-cuda", "float32-mps", "bfloat16-mps"]
