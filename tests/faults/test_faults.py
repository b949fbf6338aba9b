"""Ten of the seeds of ``make faults``, and the check itself: it must see what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kg import localdb
from kg.runs import JobRun, Outcome
from kg.store import GraphStore
from tests.faults.plan import LEADER, Fault, Kind, Plan, plan
from tests.faults.record import Mark, Span, takeovers, violations
from tests.faults.world import Report, known, play, world_of

SEEDS = range(10)


def test_nothing_is_doubled_skipped_or_written_too_late(store: GraphStore, database: localdb.Connection) -> None:
    def one(seed: int) -> Report:
        with known(store, world_of(seed, database)) as world:
            return play(store, world, plan(seed))

    with ThreadPoolExecutor(3) as threads:
        reports = list(threads.map(one, SEEDS))
    assert {report.plan.seed: report.violations for report in reports if report.violations} == {}
    # Kills and freezes met runs: otherwise nothing was shown.
    assert sum(report.abandoned for report in reports) > 0


def test_without_the_fence_a_process_that_wakes_up_is_seen_to_write(
    store: GraphStore, database: localdb.Connection
) -> None:
    # Whoever leads may be between its two writes, or behind them: one freeze alone may meet the latter.
    frozen = Plan(0, 2, 8.0, tuple(Fault(at, Kind.FREEZE, LEADER, 0, 0.9) for at in (0.1, 2.1, 4.1, 6.1)))
    slow = {"interval": timedelta(seconds=1), "work_s": 0.5, "ttl": timedelta(seconds=0.4)}
    with known(store, world_of(0, database, fenced=False, **slow)) as world:
        report = play(store, world, frozen)
    assert any("wrote" in violation for violation in report.violations), report


def test_a_seed_draws_the_same_plan() -> None:
    assert plan(17) == plan(17)
    assert len({plan(seed).faults for seed in range(50)}) == 50


# --- the check ------------------------------------------------------------------------------------------------

MINUTE = timedelta(minutes=1)
FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = Span(FIRST, FIRST + MINUTE, MINUTE)


def run(token: int, minute: int, outcome: Outcome = Outcome.SUCCEEDED, *, attempt: int = 1, pid: int = 1) -> JobRun:
    return JobRun(
        id=f"r{token}",
        job="beat",
        outcome=outcome,
        at=FIRST + token * timedelta(seconds=10),
        trigger="schedule",
        process=f"shop/{pid}",
        slot=FIRST + minute * MINUTE,
        attempt=attempt,
        token=token,
    )


def mark(token: int, pid: int = 1, *, holder: str | None = "", call: str = "") -> Mark:
    return Mark(call or f"c{token}", f"shop/{pid}", f"r{token}" if holder == "" else holder, token)


WELL = [run(1, 0), run(2, 1, Outcome.ABANDONED), run(3, 1, attempt=2, pid=2)]
MARKS = [mark(1), mark(1), mark(2), mark(3, 2), mark(3, 2)]


def found(runs: list[JobRun], marks: list[Mark] = MARKS, followed: datetime | None = FIRST + MINUTE) -> list[str]:
    return list(violations(runs, marks, SPAN, followed))


def test_a_slot_that_was_taken_over_is_well() -> None:
    assert found(WELL) == []
    assert takeovers(WELL) == [10.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: runs[:2], "Slot 2026-03-01 12:01:00+00:00 did not succeed exactly once."),
        (lambda runs: runs[1:], "Slot 2026-03-01 12:00:00+00:00 did not succeed exactly once."),
        (lambda runs: [*runs, run(4, 1, attempt=3)], "Slot 2026-03-01 12:01:00+00:00 did not succeed exactly once."),
        (lambda runs: [*runs, run(4, 1, attempt=3)], "Slot 2026-03-01 12:01:00+00:00 was run again though it had"),
        (lambda runs: [*runs, run(4, 3)], "Slot 2026-03-01 12:02:00+00:00 did not succeed exactly once."),
        (lambda runs: [*runs[:2], run(2, 1, attempt=2, pid=2)], "Two runs have the same token"),
        (
            lambda runs: [*runs[:2], run(3, 1, attempt=3, pid=2)],
            f"The attempts of slot {SPAN.until} are [1, 3].",
        ),
        (lambda runs: [replace(runs[0], at=FIRST + MINUTE), *runs[1:]], "A later token began earlier."),
        (lambda runs: [runs[0], replace(runs[1], outcome=Outcome.RUNNING), runs[2]], "Runs ended as running."),
        (
            lambda runs: [replace(runs[0], slot=FIRST + MINUTE / 2), *runs[1:]],
            f"{FIRST + MINUTE / 2} is no slot, and was run.",
        ),
    ],
)
def test_what_is_wrong_with_runs_is_said(change: Callable[[list[JobRun]], list[JobRun]], said: str) -> None:
    assert any(violation.startswith(said) for violation in found(change(WELL)))


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([mark(3, 1, call="c2")], ["shop/1 wrote with token 3 while shop/2 held the lease."]),
        ([mark(2, holder=None)], ["shop/1 wrote while nobody held the lease."]),
        ([mark(1, call="c"), mark(2, call="c")], ["Call c went on writing in the name of another run."]),
        ([mark(1, call="c"), mark(1, call="d")], ["Run r1 was done 2 times."]),
    ],
)
def test_what_is_wrong_with_writes_is_said(marks: list[Mark], said: list[str]) -> None:
    assert found(WELL, marks) == said


@pytest.mark.parametrize("followed", [None, FIRST])
def test_a_chain_that_stopped_is_said(followed: datetime | None) -> None:
    assert found(WELL, followed=followed) == [f"The chain stopped at {followed}, short of {FIRST + MINUTE}."]
