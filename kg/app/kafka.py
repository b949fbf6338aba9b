"""``kg ingest KIND kafka://HOST:PORT/TOPIC --follow``: loads the messages of a topic, each a JSON record, as they come.

How far each partition has been read stands in the graph, committed in one
transaction with what was read; the broker keeps no offset of ours, and a
consumer group is not used. So each message is in effect loaded once, wherever the
process is cut off. Of several processes one reads, by a lease, as with folders
(:mod:`kg.app.follow`). The broker's client fetches a bounded number of bytes
ahead: a slow database slows the reading down.

A topic that was deleted and made anew is read from its beginning, though it
happens while it is followed. What retention deleted before it was read is logged
as an error. A message that cannot be loaded goes to the rejects with its
partition and offset.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from extraction import corpus
from extraction.corpus import Kind, Piece
from kg import streams
from kg.app.held import Held, while_held
from kg.app.pieces import PieceLoader, RejectLog
from kg.app.refresh import Reader, Refresher, reader_for
from kg.app.session import pseudonym_of
from kg.errors import InputError, SettingsError
from kg.records import EventRecord, Place, Record, Reject
from kg.scheduler import TTL
from kg.settings import Settings
from kg.store import GraphStore

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

log = structlog.get_logger()

POLL_S: Final = 0.2
"""How long is waited for more messages."""
ANSWER_S: Final = 10.0
"""How long a broker may take to say what it has."""
PARTITIONS_S: Final = 30.0
"""How often it is looked for partitions that were added, and whether the topic is still the same."""
AGAIN_S: Final = 1.0
"""How soon it is looked again where the broker did not say, or sends what was read already."""
TOLD_S: Final = 10.0
"""How often it is said that the broker is still away."""
_URL: Final = re.compile(r"kafka://(?P<brokers>[^/\s]+)/(?P<topic>[A-Za-z0-9._-]{1,249})")


@dataclass(frozen=True, slots=True)
class Topic:
    """What is followed, and how."""

    kind: Kind
    brokers: str
    """``host:port``, several separated by commas."""
    name: str
    rejects: Path
    create_missing: bool = False
    poll_s: float = POLL_S
    ttl: timedelta = TTL

    @classmethod
    def of(cls, url: str, kind: Kind, rejects: Path, *, create_missing: bool = False) -> Topic:
        """The topic that a URL names.

        Raises:
            InputError: it is none.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InputError(
                f"{url} names no topic. Expected kafka://HOST:PORT/TOPIC, or several HOST:PORT with commas."
            )
        return cls(kind, found["brokers"], found["topic"], rejects, create_missing)

    @property
    def lease(self) -> str:
        """Name of its lease. The brokers' addresses are none of it: they may change."""
        return f"ingest {self.kind} kafka {self.name}"

    def source(self, partition: int) -> str:
        """The name under which the graph knows how far a partition has been read."""
        return f"{self.kind} kafka {self.name} {partition}"

    def partition(self, partition: int) -> str:
        """A partition's name in rejects."""
        return f"kafka:{self.name}/{partition}"


def follow_topic(store: GraphStore, settings: Settings, topic: Topic, stop: threading.Event) -> None:
    """Follow until ``stop`` is set, through restarts of the database and the broker, and losses of the lease.

    Raises:
        InputError: no broker answers at the beginning, or it has no such topic.
        SettingsError: the client for Kafka is not installed, or its properties cannot be read.
    """
    consumer = _consumer(topic, settings)
    try:
        if (problem := _partitions(consumer, topic)[1]) is not None:
            raise InputError(problem)
    finally:
        consumer.close()
    reader = reader_for(topic.kind, store, settings)

    def work(held: Held) -> None:
        _Consuming(settings, topic, held, reader).until(stop)

    while_held(store, topic.lease, work, stop, ttl=topic.ttl, pause_s=1.0)


