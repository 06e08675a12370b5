"""One number for a whole model, as OpenUnlearning's benchmark makes it: forgetting, privacy and utility, all needed."""

from __future__ import annotations

from backends.metrics.card import MetricCard, StudyMetric

RELATIVE_UTILITY = StudyMetric(
    MetricCard(
        key="relative_utility",
        title="Relative utility",
        question="utility",
        modality="text",
        formula=(
            r"\frac{\mathrm{HM}(\mathrm{MU}, 1 - g)}{\mathrm{HM}(\mathrm{MU}^{\text{orig}}, 1 - g^{\text{orig}})}"
        ),
        reading="1 means as useful as the original; g is the share of gibberish among the answers to the "
        "forget probes.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=None,
        ideal="1",
        needs=("model utility", "generated answers on forget probes", "the original's values"),
        source=(
            "OpenUnlearning's overall benchmark (utility); gibberish by this tool's stated rules, where theirs is the "
            "classifier madhurjindal/autonlp-Gibberish-Detector, so the two differ in what counts as gibberish"
        ),
        roles=frozenset({"all"}),
        interval="harmonic",
    )
)

OVERALL = StudyMetric(
    MetricCard(
        key="overall",
        title="Overall (forgetting, privacy, utility)",
        question="forgetting",
        modality="text",
        formula=r"\mathrm{HM}(\text{memorisation score}, \text{privacy}, \text{relative utility})",
        reading="Harmonic mean of three parts: a low one pulls it down. Check the parts before ranking by it.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.5,
        ideal="the retained model's value",
        needs=("memorisation score", "privacy", "relative utility"),
        source=(
            "OpenUnlearning's overall benchmark, with privacy as the membership attacks alone (its other part, the "
            "unlearning depth score, is not computed here)"
        ),
        roles=frozenset({"all"}),
        interval="harmonic",
    )
)
