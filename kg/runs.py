"""Runs of jobs as the graph records them: one ``JobRun`` node each.

A run is written as ``running`` in the transaction that takes the job's lease, and
settled in the one that gives it back. So a job's record and its lease never
disagree, and of several processes that want one slot a single one gets it::

    running ──▶ succeeded   the callable returned; its report is in ``detail``
        │  ├──▶ failed      it raised, or took too long; ``error`` says what
        │  └──▶ abandoned   its process died, froze or lost the database, and its lease expired
    skipped                 it did not begin: the job was running already, or the slot was too long ago

How far a job is (:class:`~kg.timetable.Progress`) stands on its lease.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from kg import leases
from kg.leases import Lease
from kg.progress import Stage
from kg.store import GraphStore, Row, Transaction
from kg.timetable import UNCHANGED, Changes, Due, Job, Progress, again_after_abandonment

ERROR_LENGTH: Final = 2000
KEPT: Final = timedelta(days=90)
"""How long runs are kept. One job every minute makes half a million a year."""


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
    """When it began, by the database's clock."""
    trigger: str
    """``schedule``, ``manual`` or ``chain``."""
    process: str
    """The process that runs or ran it: host and process id."""
    slot: datetime | None = None
    """The moment for which the clock started it; None by hand."""
    attempt: int = 1
    """Counts the runs of this slot."""
    token: int | None = None
    """The lease's, while it ran; None when it did not begin."""
    seconds: float | None = None
    """How long it took; None while it runs, or when nobody was left to look at the clock."""
    error: str | None = None
    detail: str | None = None
    stage: str | None = None
    """What it was last heard to do, while it runs or where it did not succeed."""
    done: int | None = None
    """How much of that."""
    of: int | None = None
    """Of how much."""

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``kg schedule history --json``."""
        return {
            **asdict(self),
            "outcome": str(self.outcome),
            "at": self.at.isoformat(),
            "slot": self.slot.isoformat() if self.slot else None,
            "progress": str(Stage(self.stage, self.done or 0, self.of)) if self.stage else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A job's lease, as somebody saw it who passed by."""

    progress: Progress
    token: int
    holder: str | None
    expired: bool
    """It has a holder whose time has passed, or one from whom it was taken and whose transactions are to be ended."""
    changes: Changes = UNCHANGED
    """What somebody has set of the job."""


@dataclass(frozen=True, slots=True)
class Look:
    """All that a scheduler needs to know in order to decide what to do."""

    now: datetime
    """By the database's clock."""
    standings: Mapping[str, Standing]

    @property
    def progress(self) -> dict[str, Progress]:
        """How far each job is."""
        return {name: standing.progress for name, standing in self.standings.items()}

    def changed(self, jobs: Mapping[str, Job]) -> Mapping[str, Job]:
        """The jobs as they are set now."""
        return {name: self.standings[name].changes.of(job) for name, job in jobs.items()}


# --- reading --------------------------------------------------------------------------------------------------

_STANDINGS: Final = f"""
WITH datetime.realtime() AS now
UNWIND $names AS name
OPTIONAL MATCH (lease:Lease {{name: name}})
RETURN name, now, lease {{.*}} AS lease, lease.former IS NOT NULL OR {leases.EXPIRED} AS expired
"""

# The condition on `at` lets the index on it give the order.
_HISTORY: Final = """
MATCH (run:JobRun)
WHERE run.at IS NOT NULL AND ($job IS NULL OR run.job = $job)
RETURN run {.*} AS run
ORDER BY run.at DESC, run.id
LIMIT $limit
"""


_LATEST: Final = """
MATCH (run:JobRun)
WHERE run.at IS NOT NULL AND run.job = $job AND run.outcome = 'succeeded'
RETURN run.detail AS detail
ORDER BY run.at DESC
LIMIT 1
"""


def look(store: GraphStore, names: tuple[str, ...]) -> Look:
    """How the jobs stand. A job that the graph does not know is made known: its first slot is the next one."""
    rows = store.read(_STANDINGS, names=names)
    unknown = tuple(row["name"] for row in rows if row["lease"] is None)
    if unknown:
        leases.create(store, unknown)
        rows = store.read(_STANDINGS, names=names)
    return Look(
        now=rows[0]["now"].to_native(), standings={row["name"]: _standing(row["lease"], row["expired"]) for row in rows}
    )


