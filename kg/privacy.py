"""Pseudonyms: how a customer's id becomes the one that the graph holds.

Without a key the shop's own id is kept, which should then be opaque already
(a number, never an e-mail address). With ``KG_PSEUDONYM_KEY`` set it is a
keyed hash: whoever reads the graph without the key cannot tell who it is, and
the shop, which has the key, can still ask for one user's recommendations.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

Pseudonym = Callable[[str], str]
"""From the shop's id of a user to the graph's."""


def pseudonymiser(key: str | None) -> Pseudonym:
    """HMAC-SHA256 under ``key``, 32 hex digits; without a key :class:`str` itself, which a page looks for."""
    if key is None:
        return str
    secret = key.encode()
    return lambda user: hmac.new(secret, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
