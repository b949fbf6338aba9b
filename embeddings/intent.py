"""How purchases follow from what was done before: the model that ``cypher/insight/purchase_intent.cypher`` reads.

A user's purchases are taken for a self-exciting point process (Hawkes,
Biometrika 1971). The intensity of buying product p at time t, per day, is

    λ(u, p, t) = g(t) · [ ρ_u · q_p  +  Σ_e  a_k · κ_k · exp(−κ_k (t − t_e − δ)) · w_k(e, p) ]

over the user's earlier events e, each sending out a wave of its kind k: a look
or a cart is followed by a purchase of the same product, a purchase of what is
consumed by another of it, a purchase by one of something related, and a look or
a purchase by one from the same shelf (by the products' shares of the shelf). ρ_u
is the user's own rate, Gamma distributed over users, q_p the product's share of
all purchases, and g(t) how busy the shop is, week by week, relative to its median:
without it a Christmas would pass for eagerness of those who bought before it.
Waves begin δ = 1 hour after their event, when the visit is over:
within a visit nearly every purchase follows its own look and cart, which would
explain all and foretell nothing.

The amounts a_k and half-lives ln 2 / κ_k come from expectation maximisation
(Veen and Schoenberg 2008), which attributes each purchase to the habit or to the
waves that may have caused it. Since intensities add up, the expected number of
purchases of a shelf is the sum over its products, in closed form; the query
computes it. It counts neither what purchases in the days ahead will cause in turn
nor that tastes differ from user to user; what that costs is made good by a
complementary log-log calibration on the latest months, which the fit for that
purpose has not seen. The shop is expected to stay as busy as it was in the latest
weeks: within a first year nothing says that Christmas ends.

Learned relations (``SIMILAR_TO``) send out no waves: they were learned from the
very purchases that would seem to confirm them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final

import numpy as np
import scipy.sparse as sp

from kg.store import GraphStore
from kg.writer import batched

DAY: Final = 86_400
VISIT_S: Final = 3_600
"""δ: what happens within an hour is one visit."""
WAVES: Final = ("viewed", "carted", "again", "related", "shelf_viewed", "shelf_bought")
VIEWED, CARTED, BOUGHT = range(3)
_KINDS: Final = {"VIEWED": VIEWED, "CLICKED": VIEWED, "CARTED": CARTED, "BOUGHT": BOUGHT}
_SENT_BY: Final = np.array([VIEWED, CARTED, BOUGHT, BOUGHT, VIEWED, BOUGHT])
"""The kind of event that sends out each wave."""

MOST_USERS: Final = 5_000
"""Users from whose events the model is fitted, drawn at random: its twenty numbers need no more."""
LATEST_EVENTS: Final = 500
"""Of a user at most so many are read, as in the query."""
_START_DAYS: Final = np.array([3.0, 3.0, 30.0, 14.0, 7.0, 30.0])
"""Half-lives from which the fit sets out."""
_LEAST_DAYS, _MOST_DAYS = 0.1, 365.0
_ROUNDS: Final = 60
HORIZON_DAYS: Final = 30
"""How far ahead the calibration looks."""
CUTS: Final = 3
"""Horizons, one after the other up to the latest event, on which it is calibrated."""
LATEST_WEEKS: Final = 4
"""Weeks whose mean is taken for the level of those to come: a month of 30 purchases is off by a fifth by chance."""
_QUIET: Final = 5.0
"""Purchases of a usual week that are added to each week's own, so that a week of two is no trend."""
_ENOUGH: Final = 0.2
"""Share of the users who must have come by a week for it to say what a week is like."""
_POINTS: Final = (np.arange(8) + 0.5) / 8
"""Quantiles of a wave at which it is asked how busy the shop was."""
_FEWEST: Final = 20
"""With fewer purchases to calibrate by, the model is taken at its word."""


