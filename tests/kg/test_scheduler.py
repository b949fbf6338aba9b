"""The scheduler on a real Neo4j, with tiny jobs: what is recorded, what follows what, what others do after a death."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from kg import localdb, runs
from kg.errors import ConnectionFailedError, ExtractionError, LeaseLostError, SchedulerError
from kg.progress import Stage, teller
from kg.runs import JobRun, Outcome, history
from kg.scheduler import Scheduler
from kg.store import GraphStore
from kg.timetable import Changes, Job, due

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


# --- one look at the graph ------------------------------------------------------------------------------------


def test_a_slot_is_run_once_whoever_looks(store: GraphStore) -> None:
    long_known(store, "extract")
    schedulers = [Scheduler(store, [slow_clock("extract")]) for _ in range(3)]
    found = [scheduler.tick() for scheduler in (*schedulers, *schedulers)]
    assert [run is None for run in found] == [False, True, True, True, True, True]
    assert found[0] is not None
    assert (found[0].trigger, found[0].attempt, found[0].token) == ("schedule", 1, 1)
    assert found[0].slot is not None
    assert found[0].slot < found[0].at
    assert history(store) == (found[0],)


def test_a_chain_goes_on_in_whichever_process_looks(store: GraphStore) -> None:
    def jobs() -> list[Job]:
        return [slow_clock("extract"), job("train", after=("extract",)), job("promote", after=("train",))]

    long_known(store, "extract", "train", "promote")
    found = [Scheduler(store, jobs()).tick() for _ in range(4)]
    assert found[3] is None
    done = tuple(run for run in found if run is not None)
    assert shown(done) == [
        ("extract", "succeeded", "schedule"),
        ("train", "succeeded", "chain"),
        ("promote", "succeeded", "chain"),
    ]
    assert len({run.slot for run in done}) == 1


def test_what_follows_a_failure_is_not_run(store: GraphStore) -> None:
    jobs = [slow_clock("extract", fail, retries=0), job("train", after=("extract",))]
    long_known(store, "extract", "train")
    scheduler = Scheduler(store, jobs)
    assert [scheduler.tick() is None for _ in range(3)] == [False, True, True]
    assert [run.job for run in history(store)] == ["extract"]


def test_a_failed_slot_is_tried_again_and_then_given_up(store: GraphStore) -> None:
    long_known(store, "extract")
    told: list[JobRun] = []
    jobs = [slow_clock("extract", fail, retries=2, backoff=timedelta(0))]
    scheduler = Scheduler(store, jobs, alert=told.append)
    assert [scheduler.tick() is None for _ in range(4)] == [False, False, False, True]
    assert [(run.attempt, run.outcome) for run in told] == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert len({run.slot for run in told}) == 1
    assert history(store) == tuple(reversed(told))


def test_runs_that_were_lost_with_their_process_use_up_no_retries(store: GraphStore) -> None:
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract", fail, retries=2, backoff=timedelta(0))])
    for _ in range(2):
        standing = runs.look(store, ("extract",)).standings["extract"]
        wanted = due(scheduler.jobs["extract"], scheduler.jobs, {"extract": standing.progress}, datetime.now(UTC))
        begun = runs.begin(
            store, "extract", ttl=timedelta(0), trigger="schedule", process="killed", due=wanted, seen=standing.token
        )
        assert begun is not None
        assert runs.abandon(store, "extract") is not None
    assert [scheduler.tick() is None for _ in range(4)] == [False, False, False, True]
    assert [(run.attempt, run.outcome) for run in reversed(history(store))] == [
        (1, "abandoned"),
        (2, "abandoned"),
        (3, "failed"),
        (4, "failed"),
        (5, "failed"),
    ]
    # The next slot begins with none.
    store.write("MATCH (l:Lease {name: 'extract'}) SET l.slot = datetime('2001-01-01')")
    assert [scheduler.tick() is None for _ in range(4)] == [False, False, False, True]


def test_a_retry_waits(store: GraphStore) -> None:
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract", fail, backoff=timedelta(hours=1))])
    assert scheduler.tick() is not None
    assert scheduler.tick() is None
    store.write("MATCH (l:Lease) SET l.again_at = l.again_at - duration('PT1H')")
    second = scheduler.tick()
    assert second is not None
    assert second.attempt == 2


def test_a_job_that_failed_for_want_of_the_database_is_tried_again_at_once(store: GraphStore) -> None:
    def cut_off() -> str:
        raise ConnectionFailedError("Neo4j does not answer.")

    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract", cut_off, retries=0, backoff=timedelta(hours=1))])
    found = [scheduler.tick() for _ in range(2)]
    assert [(run.attempt, run.outcome) for run in found if run is not None] == [(1, "failed"), (2, "failed")]


@pytest.mark.parametrize("done", [False, True])
def test_the_end_of_a_run_is_recorded_once_though_the_connection_breaks_off(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Whether it was committed or not, nobody is told: the run is neither done again nor taken for lost."""
    end, broken = runs.end, [True]

    def cut_off(*arguments: Any, **how: Any) -> bool:
        if broken and broken.pop():
            if done:
                end(*arguments, **how)
            raise ConnectionFailedError("Neo4j does not answer.")
        return end(*arguments, **how)

    monkeypatch.setattr(runs, "end", cut_off)
    monkeypatch.setattr("kg.scheduler.AGAIN_S", 0.0)
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract")])
    run = scheduler.tick()
    assert run is not None
    assert run.outcome is Outcome.SUCCEEDED
    assert history(store) == (run,)
    assert scheduler.tick() is None