def _standing(lease: Row, expired: bool) -> Standing:
    return Standing(
        progress=Progress(
            slot=_moment(lease.get("slot") or lease["since"]),
            attempt=lease.get("attempt", 0),
            failures=lease.get("failures", 0),
            done=_moment(lease.get("done")),
            again_at=_moment(lease.get("again_at")),
            retimed=_moment(lease.get("retimed")),
            paused=lease.get("paused", False),
        ),
        token=lease["token"],
        holder=lease.get("holder"),
        expired=expired,
        changes=_changes(lease),
    )


def history(store: GraphStore, *, limit: int = 20, job: str | None = None) -> tuple[JobRun, ...]:
    """The latest runs, of one job or of all, newest first."""
    return tuple(_run_of(row["run"]) for row in store.read(_HISTORY, limit=limit, job=job))


def latest_detail(store: GraphStore, job: str) -> str | None:
    """What the latest run of a job that succeeded said of what it did; None where none has."""
    rows = store.read(_LATEST, job=job)
    return rows[0]["detail"] if rows else None


def _run_of(properties: Row) -> JobRun:
    known: dict[str, Any] = {
        field.name: properties[field.name] for field in fields(JobRun) if properties.get(field.name) is not None
    }
    known |= {name: _moment(known[name]) for name in ("at", "slot") if name in known}
    return JobRun(**(known | {"outcome": Outcome(known["outcome"])}))


def _moment(value: Any) -> Any:
    return None if value is None else value.to_native()


# --- a run from beginning to end ------------------------------------------------------------------------------

# MERGE on the id: a write may be tried again by the driver.
_RECORD: Final = """
MERGE (run:JobRun {id: $run.id})
SET run += $run,
    run.at = coalesce(run.at, datetime.realtime())
RETURN run {.*} AS run
"""

_TAKE_SLOT: Final = """
MATCH (lease:Lease {name: $name})
SET lease.slot = $slot,
    lease.attempt = $attempt,
    lease.failures = $failures,
    lease.again_at = NULL
"""

_SETTLE_SLOT: Final = """
MATCH (lease:Lease {name: $name})
SET lease.failures = coalesce($failures, lease.failures),
    lease.again_at = datetime.realtime() + $again,
    lease.done = CASE WHEN $succeeded THEN $slot ELSE lease.done END
"""

_PROGRESS: Final = """
MATCH (run:JobRun {id: $id})
SET run.stage = $stage,
    run.done = $done,
    run.of = $of
"""

_ENDED: Final = "MATCH (run:JobRun {id: $id, outcome: $outcome})\nRETURN run.id AS id"

# A free lease's token counts up with it: whoever found a slot to be due before is too late. (The first SET takes the
# lock: what is read before it may be old by then.) What has become too late while the job was paused was left out by
# somebody's wish, so it is passed over here, where nobody is told.
_PAUSE: Final = """
MATCH (lease:Lease {name: $name})
SET lease.lock = true
WITH lease, NOT $paused AND coalesce(lease.paused, false) AS resumed
SET lease.paused = $paused
WITH lease, resumed
WHERE lease.holder IS NULL
SET lease.token = lease.token + 1
WITH lease, resumed, datetime.realtime() - duration('PT1S') * coalesce(lease.grace, $grace) AS oldest
WHERE resumed AND $grace IS NOT NULL AND lease.again_at IS NULL AND coalesce(lease.slot, lease.since) < oldest
SET lease.slot = oldest,
    lease.attempt = 0
"""

_AT_ONCE: Final = 10_000
"""Runs that are deleted in one transaction."""

# Ended runs of each job and outcome, but the latest; the condition on `at` lets the index on it find them.
_PRUNE: Final = """
CYPHER 25
WITH datetime.realtime() - $kept AS before
CALL () {
  MATCH (run:JobRun)
  WHERE run.outcome <> 'running'
  RETURN run.job AS job, run.outcome AS outcome, max(run.at) AS latest
}
CALL (before, job, outcome, latest) {
  MATCH (run:JobRun)
  WHERE run.at < before AND run.at < latest AND run.job = job AND run.outcome = outcome
  RETURN run
  LIMIT $most
}
WITH run
LIMIT $most
DELETE run
RETURN count(*) AS deleted
"""

