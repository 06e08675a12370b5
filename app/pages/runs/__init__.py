"""Runs: what was evaluated, what is still to do, what was imported."""
