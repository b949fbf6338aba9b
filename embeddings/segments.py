"""Communities of users by what they take an interest in, named after what sets them apart.

A user is described by the products met, and by their shelves, makers and
attribute values, each weighted by how few users have it (tf–idf). Users are
joined to those most like them by cosine, and Louvain's method (Blondel et al.
2008) cuts that graph into communities. In a large shop it cuts the graph of a
sample, and everybody else joins the community whose mean is nearest.

A name is made of the traits by which a community differs from the rest most
surely: z-scores of log odds with an informative Dirichlet prior (Monroe,
Colaresi and Quinn, Political Analysis 2008), which neither rare nor common
traits mislead. Ids stay with a community from run to run as long as most of its
members do, so that a campaign may refer to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import networkx as nx
import numpy as np
import scipy.sparse as sp

from kg.store import GraphStore
from kg.writer import batched

NEIGHBOURS: Final = 15
"""Users to whom each is joined."""
MOST_USERS: Final = 20_000
"""Users whose graph is cut; the others join what is found."""
LEAST_SHARE: Final = 0.02
"""Smaller communities are dissolved: nobody makes a campaign for them."""
MOST_TRAITS: Final = 8
_SURE: Final = 1.959964
"""z from which a trait is named: 95 %."""
_BLOCK: Final = 1_000
"""Users compared with all others at a time."""
_KINDS: Final = {"category": 1.0, "brand": 0.5, "attribute": 0.5}
"""Kinds of trait and how much each weighs beside the products themselves. A shelf says more than a maker does."""
_MOVED: Final = 0.5
"""Share of the members of an old community, or of a new one, that must be in both for the id to stay."""


@dataclass(frozen=True, slots=True)
class Audience:
    """What users met: one row a user, in the order of their ids."""

    users: tuple[str, ...]
    traits: tuple[tuple[str, str], ...]
    """Kind and name of each column of ``interest``."""
    products: sp.csr_matrix
    """Strength of the interest in each product, ``[users, products]``."""
    interest: sp.csr_matrix
    """The same summed over the products that have each trait, ``[users, traits]``."""


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that a community meets more often, or less, than the others do."""

    kind: str
    name: str
    inside: float
    """Its share of the interest of its kind."""
    outside: float
    z: float

    @property
    def short(self) -> str:
        """As a name says it: the last name of a path, the value of an attribute."""
        return self.name.rpartition(" > ")[2] if self.kind == "category" else self.name


@dataclass(frozen=True, slots=True)
class Segment:
    """One community."""

    id: str
    name: str
    members: tuple[str, ...]
    strengths: tuple[float, ...]
    """Cosine of each member's interests and the mean of all members'."""
    traits: tuple[Trait, ...]


# --- reading --------------------------------------------------------------------------------------------------

_MET: Final = """
UNWIND $users AS id
MATCH (u:User {id: id})-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(p:Product)
WHERE did.strength > 0.0
RETURN id AS user, collect([p.sku, did.strength]) AS met
"""
_TRAITS: Final = """
MATCH (p:Product)
RETURN p.sku,
       COLLECT { MATCH (p)-[:IN_CATEGORY]->(c:Category) RETURN DISTINCT c.path },
       COLLECT { MATCH (p)-[:MADE_BY]->(b:Brand) RETURN DISTINCT b.name },
       COLLECT { MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
                 RETURN DISTINCT v.attribute + ' ' + v.value + coalesce(' ' + v.unit, '') }
"""


def read_audience(store: GraphStore) -> Audience:
    """Read who met what, and what that is."""
    products: dict[str, int] = {}
    traits: dict[tuple[str, str], int] = {}
    has: list[tuple[int, int]] = []
    for sku, *named in sorted(store.stream(_TRAITS), key=lambda row: str(row[0])):
        row = products.setdefault(sku, len(products))
        for kind, names in zip(_KINDS, named, strict=True):
            has += ((row, traits.setdefault((kind, name), len(traits))) for name in sorted(names))
    users: list[str] = []
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    everyone = [row[0] for row in store.stream("MATCH (u:User) RETURN u.id ORDER BY u.id")]
    for batch in batched(everyone, 500):
        for met_by in sorted(store.read(_MET, users=list(batch)), key=lambda r: str(r["user"])):
            for sku, strength in met_by["met"]:
                rows.append(len(users))
                columns.append(products[sku])
                values.append(strength)
            users.append(met_by["user"])
    met = sp.csr_matrix((values, (rows, columns)), shape=(len(users), len(products)))
    at = np.array(has, dtype=np.int64).reshape(-1, 2)
    having = sp.csr_matrix((np.ones(len(at)), (at[:, 0], at[:, 1])), shape=(len(products), len(traits)))
    return Audience(tuple(users), tuple(traits), met, sp.csr_matrix(met @ having))


