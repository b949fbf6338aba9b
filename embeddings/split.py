"""Who did what, as arrays; and ways of setting a part of it aside for validation.

A hold-out takes products of users away, with every trace of them: all
relationships between the two go, whatever their type, so that a purchase is not
predicted from the view that led to it. What the user wrote of the product stays
among what is said of it: on a product of one or two reviews its praise may
favour it for its author a little.

Several ways are offered because one is not enough: the last product is what a
shop wants to know next, a random product flatters models that look around the
user's past, and whoever lost a fifth of all products has less of a past to look
around. A setting that wins in only one of them is an accident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from torch_geometric.data import HeteroData

from embeddings.export import INTERACTIONS
from kg.errors import EmptyGraphError

KNOWN = ("BOUGHT", "RATED")
"""What a user has bought or rated is never recommended again; what was only looked at may be."""
DAY = 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """The relationships that show interest, one an entry; a user may have several with one product."""

    users: np.ndarray
    """Row of the user, int64 ``[e]``."""
    products: np.ndarray
    """Row of the product, int64 ``[e]``."""
    strength: np.ndarray
    """Interest before any decay, float64 ``[e]``, positive."""
    at: np.ndarray
    """Unix seconds of the latest event, float64 ``[e]``; NaN where unknown."""
    known: np.ndarray
    """Whether the relationship makes the product known to the user (:data:`KNOWN`), bool ``[e]``."""
    last_at: np.ndarray
    """Time of each user's latest event, float64 ``[n_users]``; NaN where unknown."""
    n_users: int
    n_products: int

    def __len__(self) -> int:
        return len(self.users)

    def only(self, kept: np.ndarray) -> Interactions:
        """Those of a boolean mask; the users' last times are those of what is kept."""
        users, at = self.users[kept], self.at[kept]
        return replace(
            self,
            users=users,
            products=self.products[kept],
            strength=self.strength[kept],
            at=at,
            known=self.known[kept],
            last_at=latest(users, at, self.n_users),
        )

    def matrix(self, *, known_only: bool = False) -> sp.csr_matrix:
        """1 where a user and a product have met, float32 ``[n_users, n_products]``."""
        kept = self.known if known_only else slice(None)
        users, products = self.users[kept], self.products[kept]
        met = sp.csr_matrix(
            (np.ones(len(users), dtype=np.float32), (users, products)), shape=(self.n_users, self.n_products)
        )
        met.sum_duplicates()
        met.data[:] = 1.0
        return met

    def interest(self, half_life_days: float) -> sp.csr_matrix:
        """Strengths summed, each halved so many days before the user's latest event; float64 ``[n_users, n_products]``.

        What has no time has not decayed.
        """
        age = np.nan_to_num((self.last_at[self.users] - self.at) / DAY, nan=0.0)
        weights = self.strength * 0.5 ** (np.maximum(age, 0.0) / half_life_days)
        summed = sp.csr_matrix((weights, (self.users, self.products)), shape=(self.n_users, self.n_products))
        summed.sum_duplicates()
        return summed


@dataclass(frozen=True, slots=True)
class Holdout:
    """What a model may see, and the pairs that it should then rank high."""

    train: Interactions
    users: np.ndarray
    """int64 ``[t]``, ascending; once for each product that is held out of the user."""
    products: np.ndarray
    """int64 ``[t]``"""


def latest(users: np.ndarray, at: np.ndarray, n_users: int) -> np.ndarray:
    """Greatest known time of each user, NaN for none."""
    last = np.full(n_users, -np.inf)
    timed = ~np.isnan(at)
    np.maximum.at(last, users[timed], at[timed])
    return np.where(np.isneginf(last), np.nan, last)


