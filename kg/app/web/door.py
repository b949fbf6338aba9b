"""How a person comes in where the server has API keys: a form takes the key, a cookie remembers it.

The cookie holds no key but a digest made with it, which opens pages and nothing
else: the API wants the key itself, in a header. So no page of another site can
use the cookie to ask the API, and whoever finds a cookie has no key. It is gone
when the browser is closed, and worth nothing once the key is taken away. Scripts
cannot read it, and other sites' links and forms do not send it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

COOKIE: Final = "kg_pages"

_PURPOSE: Final = b"shopgraph: pages"
"""What the digest is for: one made with the same key for something else opens nothing here."""


def digest(key: str) -> str:
    """What the cookie of somebody holds who has shown ``key``."""
    return hmac.new(key.encode(), _PURPOSE, hashlib.sha256).hexdigest()


class Door:
    """Knows the digests of the keys; without keys it stands open."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]
        self._digests = [digest(key) for key in keys]

    @property
    def locked(self) -> bool:
        """Whether there are keys at all."""
        return bool(self._digests)

    def admits(self, header: str) -> bool:
        """Whether a ``Cookie`` header opens the pages."""
        # A browser sends along what the programs at all ports of a machine have set. ``http.cookies`` reads none of a
        # header in which one holds what it does not know, as JSON.
        pairs = (pair.partition("=") for pair in header.split(";"))
        given = [value.strip().encode() for name, _, value in pairs if name.strip() == COOKIE]
        return any(_is_among(value, [d.encode() for d in self._digests]) for value in given)

    def knows(self, key: str) -> bool:
        """Whether ``key`` is one of the keys."""
        return _is_among(hashlib.sha256(key.encode()).digest(), [hashlib.sha256(k).digest() for k in self._keys])


def _is_among(value: bytes, known: Sequence[bytes]) -> bool:
    # All are compared, each in constant time: how long it takes says nothing about which was nearly right.
    return sum(hmac.compare_digest(value, one) for one in known) > 0


def within(target: str) -> str:
    """``target`` if it is a path of this server, else the first page: a link may not lead on to another site."""
    # Browsers read a backslash as a slash, and two of them as the beginning of another host.
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if fine and "\\" not in target else "/"
