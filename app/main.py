"""The script that Streamlit runs for every page: makes the packages findable and hands over to `app/shell.py`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Draw the frame and the page that the address names."""
    here = Path(__file__).resolve().parent
    if (
        str(here) in sys.path
    ):  # `streamlit run` adds it, and `charts` or `demo` may be somebody else's package
        sys.path.remove(str(here))
    root = here.parent
    if (root / "pyproject.toml").is_file() and str(root) not in sys.path:  # a clone that is not installed
        sys.path.insert(0, str(root))
    from app.shell import show

    show()


main()
