"""The text methods with the settings of their papers (as open-unlearning has them): losses, needs, sources."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

from backends.unlearning import text_losses as losses
from backends.unlearning.settings import Settings
from backends.unlearning.text_method import Loss, Seen, TextMethod


def _cross_entropy(seen: Seen, _: Settings) -> Tensor:
    return losses.cross_entropy(seen.nll, seen.n)


def _ascent(seen: Seen, _: Settings) -> Tensor:
    return losses.gradient_ascent(seen.nll, seen.n)


def _npo(seen: Seen, use: Settings) -> Tensor:
    return losses.npo(seen.nll, seen.reference_nll, use["beta"])


def _simnpo(seen: Seen, use: Settings) -> Tensor:
    return losses.simnpo(seen.nll, seen.n, use["beta"], use["delta"])


def _preference(seen: Seen, use: Settings) -> Tensor:
    wins = seen.others
    return losses.idk_dpo(wins.nll, wins.reference_nll, seen.nll, seen.reference_nll, use["beta"])


def _undial(seen: Seen, use: Settings) -> Tensor:
    return losses.undial(seen.logits, seen.targets, seen.mask, seen.teacher, use["beta"])


def _wga(seen: Seen, use: Settings) -> Tensor:
    return losses.weighted_ascent(seen.logits, seen.targets, seen.mask, use["beta"])


def _satimp(seen: Seen, use: Settings) -> Tensor:
    return losses.saturation_importance(seen.logits, seen.targets, seen.mask, use["beta"], use["beta2"])


def _ceu(seen: Seen, use: Settings) -> Tensor:
    return losses.ceu(seen.logits, seen.targets, seen.mask, skip_first=int(use["skip_first"]))


def _pdu(seen: Seen, _: Settings) -> Tensor:
    return losses.flatness(seen.logits, seen.mask)


def _rmu(seen: Seen, use: Settings) -> Tensor:
    return losses.steering(seen.hidden, seen.mask, seen.direction, use["scale"])


def _of(
    loss: Loss, name: str, about: str, source: str, uses: tuple[str, ...] = (), **usual: float
) -> TextMethod:
    return TextMethod(name, about, source, loss, uses=uses, usual=MappingProxyType(usual))


def _listed(*methods: TextMethod) -> Mapping[str, TextMethod]:
    return MappingProxyType({each.name: each for each in methods})


FINE_TUNE = _of(_cross_entropy, "FineTune", "Ordinary training.", "")
"""Not an unlearning method; the demo's models are made with it."""

METHODS = _listed(
    _of(_ascent, "GradAscent", "Makes the answers unlikely, without end: it collapses.", "Jang et al. 2023"),
    _of(_ascent, "GradDiff", "Gradient ascent, with the retain rows trained on.", "Liu et al. 2022", alpha=1.0),
    _of(
        _ascent, "GradDiffKL", "Gradient ascent, with the answers to retain rows held by KL.", "Maini et al. 2024",
        keep=1.0,
    ),
    TextMethod(
        "NPO", "Ascent that fades as the answer is forgotten, against the frozen original.", "Zhang et al. 2024", _npo,
        ("reference",), usual={"alpha": 1.0, "beta": 0.1}, uses=("beta",),
    ),
    _of(
        _simnpo, "SimNPO", "NPO by length and without a reference.", "Fan et al. 2024", ("beta", "delta"),
        gamma=0.125, alpha=1.0, beta=4.5,
    ),
    TextMethod(
        "IdkNLL", "Learns to refuse; the answer stays inside.", "Maini et al. 2024", _cross_entropy, ("refusals",),
        "refusals", {"alpha": 1.0},
    ),
    TextMethod(
        "IdkDPO", "Prefers a refusal to the answer.", "Maini et al. 2024", _preference, ("reference", "refusals"),
        usual={"alpha": 1.0, "beta": 0.1}, uses=("beta",),
    ),
    TextMethod(
        "AltPO", "Prefers another answer of the same form.", "Mekala et al. 2024", _preference,
        ("reference", "alternates"), usual={"alpha": 1.0, "beta": 0.1}, uses=("beta",),
    ),
    TextMethod(
        "RMU", "Steers the hidden states of one layer to noise.", "Li et al. 2024", _rmu, sees="hidden",
        usual={"alpha": 1.0}, uses=("layer", "scale"),
    ),
    TextMethod(
        "UNDIAL", "Distils itself with the true token's logit lowered.", "Dong et al. 2024", _undial, ("teacher",),
        usual={"beta": 10.0}, uses=("beta", "everywhere"),
    ),
    _of(
        _wga, "WGA", "Ascent in which forgotten tokens are left alone.", "Wang et al. 2025", ("beta",),
        alpha=1.0, beta=1.0,
    ),
    _of(
        _satimp, "SatImp", "Ascent weighted by saturation and importance.", "Yang et al. 2025", ("beta", "beta2"),
        gamma=0.1, alpha=1.0, beta=5.0, beta2=1.0,
    ),
    _of(_ceu, "CEU", "Aims at its own prediction without the true token.", "Yang 2025", ("skip_first",)),
    _of(
        _pdu, "PDU", "Flattens the prediction, while a price holds the retain loss under a bound.",
        "Entesari et al. 2025", ("bound", "dual_rate"), alpha=1.0, dual_rate=1.0,
    ),
    TextMethod(
        "TaskArithmetic", "Trains on the forget rows, then goes as far the other way.", "Ilharco et al. 2023",
        _cross_entropy, usual={"scale": 1.0}, uses=("scale",), negated=True,
    ),
)  # fmt: skip
"""By name."""
