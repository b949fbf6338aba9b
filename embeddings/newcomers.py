"""Products that hardly anyone has met: how far what is written of them stands in for what is not known.

The mixture is chosen by what users took next, and that is rarely a newcomer; its
side parts (text, brand, category, explicit relations) are weighed as company for
ridge weights, which a newcomer has none of. So the columns of newcomers are
lifted: their side parts count 1 + lift · 1/(1 + users who met it) times.

A place that a newcomer takes is taken from another product, so that for hits alone
newcomers would never be shown, and never become known. How often they should be
found is therefore a policy: :data:`SHARE` of the recall that the others have. The
lift is the least that does this where a tenth of the catalogue was made new. In a
catalogue without newcomers it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import scipy.sparse as sp

from embeddings.baselines import Ranker
from embeddings.evaluation import VALIDATION_USERS, metrics, rank_all, targets_of
from embeddings.split import Holdout, Interactions

LIFTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
DEFAULT: Final = 1.0
"""Where nothing can be chosen."""
SHARE: Final = 0.6
_EVERY: Final = 10
_CUTOFF: Final = 20


def lifted(side: sp.csr_matrix, met: np.ndarray, lift: float) -> sp.csr_matrix:
    """``side`` with the columns of newcomers lifted.

    Args:
        side: weights ``[n_products, n_products]`` that do not depend on what users did.
        met: users who met each product, ``[n_products]``.
    """
    return (side @ sp.diags((1.0 + lift / (1.0 + met)).astype(np.float32))).tocsr().astype(np.float32)


def without_a_tenth(x: Interactions, first: int) -> tuple[Interactions, np.ndarray]:
    """What is left when nobody has met every tenth product, and a mask of these, bool ``[n_products]``."""
    new = np.zeros(x.n_products, dtype=bool)
    new[first::_EVERY] = True
    return x.only(~new[x.products]), new


def choose_lift(
    fold: Holdout, new: np.ndarray, left: Interactions, ranker: Callable[[float], Ranker], rng: np.random.Generator
) -> tuple[float, Mapping[float, tuple[float, float]]]:
    """The lift, and for each that was tried recall@20 of the newcomers and of the fold's other targets.

    Args:
        fold: the split whose training part ``left`` is, less the newcomers.
        ranker: fitted to ``left``, for each lift.
    """
    gone = new[fold.train.products] & fold.train.known
    users, products = fold.train.users[gone], fold.train.products[gone]
    remembered = np.isin(users, left.users)
    users, products = users[remembered], products[remembered]
    chosen = np.sort(rng.permutation(len(users))[:VALIDATION_USERS])
    old = ~new[fold.products]
    both = (targets_of(users[chosen], products[chosen]), targets_of(fold.users[old], fold.products[old]))
    if not all(len(t.users) for t in both):
        return DEFAULT, {}
    hidden, barred = left.matrix(known_only=True), np.zeros(left.n_products, dtype=bool)
    found = {}
    for lift in LIFTS:
        recalls = []
        for targets in both:
            ranking = rank_all(ranker(lift), targets, hidden, barred, _CUTOFF)
            recall = metrics(ranking.ranks, targets.owner, len(targets.users), (_CUTOFF,))[f"recall@{_CUTOFF}"]
            recalls.append(recall)
        found[lift] = (recalls[0], recalls[1])
    wanted = SHARE * found[0.0][1]
    enough = [lift for lift in LIFTS if found[lift][0] >= wanted]
    return (enough[0] if enough else max(LIFTS, key=lambda lift: found[lift][0])), found
