"""Jobs by the clock, by hand and in chains; any number of processes, each job once.

The scheduler knows jobs only by name: what they do is a callable that the
composition root (``kg.app.jobs``) hands in. It keeps nothing in memory that
matters. Every few seconds it looks at the graph, and does what it finds to do::

    look ──▶ a lease has expired ──▶ its run is abandoned, its slot due again
         ──▶ a slot is due       ──▶ take the lease with it, run, settle
         ──▶ nothing             ──▶ wait for the next look

So five processes on one graph are one scheduler that survives four of them. What
is due is computed in :mod:`kg.timetable`, how runs are recorded is told in
:mod:`kg.runs`, and why no two processes do the same in :mod:`kg.leases`.

While a job runs, in a thread of its own, the thread that started it renews its
lease. When that is lost, or the job takes longer than it may, the job is left to
itself: its store refuses what it still writes. Alerts, too, have a thread of
their own, so that no lease is lost to a hook that does not answer.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from types import FrameType
from typing import Final, Self

import structlog

from kg import leases, runs
from kg.errors import ConnectionFailedError, KGError, SchedulerError, StoreError
from kg.leases import Lease
from kg.progress import Stage, heard_by
from kg.runs import JobRun, Look, Outcome, settled
from kg.store import GraphStore
from kg.timetable import (
    UNCHANGED,
    Changes,
    Due,
    Job,
    again_after_abandonment,
    again_after_failure,
    chain_from,
    checked,
    due,
)

log = structlog.get_logger()

Timer = Callable[[], float]
"""Seconds since some fixed moment, never running backwards."""
Alert = Callable[[JobRun], None]
"""Told of each run that failed, was abandoned, or was left out: its time had passed, or its trigger cannot be read."""

TTL: Final = timedelta(seconds=15)
"""How long a lease outlives its holder. With a look every :data:`TICK` a dead process is replaced within 20 s, or 27 s
where it froze with the lease's lock in its hands (:data:`kg.leases.MOVE_TIMEOUT_S`)."""
TICK: Final = timedelta(seconds=3)
"""How often the clock looks what is due."""
SETTLE_S: Final = 120.0
"""How long it is tried to record how a run ended. A database may take a minute to come back from a crash, and the work
of a night is not to be done again for that."""
AGAIN_S: Final = 1.0
"""Pause between two tries."""
ALERTS_S: Final = 10.0
"""How long a scheduler that ends waits for alerts that are still to be sent; then they are logged."""
PRUNE_S: Final = 86_400.0
"""How often a clock deletes the records of old runs."""


