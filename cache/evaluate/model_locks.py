"""Several evaluations of one cache at a time, in several processes: a model is locked by one of them, so no work is
done twice.

The lock is a file beside the store. The operating system lets go of it when its process ends, however that
happens, so nothing has to be cleaned up after a kill.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from backends.errors import Cancelled, StoreError
from backends.interfaces import Stop

WAIT_SECONDS = 0.5

Item = TypeVar("Item")


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether the turn is ours; it is given back at the end."""
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StoreError(
            f"the cache's lock file cannot be written ({error.strerror})", where=str(path)
        ) from error
    try:
        yield True
    finally:
        lock.release()


def one_process_each(
    folder: Path,
    items: Sequence[Item],
    key: Callable[[Item], str],
    work: Callable[[Item], None],
    stop: Stop,
    waiting: Callable[[Item], None] = lambda _: None,
) -> None:
    """Does the work of every item, those first that nobody else is at; waits for the others and looks at them again.

    Args:
        folder: where the lock files are.
        items: what to work on, in order.
        key: what two processes must not do at the same time, as part of a file name.
        work: does one item; must find out by itself what another process has done meanwhile.
        stop: checked while waiting.
        waiting: called with what is waited for.

    Raises:
        Cancelled: stopped while waiting.
        StoreError: the lock file cannot be written.
    """
    left = deque(items)
    refused = 0  # in a row
    while left:
        item = left.popleft()
        with _held(folder / f"{key(item)}.lock") as ours:
            if ours:
                work(item)
        if ours:
            refused = 0
            continue
        # To the back of the queue: this process works on other models meanwhile, and waits only when all are taken.
        left.append(item)
        refused += 1
        if refused >= len(left):
            waiting(left[0])
            if stop():
                raise Cancelled
            time.sleep(WAIT_SECONDS)
            refused = 0