@dataclass(frozen=True, slots=True)
class IntentModel:
    """What stands on the node ``IntentModel``; see the schema for each property."""

    until: int
    rate: float
    shape: float
    own: float
    share_total: float
    level: float
    """g at the end: how busy the shop was of late, relative to its median week."""
    amounts: Mapping[str, float]
    """a_k by wave: purchases that follow one event."""
    half_lives: Mapping[str, float]
    """By wave, days."""
    visit_viewed: float = 0.0
    visit_carted: float = 0.0
    intercept: float = 0.0
    slope: float = 1.0

    def as_properties(self) -> dict[str, float | int]:
        """As the node's properties."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("amounts", "half_lives")}
        return {**plain, **self.amounts, **{f"{name}_days": value for name, value in self.half_lives.items()}}


@dataclass(frozen=True, slots=True)
class Events:
    """One user's looks, carts and purchases, in order of time."""

    user: str
    at: np.ndarray
    """Unix seconds, int64 ``[n]``."""
    kind: np.ndarray
    """VIEWED, CARTED or BOUGHT, int8 ``[n]``."""
    product: np.ndarray
    """Rows of the products, int64 ``[n]``."""
    before: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows of what was bought before the first of these."""

    def until(self, at: int) -> Events:
        """Those up to a moment, the latest :data:`LATEST_EVENTS` of them."""
        past = np.flatnonzero(self.at <= at)
        older, keep = past[:-LATEST_EVENTS], past[-LATEST_EVENTS:]
        before = np.union1d(self.before, self.product[older][self.kind[older] == BOUGHT])
        return Events(self.user, self.at[keep], self.kind[keep], self.product[keep], before)

    @property
    def bought(self) -> np.ndarray:
        """Rows of what was ever bought, each once."""
        return np.union1d(self.before, self.product[self.kind == BOUGHT])


@dataclass(frozen=True, slots=True)
class Market:
    """What is sold, and what people did; products are rows in the order of their skus."""

    skus: tuple[str, ...]
    consumable: np.ndarray
    """bool ``[p]``."""
    active: np.ndarray
    """bool ``[p]``."""
    weight: np.ndarray
    """Buyers + 0.5, float ``[p]``: half a purchase is everybody's share."""
    shelf: np.ndarray
    """Row of the first of its categories, in the order of their paths, int64 ``[p]``; -1 for none."""
    shelves: tuple[str, ...]
    """Paths."""
    related: sp.csr_matrix
    """``[p, p]``, each row's sum 1 or 0: what belongs to, works with or is bought with it."""
    users: tuple[Events, ...]

    @property
    def latest(self) -> int:
        """Time of the latest event."""
        return max((int(e.at[-1]) for e in self.users if len(e.at)), default=0)


# --- reading --------------------------------------------------------------------------------------------------


def read_market(store: GraphStore, rng: np.random.Generator, *, most_users: int = MOST_USERS) -> Market:
    """Read products, their relations, and the events of at most ``most_users`` users."""
    products = sorted(store.stream(_PRODUCTS), key=lambda row: str(row[0]))
    rows = {sku: n for n, (sku, *_) in enumerate(products)}
    shelves = tuple(sorted({path for *_, path in products if path is not None}))
    places = {path: n for n, path in enumerate(shelves)}
    pairs = np.array(
        [(rows[a], rows[b]) for a, b in store.stream(_RELATED) if a in rows and b in rows], dtype=np.int64
    ).reshape(-1, 2)
    related = sp.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    related.data[:] = 1.0  # several sources of one relation are one
    counts = np.asarray(related.sum(axis=1)).ravel()
    users = [row[0] for row in store.stream("MATCH (u:User) WHERE u.last_at IS NOT NULL RETURN u.id ORDER BY u.id")]
    if len(users) > most_users:
        users = [users[n] for n in sorted(rng.choice(len(users), most_users, replace=False))]
    return Market(
        skus=tuple(rows),
        consumable=np.array([row[1] for row in products], dtype=bool),
        active=np.array([row[2] for row in products], dtype=bool),
        weight=np.array([row[3] for row in products], dtype=float) + 0.5,
        shelf=np.array([places.get(row[4], -1) for row in products], dtype=np.int64),
        shelves=shelves,
        related=sp.csr_matrix(sp.diags_array(1.0 / np.maximum(counts, 1.0)) @ related),
        users=tuple(_read_events(store, users, rows)),
    )


