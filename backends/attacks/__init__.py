"""Attacks: other ways to ask a model what it should have forgotten."""