class Scheduler:
    """Runs jobs, by the clock or when told, and records each run.

    >>> scheduler = Scheduler(store, [Job(name="extract", run=extract, trigger="0 2 * * *"),
    ...                               Job(name="train", run=train, after=("extract",))])
    >>> [run.outcome for run in scheduler.trigger("extract", chain=True)]
    ['succeeded', 'succeeded']
    >>> with scheduler:            # the clock runs, in the background
    ...     serve()
    >>> scheduler.run_forever()    # until SIGTERM or Ctrl-C

    Jobs started by the clock run one after another within a process: each may want all processors and much memory.

    Args:
        jobs: see :func:`kg.timetable.checked` for what they must satisfy.
        timer: measures how long a run took.
        timezone: in which cron fields count.
        alert: called after a run that went wrong, in another thread, one run after the other; what it raises is logged.
        ttl: how long a lease holds unless it is renewed.
        tick: how often the clock looks.

    Raises:
        SchedulerError: the jobs do not fit together.
    """

    def __init__(
        self,
        store: GraphStore,
        jobs: Sequence[Job],
        *,
        timer: Timer = time.monotonic,
        timezone: tzinfo = UTC,
        alert: Alert | None = None,
        ttl: timedelta = TTL,
        tick: timedelta = TICK,
    ) -> None:
        self.jobs = checked(jobs)
        self._store = store
        self._timer = timer
        self._timezone = timezone
        self._alerts = None if alert is None else _Alerts(alert)
        self._ttl = ttl
        self._tick_s = tick.total_seconds()
        self._process = f"{socket.gethostname()}/{os.getpid()}"
        self._stopping = threading.Event()
        self._clock: threading.Thread | None = None
        self._prune_at = 0.0
        """When records are to be deleted next, by :func:`time.monotonic`; at once when the clock starts."""
        self._unread: dict[str, str] = {}
        """Jobs whose trigger this process cannot read, and why, as it was said."""

    # -- by hand

    def trigger(self, name: str, *, chain: bool = False) -> tuple[JobRun, ...]:
        """Run a job now and wait for it; with ``chain`` also those that follow it. The runs, in their order.

        A job that fails is an outcome, not an exception.

        Raises:
            SchedulerError: there is no such job.
            StoreError: a run could not be recorded.
        """
        self._known(name)
        with self._telling():
            jobs = self._abandon_expired().changed(self.jobs)
            done: dict[str, JobRun] = {}
            members = chain_from(jobs, name) if chain else (jobs[name],)
            for job in members:
                # Only the predecessors within this chain count: who starts at train vouches for extract.
                awaited = {member.name for member in members}.intersection(job.after) if job.name != name else set()
                if all(p in done and done[p].outcome is Outcome.SUCCEEDED for p in awaited):
                    done[job.name] = self._run_by_hand(job, "manual" if job.name == name else "chain")
            return tuple(done.values())

    def _run_by_hand(self, job: Job, trigger: str) -> JobRun:
        begun = runs.begin(self._store, job.name, ttl=self._ttl, trigger=trigger, process=self._process)
        if begun is None:
            return runs.refuse(self._store, job.name, trigger=trigger, process=self._process)
        return self._carry_out(job, *begun)

    def pause(self, name: str, paused: bool = True) -> None:
        """Let the clock of every process leave a job alone, or start it again. A run that has begun goes on.

        What came due meanwhile and is late by no more than the job's grace is run then; of the rest nobody is told.

        Raises:
            SchedulerError: there is no such job.
        """
        job = self._known(name)
        runs.pause(self._store, name, paused, None if job.after else job.grace)

    def change(self, name: str, changes: Changes) -> Job:
        """Set when and how a job is run, for every process, from its next look on; the job as it is then.

        Raises:
            SchedulerError: there is no such job, or with the changes the jobs do not fit together.
        """
        job = self._known(name)
        before = runs.changes(self._store).get(name, UNCHANGED)
        # What is set of the others decides nothing here, and one whose trigger cannot be read is no hindrance.
        checked([*(other for other in self.jobs.values() if other.name != name), changed := changes.of(job)])
        timing = (before.cron, before.every, before.timezone) != (changes.cron, changes.every, changes.timezone)
        runs.change(self._store, name, changes, retimed=timing)
        return changed

    def _known(self, name: str) -> Job:
        if name not in self.jobs:
            raise SchedulerError(f"There is no job {name!r}. Known are: {', '.join(self.jobs)}.")
        return self.jobs[name]

    # -- by the clock

    def start(self) -> None:
        """Start the clock, in the background."""
        if self._clock is not None:
            raise SchedulerError("The scheduler runs already.")
        # From now on the jobs are known: their first slot is the next one.
        runs.look(self._store, tuple(self.jobs))
        self._stopping.clear()
        self._clock = threading.Thread(target=self._keep_looking, name="kg-clock", daemon=True)
        self._clock.start()

    def stop(self) -> None:
        """Stop the clock; a job that runs is waited for, and alerts for a while. Does nothing when it does not run."""
        self._stopping.set()
        if self._clock is not None:
            with self._telling():
                self._clock.join()
            self._clock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def run_forever(self) -> None:
        """Run the clock until SIGTERM or Ctrl-C; then a job that runs is waited for, and a second signal ends it.

        To be called from the main thread, which alone may handle signals.
        """
        with until_signalled() as stopped, self:
            # Not in one wait: the system may give a signal to another thread, as it does when a process is woken by
            # SIGCONT, and then Python's handler is run only when the main thread next looks up.
            while not stopped.wait(0.5):
                pass

    def _keep_looking(self) -> None:
        while not self._stopping.is_set():
            try:
                ran = self._tick()
                if ran is None:
                    self._prune()
            except KGError as error:
                log.warning("the scheduler could not look; it tries again", error=str(error))
                ran = None
            except BaseException:  # a job may have called sys.exit, which is to end no scheduler
                log.exception("the scheduler failed; it tries again")
                ran = None
            if ran is None:  # after a run others may be due already
                self._stopping.wait(self._tick_s)

    def _prune(self) -> None:
        """Delete the records of old runs, once a day."""
        if time.monotonic() >= self._prune_at:
            deleted = runs.prune(self._store)
            self._prune_at = time.monotonic() + PRUNE_S
            if deleted:
                log.info("records of old runs were deleted", runs=deleted, kept=str(runs.KEPT))

    def tick(self) -> JobRun | None:
        """Look at the graph once, and run the job whose slot is due longest; None when there is none for this process.

        Raises:
            StoreError: the graph could not be asked, or the run not be recorded.
        """
        with self._telling():
            return self._tick()

    def _tick(self) -> JobRun | None:
        look = self._abandon_expired()
        found: list[tuple[Due, Job]] = []
        jobs = look.changed(self.jobs)
        for job in jobs.values():
            if look.standings[job.name].holder is None:
                wanted = self._due(job, jobs, look)
                if wanted is not None:
                    found.append((wanted, job))
        for wanted, job in sorted(found, key=lambda pair: pair[0].slot):
            seen = look.standings[job.name].token
            if wanted.too_late is not None:
                missed = runs.pass_over(self._store, job.name, process=self._process, due=wanted, seen=seen)
                if missed is not None:
                    self._tell(missed)
                continue
            begun = runs.begin(
                self._store,
                job.name,
                ttl=self._ttl,
                trigger="chain" if job.after else "schedule",
                process=self._process,
                due=wanted,
                seen=seen,
            )
            if begun is not None:
                return self._carry_out(job, *begun, failures=wanted.failures)
        return None

    def _due(self, job: Job, jobs: Mapping[str, Job], look: Look) -> Due | None:
        """What is due of a job. Of one whose trigger this process cannot read nothing, and that is said once."""
        try:
            wanted = due(job, jobs, look.progress, look.now, self._timezone)
        except SchedulerError as error:
            # A process with newer timezones, or of another version, may read it and run the job: nothing is recorded.
            if self._unread.get(job.name) != str(error):
                self._unread[job.name] = str(error)
                log.error("a job is not run: what was set of it cannot be read", job=job.name, error=str(error))
                self._tell(runs.unread(job.name, str(error), process=self._process, at=look.now))
            return None
        self._unread.pop(job.name, None)
        return wanted

    # -- either

    def _abandon_expired(self) -> Look:
        """Settle the runs of dead processes; how the jobs stand then."""
        look = runs.look(self._store, tuple(self.jobs))
        expired = [name for name, standing in look.standings.items() if standing.expired]
        for name in expired:
            run = runs.abandon(self._store, name)
            if run is not None:
                log.warning("a run was abandoned", job=name, run=run.id, process=run.process)
                self._tell(run)
        return runs.look(self._store, tuple(self.jobs)) if expired else look

    def _carry_out(self, job: Job, run: JobRun, lease: Lease, *, failures: int = 0) -> JobRun:
        """Run the callable in a thread, keep the lease alive meanwhile, and settle the run.

        Args:
            failures: of the same slot before.
        """
        log.info("job begins", job=job.name, run=run.id, attempt=run.attempt, token=lease.token)
        lost = threading.Event()
        work = _Work(job, leases.fenced(self._store, lease, lost), self._timer)
        deadline = time.monotonic() + job.timeout.total_seconds()
        beat_s = self._ttl.total_seconds() / 3
        try:
            while not work.wait(min(beat_s, deadline - time.monotonic())):
                if time.monotonic() >= deadline or not self._keep(lease, work.news()):
                    lost.set()
                    break
        except BaseException as interruption:  # Ctrl-C: to be recorded, and then to take its course
            lost.set()
            self._settle(job, _interrupted(run, interruption), lease, failures)
            raise
        if work.interruption is not None:
            self._settle(job, _interrupted(run, work.interruption), lease, failures)
            raise work.interruption
        return self._settle(job, work.ended(run), lease, failures, unreachable=work.unreachable)

    def _keep(self, lease: Lease, stage: Stage | None) -> bool:
        """Renew a lease, note how far its run is, and see to those that nobody renews; False when it is lost."""
        try:
            if not runs.keep(self._store, lease, self._ttl, stage):
                return False
            self._abandon_expired()
        except StoreError as error:
            # The database may be starting again. It keeps the lease, and will say whose it is.
            log.warning("a lease could not be renewed; it is tried again", lease=lease.name, error=str(error))
        return True

    def _settle(self, job: Job, run: JobRun, lease: Lease, failures: int, *, unreachable: bool = False) -> JobRun:
        """Record how a run ended.

        Args:
            failures: of the same slot before.
            unreachable: it failed because the database went away, as runs are lost with their process: that says
                nothing of the job, and it is tried again as soon.
        """
        failed = run.outcome is Outcome.FAILED
        again = None
        if failed and unreachable:
            again = again_after_abandonment(run.attempt)
        elif failed:
            failures += 1
            again = again_after_failure(job, failures)
        if not self._end(run, lease, again, failures):
            log.error("a run lost its lease; what it wrote since then was refused", job=job.name, run=run.id)
            return settled(run, Outcome.ABANDONED, error=runs.ABANDONED)
        log.info("job ended", job=job.name, run=run.id, outcome=str(run.outcome), seconds=run.seconds)
        if failed:
            self._tell(run)
        return run

    def _end(self, run: JobRun, lease: Lease, again: timedelta | None, failures: int) -> bool:
        """Give the lease back with the run's record, if need be when the database answers again."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            try:
                return runs.end(self._store, run, lease, again=again, failures=failures)
            except StoreError as error:
                if time.monotonic() > deadline or self._stopping.wait(AGAIN_S):  # who is asked to go tries once
                    raise
                log.warning("a run could not be recorded; it is tried again", run=run.id, error=str(error))

    def _tell(self, run: JobRun) -> None:
        if self._alerts is not None:
            self._alerts.put(run)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What is told within is told at the end, or has been waited for long enough."""
        try:
            yield
        finally:
            if self._alerts is not None:
                self._alerts.finish(ALERTS_S)