_PRODUCTS: Final = """
MATCH (p:Product)
RETURN p.sku, coalesce(p.consumable, false), p.active, COUNT { (p)<-[:BOUGHT]-() },
       COLLECT { MATCH (p)-[:IN_CATEGORY]->(c:Category) RETURN c.path ORDER BY c.path LIMIT 1 }[0]
"""
_RELATED: Final = """
MATCH (h:Product)-[:ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH]-(p:Product)
WHERE h <> p
RETURN DISTINCT h.sku, p.sku
"""
_EVENTS: Final = """
UNWIND $users AS id
MATCH (u:User {id: id})-[did:VIEWED|CLICKED|CARTED|BOUGHT]->(p:Product)
UNWIND did.times AS at
WITH id, type(did) AS kind, p.sku AS sku, at
WHERE at >= 0
RETURN id AS user, collect([at, kind, sku]) AS events
ORDER BY user
"""


def _read_events(store: GraphStore, users: Sequence[str], rows: Mapping[str, int]) -> Iterator[Events]:
    for batch in batched(users, 500):
        for row in store.read(_EVENTS, users=list(batch)):
            events = sorted(row["events"])
            yield Events(
                user=row["user"],
                at=np.array([at for at, _, _ in events], dtype=np.int64),
                kind=np.array([_KINDS[kind] for _, kind, _ in events], dtype=np.int8),
                product=np.array([rows[sku] for _, _, sku in events], dtype=np.int64),
            )


# --- fitting --------------------------------------------------------------------------------------------------


def fit(market: Market, *, calibrated: bool = True) -> IntentModel | None:
    """Fit the model to the market; None where nobody came back to buy, and there is nothing to learn.

    With ``calibrated`` the latest months are foretold by a model that has not seen them, and the calibration that
    would have been right for it is given to the model of all events.
    """
    until = market.latest
    model = _fit(market, until)
    if model is None or not calibrated:
        return model
    horizon = HORIZON_DAYS * DAY
    first = until - CUTS * horizon
    earlier = _fit(known_at(market, first), first)
    if earlier is None:
        return model
    expected, happened = [], []
    for cut in range(CUTS, 0, -1):
        now = until - cut * horizon
        # Told how busy the shop was then: a season that came or went is no fault of what is calibrated here.
        counts, usual = _weeks([past for e in market.users if len((past := e.until(now + horizon)).at)], now + horizon)
        weeks = HORIZON_DAYS // 7
        level = float(counts[:weeks].sum() / max(usual[:weeks].sum(), 1e-9))
        then, known = replace(earlier, level=max(level, 0.01)), known_at(market, now)
        for events in market.users:
            past = events.until(now)
            if len(past.at):
                expected.append(expect(then, known, past, now, HORIZON_DAYS))
                happened.append(bought_within(market, events, now, HORIZON_DAYS))
    if not expected:
        return model
    intercept, slope = _cloglog(np.concatenate(expected), np.concatenate(happened))
    return replace(model, intercept=intercept, slope=slope)


def known_at(market: Market, cut: int) -> Market:
    """The market as it was: the events until then, and what each product's share of the purchases was.

    What relates products, and which are on sale, is as it is now: the graph does not keep what it was. The stock is not
    looked at, as the query does: what is sold out today was sold in the months that are foretold here.
    """
    users = tuple(past for e in market.users if len((past := e.until(cut)).at))
    bought = np.concatenate([np.unique(e.product[e.kind == BOUGHT]) for e in users]) if users else np.empty(0, np.int64)
    weight = np.bincount(bought.astype(np.int64), minlength=len(market.skus)) + 0.5
    return replace(market, users=users, weight=weight)


