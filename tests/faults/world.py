"""One run: scheduler processes on a graph, a plan of faults, and the record that must be whole in the end."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from typing import Any

from kg import leases, localdb, runs
from kg.scheduler import TICK, TTL
from kg.store import GraphStore
from kg.timetable import next_slot
from tests.faults.plan import LEADER, PROCESSES, Fault, Kind, Plan
from tests.faults.processes import context
from tests.faults.record import Mark, Span, takeovers, violations
from tests.faults.worker import World, serve

PATIENCE_S = 300
"""Longest wait for the record to become whole after the last fault: a busy machine has much to catch up with."""
RECOVERY_S = 30
"""Within this time somebody must be at work again after the last fault, and a lost run be begun again."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run."""

    plan: Plan
    violations: tuple[str, ...]
    runs: int
    abandoned: int
    recovery_s: float
    """From the end of the faults until a run began."""
    whole_s: float
    """From then until every slot up to then had been run."""
    takeovers: tuple[float, ...]


def world_of(seed: int, connection: localdb.Connection, **changes: Any) -> World:
    """A world in which a lease lives for a second and a job takes a tenth of one."""
    usual: dict[str, Any] = {
        "interval": timedelta(seconds=0.4),
        "ttl": timedelta(seconds=1),
        "tick": timedelta(seconds=0.15),
        "work_s": 0.1,
    }
    # The name is of this attempt at the seed: replayed on a graph that has seen it, it begins anew.
    name = f"seed {seed} {time.time_ns():x}"
    return World(connection.uri, connection.username, connection.password, name, **(usual | changes))


def in_the_shop(seed: int, connection: localdb.Connection) -> tuple[World, Plan]:
    """The scheduler's own times, five processes, and the leader killed, so that it is seen who takes its place when."""
    world = world_of(seed, connection, interval=timedelta(seconds=5), ttl=TTL, tick=TICK, work_s=1.5)
    at = random.Random(seed).uniform(4.0, 7.0)
    return world, Plan(seed, PROCESSES, 10.0, (Fault(at, Kind.KILL, LEADER, 0, 4.0),))


def play(store: GraphStore, world: World, plan: Plan, *, besides: Sequence[Act] = (), may_fail: bool = False) -> Report:
    """Let the plan happen, wait until all that was due is done, stop everybody and look at the record.

    Args:
        besides: what else is done, and when.
        may_fail: see :func:`~tests.faults.record.violations`.
    """
    following = next_slot(world.jobs(store)[0], UTC)
    assert following is not None
    with _Crew(world, plan.processes) as crew:
        crew.begin(store)
        wait(lambda: _look(store, world).standings[world.beat].token > 0)
        began = time.monotonic()
        for act in sorted((*_acts(store, world, plan, crew), *besides), key=lambda act: act.at):
            time.sleep(max(act.at - (time.monotonic() - began), 0))
            act.do()
        ended = _look(store, world).now
        whole_s = _wait_until_whole(store, world, ended)
        _stop(store, world)
    found = runs.history(store, limit=100_000, job=world.beat)
    first = following(_known_since(store, world))
    followed = _look(store, world).progress[world.follow].done
    span = Span(first, ended - world.interval, world.interval)
    wrong = list(violations(found, _marks(store, world), span, followed, may_fail=may_fail))
    recovery_s = min(((run.at - ended).total_seconds() for run in found if run.at > ended), default=math.inf)
    if recovery_s > RECOVERY_S:
        wrong.append(f"It took {recovery_s:.1f} s until anybody was at work again.")
    taken = takeovers(found)
    wrong.extend(f"A run that was lost was begun again after {s:.1f} s." for s in taken if s > RECOVERY_S)
    return Report(plan, tuple(wrong), len(found), len(taken), recovery_s, whole_s, tuple(taken))


# --- processes and what is done to them -----------------------------------------------------------------------


