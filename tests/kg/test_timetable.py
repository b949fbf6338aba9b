"""What is due, computed from moments alone: cron fields, intervals, chains, retries, what comes too late."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kg.errors import SchedulerError
from kg.timetable import (
    MOST_ATTEMPTS,
    UNCHANGED,
    Changes,
    Due,
    Job,
    Progress,
    again_after_abandonment,
    again_after_failure,
    chain_from,
    checked,
    clocked,
    describe,
    due,
    duration,
    named_weekdays,
    next_slot,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def job(name: str, **how: Any) -> Job:
    return Job(name=name, run=lambda _: None, **how)


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC)


def due_alone(job: Job, now: datetime, **progress: Any) -> Due | None:
    return due(job, {job.name: job}, {job.name: Progress(**progress)}, now)


# --- jobs that fit together -----------------------------------------------------------------------------------


def main_job() -> list[Job]:
    """extract → train → promote."""
    return [job("promote", after=("train",)), job("extract", trigger="0 2 * * *"), job("train", after=("extract",))]


def test_the_members_of_a_chain() -> None:
    jobs = checked(main_job())
    assert [member.name for member in chain_from(jobs, "train")] == ["train", "promote"]
    assert [member.name for member in chain_from(jobs, "promote")] == ["promote"]


def test_what_follows_a_job_of_the_clock_is_started_by_it_too() -> None:
    jobs = checked([*main_job(), job("resolve"), job("report", after=("resolve",))])
    assert clocked(jobs) == {"extract", "train", "promote"}


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([job("a"), job("a")], "Two jobs have the same name among a, a"),
        ([job("a", after=("b",))], "Job a follows b, which is no job"),
        ([job("a", after=("b",)), job("b", after=("a",))], "follow one another in a circle: [ab] → [ab] → [ab]"),
        ([job("a"), job("b", after=("a",), trigger=MINUTE)], "Job b has a trigger and follows a: expected one"),
        ([job("a", trigger="every day")], "Job a: expected five cron fields.* found 'every day'"),
        ([job("a", trigger="0 25 * * *")], "Job a: expected five cron fields.* found '0 25"),
        ([job("a", trigger="0 0 30 2 *")], "Job a: the cron fields '0 0 30 2 .*' name a day that never comes"),
        ([job("a", trigger=timedelta(0))], "Job a: expected an interval above zero, found 0:00:00"),
    ],
)
def test_jobs_that_do_not_fit_together_are_refused(jobs: list[Job], message: str) -> None:
    with pytest.raises(SchedulerError, match=message):
        checked(jobs)


# --- by the clock ---------------------------------------------------------------------------------------------


def test_a_slot_is_due_from_its_moment_on_until_it_is_taken() -> None:
    nightly = job("extract", trigger="0 2 * * *")
    assert due_alone(nightly, at(1, 59, 59), slot=at(0)) is None
    assert due_alone(nightly, at(2), slot=at(0)) == Due(slot=at(2))
    assert due_alone(nightly, at(2, 30), slot=at(0)) == Due(slot=at(2))
    assert due_alone(nightly, at(2, 30), slot=at(2), attempt=1) is None


def test_every_process_counts_the_same_slots_of_an_interval() -> None:
    often = job("warm", trigger=timedelta(seconds=90))
    # 1 March 2026, noon, is a multiple of 90 s since 1970; where a process starts counting does not matter.
    assert due_alone(often, at(12, 1, 40), slot=at(11, 59, 59)) == Due(slot=at(12, 1, 30))
    assert due_alone(often, at(12, 1, 40), slot=at(12, 0, 7)) == Due(slot=at(12, 1, 30))
    assert due_alone(often, at(12, 1, 40), slot=at(12, 1, 30)) is None


def test_of_several_slots_the_latest_is_run_or_each_in_order() -> None:
    now, last = at(12, 3, 30), at(12)
    assert due_alone(job("a", trigger=MINUTE), now, slot=last) == Due(slot=at(12, 3))
    each = job("a", trigger=MINUTE, coalesce=False)
    taken = []
    while (found := due_alone(each, now, slot=last)) is not None:
        taken.append(found.slot)
        last = found.slot
    assert taken == [at(12, 1), at(12, 2), at(12, 3)]


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_slot_that_is_too_late_is_passed_over(coalesce: bool) -> None:
    nightly = job("extract", trigger="0 2 * * *", coalesce=coalesce)
    assert due_alone(nightly, at(3, day=2), slot=at(2)) == Due(slot=at(2, day=2))
    late = due_alone(nightly, at(3, 0, 1, day=3), slot=at(2))
    assert late == Due(slot=at(2, day=2), too_late=at(2, 0, 1, day=3))
    assert late is not None
    assert late.too_late is not None
    # The scheduler then takes that moment for the last slot, and the job waits for the next night.
    assert due_alone(nightly, at(3, 0, 1, day=3), slot=late.too_late) is None
    assert due_alone(nightly, at(2, day=4), slot=late.too_late) == Due(slot=at(2, day=4))


def test_of_slots_that_are_partly_too_late_the_others_are_run() -> None:
    each = job("a", trigger=timedelta(minutes=20), coalesce=False)
    assert due_alone(each, at(12, 10), slot=at(8)) == Due(slot=at(11, 20))
    assert due_alone(each, at(12, 20), slot=at(8)) == Due(slot=at(11, 20))


def test_a_job_by_hand_is_never_due() -> None:
    assert due_alone(job("resolve"), at(12), slot=at(0)) is None


def test_a_paused_job_is_not_due_neither_for_a_new_slot_nor_again() -> None:
    assert due_alone(job("a", trigger=MINUTE), at(12), slot=at(11), paused=True) is None
    assert due_alone(job("a", trigger=MINUTE), at(12), slot=at(11), attempt=1, again_at=at(11), paused=True) is None


def test_a_slot_is_tried_again_before_another_begins() -> None:
    often = job("a", trigger=MINUTE)
    failed = {"slot": at(12), "attempt": 2, "again_at": at(12, 5)}
    assert due_alone(often, at(12, 4), **failed) is None
    assert due_alone(often, at(12, 5), **failed) == Due(slot=at(12), attempt=3)


def test_of_a_new_trigger_no_slot_counts_that_was_before_it() -> None:
    known = {"slot": at(9), "retimed": at(12, 0, 10)}
    assert due_alone(job("a", trigger=MINUTE), at(12, 0, 30), **known) is None
    assert due_alone(job("a", trigger=MINUTE), at(12, 1), **known) == Due(slot=at(12, 1))


def test_failures_are_tried_again_at_doubling_distances_and_then_given_up() -> None:
    often = job("a", retries=3, backoff=MINUTE)
    assert [again_after_failure(often, failures) for failures in (1, 2, 3, 4)] == [MINUTE, 2 * MINUTE, 4 * MINUTE, None]
    assert again_after_failure(job("a", retries=0), 1) is None


def test_a_job_that_takes_its_process_with_it_is_given_up_in_the_end() -> None:
    waits = [again_after_abandonment(attempt) for attempt in range(1, MOST_ATTEMPTS + 1)]
    assert waits[:3] == [timedelta(0)] * 3
    assert waits[3:5] == [MINUTE, 2 * MINUTE]
    assert None not in waits[:-1]
    assert waits[-1] is None


# --- in a chain -----------------------------------------------------------------------------------------------


def due_in_chain(name: str, jobs: list[Job], **progress: Progress) -> Due | None:
    return due(checked(jobs)[name], checked(jobs), progress, at(12))


def test_a_job_follows_for_the_slot_for_which_its_predecessor_succeeded() -> None:
    waiting = {"train": Progress(slot=at(0)), "promote": Progress(slot=at(0))}
    begun = Progress(slot=at(2), attempt=1)
    assert due_in_chain("train", main_job(), extract=begun, **waiting) is None
    ended = Progress(slot=at(2), attempt=1, done=at(2))
    assert due_in_chain("train", main_job(), extract=ended, **waiting) == Due(slot=at(2))
    assert due_in_chain("promote", main_job(), extract=ended, **waiting) is None
    taken = Progress(slot=at(2), attempt=1)
    assert due_in_chain("train", main_job(), extract=ended, train=taken, promote=Progress(slot=at(0))) is None


def test_a_chain_that_was_left_behind_goes_on_with_what_succeeded() -> None:
    # While train ran for two o'clock, extract went on to four; promote takes what train has done.
    ahead = Progress(slot=at(4), attempt=1, done=at(4))
    trained = Progress(slot=at(2), attempt=1, done=at(2))
    jobs = {"extract": ahead, "train": trained, "promote": Progress(slot=at(0))}
    assert due_in_chain("promote", main_job(), **jobs) == Due(slot=at(2))
    assert due_in_chain("train", main_job(), **jobs) == Due(slot=at(4))


def test_a_job_that_follows_two_waits_for_both() -> None:
    jobs = [
        job("extract", trigger="0 2 * * *"),
        job("resolve", after=("extract",)),
        job("train", after=("extract",)),
        job("promote", after=("train", "resolve")),
    ]
    done, waits = Progress(slot=at(2), attempt=1, done=at(2)), Progress(slot=at(0))
    failed = Progress(slot=at(2), attempt=1)
    assert due_in_chain("promote", jobs, extract=done, train=done, resolve=failed, promote=waits) is None
    assert due_in_chain("promote", jobs, extract=done, train=done, resolve=done, promote=waits) == Due(slot=at(2))


def test_what_only_people_start_is_not_waited_for() -> None:
    jobs = [job("extract", trigger="0 2 * * *"), job("tidy"), job("train", after=("extract", "tidy"))]
    done, waits = Progress(slot=at(2), attempt=1, done=at(2)), Progress(slot=at(0))
    assert due_in_chain("train", jobs, extract=done, tidy=waits, train=waits) == Due(slot=at(2))
    alone = [job("tidy"), job("train", after=("tidy",))]
    assert due_in_chain("train", alone, tidy=done, train=waits) is None


# --- what was set ---------------------------------------------------------------------------------------------


def test_what_was_set_takes_the_place_of_what_the_job_has() -> None:
    nightly = job("extract", trigger="0 2 * * *", retries=2)
    hourly = Changes(every=timedelta(hours=1), retries=0, timeout=timedelta(minutes=5)).of(nightly)
    assert (hourly.trigger, hourly.retries, hourly.timeout) == (timedelta(hours=1), 0, timedelta(minutes=5))
    assert hourly.grace == nightly.grace
    assert UNCHANGED.of(nightly) == nightly


def test_cron_fields_count_in_the_timezone_that_was_set() -> None:
    in_berlin = Changes(timezone="Europe/Berlin").of(job("extract", trigger="0 2 * * *"))
    (row,) = describe(checked([in_berlin]), NOON)
    assert (row.trigger, row.next_at) == ("0 2 * * * (Europe/Berlin)", datetime(2026, 3, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(cron="0 2 * *"), "expected five cron fields, minute hour day month weekday; found '0 2 * *'"),
        (Changes(cron="0 25 * * *"), "expected five cron fields"),
        (Changes(cron="0 0 30 2 *"), "name a day that never comes"),
        (Changes(every=timedelta(0), cron=None), "expected an interval above zero"),
        (Changes(timezone="Europe/Nowhere"), "expected a timezone by its IANA name"),
        (Changes(timezone="../etc"), "expected a timezone by its IANA name"),
        (Changes(timeout=timedelta(0)), "expected a timeout above zero"),
        (Changes(retries=-1), "expected retries of zero or more"),
    ],
)
def test_what_cannot_be_set_is_said(changes: Changes, said: str) -> None:
    with pytest.raises(SchedulerError, match=re.escape(said)):
        checked([changes.of(job("extract", trigger="0 2 * * *"))])


def test_times_are_written_with_their_units() -> None:
    assert duration("1h30m") == timedelta(minutes=90)
    assert [duration(t).total_seconds() for t in ("90s", "15m", "2d")] == [90, 900, 172_800]


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-5m", "5m1h", "9999999999d"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(SchedulerError, match="Expected a time such as 90s"):
        duration(text)


# --- changes of the clocks ------------------------------------------------------------------------------------

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
CHANGES = {  # the hour before the clocks are changed; in 2026 Berlin goes at 01:00 UTC, New York at 02:00 of its own
    (BERLIN, "autumn"): datetime(2026, 10, 25, 0, tzinfo=UTC),
    (NEW_YORK, "autumn"): datetime(2026, 11, 1, 5, tzinfo=UTC),
    (BERLIN, "spring"): datetime(2026, 3, 29, 0, tzinfo=UTC),
    (NEW_YORK, "spring"): datetime(2026, 3, 8, 6, tzinfo=UTC),
}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def slots(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Each from the one before, as a clock goes on that is never late."""
    following = next_slot(job("a", trigger=cron, timezone=zone), UTC)
    assert following is not None
    found: list[datetime] = []
    while (slot := following(found[-1] if found else after)) <= until:
        assert slot > (found[-1] if found else after)
        found.append(slot)
    return found


