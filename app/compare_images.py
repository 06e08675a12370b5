"""Compare, for image models."""


def panel() -> None:
    """Soon."""
