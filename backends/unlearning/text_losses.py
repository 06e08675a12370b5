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


def weighted_ascent(
    logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, beta: float
) -> torch.Tensor:
    """WGA: gradient ascent in which each token counts by its own probability (Wang et al. 2025, arXiv 2502.19301).

    L = mean over answer tokens of p^beta log p, with p^beta held fixed: tokens that are forgotten already are left
    alone, where plain ascent pushes them without end. Same arguments as `answer_nll`; beta 0 is gradient ascent.
    """
    logprobs = _target_logprobs(logits, targets)
    return (logprobs.detach().exp() ** beta * logprobs * mask).sum() / mask.sum()


def saturation_importance(
    logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, beta1: float, beta2: float
) -> torch.Tensor:
    """SatImp: ascent weighted by saturation and importance (Yang et al. 2025, arXiv 2505.11953).

    L = mean over answer tokens of p^beta1 (1 - p)^beta2 log p, with the weight held fixed.
    """
    logprobs = _target_logprobs(logits, targets)
    p = logprobs.detach().exp()
    return (p**beta1 * (1 - p) ** beta2 * logprobs * mask).sum() / mask.sum()


def undial(
    logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, reference: torch.Tensor, beta: float
) -> torch.Tensor:
    """UNDIAL: distil the reference with the true token's logit lowered by beta (Dong et al. 2024, arXiv 2402.10052).

    L = mean over answer tokens of CE(model, softmax(reference - beta onehot(target))). Over the answer's tokens only;
    open-unlearning takes all positions, prompts and padding too.

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: shape (rows, tokens).
        reference: logits of the frozen reference, shape as `logits`.
        beta: by how much.
    """
    lowered = reference.float() - beta * torch.nn.functional.one_hot(targets, logits.shape[-1])
    wanted = torch.softmax(lowered, dim=-1)
    return _soft_cross_entropy(logits, wanted, mask)


def ceu(
    logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, *, skip_first: int = 0
) -> torch.Tensor:
    """CEU: cross-entropy to the model's own prediction without the true token (Yang 2025, arXiv 2503.01224).

    L = mean over answer tokens of CE(model, softmax(logits with the target at -infinity)), the right side held fixed.

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: shape (rows, tokens).
        skip_first: answer tokens at the beginning of each row that do not count; open-unlearning skips one.
    """
    without = logits.detach().float().scatter(-1, targets[..., None], -torch.inf)
    counted = mask * (mask.cumsum(-1) > skip_first)
    return _soft_cross_entropy(logits, torch.softmax(without, dim=-1), counted)


def flatness(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """PDU's forget loss: mean over answer tokens of (largest logit - mean logit)^2 (Entesari et al. 2025,
    arXiv 2506.05314).

    It is 0 where every token is as likely as every other. The retain loss is a constraint there, see `dual_step`.
    """
    wide = logits.float()
    return ((wide.amax(-1) - wide.mean(-1)) ** 2 * mask).sum() / mask.sum()


def dual_step(alpha: float, retain_loss: float, bound: float, rate: float) -> float:
    """PDU's weight of the retain loss after a step: alpha <- max(0, alpha + rate (retain loss - bound))."""
    return max(0.0, alpha + rate * (retain_loss - bound))


def steering(hidden: torch.Tensor, mask: torch.Tensor, direction: torch.Tensor, scale: float) -> torch.Tensor:
    """RMU's forget loss: hidden states of a layer are pushed to one random vector (Li et al. 2024, arXiv 2403.03218).

    L = mean over answer tokens and widths of (h - scale direction)^2.

    Args:
        hidden: shape (rows, tokens, width).
        mask: shape (rows, tokens).
        direction: a random unit vector with entries from U(0, 1), the same all through a run, shape (width,).
        scale: c in the paper.
    """
    return ((hidden.float() - scale * direction) ** 2).mean(-1).mul(mask).sum() / mask.sum()


def staying(hidden: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """RMU's retain loss: mean over tokens and widths of (h - h of the frozen model)^2; shapes as in `steering`."""
    return ((hidden.float() - reference.float()) ** 2).mean(-1).mul(mask).sum() / mask.sum()


def _target_logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, targets[..., None])[..., 0]


def _soft_cross_entropy(logits: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over tokens of -sum_v wanted_v log p_v."""
    per_token = -(wanted * torch.log_softmax(logits.float(), dim=-1)).sum(-1)
    return (per_token * mask).sum() / mask.sum()
