"""Fingerprints of what training sees of each user and product: two that are equal have nothing new to learn.

A checkpoint keeps those of the graph that it was trained on. Whoever learns later
compares them with the graph as it is, so that whatever changed is found, whoever
changed it: a load, a stream, an extraction, a removal, or a curator by hand. No
writer has to leave a mark, and no clock has a say.

A print is a sum of hashes of keys, so neither rows nor their order matter. What
recurs without being new to the model (another event of a known pair) leaves it as
it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from embeddings.mirror import Mirror
from embeddings.relations import part_of

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def user_prints(mirror: Mirror, rows: np.ndarray) -> np.ndarray:
    """Of the set of products that each has met, int64 ``[rows]``; 0 for none."""
    met = mirror.interactions().matrix()[rows]
    totals = np.zeros(len(rows), dtype=np.uint64)
    of = np.repeat(np.arange(len(rows)), np.diff(met.indptr))
    _count(totals, of, "met", _hashes(mirror.products.keys)[met.indices])
    return totals.view(np.int64)


def product_prints(mirror: Mirror, rows: np.ndarray) -> np.ndarray:
    """Of the content and of the relationships from each to brands, shelves, products …, int64 ``[rows]``."""
    totals = np.zeros(len(rows), dtype=np.uint64)
    place = np.full(len(mirror.products), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    for name, vectors in mirror.content.blocks.items():
        told = [(n, row) for n, row in enumerate(rows) if vectors[row].any()]
        hashes = np.array([_hash(vectors[row].tobytes()) for _, row in told], dtype=np.uint64)
        _count(totals, np.array([n for n, _ in told], dtype=np.int64), part_of(name), hashes)
    for name, (heads, tails), keys in mirror.named_edges():
        mine = place[heads] >= 0
        _count(totals, place[heads[mine]], name, _hashes(keys)[tails[mine]])
    return totals.view(np.int64)


def _count(totals: np.ndarray, of: np.ndarray, kind: str, hashes: np.ndarray) -> None:
    # A sum of plain hashes would not tell a brand from a shelf of the same name.
    mixed = (hashes ^ np.uint64(_hash(kind.encode()))) * _ODD
    np.add.at(totals, of, mixed ^ (mixed >> np.uint64(29)))


def _hashes(keys: Sequence[str]) -> np.ndarray:
    return np.fromiter((_hash(key.encode()) for key in keys), dtype=np.uint64, count=len(keys))


def _hash(value: bytes) -> int:
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "little")