class _Alerts:
    """Tells of runs in a thread of its own, which lives while there is something to tell."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._lock = threading.Lock()
        self._left: deque[JobRun] = deque()
        self._thread: threading.Thread | None = None

    def put(self, run: JobRun) -> None:
        """Tell of a run, after those before it."""
        with self._lock:
            self._left.append(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="kg-alerts", daemon=True)
                self._thread.start()

    def _tell(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._thread = None
                    return
                run = self._left[0]
            try:
                self._alert(run)
            except Exception:
                log.exception("the alert failed", job=run.job, run=run.id)
            with self._lock:
                if self._left and self._left[0] is run:
                    self._left.popleft()

    def finish(self, seconds: float) -> None:
        """Wait until all is told, at most so long; what is left then is logged, and not told any more."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return
        thread.join(seconds)
        with self._lock:
            left = tuple(self._left)
            self._left.clear()
        for run in left:
            log.error(
                "an alert was not sent in time", job=run.job, run=run.id, outcome=str(run.outcome), error=run.error
            )


@contextmanager
def until_signalled() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; a second signal does what it always does. For the main thread alone."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, _frame: FrameType | None) -> None:
        restore()
        stopped.set()
        log.info("stopping; what runs is waited for, a second signal ends it", signal=number)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        restore()


