"""A process that trains, writes models back and switches to them is killed, and killed again, while readers look.

What was being trained is in no graph and among no checkpoints, or whole; what was being written back disturbs nobody,
and whoever comes next completes it.
"""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from embeddings import registry, training
from embeddings.writeback import write_embeddings
from kg import localdb
from kg.errors import CheckpointError
from kg.store import GraphStore
from tests.embeddings.worlds import QUICK
from tests.faults.outcome import Played, Scene
from tests.faults.processes import context
from tests.faults.readers import reading, shape, told_apart, wrong_in_the_graph
from tests.faults.stream import PATIENCE_S, wait

HASTY: Final = replace(QUICK, epochs=2, evaluate_every=1, penalties=(10.0,))


def play(scene: Scene, seed: int) -> Played:
    """One run of two or three kills; in one of two the process trains too."""
    began = time.monotonic()
    rng = random.Random(seed)
    trains = seed % 2 == 0
    home = scene.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    answers = told_apart(scene.store)
    found: list[str] = []
    longest_s = 0.0
    kills = [rng.uniform(0, 2.5 if trains else 0.8) for _ in range(rng.randint(2, 3))]
    with reading(scene.store, answers) as readers:
        for after_s in kills:
            process, begun = _start(scene.connection, home, trains, None)
            assert begun.wait(PATIENCE_S)
            time.sleep(after_s)
            process.kill()
            process.join(PATIENCE_S)
            found += _damaged(home)
        ended = time.monotonic()
        before = _live(scene.store)
        process, _ = _start(scene.connection, home, trains, 2)
        wait(lambda: _live(scene.store) != before or not process.is_alive())
        longest_s = time.monotonic() - ended
        process.join(PATIENCE_S)
    if process.exitcode != 0:
        found.append(f"The process that went on ended with {process.exitcode}.")
    found += [*readers.wrong, *_damaged(home), *wrong_in_the_graph(scene.store, _latest(home))]
    said = f"{len(kills)} kills of one that {'trains and promotes' if trains else 'promotes'}"
    return Played("promotion", seed, said, found, longest_s, time.monotonic() - began)


def _live(store: GraphStore) -> str | None:
    live = registry.live(store)
    return None if live is None else live.version


def _latest(home: Path) -> int:
    """Number of the latest checkpoint; the first two models were there from the beginning."""
    return max((int(version[1:]) for version in registry.versions(home)), default=1)


def _damaged(home: Path) -> list[str]:
    """Checkpoints that can be seen and not be read."""
    wrong = []
    for folder in (home, home / "trained"):
        for version in registry.versions(folder):
            try:
                registry.load(folder, version)
            except CheckpointError as error:
                wrong.append(str(error))
    return wrong


def _start(
    connection: localdb.Connection, home: Path, trains: bool, promotions: int | None
) -> tuple[ForkServerProcess, Event]:
    begun = context.Event()
    process = context.Process(target=_promote, args=(connection, home, trains, promotions, begun), daemon=True)
    process.start()
    return process, begun


def _promote(connection: localdb.Connection, home: Path, trains: bool, promotions: int | None, begun: Event) -> None:
    """Complete what somebody left, then go on, for so many models or for ever."""
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        begun.set()
        number = _latest(home)
        done = 0
        while promotions is None or done < promotions:
            if number > 1 and _live(store) != f"m{number}":
                write_embeddings(store, registry.load(home, f"m{number}"))
                registry.promote(store, f"m{number}")
                done += 1
            if trains:
                training.train(store, home=home / "trained", seed=number, settings=HASTY)
            number += 1
            if promotions is None or done < promotions:
                registry.save(shape(number), home)
