"""Unlearning methods that produce checkpoints along the way."""
