"""The name of a number: of which probes, which metric, which part of it. One string in stores, links and tables.

    forget/probability
    utility/rouge_l@world facts         one probe set, subject, tag or level alone
    all/higher:MMLU accuracy            a metric of another tool, which may hold any sign
    forget/score:mia_min_k              scores of an attack on single probes
    retain/whole:kid                    a number of the whole role with its resamples

The last two are only kept among a model's values; no scoreboard shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

Kind = Literal["", "score", "whole"]


@dataclass(frozen=True, slots=True)
class MetricKey:
    """A number's name; `str` writes it, `parse` reads it.

    Attributes:
        role: of the probes, "all" for a model as a whole; without "/".
        metric: key of the metric; without "@".
        part: which of the role's probes alone; "" for all.
        kind: what is kept instead of the metric's own values: "score" of an attack, "whole" of a role; "" otherwise.
    """

    role: str
    metric: str
    part: str = ""
    kind: Kind = ""

    @classmethod
    def parse(cls, text: str) -> MetricKey:
        """Of a string that `str` gave. Without "/" all of it is the role, and there is no metric."""
        role, _, name = text.partition("/")
        metric, _, part = name.partition("@")
        kind, colon, rest = metric.partition(":")
        if colon and kind in ("score", "whole"):
            return cls(role, rest, part, cast(Kind, kind))
        return cls(role, metric, part)

    def __str__(self) -> str:
        """`role/name`."""
        return f"{self.role}/{self.name}" if self.name else self.role

    @property
    def name(self) -> str:
        """What stands behind the role: metric and part."""
        metric = f"{self.kind}:{self.metric}" if self.kind else self.metric
        return f"{metric}@{self.part}" if self.part else metric

    @property
    def undivided(self) -> MetricKey:
        """The same metric on all probes of the role."""
        return replace(self, part="") if self.part else self