@pytest.mark.parametrize(("zone", "season"), CHANGES)
@pytest.mark.parametrize(("cron", "each"), [("15 * * * *", HOUR), ("*/20 * * * *", HOUR / 3), ("0 */1 * * *", HOUR)])
def test_what_runs_every_hour_goes_by_the_hours_that_pass(zone: str, season: str, cron: str, each: timedelta) -> None:
    change = CHANGES[zone, season]
    found = slots(cron, zone, change - 6 * HOUR, change + 6 * HOUR)
    assert len(found) == 12 * HOUR / each
    assert {later - slot for slot, later in pairwise(found)} == {each}


@pytest.mark.parametrize(("zone", "season"), CHANGES)
@pytest.mark.parametrize("hour", range(5))
@pytest.mark.parametrize("minute", [0, 30])
def test_a_daily_job_runs_once_in_the_night_of_the_change(zone: str, season: str, hour: int, minute: int) -> None:
    around = [CHANGES[zone, season].replace(hour=12) + days * DAY for days in (-3, 2)]
    found = [slot.astimezone(ZoneInfo(zone)) for slot in slots(f"{minute} {hour} * * *", zone, *around)]
    assert [(slot.date() - found[0].date()).days for slot in found] == [0, 1, 2, 3, 4]
    left_out = hour == 2 and season == "spring"
    by_the_clock = {(slot.hour, slot.minute, slot.fold) for slot in found}
    assert by_the_clock == {(hour, minute, 0)} | ({(3, minute, 0)} if left_out else set())


