"""All that is remembered: evidence, runs and derived numbers in one file, pictures beside it."""

from cache.store.interface import Store
from cache.store.opening import open_store

__all__ = ["Store", "open_store"]
