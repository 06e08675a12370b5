"""The drawing library that the chart component asks the server for."""

from __future__ import annotations

from pathlib import Path

import plotly

from app.components.chart import LIBRARY, _library


def test_the_library_is_the_one_of_the_plotly_package() -> None:
    file = Path(plotly.__file__).parent / "package_data" / LIBRARY
    assert "Plotly" in file.read_text("utf-8")[:200].title()
    assert _library().startswith("/component/app.components.chart.plotly/plotly.min.js?")
