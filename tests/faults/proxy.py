"""A network between a client and Neo4j that is cut when a seed says so: a small TCP proxy on the loopback.

What matters most is the moment between a COMMIT that was sent and the SUCCESS that tells of it: the client cannot know
then whether its transaction stands. A COMMIT is found in the client's bytes by the six of which it consists, in a chunk
of its own; that six bytes of somebody's vector read the same is not feared here.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

COMMIT: Final = b"\x00\x02\xb0\x12\x00\x00"


class How(StrEnum):
    """What becomes of the connection that is cut."""

    LOST = "lost"
    """Closed before the server has the message: nothing is committed."""
    UNTOLD = "untold"
    """The server has it, and has answered; then the connection is closed, and the client does not get the answer."""
    TORN = "torn"
    """Closed with half of what the client sent just then."""
    SILENT = "silent"
    """The server has it, nothing comes any more, and nobody closes: what a router that forgot a connection does."""
    MUTE = "mute"
    """Likewise, but the server has not got it: its transaction stays open, with its locks."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut."""

    at: int
    """How many messages after the one before: COMMITs, or for ``torn`` pieces of what the client sends."""
    how: How
    seconds: float
    """How long nobody gets through afterwards; all other connections are closed then too."""


def draw_cuts(rng: random.Random, most_commits: int) -> tuple[Cut, ...]:
    """One to three cuts within so many commits; one run in six falls silent instead."""
    if rng.random() < 1 / 6:
        return (Cut(rng.randint(1, most_commits), rng.choice((How.SILENT, How.MUTE)), rng.uniform(0, 1)),)
    count = rng.randint(1, 3)
    hows = rng.choices((How.UNTOLD, How.LOST, How.TORN), (3, 1, 1), k=count)
    return tuple(Cut(rng.randint(1, max(most_commits // count, 1)), how, rng.uniform(0, 0.5)) for how in hows)


class Proxy:
    """Listens on the loopback, passes on to ``port``, and makes the cuts in their order."""

    def __init__(self, port: int, cuts: Sequence[Cut] = ()) -> None:
        self._target = ("127.0.0.1", port)
        self._cuts = list(cuts)
        self._lock = threading.Lock()
        self._seen = 0
        self._closed_until = 0.0
        self._links: set[_Link] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._stopped = False
        self.ended_at: float | None = None
        """When the latest fault ended, by ``time.monotonic``."""
        self.recovered_at: float | None = None
        """When a commit was first confirmed after that."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"bolt://127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def left(self) -> int:
        """Cuts that are still to come."""
        return len(self._cuts)

    @property
    def recovery_s(self) -> float:
        """From the end of the latest fault until a commit was confirmed; infinite if none was."""
        if self.ended_at is None or self.recovered_at is None:
            return float("inf")
        return self.recovered_at - self.ended_at

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._listening.close()
        for link in tuple(self._links):
            link.close()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if time.monotonic() < self._closed_until:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._links.add(link := _Link(client, server, self))
            link.start()

    def sent(self, data: bytes, commit: bool) -> Cut | None:
        """Called for each piece that a client sends; the cut that is to be made with it."""
        with self._lock:
            if not self._cuts or not (commit or self._cuts[0].how is How.TORN):
                return None
            self._seen += 1
            if self._seen < self._cuts[0].at:
                return None
            self._seen = 0
            return self._cuts.pop(0)

    def cut(self, cut: Cut, at: _Link) -> None:
        """The cut is made: nobody gets through for a while."""
        with self._lock:
            self._closed_until = self.ended_at = time.monotonic() + cut.seconds
            self.recovered_at = None
        for link in tuple(self._links):
            if link is not at:
                link.close()

    def confirmed(self) -> None:
        """A commit was confirmed."""
        with self._lock:
            if self.ended_at is not None and self.recovered_at is None and time.monotonic() >= self.ended_at:
                self.recovered_at = time.monotonic()

    def ended(self, link: _Link) -> None:
        self._links.discard(link)


class _Link:
    """One connection, from the client's end to the server's."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: Proxy) -> None:
        self._client, self._server, self._proxy = client, server, proxy
        for end in (client, server):  # or each small piece waits 40 ms for the word that the one before has come
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._untold: Cut | None = None
        self._silent = False
        self._committing = False

    def start(self) -> None:
        for pump in (self._to_server, self._to_client):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def close(self) -> None:
        self._proxy.ended(self)
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _run(self, pump: object) -> None:
        with suppress(OSError):
            pump()  # type: ignore[operator]
        if not self._silent:
            self.close()

    def _to_server(self) -> None:
        tail = b""
        while data := self._client.recv(1 << 16):
            commit = COMMIT in tail + data
            tail = b"" if commit else data[1 - len(COMMIT) :]
            self._committing = commit
            cut = self._proxy.sent(data, commit)
            if cut is None:
                self._server.sendall(data)
            elif not self._made(cut, data):
                return

    def _made(self, cut: Cut, data: bytes) -> bool:
        """Make a cut; whether anything is to be read afterwards."""
        if cut.how is How.UNTOLD:
            self._untold = cut
            self._server.sendall(data)
            return True
        if cut.how in (How.SILENT, How.MUTE):
            self._silent = True
        if cut.how is How.SILENT:
            self._server.sendall(data)
        if cut.how is How.TORN:
            self._server.sendall(data[: len(data) // 2])
        self._proxy.cut(cut, self)
        return False

    def _to_client(self) -> None:
        while data := self._server.recv(1 << 16):
            if self._silent:
                continue
            if self._untold is not None:
                if data == b"\x00\x00":  # a sign of life, no answer
                    continue
                self._proxy.cut(self._untold, self)
                return
            self._client.sendall(data)
            if self._committing and data != b"\x00\x00":
                self._committing = False
                self._proxy.confirmed()
