"""Jobs by the clock, by hand and in chains; each run recorded in the graph.

The scheduler knows jobs only by name: what they do is a callable that the
composition root (``kg.app.jobs``) hands in. A run is one ``JobRun`` node,
written as ``running`` before the job begins and settled when it ends::

    running ──▶ succeeded   the callable returned; its report is in ``detail``
        │  └──▶ failed      it raised; ``error`` says what
        └─────▶ abandoned   the process died first; found out by the next one that starts
    skipped                 the same job was already running, so this run did not begin

A job that names another in ``after`` follows it: when the clock starts
``extract``, then ``train`` and ``promote`` come after it, each only if those
that it follows succeeded. By hand a job runs alone, or so with ``chain=True``.

Within a process one run of a job at a time is seen to by :class:`LocalLease`;
a lease that is held in the graph can take its place.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from types import FrameType
from typing import Any, Final, Protocol, Self

import psutil
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from kg.errors import KGError, SchedulerError
from kg.store import GraphStore, Row

log = structlog.get_logger()

Clock = Callable[[], datetime]
Timer = Callable[[], float]
"""Seconds since some fixed moment, never running backwards."""

MISFIRE_GRACE_S: Final = 3600
"""A run that is late by more is left out: a nightly extraction that missed its hour waits for the next night."""
ERROR_LENGTH: Final = 2000


# --- values ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that can be run, and when."""

    name: str
    run: Callable[[], str | None]
    """Does it, and returns a line on what it did."""
    trigger: str | timedelta | None = None
    """Five cron fields (weekdays as cron counts them: 0 and 7 are Sunday), an interval, or None: never by the clock."""
    after: tuple[str, ...] = ()
    """Jobs that it follows in a chain."""
    doc: str = ""
    """What it does, in one sentence."""


class Outcome(StrEnum):
    """How a run stands; see the module's drawing."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One run of a job, as the graph holds it."""

    id: str
    job: str
    outcome: Outcome
    at: datetime
    """When it began."""
    trigger: str
    """``schedule``, ``manual`` or ``chain``."""
    process: str
    """The process that runs or ran it; see :class:`Process`."""
    seconds: float | None = None
    """How long it took; None while it runs, or when nobody was left to look at the clock."""
    error: str | None = None
    detail: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``kg schedule history --json``."""
        return {**asdict(self), "outcome": str(self.outcome), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A job as ``kg schedule list`` shows it."""

    name: str
    doc: str
    trigger: str
    """The cron fields, ``every 6:00:00``, or ``by hand or in a chain``."""
    after: tuple[str, ...]
    next_at: datetime | None
    """When the clock would start it next, were the scheduler started now."""

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``kg schedule list --json``."""
        return {
            **asdict(self),
            "after": list(self.after),
            "next_at": self.next_at.isoformat() if self.next_at else None,
        }


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one with the same number by when it began."""

    host: str
    pid: int
    began: int
    """Unix seconds."""

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), int(psutil.Process().create_time()))

    @classmethod
    def parse(cls, text: str) -> Process:
        """The inverse of ``str``."""
        host, pid, began = text.rsplit("/", 2)
        return cls(host, int(pid), int(began))

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.began}"

    def is_dead(self, here: Process) -> bool:
        """Whether it surely lives no more, as far as ``here`` can see: of another host nothing is known."""
        if self.host != here.host:
            return False
        try:
            began = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False
        # The system derives the moment from its uptime, so that it shifts a little as the clock is set.
        return abs(began - self.began) > 5


# --- jobs: checked, chained, timed ------------------------------------------------------------------------------


def checked(jobs: Sequence[Job]) -> Mapping[str, Job]:
    """The jobs by name, predecessors first.

    Raises:
        SchedulerError: two have one name, one follows an unknown job or, in a circle, itself, or a trigger is no
            trigger.
    """
    by_name = {job.name: job for job in jobs}
    if len(by_name) < len(jobs):
        raise SchedulerError(f"Two jobs have the same name among {', '.join(job.name for job in jobs)}.")
    for job in jobs:
        unknown = [name for name in job.after if name not in by_name]
        if unknown:
            raise SchedulerError(f"Job {job.name} follows {', '.join(unknown)}, which is no job.")
        apscheduler_trigger(job, UTC)
    try:
        order = tuple(TopologicalSorter({job.name: job.after for job in jobs}).static_order())
    except CycleError as error:
        raise SchedulerError(f"Jobs follow one another in a circle: {' → '.join(error.args[1])}.") from error
    return {name: by_name[name] for name in order}


