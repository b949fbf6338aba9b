"""What is to run, and when: jobs as data, and what is due at a moment.

Nothing here looks at a clock or at the graph. :func:`due` computes, from how far
each job is (:class:`Progress`) and from the moment, which slot of a job is to be
run. A *slot* is a moment for which the clock starts a job: a fire time of its
cron fields, or a multiple of its interval since 1970, so that every process
counts the same slots.

A job that names others in ``after`` has no clock of its own. It runs for a slot
once those that it follows have succeeded for that slot or a later one. So a chain
goes on from wherever it was cut off, in whichever process looks first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from kg.errors import SchedulerError
from kg.store import GraphStore

Work = Callable[[GraphStore], str | None]

MOST_ATTEMPTS: Final = 10
"""Runs begun for one slot, however they ended: a job that kills its process (no memory left) must not do so forever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that can be run, and when."""

    name: str
    run: Work
    """Does it, by the store that it is given, and returns a line on what it did.

    It may be cut off anywhere and run again, elsewhere, so it must be idempotent. The store refuses its writes with
    :class:`~kg.errors.LeaseLostError` once another run has taken its place; let that error pass."""
    trigger: str | timedelta | None = None
    """Five cron fields (weekdays as cron counts them: 0 and 7 are Sunday), an interval, or None: never by the clock."""
    after: tuple[str, ...] = ()
    """Jobs that it follows in a chain."""
    doc: str = ""
    """What it does, in one sentence."""
    retries: int = 2
    """Times that a slot is tried again after a failure. By hand nothing is tried again: somebody is watching."""
    backoff: timedelta = timedelta(minutes=1)
    """Wait before the first retry; each further wait is twice as long."""
    timeout: timedelta = timedelta(hours=12)
    """A run that takes longer has failed: what it still writes is refused."""
    grace: timedelta = timedelta(hours=1)
    """A slot that is late by more is left out: a nightly extraction that missed its hour waits for the next night."""
    coalesce: bool = True
    """Of several slots that are due only the latest is run; False runs each of them, in order."""
    timezone: str | None = None
    """In which its cron fields count, by its IANA name; None: in the scheduler's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What somebody has set of a job, which stands in the graph so that all processes count the same slots.

    What is None is as the job has it.
    """

    cron: str | None = None
    every: timedelta | None = None
    timezone: str | None = None
    retries: int | None = None
    backoff: timedelta | None = None
    timeout: timedelta | None = None
    grace: timedelta | None = None

    def of(self, job: Job) -> Job:
        """The job with these changes."""
        set_now = {name: value for name, value in asdict(self).items() if value is not None}
        cron, every = set_now.pop("cron", None), set_now.pop("every", None)
        return replace(
            job, trigger=cron if cron is not None else every if every is not None else job.trigger, **set_now
        )


UNCHANGED: Final = Changes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is."""

    slot: datetime
    """The slot last taken; at first, the moment at which the job became known."""
    attempt: int = 0
    """Runs begun for that slot."""
    failures: int = 0
    """Those of them that failed by the job's own fault: they use up its retries."""
    done: datetime | None = None
    """The latest slot for which it succeeded."""
    again_at: datetime | None = None
    """When the slot last taken is to be tried again; None when it is finished with."""
    retimed: datetime | None = None
    """When somebody gave it another trigger: of that one no slot counts that was before."""
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run that is to begin, or to be left out."""

    slot: datetime
    attempt: int = 1
    """Counts the runs of this slot, from 1."""
    failures: int = 0
    """Those before that failed."""
    too_late: datetime | None = None
    """The slot and all others up to this moment are late by more than the grace: they are not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A job as ``kg schedule list`` shows it."""

    name: str
    doc: str
    trigger: str
    """The cron fields, ``every 6:00:00``, or ``by hand or in a chain``."""
    after: tuple[str, ...]
    next_at: datetime | None
    """When the clock starts it next."""
    paused: bool
    retries: int
    timeout: timedelta
    problem: str | None = None
    """Why the clock of such a process as this does not start it: what was set of it cannot be read."""

    def as_dict(self) -> dict[str, Any]:
        """As a row of ``kg schedule list --json``."""
        return {
            **asdict(self),
            "after": list(self.after),
            "next_at": self.next_at.isoformat() if self.next_at else None,
            "timeout": str(self.timeout),
        }


# --- jobs that fit together -----------------------------------------------------------------------------------


def checked(jobs: Sequence[Job]) -> Mapping[str, Job]:
    """The jobs by name, predecessors first.

    Raises:
        SchedulerError: two have one name, one follows an unknown job or, in a circle, itself, one has a trigger and
            follows another, or a trigger is no trigger or names no moment.
    """
    by_name = {job.name: job for job in jobs}
    if len(by_name) < len(jobs):
        raise SchedulerError(f"Two jobs have the same name among {', '.join(job.name for job in jobs)}.")
    for job in jobs:
        unknown = [name for name in job.after if name not in by_name]
        if unknown:
            raise SchedulerError(f"Job {job.name} follows {', '.join(unknown)}, which is no job.")
        if job.retries < 0:
            raise SchedulerError(f"Job {job.name}: expected retries of zero or more, found {job.retries}.")
        if min(job.backoff, job.grace) < timedelta(0):
            raise SchedulerError(f"Job {job.name}: expected a back-off and a grace of zero or more.")
        if job.timeout <= timedelta(0):
            raise SchedulerError(f"Job {job.name}: expected a timeout above zero, found {job.timeout}.")
        if job.after and job.trigger is not None:
            raise SchedulerError(
                f"Job {job.name} has a trigger and follows {', '.join(job.after)}: expected one of the two. "
                "For both, give a job of another name the trigger."
            )
        following = next_slot(job, UTC)
        if following is not None:
            following(_EPOCH)
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


def clocked(jobs: Mapping[str, Job]) -> frozenset[str]:
    """The jobs that the clock starts, and those that follow them."""
    return frozenset(
        member.name for job in jobs.values() if job.trigger is not None for member in chain_from(jobs, job.name)
    )


# --- slots ----------------------------------------------------------------------------------------------------

_DURATION: Final = re.compile(
    r"(?=\d)(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?", re.IGNORECASE
)


def duration(text: str) -> timedelta:
    """A time such as ``90s``, ``15m``, ``1h30m`` or ``2d``.

    Raises:
        SchedulerError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    try:
        if found is not None:
            return timedelta(**{unit: int(number or 0) for unit, number in found.groupdict().items()})
    except OverflowError:
        pass
    raise SchedulerError(f"Expected a time such as 90s, 15m, 1h30m or 2d; found {text!r}.")


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def next_slot(job: Job, timezone: tzinfo) -> Callable[[datetime], datetime] | None:
    """The function from a moment to the job's first slot after it, in UTC; None for a job without a trigger.

    Where clocks are changed, a job with ``*`` for its hour goes by the hours that pass: it runs in both of those that
    are shown twice, and not in one that is left out. Any other is of certain times of a day, and runs once for each: of
    a time that is shown twice, at the first; of one that is left out, by the clock as it was before, so a job at 02:30
    runs when clocks that went from 02:00 to 03:00 show 03:30.

    Raises:
        SchedulerError: the trigger is no trigger.
    """
    if job.trigger is None:
        return None
    if isinstance(job.trigger, timedelta):
        period = job.trigger
        if period <= timedelta(0):
            raise SchedulerError(f"Job {job.name}: expected an interval above zero, found {job.trigger}.")
        return lambda moment: _EPOCH + ((moment - _EPOCH) // period + 1) * period
    try:
        minute, hour, day, month, weekday = job.trigger.split()
        # In UTC, so on a wall clock that is never changed: APScheduler's own way over a changeover returns in circles.
        cron = CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=named_weekdays(weekday), timezone=UTC
        )
    except ValueError as error:
        raise SchedulerError(
            f"Job {job.name}: expected five cron fields, minute hour day month weekday; "
            f"found {job.trigger!r} ({error})."
        ) from error

    def next_wall(wall: datetime) -> datetime:
        # APScheduler gives the first fire time at or after a moment.
        found: datetime | None = cron.get_next_fire_time(None, wall + _MICROSECOND)
        if found is None:
            raise SchedulerError(f"Job {job.name}: the cron fields {job.trigger!r} name a day that never comes.")
        return found

    zone, hourly = _zone(job, timezone), hour in _EVERY_HOUR
    return lambda moment: _next_in(zone, moment.astimezone(UTC), next_wall, hourly)


