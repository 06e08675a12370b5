"""What the Trade-offs page shows, as part of its address: axes, view, options, chosen runs, layers, filters.

The page's widgets keep these values in the session under the same names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.charts.choices import SCALES, USUAL_SCALE
from app.shared.link import LinkSetting
from cache.analysis.study_board import STUDY

GROUP = "tradeoffs"
NO_SIZE = "none"
RUNS = "run"
"""Names of the selected runs."""


def layer_settings(layers: Collection[str]) -> dict[str, LinkSetting]:
    """Which layers are shown, and whether protocols are mixed.

    Args:
        layers: those that there are.
    """
    return {"layer": LinkSetting([STUDY], layers), "mix": LinkSetting(False)}


def view_setting(views: Sequence[str]) -> LinkSetting:
    """Which of the views is shown.

    Args:
        views: the default first.
    """
    return LinkSetting(views[0], views)


def settings(
    axes: tuple[str, str], keys: Sequence[str], models: Collection[str], views: Sequence[str]
) -> dict[str, LinkSetting]:
    """Everything else that a link restores.

    Args:
        axes: the usual ones.
        keys: metrics that are known.
        models: names of the runs on the board.
        views: the default first.
    """
    return {
        "x": LinkSetting(axes[0], set(keys)),
        "y": LinkSetting(axes[1], set(keys)),
        "size": LinkSetting(NO_SIZE, {NO_SIZE, *keys}, shared=True),
        "turn": LinkSetting(True),
        "chart": view_setting(views),
        "xscale": LinkSetting(USUAL_SCALE, SCALES),
        "yscale": LinkSetting(USUAL_SCALE, SCALES),
        "intervals": LinkSetting("bars", ("bars", "ellipses", "none")),
        "grey": LinkSetting(False),
        "band": LinkSetting(True),
        "ideal": LinkSetting(False),
        "method": LinkSetting([], None),
        "tag": LinkSetting("", None),
        RUNS: LinkSetting([], models),
    }