def chain_from(jobs: Mapping[str, Job], name: str) -> tuple[Job, ...]:
    """The job and all that follow it, directly or not, in an order in which predecessors come first."""
    members = {name}
    for job in jobs.values():  # predecessors first, so one pass finds them all
        if members.intersection(job.after):
            members.add(job.name)
    return tuple(job for job in jobs.values() if job.name in members)


def apscheduler_trigger(job: Job, timezone: tzinfo) -> BaseTrigger | None:
    """What APScheduler makes of the job's trigger."""
    if job.trigger is None:
        return None
    if isinstance(job.trigger, timedelta):
        if job.trigger <= timedelta(0):
            raise SchedulerError(f"Job {job.name}: expected an interval above zero, found {job.trigger}.")
        return IntervalTrigger(seconds=job.trigger.total_seconds(), timezone=timezone)
    try:
        minute, hour, day, month, weekday = job.trigger.split()
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=named_weekdays(weekday), timezone=timezone
        )
    except ValueError as error:
        raise SchedulerError(
            f"Job {job.name}: expected five cron fields, minute hour day month weekday; "
            f"found {job.trigger!r} ({error})."
        ) from error


_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMBERED: Final = re.compile(r"(?P<first>[0-7])(-(?P<last>[0-7]))?(/(?P<step>[1-9]))?")


def named_weekdays(field: str) -> str:
    """A cron weekday field with names for numbers: APScheduler 3 counts from Monday (its issue 286), cron from Sunday.

    >>> named_weekdays("1-5"), named_weekdays("0,6"), named_weekdays("*/2")
    ('mon,tue,wed,thu,fri', 'sun,sat', '*/2')
    """
    parts = []
    for part in field.split(","):
        numbered = _NUMBERED.fullmatch(part)
        if numbered is None:
            parts.append(part)
            continue
        first = int(numbered["first"])
        last = int(numbered["last"] or (6 if numbered["step"] else first))
        parts += [_WEEKDAYS[day] for day in range(first, last + 1, int(numbered["step"] or 1))]
    return ",".join(parts)


def describe(jobs: Sequence[Job], now: datetime, timezone: tzinfo = UTC) -> tuple[Scheduled, ...]:
    """What ``kg schedule list`` shows: each job, and when the clock would start it next."""
    rows = []
    for job in checked(jobs).values():
        trigger = apscheduler_trigger(job, timezone)
        if isinstance(job.trigger, timedelta):
            words, next_at = f"every {job.trigger}", now + job.trigger
        elif trigger is not None:
            words, next_at = str(job.trigger), trigger.get_next_fire_time(None, now)
        else:
            words, next_at = "by hand or in a chain", None
        rows.append(Scheduled(name=job.name, doc=job.doc, trigger=words, after=job.after, next_at=next_at))
    return tuple(rows)


# --- leases ---------------------------------------------------------------------------------------------------


class Lease(Protocol):
    """The right to run a job, which one holder has at a time."""

    def __call__(self, job: str) -> AbstractContextManager[bool]:
        """Try to take it for as long as the context is open; False when another holds it. Never waits."""
        ...


class LocalLease:
    """A lease among the threads of this process."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, job: str) -> Iterator[bool]:
        """See :class:`Lease`."""
        with self._lock:
            taken = job not in self._held
            self._held.add(job)
        try:
            yield taken
        finally:
            if taken:
                with self._lock:
                    self._held.discard(job)


# --- the record in the graph ------------------------------------------------------------------------------------

# MERGE on the id: a write may be tried again by the driver.
_RECORD: Final = """
MERGE (run:JobRun {id: $id})
SET run.job = $job,
    run.outcome = $outcome,
    run.at = $at,
    run.trigger = $trigger,
    run.process = $process,
    run.seconds = $seconds,
    run.error = $error,
    run.detail = $detail