class _Work:
    """A job that runs in a thread of its own, which can be left to itself: a thread cannot be ended from outside."""

    def __init__(self, job: Job, store: GraphStore, timer: Timer) -> None:
        self._job = job
        self._store = store
        self._timer = timer
        self._detail: str | None = None
        self._error: BaseException | None = None
        self._seconds: float | None = None
        self._stage: Stage | None = None
        self._told: Stage | None = None
        self._thread = threading.Thread(target=self._run, name=f"kg-job-{job.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = self._timer()
        try:
            with heard_by(self._hear):
                self._detail = self._job.run(self._store)
        except BaseException as error:
            self._error = error
        self._seconds = self._timer() - began

    def _hear(self, stage: Stage) -> None:
        self._stage = stage

    def news(self) -> Stage | None:
        """How far it is, unless nothing has been heard since this was asked last."""
        stage = self._stage
        news = None if stage == self._told else stage
        self._told = stage
        return news

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long; whether it has ended."""
        self._thread.join(max(seconds, 0))
        return not self._thread.is_alive()

    @property
    def interruption(self) -> BaseException | None:
        """What the job raised, if that is not a failure but a wish to end the process."""
        return None if isinstance(self._error, Exception) else self._error

    @property
    def unreachable(self) -> bool:
        """Whether it failed because the database did not answer."""
        return isinstance(self._error, ConnectionFailedError)

    def ended(self, run: JobRun) -> JobRun:
        """The run as it ended, or as it stands now where it was left to itself."""
        if (stage := self._stage) is not None and (self._thread.is_alive() or self._error is not None):
            run = replace(run, stage=stage.name, done=stage.done, of=stage.of)
        if self._thread.is_alive():
            seconds = self._job.timeout.total_seconds()
            return settled(run, Outcome.FAILED, seconds=seconds, error=f"It took longer than {self._job.timeout}.")
        error = self._error
        if error is None:
            return settled(run, Outcome.SUCCEEDED, seconds=self._seconds, detail=self._detail)
        expected = isinstance(error, KGError)
        log.error("job failed", job=run.job, error=str(error), exc_info=None if expected else error)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        return settled(run, Outcome.FAILED, seconds=self._seconds, error=message)


def _interrupted(run: JobRun, interruption: BaseException) -> JobRun:
    return settled(run, Outcome.FAILED, error=f"Interrupted: {type(interruption).__name__}.")