def test_a_time_that_is_left_out_comes_no_later_than_those_after_it() -> None:
    night = CHANGES[BERLIN, "spring"]
    # 02:15 and 02:45 are shown nowhere: they are 03:15 and 03:45 by the new clock, of which 03:15 is a slot already.
    found = slots("15,45 2,3 * * *", BERLIN, night, night + 6 * HOUR)
    assert found == [night + HOUR + minutes * MINUTE for minutes in (15, 45)]
    assert slots("45 1,2,3 * * *", BERLIN, night, night + 3 * HOUR) == [night + 45 * MINUTE, night + 105 * MINUTE]


def test_what_is_due_is_found_in_the_hour_that_is_shown_twice() -> None:
    first = CHANGES[BERLIN, "autumn"]
    hourly = job("a", trigger="15 * * * *", timezone=BERLIN)
    late = first + 75 * MINUTE + timedelta(seconds=2)
    assert due_alone(hourly, late, slot=first + 15 * MINUTE) == Due(slot=first + 75 * MINUTE)
    # As it was kept by versions that counted slots in the job's own timezone.
    kept = (first + 15 * MINUTE).astimezone(ZoneInfo(BERLIN))
    assert due_alone(hourly, late, slot=kept) == Due(slot=first + 75 * MINUTE)
    nightly = job("a", trigger="30 2 * * *", timezone=BERLIN)
    assert due_alone(nightly, first + 31 * MINUTE, slot=first - DAY) == Due(slot=first + 30 * MINUTE)
    assert due_alone(nightly, first + 91 * MINUTE, slot=first + 30 * MINUTE) is None


