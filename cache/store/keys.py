"""What identifies evidence: everything that can change it, and nothing else.

A *context* is one model under one protocol with one setting; a probe's digest within a context is one piece of
evidence. Two pieces with one key are the same, anything else is another. Knows nothing of how evidence is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from blake3 import blake3

from backends.device import device_kind
from backends.study import Decoding, Probe, ProtocolName, Sampling

Kind = Literal["scores", "answers", "gradients", "images"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ValueKind = Literal["losses", "trajectories", "costs", "checks", "judges", "ratings"]
VALUE_KINDS: tuple[ValueKind, ...] = get_args(ValueKind)
"""Evidence that is said in JSON: denoising losses of real pictures, frames of how a picture forms, what a model cost,
what was found when it was loaded, what a judge said of real pictures."""

CODE_VERSION: Mapping[Kind | ValueKind, int] = MappingProxyType(
    {
        "scores": 1,
        "answers": 1,
        "gradients": 1,
        "images": 1,
        "losses": 1,
        "ratings": 1,
        "trajectories": 1,
        "costs": 1,
        "checks": 1,
        "judges": 1,
    }
)
"""Raised when the code that makes evidence of a kind changes what it makes; older evidence is then not found."""

TEXT_PROTOCOLS: Mapping[ProtocolName, str] = MappingProxyType(
    {"corrected": "corrected/1", "open-unlearning": "open-unlearning/1", "muse": "muse/1"}
)
"""Name and version of each way of asking; what they are is said in `backends/text/tokens.py`."""

IMAGE_PROTOCOL = "same-noise/1"
"""One CPU generator for each image, seeded with its seed: equal seeds start from equal noise in every model."""


UNSEEN: Mapping[str, str] = MappingProxyType(
    {
        "weights": "key: `fingerprint`, of the content of every tensor; see `backends.remembered` for what is trusted",
        "config.json": "key: `fingerprint`, with the attention implementation where the file names one",
        "generation_config.json": "key: `fingerprint`; of its settings only the end tokens are used: the own decoding "
        "loop knows no sampling defaults, penalties, forced, suppressed or forbidden tokens, and no least length",
        "tokenizer files": "key: `tokenizer`, of the content of tokenizer.json, tokenizer.model, vocabulary, merges",
        "chat template": "key: `tokenizer`, of its text; `protocol`, of what it renders where that differs from before",
        "date": "key: `protocol`, where the template prints one; the clock is never asked",
        "locale, time zone": "cannot: dates are written in English and UTC",
        "chance in templates": "cannot: a template that draws at random is refused",
        "end and beginning tokens": "key: `protocol`, where the tokenizer ends texts or another token ends turns; the "
        "probe's digest, where a format writes the beginning itself",
        "decoding, sampling": "key: `settings`",
        "device, number format": "key: `numerics`",
        "threads, batch neighbours": "cannot, beyond the rounding of float32 (1e-4 nat): padding is masked, positions "
        "and noise are each row's own",
        "attention implementation": "cannot, beyond rounding: sdpa and eager agree; another is in config.json",
        "versions of torch, transformers, tokenizers": "not in the key: they are said with the run, and a tokenizer's "
        "behaviour is in its file",
    }
)
"""What could change a rendering or a number unseen, and what becomes of it: it changes the key, or cannot change
anything. `tests/cache/store/test_unseen.py` has a test of each."""


OWN = "own"
"""In the place of a setting that each probe brings along: its value is then part of the probe's digest."""


class SeedSetting(NamedTuple):
    """How evidence of one kind is asked for: with a seed, or with settings that probes bring along (`Probe.own`)."""

    seed: int
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """All that evidence depends on beside the probe.

    Attributes:
        kind: one of KINDS or of VALUE_KINDS.
        fingerprint: identity of the weights; of its files for what a judge said.
        tokenizer: identity of tokenizer and chat template; "" for images.
        protocol: named way of asking, with what tells it from earlier versions' where `asked_anew` finds a difference.
        settings: canonical JSON of the decoding or sampling settings of one seed; judges for images.
        numerics: see `numerics`.
        code_version: version of the code that makes this kind.
    """

    kind: Kind | ValueKind
    fingerprint: str
    tokenizer: str
    protocol: str
    settings: str
    numerics: str
    code_version: int

    @property
    def key(self) -> str:
        """32 hexadecimal digits."""
        return _context_key(self)


def text_protocol(protocol: ProtocolName, asked: str = "") -> str:
    """Name and version of a way of asking; `asked`: see `backends.text.rendering.asked_anew`."""
    return f"{TEXT_PROTOCOLS[protocol]} {asked}".rstrip()


