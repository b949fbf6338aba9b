"""The disk is full: for the checkpoint of a training, for the rejects of a stream.

What is real and needs no rights is a limit on the size of files (``RLIMIT_FSIZE``): a write beyond it fails as on
a full disk, with what fitted before it written. A seed says how much fits. Neo4j's own disk is filled in
:mod:`tests.faults.restart`, since a database whose log cannot be written must be started again.
"""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

from embeddings import registry
from kg import runs, streams
from kg.errors import CheckpointError
from tests.faults.network import EVENTS, grown, is_whole
from tests.faults.outcome import Played, Scene
from tests.faults.processes import context
from tests.faults.readers import shape
from tests.faults.stream import PATIENCE_S, from_clean, plain, rejects_of, shop_with_model, start, wait


def play(scene: Scene, seed: int) -> Played:
    """One run."""
    return (_rejects if seed % 3 == 0 else _checkpoint)(scene, random.Random(seed), seed)


def limit(pid: int, most_bytes: int) -> None:
    """No file of this process may grow beyond so many bytes, until this is called with another number."""
    process = psutil.Process(pid)
    hard = process.rlimit(resource.RLIMIT_FSIZE)[1]
    process.rlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))


def _checkpoint(scene: Scene, rng: random.Random, seed: int) -> Played:
    """A full disk leaves no checkpoint, whole or in part; with room there is one, and it can be read."""
    began = time.monotonic()
    home = scene.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    registry.save(shape(0), home)
    whole = max(file.stat().st_size for file in (registry.folder(home) / "m0").iterdir())
    found = []
    fits = rng.randrange(whole)
    process, ended = _saving(home, fits)
    if process.exitcode != 0:
        found.append(f"The process that saved ended with {process.exitcode}.")
    if registry.versions(home) != ("m0",):
        found.append(f"There are checkpoints {registry.versions(home)}, m1 of which the disk had no room for.")
    left = [path.name for path in registry.folder(home).iterdir() if path.name.startswith(".")]
    if left:
        found.append(f"{left} takes room on the disk that is full.")
    registry.save(shape(1), home)
    if registry.load(home).version != "m1":
        found.append("With room there is no checkpoint.")
    now = time.monotonic()
    return Played("disk", seed, f"a checkpoint, {fits} of {whole} bytes fit", found, now - ended, now - began)


def _saving(home: Path, fits: int) -> tuple[ForkServerProcess, float]:
    process = context.Process(target=_save, args=(home, fits), daemon=True)
    process.start()
    process.join(PATIENCE_S)
    return process, time.monotonic()


def _save(home: Path, fits: int) -> None:
    """Ends well where the full disk is said as it should be."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (fits, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        registry.save(shape(1), home)
    except CheckpointError as error:
        if "Free space" in str(error):
            return
    raise AssertionError("It was saved where there is no room, or the error does not say what to do.")


def _rejects(scene: Scene, rng: random.Random, seed: int) -> Played:
    """A follower whose rejects find no room waits, and goes on when there is some."""
    began = time.monotonic()
    folder, files, source = grown(scene.folder, seed)
    # One record of each file is bad for certain.
    for file in files:
        file.write_bytes(file.read_bytes() + b"broken\n")
    shop_with_model(scene.store)
    fits, full_s = rng.randrange(100), rng.uniform(0.5, 1.5)
    process = start(scene.connection, folder / "home", source, fits=fits)
    assert process.pid is not None
    # Whoever found no room gives the lease back, and takes it again a second later.
    wait(lambda: runs.look(scene.store, (source.name,)).standings[source.name].token > 1)
    time.sleep(full_s)
    torn = _last_part(source.rejects)
    if torn:  # it may be trying just now
        time.sleep(0.1)
        torn = _last_part(source.rejects)
    alive = process.is_alive()
    before = is_whole(scene.store, files, source)
    if alive:
        limit(process.pid, -1)
    ended = time.monotonic()
    if alive:
        wait(lambda: is_whole(scene.store, files, source) and streams.count_waiting(scene.store) == 0)
    recovery_s = time.monotonic() - ended
    process.kill()
    process.join(PATIENCE_S)
    found = [] if alive else ["The follower died of it."]
    if torn:
        found.append(f"A reject was left in part: {torn!r}.")
    if before:
        found.append("All was loaded, though the rejects of it had no room.")
    if alive:
        streamed, refused = plain(scene.store), rejects_of(source.rejects)
        found += from_clean(scene.store, source.kind, files, folder / "clean", streamed, refused)
    said = f"rejects of {2 * EVENTS} events, {fits} bytes fit"
    return Played("disk", seed, said, found, recovery_s, time.monotonic() - began)


def _last_part(file: Path) -> bytes:
    """What follows the last whole line."""
    return file.read_bytes().rpartition(b"\n")[2]
