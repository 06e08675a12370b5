"""A board of pictures as one HTML file and as one PNG, every picture with the settings it was made with."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from app.looks.html_page import render
from backends.study import Sampling

_GAP = 12
_LABEL = 22
_LINE = 15
_CAPTION_LINES = 3
_SMALLEST = 128
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1d2129; background: #fff; }
h1 { font-size: 1.3rem; margin: 0; } p { color: #555; margin: .2rem 0 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: separate; border-spacing: 10px; }
th { text-align: left; vertical-align: bottom; max-width: 14rem; font-weight: 600; }
th small { display: block; font-weight: 400; color: #666; } td { vertical-align: top; }
img { display: block; min-width: 128px; max-width: 320px; image-rendering: auto; border-radius: 4px; }
img.small { image-rendering: pixelated; width: 144px; } figcaption { font-size: 12px; color: #555; max-width: 320px; }
figure { margin: 0; } .empty { width: 144px; height: 144px; border: 1px dashed #bbb; display: grid; place-items: center;
  font-size: 12px; color: #777; text-align: center; border-radius: 4px; }
"""
_TEMPLATE = """<!doctype html><html lang=en><meta charset=utf-8><title>{{ title }}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>{{ style | safe }}</style>
<h1>{{ title }}</h1><p>{{ prompt }} · {{ settings }}</p>
<div class=scroll><table><thead><tr>
{% for column in columns %}<th>{{ column.title }}<small>{{ column.detail }}</small></th>{% endfor %}
</tr></thead><tbody>
{% for row in rows %}
<tr>
{% for cell in row %}
<td>{% if cell.src %}
<figure><img{{ ' class=small' | safe if cell.small else '' }} src="{{ cell.src }}" alt="{{ cell.settings }}">
<figcaption>{{ cell.settings }}{% for words in cell.judged %}<br>{{ words }}{% endfor %}</figcaption></figure>
{%- else %}<div class=empty>{{ cell.message }}</div>{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div></html>
"""


def export_buttons(board: Mapping[str, Any], title: str, sampling: Sampling) -> None:
    """Two downloads of what is shown; made when they are asked for."""
    name = "".join(sign if sign.isalnum() else "-" for sign in title).strip("-").lower() or "pictures"
    with st.popover("Export", icon=":material/download:", help="The pictures with their settings"):
        st.download_button(
            "One HTML file",
            lambda: as_html(board, title, sampling),
            f"{name}.html",
            "text/html",
            icon=":material/html:",
            on_click="ignore",
            key=f"html_{board['view']}",
        )
        st.download_button(
            "One PNG",
            lambda: as_png(board, title, sampling),
            f"{name}.png",
            "image/png",
            icon=":material/image:",
            on_click="ignore",
            key=f"png_{board['view']}",
        )


def as_html(board: Mapping[str, Any], title: str, sampling: Sampling) -> bytes:
    """A page that opens without a server: nothing is loaded from anywhere, everything that was written is escaped."""
    columns = board["columns"]
    rows = max((len(column["cells"]) for column in columns), default=0)
    return render(
        _TEMPLATE,
        style=_STYLE,
        title=title,
        prompt=board["prompt"],
        settings=_settings(sampling),
        columns=columns,
        rows=[[_figure(column, row, sampling) for column in columns] for row in range(rows)],
    ).encode()


def _figure(column: Mapping[str, Any], row: int, sampling: Sampling) -> dict[str, Any]:
    """A cell of the page; without a picture only the words in its place."""
    cell = column["cells"][row] if row < len(column["cells"]) else None
    if cell is None or not cell["src"]:
        return {"src": "", "message": cell["message"] if cell else ""}
    return {
        "src": cell["src"],
        "small": max(_picture(cell["src"]).size) < _SMALLEST,
        "settings": cell_settings(column, cell, sampling),
        "judged": [each["words"] for each in cell["judged"]],
    }


def cell_settings(column: Mapping[str, Any], cell: Mapping[str, Any], sampling: Sampling) -> str:
    """Everything that one picture was made with, in a line."""
    return str(cell.get("settings") or f"{column['title']}, seed {cell['seed']}, {_settings(sampling)}")


def _settings(sampling: Sampling) -> str:
    sides = sampling.width_height
    size = [f"{sampling.size} px" if sides[0] == sides[1] else f"{sides[0]} x {sides[1]} px"] if sides else []
    scheduler = [sampling.scheduler] if sampling.scheduler else []
    negative = [f"negative prompt: {sampling.negative_prompt}"] if sampling.negative_prompt else []
    return ", ".join(
        [f"{sampling.steps} steps", f"guidance {sampling.guidance:g}", *size, *scheduler, *negative]
    )


def as_png(board: Mapping[str, Any], title: str, sampling: Sampling) -> bytes:
    """One picture with headings; small pictures are enlarged by whole factors, so that their pixels stay sharp."""
    columns = board["columns"]
    pictures = [
        [_picture(cell["src"]) if cell["src"] else None for cell in column["cells"]] for column in columns
    ]
    sides = [max(picture.size) for column in pictures for picture in column if picture is not None]
    side = max(sides, default=_SMALLEST)
    scale = max(1, -(-_SMALLEST // side))
    side *= scale
    rows = max((len(column) for column in pictures), default=0)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    top = 3 * _LABEL + _GAP
    width = max(2 * _GAP + len(columns) * (side + _GAP), 420)
    caption = _CAPTION_LINES * _LINE + 4
    sheet = Image.new("RGB", (width, top + rows * (side + caption + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 6), _fit(draw, title, width - 2 * _GAP, font), "#1d2129", font)
    line = f"{board['prompt']} · {_settings(sampling)}"
    draw.text((_GAP, 6 + _LABEL), _fit(draw, line, width - 2 * _GAP, small), "#555555", small)
    for x, (column, filled) in enumerate(zip(columns, pictures, strict=True)):
        left = _GAP + x * (side + _GAP)
        draw.text((left, 2 * _LABEL + 6), _fit(draw, column["title"], side, font), "#1d2129", font)
        for y, (cell, picture) in enumerate(zip(column["cells"], filled, strict=True)):
            upper = top + y * (side + caption + _GAP)
            if picture is None:
                draw.rectangle((left, upper, left + side - 1, upper + side - 1), outline="#bbbbbb")
            else:
                enlarged = picture.resize(
                    (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
                )
                sheet.paste(enlarged, (left, upper))
            words = str(cell.get("label") or f"seed {cell['seed']}")
            lines = [*_wrapped(draw, words, side, small), " · ".join(_labels(cell["judged"]))]
            for number, line in enumerate(lines[:_CAPTION_LINES]):
                place = (left, upper + side + 3 + number * _LINE)
                draw.text(place, _fit(draw, line, side, small), "#555555", small)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _labels(judged: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"{each['label']} {each['share']}" for each in judged]


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int, font: Any) -> str:
    """The text, cut with an ellipsis where it is too wide; signs the font cannot draw become question marks."""
    text = text.replace("…", "...").encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."


def _wrapped(draw: ImageDraw.ImageDraw, text: str, width: int, font: Any) -> list[str]:
    """At most two lines of whole words."""
    words = text.split()
    for count in range(len(words), 0, -1):
        first = " ".join(words[:count])
        if count == 1 or draw.textlength(first, font) <= width:
            return [first, " ".join(words[count:])] if words[count:] else [first]
    return [text]


def _picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
