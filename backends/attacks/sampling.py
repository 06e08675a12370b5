"""Attacks that ask a language model many times: what they would bring out is known from the answer's probability."""

from __future__ import annotations

from backends.attacks.attack import AttackCard, SamplingAttack

SAMPLING = tuple(
    SamplingAttack(
        AttackCard(
            key=f"samples_{count}",
            title=f"{count} sampled answer{'s' if count > 1 else ''}",
            family="sampling",
            modality="text",
            access=("sampling",),
            injects="nothing",
            cost="none: the evaluation knows the answer's probability",
            reading=f"Probability that one of {count} sampled answers is the true one, word for word.",
            source="leak@k (Reisizadeh et al. 2025) with exact probabilities (Hayes et al. 2025)",
            says=(f"leak_{count}",),
            rates=(),
            group="Sampled answers",
            strength=count,
            unit="samples",
        )
    )
    for count in (1, 16, 128)
)
