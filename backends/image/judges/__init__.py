"""Judges: what a picture shows, and how often each of them is right."""
