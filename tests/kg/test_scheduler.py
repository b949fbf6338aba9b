"""The scheduler on a real Neo4j, with tiny jobs: what is recorded, what follows what, what a dead process leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from kg import localdb
from kg.errors import ExtractionError, SchedulerError
from kg.scheduler import (
    Job,
    JobRun,
    LocalLease,
    Outcome,
    Process,
    Scheduler,
    abandon_dead,
    chain_from,
    checked,
    describe,
    history,
    named_weekdays,
)
from kg.store import GraphStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE_S = 60
"""How long a test waits for something that must happen; nothing is asserted of how long it took."""


def job(name: str, run: Callable[[], str | None] = lambda: None, **how: object) -> Job:
    return Job(name=name, run=run, **how)  # type: ignore[arg-type]


def ticking(step: float) -> Callable[[], float]:
    """A timer by which ``step`` seconds pass between two looks."""
    looks = iter(range(1_000_000))
    return lambda: next(looks) * step


def fail() -> str:
    raise ExtractionError("The encoder is gone. Install it again.")


def shown(runs: tuple[JobRun, ...]) -> list[tuple[str, str, str]]:
    return [(run.job, str(run.outcome), run.trigger) for run in runs]


# --- one run --------------------------------------------------------------------------------------------------


def test_a_run_is_recorded_with_outcome_and_duration(store: GraphStore) -> None:
    scheduler = Scheduler(store, [job("extract", lambda: "12 texts")], clock=lambda: NOON, timer=ticking(2.5))
    (run,) = scheduler.trigger("extract")
    assert run == JobRun(
        id=run.id,
        job="extract",
        outcome=Outcome.SUCCEEDED,
        at=NOON,
        trigger="manual",
        process=str(Process.this()),
        seconds=2.5,
        detail="12 texts",
    )
    assert history(store) == (run,)
    assert json.loads(json.dumps(run.as_dict()))["at"] == "2026-03-01T12:00:00+00:00"


def test_a_run_stands_as_running_while_it_runs(store: GraphStore) -> None:
    seen: list[JobRun] = []
    Scheduler(store, [job("extract", lambda: seen.extend(history(store)))], clock=lambda: NOON).trigger("extract")
    assert [(run.outcome, run.at, run.seconds) for run in seen] == [(Outcome.RUNNING, NOON, None)]


def test_a_failure_is_recorded_with_its_message(store: GraphStore) -> None:
    (run,) = Scheduler(store, [job("extract", fail)], timer=ticking(1.0)).trigger("extract")
    assert (run.outcome, run.error, run.seconds) == ("failed", "The encoder is gone. Install it again.", 1.0)
    assert history(store) == (run,)


def test_a_bug_is_recorded_with_its_kind(store: GraphStore) -> None:
    (run,) = Scheduler(store, [job("extract", lambda: str(1 / 0))]).trigger("extract")
    assert (run.outcome, run.error) == ("failed", "ZeroDivisionError: division by zero")


def test_an_interrupted_run_is_recorded_and_the_interruption_goes_on(store: GraphStore) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Scheduler(store, [job("train", interrupted)]).trigger("train")
    assert [(run.outcome, run.error) for run in history(store)] == [("failed", "Interrupted: KeyboardInterrupt.")]


def test_an_unknown_job_is_named_with_the_known_ones(store: GraphStore) -> None:
    scheduler = Scheduler(store, [job("extract"), job("train")])
    with pytest.raises(SchedulerError, match=r"no job 'trian'\. Known are: extract, train\."):
        scheduler.trigger("trian")


def test_history_is_newest_first_and_can_be_of_one_job(store: GraphStore) -> None:
    moments = iter([NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)])
    scheduler = Scheduler(store, [job("extract"), job("train")], clock=lambda: next(moments))
    for name in ("extract", "train", "extract"):
        scheduler.trigger(name)
    assert [(run.job, run.at.hour) for run in history(store)] == [("extract", 14), ("train", 13), ("extract", 12)]
    assert [run.at.hour for run in history(store, limit=1)] == [14]
    assert [run.at.hour for run in history(store, job="train")] == [13]


# --- chains ---------------------------------------------------------------------------------------------------


def main_job(**runs: Callable[[], str | None]) -> list[Job]:
    """extract → train → promote."""
    return [
        job("promote", runs.get("promote", lambda: None), after=("train",)),
        job("extract", runs.get("extract", lambda: None)),
        job("train", runs.get("train", lambda: None), after=("extract",)),
    ]


def test_each_job_runs_alone(store: GraphStore) -> None:
    scheduler = Scheduler(store, main_job())
    for name in ("extract", "train", "promote"):
        assert shown(scheduler.trigger(name)) == [(name, "succeeded", "manual")]


def test_a_chain_runs_in_order(store: GraphStore) -> None:
    order: list[str] = []
    jobs = main_job(
        extract=lambda: order.append("extract"),
        train=lambda: order.append("train"),
        promote=lambda: order.append("promote"),
    )
    scheduler = Scheduler(store, jobs)
    assert shown(scheduler.trigger("extract", chain=True)) == [
        ("extract", "succeeded", "manual"),
        ("train", "succeeded", "chain"),
        ("promote", "succeeded", "chain"),
    ]
    assert order == ["extract", "train", "promote"]
    assert [run.job for run in scheduler.trigger("train", chain=True)] == ["train", "promote"]


def test_a_failure_stops_the_chain(store: GraphStore) -> None:
    runs = Scheduler(store, main_job(train=fail)).trigger("extract", chain=True)
    assert shown(runs) == [("extract", "succeeded", "manual"), ("train", "failed", "chain")]
    assert {(run.job, run.outcome) for run in history(store)} == {("extract", "succeeded"), ("train", "failed")}


def test_a_job_that_follows_two_waits_for_both(store: GraphStore) -> None:
    def diamond(train: Callable[[], str | None]) -> list[Job]:
        return [
            job("extract"),
            job("resolve", after=("extract",)),
            job("train", train, after=("extract",)),
            job("promote", after=("train", "resolve")),
        ]

    def names(jobs: list[Job]) -> list[str]:
        return sorted(run.job for run in Scheduler(store, jobs).trigger("extract", chain=True))

    assert names(diamond(lambda: None)) == ["extract", "promote", "resolve", "train"]
    assert names(diamond(fail)) == ["extract", "resolve", "train"]


def test_the_members_of_a_chain() -> None:
    jobs = checked(main_job())
    assert [member.name for member in chain_from(jobs, "train")] == ["train", "promote"]
    assert [member.name for member in chain_from(jobs, "promote")] == ["promote"]


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([job("a"), job("a")], "Two jobs have the same name among a, a"),
        ([job("a", after=("b",))], "Job a follows b, which is no job"),
        ([job("a", after=("b",)), job("b", after=("a",))], "follow one another in a circle: [ab] → [ab] → [ab]"),
        ([job("a", trigger="every day")], "Job a: expected five cron fields.* found 'every day'"),
        ([job("a", trigger="0 25 * * *")], "Job a: expected five cron fields.* found '0 25"),
        ([job("a", trigger=timedelta(0))], "Job a: expected an interval above zero, found 0:00:00"),
    ],
)
def test_jobs_that_do_not_fit_together_are_refused(jobs: list[Job], message: str) -> None:
    with pytest.raises(SchedulerError, match=message):
        checked(jobs)


# --- the clock ------------------------------------------------------------------------------------------------


def test_an_interval_really_fires_and_starts_the_chain(store: GraphStore) -> None:
    promoted = threading.Event()
    promotions: list[int] = []

    def promote() -> str:
        promotions.append(1)
        if len(promotions) == 2:
            promoted.set()
        return "live"

    jobs = [
        job("extract", trigger=timedelta(seconds=0.05)),
        job("train", after=("extract",)),
        job("promote", promote, after=("train",)),
    ]
    with Scheduler(store, jobs):
        assert promoted.wait(PATIENCE_S)
    runs = history(store, limit=1000)
    assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}
    assert {(run.job, run.trigger) for run in runs} == {
        ("extract", "schedule"),
        ("train", "chain"),
        ("promote", "chain"),
    }


def test_a_job_that_fails_is_started_again_the_next_time(store: GraphStore) -> None:
    twice = threading.Event()
    starts: list[int] = []

    def flaky() -> str:
        starts.append(1)
        if len(starts) == 2:
            twice.set()
        return fail()

    with Scheduler(store, [job("extract", flaky, trigger=timedelta(seconds=0.05))]):
        assert twice.wait(PATIENCE_S)
    assert {run.outcome for run in history(store)} == {Outcome.FAILED}


def test_a_stopped_clock_starts_nothing_and_can_be_started_again(store: GraphStore) -> None:
    fired = threading.Event()
    scheduler = Scheduler(store, [job("extract", fired.set, trigger=timedelta(seconds=0.05))])
    with scheduler:
        assert fired.wait(PATIENCE_S)
        with pytest.raises(SchedulerError, match="runs already"):
            scheduler.start()
    before = len(history(store, limit=1000))
    scheduler.stop()  # a second time does nothing
    assert len(history(store, limit=1000)) == before
    fired.clear()
    with scheduler:
        assert fired.wait(PATIENCE_S)


def test_the_list_tells_when_each_job_is_next(store: GraphStore) -> None:
    jobs = [
        job("extract", trigger="30 2 * * *", doc="Reads new texts."),
        job("train", after=("extract",)),
        job("warm", trigger=timedelta(hours=6)),
    ]
    assert [row.as_dict() for row in describe(jobs, NOON, ZoneInfo("Europe/Berlin"))] == [
        {
            "name": "extract",
            "doc": "Reads new texts.",
            "trigger": "30 2 * * *",
            "after": [],
            "next_at": "2026-03-02T02:30:00+01:00",
        },
        {
            "name": "warm",
            "doc": "",
            "trigger": "every 6:00:00",
            "after": [],
            "next_at": "2026-03-01T18:00:00+00:00",
        },
        {"name": "train", "doc": "", "trigger": "by hand or in a chain", "after": ["extract"], "next_at": None},
    ]


@pytest.mark.parametrize(
    ("cron", "names"),
    [
        ("*", "*"),
        ("*/2", "*/2"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "fri,sat,sun"),
        ("0,3", "sun,wed"),
        ("1-5/2", "mon,wed,fri"),
        ("1/2", "mon,wed,fri"),
        ("mon-fri", "mon-fri"),
    ],
)
def test_weekdays_count_as_cron_counts_them(cron: str, names: str) -> None:
    assert named_weekdays(cron) == names


def test_sunday_is_a_sunday() -> None:
    (row,) = describe([job("extract", trigger="0 0 * * 0")], datetime(2026, 3, 3, tzinfo=UTC))
    assert row.next_at is not None
    assert row.next_at.strftime("%A") == "Sunday"


# --- once at a time -------------------------------------------------------------------------------------------


def test_a_job_that_runs_is_not_run_again_beside_itself(store: GraphStore) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        assert go_on.wait(PATIENCE_S)
        return "done"

    # The chain that the second run would have started stops with it.
    scheduler = Scheduler(
        store, [job("train", slow, trigger=timedelta(seconds=0.05)), job("promote", after=("train",))]
    )
    with scheduler:
        assert began.wait(PATIENCE_S)
        (skipped,) = scheduler.trigger("train", chain=True)
        go_on.set()
    assert (skipped.outcome, skipped.error, skipped.seconds) == (
        "skipped",
        "Another run of train was under way.",
        None,
    )
    assert skipped in history(store, limit=1000)


def test_a_lease_has_one_holder_at_a_time() -> None:
    lease = LocalLease()
    with lease("train") as first, lease("train") as second, lease("extract") as other:
        assert (first, second, other) == (True, False, True)
    with lease("train") as again:
        assert again
    with pytest.raises(ZeroDivisionError), lease("train"):
        _ = 1 / 0
    with lease("train") as after_error:
        assert after_error


def test_another_lease_can_take_its_place(store: GraphStore) -> None:
    asked: list[str] = []

    @contextmanager
    def refuse(job: str) -> Iterator[bool]:
        asked.append(job)
        yield False

    runs = Scheduler(store, main_job(), lease=refuse).trigger("extract", chain=True)
    assert (asked, shown(runs)) == (["extract"], [("extract", "skipped", "manual")])


# --- processes that died --------------------------------------------------------------------------------------

CHILD = """
import json, sys, threading
from datetime import timedelta
from kg.scheduler import Job, Scheduler
from kg.store import GraphStore