def test_a_success_after_a_failure_finishes_the_slot(store: GraphStore) -> None:
    answers = iter([fail, lambda: "at last"])
    long_known(store, "extract", "train")
    jobs = [
        slow_clock("extract", lambda: next(answers)(), backoff=timedelta(0)),
        job("train", after=("extract",)),
    ]
    scheduler = Scheduler(store, jobs)
    found = [scheduler.tick() for _ in range(4)]
    assert [(run.job, run.outcome) for run in found if run is not None] == [
        ("extract", "failed"),
        ("extract", "succeeded"),
        ("train", "succeeded"),
    ]


def test_a_paused_job_waits_until_it_is_resumed(store: GraphStore) -> None:
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract")])
    scheduler.pause("extract")
    assert runs.paused(store) == {"extract"}
    assert Scheduler(store, [slow_clock("extract")]).tick() is None
    # By hand it runs nevertheless.
    assert shown(scheduler.trigger("extract")) == [("extract", "succeeded", "manual")]
    scheduler.pause("extract", False)
    run = scheduler.tick()
    assert run is not None
    assert run.trigger == "schedule"


@pytest.mark.parametrize("grace", [None, timedelta(minutes=30)])
def test_nobody_is_told_of_what_was_left_out_while_a_job_was_paused(store: GraphStore, grace: timedelta | None) -> None:
    long_known(store, "extract")
    told: list[JobRun] = []
    scheduler = Scheduler(store, [replace(slow_clock("extract"), grace=timedelta(hours=1))], alert=told.append)
    if grace is not None:
        scheduler.change("extract", Changes(grace=grace))
    scheduler.pause("extract")
    scheduler.pause("extract", False)
    assert scheduler.tick() is None
    assert (told, history(store)) == ([], ())
    # The clock goes on from there; and who resumes what is not paused changes nothing.
    store.write("MATCH (l:Lease {name: 'extract'}) SET l.slot = datetime('2001-01-01')")
    scheduler.pause("extract", False)
    assert scheduler.tick() is None
    assert [run.outcome for run in told] == [Outcome.SKIPPED]


def test_a_slot_that_waits_to_be_tried_again_is_tried_though_the_job_was_paused(store: GraphStore) -> None:
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract", fail, backoff=timedelta(0))])
    first = scheduler.tick()
    assert first is not None
    scheduler.change("extract", Changes(grace=timedelta(hours=1)))
    scheduler.pause("extract")
    scheduler.pause("extract", False)
    second = scheduler.tick()
    assert second is not None
    assert (second.slot, second.attempt) == (first.slot, 2)


