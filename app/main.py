"""The script that Streamlit runs for every page: makes the packages findable and hands over to `app/shell.py`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Draw the frame and the page that the address names."""
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:  # `streamlit run` adds app/ to the path, not the folder that holds it
        sys.path.insert(0, root)
    from app.shell import show

    show()


main()