# --- the list, and weekdays -----------------------------------------------------------------------------------


def test_the_list_tells_when_each_job_is_next() -> None:
    jobs = checked(
        [
            job("extract", trigger="30 2 * * *", doc="Reads new texts."),
            job("train", after=("extract",)),
            job("warm", trigger=timedelta(hours=6)),
        ]
    )
    rows = describe(jobs, NOON, ZoneInfo("Europe/Berlin"), paused=frozenset({"warm"}))
    assert [row.as_dict() for row in rows] == [
        {
            "name": "extract",
            "doc": "Reads new texts.",
            "trigger": "30 2 * * *",
            "after": [],
            "next_at": "2026-03-02T02:30:00+01:00",
            "paused": False,
            "retries": 2,
            "timeout": "12:00:00",
            "problem": None,
        },
        {
            "name": "warm",
            "doc": "",
            "trigger": "every 6:00:00",
            "after": [],
            "next_at": None,
            "paused": True,
            "retries": 2,
            "timeout": "12:00:00",
            "problem": None,
        },
        {
            "name": "train",
            "doc": "",
            "trigger": "by hand or in a chain",
            "after": ["extract"],
            "next_at": None,
            "paused": False,
            "retries": 2,
            "timeout": "12:00:00",
            "problem": None,
        },
    ]
    assert describe(jobs, NOON)[1].next_at == at(18)