def interactions(data: HeteroData) -> Interactions:
    """The interactions of an exported subgraph; relationships without positive strength show no interest.

    Raises:
        EmptyGraphError: there are no users, no products, or no interactions between them.
    """
    n_users, n_products = int(data["User"].num_nodes or 0), int(data["Product"].num_nodes or 0)
    users, products, strength, at, known = [], [], [], [], []
    for type_ in INTERACTIONS:
        edge = ("User", type_, "Product")
        if edge not in data.edge_types:
            continue
        store = data[edge]
        index = store.edge_index.numpy()
        users.append(index[0])
        products.append(index[1])
        strength.append(np.nan_to_num(store.strength.numpy(), nan=1.0))
        at.append(store.at.numpy())
        known.append(np.full(index.shape[1], type_ in KNOWN))
    if n_users == 0 or n_products == 0 or sum(map(len, users)) == 0:
        raise EmptyGraphError(
            f"Nothing to learn from: {n_users} users, {n_products} products and {sum(map(len, users))} interactions "
            "between them. Load events (kg ingest events FILE) or reviews, then train again."
        )
    u, p, s, t, k = (np.concatenate(parts) for parts in (users, products, strength, at, known))
    shown = s > 0
    u, p, s, t, k = u[shown], p[shown], s[shown], t[shown], k[shown]
    if len(u) == 0:
        raise EmptyGraphError(
            "Nothing to learn from: no interaction has a positive strength. Load events that show interest "
            "(viewed, carted, bought, rated), then train again."
        )
    last = data["User"].last_at.numpy() if "last_at" in data["User"] else latest(u, t, n_users)
    return Interactions(u, p, s, t, k, last, n_users, n_products)


def hold_out(
    x: Interactions,
    rng: np.random.Generator,
    *,
    by_time: bool,
    least: int = 2,
    most: int = 20_000,
    among: np.ndarray | None = None,
    share: np.ndarray | None = None,
) -> Holdout:
    """Set aside one product, or a share, of each user who has met at least ``least``.

    Args:
        by_time: the user's latest products, by time and then by row; a user without times gives random ones.
            Otherwise random ones of each.
        most: users to hold out of; beyond that, a random choice of them.
        among: bool ``[n_users]``, of whom something may be held out; of everybody by default.
        share: float ``[n_users]``, of the products that each user has met how much is held out, but one at least; one
            by default.
    """
    # Only what would be recommended is worth predicting: what was bought or rated, where the shop has such.
    eligible = x.known if x.known.any() else np.ones(len(x), dtype=bool)
    when = np.where(np.isnan(x.at), -np.inf, x.at)
    pairs, inverse = np.unique(x.users * x.n_products + x.products, return_inverse=True)
    pair_user, pair_product = pairs // x.n_products, pairs % x.n_products
    pair_time = np.full(len(pairs), -np.inf)
    np.maximum.at(pair_time, inverse, when)
    pair_eligible = np.zeros(len(pairs), dtype=bool)
    np.logical_or.at(pair_eligible, inverse, eligible)

    met = np.bincount(pair_user, minlength=x.n_users)
    willing = np.ones(x.n_users, dtype=bool) if among is None else among
    candidates = np.flatnonzero(pair_eligible & (met[pair_user] >= least) & willing[pair_user])
    chance = rng.random(len(candidates))
    if by_time:
        # Without any time the order of rows means nothing, so chance decides.
        timed = ~np.isneginf(pair_time[candidates])
        chance = np.where(timed, pair_product[candidates] / x.n_products, chance)
        order = np.lexsort([chance, pair_time[candidates], pair_user[candidates]])
    else:
        order = np.lexsort([chance, pair_user[candidates]])
    ordered = candidates[order]
    owner = pair_user[ordered]
    after = np.searchsorted(owner, owner, side="right") - 1 - np.arange(len(owner))
    wanted = 1 if share is None else np.maximum(np.round(share * met), 1)[owner]
    taken = ordered[after < wanted]
    users = np.unique(owner)
    if len(users) > most:
        taken = taken[np.isin(pair_user[taken], rng.choice(users, most, replace=False))]
    kept = ~np.isin(inverse, taken)
    return Holdout(x.only(kept), pair_user[taken], pair_product[taken])
