"""The one worker thread that touches models: a queue of jobs, their progress, and a way to stop them.

A page submits work and polls the job; the work never calls Streamlit. One thread means that no two jobs share a
model at once, so their results are those they would have alone. It is a daemon, so Ctrl-C is not kept waiting.

Long work that keeps what it did gives way: when somebody asks for something quick, it ends after the current batch,
the quick work runs, and the long work is called again and resumes.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from backends.errors import BoardError, Cancelled
from backends.extras import missing_packages_named

State = Literal["queued", "running", "done", "stopped", "failed"]
KEPT_ENDED_JOBS = 50

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One piece of work and what is known of it. The worker writes, pages read.

    Attributes:
        title: what is being done, for people.
        kind: which page or action started it ("compare", "evaluate").
        key: what it is about; two jobs with one kind and key do the same thing.
        state: where it stands.
        done, total: steps; total is 0 while it is not known.
        preemptible: its work can be interrupted by quicker work, and resumes where it was when it is called again.
        note: what the worker is at now ("loading weights").
        remarks: what a person should know of what was done, in sentences; they stay when the job has ended.
        error: one sentence where it failed.
        problems: what could not be done though the rest was, one sentence each, by what it is about (a model).
    """

    title: str
    kind: str
    key: tuple[Hashable, ...]
    preemptible: bool = False
    state: State = "queued"
    done: int = 0
    total: int = 0
    note: str = ""
    remarks: list[str] = field(default_factory=list)
    error: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    _partial: dict[Any, Any] = field(default_factory=dict, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _aside: threading.Event = field(default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def active(self) -> bool:
        """Waiting or at work."""
        return self.state in ("queued", "running")

    def cancel(self) -> None:
        """Ask the job to end; a waiting job never starts."""
        self._stop.set()

    def stopping(self) -> bool:
        """True once somebody asked the job to end; handed to the backends as `Stop`."""
        return self._stop.is_set()

    def interrupted(self) -> bool:
        """As `stopping`, and also while quicker work waits; the `Stop` of work that gives way."""
        return self._stop.is_set() or self._aside.is_set()

    def remark(self, sentence: str) -> None:
        """Tell a person something about what was done, once."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def request_pause(self) -> None:
        """Ask the job to let quicker work pass; it resumes afterwards."""
        self._aside.set()

    def back(self) -> None:
        """The job is in the queue again."""
        self._aside.clear()
        self.state = "queued"

    def report(self, done: int, total: int, note: str = "") -> None:
        """Tell how far the work is."""
        self.done, self.total, self.note = done, total, note

    def publish(self, key: Hashable, value: Any) -> None:
        """Show an intermediate result under a key; a later one replaces it."""
        with self._lock:
            self._partial[key] = value

    def partial(self) -> dict[Any, Any]:
        """Intermediate results so far, as a copy."""
        with self._lock:
            return dict(self._partial)


Work = Callable[[Job], None]


class Runner:
    """Runs jobs one after another in one daemon thread, quick ones before those that give way.

    Args:
        after_defect: called in the worker thread when a job failed with an unexpected error, so that nothing half done
            (a model with another's adapter on) is left for the next.
    """

    def __init__(self, after_defect: Callable[[], None] = lambda: None) -> None:
        self._after_defect = after_defect
        self._queue: queue.PriorityQueue[tuple[bool, int, Job, Work]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._loop, name="unlearnboard-worker", daemon=True).start()

    def submit(
        self, title: str, kind: str, key: tuple[Hashable, ...], work: Work, *, preemptible: bool = False
    ) -> Job:
        """Queue work; where the same is already waiting or running, that job is returned instead.

        Args:
            title: what is being done, for people.
            kind: which page or action starts it.
            key: what it is about.
            work: called in the worker thread; again where it gave way.
            preemptible: it may be interrupted for quick work: it asks `Job.interrupted`, raises Cancelled, keeps what
                it did, and resumes from there when called again.
        """
        with self._lock:
            for job in self._jobs:
                if job.active and not job.stopping() and (job.kind, job.key) == (kind, key):
                    return job
            job = Job(title=title, kind=kind, key=key, preemptible=preemptible)
            ended = [old for old in self._jobs if not old.active]
            forgotten = set(map(id, ended[: max(0, len(ended) - KEPT_ENDED_JOBS)]))
            self._jobs = [old for old in self._jobs if id(old) not in forgotten] + [job]
        self._put(job, work)
        for other in self.active():
            if other.preemptible and not preemptible:
                other.request_pause()
        return job

    def jobs(self, kind: str | None = None) -> list[Job]:
        """Jobs in the order they were submitted, ended ones included."""
        with self._lock:
            return [job for job in self._jobs if kind is None or job.kind == kind]

    def find(self, kind: str, key: tuple[Hashable, ...]) -> Job | None:
        """The latest job about something, so that a reloaded page finds its run again."""
        return next((job for job in reversed(self.jobs(kind)) if job.key == key), None)

    def active(self) -> list[Job]:
        """Jobs that are waiting or running."""
        return [job for job in self.jobs() if job.active]

    def ahead_of(self, job: Job) -> int:
        """How many jobs will run before this one."""
        # The sort keeps the order of submission among equals.
        active = sorted(self.active(), key=lambda one: (one.state != "running", one.preemptible))
        return active.index(job) if job in active else 0

    def _put(self, job: Job, work: Work) -> None:
        self._queue.put((job.preemptible, next(self._numbers), job, work))

    def _loop(self) -> None:
        while True:
            _, _, job, work = self._queue.get()
            self._run(job, work)

    def _run(self, job: Job, work: Work) -> None:
        job.started = job.started or time.time()
        state: State = "done"
        try:
            if job.interrupted():
                raise Cancelled
            job.state = "running"
            with missing_packages_named():
                work(job)
        except Cancelled:
            if not job.stopping():
                job.back()
                self._put(job, work)
                return
            state = "stopped"
        except BoardError as error:
            job.error, state = str(error), "failed"
        except Exception as error:  # the worker must outlive a defect; it is logged with its traceback
            log.exception("%s failed", job.title)
            job.error = f"{job.title} failed ({type(error).__name__}). See the server's log for details."
            state = "failed"
            self._after_defect()
        job.ended = time.time()
        # Last, because pages stop looking at a job once it is no longer active.
        job.state = state
