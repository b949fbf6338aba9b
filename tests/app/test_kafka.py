"""``kg ingest KIND kafka://…`` with a real broker: each message once, wherever the follower is killed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kg import localdb, streams
from kg.app import jobs
from kg.app import kafka as kafka_source
from kg.app.kafka import Topic, follow_topic, lost_before
from kg.errors import InputError
from kg.records import Place
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.following import following, leave_behind, users
from tests.broker import Broker, broker
from tests.embeddings.test_foldin import served
from tests.faults.processes import context
from tests.faults.stream import PATIENCE_S, different, plain, shop_with_model, stream_plan, wait

pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

__all__ = ["served"]  # a fixture


@pytest.fixture(scope="module")
def kafka(home: Path) -> Iterator[Broker]:
    with broker(home / "kafka") as running:
        yield running


@pytest.fixture(scope="module")
def admin(kafka: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})


@pytest.fixture
def topic(kafka: Broker, admin: AdminClient, request: pytest.FixtureRequest, tmp_path: Path) -> Topic:
    """An empty topic of users' records with two partitions."""
    name = f"t{abs(hash(request.node.name))}"
    make(admin, name)
    return Topic("users", kafka.address, name, tmp_path / "rejects.jsonl", poll_s=0.05, ttl=timedelta(seconds=1))


def make(admin: AdminClient, name: str) -> None:
    admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])[name].result(PATIENCE_S)


