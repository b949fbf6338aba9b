"""Neo4j is killed, stopped, or finds its disk full, under load; then it is started again.

The load is a follower of a stream or two schedulers, which go on by themselves, or models that are written back and
switched to, each again whenever it fails, while readers look.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from embeddings import registry
from embeddings.writeback import write_embeddings
from kg import localdb, streams
from kg.app.follow import follow
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.following import following
from tests.faults import world
from tests.faults.disk import limit
from tests.faults.network import again, grown, is_whole
from tests.faults.outcome import Played, Scene
from tests.faults.plan import Plan
from tests.faults.readers import reading, shape, told_apart, wrong_in_the_graph
from tests.faults.stream import from_clean, plain, rejects_of, shop_with_model, wait

Fault = Callable[[Scene], None]
PROMOTIONS: Final = 4


def play(scene: Scene, seed: int) -> Played:
    """One run; of four one finds the disk full, of these every second in write-back; of the others half are killed."""
    rng = random.Random(seed)
    if seed % 4 == 3:
        load = (_promotions, _stream, _promotions, _schedulers)[seed // 4 % 4]
        return load(scene, rng, seed, "disk full", _fill)
    how, fault = rng.choice((("killed", _kill), ("stopped", _stop)))
    return (_stream, _promotions, _schedulers)[seed % 3](scene, rng, seed, how, fault)


def _kill(scene: Scene) -> None:
    os.kill(scene.connection.pid, signal.SIGKILL)


def _stop(scene: Scene) -> None:
    localdb.stop(scene.home)


def _fill(scene: Scene) -> None:
    """No file of the server may grow for a while; that it then cannot go on by itself is Neo4j's way: it is killed."""
    limit(scene.connection.pid, 4096)
    time.sleep(1.0)
    _kill(scene)


def _struck(scene: Scene, fault: Fault, after_s: float) -> tuple[localdb.Connection, float]:
    """Strike, start again; how Neo4j is reached then, and since when."""
    time.sleep(after_s)
    fault(scene)
    while localdb.status(scene.home).running:
        time.sleep(0.05)
    connection = scene.start()
    return connection, time.monotonic()


def _stream(scene: Scene, rng: random.Random, seed: int, how: str, fault: Fault) -> Played:
    began = time.monotonic()
    folder, files, source = grown(scene.folder, seed)
    shop_with_model(scene.store)
    settings = Settings.load({"KG_HOME": str(folder / "home"), "KG_BATCH_SIZE": "10"})
    after_s = rng.uniform(0, 0.5)

    def read() -> int:
        return sum(p.bytes for p in streams.places(scene.store, [source.source_of(f) for f in files]).values())

    with _own_store(scene) as store, following(follow, store, settings, source):
        wait(lambda: read() > 0)
        connection, ended = _struck(scene, fault, after_s)
        assert connection.uri == scene.connection.uri
        before = read()
        wait(lambda: read() > before or is_whole(scene.store, files, source))
        recovery_s = time.monotonic() - ended
        wait(lambda: is_whole(scene.store, files, source) and streams.count_waiting(scene.store) == 0)
    streamed, refused = plain(scene.store), rejects_of(source.rejects)
    found = from_clean(scene.store, source.kind, files, folder / "clean", streamed, refused)
    return Played("restart", seed, f"a stream, Neo4j {how}", found, recovery_s, time.monotonic() - began)


def _schedulers(scene: Scene, rng: random.Random, seed: int, how: str, fault: Fault) -> Played:
    began = time.monotonic()
    # A server that has just started plans each query anew, which takes seconds: a lease must live longer than that.
    at = world.world_of(seed, scene.connection, interval=timedelta(seconds=2), ttl=timedelta(seconds=6), work_s=0.3)

    def strike() -> None:
        connection, _ = _struck(scene, fault, 0.0)
        assert connection.uri == at.uri

    with world.known(scene.store, at) as known:
        act = world.Act(rng.uniform(0, 2.5), strike)
        report = world.play(scene.store, known, Plan(seed, 2, 0.0, ()), besides=[act], may_fail=True)
    said = f"schedulers, {report.runs} runs, Neo4j {how}"
    return Played("restart", seed, said, list(report.violations), report.recovery_s, time.monotonic() - began)


def _promotions(scene: Scene, rng: random.Random, seed: int, how: str, fault: Fault) -> Played:
    began = time.monotonic()
    answers = told_apart(scene.store)
    promoted = threading.Event()

    def promote(store: GraphStore) -> None:
        for number in range(2, 2 + PROMOTIONS):
            again(lambda number=number: write_embeddings(store, shape(number)))
            again(lambda number=number: registry.promote(store, f"m{number}"))
            promoted.set()

    with _own_store(scene) as store, reading(scene.store, answers) as readers, ThreadPoolExecutor(1) as beside:
        work = beside.submit(promote, store)
        promoted.wait(120)
        _, ended = _struck(scene, fault, rng.uniform(0, 0.7))
        wait(lambda: readers.answered_at > ended)
        recovery_s = readers.answered_at - ended
        work.result()
        again(lambda: write_embeddings(store, shape(2 + PROMOTIONS)))
        again(lambda: registry.promote(store, f"m{2 + PROMOTIONS}"))
    found = [*readers.wrong, *wrong_in_the_graph(scene.store, 2 + PROMOTIONS)]
    return Played("restart", seed, f"promotions, Neo4j {how}", found, recovery_s, time.monotonic() - began)


def _own_store(scene: Scene) -> GraphStore:
    """A connection of the load's own."""
    known = scene.connection
    return GraphStore.connect(known.uri, known.username, known.password)