def test_the_list_says_of_which_job_the_trigger_cannot_be_read() -> None:
    jobs = {name: job(name, trigger="0 2 * * *", timezone=zone) for name, zone in (("a", "Mars/Olympus"), ("b", None))}
    a, b = describe(jobs, NOON)
    assert (a.trigger, a.next_at) == ("0 2 * * * (Mars/Olympus)", None)
    assert a.problem is not None
    assert a.problem.endswith("such as Europe/Berlin; found 'Mars/Olympus'.")
    assert (b.next_at, b.problem) == (at(2, day=2), None)


def test_the_list_tells_the_time_by_the_jobs_own_clock() -> None:
    (row,) = describe(checked([job("extract", trigger="30 2 * * *", timezone="Europe/Berlin")]), NOON)
    assert row.as_dict()["next_at"] == "2026-03-02T02:30:00+01:00"


@pytest.mark.parametrize(
    ("cron", "names"),
    [
        ("*", "*"),
        ("*/2", "sun,tue,thu,sat"),
        ("*/1", "sun,mon,tue,wed,thu,fri,sat"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "fri,sat,sun"),
        ("0,3", "sun,wed"),
        ("1-5/2", "mon,wed,fri"),
        ("1/2", "mon,wed,fri"),
        ("mon-fri", "mon,tue,wed,thu,fri"),
        ("Sun-Tue", "sun,mon,tue"),
        ("fri,*/3", "fri,sun,wed,sat"),
        ("5-1", "5-1"),
    ],
)
def test_weekdays_count_as_cron_counts_them(cron: str, names: str) -> None:
    assert named_weekdays(cron) == names


def test_every_second_weekday_is_cron_s() -> None:
    following = next_slot(job("extract", trigger="0 0 * * */2"), UTC)
    assert following is not None
    moment, days = datetime(2026, 3, 1, 12, tzinfo=UTC), []  # a Sunday
    for _ in range(4):
        moment = following(moment)
        days.append(f"{moment:%a}")
    assert days == ["Tue", "Thu", "Sat", "Sun"]


def test_sunday_is_a_sunday() -> None:
    (row,) = describe(checked([job("extract", trigger="0 0 * * 0")]), datetime(2026, 3, 3, tzinfo=UTC))
    assert row.next_at is not None
    assert row.next_at.strftime("%A") == "Sunday"