"""

# The condition on `at` lets the index on it give the order.
_HISTORY: Final = """
MATCH (run:JobRun)
WHERE run.at IS NOT NULL AND ($job IS NULL OR run.job = $job)
RETURN run {.*} AS run
ORDER BY run.at DESC, run.id
LIMIT $limit
"""

_RUNNING: Final = """
MATCH (run:JobRun {outcome: 'running'})
RETURN run.id AS id, run.process AS process
"""

# Asked again whether it is running: it may have ended, or another process may have found it, in the meantime.
_ABANDON: Final = """
UNWIND $ids AS id
MATCH (run:JobRun {id: id})
WHERE run.outcome = 'running'
SET run.outcome = 'abandoned',
    run.error = $error
RETURN run.id AS id
"""


def history(store: GraphStore, *, limit: int = 20, job: str | None = None) -> tuple[JobRun, ...]:
    """The latest runs, of one job or of all, newest first."""
    return tuple(_run_of(row["run"]) for row in store.read(_HISTORY, limit=limit, job=job))


def abandon_dead(store: GraphStore, here: Process, active: frozenset[str] = frozenset()) -> int:
    """Settle the runs that nobody runs any more, and say how many: their process died, or lost the database.

    Args:
        here: the process that asks; what runs on other hosts cannot be judged from here and is left alone.
        active: ids of the runs that ``here`` knows to be under way.
    """
    lost = [
        row["id"]
        for row in store.read(_RUNNING)
        if row["id"] not in active and (row["process"] == str(here) or Process.parse(row["process"]).is_dead(here))
    ]
    if not lost:
        return 0
    return len(
        store.write(_ABANDON, ids=lost, error="Its process ended, or lost the database, before the run was recorded.")
    )


def _record(store: GraphStore, run: JobRun) -> None:
    store.write(_RECORD, **{**asdict(run), "outcome": str(run.outcome)})


def _run_of(properties: Row) -> JobRun:
    known: dict[str, Any] = {field.name: properties.get(field.name) for field in fields(JobRun)}
    return JobRun(**{**known, "outcome": Outcome(known["outcome"]), "at": known["at"].to_native()})


# --- running --------------------------------------------------------------------------------------------------


class Scheduler:
    """Runs jobs, by the clock or when told, and records each run.

    >>> scheduler = Scheduler(store, [Job(name="extract", run=extract, trigger="0 2 * * *"),
    ...                               Job(name="train", run=train, after=("extract",))])
    >>> [run.outcome for run in scheduler.trigger("extract", chain=True)]
    ['succeeded', 'succeeded']
    >>> with scheduler:            # the clock runs, in the background
    ...     serve()
    >>> scheduler.run_forever()    # until SIGTERM or Ctrl-C

    Jobs started by the clock run one after another in one thread: each may want all processors and much memory.
    A job that is due again while it waits or runs is run once more, not several times.

    Args:
        jobs: see :func:`checked` for what they must satisfy.
        clock: gives the moment at which a run began.
        timer: measures how long it took.
        timezone: in which cron fields count.
        lease: sees to it that a job is not run twice at a time.

    Raises:
        SchedulerError: the jobs do not fit together.
    """

    def __init__(
        self,
        store: GraphStore,
        jobs: Sequence[Job],
        *,
        clock: Clock = lambda: datetime.now(UTC),
        timer: Timer = time.monotonic,
        timezone: tzinfo = UTC,
        lease: Lease | None = None,
    ) -> None:
        self.jobs = checked(jobs)
        self._store = store
        self._clock = clock
        self._timer = timer
        self._timezone = timezone
        self._lease = lease or LocalLease()
        self._here = Process.this()
        self._active: set[str] = set()
        self._background: BackgroundScheduler | None = None

    # -- by hand

    def trigger(self, name: str, *, chain: bool = False) -> tuple[JobRun, ...]:
        """Run a job now, in this thread; with ``chain`` also those that follow it. The runs, in their order.

        A job that fails is an outcome, not an exception.

        Raises:
            SchedulerError: there is no such job.
            StoreError: a run could not be recorded.
        """
        if name not in self.jobs:
            raise SchedulerError(f"There is no job {name!r}. Known are: {', '.join(self.jobs)}.")
        self._settle_the_dead()
        return self._run_chain(name, "manual") if chain else (self._run(self.jobs[name], "manual"),)

    # -- by the clock

    def start(self) -> None:
        """Start the clock, in the background, and settle what earlier processes left behind."""
        if self._background is not None:
            raise SchedulerError("The scheduler runs already.")
        self._settle_the_dead()
        self._background = BackgroundScheduler(
            timezone=self._timezone,
            executors={"default": ThreadPoolExecutor(max_workers=1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
        )
        for job in self.jobs.values():
            trigger = apscheduler_trigger(job, self._timezone)
            if trigger is not None:
                self._background.add_job(self._run_chain, trigger, args=(job.name, "schedule"), id=job.name)
        self._background.start()

    def stop(self) -> None:
        """Stop the clock; a job that runs is waited for. Does nothing when the clock does not run."""
        if self._background is not None:
            self._background.shutdown(wait=True)
            self._background = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def run_forever(self) -> None:
        """Run the clock until SIGTERM or Ctrl-C; then a job that runs is waited for, and a second signal ends it.

        To be called from the main thread, which alone may handle signals.
        """
        stopped = threading.Event()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def stop(number: int, _frame: FrameType | None) -> None:
            restore()
            stopped.set()
            log.info("stopping; a job that runs is waited for, a second signal ends it", signal=number)

        for number in before:
            signal.signal(number, stop)
        try:
            with self:
                stopped.wait()
        finally:
            restore()

    # -- either

    def _settle_the_dead(self) -> None:
        abandoned = abandon_dead(self._store, self._here, frozenset(self._active))
        if abandoned:
            log.warning("runs of dead processes marked as abandoned", runs=abandoned)

    def _run_chain(self, name: str, trigger: str) -> tuple[JobRun, ...]:
        runs: dict[str, JobRun] = {}
        chain = chain_from(self.jobs, name)
        members = {job.name for job in chain}
        for job in chain:
            # Only the predecessors within this chain count: who starts at train vouches for extract.
            awaited = members.intersection(job.after) if job.name != name else set()
            if all(p in runs and runs[p].outcome == Outcome.SUCCEEDED for p in awaited):
                runs[job.name] = self._run(job, trigger if job.name == name else "chain")
        return tuple(runs.values())

    def _run(self, job: Job, trigger: str) -> JobRun:
        run = JobRun(
            id=uuid.uuid4().hex,
            job=job.name,
            outcome=Outcome.RUNNING,
            at=self._clock(),
            trigger=trigger,
            process=str(self._here),
        )
        with self._lease(job.name) as ours:
            if not ours:
                run = _settled(run, Outcome.SKIPPED, error=f"Another run of {job.name} was under way.")
                _record(self._store, run)
                return run
            self._active.add(run.id)
            try:
                _record(self._store, run)
                run = self._settle(run, job)
                _record(self._store, run)
            finally:
                self._active.discard(run.id)
        return run

    def _settle(self, run: JobRun, job: Job) -> JobRun:
        """Run the callable and say how it ended."""
        began = self._timer()
        try:
            detail = job.run()
        except KGError as error:
            log.error("job failed", job=job.name, error=str(error))
            return _settled(run, Outcome.FAILED, seconds=self._timer() - began, error=str(error))
        except Exception as error:
            log.exception("job failed", job=job.name)
            return _settled(
                run, Outcome.FAILED, seconds=self._timer() - began, error=f"{type(error).__name__}: {error}"
            )
        except BaseException as interruption:  # Ctrl-C: to be recorded, and then to take its course
            seconds = self._timer() - began
            _record(
                self._store,
                _settled(run, Outcome.FAILED, seconds=seconds, error=f"Interrupted: {type(interruption).__name__}."),
            )
            raise
        return _settled(run, Outcome.SUCCEEDED, seconds=self._timer() - began, detail=detail)


def _settled(
    run: JobRun, outcome: Outcome, *, seconds: float | None = None, error: str | None = None, detail: str | None = None
) -> JobRun:
    shortened = error[:ERROR_LENGTH] if error else None
    return replace(run, outcome=outcome, seconds=seconds, error=shortened, detail=detail)