def test_a_job_that_is_paused_after_it_was_found_to_be_due_does_not_begin(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_known(store, "extract")
    scheduler = Scheduler(store, [slow_clock("extract")])
    look = runs.look

    def look_and_be_late(store: GraphStore, names: tuple[str, ...]) -> runs.Look:
        seen = look(store, names)
        runs.pause(store, "extract", True)
        return seen

    monkeypatch.setattr(runs, "look", look_and_be_late)
    assert scheduler.tick() is None
    assert history(store) == ()


def test_slots_that_nobody_ran_in_time_are_recorded_and_left_out(store: GraphStore) -> None:
    long_known(store, "extract")
    told: list[JobRun] = []
    often = replace(slow_clock("extract"), grace=timedelta(hours=1), trigger=timedelta(days=365))
    scheduler = Scheduler(store, [often], alert=told.append)
    assert scheduler.tick() is None
    assert scheduler.tick() is None
    (run,) = history(store)
    assert told == [run]
    assert (run.outcome, run.trigger) == ("skipped", "schedule")
    assert run.slot is not None
    assert run.slot.year == 2001
    assert run.error is not None
    assert run.error.startswith("Missed: it was due at 2001-")


def test_the_slot_that_is_due_longest_comes_first(store: GraphStore) -> None:
    long_known(store, "a", "b", "c")
    store.write("MATCH (l:Lease {name: 'b'}) SET l.since = datetime('1991-01-01')")
    each = {"coalesce": False}
    scheduler = Scheduler(store, [slow_clock("a", **each), slow_clock("b", **each), slow_clock("c", **each)])
    first = scheduler.tick()
    assert first is not None
    assert first.job == "b"


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
        job("extract", trigger=OFTEN),
        job("train", after=("extract",)),
        job("promote", promote, after=("train",)),
    ]
    with Scheduler(store, jobs, **QUICK):
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

    with Scheduler(store, [job("extract", flaky, trigger=OFTEN, retries=0)], **QUICK):
        assert twice.wait(PATIENCE_S)
    assert {run.outcome for run in history(store)} == {Outcome.FAILED}


def test_a_stopped_clock_starts_nothing_and_can_be_started_again(store: GraphStore) -> None:
    fired = threading.Event()
    scheduler = Scheduler(store, [job("extract", fired.set, trigger=OFTEN)], **QUICK)
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


def test_nothing_that_a_job_raises_ends_the_clock(store: GraphStore) -> None:
    rounds = threading.Semaphore(0)

    def leave() -> str:
        rounds.release()
        sys.exit("I leave")

    with Scheduler(store, [job("extract", leave, trigger=OFTEN, retries=0)], **QUICK):
        assert rounds.acquire(timeout=PATIENCE_S)
        assert rounds.acquire(timeout=PATIENCE_S)
    assert {run.error for run in history(store)} == {"Interrupted: SystemExit."}


def test_an_alert_that_fails_hurts_no_run(store: GraphStore) -> None:
    def dead(_: JobRun) -> None:
        raise OSError("no such host")

    (run,) = Scheduler(store, [job("extract", fail)], alert=dead).trigger("extract")
    assert history(store) == (run,)


def test_a_run_keeps_its_lease_while_a_hook_does_not_answer(store: GraphStore) -> None:
    """Longer than the lease lasts: what would be told of others' runs must not be waited for."""
    ttl = timedelta(seconds=1)
    answered, asked = threading.Event(), threading.Event()
    told: list[str] = []

    def silent(run: JobRun) -> None:
        asked.set()
        answered.wait(PATIENCE_S)
        told.append(run.job)

    def long() -> str:
        store.write("MATCH (l:Lease) WHERE l.name IN ['tidy', 'warm'] SET l.until = datetime.realtime()")
        assert asked.wait(PATIENCE_S)
        before = store.read(UNTIL)
        end = time.monotonic() + PATIENCE_S
        while store.read(UNTIL) == before and time.monotonic() < end:
            time.sleep(0.05)
        renewed = store.read(UNTIL) != before
        answered.set()
        return f"renewed: {renewed}"

    UNTIL = "MATCH (l:Lease {name: 'train'}) RETURN l.until AS until"
    jobs = [job("train", long), job("tidy"), job("warm")]
    for name in ("tidy", "warm"):
        assert runs.begin(store, name, ttl=timedelta(minutes=1), trigger="manual", process="shop/1") is not None
    scheduler = Scheduler(store, jobs, ttl=ttl, alert=silent)
    (run,) = scheduler.trigger("train")
    assert (run.outcome, run.detail) == (Outcome.SUCCEEDED, "renewed: True")
    assert sorted(told) == ["tidy", "warm"]


