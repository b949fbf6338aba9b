"""Learning from a change alone, in the place of the live model: what moved is trained on and written, the rest stays.

Fine-tuning (:mod:`embeddings.finetuning`) saves choosing, but still exports, trains
and writes back the whole shop. Where a hundredth changes every few minutes, what
follows from that hundredth is

- of the **relations** the columns of the products whose users changed in number: in a small catalogue out of the
  inverse of the Gram matrix, which follows the change of a few users' rows by Woodbury's identity; in a large one by a
  ridge regression each, as in a full training;
- of the **network** the free vectors of users who did something and of new products, trained among neighbours that
  stand still; then one pass of messages through the graph, so that the neighbourhood follows;
- in the **graph** the vectors that turned, the relations that changed and the popularity, in one transaction, and only
  while the model is still the live one: no reader sees a part of it.

What was chosen (mixture, penalty, weights of edge types, the projection of content)
stays as the last full training left it. That pass and the edges' matrices are still
made of the whole graph, which takes a few sparse products: milliseconds for a hundred
thousand edges, where training takes hundreds of passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import scipy.sparse as sp
import torch

from embeddings import finetuning
from embeddings.choosing import Choice
from embeddings.content import Content, placed, unit_rows
from embeddings.export import NodeIndex
from embeddings.features import Features
from embeddings.finetuning import met_by
from embeddings.gcn import normalised_adjacency, unit
from embeddings.livewrite import Known, LiveChange, Relations, Seen, changes, write_change
from embeddings.mirror import Mirror, Renewed
from embeddings.mixture import similar_to
from embeddings.network import threads_for
from embeddings.prints import product_prints, user_prints
from embeddings.registry import Checkpoint, live
from embeddings.relations import prune_together, renewed
from embeddings.ridge import EXACT_PRODUCTS, by_user, following_weights, gram_of, ridge_weights
from embeddings.scoring import no_weights, popularity
from embeddings.shop import Shop
from embeddings.split import Interactions, interactions
from embeddings.standing import Behind, export_standing, read_standing
from kg.errors import CheckpointError, EmbeddingError
from kg.store import GraphStore
from kg.streams import mark

STEPS: Final = 30
"""Steps in which a change is trained. Few vectors are free, and each step sees all that is known of them."""
TURNED: Final = 0.002
"""1 − cosine from which a vector is written: three and a half degrees."""
SHIFTED: Final = 0.01
"""Change of a relation's weight from which it is written, as a share of its product's strongest."""
_POPULAR: Final = 1e-3
_NOTHING: Final = Behind(*(np.empty(0, dtype=np.int64) for _ in range(4)))


@dataclass(frozen=True, slots=True)
class Learned:
    """What a change came to."""

    users: int
    """Users of whom something was read anew."""
    products: int
    """Products likewise."""
    vectors: int
    """Vectors that were written."""
    relations: int
    """Relations that were written or deleted."""


class Learner:
    """The live model with all that is needed to go on learning: as it stands in the graph, not as it was trained.

    Raises:
        CheckpointError: the model is not live, or its checkpoint does not hold what training on needs.
    """

    def __init__(self, store: GraphStore, checkpoint: Checkpoint, *, seed: int = 0) -> None:
        self.version = checkpoint.version
        model = live(store)
        if model is None or model.version != self.version:
            raise self._not_live()
        exported = export_standing(store, model)
        data, index, self._turn = exported
        x = interactions(data)
        self._rng = np.random.default_rng(seed)
        self._settings = finetuning.settings_of(checkpoint)
        self._choice: Choice = finetuning.choice_of(checkpoint, index)
        self._mirror = Mirror(data, index, x)
        self._theta: dict[str, float] = dict(checkpoint.settings["edge_weights"])
        self._project = checkpoint.state.get("project.weight")
        self._layout = finetuning.layout_of(checkpoint)
        self._free = _placed(checkpoint, self._mirror, index)
        standing = read_standing(store, model, checkpoint, self._mirror, exported)
        self._learned_free, self._behind = standing.free, standing.behind
        self._similar, self._following = standing.similar, standing.following
        self._written = Relations.of(self._similar, self._following)
        self._users, self._products, self._popularity = standing.users, standing.products, standing.popularity
        self._met = x.matrix()
        self._features = self._mirror.features() if self._choice.features else None
        small = x.n_products <= EXACT_PRODUCTS
        self._inverse = _Inverse(self._met, self._choice.penalty, self._counting()) if small else None

    def learn(self, store: GraphStore, users: Iterable[str] = (), products: Iterable[str] = ()) -> Learned:
        """Learn what the graph held that the model did not know when this learner was made, and what came since.

        Args:
            users: who did something since.
            products: of which something else is said since, deleted ones among them.

        After an error this learner knows more than the graph: make another.

        Raises:
            CheckpointError: another model has become live, or another learner has written; this one has not.
        """
        users, products, behind = list(users), list(products), self._behind
        if not (users or products or behind):
            return Learned(0, 0, 0, 0)
        before, known = self._met, len(self._mirror.products)
        read = self._mirror.read(store, users, products)
        read = Renewed(np.union1d(read.users, behind.users), np.union1d(read.products, behind.products), read.gone)
        x = self._mirror.interactions()
        self._grow(x)
        self._met = x.matrix()
        before = _taller(before, self._met.shape)
        new = np.union1d(behind.new, np.arange(known, x.n_products))
        counted = np.zeros(x.n_products, dtype=bool)
        counted[(self._met - before).tocoo().col] = True
        counted[behind.columns] = True
        similar, following = self._relations(x, before, read, new, counted)
        # Whoever met again what they knew has told the network nothing: to it a pair has met or not.
        acted = np.union1d(behind.users, np.intersect1d(read.users, (self._met - before).tocoo().row))
        user_vectors, product_vectors = self._network(x, acted, new)
        popular = popularity(x)
        product_vectors[read.gone] = 0.0
        # Folding in may have moved whoever acted, so that they are written even if they are where they were.
        turned_users = np.union1d(_turned(self._users, user_vectors), read.users)
        turned_products = _turned(self._products, product_vectors)
        there = np.setdiff1d(np.arange(x.n_products), read.gone)
        popular_rows = there[np.abs(popular - self._popularity)[there] > _POPULAR]
        written, dropped, standing = changes(self._written, Relations.of(similar, following), new, SHIFTED)
        change = LiveChange(
            users={self._mirror.users.keys[r]: user_vectors[r] for r in turned_users},
            products={self._mirror.products.keys[r]: product_vectors[r] for r in turned_products},
            # Until now a new product had the place that folding in gave it.
            emptied=[self._mirror.products.keys[r] for r in new],
            written=written,
            dropped=dropped,
            skus=self._mirror.products.keys,
            popularity={self._mirror.products.keys[r]: float(popular[r]) for r in popular_rows},
            known_users=self._known_users(read.users),
            seen=self._seen(x, turned_users),
            known_products=self._known_products(x, np.union1d(np.union1d(read.products, new), np.flatnonzero(counted))),
        )
        turn = mark(store.now())
        if not write_change(store, self.version, change, before=self._turn, turn=turn):
            model = live(store)
            if model is None or model.version != self.version:
                raise self._not_live()
            raise CheckpointError(
                f"Another process has learned for model {self.version} since this one read the graph, so nothing of "
                "this was written. Nothing is lost: the next kg learn finds what is still to be learned."
            )
        self._turn, self._behind = turn, _NOTHING
        self._users[turned_users] = user_vectors[turned_users]
        self._products[turned_products] = product_vectors[turned_products]
        self._popularity[popular_rows] = popular[popular_rows]
        self._similar, self._following, self._written = similar, following, standing
        return Learned(
            users=len(read.users),
            products=len(read.products),
            vectors=len(turned_users) + len(turned_products),
            relations=len(written.keys) + len(dropped.keys),
        )

    def _not_live(self) -> CheckpointError:
        return CheckpointError(
            f"Model {self.version} is no longer live, so nothing that was learned for it was written. "
            "Begin with the model that is live now: kg learn."
        )

    def _seen(self, x: Interactions, rows: np.ndarray) -> dict[str, Seen]:
        met = np.bincount(x.users, minlength=x.n_users)[rows].tolist()
        last = x.last_at[rows].tolist()
        return {
            self._mirror.users.keys[r]: Seen(count, None if at != at else int(at))
            for r, count, at in zip(rows.tolist(), met, last, strict=True)
        }

    def _known_users(self, rows: np.ndarray) -> dict[str, Known]:
        prints, free = user_prints(self._mirror, rows), self._free["User"]
        return {
            self._mirror.users.keys[r]: Known(print, free[r])
            for r, print in zip(rows.tolist(), prints.tolist(), strict=True)
        }

    def _known_products(self, x: Interactions, rows: np.ndarray) -> dict[str, Known]:
        prints, free, met = product_prints(self._mirror, rows), self._free["Product"], met_by(x)
        return {
            self._mirror.products.keys[r]: Known(print, free[r], int(met[r]))
            for r, print in zip(rows.tolist(), prints.tolist(), strict=True)
        }

    def _grow(self, x: Interactions) -> None:
        """Empty rows for what is new."""
        n = x.n_products
        self._users, self._products = _longer(self._users, x.n_users), _longer(self._products, n)
        self._popularity = _longer(self._popularity, n)
        self._similar, self._following = (_taller(m, (n, n)) for m in (self._similar, self._following))
        for label, place in self._mirror.nodes().items():
            self._free[label] = _longer(self._free[label], place.stop - place.start)

    # --- relations -------------------------------------------------------------------------------------------

    def _relations(
        self, x: Interactions, before: sp.csr_matrix, read: Renewed, new: np.ndarray, counted: np.ndarray
    ) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """SIMILAR_TO's weight and next, with what changed in place of what was."""
        settings, choice, n = self._settings, self._choice, x.n_products
        columns = counted.copy()
        columns[read.products] = columns[new] = True
        rows = np.zeros(n, dtype=bool)
        rows[read.products] = rows[new] = True
        if self._features is not None:
            self._features = self._mirror.features(like=self._features)
        if self._inverse is not None and n <= EXACT_PRODUCTS:
            self._inverse.follow(before, self._met)
            self._inverse.hear(self._counting(), np.union1d(read.products, new))
            weights = self._inverse.weights(rows, columns)
        else:
            self._inverse = None
            features = self._counting()
            weights = ridge_weights(self._met, (choice.penalty,), features=features, columns=columns, rows=rows)[0]
        told = self._counting() if choice.next_features else None
        onward = following_weights(
            x, settings.recency, settings.next_penalty, features=told, columns=columns, rows=rows
        )
        of = np.flatnonzero(rows | columns)
        side = Shop(x.n_users, n, 0, Content({}), (), {}, self._mirror.side_parts(of))
        fresh = similar_to(side, x, weights, onward, choice.mixture, choice.lift, settings.outgoing)
        similar, following = prune_together(
            renewed(self._similar, fresh[0], rows, columns),
            renewed(self._following, fresh[1], rows, columns),
            choice.mixture.weights.next,
            settings.outgoing,
        )
        return _without(similar, read.gone), _without(following, read.gone)

    def _counting(self) -> Features | None:
        return None if self._features is None else self._features.times(self._choice.features)

    # --- network ---------------------------------------------------------------------------------------------

    def _network(self, x: Interactions, acted: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of all users and products after training those that are free."""
        places = self._mirror.nodes()
        of_users, of_products = places["User"], places["Product"]
        matrices = [
            normalised_adjacency(edges, self._mirror.n_nodes) * np.float32(self._theta[edges.name])
            for edges in self._mirror.edges(self._settings.edge_half_life)
            if edges.name in self._theta
        ]
        nowhere = no_weights(self._mirror.n_nodes, self._mirror.n_nodes)
        passing = reduce(lambda a, b: a + b, matrices, nowhere).tocsr()
        free = np.concatenate([self._free[label] for label in places])
        unplaced = np.flatnonzero(~free.any(axis=1))
        free[unplaced] = passing[unplaced] @ free
        # After what has no vector yet: that is to come out alike whichever learner computes it.
        for label, (rows, vectors) in self._learned_free.items():
            free[rows + places[label].start] = vectors
        self._learned_free = {}
        said = np.zeros_like(free)
        content = self._mirror.content
        known = content.together()
        if self._project is not None and known is not None:
            said[of_products] = known @ placed(self._project, self._layout, content.layout).T
        # Whoever is met by nobody has nothing to be trained by: they stand where what is said of them has put them.
        taken = new[np.isin(new, self._met.indices)]
        trained = np.concatenate([acted + of_users.start, taken + of_products.start])
        if len(trained):
            with threads_for(0, self._settings):  # one: of so few vectors a second thread has nothing to do
                free[trained] = self._train(x, passing, free, said, trained)
        for label, place in places.items():
            self._free[label] = free[place]
        whole = unit_rows(_propagated(passing, free + said, self._settings.layers))
        met = np.zeros(x.n_users, dtype=bool)
        met[x.users] = True
        return np.where(met[:, None], whole[of_users], 0.0).astype(np.float32), whole[of_products]

    def _train(
        self, x: Interactions, passing: sp.csr_matrix, free: np.ndarray, said: np.ndarray, trained: np.ndarray
    ) -> np.ndarray:
        """Free vectors of the nodes ``trained``, all others standing still; the softmax loss of a full training.

        Of their neighbours the messages are constants, so a step costs as much as these nodes are, whatever the shop.
        """
        settings, n_users = self._settings, x.n_users
        layers = _layers(passing, free + said, settings.layers)
        among = passing[trained][:, trained].tocoo()
        inner = torch.sparse_coo_tensor(
            torch.from_numpy(np.stack([among.row, among.col]).astype(np.int64)),
            torch.from_numpy(among.data.astype(np.float32)),
            size=among.shape,
            check_invariants=False,
        )
        around = [
            torch.from_numpy(np.asarray(layers[depth + 1][trained] - among @ layers[depth][trained], dtype=np.float32))
            for depth in range(settings.layers)
        ]
        fixed = torch.from_numpy(said[trained].astype(np.float32))
        mine = torch.nn.Parameter(torch.from_numpy(free[trained].astype(np.float32)))
        standing = torch.from_numpy(unit_rows(np.mean(layers, axis=0)))

        # Pairs of the users who are trained, and those of new products with whomever.
        place = np.full(len(free), -1, dtype=np.int64)
        place[trained] = np.arange(len(trained))
        met = self._met.tocoo()
        wanted = (place[met.row] >= 0) | (place[met.col + n_users] >= 0)
        users, of = np.unique(met.row[wanted], return_inverse=True)
        own = met.col[wanted].astype(np.int64)
        # Of what somebody has met, as in a full training: nothing speaks against a product that nobody knows.
        others = np.unique(met.col).astype(np.int64)
        if len(others) > settings.all_negatives:
            others = self._rng.choice(others, size=settings.all_negatives)
        # The positives stand before the negatives that all share; a positive's own column is counted once.
        targets, own_at = np.unique(own, return_inverse=True)
        columns = np.concatenate([targets, np.setdiff1d(others, targets)]) + n_users
        counted = torch.from_numpy(np.isin(columns - n_users, others))
        of_users, of_columns = _Picked(users, place, standing), _Picked(columns, place, standing)
        of_pairs, own_at_pairs = torch.from_numpy(of), torch.from_numpy(own_at)
        optimiser = torch.optim.Adam([mine], lr=settings.learning_rate)
        for step in range(STEPS if len(own) else 0):
            optimiser.param_groups[0]["lr"] = settings.learning_rate * (1.0 - 0.9 * step / STEPS)
            layer = mine + fixed
            total = layer
            for constant in around:
                layer = torch.sparse.mm(inner, layer) + constant
                total = total + layer
            out = unit(total)
            logits = of_users.of(out) @ of_columns.of(out).T / self._choice.network.temperature
            up = logits[of_pairs, own_at_pairs]
            down = torch.logsumexp(logits.masked_fill(~counted, -torch.inf), 1)[of_pairs]
            seen = counted[own_at_pairs]
            loss = (torch.where(seen, down, torch.logaddexp(up, down)) - up).mean()
            loss = loss + settings.decay * mine.pow(2).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        learned: np.ndarray = mine.detach().numpy()
        if not np.isfinite(learned).all():
            raise EmbeddingError(
                "Learning from the change gave NaN or infinity. Nothing was written; check text_embedding and strength "
                "of what changed, or train in full: kg train, kg promote."
            )
        return learned


class _Picked:
    """Unit vectors of some nodes: those that are trained as they are now, the others as they stand."""

    def __init__(self, nodes: np.ndarray, place: np.ndarray, standing: torch.Tensor) -> None:
        self._standing = standing[torch.from_numpy(nodes)]
        moving = np.flatnonzero(place[nodes] >= 0)
        self._at = torch.from_numpy(moving)
        self._from = torch.from_numpy(place[nodes[moving]])

    def of(self, out: torch.Tensor) -> torch.Tensor:
        return self._standing.index_put((self._at,), out[self._from])


class _Inverse:
    """(XᵀX + FFᵀ + λI)⁻¹ of the ridge, kept right while a few users' rows of X and a few products' of F change.

    Both by the identity of Woodbury.

    Args:
        met: who met what, of which X is made.
        features: F, what is said of the products; None for nothing.
    """

    def __init__(self, met: sp.csr_matrix, penalty: float, features: Features | None = None) -> None:
        self._penalty, self._features = penalty, features
        gram = gram_of(by_user(met), features)
        self._P = np.linalg.inv(gram + penalty * np.eye(len(gram)))

    def follow(self, before: sp.csr_matrix, now: sp.csr_matrix) -> None:
        """``before`` and ``now``: who met what, 1 each, of one shape; users may be new and products too."""
        n = now.shape[1]
        if len(self._P) < n:
            # A product that nobody had met is a row of the unit matrix, times λ.
            grown = np.eye(n) / self._penalty
            grown[: len(self._P), : len(self._P)] = self._P
            self._P = grown
        changed = np.unique((now - before).tocoo().row)
        if not len(changed):
            return
        rows = np.vstack([by_user(now[changed]).toarray(), by_user(before[changed]).toarray()]).astype(np.float64)
        sign = np.repeat([1.0, -1.0], len(changed))
        through = self._P @ rows.T  # [n, 2 · users]
        core = np.diag(sign) + rows @ through
        self._P -= through @ np.linalg.solve(core, through.T)

    def hear(self, features: Features | None, products: np.ndarray) -> None:
        """Of these products something else is said than before; ``features`` are those of all."""
        if features is None or self._features is None:
            return
        n = len(self._P)
        rows = features.gram(products) - self._features.taller(n).gram(products)
        self._features = features
        changed = np.flatnonzero(np.abs(rows).max(axis=1, initial=0.0) > 0.0)
        if not len(changed):
            return
        # The rows and the columns of these products change, and where they cross only once: U M Uᵀ with U the rows
        # beside the unit vectors of the products.
        c, rows, of = len(changed), rows[changed], products[changed]
        inverse_of_m = np.block([[np.zeros((c, c)), np.eye(c)], [np.eye(c), rows[:, of]]])
        through = np.hstack([self._P[:, of], self._P @ rows.T])
        core = inverse_of_m + np.vstack([through[of], rows @ through])
        self._P -= through @ np.linalg.solve(core, through.T)

    def weights(self, rows: np.ndarray, columns: np.ndarray) -> sp.csr_matrix:
        """Item–item weights, −P_ij / P_jj, in some rows and columns, ``[n, n]``; see ``ridge._ease``."""
        diagonal = np.diag(self._P)
        r, c = np.flatnonzero(rows), np.flatnonzero(columns)
        right = -self._P[:, c] / diagonal[c]
        right[c, np.arange(len(c))] = 0.0
        # Negative weights are nothing in the end, and most of a dense block.
        heads, tails = np.nonzero(right > 0.0)
        lower = -self._P[r, :] / diagonal
        lower[np.arange(len(r)), r] = 0.0
        lower[:, c] = 0.0
        up, across = np.nonzero(lower > 0.0)
        values = np.concatenate([right[heads, tails], lower[up, across]]).astype(np.float32)
        where = (np.concatenate([heads, r[up]]), np.concatenate([c[tails], across]))
        return sp.csr_matrix((values, where), shape=self._P.shape)


def _placed(checkpoint: Checkpoint, mirror: Mirror, index: NodeIndex) -> dict[str, np.ndarray]:
    """The checkpoint's free vectors by label, over the rows as they are now; zero for what it does not know."""
    free = np.array(checkpoint.state["free"])
    found, begin = {}, 0
    keys = {"User": checkpoint.users, "Product": checkpoint.products, **checkpoint.others}
    places = mirror.nodes()
    for label in places:
        then = keys.get(label, ())
        part, begin = free[begin : begin + len(then)], begin + len(then)
        found[label] = _rows_moved(part, index.rows(label, then), places[label].stop - places[label].start)
    return found


def _rows_moved(values: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros((n, *values.shape[1:]), dtype=np.float32)
    out[place[place >= 0]] = values[place >= 0]
    return out


def _longer(values: np.ndarray, n: int) -> np.ndarray:
    return values if len(values) == n else _rows_moved(values, np.arange(len(values)), n)


def _taller(matrix: sp.csr_matrix, shape: tuple[int, int]) -> sp.csr_matrix:
    """With empty rows and columns at the end."""
    indptr = np.pad(matrix.indptr, (0, shape[0] - matrix.shape[0]), mode="edge")
    return sp.csr_matrix((matrix.data, matrix.indices, indptr), shape=shape)


def _layers(passing: sp.csr_matrix, x: np.ndarray, layers: int) -> list[np.ndarray]:
    found = [x]
    for _ in range(layers):
        found.append(passing @ found[-1])
    return found


def _propagated(passing: sp.csr_matrix, x: np.ndarray, layers: int) -> np.ndarray:
    """:meth:`embeddings.gcn.HeteroLightGCN.propagate`, the types' matrices already added up."""
    mean: np.ndarray = np.mean(_layers(passing, x, layers), axis=0)
    return mean


def _turned(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Rows whose unit vector is another one by more than :data:`TURNED`; a zero row is another than any."""
    return np.flatnonzero(1.0 - np.einsum("ij,ij->i", before, now) > np.where(before.any(1) | now.any(1), TURNED, 2.0))


def _without(matrix: sp.csr_matrix, gone: np.ndarray) -> sp.csr_matrix:
    if not len(gone):
        return matrix
    there = np.ones(matrix.shape[0], dtype=np.float32)
    there[gone] = 0.0
    left = (sp.diags(there) @ matrix @ sp.diags(there)).tocsr().astype(np.float32)
    left.eliminate_zeros()
    return left
