"""What the graph says of one run, and what in it must not be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from kg.runs import JobRun, Outcome


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that a job wrote through its fenced store, with the lease as it stood in that transaction."""

    call: str
    """Names the one call of the job that wrote it."""
    process: str
    holder: str | None
    token: int


@dataclass(frozen=True, slots=True)
class Span:
    """The slots that should have been run: from ``first`` on, one every ``interval``, as long as they are before
    ``until`` or any later one was run."""

    first: datetime
    until: datetime
    interval: timedelta


def violations(
    runs: Sequence[JobRun],
    marks: Sequence[Mark],
    span: Span,
    followed: datetime | None,
    *,
    may_fail: bool = False,
) -> Iterator[str]:
    """Say what is wrong, a sentence each; nothing when all is well.

    Args:
        runs: all runs of the job that the clock starts.
        marks: what they wrote.
        followed: the last slot for which the job that follows it succeeded.
        may_fail: the database was away, of which a job may fail; its slot must succeed all the same.
    """
    yield from _doubled_or_skipped(runs, span)
    unknown = {str(run.outcome) for run in runs} - {Outcome.SUCCEEDED, Outcome.ABANDONED}
    if may_fail:
        unknown.discard(Outcome.FAILED)
    if unknown:
        yield f"Runs ended as {', '.join(sorted(unknown))}."
    yield from _out_of_order(runs)
    yield from _unfenced(runs, marks)
    if followed is None or followed < span.until:
        yield f"The chain stopped at {followed}, short of {span.until}."


def _doubled_or_skipped(runs: Sequence[JobRun], span: Span) -> Iterator[str]:
    succeeded = Counter(run.slot for run in runs if run.outcome is Outcome.SUCCEEDED)
    until = max([span.until, *(run.slot for run in runs if run.slot is not None)])
    slot = span.first
    while slot <= until:
        if succeeded.pop(slot, 0) != 1:
            yield f"Slot {slot} did not succeed exactly once."
        slot += span.interval
    yield from (f"{slot} is no slot, and was run." for slot in succeeded)


def _out_of_order(runs: Sequence[JobRun]) -> Iterator[str]:
    """Each run has a token of its own, counting up; attempts of a slot are 1, 2, …, and only the last succeeded."""
    ordered = sorted(runs, key=lambda run: run.token or 0)
    if len({run.token for run in runs}) < len(runs) or None in {run.token for run in runs}:
        yield "Two runs have the same token, or one has none."
    if any(later.at < run.at for run, later in pairwise(ordered)):
        yield "A later token began earlier."
    by_slot: dict[datetime | None, list[JobRun]] = defaultdict(list)
    for run in ordered:
        by_slot[run.slot].append(run)
    for slot, tries in by_slot.items():
        if [run.attempt for run in tries] != list(range(1, len(tries) + 1)):
            yield f"The attempts of slot {slot} are {[run.attempt for run in tries]}."
        if any(run.outcome is Outcome.SUCCEEDED for run in tries[:-1]):
            yield f"Slot {slot} was run again though it had succeeded."


def _unfenced(runs: Sequence[JobRun], marks: Sequence[Mark]) -> Iterator[str]:
    """What a call wrote, it wrote while its own process held the lease, and for one run alone."""
    by_id = {run.id: run for run in runs}
    holders: dict[str, set[str | None]] = defaultdict(set)
    for mark in marks:
        holders[mark.call].add(mark.holder)
        run = by_id.get(mark.holder or "")
        if run is None:
            yield f"{mark.process} wrote while nobody held the lease."
        elif (run.process, run.token) != (mark.process, mark.token):
            yield f"{mark.process} wrote with token {mark.token} while {run.process} held the lease."
    calls: Counter[str | None] = Counter()
    for call, held in holders.items():
        if len(held) > 1:
            yield f"Call {call} went on writing in the name of another run."
        calls.update(held)
    yield from (f"Run {holder} was done {count} times." for holder, count in calls.items() if count > 1)


def takeovers(runs: Sequence[JobRun]) -> list[float]:
    """Seconds from the beginning of each abandoned run to that of the one that took its place."""
    ordered = sorted(runs, key=lambda run: run.token or 0)
    return [(later.at - run.at).total_seconds() for run, later in pairwise(ordered) if run.outcome is Outcome.ABANDONED]
