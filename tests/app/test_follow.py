"""``kg ingest --follow``: killed at any moment it ends with the graph of a clean load, and no reject twice."""

from __future__ import annotations

import json
import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from kg import leases, localdb, streams
from kg.app import jobs
from kg.app.follow import Source, follow
from kg.records import Place
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.conftest import Kg, lines
from tests.conftest import empty

PATIENCE_S = 120
KILLS = 6
SKUS = [f"i{n}" for n in range(20)]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.app.test_follow", "tests.faults.worker"])


def serve(connection: localdb.Connection, home: Path, source: Source) -> None:
    """In a process of its own: follow until killed."""
    settings = Settings.load({"KG_HOME": str(home), "KG_BATCH_SIZE": "25"})
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        follow(store, settings, source, threading.Event())


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def events(rng: random.Random, count: int, since: int) -> list[bytes]:
    """Events as a shop's stream has them: some without a time and equal, some broken, some of unknown products.

    Ratings have times, no two the same: which of others is the latest depends on which file is read first.
    """
    kinds = ("viewed", "carted", "bought", "rated", "searched", "exposed")
    rows = []
    for number in range(count):
        row: dict[str, Any] = {"user": f"u{rng.randrange(12)}", "type": rng.choice(kinds), "sku": rng.choice(SKUS)}
        if row["type"] == "rated" or rng.random() < 0.6:
            row |= {"at": since + number, "session": f"s{number % 7}"}
        if row["type"] == "rated":
            row["value"] = rng.randint(1, 5)
        if row["type"] == "searched":
            row["query"] = rng.choice(("strap", "tuner"))
        if rng.random() < 0.03:
            row["sku"] = "unknown"
        rows.append(json.dumps(row).encode() + b"\n" if rng.random() > 0.02 else b"broken\n")
    return rows


def interactions(store: GraphStore) -> list[tuple[Any, ...]]:
    """All that events have left in the graph; the order in which equal moments came in is none of it."""
    rows = store.read(
        "MATCH (u:User)-[r]->(x)\nWHERE r.events IS NOT NULL\n"
        "RETURN u.id AS user, type(r) AS type, coalesce(x.sku, x.text) AS target, r {.*} AS r, u.last_at AS last_at"
    )
    found = []
    for row in rows:
        r = row["r"]
        single = sorted(zip(r["events"], r["times"], map(repr, r["values"]), strict=True))
        rest = {name: value for name, value in r.items() if name not in ("events", "times", "values", "sessions")}
        sessions = sorted(zip(r["events"], r.get("sessions") or [""] * len(single), strict=True))
        rest["strength"] = round(rest["strength"], 9)
        found.append((row["user"], row["type"], row["target"], single, sessions, sorted(rest.items()), row["last_at"]))
    return sorted(found, key=repr)


def rejects(path: Path) -> list[tuple[str, int]]:
    return sorted((Path(row["file"]).name, row["line"]) for row in map(json.loads, path.read_bytes().splitlines()))


def test_killed_at_any_moment_it_ends_with_the_graph_of_a_clean_load(
    store: GraphStore, database: localdb.Connection, tmp_path: Path
) -> None:
    rng = random.Random(7)
    stream = tmp_path / "stream"
    stream.mkdir()
    content = {
        stream / "a.jsonl": b"".join(events(rng, 250, 1_772_000_000)),
        stream / "b.jsonl": b"".join(events(rng, 250, 1_772_500_000)),
    }
    settings = Settings.load({"KG_HOME": str(tmp_path / "home")})
    jobs.ingest(store, settings, "products", [lines(tmp_path / "p.jsonl", *({"sku": s, "title": s} for s in SKUS))])
    # The lease of one that was killed runs out at once: the next is not to wait for it.
    source = Source("events", stream, tmp_path / "rejects.jsonl", poll_s=0.01, ttl=timedelta(seconds=0.2))

    def start() -> ForkServerProcess:
        process = _context.Process(target=serve, args=(database, tmp_path / "home", source), daemon=True)
        process.start()
        return process

    def read() -> dict[str, Place]:
        return streams.places(store, [source.source_of(file) for file in content])

    cuts = sorted(rng.random() for _ in range(KILLS))
    for cut in cuts:
        for file, whole in content.items():
            file.write_bytes(whole[: int(len(whole) * cut)])  # mostly in the middle of a line
        before, process = read(), start()
        wait(lambda before=before: read() != before)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.join(PATIENCE_S)
    for file, whole in content.items():
        file.write_bytes(whole)
    process = start()
    wait(lambda: {p.bytes for p in read().values()} == {len(whole) for whole in content.values()})
    process.kill()
    process.join(PATIENCE_S)
    streamed, refused = interactions(store), rejects(source.rejects)

    empty(store)
    jobs.ingest(store, settings, "products", [tmp_path / "p.jsonl"])
    jobs.ingest(store, settings, "events", sorted(content))
    assert streamed == interactions(store)
    assert refused == rejects(settings.home / "rejects.jsonl")
    assert len(refused) > 10