def _fit(market: Market, until: int) -> IntentModel | None:
    total = float(market.weight.sum())
    people = [past for e in market.users if len((past := e.until(until)).at)]
    if not people:
        return None
    busy, level = _busy(people, until)
    # Time under observation, from the first event, a busy week counting for more.
    weeks = np.array([(until - e.at[0]) / (7 * DAY) for e in people])
    days = 7.0 * np.interp(weeks, np.arange(len(busy) + 1), np.concatenate([[0.0], np.cumsum(busy)]))
    waves = [_Waves.of(market, e, until) for e in people]
    purchases = np.array([w.purchases for w in waves])
    if purchases.sum() == 0 or days.sum() == 0.0:
        return None
    owner = np.repeat(np.arange(len(people)), purchases)
    share = np.concatenate([w.share for w in waves]) / total
    offsets = np.concatenate([[0], np.cumsum(purchases)[:-1]])
    after = [np.concatenate([w.after[k] + o for w, o in zip(waves, offsets, strict=True)]) for k in range(len(WAVES))]
    delay = [np.concatenate([w.delay[k] for w in waves]) for k in range(len(WAVES))]
    part = [np.concatenate([w.part[k] for w in waves]) for k in range(len(WAVES))]
    left = [np.concatenate([w.left[k] for w in waves]) for k in range(len(WAVES))]
    mass = [np.concatenate([w.mass[k] for w in waves]) for k in range(len(WAVES))]

    rate, shape, own = purchases.sum() / days.sum(), 1.0, 0.5
    amounts, kappa = np.full(len(WAVES), 0.05), np.log(2.0) / _START_DAYS
    n = int(purchases.sum())
    for _ in range(_ROUNDS):
        habits = (shape + own * purchases) / (shape / rate + days)
        base = habits[owner] * share
        sent = [amounts[k] * kappa[k] * np.exp(-kappa[k] * delay[k]) * part[k] for k in range(len(WAVES))]
        intensity = base + sum(np.bincount(after[k], sent[k], n) for k in range(len(WAVES)))
        # What of each purchase is put down to the habit and to each wave.
        due = [s / intensity[a] for s, a in zip(sent, after, strict=True)]
        own_of = np.bincount(owner, base / intensity, len(people))
        for k in range(len(WAVES)):
            # What of each wave has passed, in weeks that were as busy as they were.
            ago = left[k][:, None] + np.log1p(-_POINTS)[None, :] / kappa[k]  # days, [events, points]
            passed = np.where(ago > 0.0, busy[np.clip(ago / 7.0, 0, len(busy) - 1).astype(np.int64)], 0.0)
            room = float((mass[k] * passed.mean(axis=1)).sum())
            amounts[k] = due[k].sum() / room if room > 0.0 else 0.0
            waited = float((due[k] * delay[k]).sum())
            if waited > 0.0:
                kappa[k] = np.clip(due[k].sum() / waited, np.log(2) / _MOST_DAYS, np.log(2) / _LEAST_DAYS)
        own = float(own_of.sum()) / n
        rate = max(float(own_of.sum() / days.sum()), 1e-9)
        shape = _gamma_shape(own_of, days, rate)
    visits = [_visit_share(people, kind) for kind in (VIEWED, CARTED)]
    return IntentModel(
        until=until,
        rate=float(rate),
        shape=shape,
        own=own,
        share_total=total,
        level=level,
        amounts=dict(zip(WAVES, map(float, amounts), strict=True)),
        half_lives=dict(zip(WAVES, map(float, np.log(2.0) / kappa), strict=True)),
        visit_viewed=visits[0],
        visit_carted=visits[1],
    )