how = json.loads(sys.argv[1])

def hang():
    print("began", flush=True)
    threading.Event().wait()

def quick():
    print("began", flush=True)

with GraphStore.connect(how["uri"], how["username"], how["password"]) as store:
    if how["mode"] == "hang":
        Scheduler(store, [Job(name="train", run=hang)]).trigger("train")
    else:
        Scheduler(store, [Job(name="train", run=quick, trigger=timedelta(seconds=0.05))]).run_forever()
"""


@contextmanager
def child(database: localdb.Connection, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with a scheduler of its own, in which a job has begun."""
    how = {"uri": database.uri, "username": database.username, "password": database.password, "mode": mode}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(how)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_of_a_killed_process_is_found_abandoned_by_the_next(
    store: GraphStore, database: localdb.Connection
) -> None:
    with child(database, "hang") as process:
        # While it lives, its run stands; whoever starts meanwhile leaves it alone.
        Scheduler(store, [job("extract")]).trigger("extract")
        assert [run.outcome for run in history(store, job="train")] == [Outcome.RUNNING]
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    with Scheduler(store, [job("extract")]):
        pass
    (run,) = history(store, job="train")
    assert (run.outcome, run.seconds, run.error) == (
        "abandoned",
        None,
        "Its process ended, or lost the database, before the run was recorded.",
    )


