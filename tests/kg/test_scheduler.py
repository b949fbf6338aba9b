"""The scheduler on a real Neo4j, with tiny jobs: what is recorded, what follows what, what never runs twice at once."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kg import runs
from kg.errors import LeaseLostError, SchedulerError
from kg.progress import Stage, teller
from kg.runs import JobRun, Outcome, history
from kg.scheduler import Scheduler
from kg.store import GraphStore
from kg.timetable import Job
from tests.kg.tiny_jobs import (
    OFTEN,
    PATIENCE_S,
    QUICK,
    fail,
    job,
    let_time_pass,
    long_known,
    shown,
    slow_clock,
    ticking,
)

# --- one run --------------------------------------------------------------------------------------------------


def test_a_run_is_recorded_with_outcome_and_duration(store: GraphStore) -> None:
    before = datetime.now(UTC)
    (run,) = Scheduler(store, [job("extract", lambda: "12 texts")], timer=ticking(2.5)).trigger("extract")
    assert run == JobRun(
        id=run.id,
        job="extract",
        outcome=Outcome.SUCCEEDED,
        at=run.at,
        trigger="manual",
        process=f"{socket.gethostname()}/{os.getpid()}",
        token=1,
        seconds=2.5,
        detail="12 texts",
    )
    assert before <= run.at <= datetime.now(UTC)
    assert history(store) == (run,)
    assert json.loads(json.dumps(run.as_dict()))["at"] == run.at.isoformat()


def test_a_run_stands_as_running_while_it_runs(store: GraphStore) -> None:
    seen: list[JobRun] = []
    Scheduler(store, [job("extract", lambda: seen.extend(history(store)))]).trigger("extract")
    assert [(run.outcome, run.seconds) for run in seen] == [(Outcome.RUNNING, None)]


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
    with pytest.raises(SchedulerError, match=r"no job 'trian'"):
        scheduler.pause("trian")


def test_history_is_newest_first_and_can_be_of_one_job(store: GraphStore) -> None:
    scheduler = Scheduler(store, [job("extract"), job("train")])
    first, second, third = (scheduler.trigger(name)[0] for name in ("extract", "train", "extract"))
    assert history(store) == (third, second, first)
    assert history(store, limit=1) == (third,)
    assert history(store, job="train") == (second,)


OLD_RUNS = """
UNWIND [['a', 'watch', 'succeeded', 400], ['b', 'watch', 'failed', 300], ['c', 'watch', 'failed', 200],
        ['d', 'watch', 'running', 150], ['e', 'watch', 'succeeded', 91], ['f', 'watch', 'succeeded', 89],
        ['g', 'train', 'succeeded', 500], ['h', 'train', 'skipped', 100], ['i', 'train', 'skipped', 1]] AS x
CREATE (:JobRun {id: x[0], job: x[1], outcome: x[2], trigger: 'schedule', process: 'shop/1',
                 at: datetime.realtime() - duration({days: x[3]})})