class _Consuming:
    """What one holding of the lease knows: how far each partition has been read."""

    def __init__(self, settings: Settings, topic: Topic, held: Held, reader: Reader | None) -> None:
        self._settings = settings
        self._topic = topic
        self._held = held
        self._loader = PieceLoader(
            held.store, pseudonym_of(settings), RejectLog(topic.rejects), create_missing=topic.create_missing
        )
        self._refresher = Refresher(held.store, reader, keep=held.keep)
        self._places: dict[int, Place] = {}
        self._identity = ""
        """Of the topic that is read."""
        self._look_at = 0.0
        self._looked = 0.0
        self._trouble = _Trouble()

    def until(self, stop: threading.Event) -> None:
        consumer = _consumer(self._topic, self._settings)
        try:
            self._refresher.sweep()
            while not stop.is_set():
                if time.monotonic() >= self._look_at:
                    pause_s = PARTITIONS_S if self._assign(consumer) else AGAIN_S
                    self._looked = time.monotonic()
                    self._look_at = self._looked + pause_s
                # Returns when so many have come, or at the end of the time with what there is.
                came = consumer.consume(self._settings.batch_size, self._topic.poll_s) if self._places else []
                messages = [m for m in came if m.error() is None]
                for error in (m.error() for m in came):
                    if error is not None:
                        self._trouble(error)
                for partition in sorted({m.partition() or 0 for m in messages}):
                    self._take(consumer, partition, [m for m in messages if (m.partition() or 0) == partition])
                self._held.keep()
                if not self._refresher.upkeep(idle=not messages) and not self._places:
                    stop.wait(self._topic.poll_s)
        finally:
            consumer.close()
            self._refresher.close()

    def _assign(self, consumer: Consumer) -> bool:
        """Take on all partitions, from where the graph says that they were read to; False if the broker is away."""
        from confluent_kafka import KafkaException, TopicPartition

        partitions, problem = _partitions(consumer, self._topic)
        if problem is not None:
            log.warning("the broker does not say what it has; it is asked again", error=problem)
            return False
        try:
            identity = _identity(self._topic, self._settings)
            if set(partitions) == set(self._places) and identity == self._identity:
                return True
            known = streams.places(self._held.bare, [self._topic.source(p) for p in partitions])
            ends = {
                p: consumer.get_watermark_offsets(TopicPartition(self._topic.name, p), timeout=ANSWER_S)
                for p in partitions
            }
        except KafkaException as error:
            log.warning("the broker does not say what it has; it is asked again", error=_first(error))
            return False
        starts: list[TopicPartition] = []
        places: dict[int, Place] = {}
        for partition in partitions:
            place = known[self._topic.source(partition)]
            low, _high = ends[partition] or (0, 0)
            if place.head and place.head != identity:
                log.warning("a topic was made anew; it is read from its beginning", topic=self._topic.name)
                self._loader.rejects.replaced(self._topic.partition(partition), place.bytes)
                streams.begin_anew(self._held.store, self._topic.source(partition))
                place = Place()
            if place.bytes < low:
                if place.lines:
                    self._tell_lost(partition, place.bytes, low - 1)
                place = Place(low, place.lines)
            places[partition] = replace(place, head=identity)
            starts.append(TopicPartition(self._topic.name, partition, place.bytes))
        self._places, self._identity = places, identity
        self._loader.rejects.keep_only({self._topic.partition(p): place.bytes for p, place in places.items()})
        consumer.assign(starts)
        return True

    def _tell_lost(self, partition: int, first: int, last: int) -> None:
        name = self._topic.name
        log.error(
            "messages were deleted before they were read", topic=name, partition=partition, first=first, last=last
        )

    def _take(self, consumer: Consumer, partition: int, messages: Sequence[Message]) -> None:
        """Load messages of a partition."""
        if min(map(_offset, messages)) < self._places[partition].bytes:
            # They were read; or the topic is another by now, of which nothing was. The look begins it anew, if so.
            self._look_at = min(self._look_at, self._looked + AGAIN_S)
        if (lost := lost_before(consumer, self._topic, partition, self._places[partition], messages)) is not None:
            self._tell_lost(partition, *lost)
        while waiting := [m for m in messages if _offset(m) >= self._places[partition].bytes]:
            place = self._places[partition]
            found = self._loader.next(
                self._topic.source(partition),
                self._topic.partition(partition),
                place,
                partial(self._piece, partition, waiting, place),
                most=len(waiting),
                repeats=Counter,  # their offsets tell them apart
                keep=self._held.keep,
                behind=partial(_behind, consumer, self._topic, partition),
            )
            if found is None:
                return
            self._places[partition], loaded = found
            self._refresher.after(loaded)

    def _piece(self, partition: int, waiting: Sequence[Message], start: Place, most: int) -> Piece:
        messages = waiting[:most]
        name = self._topic.partition(partition)
        records: list[tuple[int, Record]] = []
        rejects: list[Reject] = []
        for line, message in enumerate(messages, start=start.lines + 1):
            offset = _offset(message)
            value = message.value() or b""
            raw = value if isinstance(value, bytes) else value.encode()
            found = corpus.parse_line(name, self._topic.kind, raw, line, offset)
            if found is None:
                rejects.append(Reject(file=name, line=line, reason="The message is empty.", offset=offset))
            elif isinstance(found, Reject):
                rejects.append(found)
            else:
                if isinstance(found, EventRecord):
                    found = replace(found, origin=f"{start.head} {partition} {offset}")
                records.append((offset, found))
        end = Place(_offset(messages[-1]) + 1, start.lines + len(messages), start.head)
        return Piece(tuple(records), tuple(rejects), end)


