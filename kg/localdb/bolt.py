"""Ports and the first words of Bolt: enough to know that a server is up, without a driver."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

LOOPBACK = "127.0.0.1"
# A client opens with a magic number and four offers of four bytes: zero, how many minor versions below, minor, major.
# Here 5.8 down to 5.0, 4.4 down to 4.2, and two empty offers. The server answers with the one it takes, or zeros.
_HELLO = bytes.fromhex("6060b017 00080805 00020404 00000000 00000000")

LASTING_PORTS: Final = range(20_000, 32_768)
"""Below those from which Linux (32768 on), macOS and Windows (49152 on) take the ports of outgoing connections."""


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a server that speaks Bolt listens on this loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s) as connection:
            connection.sendall(_HELLO)
            chosen = connection.recv(4)
    except OSError:
        return False
    return len(chosen) == 4 and chosen[:2] == b"\0\0" and any(chosen)


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        if os.name == "posix":
            # Connections of the server just stopped linger for a minute; they do not occupy the port. (On Windows
            # the same option would let two servers share a port.)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that is free now, and that no outgoing connection is given.

    A server is found again where it was: while it is away, the system must not lend its port to somebody's connection,
    least of all to that of a client which tries to reach it.
    """
    for port in random.sample(LASTING_PORTS, 50):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        lent: int = probe.getsockname()[1]
    return lent