@pytest.fixture
def followed(store: GraphStore, tmp_path: Path) -> tuple[Source, Settings]:
    """A folder for users' files, empty."""
    (tmp_path / "stream").mkdir()
    source = Source("users", tmp_path / "stream", tmp_path / "rejects.jsonl", poll_s=0.01, ttl=timedelta(minutes=1))
    return source, Settings.load({"KG_HOME": str(tmp_path / "home")})


class Follower(threading.Thread):
    """Follows in this process, from ``with`` to its end."""

    def __init__(self, store: GraphStore, settings: Settings, source: Source) -> None:
        self._stop_following = threading.Event()
        super().__init__(target=follow, args=(store, settings, source, self._stop_following))

    def __enter__(self) -> Follower:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_following.set()
        self.join(PATIENCE_S)


def users(store: GraphStore) -> list[str]:
    return [row["id"] for row in store.read("MATCH (u:User) RETURN u.id AS id ORDER BY id")]


def test_a_replaced_file_is_read_from_its_beginning(store: GraphStore, followed: tuple[Source, Settings]) -> None:
    source, settings = followed
    file = source.directory / "u.jsonl"
    with Follower(store, settings, source):
        lines(file, {"user": "anna"}, {"user": "ben"})
        wait(lambda: users(store) == ["anna", "ben"])
        file.unlink()
        lines(file, {"user": "cleo"})
        wait(lambda: users(store) == ["anna", "ben", "cleo"])


def test_a_second_follower_waits_and_takes_over(store: GraphStore, followed: tuple[Source, Settings]) -> None:
    source, settings = followed
    source = replace(source, ttl=timedelta(seconds=0.5))
    lease = leases.take(store, source.name, "somebody else", timedelta(minutes=1))
    assert lease is not None
    lines(source.directory / "u.jsonl", {"user": "anna"})
    with Follower(store, settings, source):
        time.sleep(0.2)
        assert users(store) == []
        store.write("MATCH (l:Lease) SET l.until = datetime.realtime()")
        leases.expire(store, source.name)
        wait(lambda: users(store) == ["anna"])


def test_what_the_database_refuses_is_rejected_alone(
    store: GraphStore, followed: tuple[Source, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, settings = followed
    # Longer than what an index takes for a key, and no reader objects to it.
    giant = "x" * 40_000
    monkeypatch.setattr("extraction.corpus.fields.MAX_KEY", 100_000)
    lines(source.directory / "u.jsonl", *({"user": u} for u in ("anna", "ben", giant, "cleo", "dora")))
    with Follower(store, settings, source):
        wait(lambda: users(store) == ["anna", "ben", "cleo", "dora"])
    assert rejects(source.rejects) == [("u.jsonl", 3)]


def test_the_command_says_what_does_not_go_together(kg: Kg, tmp_path: Path) -> None:
    refused = kg("ingest", "products", tmp_path, "--follow", "--sync")
    assert refused.code == 1
    assert "--follow takes one folder" in refused.err
    assert kg("ingest", "events", tmp_path / "nowhere", "--follow").code == 1