def test_a_terminated_scheduler_ends_what_runs_and_leaves(store: GraphStore, database: localdb.Connection) -> None:
    with child(database, "run") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert {run.outcome for run in history(store, limit=1000)} == {Outcome.SUCCEEDED}


def test_a_run_whose_end_could_not_be_recorded_is_settled_by_the_next(store: GraphStore) -> None:
    # As after a restart of Neo4j in mid-run: the node says running, this process knows of no such run.
    store.write(
        "CREATE (:JobRun {id: 'lost', job: 'train', outcome: 'running', at: datetime(), trigger: 'manual', "
        "process: $p})",
        p=str(Process.this()),
    )
    here = Process.this()
    assert abandon_dead(store, here, active=frozenset({"lost"})) == 0
    Scheduler(store, [job("extract")]).trigger("extract")
    assert [run.outcome for run in history(store, job="train")] == [Outcome.ABANDONED]
    assert abandon_dead(store, here) == 0


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    here = Process.this()
    assert Process.parse(str(here)) == here
    assert here.pid == os.getpid()
    assert not here.is_dead(here)
    assert replace(here, began=here.began - 3600).is_dead(here)
    assert not replace(here, host="elsewhere", pid=1).is_dead(here)
    unused = max(psutil.pids()) + 1_000_000
    assert replace(here, pid=unused).is_dead(here)
