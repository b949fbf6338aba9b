"""``kg ingest --follow``: killed at any moment it ends with the graph of a clean load, and no reject twice."""

from __future__ import annotations

import errno
import json
import resource
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from extraction import corpus
from extraction.corpus import Piece
from kg import leases, localdb, streams
from kg.app.follow import Source, _Following, follow
from kg.app.held import Held, while_held
from kg.app.pieces import RejectLog
from kg.app.session import RejectFile
from kg.errors import DiskError, LeaseLostError
from kg.records import Reject
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.conftest import Kg, lines
from tests.app.following import following, leave_behind, users
from tests.embeddings.test_foldin import served
from tests.faults.proxy import Cut, How, Proxy
from tests.faults.stream import PATIENCE_S, plain, play_stream, stream_plan, wait

__all__ = ["served"]  # a fixture


def rejects(path: Path) -> list[tuple[str, int]]:
    return sorted((Path(row["file"]).name, row["line"]) for row in map(json.loads, path.read_bytes().splitlines()))


def test_killed_at_any_moment_it_ends_with_the_graph_of_a_clean_load(
    store: GraphStore, database: localdb.Connection, tmp_path: Path
) -> None:
    report = play_stream(store, database, stream_plan(7, kills=6), tmp_path)
    assert report.differences == ()
    assert report.refused > 2


def test_killed_while_products_come_it_links_the_same_products(
    store: GraphStore, database: localdb.Connection, tmp_path: Path
) -> None:
    report = play_stream(store, database, stream_plan(8, kills=2), tmp_path)
    assert report.plan.kind == "products"
    assert report.differences == ()


def test_a_graph_that_differs_is_seen(shop: GraphStore) -> None:
    before = plain(shop)
    shop.write("MATCH (:User {id: 'anna'})-[r:RATED]->() SET r.strength = 0.9")
    (line,) = set(before) - set(plain(shop))
    assert line.startswith("(anna)-[RATED]->(S1)")