def _zone(job: Job, timezone: tzinfo) -> tzinfo:
    """In which the job's slots count; intervals count in UTC.

    Raises:
        SchedulerError: there is no such timezone.
    """
    if not isinstance(job.trigger, str):
        return UTC
    if job.timezone is None:
        return timezone
    try:
        return ZoneInfo(job.timezone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise SchedulerError(
            f"Job {job.name}: expected a timezone by its IANA name, such as Europe/Berlin; found {job.timezone!r}."
        ) from error


_EVERY_HOUR: Final = ("*", "*/1", "0-23")
_CHANGE_NEAR: Final = timedelta(days=2)
"""A changeover that moves a wall time is no farther from it, written as UTC, than zones are from UTC and it shifts."""


def _next_in(zone: tzinfo, moment: datetime, next_wall: Callable[[datetime], datetime], hourly: bool) -> datetime:
    """The first slot after a moment, in UTC, of what fires at certain times of a wall clock, which are written as UTC.

    Wall times go on beside the moments, except around a changeover: there one has two moments, one or none, and a later
    one may have the earlier moment.
    """
    best: datetime | None = None
    wall = moment + min(_offsets(zone, moment))
    while True:
        wall = next_wall(wall)
        offsets = _offsets(zone, wall)
        if best is not None and wall - max(offsets) >= best:
            return best
        later = [slot for slot in _moments(zone, wall, hourly) if slot > moment]
        if later and len(offsets) == 1 and best is None:
            return later[0]
        best = min([*later, best] if best is not None else later, default=None)


def _offsets(zone: tzinfo, about: datetime) -> set[timedelta]:
    """What the zone's clocks are ahead of UTC around a moment: two values where they are changed."""
    moments = (about - _CHANGE_NEAR, about, about + _CHANGE_NEAR)
    return {moment.astimezone(zone).utcoffset() or timedelta(0) for moment in moments}


def _moments(zone: tzinfo, wall: datetime, hourly: bool) -> tuple[datetime, ...]:
    """When the zone's clocks show a wall time, in UTC, as far as a job runs then (see :func:`next_slot`)."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first < second:  # shown twice
        return (first, second) if hourly else (first,)
    if first > second:  # left out; `first` is by the offset that was in force before
        return () if hourly else (first,)
    return (first,)


_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY: Final = rf"[0-7]|{'|'.join(_WEEKDAYS[:7])}"
_DAYS: Final = re.compile(rf"(?P<first>\*|{_WEEKDAY})(-(?P<last>{_WEEKDAY}))?(/(?P<step>[1-7]))?", re.IGNORECASE)


def named_weekdays(field: str) -> str:
    """A cron weekday field with names for its days: APScheduler 3 counts from Monday (its issue 286), cron from Sunday.

    >>> named_weekdays("1-5"), named_weekdays("0,6"), named_weekdays("*/2")
    ('mon,tue,wed,thu,fri', 'sun,sat', 'sun,tue,thu,sat')
    """
    parts = []
    for part in field.split(","):
        days = _DAYS.fullmatch(part)
        if days is None or part == "*":
            parts.append(part)
            continue
        first = 0 if days["first"] == "*" else _weekday(days["first"])
        open_ended = days["first"] == "*" or days["step"]
        last = _weekday(days["last"]) if days["last"] else 6 if open_ended else first
        named = [_WEEKDAYS[day] for day in range(first, last + 1, int(days["step"] or 1))]
        parts += named or [part]  # a range that runs backwards is refused by APScheduler
    return ",".join(parts)


def _weekday(day: str) -> int:
    return int(day) if day.isdigit() else _WEEKDAYS.index(day.lower())


# --- what is due ----------------------------------------------------------------------------------------------


def due(
    job: Job, jobs: Mapping[str, Job], progress: Mapping[str, Progress], now: datetime, timezone: tzinfo = UTC
) -> Due | None:
    """What the clock wants of a job at the moment ``now``; None for nothing.

    A slot that was taken is finished, by success or by its last failure, before another one begins.

    Raises:
        SchedulerError: this process cannot read the job's trigger, which another may have set.
    """
    own = progress[job.name]
    if own.paused:
        return None
    if own.again_at is not None:
        again = Due(slot=own.slot, attempt=own.attempt + 1, failures=own.failures)
        return again if own.again_at <= now else None
    following = next_slot(job, timezone)
    if following is not None:
        last = own.slot if own.retimed is None else max(own.slot, own.retimed)
        return _by_clock(job, last.astimezone(UTC), now.astimezone(UTC), following)
    return _in_chain(job, clocked(jobs), progress)


def _by_clock(job: Job, last: datetime, now: datetime, following: Callable[[datetime], datetime]) -> Due | None:
    first = following(last)
    if first > now:
        return None
    oldest = now - job.grace
    slots = _between(max(last, oldest - _MICROSECOND), now, following)
    slot = next(slots, None)
    if slot is None:
        return Due(slot=first, too_late=oldest)
    if job.coalesce:
        for later in slots:
            slot = later
    return Due(slot=slot)


def _between(after: datetime, until: datetime, following: Callable[[datetime], datetime]) -> Iterator[datetime]:
    while (slot := following(after)) <= until:
        yield slot
        after = slot


def _in_chain(job: Job, started_by_clock: frozenset[str], progress: Mapping[str, Progress]) -> Due | None:
    # A predecessor that only people start is not waited for: nobody may ever start it.
    done = [progress[name].done for name in job.after if name in started_by_clock]
    slots = [slot for slot in done if slot is not None]
    if not slots or len(slots) < len(done) or min(slots) <= progress[job.name].slot:
        return None
    return Due(slot=min(slots))


def again_after_failure(job: Job, failures: int) -> timedelta | None:
    """How long to wait until a slot is tried again that has just failed; None when it is given up.

    Args:
        failures: of that slot, this one among them; runs that were lost with their process are none.
    """
    return job.backoff * 2 ** (failures - 1) if failures <= job.retries else None


def again_after_abandonment(attempt: int) -> timedelta | None:
    """The same of a slot whose run was lost with its process. The first times at once: processes are stopped and move.

    >>> [again_after_abandonment(attempt).total_seconds() for attempt in (1, 2, 3, 4, 5)]
    [0.0, 0.0, 0.0, 60.0, 120.0]
    """
    if attempt >= MOST_ATTEMPTS:
        return None
    return timedelta(minutes=2 ** (attempt - 4)) if attempt > 3 else timedelta(0)


def describe(
    jobs: Mapping[str, Job], now: datetime, timezone: tzinfo = UTC, *, paused: frozenset[str] = frozenset()
) -> tuple[Scheduled, ...]:
    """What ``kg schedule list`` shows: each job, and when the clock starts it next."""
    rows = []
    for job in jobs.values():
        if job.trigger is None:
            words = "by hand or in a chain"
        else:
            words = f"every {job.trigger}" if isinstance(job.trigger, timedelta) else str(job.trigger)
            words += f" ({job.timezone})" if job.timezone and isinstance(job.trigger, str) else ""
        next_at, problem = None, None
        try:
            following = next_slot(job, timezone)
            if following is not None:
                next_at = following(now).astimezone(_zone(job, timezone))
        except SchedulerError as error:
            problem = str(error)
        rows.append(
            Scheduled(
                name=job.name,
                doc=job.doc,
                trigger=words,
                after=job.after,
                next_at=None if job.name in paused else next_at,
                paused=job.name in paused,
                retries=job.retries,
                timeout=job.timeout,
                problem=problem,
            )
        )
    return tuple(rows)
