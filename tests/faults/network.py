"""The network between kg and Neo4j is cut, mostly while a commit is under way: by a proxy, in whose place a seed sits.

Half the runs write models back and switch to them, each again whenever it fails, while readers look
(:mod:`tests.faults.readers`). The others follow a stream, and must end with the whole graph of a clean load, or are of
two schedulers, whose record must show every slot succeeded exactly once.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from embeddings import registry
from embeddings.writeback import write_embeddings
from kg import streams
from kg.app.follow import Source, follow
from kg.errors import KGError
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.following import following
from tests.faults import world
from tests.faults.outcome import Played, Scene
from tests.faults.plan import Plan
from tests.faults.proxy import Proxy, draw_cuts
from tests.faults.readers import reading, shape, told_apart, wrong_in_the_graph
from tests.faults.stream import from_clean, plain, rejects_of, shop_with_model, stream_plan, wait

T = TypeVar("T")
RETRY_S: Final = 3.0
"""How long the driver tries again by itself."""
EVENTS: Final = 60
"""In each of two files: some ten pieces."""


def play(scene: Scene, seed: int) -> Played:
    """One run."""
    load = _promotions if seed % 2 else (_schedulers if seed % 4 == 0 else _stream)
    return load(scene, random.Random(seed), seed)


def _stream(scene: Scene, rng: random.Random, seed: int) -> Played:
    began = time.monotonic()
    folder, files, source = grown(scene.folder, seed)
    shop_with_model(scene.store)
    settings = Settings.load({"KG_HOME": str(folder / "home"), "KG_BATCH_SIZE": "25"})
    cuts = draw_cuts(rng, 12)
    with Proxy(scene.port, cuts) as proxy, through(scene, proxy) as store, following(follow, store, settings, source):
        wait(lambda: is_whole(scene.store, files, source) and streams.count_waiting(scene.store) == 0)
        wait(lambda: proxy.left > 0 or proxy.recovered_at is not None)
        left, recovery_s = proxy.left, proxy.recovery_s
    streamed, refused = plain(scene.store), rejects_of(source.rejects)
    found = from_clean(scene.store, source.kind, files, folder / "clean", streamed, refused)
    if left:
        found.append(f"{left} of {len(cuts)} cuts were not made.")
    said = "a stream, " + ", ".join(f"{cut.how} at {cut.at}" for cut in cuts)
    return Played("network", seed, said, found, recovery_s, time.monotonic() - began)


def _schedulers(scene: Scene, rng: random.Random, seed: int) -> Played:
    began = time.monotonic()
    cuts = draw_cuts(rng, 40)
    with Proxy(scene.port, cuts) as proxy:
        at = replace(world.world_of(seed, scene.connection), uri=proxy.uri)
        all_made = world.Act(0.0, lambda: world.wait(lambda: proxy.left == 0))
        with world.known(scene.store, at) as known:
            report = world.play(scene.store, known, Plan(seed, 2, 0.0, ()), besides=[all_made], may_fail=True)
        left, recovery_s = proxy.left, max(proxy.recovery_s, *report.takeovers, report.recovery_s)
    found = list(report.violations)
    if left:
        found.append(f"{left} of {len(cuts)} cuts were not made.")
    said = f"schedulers, {report.runs} runs, " + ", ".join(f"{cut.how} at {cut.at}" for cut in cuts)
    return Played("network", seed, said, found, recovery_s, time.monotonic() - began)


def _promotions(scene: Scene, rng: random.Random, seed: int) -> Played:
    began = time.monotonic()
    answers = told_apart(scene.store)
    cuts = draw_cuts(rng, 20)
    with (
        Proxy(scene.port, cuts) as proxy,
        through(scene, proxy) as store,
        reading(scene.store, answers) as readers,
    ):
        number = 1
        while proxy.left or number < 4 or proxy.recovered_at is None:
            number += 1
            again(lambda number=number: write_embeddings(store, shape(number)))
            again(lambda number=number: registry.promote(store, f"m{number}"))
        recovery_s = proxy.recovery_s
    found = [*readers.wrong, *wrong_in_the_graph(scene.store, number)]
    said = f"{number - 1} promotions, " + ", ".join(f"{cut.how} at {cut.at}" for cut in cuts)
    return Played("network", seed, said, found, recovery_s, time.monotonic() - began)


def through(scene: Scene, proxy: Proxy) -> GraphStore:
    """A connection by way of the proxy."""
    known = scene.connection
    return again(lambda: GraphStore.connect(proxy.uri, known.username, known.password, retry_s=RETRY_S))


def again(command: Callable[[], T], patience_s: float = 120.0) -> T:
    """Run a command again until it ends well, as its message says."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return command()
        except KGError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def grown(folder: Path, seed: int) -> tuple[Path, list[Path], Source]:
    """Two files of events in a fresh folder, and a source whose lease runs out soon."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "stream").mkdir(parents=True)
    files = []
    for number, whole in enumerate(stream_plan(seed, kind="events", events=EVENTS).files):
        files.append(folder / "stream" / f"{number}.jsonl")
        files[-1].write_bytes(whole)
    ttl = timedelta(seconds=0.5)
    return folder, files, Source("events", folder / "stream", folder / "rejects.jsonl", poll_s=0.01, ttl=ttl)


def is_whole(store: GraphStore, files: list[Path], source: Source) -> bool:
    """Whether all has been read."""
    places = streams.places(store, [source.source_of(file) for file in files])
    return all(places[source.source_of(file)].bytes == file.stat().st_size for file in files)
