"""All that is remembered: evidence, runs and derived numbers in one file, pictures beside it."""

from cache.store.store import Store

__all__ = ["Store"]
