"""Losses of the text methods: pure functions of log-likelihoods, with the papers' symbols.

nll is the summed negative log-likelihood of an answer's tokens (end-of-turn token included), n their number; `_ref` is
the same under the frozen original. Every function returns a scalar to be minimised. Nothing here knows of models.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


def answer_nll(logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Summed negative log-likelihood of each row's answer, nats, shape (rows,).

    Args:
        logits: shape (rows, tokens, vocabulary), the prediction of each target.
        targets: shape (rows, tokens).
        mask: shape (rows, tokens), 1 where a target belongs to the answer.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1).gather(-1, targets[..., None])[..., 0]
    return -(logprobs * mask).sum(-1)


def cross_entropy(nll: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """Mean over the batch's tokens: the ordinary training loss, and the retain term of all methods here."""
    return nll.sum() / n.sum()


def gradient_ascent(nll: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """L = -CE(D_f). Unbounded below, which is why it collapses (Jang et al. 2023, arXiv 2210.01504)."""
    return -cross_entropy(nll, n)


def npo(nll: torch.Tensor, nll_ref: torch.Tensor, beta: float) -> torch.Tensor:
    """Negative preference optimisation (Zhang et al. 2024, arXiv 2404.05868, eq. 3).

    L = -(2 / beta) mean log sigmoid(beta (nll - nll_ref)); tends to gradient ascent on nll as beta tends to 0.
    """
    return -(2.0 / beta) * logsigmoid(beta * (nll - nll_ref)).mean()


def simnpo(nll: torch.Tensor, n: torch.Tensor, beta: float, delta: float) -> torch.Tensor:
    """SimNPO: length-normalised, no reference model (Fan et al. 2024, arXiv 2410.07163, eq. 4).

    L = -(2 / beta) mean log sigmoid(beta (nll / n - delta)).
    """
    return -(2.0 / beta) * logsigmoid(beta * (nll / n - delta)).mean()


def idk_dpo(
    refusal_nll: torch.Tensor,
    refusal_nll_ref: torch.Tensor,
    nll: torch.Tensor,
    nll_ref: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """DPO with a refusal as the winner and the true answer as the loser (Maini et al. 2024, arXiv 2401.06121).

    L = -(2 / beta) mean log sigmoid(beta [(nll - nll_ref) - (refusal_nll - refusal_nll_ref)]); the factor 2 is
    open-unlearning's, which makes its scale that of NPO.
    """
    margin = (nll - nll_ref) - (refusal_nll - refusal_nll_ref)
    return -(2.0 / beta) * logsigmoid(beta * margin).mean()


def kl_to_reference(logits: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(reference || model) per answer token, nats: keeps general behaviour where it was.

    Args:
        logits: shape (rows, tokens, vocabulary).
        reference: the same of the frozen reference.
        mask: shape (rows, tokens).
    """
    p = torch.log_softmax(reference.float(), dim=-1)
    q = torch.log_softmax(logits.float(), dim=-1)
    per_token = (p.exp() * (p - q)).sum(-1)
    return (per_token * mask).sum() / mask.sum()
