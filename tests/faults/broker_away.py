"""The broker of a stream is killed, or answers nobody for a while, and comes back."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from kg import streams
from kg.app.kafka import Topic, follow_topic
from kg.settings import Settings
from tests.app.following import following
from tests.broker import PATIENCE_S, Broker, broker
from tests.faults.network import EVENTS
from tests.faults.outcome import Played, Scene
from tests.faults.stream import different, from_clean, plain, rejects_of, shop_with_model, stream_plan, wait


def play(scene: Scene, seed: int) -> Played:
    """One run, with a broker of its own; half of them see it killed."""
    began = time.monotonic()
    rng = random.Random(seed)
    folder = scene.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Two files may hold the same event without a time; two messages are two.
    plan = stream_plan(seed, kind="events", events=EVENTS)
    files = [[line for line in file.splitlines() if b'"at"' in line or line == b"broken"] for file in plan.files]
    settings = Settings.load({"KG_HOME": str(folder / "home"), "KG_BATCH_SIZE": "10"})
    killed = rng.random() < 0.5
    shop_with_model(scene.store)
    with broker(folder / "kafka") as running:
        topic = Topic("events", running.address, "events", folder / "rejects.jsonl", poll_s=0.05)
        topic = replace(topic, ttl=timedelta(seconds=1))
        _make(running, topic)
        shares = sorted(rng.random() for _ in range(2))
        _send(topic, [values[: int(len(values) * shares[0])] for values in files])

        def read() -> int:
            return sum(p.bytes for p in streams.places(scene.store, [topic.source(n) for n in range(2)]).values())

        with following(follow_topic, scene.store, settings, topic):
            time.sleep(rng.uniform(0, 1.0))
            with _away(running, killed):
                time.sleep(rng.uniform(0.2, 2.0))
            ended = time.monotonic()
            _send(topic, [values[int(len(values) * shares[0]) :] for values in files])
            wait(lambda: read() == sum(map(len, files)) and streams.count_waiting(scene.store) == 0)
            recovery_s = time.monotonic() - ended
    streamed, refused = plain(scene.store, ids=False), rejects_of(topic.rejects)
    clean = []
    for number, values in enumerate(files):
        clean.append(folder / f"{number}.jsonl")
        clean[-1].write_bytes(b"".join(value + b"\n" for value in values))
    from_clean(scene.store, "events", clean, folder / "clean", streamed, refused)
    wrong = [
        f"{name}: {one} instead of {other}" for name, one, other in different(streamed, plain(scene.store, ids=False))
    ]
    bad = rejects_of(folder / "clean" / "rejects.jsonl")
    if len(refused) != len(bad):
        wrong.append(f"There are {len(refused)} rejects instead of {len(bad)}.")
    said = f"the broker {'killed' if killed else 'frozen'}"
    return Played("broker", seed, said, wrong[:5], recovery_s, time.monotonic() - began)


@contextmanager
def _away(running: Broker, killed: bool) -> Iterator[None]:
    """The broker is killed, or frozen, and back at the end of ``with``."""
    (running.kill if killed else running.freeze)()
    try:
        yield
    finally:
        (running.start_again if killed else running.wake)()


def _make(running: Broker, topic: Topic) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": running.address, "log_level": 0})
    new = NewTopic(topic.name, num_partitions=2, replication_factor=1)
    admin.create_topics([new])[topic.name].result(PATIENCE_S)


def _send(topic: Topic, partitions: list[list[bytes]]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": topic.brokers, "linger.ms": 0, "enable.idempotence": True})
    for partition, values in enumerate(partitions):
        for value in values:
            producer.produce(topic.name, value, partition=partition)
    assert producer.flush(PATIENCE_S) == 0
