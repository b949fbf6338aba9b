"""What came of one seeded run of whatever kind, and where it is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kg import localdb
from kg.migrations import migrate
from kg.store import GraphStore

RECOVERY_S = 30.0
"""Longest time from the end of a fault until the work goes on."""


@dataclass
class Scene:
    """A Neo4j that runs share, one after another, and a folder."""

    home: Path
    """Whose Neo4j it is."""
    store: GraphStore
    connection: localdb.Connection
    settings: Mapping[str, str]
    """What Neo4j is started with beside its usual settings."""

    @property
    def folder(self) -> Path:
        """For the files of a run."""
        return self.home / "faults"

    @property
    def port(self) -> int:
        return int(self.connection.uri.rpartition(":")[2])

    def start(self) -> localdb.Connection:
        """Start Neo4j again."""
        self.connection = localdb.start(self.home, heap_mb=512, page_cache_mb=128, settings=self.settings)
        return self.connection


@contextmanager
def scene_at(home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Scene]:
    """A Neo4j of this home that runs until the end of ``with``."""
    connection = localdb.start(home, heap_mb=512, page_cache_mb=128, settings=settings)
    try:
        with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
            migrate(store)
            yield Scene(home, store, connection, settings)
    finally:
        localdb.stop(home)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run."""

    kind: str
    seed: int
    said: str
    """What was done."""
    violations: Sequence[str]
    """What is wrong in the graph, or was in what readers were told."""
    recovery_s: float
    """Longest time from the end of a fault until the work went on."""
    seconds: float

    @property
    def complaints(self) -> list[str]:
        """The violations, and that it took too long to recover: which on a busy machine it does without a fault."""
        late = [f"It took {self.recovery_s:.1f} s until the work went on."] if self.recovery_s > RECOVERY_S else []
        return [*self.violations, *late]
