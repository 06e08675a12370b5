"""Metrics: pure functions of evidence. No module here loads a model or reads a store."""
