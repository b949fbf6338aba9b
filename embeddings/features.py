"""What is said of the products, in the form in which a ridge reads it: as further rows of the matrix of who met what.

A dimension of the content (:mod:`embeddings.content`), a brand and an aspect are as if they were users: they have "met"
the products that they belong to, more or less. So a ridge learns from them which products go together even where hardly
anybody met both, and gives weights to a product that nobody has met (Jeunen, Van Balen and Goethals, RecSys 2020:
collective linear autoencoders). What counts, and how much, was chosen on validation splits of Musical Instruments,
where categories and attribute values added nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp

STRENGTH: Final[Mapping[str, float]] = {"MADE_BY": 1.0, "PRAISED_FOR": 0.5}
"""Relationship types by which products have something in common, and for how many users that counts. A vector of
unit length counts for one."""
MOST_SHARING: Final = 2_000
"""What more products than this share says nothing about any two of them, and is left out."""

Shared = Mapping[str, tuple[np.ndarray, np.ndarray, int]]
"""Relationship type → rows of the products, rows of what they are related to, and how many of the latter there are."""


@dataclass(frozen=True, slots=True)
class Features:
    """Of ``n`` products."""

    content: np.ndarray
    """float32 ``[n, width]``, without the mean of all products; zero rows for products without any."""
    members: sp.csr_matrix
    """float32 ``[n, m]``: brands and aspects, the rarer the more."""
    mean: np.ndarray
    """Of the products that have any, float32 ``[width]``."""
    worth: Mapping[str, np.ndarray]
    """Relationship type → what it is worth to share each of its ends, float32."""

    @classmethod
    def of(cls, content: np.ndarray | None, shared: Shared, n: int, *, like: Features | None = None) -> Features:
        """Make them.

        Args:
            content: float32 ``[n, width]``, zero rows for products without any; None where there is none at all.
            like: features of the same catalogue at an earlier time, whose mean and worths are kept, so that of
                products of which nothing else is said nothing changes.
        """
        content = np.zeros((n, 0), dtype=np.float32) if content is None else content
        there: np.ndarray = np.asarray(content.any(axis=1))
        mean = content[there].mean(axis=0) if there.any() else np.zeros(content.shape[1], dtype=np.float32)
        if like is not None and like.mean.shape == mean.shape:
            mean = like.mean
        known = {} if like is None else like.worth
        columns, worth = [], {}
        for type_ in sorted(STRENGTH.keys() & shared.keys()):
            products, others, n_others = shared[type_]
            member = sp.csr_matrix((np.ones(len(products)), (products, others)), shape=(n, n_others))
            member.data[:] = 1.0
            size = np.asarray(member.sum(axis=0)).ravel()
            told = np.where((size > 1) & (size <= MOST_SHARING), np.maximum(size, 1.0) ** -0.25, 0.0)
            before = known.get(type_, np.empty(0, dtype=np.float32))[:n_others]
            told[: len(before)] = before
            worth[type_] = told.astype(np.float32)
            columns.append(member @ sp.diags(np.sqrt(STRENGTH[type_]) * told))
        members = sp.hstack(columns, format="csr") if columns else sp.csr_matrix((n, 0))
        members.eliminate_zeros()
        centred = np.where(there[:, None], content - mean, 0.0).astype(np.float32)
        return cls(centred, members.astype(np.float32), mean, worth)

    def __bool__(self) -> bool:
        """Whether anything is said of any product."""
        return bool(self.content.any()) or self.members.nnz > 0

    def times(self, strength: float) -> Features:
        """The same, counting for ``strength`` times as many users."""
        root = np.float32(np.sqrt(strength))
        return replace(self, content=self.content * root, members=(self.members * root).tocsr())

    def taller(self, n: int) -> Features:
        """With products at the end of which nothing is said, up to ``n``."""
        more = n - len(self.content)
        members = sp.csr_matrix(
            (self.members.data, self.members.indices, np.pad(self.members.indptr, (0, more), mode="edge")),
            shape=(n, self.members.shape[1]),
        )
        return replace(self, content=np.pad(self.content, ((0, more), (0, 0))), members=members)

    def gram(self, of: np.ndarray | None = None) -> np.ndarray:
        """Inner products of the features of some products, or of all, with those of all, float64 ``[m, n]``."""
        content = self.content if of is None else self.content[of]
        members = self.members if of is None else self.members[of]
        found: np.ndarray = (content @ self.content.T).astype(np.float64)
        found += (members @ self.members.T).toarray()
        return found
