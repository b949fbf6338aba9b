"""Two processes write models back at once into one graph, and are killed and frozen, while readers look.

There is one slot that nobody reads, so each takes it from the other again and again. What is switched to must be of one
model all the same, also where a process that was frozen in the midst of its writing goes on when the slot has long been
another's.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any, Final

from embeddings import registry
from embeddings.writeback import write_embeddings
from kg import localdb
from kg.errors import EmbeddingError
from kg.store import GraphStore
from tests.faults.outcome import Played, Scene
from tests.faults.processes import context
from tests.faults.readers import reading, shape, told_apart, wrong_in_the_graph
from tests.faults.stream import PATIENCE_S, wait

MODELS: Final = 10_000
"""Numbers of models that each process has to itself."""


@dataclass
class Rival:
    """A process, and what it has counted: in memory that nobody locks, since who is killed would keep the lock."""

    process: ForkServerProcess
    switched: Any
    """How many of its models became live."""
    taken: Any
    """How often the other took the slot, before the end or before the switch."""

    @classmethod
    def start(cls, connection: localdb.Connection, number: int) -> Rival:
        switched, taken = context.RawValue("i", 0), context.RawValue("i", 0)
        process = context.Process(target=_write_on, args=(connection, number, switched, taken), daemon=True)
        process.start()
        return cls(process, switched, taken)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE_S)

    def freeze(self, seconds: float) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.process.pid, signal.SIGCONT)


def play(scene: Scene, seed: int) -> Played:
    """One run of three to five faults, each of either process; then one model is written by nobody's rival."""
    began = time.monotonic()
    rng = random.Random(seed)
    answers = told_apart(scene.store)
    found: list[str] = []
    longest_s = 0.0
    started: list[Rival] = []

    def start() -> Rival:
        # Of either shape by turns, so that what is left of another's model shows.
        started.append(Rival.start(scene.connection, MODELS * (len(started) + 1) + len(started) % 2))
        return started[-1]

    def count(what: str) -> int:
        return sum(getattr(one, what).value for one in started)

    rivals = [start(), start()]
    kills = freezes = 0

    def alive() -> bool:
        return all(one.process.is_alive() for one in rivals)

    with reading(scene.store, answers) as readers:
        try:
            # Before they have met, nothing is shown.
            wait(lambda: count("taken") > 0 or not alive())
            for _ in range(rng.randint(3, 5)):
                time.sleep(rng.uniform(0, 0.8))
                hit = rng.randrange(2)
                if rng.random() < 0.5:
                    rivals[hit].kill()
                    rivals[hit] = start()
                    kills += 1
                else:
                    rivals[hit].freeze(rng.uniform(0.2, 1.5))
                    freezes += 1
                ended, before = time.monotonic(), count("switched")
                wait(lambda before=before: count("switched") > before or not alive())  # type: ignore[misc]
                longest_s = max(longest_s, time.monotonic() - ended)
        finally:
            ended_by_itself = [one.process.exitcode for one in rivals if not one.process.is_alive()]
            for one in rivals:
                one.kill()
        number = MODELS * (len(started) + 1)
        write_embeddings(scene.store, shape(number))
        registry.promote(scene.store, f"m{number}")
    found += [f"A process ended by itself, with {code}." for code in ended_by_itself]
    found += [*readers.wrong, *wrong_in_the_graph(scene.store, number)]
    told = f"{count('switched')} switches, {count('taken')} slots taken"
    said = f"two that write back, {kills} kills, {freezes} freezes: {told}"
    return Played("rivals", seed, said, found, longest_s, time.monotonic() - began)


def _write_on(connection: localdb.Connection, number: int, switched: Any, taken: Any) -> None:
    """Write back and switch for ever, from this number on every second one."""
    rng, losses = random.Random(number), 0
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        while True:
            number += 2
            try:
                write_embeddings(store, shape(number))
                registry.promote(store, f"m{number}")
            except EmbeddingError:
                taken.value += 1
                # Whoever comes takes the slot: two that came back at once would never end. As a job does, each waits
                # the longer the oftener it lost, until there is time for the other to end on a slow machine.
                losses += 1
                time.sleep(rng.uniform(0, min(0.5 * 2**losses, 16.0)))
            else:
                switched.value += 1
                losses = 0
