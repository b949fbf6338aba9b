"""What goes wrong in one run, drawn from its seed: which scheduler processes are killed, frozen or stopped, and when.

A seed fixes the plan, not what the operating system makes of it: replaying a seed does the same to the same processes
at the same moments, and nearly always meets the same trouble.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ANYBODY: Final = "anybody"
LEADER: Final = "leader"
PROCESSES: Final = 5
"""On one graph."""


class Kind(StrEnum):
    """What is done to a process."""

    KILL = "kill"
    """SIGKILL; another process is started in its place after a while."""
    FREEZE = "freeze"
    """SIGSTOP, and SIGCONT after a while, by which its lease has expired or not."""
    LEAVE = "leave"
    """SIGTERM: it ends what it does and goes; another is started in its place after a while."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the first run has begun."""
    kind: Kind
    victim: str
    """``leader``: the process that runs a job just then; else the process of this ``place``."""
    place: int
    seconds: float
    """How long it is frozen, or until another takes its place."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    processes: int
    seconds: float
    """How long faults go on; after that all wake up and the record must become whole."""
    faults: tuple[Fault, ...]


def plan(seed: int) -> Plan:
    """Draw a run: five processes and, in three seconds, three to seven faults, most of them to the leader."""
    rng = random.Random(seed)
    processes, seconds = PROCESSES, 3.0
    faults = [
        Fault(
            at=rng.uniform(0.2, seconds),
            kind=rng.choices((Kind.KILL, Kind.FREEZE, Kind.LEAVE), (5, 5, 1))[0],
            victim=rng.choices((LEADER, ANYBODY), (3, 1))[0],
            place=rng.randrange(processes),
            seconds=rng.uniform(0.1, 2.0),
        )
        for _ in range(rng.randint(3, 7))
    ]
    return Plan(seed, processes, seconds, tuple(sorted(faults, key=lambda fault: fault.at)))