_RUNNING: Final = "MATCH (run:JobRun {id: $id, outcome: 'running'})\nRETURN run {.*} AS run"


def begin(
    store: GraphStore,
    job: str,
    *,
    ttl: timedelta,
    trigger: str,
    process: str,
    due: Due | None = None,
    seen: int | None = None,
) -> tuple[JobRun, Lease] | None:
    """Take the job's lease and record the run; None when another has, or since ``seen`` had, the lease.

    Args:
        ttl: how long the lease holds unless it is renewed.
        due: the slot that is taken with it; None by hand.
        seen: the lease's token when the slot was found to be due.
    """
    id = uuid.uuid4().hex
    recorded: list[Row] = []

    def record(tx: Transaction, lease: Lease) -> None:
        run = _begun(id, job, Outcome.RUNNING, trigger, process, due) | {"token": lease.token}
        recorded[:] = tx.run(_RECORD, run=run)
        if due is not None:
            tx.run(_TAKE_SLOT, name=job, slot=due.slot, attempt=due.attempt, failures=due.failures)

    lease = leases.take(store, job, id, ttl, seen=seen, then=record)
    return None if lease is None else (_run_of(recorded[0]["run"]), lease)


def keep(store: GraphStore, lease: Lease, ttl: timedelta, stage: Stage | None = None) -> bool:
    """Renew the lease of a run, and note how far it is where there is news; False when the lease is lost."""

    def note(tx: Transaction, lease: Lease) -> None:
        if stage is not None:
            tx.run(_PROGRESS, id=lease.holder, stage=stage.name, done=stage.done, of=stage.of)

    return leases.renew(store, lease, ttl, then=note)


def end(
    store: GraphStore, run: JobRun, lease: Lease, *, again: timedelta | None = None, failures: int | None = None
) -> bool:
    """Record how a run ended and give its lease back; False, and nothing is recorded, when it had lost the lease.

    May be called again when the connection broke off and it is not known whether it was done.

    Args:
        again: after how long the slot is to be tried again, if it is.
        failures: how often the slot has failed by now; None where that is as it was.
    """
    if leases.release(store, lease, then=lambda tx, _: _settle(tx, run, again, failures)):
        return True
    # Whoever takes a lease away records the run as abandoned: as it ended here, only this process records it.
    return bool(store.read(_ENDED, id=run.id, outcome=str(run.outcome)))


def abandon(store: GraphStore, job: str) -> JobRun | None:
    """Settle the run that holds the job's lease though its time has passed; its slot is to be tried again.

    Returns:
        The run; None when there is none, or another process was quicker.
    """
    abandoned: list[JobRun] = []

    def settle(tx: Transaction, lease: Lease) -> None:
        abandoned.clear()
        for row in tx.run(_RUNNING, id=lease.holder):
            run = settled(_run_of(row["run"]), Outcome.ABANDONED, error=ABANDONED)
            _settle(tx, run, again_after_abandonment(run.attempt))
            abandoned.append(run)

    leases.expire(store, job, then=settle)
    return abandoned[0] if abandoned else None


ABANDONED: Final = "Its process died, was frozen or lost the database: nobody renewed its lease."


def pass_over(store: GraphStore, job: str, *, process: str, due: Due, seen: int) -> JobRun | None:
    """Record that slots are left out because they are too late; None when another process was quicker."""
    recorded: list[Row] = []

    def record(tx: Transaction) -> None:
        error = f"Missed: it was due at {due.slot.isoformat()}, and nobody ran it until {due.too_late}."
        run = _begun(uuid.uuid4().hex, job, Outcome.SKIPPED, "schedule", process, due)
        recorded[:] = tx.run(_RECORD, run=run | {"error": error})
        tx.run(_TAKE_SLOT, name=job, slot=due.too_late, attempt=0, failures=0)

    leases.change(store, job, seen=seen, then=record)
    return _run_of(recorded[0]["run"]) if recorded else None


def unread(job: str, error: str, *, process: str, at: datetime) -> JobRun:
    """A job that a process does not start because it cannot read when: to be told of, and not recorded."""
    return JobRun(
        id=uuid.uuid4().hex,
        job=job,
        outcome=Outcome.SKIPPED,
        at=at,
        trigger="schedule",
        process=process,
        error=error[:ERROR_LENGTH],
    )


