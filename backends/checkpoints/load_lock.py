"""One load at a time in a process: the libraries change themselves while they load, and put back what they found.

transformers replaces `PreTrainedModel.tie_weights` and torch's default type for the time of a load, diffusers
`torch.nn.Module.register_parameter`. Two loads in two threads (a page and an evaluation) put back each other's
replacement: from then on no output head is tied in that process, and good checkpoints are refused. What ties heads or
makes layers by other ways waits as well: meanwhile `tie_weights` does nothing, and new layers would have no weights.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_LOADING = threading.RLock()  # a load may need another: an adapter its base


def one_load_at_a_time(load: Callable[P, R]) -> Callable[P, R]:
    """The function, which waits until no other thread makes a network."""

    @functools.wraps(load)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _LOADING:
            return load(*args, **kwargs)

    return alone
