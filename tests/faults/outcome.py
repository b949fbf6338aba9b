"""What came of one seeded run of whatever kind, and where it is played."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kg import localdb
from kg.store import GraphStore

RECOVERY_S = 30.0
"""Longest time from the end of a fault until the work goes on."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A Neo4j that runs share, one after another, and a folder."""

    store: GraphStore
    connection: localdb.Connection
    folder: Path

    @property
    def port(self) -> int:
        return int(self.connection.uri.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run."""

    kind: str
    seed: int
    said: str
    """What was done."""
    violations: tuple[str, ...]
    recovery_s: float
    """Longest time from the end of a fault until the work went on."""
    seconds: float


def judged(kind: str, seed: int, said: str, found: list[str], recovery_s: float, seconds: float) -> Played:
    """A run, and that it took too long to recover is wrong too."""
    if recovery_s > RECOVERY_S:
        found = [*found, f"It took {recovery_s:.1f} s until the work went on."]
    return Played(kind, seed, said, tuple(found), recovery_s, seconds)
