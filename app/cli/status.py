"""The exit statuses of the command line."""

from __future__ import annotations

OK = 0
DAMAGED = 1
"""What was looked at is not whole, or breaks its contract."""
UNDECIDED = 3
"""Whether it keeps its contract cannot be told."""
USER_ERROR = 2
"""Something that the user can mend; argparse ends with the same for wrong options."""
INTERRUPTED = 130
BROKEN_PIPE = 141
