"""Robustness: what models still know when they are asked hard."""
