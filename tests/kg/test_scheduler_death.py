"""The scheduler's processes die or freeze: what the others do, and what those that wake up no longer can."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from kg import localdb, runs
from kg.errors import ConnectionFailedError
from kg.runs import JobRun, Outcome, history
from kg.scheduler import Scheduler
from kg.store import GraphStore
from tests.kg.tiny_jobs import (
    PATIENCE_S,
    job,
    let_time_pass,
    long_known,
    slow_clock,
)

# --- processes that died or froze -----------------------------------------------------------------------------

CHILD = """
import json, sys
from datetime import timedelta
from kg.app import logs
from kg.scheduler import Scheduler
from kg.store import GraphStore
from kg.timetable import Changes, Job

logs.configure()
how = json.loads(sys.argv[1])

def hang(store):
    print("began", flush=True)
    sys.stdin.readline()
    store.write("CREATE (:Brand {key: 'late', name: 'Late'})")

def quick(store):
    print("began", flush=True)

OFTEN, SELDOM = timedelta(seconds=0.05), timedelta(days=3650)
job = {
    "by hand": Job(name="train", run=hang),
    "slot": Job(name="train", run=hang, trigger=SELDOM, grace=10 * SELDOM),
    "clock": Job(name="train", run=quick, trigger=OFTEN),
}[how["mode"]]
with GraphStore.connect(how["uri"], how["username"], how["password"]) as store:
    scheduler = Scheduler(store, [job], tick=OFTEN)
    if how["mode"] == "by hand":
        scheduler.trigger("train")
    else:
        scheduler.run_forever()
"""


@contextmanager
def child(database: localdb.Connection, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with a scheduler of its own, in which a job has begun."""
    how = {"uri": database.uri, "username": database.username, "password": database.password, "mode": mode}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(how)],
        stdin=subprocess.PIPE,
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


def test_the_slot_of_a_killed_process_is_run_again_by_another(store: GraphStore, database: localdb.Connection) -> None:
    long_known(store, "train")
    told: list[JobRun] = []
    scheduler = Scheduler(store, [slow_clock("train")], alert=told.append)
    with child(database, "slot") as process:
        # While it lives, its run stands; whoever looks meanwhile leaves it alone.
        assert scheduler.tick() is None
        assert [run.outcome for run in history(store)] == [Outcome.RUNNING]
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    let_time_pass(store)
    second = scheduler.tick()
    assert second is not None
    assert (second.outcome, second.attempt, second.trigger) == ("succeeded", 2, "schedule")
    first = history(store)[1]
    assert told == [first]
    assert (first.outcome, first.attempt, first.slot, first.seconds, first.error) == (
        "abandoned",
        1,
        second.slot,
        None,
        "Its process died, was frozen or lost the database: nobody renewed its lease.",
    )


def test_of_a_run_that_was_abandoned_is_told_though_what_it_left_open_cannot_be_ended(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise ConnectionFailedError("Neo4j does not answer.")

    long_known(store, "train")
    told: list[JobRun] = []
    scheduler = Scheduler(store, [slow_clock("train")], alert=told.append)
    begun = runs.begin(store, "train", ttl=timedelta(minutes=1), trigger="manual", process="shop/1")
    assert begun is not None
    let_time_pass(store)
    with monkeypatch.context() as broken:
        broken.setattr(GraphStore, "end_transactions", away)
        assert scheduler.tick() is None
    assert [(run.id, run.outcome) for run in told] == [(begun[0].id, "abandoned")]
    second = scheduler.tick()
    assert second is not None
    assert second.outcome is Outcome.SUCCEEDED


def test_a_frozen_process_that_wakes_up_writes_nothing(store: GraphStore, database: localdb.Connection) -> None:
    long_known(store, "train")
    with child(database, "slot") as process:
        process.send_signal(signal.SIGSTOP)
        let_time_pass(store)
        second = Scheduler(store, [slow_clock("train")]).tick()
        assert second is not None
        assert (second.outcome, second.attempt) == ("succeeded", 2)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert [run.outcome for run in history(store)] == [Outcome.SUCCEEDED, Outcome.ABANDONED]
    assert store.read("MATCH (b:Brand) RETURN count(b) AS n") == [{"n": 0}]


def test_a_run_by_hand_that_was_killed_is_abandoned_and_not_run_again(
    store: GraphStore, database: localdb.Connection
) -> None:
    with child(database, "by hand") as process:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    let_time_pass(store)
    assert Scheduler(store, [job("train")]).tick() is None
    assert [(run.outcome, run.seconds) for run in history(store)] == [("abandoned", None)]


def test_a_terminated_scheduler_ends_what_runs_and_leaves(store: GraphStore, database: localdb.Connection) -> None:
    with child(database, "clock") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert {run.outcome for run in history(store, limit=1000)} == {Outcome.SUCCEEDED}
