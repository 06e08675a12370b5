"""What several text methods are made of: likelihoods of answers and means over their tokens.

nll is the summed negative log-likelihood of an answer's tokens (end-of-turn token included), n their number. Pure
functions; every loss is a scalar to be minimised. What only one method has is in that method's file.
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
    return -(target_logprobs(logits, targets) * mask).sum(-1)


def target_logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-likelihood of each target, nats, shape (rows, tokens); arguments as in `answer_nll`."""
    return torch.log_softmax(logits.float(), dim=-1).gather(-1, targets[..., None])[..., 0]


def cross_entropy(nll: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """Mean over the batch's tokens: the ordinary training loss, and the retain term of most methods."""
    return nll.sum() / n.sum()


def soft_cross_entropy(logits: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over tokens of -sum_v wanted_v log p_v.

    Args:
        logits: shape (rows, tokens, vocabulary).
        wanted: probabilities, the same shape.
        mask: shape (rows, tokens).
    """
    per_token = -(wanted * torch.log_softmax(logits.float(), dim=-1)).sum(-1)
    return (per_token * mask).sum() / mask.sum()


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


def preference(
    nll_w: torch.Tensor, nll_w_ref: torch.Tensor, nll_l: torch.Tensor, nll_l_ref: torch.Tensor, beta: float
) -> torch.Tensor:
    """DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7), scaled as NPO is: y_w is preferred to y_l.

    L = -(2 / beta) mean log sigmoid(beta [(nll_l - nll_l_ref) - (nll_w - nll_w_ref)]). The factor 2 / beta is that of
    TOFU's code and open-unlearning.

    Args:
        nll_w: of the answer that is to win, shape (rows,).
        nll_w_ref: the same under the frozen original.
        nll_l: of the answer that is to lose, shape (rows,).
        nll_l_ref: the same under the frozen original.
        beta: inverse temperature.
    """
    margin = (nll_l - nll_l_ref) - (nll_w - nll_w_ref)
    return -(2.0 / beta) * logsigmoid(beta * margin).mean()
