"""No two methods look alike, to people who see few colours too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from app.looks.model_looks import METHOD_LOOKS, ORIGINAL, RETAINED, families, method_looks
from app.shared.settings import PACK
from backends.study.file import read_study

Colour = NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
SEEN = {
    "all cones": np.eye(3),
    "deuteranope": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanope": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
BACKGROUND = {False: "#FFFFFF", True: "#12151B"}


def linear(colour: str) -> Colour:
    channels = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    t = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: Colour, other: Colour) -> float:
    """Sharma, Wu and Dalal 2005, with all weights 1."""
    mean = (np.hypot(*one[1:]) + np.hypot(*other[1:])) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    (l1, a1, b1), (l2, a2, b2) = one, other
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * stretch)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    hue = (h1 + turn / 2) % 360
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * weight)
    bend = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    bend *= np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + bend * dc * dh))


def test_the_distance_is_the_published_one() -> None:
    assert ciede2000(np.array([50.0, 2.6772, -79.7751]), np.array([50.0, 0.0, -82.7485])) == pytest.approx(
        2.0425, abs=1e-4
    )
    assert ciede2000(np.array([22.7233, 20.0904, -46.6940]), np.array([23.0331, 14.9730, -42.5619])) == (
        pytest.approx(2.0373, abs=1e-4)
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("who", SEEN)
def test_colours_of_the_first_eight_methods_are_told_apart(who: str, dark: bool) -> None:
    colours = [look.on(dark) for look in (*METHOD_LOOKS[:8], ORIGINAL, RETAINED)]
    seen = {colour: lab(SEEN[who] @ linear(colour)) for colour in colours}
    distances = {pair: ciede2000(*(seen[each] for each in pair)) for pair in itertools.combinations(seen, 2)}
    closest = min(distances, key=distances.__getitem__)
    assert distances[closest] > 8.0, closest


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_stands_out_of_the_background(dark: bool) -> None:
    ground = float(TO_XYZ[1] @ linear(BACKGROUND[dark]))
    for look in (*METHOD_LOOKS[:8], ORIGINAL, RETAINED):
        light = float(TO_XYZ[1] @ linear(look.on(dark)))
        assert (max(light, ground) + 0.05) / (min(light, ground) + 0.05) >= 3.0, look


def test_a_method_looks_the_same_in_both_studies_of_the_demo_and_no_look_means_two_methods() -> None:
    text, image = (read_study(PACK / kind / "study.toml") for kind in ("text", "image"))
    ours, theirs = (method_looks(families(study)) for study in (text, image))
    assert set(ours) & set(theirs) == {"GradAscent"}
    assert ours["GradAscent"] == theirs["GradAscent"]
    assert len({*ours.values(), *theirs.values()}) == len({*ours, *theirs}) == 9
    for looks in (ours, theirs):
        for part in ("light", "dark", "symbol", "dash"):
            assert len({getattr(look, part) for look in looks.values()}) == len(looks), part


def test_a_look_depends_on_the_name_and_not_on_its_place_in_the_file() -> None:
    alone = {name: method_looks([name])[name] for name in ("NPO", "our method", "ESD")}
    assert method_looks(["ESD", "our method", "NPO"]) == alone
    assert method_looks(["grad_ascent"])["grad_ascent"] == method_looks(["GradAscent"])["GradAscent"]


def test_who_comes_later_gives_way_and_changes_nobody_before() -> None:
    first = method_looks(["GradAscent", "grad ascent"])
    assert first["GradAscent"] == METHOD_LOOKS[0] and first["grad ascent"].light != METHOD_LOOKS[0].light
    names = [f"run {number}" for number in range(40)]
    before = method_looks(names)
    assert {name: method_looks([*names, "NPO"])[name] for name in names} == before


@pytest.mark.parametrize("prefix", ["run", "m", "sweep-"])
def test_methods_of_any_name_are_told_apart(prefix: str) -> None:
    looks = list(method_looks([f"{prefix}{number}" for number in range(64)]).values())
    assert len({look.light for look in looks[:8]}) == 8
    assert len({(look.symbol, look.dash) for look in looks[:32]}) == 32
    assert len({(look.light, look.symbol) for look in looks}) == 64
