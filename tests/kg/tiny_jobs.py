"""Jobs that do next to nothing, and what tests of the scheduler do to time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from kg import runs
from kg.errors import ExtractionError
from kg.runs import JobRun
from kg.store import GraphStore
from kg.timetable import Job

PATIENCE_S = 60
"""How long a test waits for something that must happen; nothing is asserted of how long it took."""
OFTEN = timedelta(seconds=0.05)
QUICK: dict[str, Any] = {"tick": timedelta(seconds=0.02)}


def job(name: str, run: Callable[[], str | None] = lambda: None, **how: Any) -> Job:
    return Job(name=name, run=lambda _: run(), **how)


def slow_clock(name: str, run: Callable[[], str | None] = lambda: None, **how: Any) -> Job:
    """A job with one slot in ten years, so that no second one comes while a test looks."""
    return job(name, run, trigger=timedelta(days=3650), grace=timedelta(days=36500), **how)


def long_known(store: GraphStore, *names: str) -> None:
    """The jobs have been known for long, so that a slot of theirs is due."""
    runs.look(store, names)
    store.write("MATCH (l:Lease) WHERE l.name IN $names SET l.since = datetime('2001-01-01')", names=names)


def let_time_pass(store: GraphStore) -> None:
    """Whoever holds a lease has not renewed it in time."""
    store.write("MATCH (l:Lease) WHERE l.holder IS NOT NULL SET l.until = datetime.realtime() - duration('PT1S')")


def ticking(step: float) -> Callable[[], float]:
    """A timer by which ``step`` seconds pass between two looks."""
    looks = iter(range(1_000_000))
    return lambda: next(looks) * step


def fail() -> str:
    raise ExtractionError("The encoder is gone. Install it again.")


def shown(runs: tuple[JobRun, ...]) -> list[tuple[str, str, str]]:
    return [(run.job, str(run.outcome), run.trigger) for run in runs]