# --- finding --------------------------------------------------------------------------------------------------


def find_segments(
    audience: Audience, rng: np.random.Generator, *, most_users: int = MOST_USERS, least_share: float = LEAST_SHARE
) -> tuple[Segment, ...]:
    """The communities, the largest first; none where fewer than two are found."""
    n = len(audience.users)
    if n < 4:
        return ()
    x = _described(audience)
    sample = np.sort(rng.choice(n, most_users, replace=False)) if n > most_users else np.arange(n)
    communities = _communities(x[sample], int(rng.integers(2**31)), max(2.0, least_share * len(sample)))
    if len(communities) < 2:
        return ()
    means = _unit(sp.csr_matrix(np.stack([np.asarray(x[sample[m]].mean(axis=0)).ravel() for m in communities])))
    likeness = np.asarray((x @ means.T).toarray())
    of = likeness.argmax(axis=1)
    # Louvain's own word stands where it has spoken, save for those whose community was dissolved.
    for segment, members in enumerate(communities):
        of[sample[members]] = segment
    found: list[Segment] = []
    for segment in np.argsort(-np.bincount(of, minlength=len(communities)), kind="stable"):
        members = np.flatnonzero(of == segment)
        order = members[np.argsort(-likeness[members, segment], kind="stable")]
        found.append(
            Segment(
                id=f"s{len(found) + 1}",
                name="",
                members=tuple(audience.users[row] for row in order),
                strengths=tuple(float(likeness[row, segment]) for row in order),
                traits=_traits(audience, of == segment),
            )
        )
    return _named(found)


def _described(audience: Audience) -> sp.csr_matrix:
    """Users by what they met, tf–idf and unit length, ``[users, products + traits]``."""
    weights = np.array([_KINDS[kind] for kind, _ in audience.traits])
    parts = [_tf_idf(audience.products), sp.csr_matrix(_tf_idf(audience.interest) @ sp.diags_array(weights))]
    return _unit(sp.csr_matrix(sp.hstack(parts)))


def _tf_idf(counts: sp.csr_matrix) -> sp.csr_matrix:
    x = counts.tocsr(copy=True)
    x.data = np.log1p(x.data)
    users = np.bincount(x.indices, minlength=x.shape[1])
    # What a single user has joins nobody to anybody.
    idf = np.where(users > 1, np.log((1.0 + x.shape[0]) / (1.0 + users)), 0.0)
    return sp.csr_matrix(x @ sp.diags_array(idf))


def _unit(x: sp.csr_matrix) -> sp.csr_matrix:
    length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1.0 / np.maximum(length, 1e-12)) @ x)


def _communities(x: sp.csr_matrix, seed: int, least: float) -> list[np.ndarray]:
    """Rows of each community of at least ``least`` users, by Louvain's method on the nearest neighbours' graph."""
    graph = nx.Graph()
    graph.add_nodes_from(range(x.shape[0]))
    k = min(NEIGHBOURS, x.shape[0] - 1)
    for start in range(0, x.shape[0], _BLOCK):
        near = (x[start : start + _BLOCK] @ x.T).toarray()
        near[np.arange(len(near)), start + np.arange(len(near))] = 0.0
        for row, best in enumerate(np.argsort(-near, axis=1, kind="stable")[:, :k]):
            graph.add_weighted_edges_from(
                (start + row, int(other), float(near[row, other])) for other in best if near[row, other] > 0.0
            )
    found = nx.community.louvain_communities(graph, weight="weight", seed=seed)
    return [np.array(sorted(members)) for members in found if len(members) >= least]


