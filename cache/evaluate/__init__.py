"""Evaluating: what is missing, computing it cell by cell, resuming."""
