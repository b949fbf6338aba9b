"""``kg serve`` as a process: what it prints, answers, refuses, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kg import localdb
from kg.store import GraphStore
from tests.app.conftest import Kg

KEYS = "the-first-key-of-all, the-second-key-of-all"


@pytest.fixture
def serving(shop: GraphStore, database: localdb.Connection, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """``kg serve`` with two keys, on a free port."""
    with served(database, tmp_path) as process:
        yield process


@contextmanager
def served(database: localdb.Connection, tmp_path: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "kg.app.cli", "serve", "--port", "0"],
        env=os.environ
        | {
            "KG_HOME": str(tmp_path),
            "NEO4J_URI": database.uri,
            "NEO4J_PASSWORD": database.password,
            "KG_API_KEYS": KEYS,
            **settings,
        },
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_serves_until_it_is_told_to_stop(serving: subprocess.Popen[str]) -> None:
    assert serving.stderr is not None
    said = serving.stderr.readline()
    found = re.fullmatch(r"Serving \d+ queries at (http://127\.0\.0\.1:\d+), with API keys; Ctrl-C stops\.\n", said)
    assert found, said
    with httpx.Client(base_url=found[1], timeout=60) as http:
        assert http.get("/health").json() == {"status": "ok", "neo4j": True, "model": None}
        assert http.get("/query/product/profile?sku=G1").status_code == 401
        http.headers["X-API-Key"] = "the-second-key-of-all"
        answer = http.get("/query/product/compare", params={"skus": ["G1", "G2"]})
        assert (answer.status_code, answer.json()["reason"]) == (200, None)
        assert "server" not in answer.headers
        streamed = http.get(answer.url, headers={"Accept": "application/x-ndjson"})
        *rows, end = (json.loads(line) for line in streamed.iter_lines())
        assert rows == answer.json()["rows"]
        assert end["_end"]["rows"] == len(rows)
        # More than the server will read: it answers, and hangs up.
        answer = http.post("/query/product/compare", content=b" " * 2_000_000)
        assert answer.status_code == 413
    for raw in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", httpx.URL(found[1]).port or 0), timeout=60) as connection:
            connection.sendall(raw)
            assert connection.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    serving.send_signal(signal.SIGTERM)
    out, err = serving.communicate(timeout=60)
    assert (serving.returncode, out, "Traceback" in err) == (0, "", False)
    assert "G1" not in err
    assert "second-key" not in err


def test_it_says_at_once_that_the_encoder_is_missing_and_serves_all_else(
    shop: GraphStore, database: localdb.Connection, tmp_path: Path
) -> None:
    with served(database, tmp_path, KG_ENCODER=str(tmp_path / "nothing")) as serving:
        assert serving.stderr is not None
        said = [serving.stderr.readline(), serving.stderr.readline()]
        assert any("Searches and questions are answered with an error." in line for line in said), said
        (address,) = (found[1] for line in said if (found := re.search(r"at (http://\S+),", line)))
        with httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": "the-second-key-of-all"}) as http:
            assert http.get("/query/product/profile?sku=G1").json()["rows"]
            assert http.post("/search", json={"text": "guitar"}).status_code == 503
        serving.send_signal(signal.SIGTERM)
        _, err = serving.communicate(timeout=60)
    assert (serving.returncode, "Traceback" in err) == (0, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org", ""])
def test_without_keys_it_serves_this_machine_alone(kg: Kg, host: str) -> None:
    answer = kg("serve", "--host", host)
    assert (answer.code, "Set KG_API_KEYS" in answer.err) == (1, True)


def test_a_key_that_can_be_guessed_is_refused_without_being_shown(kg: Kg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_API_KEYS", "a-key-that-is-long-enough,hunter2")
    answer = kg("serve")
    assert (answer.code, "key 2 of 2 is shorter" in answer.err) == (1, True)
    assert "hunter2" not in answer.err


def test_a_port_that_is_taken_is_named(kg: Kg) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = kg("serve", "--port", taken.getsockname()[1])
    assert (answer.code, "Cannot listen at 127.0.0.1" in answer.err) == (1, True)
