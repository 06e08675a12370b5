"""What was derived in this process and is asked for again and again: arrays, the least recently used forgotten first.

For each open store its own. Keys say what a value was made of, so nothing here is ever out of date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from cache.store import Store

MOST_BYTES = 256 * 2**20
"""Of each store: the values of a thousand models on TOFU's 1,417 probes."""

T = TypeVar("T")


class InMemory:
    """Values by key, up to so many bytes. Thread-safe; a value that two threads ask for at once may be made twice."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[int, object]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value under a key, made where it is not here.

        Args:
            key: all that the value is made of, and its kind.
            make: makes it.
            size: bytes that it takes.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key][1])
        value = make()
        with self._lock:
            self._forget(key)
            self._kept[key] = size(value), value
            self._bytes += size(value)
            while self._bytes > self._most and len(self._kept) > 1:
                self._forget(next(iter(self._kept)))
        return value

    def _forget(self, key: Hashable) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key)[0]


_OF_STORES: WeakKeyDictionary[Store, InMemory] = WeakKeyDictionary()
_LOCK = Lock()


def in_memory(store: Store) -> InMemory:
    """What is kept in memory beside a store; forgotten with it."""
    with _LOCK:
        return _OF_STORES.setdefault(store, InMemory())
