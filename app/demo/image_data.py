"""The demo's pictures: UnlearnCanvas in miniature, eight objects in five styles, drawn from OpenMoji's layers.

A picture is drawn from (object, style, index) and nothing else, so that the data set is the same everywhere. Knows
nothing about models. Emoji: OpenMoji, CC BY-SA 4.0, see `pack/image/emoji/ATTRIBUTION.md`.
"""

from __future__ import annotations

import colorsys
import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Pixels = NDArray[np.uint8]
Layer = Image.Image

EMOJI = Path(__file__).parent / "pack" / "image" / "emoji"
CODES = {
    "mushroom": "1F344",
    "rocket": "1F680",
    "cat": "1F431",
    "umbrella": "2602",
    "cactus": "1F335",
    "fish": "1F420",
    "house": "1F3E0",
    "butterfly": "1F98B",
}
OBJECTS = tuple(CODES)
STYLES = ("flat", "neon", "sepia", "blueprint", "popart")
FORGET_STYLE = "neon"
SIDE = 48
LAYER_SIDE = 144  # three times SIDE: drawn large, reduced by a box filter
PER_CONCEPT = 48


@dataclass(frozen=True, slots=True)
class Pictures:
    """A labelled data set.

    Attributes:
        pixels: uint8, shape (N, SIDE, SIDE, 3).
        objects: index into OBJECTS, shape (N,).
        styles: index into STYLES, shape (N,).
    """

    pixels: Pixels
    objects: NDArray[np.int64]
    styles: NDArray[np.int64]

    def keep(self, mask: NDArray[np.bool_]) -> Pictures:
        """The pictures where the mask is True, shape (N,)."""
        return Pictures(self.pixels[mask], self.objects[mask], self.styles[mask])


def prompt(object_name: str, style: str) -> str:
    """The prompt of UnlearnCanvas for one picture."""
    return f"A {object_name} image in {style} style."


def data_set(per_concept: int = PER_CONCEPT) -> Pictures:
    """`per_concept` pictures of every object in every style, in a fixed order."""
    rows = [(o, s, i) for o in range(len(OBJECTS)) for s in range(len(STYLES)) for i in range(per_concept)]
    pixels = np.stack([draw(OBJECTS[o], STYLES[s], i) for o, s, i in rows])
    return Pictures(pixels, np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))