def test_an_alert_that_is_not_sent_in_time_is_logged(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.scheduler.ALERTS_S", 0.1)
    answered = threading.Event()

    def silent(_: JobRun) -> None:
        answered.wait(PATIENCE_S)

    scheduler = Scheduler(store, [job("extract", fail)], alert=silent)
    with structlog.testing.capture_logs() as logs:
        (run,) = scheduler.trigger("extract")
    answered.set()
    (entry,) = [entry for entry in logs if entry["event"] == "an alert was not sent in time"]
    assert (entry["run"], entry["error"]) == (run.id, run.error)


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


# --- what was set ---------------------------------------------------------------------------------------------


def test_what_was_set_holds_in_every_process(store: GraphStore) -> None:
    one, other = (Scheduler(store, [slow_clock("extract", fail, backoff=timedelta(0))]) for _ in range(2))
    changed = one.change("extract", Changes(every=timedelta(hours=1), retries=0))
    assert (changed.trigger, changed.retries) == (timedelta(hours=1), 0)
    assert other.tick() is None  # the next slot is to come
    an_hour = "MATCH (l:Lease) SET l.since = l.since - duration('PT1H'), l.retimed = l.retimed - duration('PT1H')"
    store.write(an_hour)
    run = other.tick()
    assert run is not None
    assert run.slot is not None
    assert (run.outcome, run.slot.minute, run.slot.second) == (Outcome.FAILED, 0, 0)
    assert one.tick() is None  # nothing is tried again
    assert one.change("extract", Changes()).trigger == timedelta(days=3650)
    assert runs.changes(store) == {"extract": Changes()}


def test_a_slot_that_was_found_before_the_trigger_was_changed_is_not_run(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_known(store, "extract")
    scheduler, other = (Scheduler(store, [slow_clock("extract")]) for _ in range(2))
    begin = runs.begin

    def later(*arguments: Any, **how: Any) -> Any:
        other.change("extract", Changes(cron="0 3 * * *"))
        return begin(*arguments, **how)

    monkeypatch.setattr(runs, "begin", later)
    assert scheduler.tick() is None
    assert history(store) == ()


def test_a_trigger_that_is_changed_during_a_run_begins_with_its_next_slot(store: GraphStore) -> None:
    long_known(store, "extract")
    other = Scheduler(store, [slow_clock("extract")])

    def run() -> None:
        other.change("extract", Changes(every=timedelta(days=1000)))

    scheduler = Scheduler(store, [slow_clock("extract", run)])
    assert scheduler.tick() is not None
    assert scheduler.tick() is None
    assert [run.outcome for run in history(store)] == [Outcome.SUCCEEDED]


def test_a_trigger_that_is_none_is_not_set(store: GraphStore) -> None:
    scheduler = Scheduler(store, [slow_clock("extract"), job("train", after=("extract",))])
    with pytest.raises(SchedulerError, match="expected five cron fields"):
        scheduler.change("extract", Changes(cron="often"))
    with pytest.raises(SchedulerError, match="has a trigger and follows extract"):
        scheduler.change("train", Changes(every=timedelta(hours=1)))
    assert runs.changes(store) == {}


def test_a_job_whose_trigger_cannot_be_read_here_is_told_of_once_and_the_others_go_on(store: GraphStore) -> None:
    long_known(store, "a", "b")
    told: list[JobRun] = []
    jobs = [job("a", trigger="0 2 * * *"), slow_clock("b")]
    scheduler = Scheduler(store, jobs, alert=told.append)
    store.write("MATCH (l:Lease {name: 'a'}) SET l.timezone = 'Mars/Olympus'")
    with structlog.testing.capture_logs() as logs:
        assert [scheduler.tick() is None for _ in range(3)] == [False, True, True]
    assert [run.job for run in history(store)] == ["b"]
    assert [(run.job, run.outcome) for run in told] == [("a", "skipped")]
    assert "found 'Mars/Olympus'" in (told[0].error or "")
    assert [entry["job"] for entry in logs if "cannot be read" in entry["event"]] == ["a"]
    assert scheduler.change("b", Changes(every=timedelta(hours=1))).trigger == timedelta(hours=1)
    # Whoever sets it anew has it run again, and would be told again.
    scheduler.change("a", Changes(timezone="Europe/Berlin"))
    assert scheduler.tick() is None
    store.write("MATCH (l:Lease {name: 'a'}) SET l.timezone = 'Mars/Olympus'")
    scheduler.tick()
    assert [run.job for run in told] == ["a", "a"]


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
