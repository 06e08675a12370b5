"""How figures of an export look: as on the pages, also where no page was ever drawn."""

from __future__ import annotations

import plotly.graph_objects as go


def as_on_pages(figure: go.Figure) -> go.Figure:
    """The figure with the template that Streamlit gives Plotly.

    Streamlit makes it the default of the process that imports it. Named here, a figure that the command line writes
    does not depend on what happens to be imported.
    """
    import streamlit.elements.plotly_chart  # noqa: F401 - registers the template

    figure.update_layout(template="streamlit")
    return figure
