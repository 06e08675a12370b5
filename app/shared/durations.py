"""How long something takes, in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """In the unit that people would use: "40 seconds", "3 minutes", "2.5 hours"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
