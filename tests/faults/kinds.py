"""All kinds of fault: how each is played, and how often ``make faults`` does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.faults import broker_away, disk, network, posting, promotion, restart, rivals, world
from tests.faults.clock import draw_skews
from tests.faults.outcome import Played, Scene
from tests.faults.plan import plan
from tests.faults.stream import play_stream, stream_plan
from tests.faults.worker import World


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault."""

    play: Callable[[Scene, int], Played]
    runs: int
    """Seeds that ``make faults`` plays, from 0 on."""
    doc: str
    beside: bool = False
    """Whether several runs may share the graph."""


def scheduler(scene: Scene, seed: int, *, fenced: bool = True) -> Played:
    """Scheduler processes that are killed, frozen and stopped (:mod:`tests.faults.plan`)."""
    return _scheduler("scheduler", scene, seed, world.world_of(seed, scene.connection, fenced=fenced))


def _scheduler(kind: str, scene: Scene, seed: int, at: World) -> Played:
    began = time.monotonic()
    with world.known(scene.store, at) as known:
        report = world.play(scene.store, known, plan(seed))
    faults = " ".join(f"{fault.kind}@{fault.at:.1f}" for fault in report.plan.faults)
    said = f"{report.plan.processes} processes, {faults}: {report.runs} runs, {report.abandoned} abandoned"
    longest_s = max((report.recovery_s, *report.takeovers))
    return Played(kind, seed, said, report.violations, longest_s, time.monotonic() - began)


def takeover(scene: Scene, seed: int) -> Played:
    """The scheduler's own times, where the leader is killed: how long until another takes its place."""
    began = time.monotonic()
    at, killed = world.in_the_shop(seed, scene.connection)
    with world.known(scene.store, at) as known:
        report = world.play(scene.store, known, killed)
    taken = ", ".join(f"{seconds:.1f} s" for seconds in report.takeovers)
    found = [*report.violations] + ([] if report.takeovers else ["Nobody took the place of the one that was killed."])
    longest_s = max((report.recovery_s, *report.takeovers))
    said = f"a leader with a scheduler's usual times, replaced after {taken}"
    return Played("takeover", seed, said, found, longest_s, time.monotonic() - began)


def stream(scene: Scene, seed: int) -> Played:
    """Followers of streams that are killed (:mod:`tests.faults.stream`)."""
    report = play_stream(scene.store, scene.connection, stream_plan(seed), scene.folder)
    said = f"{len(report.plan.cuts)} kills of a follower of {report.plan.kind}, {report.refused} refused"
    return Played("stream", seed, said, list(report.differences), report.recovery_s, report.seconds)


def clock(scene: Scene, seed: int) -> Played:
    """Processes whose clocks disagree: schedulers, or followers of a stream that are killed besides."""
    skews = draw_skews(random.Random(seed))
    ahead = ", ".join(f"{skew.total_seconds():+.0f} s" for skew in skews)
    if seed % 2 == 0:
        played = _scheduler("clock", scene, seed, world.world_of(seed, scene.connection, skews=skews))
        return replace(played, said=f"clocks {ahead}: {played.said}")
    # Clocks that are ahead come first, and no later piece touches what one that was killed has left marked: it is to be
    # found by one whose clock says that it has not come yet.
    short = stream_plan(seed, kills=3, kind="events", events=12)
    short = replace(short, cuts=(*short.cuts[:-1], (1.0, short.cuts[-1][1] / 2)))
    first, second, last = sorted(skews, reverse=True)
    report = play_stream(scene.store, scene.connection, short, scene.folder, (first, second, first, last))
    said = f"clocks {ahead}: {len(report.plan.cuts)} kills of a follower"
    return Played("clock", seed, said, list(report.differences), report.recovery_s, report.seconds)


KINDS: Final = {
    "scheduler": Kind(scheduler, 200, "five scheduler processes killed, frozen and stopped", beside=True),
    "takeover": Kind(takeover, 4, "the leader of five killed, with a scheduler's usual times"),
    "stream": Kind(stream, 40, "followers of streams killed, five times in a run"),
    "post": Kind(posting.play, 20, "an endpoint for posted records killed, while a client sends again"),
    "network": Kind(network.play, 60, "the network cut, mostly at a commit"),
    "promotion": Kind(promotion.play, 60, "training and promotion killed, while readers look"),
    "rivals": Kind(
        rivals.play, 20, "two processes that write models back at once, killed and frozen, while readers look"
    ),
    "disk": Kind(disk.play, 45, "the disk full for checkpoints and rejects"),
    "clock": Kind(clock, 20, "processes whose clocks disagree"),
    "restart": Kind(restart.play, 48, "Neo4j killed, stopped, or its disk full, under load"),
    "broker": Kind(broker_away.play, 8, "the broker of a stream killed or frozen"),
}
