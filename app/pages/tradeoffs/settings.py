"""What the Trade-offs page shows, as part of its address: axes, view, options, chosen runs, layers, filters.

The page's widgets keep these values in the session under the same names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.charts.choices import SCALES, USUAL_SCALE
from app.shared.link import Setting
from cache.analysis.study_board import STUDY

GROUP = "tradeoffs"
NO_SIZE = "none"
RUNS = "run"
"""Names of the runs that are looked into."""


def layer_settings(layers: Collection[str]) -> dict[str, Setting]:
    """Which layers are shown, and whether protocols are mixed.

    Args:
        layers: those that there are.
    """
    return {"layer": Setting([STUDY], layers), "mix": Setting(False)}


def settings(
    axes: tuple[str, str], keys: Sequence[str], models: Collection[str], views: Sequence[str]
) -> dict[str, Setting]:
    """Everything else that a link restores.

    Args:
        axes: the usual ones.
        keys: metrics that are known.
        models: names of the runs on the board.
        views: the usual one first.
    """
    return {
        "x": Setting(axes[0], set(keys)),
        "y": Setting(axes[1], set(keys)),
        "size": Setting(NO_SIZE, {NO_SIZE, *keys}, shared=True),
        "turn": Setting(True),
        "chart": Setting(views[0], views),
        "xscale": Setting(USUAL_SCALE, SCALES),
        "yscale": Setting(USUAL_SCALE, SCALES),
        "intervals": Setting("bars", ("bars", "ellipses", "none")),
        "grey": Setting(False),
        "band": Setting(True),
        "ideal": Setting(False),
        "method": Setting([], None),
        "tag": Setting("", None),
        RUNS: Setting([], models),
    }