class _Crew:
    """The scheduler processes of a run, each in its place."""

    def __init__(self, world: World, size: int) -> None:
        self._world = world
        self._gate = context.Barrier(size + 1)
        self._places: list[ForkServerProcess] = [self._start(place, self._gate) for place in range(size)]
        self._former: list[ForkServerProcess] = []

    def _start(self, place: int, gate: Barrier | None = None) -> ForkServerProcess:
        process = context.Process(target=serve, args=(self._world, place, gate), daemon=True)
        process.start()
        return process

    def begin(self, store: GraphStore) -> None:
        """When all are there, the jobs are known and they go to work: each slot that passed before would have to be
        caught up with."""
        wait(lambda: self._gate.n_waiting == len(self._places))
        leases.create(store, (self._world.beat, self._world.follow))
        self._gate.wait(PATIENCE_S)

    def pid(self, place: int) -> int:
        pid = self._places[place].pid
        assert pid is not None
        return pid

    def place_of(self, pid: int) -> int | None:
        return next((place for place, process in enumerate(self._places) if process.pid == pid), None)

    def send(self, place: int, number: signal.Signals) -> None:
        # One that was killed a moment ago may still be taken for alive.
        with suppress(ProcessLookupError):
            if self._places[place].is_alive():
                os.kill(self.pid(place), number)

    def replace(self, place: int) -> None:
        """Start another in the place of one that was killed, or asked to go and perhaps is still at work."""
        self._former.append(self._places[place])
        self._places[place] = self._start(place)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._places, *self._former):
            process.kill()
            process.join(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done."""

    at: float
    """Seconds after the first run has begun."""
    do: Callable[[], None]


def _acts(store: GraphStore, world: World, plan: Plan, crew: _Crew) -> list[Act]:
    """The plan as what is done when; whom a fault meets is found out when it happens."""
    acts: list[Act] = []
    met: dict[Fault, int] = {}

    def strike(fault: Fault) -> None:
        leader = None
        if fault.victim == LEADER:  # nobody may be at work just now: then who begins next
            wait(lambda: _leader(store, world, crew) is not None, 2 * world.interval.total_seconds())
            leader = _leader(store, world, crew)
        met[fault] = place = fault.place if leader is None else leader
        number = {Kind.KILL: signal.SIGKILL, Kind.FREEZE: signal.SIGSTOP, Kind.LEAVE: signal.SIGTERM}[fault.kind]
        crew.send(place, number)

    def mend(fault: Fault) -> None:
        if fault.kind is Kind.FREEZE:
            crew.send(met[fault], signal.SIGCONT)
        else:
            # One that was asked to go while it is frozen goes when it wakes.
            crew.send(met[fault], signal.SIGCONT)
            crew.replace(met[fault])

    for fault in plan.faults:
        acts.append(Act(fault.at, lambda fault=fault: strike(fault)))
        acts.append(Act(min(fault.at + fault.seconds, plan.seconds + 1), lambda fault=fault: mend(fault)))
    acts.append(Act(plan.seconds, lambda: None))
    return sorted(acts, key=lambda act: act.at)


def _leader(store: GraphStore, world: World, crew: _Crew) -> int | None:
    rows = store.read(
        "MATCH (l:Lease)\nWHERE l.name IN $names\nMATCH (run:JobRun {id: l.holder})\nRETURN run.process AS process",
        names=[world.beat, world.follow],
    )
    return crew.place_of(int(rows[0]["process"].rpartition("/")[2])) if rows else None


# --- the record -----------------------------------------------------------------------------------------------


def _wait_until_whole(store: GraphStore, world: World, ended: datetime) -> float:
    """Wait until each slot up to then has been run, the chain has followed, and a run has begun since, which shows that
    somebody is at work; how many seconds that took."""
    began = time.monotonic()
    until = ended - world.interval

    def whole() -> bool:
        progress = _look(store, world).progress
        return all(
            (p := progress[job]).done is not None and p.done >= until for job in (world.beat, world.follow)
        ) and any(run.at > ended for run in runs.history(store, limit=1, job=world.beat))

    wait(whole)
    return time.monotonic() - began


def _stop(store: GraphStore, world: World) -> None:
    """Pause both jobs when nothing is at work; a run that came to nothing just then is still tried again before."""

    def latest() -> runs.Outcome | None:
        return next((run.outcome for run in runs.history(store, limit=1, job=world.beat)), None)

    for _ in range(5):
        for job in (world.beat, world.follow):
            runs.pause(store, job, True)
        wait(lambda: all(s.holder is None for s in _look(store, world).standings.values()))
        if latest() not in (runs.Outcome.ABANDONED, runs.Outcome.FAILED):
            return
        for job in (world.beat, world.follow):
            runs.pause(store, job, False)
        wait(lambda: latest() is runs.Outcome.SUCCEEDED)


def wait(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Until it holds, or the time is up."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def _look(store: GraphStore, world: World) -> runs.Look:
    return runs.look(store, (world.beat, world.follow))


def _known_since(store: GraphStore, world: World) -> datetime:
    rows = store.read("MATCH (l:Lease {name: $name}) RETURN l.since AS since", name=world.beat)
    since: datetime = rows[0]["since"].to_native()
    return since


def _marks(store: GraphStore, world: World) -> list[Mark]:
    rows = store.read(
        "MATCH (m:FaultMark {job: $job})\n"
        "RETURN m.call AS call, m.process AS process, m.holder AS holder, m.token AS token",
        job=world.beat,
    )
    return [Mark(**row) for row in rows]


@contextmanager
def known(store: GraphStore, world: World) -> Iterator[World]:
    """What stands in the graph of this world is forgotten in the end."""
    try:
        yield world
    finally:
        store.write(
            "MATCH (n:Lease|JobRun|FaultMark)\nWHERE coalesce(n.name, n.job) IN $names\nDETACH DELETE n",
            names=[world.beat, world.follow],
        )
