"""All that is remembered: evidence, runs and derived numbers in one file, pictures beside it."""

from cache.store.interface import Store

__all__ = ["Store"]