def refuse(store: GraphStore, job: str, *, trigger: str, process: str) -> JobRun:
    """Record that a run did not begin because another had the lease."""
    run = _begun(uuid.uuid4().hex, job, Outcome.SKIPPED, trigger, process, None)
    error = f"Another run of {job} was under way."
    return _run_of(store.write(_RECORD, run=run | {"error": error})[0]["run"])


def prune(store: GraphStore, kept: timedelta = KEPT) -> int:
    """Delete ended runs that began longer ago than ``kept``; how many.

    The latest of each job and outcome stays, however old: of a job that has failed for months one wants to know when it
    last succeeded.
    """
    total, part = 0, _AT_ONCE
    while part == _AT_ONCE:
        part = store.write(_PRUNE, kept=kept, most=_AT_ONCE)[0]["deleted"]
        total += part
    return total


def pause(store: GraphStore, job: str, paused: bool, grace: timedelta | None = None) -> None:
    """Let the clock start a job no more, or again. A run that has begun goes on.

    Args:
        grace: by how much its slots may be late, unless that was set; None when it has no clock of its own.
    """
    leases.create(store, (job,))
    store.write(_PAUSE, name=job, paused=paused, grace=_seconds(grace))


def paused(store: GraphStore) -> frozenset[str]:
    """The jobs that the clock leaves alone."""
    rows = store.read("MATCH (lease:Lease {paused: true})\nRETURN lease.name AS name")
    return frozenset(row["name"] for row in rows)


# As for a pause, the token of a free lease counts up. What was due by the trigger of before is due no more, though a
# run may be under way: the first slot of the new one is the next, unless a slot that failed waits to be tried again.
_CHANGE: Final = """
MATCH (lease:Lease {name: $name})
SET lease += $changes
SET lease.retimed = CASE WHEN $retimed THEN datetime.realtime() ELSE lease.retimed END
WITH lease
WHERE lease.holder IS NULL
SET lease.token = lease.token + 1
"""


def change(store: GraphStore, job: str, changes: Changes, *, retimed: bool) -> None:
    """Set what is to hold of a job, for every process; what is None is as the job has it.

    Args:
        retimed: its slots are others from now on.
    """
    leases.create(store, (job,))
    set_now: Row = {
        "cron": changes.cron,
        "timezone": changes.timezone,
        "retries": changes.retries,
        **{name: _seconds(getattr(changes, name)) for name in _DURATIONS},
    }
    store.write(_CHANGE, name=job, changes=set_now, retimed=retimed)


def changes(store: GraphStore) -> Mapping[str, Changes]:
    """What somebody has set, by job."""
    rows = store.read("MATCH (lease:Lease)\nRETURN lease {.*} AS lease")
    return {row["lease"]["name"]: _changes(row["lease"]) for row in rows}


_DURATIONS: Final = ("every", "backoff", "timeout", "grace")
"""What is kept in seconds."""


def _changes(lease: Row) -> Changes:
    durations = {name: timedelta(seconds=lease[name]) for name in _DURATIONS if lease.get(name) is not None}
    return Changes(cron=lease.get("cron"), timezone=lease.get("timezone"), retries=lease.get("retries"), **durations)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def settled(
    run: JobRun, outcome: Outcome, *, seconds: float | None = None, error: str | None = None, detail: str | None = None
) -> JobRun:
    """The run, ended."""
    shortened = error[:ERROR_LENGTH] if error else None
    return replace(run, outcome=outcome, seconds=seconds, error=shortened, detail=detail)


def _begun(id: str, job: str, outcome: Outcome, trigger: str, process: str, due: Due | None) -> Row:
    return {
        "id": id,
        "job": job,
        "outcome": str(outcome),
        "trigger": trigger,
        "process": process,
        "slot": None if due is None else due.slot,
        "attempt": 1 if due is None else due.attempt,
    }


def _settle(tx: Transaction, run: JobRun, again: timedelta | None, failures: int | None = None) -> None:
    tx.run(_RECORD, run={**asdict(run), "outcome": str(run.outcome)})
    if run.slot is not None:
        succeeded = run.outcome is Outcome.SUCCEEDED
        tx.run(_SETTLE_SLOT, name=run.job, slot=run.slot, again=again, succeeded=succeeded, failures=failures)