def _traits(audience: Audience, inside: np.ndarray) -> tuple[Trait, ...]:
    """What sets the users ``inside`` (a mask) apart, the surest first, each kind compared within itself."""
    met = audience.interest
    counts_in = np.asarray(met[inside].sum(axis=0)).ravel()
    counts_out = np.asarray(met[~inside].sum(axis=0)).ravel()
    found = []
    for kind in _KINDS:
        columns = np.array([n for n, (k, _) in enumerate(audience.traits) if k == kind], dtype=np.int64)
        a, b = counts_in[columns], counts_out[columns]
        total_a, total_b = a.sum(), b.sum()
        if total_a == 0.0 or total_b == 0.0:
            continue
        # The prior is as much as one event a trait, spread as all users' events are.
        prior = (a + b) / (a + b).sum() * len(columns) + 1e-9
        odds_a = (a + prior) / (total_a + prior.sum() - a - prior + 1e-9)
        odds_b = (b + prior) / (total_b + prior.sum() - b - prior + 1e-9)
        z = (np.log(odds_a) - np.log(odds_b)) / np.sqrt(1.0 / (a + prior) + 1.0 / (b + prior))
        found += [
            Trait(kind, audience.traits[c][1], float(a[n] / total_a), float(b[n] / total_b), float(z[n]))
            for n, c in enumerate(columns)
        ]
    sure = sorted((t for t in found if t.z > _SURE), key=lambda t: (-t.z, t.kind, t.name))
    return tuple(sure[:MOST_TRAITS])


def _named(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Names of as few traits as tell the segments apart, two at least where there are two."""
    named: list[Segment] = []
    taken: set[str] = set()
    for segment in segments:
        words = list(dict.fromkeys(t.short for t in segment.traits))
        name = " · ".join(words[:2]) or "of all sorts"
        for more in range(3, len(words) + 1):
            if name not in taken:
                break
            name = " · ".join(words[:more])
        if name in taken:
            name = f"{name} ({segment.id})"
        taken.add(name)
        named.append(replace(segment, name=name))
    return tuple(named)


# --- writing --------------------------------------------------------------------------------------------------


def keep_ids(segments: Sequence[Segment], before: Mapping[str, str]) -> tuple[Segment, ...]:
    """Give each segment the id of the one before with which it shares most members, if that is most of either.

    Args:
        before: the id of the segment that each user belonged to.
    """
    sizes: dict[str, int] = {}
    for old in before.values():
        sizes[old] = sizes.get(old, 0) + 1
    shared: list[tuple[int, str, int]] = []
    for n, segment in enumerate(segments):
        counts: dict[str, int] = {}
        for user in segment.members:
            if user in before:
                counts[before[user]] = counts.get(before[user], 0) + 1
        shared += [
            (-both, old, n)
            for old, both in counts.items()
            if both > _MOVED * sizes[old] or both > _MOVED * len(segment.members)
        ]
    kept: dict[int, str] = {}
    for _, old, n in sorted(shared):
        if n not in kept and old not in kept.values():
            kept[n] = old
    numbers = (int(old[1:]) for old in sizes if old[1:].isdigit())
    fresh = max(numbers, default=0)
    result = []
    for n, segment in enumerate(segments):
        if n not in kept:
            fresh += 1
            kept[n] = f"s{fresh}"
        result.append(replace(segment, id=kept[n]))
    return tuple(result)


def write_segments(store: GraphStore, segments: Sequence[Segment], now: datetime) -> None:
    """Put the segments into the graph in place of those before, in batches; until the last a user may have none."""
    before = {row[0]: row[1] for row in store.stream("MATCH (u:User)-[:IN_SEGMENT]->(s:Segment) RETURN u.id, s.id")}
    kept = keep_ids(segments, before)
    store.write(
        "UNWIND $rows AS row\nMERGE (s:Segment {id: row.id})\nSET s = row, s.at = $now",
        rows=[
            {
                "id": s.id,
                "name": s.name,
                "users": len(s.members),
                "traits": [f"{t.kind} {t.name}" for t in s.traits],
                "inside": [t.inside for t in s.traits],
                "outside": [t.outside for t in s.traits],
                "z": [t.z for t in s.traits],
            }
            for s in kept
        ],
        now=now,
    )
    rows = [
        {"user": user, "segment": s.id, "strength": strength}
        for s in kept
        for user, strength in zip(s.members, s.strengths, strict=True)
    ]
    gone = sorted(set(before) - {row["user"] for row in rows})
    for users in batched(gone, 5_000):
        store.write("UNWIND $users AS id\nMATCH (:User {id: id})-[in:IN_SEGMENT]->()\nDELETE in", users=list(users))
    for part in batched(rows, 5_000):
        store.write(
            "UNWIND $rows AS row\nMATCH (u:User {id: row.user}), (s:Segment {id: row.segment})\n"
            "CALL (u, s) { MATCH (u)-[old:IN_SEGMENT]->(other) WHERE other <> s DELETE old }\n"
            "MERGE (u)-[in:IN_SEGMENT]->(s)\nSET in.strength = row.strength",
            rows=list(part),
        )
    store.write("MATCH (s:Segment)\nWHERE NOT s.id IN $ids\nDETACH DELETE s", ids=[s.id for s in kept])
