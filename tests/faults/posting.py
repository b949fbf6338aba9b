"""An endpoint for posted records is killed at random moments, while a client sends again whatever it got no answer to.

What the client was told is loaded must stand in the graph, once: in the end the graph is that of a clean load of the
same records. Events without a time are told apart by the key of their request.
"""

from __future__ import annotations

import http.client
import logging
import random
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import structlog

from kg import localdb, streams
from kg.app import jobs
from kg.app.receive import receive
from kg.app.server import listening_at
from kg.settings import Settings
from kg.store import GraphStore
from tests.faults.outcome import Played, Scene
from tests.faults.processes import context
from tests.faults.stream import PATIENCE_S, different, plain, shop_with_model, stream_plan, wait

LINES: Final = 10
"""Of a request."""
KILLS: Final = 4


def play(scene: Scene, seed: int) -> Played:
    """One run."""
    began = time.monotonic()
    rng = random.Random(seed)
    folder = scene.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # One file: of two, equal events without a time would be one in a clean load.
    whole = stream_plan(seed, kind="events").files[0]
    lines = whole.splitlines(keepends=True)
    requests = [b"".join(lines[n : n + LINES]) for n in range(0, len(lines), LINES)]
    shop_with_model(scene.store)
    port = _free_port()
    process = _start(scene.connection, folder, port)
    recovery_s = 0.0
    with _posting(port, requests) as client:
        for kill in range(KILLS):
            # As much as is left is spread over the kills: each meets requests.
            until = client.answered + rng.randint(1, max((len(requests) - client.answered) // (KILLS + 1 - kill), 1))
            wait(lambda until=until: client.answered >= min(until, len(requests)))  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
            process.join(PATIENCE_S)
            killed, before = time.monotonic(), client.answered
            process = _start(scene.connection, folder, port)
            wait(lambda before=before: client.answered > min(before, len(requests) - 1))  # type: ignore[misc]
            recovery_s = max(recovery_s, time.monotonic() - killed)
        wait(lambda: client.answered == len(requests))
        wait(lambda: streams.count_waiting(scene.store) == 0)
    # Where all was answered before the last kill, the process has only just begun, and cannot be asked to go yet.
    wait(lambda: _answers(port))
    process.terminate()
    process.join(PATIENCE_S)
    found = [] if process.exitcode == 0 else [f"The process that was asked to go ended with {process.exitcode}."]
    found += [f"A request was refused with {status}." for status in client.refused]
    if not client.again:
        found.append("No kill met a request: nothing was shown.")
    streamed = plain(scene.store, ids=False)
    shop_with_model(scene.store)
    (folder / "clean.jsonl").write_bytes(whole)
    settings = Settings.load({"KG_HOME": str(folder / "clean")})
    jobs.ingest(scene.store, settings, "events", [folder / "clean.jsonl"])
    pairs = different(streamed, plain(scene.store, ids=False))[:5]
    found += [f"{name}: {one} instead of {other}" for name, one, other in pairs]
    said = f"{KILLS} kills of an endpoint, {client.again} of {len(requests)} requests sent again"
    return Played("post", seed, said, found, recovery_s, time.monotonic() - began)


class _Client(threading.Thread):
    """Posts one request after the other, each until it is answered."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        super().__init__(name="client", daemon=True)
        self.answered = 0
        self.again = 0
        """Times that a request was sent again that may have been taken."""
        self.refused: list[int] = []
        """What was answered that is neither success nor a wish that it be sent later."""
        self.stopped = False
        self._url = f"http://127.0.0.1:{port}/events"
        self._requests = requests

    def run(self) -> None:
        for number, body in enumerate(self._requests):
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"request {number}"}
            while not self.stopped and not self._sent(urllib.request.Request(self._url, body, headers)):
                time.sleep(0.02)
            self.answered += 1

    def _sent(self, request: urllib.request.Request) -> bool:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            if error.code in (429, 503):
                return False
            if error.code != 422:  # nothing of it was a record that can be loaded
                self.refused.append(error.code)
            return True
        except urllib.error.URLError as error:
            # A connection that was refused carried nothing; any other may have.
            self.again += not isinstance(error.reason, ConnectionRefusedError)
            return False
        except (OSError, http.client.HTTPException):  # it broke off before the answer
            self.again += 1
            return False


@contextmanager
def _posting(port: int, requests: Sequence[bytes]) -> Iterator[_Client]:
    client = _Client(port, requests)
    client.start()
    try:
        yield client
    finally:
        client.stopped = True
        client.join(PATIENCE_S)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=PATIENCE_S) as answer:
            return bool(answer.status < 300)
    except (OSError, http.client.HTTPException):
        return False


def _start(connection: localdb.Connection, folder: Path, port: int) -> ForkServerProcess:
    process = context.Process(target=_serve, args=(connection, folder, port), daemon=True)
    process.start()
    return process


def _serve(connection: localdb.Connection, folder: Path, port: int) -> None:
    """What ``kg ingest all http://127.0.0.1:PORT --follow`` does, for events."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = Settings.load({"KG_HOME": str(folder / "home"), "KG_BATCH_SIZE": "25"})
    with (
        listening_at("127.0.0.1", port) as listening,
        GraphStore.connect(connection.uri, connection.username, connection.password) as store,
    ):
        rejects = folder / "rejects.jsonl"
        receive(store, settings, listening, kinds=("events", "users"), rejects=rejects, create_missing=False)
