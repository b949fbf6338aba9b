"""The scheduler's clock on a real Neo4j: what is due at a look, what runs by itself, and what was set of a job."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from kg import runs
from kg.errors import ConnectionFailedError, SchedulerError
from kg.runs import JobRun, Outcome, history
from kg.scheduler import Scheduler
from kg.store import GraphStore
from kg.timetable import Changes, Job, due
from tests.kg.tiny_jobs import (
    OFTEN,
    PATIENCE_S,
    QUICK,
    fail,
    job,
    long_known,
    shown,
    slow_clock,
)

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
