"""What a model without an answer waits for: its turn, another model's loading, its own. Pure; the job tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from statistics import median

from app.shared.jobs import Job

LOADING = "loading "
"""Begins a job's note while a model is loaded; its name follows."""
LOADED = "loaded"
"""First part of the key under which a job publishes the seconds that a model took to load."""


def waiting_words(job: Job, models: Collection[str], earlier: Iterable[Job]) -> dict[str, str]:
    """For each model that has no answer yet what it waits for, and how long that usually takes.

    Args:
        job: the run that is on.
        models: those that it works for.
        earlier: runs of this server, whose loading times tell what is usual.
    """
    if job.state == "queued":
        return dict.fromkeys(models, "Waiting for other work to end …")
    if not job.note.startswith(LOADING):
        return dict.fromkeys(models, "Waiting for its turn: answers are being written …")
    now, loaded = job.note.removeprefix(LOADING), load_seconds([job])
    usual = usual_words(load_seconds(earlier).get(now))
    return {
        name: f"Loading{usual} …"
        if name == now
        else f"Ready; {now} is still being loaded{usual} …"
        if name in loaded
        else f"Waiting: {now} is being loaded first{usual} …"
        for name in models
    }


def load_seconds(jobs: Iterable[Job]) -> Mapping[str, float]:
    """Median seconds that each model took to load."""
    times: dict[str, list[float]] = {}
    for job in jobs:
        for key, value in job.partial().items():
            if key[0] == LOADED:
                times.setdefault(str(key[1]), []).append(float(value))
    return {name: median(seconds) for name, seconds in times.items()}


def usual_words(seconds: float | None) -> str:
    """How long a model usually takes, as in ", usually 6 s"; nothing where it was never loaded here."""
    return "" if seconds is None else f", usually {max(1, round(seconds))} s"