def lost_before(
    consumer: Consumer, topic: Topic, partition: int, place: Place, messages: Sequence[Message]
) -> tuple[int, int] | None:
    """The first and last offset that retention deleted between the place and the first of these messages.

    Where there is a gap the broker is asked: transactions and compaction leave gaps, too, in which nothing is lost.
    """
    from confluent_kafka import KafkaException, TopicPartition

    first = min(map(_offset, messages))
    if first <= place.bytes:
        return None
    try:
        found = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=ANSWER_S)
    except KafkaException:  # what came is loaded, though nobody can say what did not
        return None
    low = found[0] if found else 0
    return (place.bytes, min(low, first) - 1) if low > place.bytes else None


def _behind(consumer: Consumer, topic: Topic, partition: int, end: Place) -> int:
    """Messages that come after a place, as far as the client has heard: it is told with each fetch, and asks nobody."""
    from confluent_kafka import KafkaException, TopicPartition

    try:
        known = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), cached=True)
    except KafkaException:  # a number for whoever watches is not worth a piece
        return 0
    return max(known[1] - end.bytes, 0) if known else 0


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset


# --- the broker's client --------------------------------------------------------------------------------------


def _consumer(topic: Topic, settings: Settings) -> Consumer:
    try:
        from confluent_kafka import Consumer, KafkaException
    except ImportError as error:
        raise SettingsError(
            "The client for Kafka is not installed. Install it with the package: pip install 'shopgraph[kafka]'."
        ) from error
    try:
        return Consumer(
            _configuration(topic, settings)
            | {
                "group.id": "shopgraph",  # the client asks for one; nothing is ever committed in its name
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
            }
        )
    except KafkaException as error:
        raise SettingsError(f"KG_KAFKA_PROPERTIES has what the client for Kafka refuses: {_first(error)}.") from error


def _configuration(topic: Topic, settings: Settings) -> dict[str, Any]:
    """The properties of the user, and those that are not the user's to choose."""
    given: dict[str, Any] = {}
    if settings.kafka_properties is not None:
        try:
            text = settings.kafka_properties.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"KG_KAFKA_PROPERTIES: {settings.kafka_properties} cannot be read.") from error
        for line in text.splitlines():
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                given[name.strip()] = value.strip()
    return given | {"bootstrap.servers": topic.brokers, "error_cb": _Trouble(), "log_level": 0}


def _partitions(consumer: Consumer, topic: Topic) -> tuple[list[int], str | None]:
    """The topic's partitions, or what is wrong."""
    from confluent_kafka import KafkaException

    try:
        found = consumer.list_topics(topic.name, timeout=ANSWER_S).topics[topic.name]
    except KafkaException as error:
        return [], f"No broker answers at {topic.brokers} ({_first(error)}). Is it running, and its address right?"
    if found.error is not None:
        return [], f"The broker at {topic.brokers} has no topic {topic.name!r} ({found.error.str()})."
    return sorted(found.partitions), None


def _identity(topic: Topic, settings: Settings) -> str:
    """What tells a topic from one of its name that was deleted before."""
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(_configuration(topic, settings))
    found = admin.describe_topics(TopicCollection([topic.name]), request_timeout=ANSWER_S)
    return str(found[topic.name].result().topic_id)


class _Trouble:
    """Logs what the client tells of the broker: of one kind a word now and then, not each of its 20 tries a second."""

    def __init__(self) -> None:
        self._told: dict[object, float] = {}

    def __call__(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now - self._told.get(error.code(), -TOLD_S) >= TOLD_S:
            self._told[error.code()] = now
            log.warning("trouble with the broker; the client goes on trying", error=str(error))


def _first(error: Exception) -> str:
    return str(error.args[0].str() if hasattr(error.args[0], "str") else error)
