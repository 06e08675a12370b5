"""The exit statuses of the command line."""

from __future__ import annotations

OK = 0
USER_ERROR = 2
"""Something that the user can mend; argparse ends with the same for wrong options."""
INTERRUPTED = 130
BROKEN_PIPE = 141
