"""Evidence comes back as it went in, whole or row by row; damaged bytes are told from sound ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backends.evidence import Answer, ImageEvidence, Judgement, TextEvidence, TokenScores
from cache.store import codec

text = st.text(st.characters(codec="utf-8"), max_size=6)
floats = st.floats(width=32, allow_nan=False)


@st.composite
def scores(draw: st.DrawFn) -> TokenScores:
    n = draw(st.integers(0, 6))
    k = draw(st.sampled_from([0, 3]))
    ints = hnp.arrays(np.int32, n)
    reals = hnp.arrays(np.float32, n, elements=floats)
    mean = draw(reals)
    return TokenScores(
        token_ids=draw(ints),
        pieces=tuple(draw(st.lists(text, min_size=n, max_size=n))),
        logprobs=draw(reals),
        ranks=draw(ints),
        argmax_ids=draw(ints),
        mean=mean,
        variance=draw(reals),
        entropy=draw(st.sampled_from([-mean, mean + 1])),
        top_pieces=tuple(draw(st.lists(st.tuples(text, text, text), min_size=n, max_size=n))) if k else (),
        top_logprobs=draw(hnp.arrays(np.float32, (n, k), elements=floats)),
        end_logprob=draw(st.floats(allow_nan=False)),
    )


evidence = st.builds(
    TextEvidence,
    st.dictionaries(
        st.sampled_from(["answer", "paraphrase", "perturbed:0", "option:1"]), scores(), max_size=3
    ),
    st.lists(
        st.builds(
            Answer,
            text,
            st.integers(0, 99),
            st.sampled_from(["stop", "length"]),
            st.integers(-(2**63), 2**63 - 1),
            floats,
        ),
        max_size=2,
    ).map(tuple),
)


def assert_same(one: TextEvidence, other: TextEvidence) -> None:
    assert one.answers == other.answers
    assert list(one.scores) == list(other.scores)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        means = {name: scores.mean_logprob for name, scores in one.scores.items()}
    assert other.mean_logprobs == pytest.approx(means, nan_ok=True)
    for name, expected in one.scores.items():
        found = other.scores[name]
        for field in TokenScores.__slots__:
            left, right = getattr(expected, field), getattr(found, field)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype
                assert left.shape == right.shape
                np.testing.assert_array_equal(left, right)
            else:
                assert left == right, field


@settings(max_examples=60, deadline=None)
@given(st.lists(evidence, min_size=1, max_size=5), st.data())
def test_any_rows_of_a_cell_come_back_as_they_went_in(rows: list[TextEvidence], data: st.DataObject) -> None:
    payload = codec.encode_text(rows)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    for index, found in zip(wanted, codec.decode_text(payload, wanted), strict=True):
        assert_same(rows[index], found)


def test_without_pieces_the_numbers_stay() -> None:
    one = np.array([1, 2], np.int32)
    real = np.array([-1.5, -0.25], np.float32)
    top = np.array([[-0.1, -3], [-0.2, -4]], np.float32)
    rows = TokenScores(
        one, ("a", " b"), real, one, one, real, real, -real, (("a", "x"), ("b", "y")), top, -0.5
    )
    payload = codec.encode_text([TextEvidence({"answer": rows})])
    found = codec.decode_text(payload, [0], pieces=False)[0].scores["answer"]
    assert found.pieces == () and found.top_pieces == () and found.top_logprobs.shape == (2, 0)
    np.testing.assert_array_equal(found.logprobs, real)
    assert found.end_logprob == -0.5


@settings(max_examples=30, deadline=None)
@given(st.lists(evidence, min_size=1, max_size=4))
def test_a_part_of_a_cell_is_what_all_of_it_has_in_that_place(rows: list[TextEvidence]) -> None:
    payload, wanted = codec.encode_text(rows), range(len(rows))
    for row, scores, answers, norms in zip(
        rows,
        codec.decode_text(payload, wanted, only="scores"),
        codec.decode_text(payload, wanted, only="answers"),
        codec.decode_text(payload, wanted, only="gradients"),
        strict=True,
    ):
        assert_same(TextEvidence(row.scores), scores)
        assert_same(TextEvidence({}, row.answers), answers)
        assert_same(TextEvidence(), norms)


def test_gradient_norms_are_read_without_the_rest() -> None:
    payload = codec.encode_text([TextEvidence(gradient_norm=1.5), TextEvidence()])
    norms = [found.gradient_norm for found in codec.decode_text(payload, [1, 0], only="gradients")]
    np.testing.assert_array_equal(norms, [np.nan, 1.5])


def test_images_come_back_as_they_went_in() -> None:
    judgements = {
        "style": Judgement("neon", {"neon": 0.75, "none": 0.25}),
        "object": Judgement("fish", {"fish": 1.0}),
    }
    rows = [
        ImageEvidence("ab" * 32, 3, judgements, np.array([0.5, -1], np.float32), 0.25),
        ImageEvidence("cd" * 32, -1, {}, np.zeros(0, np.float32), 1.5),
    ]
    for expected, found in zip(
        rows[::-1], codec.decode_images(codec.encode_images(rows), [1, 0]), strict=True
    ):
        assert (found.image, found.seed, found.judgements, found.seconds) == (
            expected.image,
            expected.seed,
            expected.judgements,
            expected.seconds,
        )
        np.testing.assert_array_equal(found.features, expected.features)


@pytest.mark.parametrize("payload", [b"", b"not arrow at all", codec.encode_images([])])
def test_other_bytes_are_a_damaged_cell(payload: bytes) -> None:
    with pytest.raises(codec.DamagedCell):
        codec.decode_text(payload, [0])