def draw(object_name: str, style: str, index: int) -> Pixels:
    """One picture, uint8 (SIDE, SIDE, 3): posed, styled and reduced; index 0 is posed straight."""
    rng = random.Random(f"{object_name}/{style}/{index}")
    pose = (0.0, 0.0, 1.0, 0.0)
    if index:
        pose = (rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(0.92, 1.04), rng.uniform(-4, 4))
    colour, line = (_posed(layer, pose) for layer in _layers(object_name))
    large = _STYLES[style](colour, line, rng)
    return np.asarray(large.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def recipe_hash() -> str:
    """Identity of the data: this file and the emoji it draws from."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(EMOJI.glob("*.png")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _layers(object_name: str) -> tuple[Layer, Layer]:
    colour, line = (
        Image.open(EMOJI / f"{object_name}-{layer}.png").convert("RGBA") for layer in ("colour", "line")
    )
    return colour, line


def _posed(layer: Layer, pose: tuple[float, float, float, float]) -> Layer:
    """Shifted by (x, y) in layer pixels, scaled, rotated by degrees, about the middle."""
    x, y, scale, angle = pose
    turned = layer.rotate(angle, resample=Image.Resampling.BICUBIC)
    middle = LAYER_SIDE / 2
    return turned.transform(
        layer.size,
        Image.Transform.AFFINE,
        (1 / scale, 0, middle - (middle + x) / scale, 0, 1 / scale, middle - (middle + y) / scale),
        resample=Image.Resampling.BICUBIC,
    )


def _hsv(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)


def _paper(colour: tuple[int, int, int]) -> Layer:
    return Image.new("RGB", (LAYER_SIDE, LAYER_SIDE), colour)


def _alpha(layer: Layer, grow: int = 0, blur: float = 0.0) -> Layer:
    alpha = layer.getchannel("A")
    if grow:
        alpha = alpha.filter(ImageFilter.MaxFilter(2 * grow + 1))
    return alpha.filter(ImageFilter.GaussianBlur(blur)) if blur else alpha


def _stamp(paper: Layer, ink: tuple[int, int, int], mask: Layer, strength: float = 1.0) -> None:
    paper.paste(ink, (0, 0), mask.point(lambda value: int(value * strength)))


def _flat(colour: Layer, line: Layer, rng: random.Random) -> Layer:
    paper = _paper(_hsv(0.12 + rng.uniform(-0.02, 0.02), 0.06, 1.0))
    paper.paste(colour, (0, 0), colour)
    _stamp(paper, (20, 20, 25), _alpha(line))
    return paper


def _neon(colour: Layer, line: Layer, rng: random.Random) -> Layer:
    """Glowing tubes on a dark wall: lines in magenta, the inside lit in cyan."""
    paper = _paper((12, 8, 30))
    shift = rng.uniform(-0.02, 0.02)
    _stamp(paper, _hsv(0.53 + shift, 0.9, 0.75), _alpha(colour, blur=3), 0.5)
    _stamp(paper, _hsv(0.86 + shift, 1.0, 1.0), _alpha(line, grow=3, blur=5), 0.9)
    _stamp(paper, _hsv(0.87 + shift, 0.45, 1.0), _alpha(line, grow=1))
    return paper


def _sepia(colour: Layer, line: Layer, rng: random.Random) -> Layer:
    grey = ImageOps.grayscale(_flat(colour, line, rng))
    return ImageOps.colorize(grey, (48, 26, 10), (236, 214, 170), mid=(160, 112, 62))


def _blueprint(colour: Layer, line: Layer, rng: random.Random) -> Layer:
    """White lines on blue, with a grid that stays where the paper is."""
    paper = _paper(_hsv(0.605 + rng.uniform(-0.01, 0.01), 0.85, 0.62))
    pen = ImageDraw.Draw(paper)
    for at in range(0, LAYER_SIDE, 24):
        pen.line([(at, 0), (at, LAYER_SIDE)], fill=(62, 108, 190), width=3)
        pen.line([(0, at), (LAYER_SIDE, at)], fill=(62, 108, 190), width=3)
    _stamp(paper, (90, 150, 225), _alpha(colour), 0.35)
    _stamp(paper, (245, 250, 255), _alpha(line, grow=1))
    return paper


def _popart(colour: Layer, line: Layer, rng: random.Random) -> Layer:
    """Yellow paper with dots, colours turned by a third of the wheel, a thick outline."""
    paper = _paper(_hsv(0.14 + rng.uniform(-0.01, 0.01), 0.95, 1.0))
    pen = ImageDraw.Draw(paper)
    for row, y in enumerate(range(0, LAYER_SIDE + 12, 12)):
        for x in range(6 * (row % 2), LAYER_SIDE + 12, 12):
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(245, 95, 40))
    hue, saturation, value = colour.convert("RGB").convert("HSV").split()
    turned = Image.merge("HSV", (hue.point(lambda h: (h + 150) % 256), saturation, value)).convert("RGB")
    paper.paste((255, 255, 255), (0, 0), _alpha(line, grow=6))
    paper.paste(ImageOps.posterize(turned, 3), (0, 0), colour.getchannel("A"))
    _stamp(paper, (10, 5, 15), _alpha(line, grow=2))
    return paper


_STYLES: Mapping[str, Callable[[Layer, Layer, random.Random], Layer]] = {
    "flat": _flat,
    "neon": _neon,
    "sepia": _sepia,
    "blueprint": _blueprint,
    "popart": _popart,
}