def scores_context(
    fingerprint: str, tokenizer: str, numerics: str, protocol: ProtocolName = "corrected", asked: str = ""
) -> Context:
    """Given answers, teacher-forced: no settings."""
    return Context(
        "scores",
        fingerprint,
        tokenizer,
        text_protocol(protocol, asked),
        canonical({}),
        numerics,
        CODE_VERSION["scores"],
    )


def answers_context(
    fingerprint: str,
    tokenizer: str,
    decoding: Decoding,
    seed: int,
    numerics: str,
    protocol: ProtocolName = "corrected",
    asked: str = "",
) -> Context:
    """Answers generated with one seed."""
    settings = canonical(decoding_settings(decoding, seed))
    return Context(
        "answers",
        fingerprint,
        tokenizer,
        text_protocol(protocol, asked),
        settings,
        numerics,
        CODE_VERSION["answers"],
    )


def gradients_context(
    fingerprint: str, tokenizer: str, numerics: str, protocol: ProtocolName = "corrected", asked: str = ""
) -> Context:
    """Gradient norms of the true answers."""
    return Context(
        "gradients",
        fingerprint,
        tokenizer,
        text_protocol(protocol, asked),
        canonical(gradient_settings(protocol)),
        numerics,
        CODE_VERSION["gradients"],
    )


def gradient_settings(protocol: ProtocolName) -> dict[str, object]:
    """Which labels' loss is differentiated, where not all: open-unlearning leaves out the last (earlier versions did
    not, and their norms are another thing).
    """
    return {"labels": "all but the last"} if protocol == "open-unlearning" else {}


def images_context(
    fingerprint: str,
    sampling: Sampling,
    seed: int,
    judges: str,
    numerics: str,
    own: Sequence[str] = (),
) -> Context:
    """Images sampled with one seed, but for what probes bring along, and judged by the judges of that digest."""
    settings = canonical(sampling_settings(sampling, seed, own) | {"judges": judges})
    return Context("images", fingerprint, "", IMAGE_PROTOCOL, settings, numerics, CODE_VERSION["images"])


def decoding_settings(decoding: Decoding, seed: int) -> dict[str, object]:
    """What matters of the decoding for one seed; greedy decoding knows neither seed nor top-p."""
    if decoding.temperature == 0:
        return {"max_new_tokens": decoding.max_new_tokens, "temperature": 0.0}
    return {key: value for key, value in asdict(decoding).items() if key != "seeds"} | {"seed": seed}


def sampling_settings(sampling: Sampling, seed: int, own: Sequence[str] = ()) -> dict[str, object]:
    """What matters of the sampling for one seed; `OWN` for what each probe brings along."""
    settings: dict[str, object] = {
        "steps": sampling.steps,
        "guidance": float(sampling.guidance),
        "size": sampling.size if isinstance(sampling.size, int | None) else list(sampling.size),
        "seed": seed,
        **sampling.added(),
    }
    return settings | dict.fromkeys(own, OWN)


def image_seed_settings(sampling: Sampling, probes: Sequence[Probe]) -> list[SeedSetting]:
    """All ways in which pictures of these probes are drawn; one for all seeds that probes bring along."""
    kinds = dict.fromkeys(probe.own for probe in probes) or {(): None}
    return [SeedSetting(seed, own) for own in kinds for seed in ((0,) if "seed" in own else sampling.seeds)]


def decoding_seeds(decoding: Decoding) -> tuple[int, ...]:
    """One seed for each answer to be written: greedy decoding writes one answer whatever the seeds."""
    return decoding.seeds[:1] or (0,) if decoding.temperature == 0 else decoding.seeds


def numerics(device: str, dtype: str) -> str:
    """Name of the arithmetic. float32 on CPU and on CUDA (TF32 off) agree within the tests' tolerance and share one."""
    return "float32" if dtype == "float32" and device_kind(device) in {"cpu", "cuda"} else f"{dtype}-{device}"


def canonical(settings: Mapping[str, object]) -> str:
    """JSON with sorted keys, the same text for the same settings."""
    return json.dumps(dict(settings), sort_keys=True, ensure_ascii=False)


def digest(value: Mapping[str, object] | Sequence[object]) -> str:
    """BLAKE3 of the canonical JSON, 32 hexadecimal digits."""
    return blake3(_json(value).encode()).hexdigest()[:32]


class Said(str):
    """Canonical JSON that was made before, for what stands in many keys."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Said:
        """What `digest_of` takes in the place of the value."""
        return cls(_json(value))


def digest_of(parts: Sequence[object]) -> str:
    """The same as `digest` of these parts, some of which are `Said` in place of what they say."""
    texts = (part if isinstance(part, Said) else _json(part) for part in parts)
    return blake3(f"[{', '.join(texts)}]".encode()).hexdigest()[:32]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=65_536)
def _context_key(context: Context) -> str:
    return digest([getattr(context, field.name) for field in fields(context)])
