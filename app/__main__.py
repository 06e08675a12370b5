"""Entry of `python -m app` and of the installed command `unlearnboard`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line of this process; returns the exit status."""
    # Idle threads of torch would otherwise spin and take the cores from the server and the browser.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from app.cli.main import run
    except KeyboardInterrupt:  # while modules are read; `run` minds its own
        return 130
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