def _weeks(people: Sequence[Events], until: int) -> tuple[np.ndarray, np.ndarray]:
    """Purchases week by week, counted back from ``until``, and what a median week would have had, ``[weeks]`` each."""
    week = 7 * DAY
    seen = np.array([(until - e.at[0]) / week for e in people])
    bought = [(until - e.at[(e.kind == BOUGHT) & (e.at > e.at[0] + VISIT_S)]) // week for e in people]
    weeks = int(seen.max()) + 1
    counts = np.bincount(np.concatenate(bought), minlength=weeks).astype(float)
    # Who has not come yet cannot come back; of the first week only a part is seen.
    users = np.clip(seen[:, None] - np.arange(weeks)[None, :], 0.0, 1.0).sum(axis=0)
    long = users > _ENOUGH * len(people)
    return counts, users * float(np.median(counts[long] / users[long])) if long.any() else users


def _busy(people: Sequence[Events], until: int) -> tuple[np.ndarray, float]:
    """g week by week, counted back from ``until``, ``[weeks]``, and its mean over the latest weeks."""
    counts, usual = _weeks(people, until)
    level = (counts[:LATEST_WEEKS].sum() + _QUIET) / (usual[:LATEST_WEEKS].sum() + _QUIET)
    return (counts + _QUIET) / (usual + _QUIET), float(level)


@dataclass(frozen=True, slots=True)
class _Waves:
    """One user's purchases and the waves that may have caused them; lists have an entry a wave of :data:`WAVES`."""

    purchases: int
    """Those after the first visit: what an observation of returns is made of."""
    share: np.ndarray
    """Weight of what was bought, ``[purchases]``."""
    after: list[np.ndarray]
    """The purchase."""
    delay: list[np.ndarray]
    """Days from when the wave began."""
    part: list[np.ndarray]
    """w_k(e, p): what of the wave falls on the product that was bought."""
    left: list[np.ndarray]
    """Days that each event's wave has had, ``[events of that kind]``."""
    mass: list[np.ndarray]
    """What of it can be seen: nothing of a wave towards what the user has and will not need again."""

    @classmethod
    def of(cls, market: Market, e: Events, until: int) -> _Waves:
        bought = np.flatnonzero((e.kind == BOUGHT) & (e.at > e.at[0] + VISIT_S))
        gap = (e.at[bought][:, None] - e.at[None, :] - VISIT_S) / DAY  # [purchases, events]
        left = np.maximum((until - e.at - VISIT_S) / DAY, 0.0)
        owned = np.unique(e.product[(e.kind == BOUGHT) & ~market.consumable[e.product]])
        after, delay, part, lefts, masses = [], [], [], [], []
        for k, kind in enumerate(_SENT_BY):
            sent = np.flatnonzero(e.kind == kind)
            weights = _parts(market, WAVES[k], e.product[sent], e.product[bought])  # [purchases, sent]
            rows, columns = np.nonzero((gap[:, sent] > 0.0) & (weights > 0.0))
            after.append(rows)
            delay.append(gap[:, sent][rows, columns])
            part.append(weights[rows, columns])
            lefts.append(left[sent])
            masses.append(_open_mass(market, WAVES[k], e, sent, owned))
        return cls(len(bought), market.weight[e.product[bought]], after, delay, part, lefts, masses)


def _parts(market: Market, wave: str, sent: np.ndarray, bought: np.ndarray) -> np.ndarray:
    """What of each wave falls on each of the products, ``[bought, sent]``."""
    if wave == "related":
        return np.asarray(market.related[sent][:, bought].toarray()).T
    if wave.startswith("shelf"):
        shelf = market.shelf[sent]
        same = (market.shelf[bought][:, None] == shelf[None, :]) & (shelf >= 0)[None, :]
        return same * market.weight[bought][:, None] / _shelf_weight(market)[shelf][None, :]
    same = bought[:, None] == sent[None, :]
    return same * (market.consumable[sent][None, :] if wave == "again" else 1.0)


def _open_mass(market: Market, wave: str, e: Events, sent: np.ndarray, owned: np.ndarray) -> np.ndarray:
    product = e.product[sent]
    if wave == "again":
        return market.consumable[product].astype(float)
    if wave == "related":
        return np.asarray(market.related[product].sum(axis=1)).ravel()
    if wave.startswith("shelf"):
        return (market.shelf[product] >= 0).astype(float)
    # A look whose visit ended in the purchase is answered; one long before it is not.
    answered = np.zeros(len(sent), dtype=bool)
    for n, at in enumerate(sent):
        same = (e.kind == BOUGHT) & (e.product == e.product[at]) & (e.at <= e.at[at] + VISIT_S)
        answered[n] = bool(same.any()) and e.product[at] in owned
    return (~answered).astype(float)


def _shelf_weight(market: Market) -> np.ndarray:
    """Sum of the weights on each shelf, with one of 1 at the end for no shelf, ``[shelves + 1]``."""
    known = market.shelf >= 0
    sums = np.bincount(market.shelf[known], market.weight[known], len(market.shelves))
    return np.append(sums, 1.0)


def _gamma_shape(counts: np.ndarray, days: np.ndarray, rate: float) -> float:
    """Shape of the Gamma distribution of the users' rates, by moments: what counts spread more than Poisson's would."""
    excess = float(((counts - rate * days) ** 2 - rate * days).sum())
    if excess <= 0.0:
        return 100.0
    return float(np.clip(rate**2 * (days**2).sum() / excess, 0.1, 100.0))


def _visit_share(people: Sequence[Events], kind: int) -> float:
    """Share of the looks, or carts, after which the product was bought within the hour."""
    ended = begun = 0
    for e in people:
        for product in np.unique(e.product[e.kind == kind]):
            asked = e.at[(e.kind == kind) & (e.product == product)]
            bought = e.at[(e.kind == BOUGHT) & (e.product == product)]
            begun += len(asked)
            ended += sum(bool(((bought >= at) & (bought <= at + VISIT_S)).any()) for at in asked)
    return ended / begun if begun else 0.0


# --- foretelling ----------------------------------------------------------------------------------------------


def expect(model: IntentModel, market: Market, past: Events, now: int, days: float) -> np.ndarray:
    """Expected purchases of one user from each shelf, ``[shelves]``, before calibration: the query's own sum."""
    share = np.where(market.active, market.weight, 0.0) / model.share_total
    owned = past.bought[~market.consumable[past.bought]]
    free = market.active.copy()
    free[owned] = False
    on_shelf = market.shelf >= 0
    shelves = len(market.shelves)
    open_share = np.bincount(market.shelf[on_shelf & free], share[on_shelf & free], shelves)
    bought = int(((past.kind == BOUGHT) & (past.at > past.at[0] + VISIT_S)).sum())
    habit = (model.shape + model.own * bought) / (model.shape / model.rate + (now - past.at[0]) / DAY)
    expected = model.level * habit * days * open_share
    gap = (now - past.at - VISIT_S) / DAY
    for wave, kind in zip(WAVES, _SENT_BY, strict=True):
        half_life = model.half_lives[wave]
        begin, end = np.maximum(gap, 0.0), np.maximum(gap + days, 0.0)
        size = model.level * model.amounts[wave] * (0.5 ** (begin / half_life) - 0.5 ** (end / half_life))
        sent = np.flatnonzero((past.kind == kind) & (size > 0.0))
        product = past.product[sent]
        if wave == "related":
            reached = market.related[product].multiply((free & on_shelf).astype(float)[None, :]).tocoo()
            expected += np.bincount(market.shelf[reached.col], reached.data * size[sent][reached.row], shelves)
            continue
        mass = size[sent]
        if not wave.startswith("shelf"):
            mass = mass * free[product]
        if wave == "again":
            mass = mass * market.consumable[product]
        known = market.shelf[product] >= 0
        expected += np.bincount(market.shelf[product][known], mass[known], shelves)
    return expected


def bought_within(market: Market, events: Events, now: int, days: float) -> np.ndarray:
    """Whether the user bought of each shelf in the days after ``now``, bool ``[shelves]``."""
    chosen = (events.kind == BOUGHT) & (events.at > now) & (events.at <= now + days * DAY)
    happened = np.zeros(len(market.shelves) + 1, dtype=bool)
    happened[market.shelf[events.product[chosen]]] = True  # -1, no shelf, is the last place
    return happened[:-1]


def probability(model: IntentModel, expected: np.ndarray) -> np.ndarray:
    """The calibrated chance of at least one purchase."""
    with np.errstate(divide="ignore"):
        return -np.expm1(-np.exp(model.intercept + model.slope * np.log(expected)))


def _cloglog(expected: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    """Intercept and slope that maximise the likelihood of P = 1 − exp(−exp(intercept + slope · log expected)).

    Newton's method with normal priors, N(0, 1) for the intercept and N(1, ½²) for the slope.
    """
    keep = expected > 0.0
    x, y = np.log(expected[keep]), happened[keep].astype(float)
    if y.sum() < _FEWEST:
        return 0.0, 1.0
    design = np.stack([np.ones_like(x), x], axis=1)
    prior, precision = np.array([0.0, 1.0]), np.array([1.0, 4.0])
    b = prior.copy()
    for _ in range(50):
        mu = np.exp(np.clip(design @ b, -30.0, 5.0))
        p = np.clip(-np.expm1(-mu), 1e-12, 1.0)
        # Fisher scoring: d log L / dη = μ (y − p) / p, information μ² (1 − p) / p.
        gradient = design.T @ (mu * (y - p) / p) - precision * (b - prior)
        information = design.T @ (design * (mu**2 * (1.0 - p) / p)[:, None]) + np.diag(precision)
        step = np.linalg.solve(information, gradient)
        b = b + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:
            break
    return float(b[0]), float(b[1])


# --- writing --------------------------------------------------------------------------------------------------


def write_intent(store: GraphStore, model: IntentModel, now: datetime) -> None:
    """Put the model where the query reads it, in place of the one before."""
    store.write(
        "MERGE (m:IntentModel {id: 'purchase'})\nSET m = $properties, m.id = 'purchase', m.at = $now",
        properties=model.as_properties(),
        now=now,
    )