"""


def test_old_runs_are_forgotten_but_the_latest_of_each_job_and_outcome(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.runs._AT_ONCE", 1)
    store.write(OLD_RUNS)
    assert runs.prune(store) == 4
    assert [run.id for run in history(store)] == ["i", "f", "d", "c", "g"]
    assert runs.prune(store) == 0


def test_the_clock_forgets_old_runs(store: GraphStore) -> None:
    store.write(OLD_RUNS)
    gone = "MATCH (run:JobRun) WHERE run.id IN ['a', 'b', 'e', 'h'] RETURN run"
    with Scheduler(store, [job("watch")], **QUICK):
        end = time.monotonic() + PATIENCE_S
        while store.read(gone) and time.monotonic() < end:
            time.sleep(0.05)
    assert [run.id for run in history(store)] == ["i", "f", "d", "c", "g"]


def test_a_job_that_takes_too_long_has_failed_and_writes_no_more(store: GraphStore) -> None:
    go_on, written = threading.Event(), threading.Event()
    refused: list[LeaseLostError] = []

    def late(fenced: GraphStore) -> None:
        go_on.wait(PATIENCE_S)
        try:
            fenced.write("CREATE (:Brand {key: 'late', name: 'Late'})")
        except LeaseLostError as error:
            refused.append(error)
        written.set()

    jobs = [Job(name="train", run=late, timeout=timedelta(seconds=0.1))]
    (run,) = Scheduler(store, jobs).trigger("train")
    assert (run.outcome, run.error) == ("failed", "It took longer than 0:00:00.100000.")
    go_on.set()
    assert written.wait(PATIENCE_S)
    assert len(refused) == 1
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


# --- chains by hand -------------------------------------------------------------------------------------------


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


# --- once at a time -------------------------------------------------------------------------------------------


def test_a_job_that_runs_is_not_run_again_beside_itself(store: GraphStore) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        began.set()
        assert go_on.wait(PATIENCE_S)
        return "done"

    # The chain that the second run would have started stops with it.
    jobs = [job("train", slow, trigger=OFTEN), job("promote", after=("train",))]
    with Scheduler(store, jobs, **QUICK):
        assert began.wait(PATIENCE_S)
        (skipped,) = Scheduler(store, jobs).trigger("train", chain=True)
        go_on.set()
    assert (skipped.outcome, skipped.error, skipped.seconds) == (
        "skipped",
        "Another run of train was under way.",
        None,
    )
    assert skipped in history(store, limit=1000)


def test_schedulers_beside_each_other_run_every_slot_once(store: GraphStore) -> None:
    """Three clocks on one graph; with ``coalesce`` off each multiple of the interval is a slot to be run."""
    enough = threading.Semaphore(0)
    often = job("extract", lambda: enough.release(), trigger=timedelta(seconds=0.2), coalesce=False)
    schedulers = [Scheduler(store, [often], **QUICK) for _ in range(3)]
    for scheduler in schedulers:
        scheduler.start()
    for _ in range(10):
        assert enough.acquire(timeout=PATIENCE_S)
    for scheduler in schedulers:
        scheduler.stop()
    done = history(store, limit=1000)
    slots = sorted(run.slot for run in done if run.slot is not None)
    assert {(run.outcome, run.attempt) for run in done} == {("succeeded", 1)}
    assert slots == [slots[0] + number * timedelta(seconds=0.2) for number in range(len(done))]


def test_a_run_that_lost_its_lease_settles_nothing(store: GraphStore) -> None:
    long_known(store, "train")
    taken_over: list[JobRun | None] = []

    def overtaken(fenced: GraphStore) -> str:
        if not taken_over:  # the second run is the one that takes its place
            taken_over.append(None)
            let_time_pass(store)
            taken_over[0] = Scheduler(store, jobs).tick()
            fenced.write("CREATE (:Brand {key: 'late', name: 'Late'})")
        return "done"

    jobs = [replace(slow_clock("train"), run=overtaken)]
    first = Scheduler(store, jobs).tick()
    assert first is not None
    assert first.outcome is Outcome.ABANDONED
    (other,) = taken_over
    assert other is not None
    assert (other.outcome, other.attempt, other.token) == ("succeeded", 2, 2)
    assert [(run.attempt, run.outcome) for run in history(store)] == [(2, "succeeded"), (1, "abandoned")]
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


def test_a_lease_is_kept_alive_while_its_job_runs(store: GraphStore) -> None:
    """The job outlasts its lease's time twice over; another scheduler looks all the while."""
    ttl = timedelta(seconds=1)

    def long() -> str:
        beats = {row["until"] for _ in range(40) for row in store.read(UNTIL) if not threading.Event().wait(0.05)}
        return f"{len(beats)} moments"

    UNTIL = "MATCH (l:Lease {name: 'train'}) RETURN l.until AS until"
    with Scheduler(store, [job("train")], ttl=ttl, **QUICK):
        (run,) = Scheduler(store, [job("train", long)], ttl=ttl).trigger("train")
    assert run.outcome is Outcome.SUCCEEDED
    assert int((run.detail or "0").split()[0]) > 2


def test_how_far_a_run_is_stands_in_the_graph_while_it_runs(store: GraphStore) -> None:
    seen: list[JobRun] = []

    def long() -> None:
        tell = teller()
        tell(Stage("Reading", 3, 10))
        for _ in range(PATIENCE_S * 20):
            seen[:] = history(store)
            if seen[0].stage:
                return
            time.sleep(0.05)

    (run,) = Scheduler(store, [job("extract", long)], ttl=timedelta(seconds=3)).trigger("extract")
    assert (seen[0].stage, seen[0].done, seen[0].of) == ("Reading", 3, 10)
    assert seen[0].as_dict()["progress"] == "Reading 3 of 10"
    assert (run.outcome, run.stage) == (Outcome.SUCCEEDED, None)
    assert history(store) == (run,)


def test_how_far_it_was_is_kept_of_a_run_that_failed(store: GraphStore) -> None:
    def half() -> str:
        teller()(Stage("Reading", 5))
        return fail()

    (run,) = Scheduler(store, [job("extract", half)]).trigger("extract")
    assert run.as_dict()["progress"] == "Reading 5"
    assert history(store) == (run,)
