"""How the live model does with customers, beside the one before it; and when that is bad enough to go back.

Two rates are compared, of what was recorded as shown under each model (events ``exposed`` with a ``model``): clicks an
exposure, and the share of what was shown that the user bought within :data:`DAYS` days. Only what was first shown at
least so long ago counts in the second, or the younger model would seem to sell less. Of the model before counts what
it showed in the :data:`WINDOW` days until the switch.

Exposures of one user are alike, so a rate's variance is that of a ratio of sums over users (the delta method; Deng et
al., KDD 2018). And who looks every hour until something shows will be shown something: an ordinary 95 % interval of two
equal models excludes zero sooner or later. So the interval is one that holds at all looks together, an asymptotic
confidence sequence (Waudby-Smith et al., arXiv:2103.06476, theorem 2.2), some 3 to 4 standard errors wide.

It remains a comparison of two times. A shop that sells less after Christmas does so whatever its model, and where that
matters serves the model before to a few as well: whoever is shown by it meanwhile does not count here, but
``insight/feedback`` compares the two at one time.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kg.store import GraphStore

DAYS: Final = 7
"""How long after it a purchase is put down to an exposure."""
WINDOW: Final = 28
"""Days before the switch of which the exposures of the model before count."""
LEAST_USERS: Final = 50
"""Of each model: with fewer the normal distribution of their mean is not to be relied on."""
_ALPHA: Final = 0.05
_TIGHTEST: Final = 1_000
"""Users at whom the interval is tightest, at 3.0 standard errors."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A ratio of two sums over users."""

    users: int
    value: float
    variance: float
    """Of the value."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A rate of the live model beside that of the one before."""

    name: str
    live: float
    before: float
    difference: float
    radius: float
    """Half the width of the difference's interval, which holds at all looks together with 95 %."""

    @property
    def fell(self) -> bool:
        """Whether the live model is worse, beyond chance."""
        return self.difference < -self.radius


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look gave."""

    fell: bool
    detail: str
    live: str | None = None
    before: str | None = None
    rates: tuple[Compared, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


_MODELS: Final = """
MATCH (s:Serving {name: 'model'})
WITH s.version AS version
MATCH (m:ModelVersion {id: version})
OPTIONAL MATCH (before:ModelVersion {id: m.previous})
RETURN m.id AS live, m.promoted_at AS at, before.id AS before, before.rolled_back_at IS NOT NULL AS rolled_back
"""

# A click without its exposure would make a rate of more than 1: an exposure is clicked once at most.
_SUMS: Final = """
CYPHER 25
MATCH (u:User)-[shown:EXPOSED]->(p:Product)
WHERE shown.model = $model AND shown.first_at >= $since AND shown.first_at <= $until
OPTIONAL MATCH (u)-[click:CLICKED {model: shown.model, arm: shown.arm}]->(p)
OPTIONAL MATCH (u)-[bought:BOUGHT]->(p)
LET from_ = shown.first_at.epochSeconds
LET times = CASE WHEN size(coalesce(bought.times, [])) > 0 THEN bought.times ELSE [bought.at.epochSeconds] END
LET sold = CASE WHEN any(at IN times WHERE at >= from_ AND at <= from_ + $days * 86400) THEN 1.0 ELSE 0.0 END,
    clicks = CASE WHEN coalesce(click.count, 0) < shown.count THEN coalesce(click.count, 0) ELSE shown.count END
WITH u, sum(1.0 * shown.count) AS exposures, sum(1.0 * clicks) AS clicks, count(shown) * 1.0 AS pairs,
     sum(sold) AS sold
WITH u, CASE WHEN $purchases THEN pairs ELSE exposures END AS x, CASE WHEN $purchases THEN sold ELSE clicks END AS y
RETURN count(u) AS n, sum(x) AS x, sum(y) AS y, sum(x * x) AS xx, sum(x * y) AS xy, sum(y * y) AS yy
"""


def look(store: GraphStore, *, now: datetime) -> Outcome:
    """Compare the live model with the one before it. Nothing is changed."""
    rows = store.read(_MODELS)
    if not rows or rows[0]["before"] is None:
        return Outcome(False, "no model is live" if not rows else f"{rows[0]['live']} is the first: none to go back to")
    live, before = rows[0]["live"], rows[0]["before"]
    if rows[0]["rolled_back"]:
        return Outcome(False, f"{before}, which was live before {live}, was rolled back itself", live, before)
    switched = rows[0]["at"].to_native()
    rates = []
    for name, purchases in (("clicks", False), ("purchases", True)):
        until = now - timedelta(days=DAYS) if purchases else now
        ours = rate(store, live, switched, until, purchases=purchases)
        theirs = rate(store, before, switched - timedelta(days=WINDOW), min(until, switched), purchases=purchases)
        if ours is not None and theirs is not None:
            rates.append(compared(name, ours, theirs))
    if not rates:
        return Outcome(
            False, f"fewer than {LEAST_USERS} users were shown something by {live} or {before}", live, before
        )
    detail = "; ".join(
        f"{rate.name} {rate.live:.4f} after {rate.before:.4f} of {before} ({rate.difference:+.4f} ± {rate.radius:.4f})"
        for rate in rates
    )
    return Outcome(any(rate.fell for rate in rates), detail, live, before, tuple(rates))


def rate(store: GraphStore, model: str, since: datetime, until: datetime, *, purchases: bool) -> Rate | None:
    """One rate of what a model first showed within a time; None with fewer than :data:`LEAST_USERS` users."""
    (row,) = store.read(_SUMS, model=model, since=since, until=until, days=DAYS, purchases=purchases)
    return ratio(row["n"], row["x"], row["y"], row["xx"], row["xy"], row["yy"])


def ratio(n: int, x: float, y: float, xx: float, xy: float, yy: float) -> Rate | None:
    """Σy / Σx over n users, from the sums of both, their squares and their products."""
    if n < LEAST_USERS or x <= 0.0:
        return None
    value = y / x
    residual = max(yy - 2.0 * value * xy + value * value * xx, 0.0)
    return Rate(n, value, residual / (x * x) * n / (n - 1))


def compared(name: str, live: Rate, before: Rate) -> Compared:
    """The difference and its interval. The model before is measured already; looks go on for the live one's users."""
    error = math.sqrt(live.variance + before.variance)
    return Compared(name, live.value, before.value, live.value - before.value, width(live.users) * error)


def width(users: int) -> float:
    """Standard errors to either side of an interval that holds at all numbers of users together.

    >>> [round(width(n), 1) for n in (50, 100, 1_000, 10_000, 1_000_000)]
    [4.7, 3.9, 3.0, 3.2, 3.9]
    """
    odds = -2.0 * math.log(_ALPHA)
    scaled = users * (odds + math.log(odds + 1.0)) / _TIGHTEST
    return math.sqrt(2.0 * (scaled + 1.0) / scaled * math.log(math.sqrt(scaled + 1.0) / _ALPHA))


def can_return(store: GraphStore, outcome: Outcome) -> bool:
    """Whether the model before still stands in its slot."""
    return bool(store.read("MATCH (m:ModelVersion {id: $id, status: 'ready'})\nRETURN m.id AS id", id=outcome.before))