def test_rejects_that_find_no_room_leave_nothing_of_themselves(tmp_path: Path) -> None:
    log = RejectLog(tmp_path / "rejects.jsonl")
    log.write([Reject(file="a.jsonl", line=1, reason="It is bad.")])
    before = (tmp_path / "rejects.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(DiskError, match="Make room"):
            log.write([Reject(file="a.jsonl", line=2, reason="It is bad too.")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "rejects.jsonl").read_bytes() == before
    log.write([Reject(file="a.jsonl", line=2, reason="It is bad too.")])
    assert rejects(tmp_path / "rejects.jsonl") == [("a.jsonl", 1), ("a.jsonl", 2)]


def test_what_another_follower_rejects_while_they_are_put_right_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rejects.jsonl"
    mine, others = RejectLog(path), RejectLog(path)
    mine.write([Reject(file="a.jsonl", line=1, reason="It is bad.", offset=0)])
    read = Path.read_bytes
    poison = threading.Thread(target=others.write, args=([Reject(file="b.jsonl", line=7, reason="It is poison.")],))

    def meanwhile(file: Path) -> bytes:
        content = read(file)
        poison.start()
        poison.join(0.5)  # it has to wait
        return content

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", meanwhile)
        mine.keep_only({"a.jsonl": 100})
    poison.join()
    assert rejects(path) == [("a.jsonl", 1), ("b.jsonl", 7)]


def test_rejects_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    log = RejectLog(path)
    log.write([Reject(file="a.jsonl", line=1, reason="It is bad.")])
    assert path.stat().st_mode & 0o777 == 0o600
    log.keep_only({})
    assert path.stat().st_mode & 0o777 == 0o600
    with RejectFile(path):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def followed(store: GraphStore, tmp_path: Path) -> tuple[Source, Settings]:
    """A folder for users' files, empty."""
    (tmp_path / "stream").mkdir()
    source = Source("users", tmp_path / "stream", tmp_path / "rejects.jsonl", poll_s=0.01, ttl=timedelta(minutes=1))
    return source, Settings.load({"KG_HOME": str(tmp_path / "home")})


def test_a_replaced_file_is_read_from_its_beginning(store: GraphStore, followed: tuple[Source, Settings]) -> None:
    source, settings = followed
    file = source.directory / "u.jsonl"
    with following(follow, store, settings, source):
        lines(file, {"user": "anna"}, {"user": "ben"})
        wait(lambda: users(store) == ["anna", "ben"])
        file.unlink()
        lines(file, {"user": "cleo"})
        wait(lambda: users(store) == ["anna", "ben", "cleo"])


@pytest.mark.parametrize("away", [False, True])
def test_the_rest_of_a_file_that_was_rotated_is_read_before_its_successor(
    store: GraphStore, followed: tuple[Source, Settings], away: bool
) -> None:
    source, settings = followed
    file, rotated = source.directory / "u.jsonl", source.directory / "u.jsonl.1"
    lines(source.directory / "u.jsonl.2", {"user": "zoe"})  # one that nobody has read
    with following(follow, store, settings, source):
        lines(file, {"user": "anna"}, {"interests": []})
        wait(lambda: users(store) == ["anna"])
        if not away:
            rotated.write_bytes(file.read_bytes())
            file.write_bytes(b"")  # empty, while the one before is still written to
            with rotated.open("a") as more:
                more.write('{"user": "ben"}\n')
            wait(lambda: users(store) == ["anna", "ben"])
    with rotated.open("w") as more:
        more.write('{"user": "anna"}\n{"interests": []}\n{"user": "ben"}\n{"user": "cleo"}\n{"interests": [1]}\n')
    with following(follow, store, settings, source):
        lines(file, {"user": "dora"}, {"interests": [2]})
        wait(lambda: users(store) == ["anna", "ben", "cleo", "dora"])
    assert rejects(source.rejects) == [("u.jsonl", 2), ("u.jsonl", 2), ("u.jsonl", 5)]
    assert store.read("MATCH (o:Offset) RETURN o.lines AS lines") == [{"lines": 2}]


def test_rejects_of_a_file_outlive_the_one_that_takes_its_place(
    store: GraphStore, followed: tuple[Source, Settings]
) -> None:
    source, settings = followed
    file = source.directory / "u.jsonl"
    with following(follow, store, settings, source):
        lines(file, {"user": "anna"}, {"interests": []}, {"user": "ben"})
        wait(lambda: users(store) == ["anna", "ben"])
    lines(file, {"user": "cleo"})
    for user in ("dora", "emil"):  # what is put right when following begins again does not take them for its own
        with following(follow, store, settings, source):
            wait(lambda: "cleo" in users(store))
            with file.open("a") as more:
                more.write(json.dumps({"user": user}) + "\n" + json.dumps({"interests": [user]}) + "\n")
            wait(lambda user=user: user in users(store))  # type: ignore[misc]
    assert rejects(source.rejects) == [("u.jsonl", 2), ("u.jsonl", 3), ("u.jsonl", 5)]


def test_rejects_of_what_was_not_committed_before_another_took_its_place_are_taken_out(tmp_path: Path) -> None:
    log = RejectLog(tmp_path / "rejects.jsonl")
    log.write([Reject(file="a.jsonl", line=n, reason="It is bad.", offset=10 * n) for n in (1, 2)])
    for _ in range(2):
        log.replaced("a.jsonl", 15)
    log.write([Reject(file="a.jsonl", line=1, reason="It is bad.", offset=5)])
    log.keep_only({"a.jsonl": 0})
    assert rejects(tmp_path / "rejects.jsonl") == [("a.jsonl", 1)]


def test_a_file_that_cannot_be_read_holds_up_no_other(
    store: GraphStore, followed: tuple[Source, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, settings = followed
    monkeypatch.setattr("kg.app.follow.UNREADABLE_S", 0.1)
    lines(source.directory / "a.jsonl", {"user": "anna"})
    lines(source.directory / "b.jsonl", {"user": "ben"})
    broken = {source.directory / "a.jsonl"}

    # A disk that fails; the owner's missing permission, which is the same to us, does not stop root.
    def read(path: Path, *where: Any, **how: Any) -> Piece:
        if path in broken:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read_piece(path, *where, **how)

    read_piece = corpus.read_piece
    monkeypatch.setattr(corpus, "read_piece", read)
    with structlog.testing.capture_logs() as logs, following(follow, store, settings, source):
        wait(lambda: users(store) == ["ben"])
        lines(source.directory / "c.jsonl", {"user": "cleo"})
        wait(lambda: users(store) == ["ben", "cleo"])
        broken.clear()
        wait(lambda: users(store) == ["anna", "ben", "cleo"])
        # And one that was read before.
        broken.add(source.directory / "b.jsonl")
        with (source.directory / "b.jsonl").open("a") as more:
            more.write('{"user": "bea"}\n')
        lines(source.directory / "d.jsonl", {"user": "dora"})
        wait(lambda: users(store) == ["anna", "ben", "cleo", "dora"])
        broken.clear()
        wait(lambda: users(store) == ["anna", "bea", "ben", "cleo", "dora"])
    warned = {(Path(e["file"]).name, e["error"]) for e in logs if e["log_level"] == "warning"}
    assert warned == {("a.jsonl", "Input/output error"), ("b.jsonl", "Input/output error")}


def test_a_second_follower_waits_and_takes_over(store: GraphStore, followed: tuple[Source, Settings]) -> None:
    source, settings = followed
    source = replace(source, ttl=timedelta(seconds=0.5))
    lease = leases.take(store, source.name, "somebody else", timedelta(minutes=1))
    assert lease is not None
    lines(source.directory / "u.jsonl", {"user": "anna"})
    with following(follow, store, settings, source):
        time.sleep(0.2)
        assert users(store) == []
        store.write("MATCH (l:Lease) SET l.until = datetime.realtime()")
        leases.expire(store, source.name)
        wait(lambda: users(store) == ["anna"])


def test_who_is_long_at_one_thing_keeps_the_lease(store: GraphStore) -> None:
    began: list[str] = []
    done, ttl = threading.Event(), timedelta(seconds=0.5)

    def work(held: Held) -> None:
        began.append("")
        time.sleep(4 * ttl.total_seconds())  # a long text
        held.store.write("MERGE (:User {id: 'anna'})")
        done.set()

    with (
        following(lambda stop: while_held(store, "ingest", work, stop, ttl=ttl, pause_s=0.1)),
        following(lambda stop: while_held(store, "ingest", work, stop, ttl=ttl, pause_s=0.1)),
    ):
        assert done.wait(PATIENCE_S)
        assert began == [""]
    assert users(store) == ["anna"]


def test_who_does_not_come_by_any_more_loses_the_lease(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kg.app.held.STUCK_S", 0.2)
    ttl, stuck, other = timedelta(seconds=0.5), threading.Event(), threading.Event()

    def hang(held: Held) -> None:
        stuck.set()
        other.wait(PATIENCE_S)
        with pytest.raises(LeaseLostError):
            held.store.write("MERGE (:User {id: 'anna'})")

    with following(lambda stop: while_held(store, "ingest", hang, stop, ttl=ttl, pause_s=0.1)):
        assert stuck.wait(PATIENCE_S)
        with following(lambda stop: while_held(store, "ingest", lambda _: other.set(), stop, ttl=ttl, pause_s=0.1)):
            assert other.wait(PATIENCE_S)
    assert users(store) == []


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_follower_goes_on_whose_first_commits_are_cut(
    store: GraphStore, database: localdb.Connection, followed: tuple[Source, Settings], commit: int
) -> None:
    source, settings = followed
    source = replace(source, ttl=timedelta(seconds=0.5))
    lines(source.directory / "u.jsonl", {"user": "anna"})
    port = int(database.uri.rpartition(":")[2])
    cut = Cut(1 + commit, How.UNTOLD, 0.1)  # the first commit is what one connects with
    with (
        Proxy(port, [cut]) as proxy,
        GraphStore.connect(proxy.uri, database.username, database.password) as cut_off,
        following(follow, cut_off, settings, source),
    ):
        wait(lambda: users(store) == ["anna"])
    assert proxy.left == 0


def test_a_stream_that_never_pauses_does_not_keep_others_work_waiting(
    served: GraphStore, followed: tuple[Source, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def some_came(*_: object) -> bool:
        time.sleep(0.01)
        return True

    source, settings = followed
    monkeypatch.setattr("kg.app.refresh.SWEEP_S", 0.1)
    monkeypatch.setattr(_Following, "_step", some_came)
    lines(source.directory / "u.jsonl", {"user": "anna"})
    with following(follow, served, settings, source):
        time.sleep(0.5)  # what is there when it begins is seen to in any case
        leave_behind(served)
        wait(lambda: streams.count_waiting(served) == 0)


def test_what_the_database_refuses_is_rejected_alone(
    store: GraphStore, followed: tuple[Source, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, settings = followed
    # Longer than what an index takes for a key, and no reader objects to it.
    giant = "x" * 40_000
    monkeypatch.setattr("extraction.corpus.fields.MAX_KEY", 100_000)
    lines(source.directory / "u.jsonl", *({"user": u} for u in ("anna", "ben", giant, "cleo", "dora")))
    with following(follow, store, settings, source):
        wait(lambda: users(store) == ["anna", "ben", "cleo", "dora"])
    assert rejects(source.rejects) == [("u.jsonl", 3)]


def test_the_command_says_what_does_not_go_together(kg: Kg, tmp_path: Path) -> None:
    refused = kg("ingest", "products", tmp_path, "--follow", "--sync")
    assert refused.code == 1
    assert "--follow takes one folder" in refused.err
    assert kg("ingest", "events", tmp_path / "nowhere", "--follow").code == 1