def send(topic: Topic, values: Sequence[bytes | None], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": topic.brokers, "linger.ms": 0})
    for value in values:
        producer.produce(topic.name, value, partition=partition)
    assert producer.flush(PATIENCE_S) == 0


def consuming(store: GraphStore, topic: Topic, home: Path) -> AbstractContextManager[None]:
    return following(follow_topic, store, Settings.load({"KG_HOME": str(home)}), topic)


def user(name: str) -> bytes:
    return json.dumps({"user": name}).encode()


def serve(connection: localdb.Connection, home: Path, topic: Topic) -> None:
    """In a process of its own: follow until killed."""
    settings = Settings.load({"KG_HOME": str(home), "KG_BATCH_SIZE": "25"})
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        follow_topic(store, settings, topic, threading.Event())


def test_killed_at_any_moment_it_ends_with_the_graph_of_a_clean_load(
    store: GraphStore, database: localdb.Connection, topic: Topic, tmp_path: Path
) -> None:
    topic = replace(topic, kind="events", ttl=timedelta(seconds=0.5))
    # Two files may hold the same event without a time; two messages are two.
    lines = [file.splitlines() for file in stream_plan(3, kind="events").files]
    files = [[line for line in file if b'"at"' in line or line == b"broken"] for file in lines]
    for partition, values in enumerate(files):
        send(topic, values, partition)

    def read() -> list[int]:
        places = streams.places(store, [topic.source(p) for p in range(2)])
        return [place.bytes for place in places.values()]

    def start() -> ForkServerProcess:
        process = context.Process(target=serve, args=(database, tmp_path / "home", topic), daemon=True)
        process.start()
        return process

    shop_with_model(store)
    rng = random.Random(3)
    for _ in range(2):
        before, process = read(), start()
        wait(lambda before=before: read() != before or sum(read()) == sum(map(len, files)))
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join(PATIENCE_S)
    process = start()
    wait(lambda: read() == [len(values) for values in files] and streams.count_waiting(store) == 0)
    process.kill()
    process.join(PATIENCE_S)
    streamed = plain(store, ids=False)
    refused = sorted((r["file"], r["offset"]) for r in map(json.loads, topic.rejects.read_bytes().splitlines()))
    counted = store.read("MATCH (o:Offset) RETURN sum(o.rejected) AS rejected, max(o.behind) AS behind")
    assert counted == [{"rejected": len(refused), "behind": 0}]

    shop_with_model(store)
    for partition, values in enumerate(files):
        (tmp_path / f"{partition}.jsonl").write_bytes(b"\n".join(values) + b"\n")
    settings = Settings.load({"KG_HOME": str(tmp_path / "clean")})
    jobs.ingest(store, settings, "events", [tmp_path / "0.jsonl", tmp_path / "1.jsonl"])
    assert different(streamed, plain(store, ids=False)) == []
    clean = map(json.loads, (settings.home / "rejects.jsonl").read_bytes().splitlines())
    # A line's number counts from 1, an offset from 0.
    assert refused == sorted((f"kafka:{topic.name}/{Path(r['file']).stem}", r["line"] - 1) for r in clean)


class _Restless:
    """A consumer to whom something always comes: what came last comes again."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._last: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def consume(self, most: int, _wait_s: float) -> list[Any]:
        self._last = self._consumer.consume(most, 0.01) or self._last
        return self._last


def test_a_topic_that_never_pauses_does_not_keep_others_work_waiting(
    served: GraphStore, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kafka_source._consumer
    monkeypatch.setattr("kg.app.refresh.SWEEP_S", 0.1)
    monkeypatch.setattr(kafka_source, "_consumer", lambda *arguments: _Restless(made(*arguments)))
    send(topic, [user("zoe")])
    with consuming(served, topic, tmp_path):
        wait(lambda: "zoe" in users(served))
        leave_behind(served)
        wait(lambda: streams.count_waiting(served) == 0)


def test_equal_events_without_a_time_count_once_for_each_message(
    shop: GraphStore, topic: Topic, tmp_path: Path
) -> None:
    topic = replace(topic, kind="events")
    send(topic, [json.dumps({"user": "cleo", "type": "viewed", "sku": "T1"}).encode()] * 2)

    def counted() -> int:
        rows = shop.read("MATCH (:User {id: 'cleo'})-[r:VIEWED]->() RETURN sum(r.count) AS n")
        return int(rows[0]["n"])

    for _ in range(2):
        with consuming(shop, topic, tmp_path):
            wait(lambda: sum(p.bytes for p in streams.places(shop, [topic.source(0)]).values()) == 2)
        assert counted() == 2
        shop.write("MATCH (o:Offset) DELETE o")  # read again from the beginning


def test_a_poison_message_goes_to_the_rejects_with_its_offset(store: GraphStore, topic: Topic, tmp_path: Path) -> None:
    send(topic, [user("anna"), b"\xff\xfe poison", None, user("ben")], partition=1)
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna", "ben"])
    kept = [json.loads(line) for line in topic.rejects.read_bytes().splitlines()]
    assert [(r["file"], r["offset"]) for r in kept] == [(topic.partition(1), 1), (topic.partition(1), 2)]
    assert kept[1]["reason"] == "The message is empty."


def test_what_the_database_refuses_is_rejected_alone(
    store: GraphStore, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extraction.corpus.fields.MAX_KEY", 100_000)
    send(topic, [user("anna"), user("x" * 40_000), user("ben")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna", "ben"])
    assert [json.loads(line)["offset"] for line in topic.rejects.read_bytes().splitlines()] == [1]


def test_it_goes_on_where_it_was_and_finds_partitions_that_were_added(
    store: GraphStore, topic: Topic, admin: AdminClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.app.kafka.PARTITIONS_S", 0.2)
    send(topic, [user("anna")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna"])
    store.write("MATCH (u:User) DETACH DELETE u")
    with consuming(store, topic, tmp_path):
        send(topic, [user("ben")])
        wait(lambda: users(store) == ["ben"])
        admin.create_partitions([NewPartitions(topic.name, 3)])[topic.name].result(PATIENCE_S)
        send(topic, [user("cleo")], partition=2)
        wait(lambda: users(store) == ["ben", "cleo"])


def test_a_broker_that_does_not_say_what_it_has_is_asked_again_soon(
    store: GraphStore, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], kafka_source._partitions

    def away_for_the_second(*arguments: Any) -> tuple[list[int], str | None]:
        asked.append(1)
        return ([], "No broker answers.") if len(asked) == 2 else real(*arguments)

    monkeypatch.setattr(kafka_source, "_partitions", away_for_the_second)
    monkeypatch.setattr(kafka_source, "PARTITIONS_S", 3600.0)
    monkeypatch.setattr(kafka_source, "AGAIN_S", 0.1)
    send(topic, [user("anna")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna"])


def test_of_a_broker_that_is_away_a_log_tells_now_and_then() -> None:
    trouble = kafka_source._Trouble()
    with capture_logs() as told:
        for code in (KafkaError._TRANSPORT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            trouble(KafkaError(code))
    assert ["TRANSPORT" in line["error"] for line in told] == [True, False]


def test_a_topic_made_anew_is_read_from_its_beginning(
    store: GraphStore, topic: Topic, admin: AdminClient, tmp_path: Path
) -> None:
    send(topic, [user("anna"), user("ben")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna", "ben"])
    admin.delete_topics([topic.name])[topic.name].result(PATIENCE_S)
    wait(lambda: topic.name not in admin.list_topics(timeout=10).topics)
    make(admin, topic.name)
    send(topic, [user("cleo")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna", "ben", "cleo"])


def test_a_topic_made_anew_while_it_is_followed_is_read_from_its_beginning(
    store: GraphStore, topic: Topic, admin: AdminClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_source, "PARTITIONS_S", 3600.0)  # what comes tells of it
    monkeypatch.setattr(kafka_source, "AGAIN_S", 0.1)
    with consuming(store, topic, tmp_path):
        send(topic, [user("anna"), user("ben")])
        wait(lambda: users(store) == ["anna", "ben"])
        admin.delete_topics([topic.name])[topic.name].result(PATIENCE_S)
        wait(lambda: topic.name not in admin.list_topics(timeout=10).topics)
        make(admin, topic.name)
        send(topic, [user("cleo")])
        wait(lambda: users(store) == ["anna", "ben", "cleo"])


def test_messages_that_were_deleted_unread_do_not_stop_it(
    store: GraphStore, topic: Topic, admin: AdminClient, tmp_path: Path
) -> None:
    send(topic, [user("anna")])
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna"])
    send(topic, [user("ben"), user("cleo")])
    for deleted in admin.delete_records([TopicPartition(topic.name, 0, 2)]).values():
        deleted.result(PATIENCE_S)
    with consuming(store, topic, tmp_path):
        wait(lambda: users(store) == ["anna", "cleo"])


def test_a_gap_is_a_loss_only_where_messages_were_deleted(topic: Topic, admin: AdminClient) -> None:
    send(topic, [user("anna"), user("ben"), user("cleo")])
    consumer = Consumer({"bootstrap.servers": topic.brokers, "group.id": "test", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic.name, 0, 2)])
        (third,) = consumer.consume(1, PATIENCE_S)
        # What compaction leaves looks like this: the place is before the message, and nothing was deleted.
        assert lost_before(consumer, topic, 0, Place(0), [third]) is None
        admin.delete_records([TopicPartition(topic.name, 0, 2)])[TopicPartition(topic.name, 0, 2)].result(PATIENCE_S)
        assert lost_before(consumer, topic, 0, Place(0), [third]) == (0, 1)
        assert lost_before(consumer, topic, 0, Place(1), [third]) == (1, 1)
        assert lost_before(consumer, topic, 0, Place(2), [third]) is None
    finally:
        consumer.close()


def test_a_broker_that_goes_away_is_waited_for(store: GraphStore, kafka: Broker, topic: Topic, tmp_path: Path) -> None:
    with consuming(store, topic, tmp_path):
        send(topic, [user("anna")])
        wait(lambda: users(store) == ["anna"])
        kafka.freeze()
        time.sleep(1.0)
        kafka.wake()
        send(topic, [user("ben")])
        wait(lambda: users(store) == ["anna", "ben"])


def test_what_cannot_be_followed_is_said_at_once(
    store: GraphStore, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kg.app.kafka.ANSWER_S", 1.0)
    settings, stop = Settings.load({"KG_HOME": str(tmp_path)}), threading.Event()
    with pytest.raises(InputError, match="has no topic 'nowhere'"):
        follow_topic(store, settings, replace(topic, name="nowhere"), stop)
    with pytest.raises(InputError, match="No broker answers"):
        follow_topic(store, settings, replace(topic, brokers="127.0.0.1:9"), stop)
    with pytest.raises(InputError, match="kafka://HOST:PORT/TOPIC"):
        Topic.of("kafka://127.0.0.1:9092", "users", tmp_path / "rejects.jsonl")
    assert Topic.of("kafka://a:1,b:2/shop.events", "events", tmp_path).brokers == "a:1,b:2"
