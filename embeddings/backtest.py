"""What ``cypher/insight`` foretells beside what happened, on the latest weeks of a graph, which no fit sees.

Two queries foretell: ``insight/purchase_intent`` (a chance for a user and a
shelf) and ``insight/demand_forecast`` (units a week with an interval). The first
is fitted anew on what was known at the cut; the second learns within the query
and is asked with the cut as its present.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from embeddings.intent import DAY, Market, bought_within, expect, fit, known_at, probability
from kg import catalogue
from kg.store import GraphStore

PARTS: Final = 10
"""Equally large parts of the chances, from the smallest to the greatest, whose mean is compared with what happened."""
MOST_SHELVES: Final = 100
"""Categories whose sales are foretold: those that sell most."""
_WEEK: Final = 7 * DAY


# --- intent -----------------------------------------------------------------------------------------------------


def intent_report(market: Market, *, days: int) -> dict[str, Any] | None:
    """Fit on all but the last ``days``; compare the chances of every user and shelf with what happened in them.

    Returns:
        ``pairs`` (users × shelves), ``bought`` (how many of them came true), ``calibration_error`` (mean distance of
        chance and frequency over :data:`PARTS` equally large parts), ``log_loss`` beside that of the same chance for
        every user of a shelf (``log_loss_shelf``: what the shelf had in as many days before), and the ``parts``. None
        where nothing can be learned.
    """
    cut = market.latest - days * DAY
    past = known_at(market, cut)
    model = fit(past)
    if model is None:
        return None
    chances, came, usual = [], [], []
    before = [bought_within(market, e, cut - days * DAY, days) for e in past.users if e.at[0] <= cut - days * DAY]
    shelf_rate = (np.sum(before, axis=0) + 0.5) / (len(before) + 1) if before else np.full(len(market.shelves), 0.5)
    by_name = {e.user: e for e in market.users}
    for known in past.users:
        chances.append(probability(model, expect(model, past, known, cut, days)))
        came.append(bought_within(market, by_name[known.user], cut, days))
        usual.append(shelf_rate)
    p = np.clip(np.concatenate(chances), 1e-9, 1 - 1e-9)
    y = np.concatenate(came).astype(float)
    parts = [part for part in np.array_split(np.argsort(p, kind="stable"), PARTS) if len(part)]
    return {
        "days": days,
        "pairs": len(p),
        "bought": int(y.sum()),
        "foretold": float(p.sum()),
        "calibration_error": float(sum(len(part) * abs(p[part].mean() - y[part].mean()) for part in parts) / len(p)),
        "log_loss": _log_loss(p, y),
        "log_loss_shelf": _log_loss(np.concatenate(usual), y),
        "parts": [
            {"pairs": len(part), "chance": float(p[part].mean()), "bought": float(y[part].mean())} for part in parts
        ],
    }


def _log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean())


# --- demand -----------------------------------------------------------------------------------------------------


def forecast_report(store: GraphStore, *, weeks: int) -> list[dict[str, Any]]:
    """Ask ``insight/demand_forecast`` as it would have been asked ``weeks`` before the latest purchase.

    Returns:
        A row for categories and one for products (the ten that sell most of each category): how many series and weeks,
        the mean absolute error beside that of the naive forecast (the latest week once more), and the share of weeks
        within the interval, which should be .8.
    """
    latest = store.read("MATCH (:User)-[did:BOUGHT]->(:Product) UNWIND did.times AS at RETURN max(at) AS at")[0]["at"]
    if latest is None:
        return []
    cut = int(latest) - weeks * _WEEK
    seen: set[tuple[str, str]] = set()
    errors: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    query, nothing = catalogue.find("insight/demand_forecast"), np.zeros(weeks)
    for path in (row["path"] for row in store.read(_SHELVES, cut=cut, limit=MOST_SHELVES)):
        sold = _sold_after(store, path, cut, weeks)
        parameters = {"category": path, "now": datetime.fromtimestamp(cut, UTC), "weeks": weeks, "limit": 1000}
        foretold: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in catalogue.run(store, query, parameters):
            foretold[row["kind"], row["name"]].append(row)
        for (kind, name), rows in foretold.items():
            if (kind, name) in seen or rows[0]["forecast"] is None:
                continue
            seen.add((kind, name))
            actual = np.sum([nothing, *sold.values()], axis=0) if kind == "category" else sold.get(name, nothing)
            for units, row in zip(actual.tolist(), rows, strict=True):
                within = row["low"] <= units <= row["high"]
                errors[kind].append((abs(units - row["forecast"]), abs(units - row["naive"]), within))
    return [
        _of(kind, sum(k == kind for k, _ in seen), errors[kind]) for kind in ("category", "product") if errors[kind]
    ]


def _of(kind: str, series: int, errors: Sequence[tuple[float, float, bool]]) -> dict[str, Any]:
    error, naive, within = (float(np.mean(column)) for column in zip(*errors, strict=True))
    return {
        "of": kind,
        "series": series,
        "weeks": len(errors),
        "error": error,
        "naive_error": naive,
        "ratio": error / naive if naive else None,
        "within_interval": within,
    }


_SHELVES: Final = """
MATCH (c:Category)<-[:IN_CATEGORY]-(:Product)<-[did:BOUGHT]-(:User)
UNWIND did.times AS at
WITH c, at
WHERE at >= 0 AND at <= $cut
WITH c.path AS path, count(*) AS sales
RETURN path
ORDER BY sales DESC, path
LIMIT $limit
"""
_SOLD: Final = """
MATCH (:Category {path: $path})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WITH DISTINCT p
MATCH (p)<-[did:BOUGHT]-(:User)
UNWIND range(0, size(did.times) - 1) AS place
WITH p, did.times[place] AS at, did.values[place] AS units
WHERE at > $cut
RETURN p.sku AS sku, at, CASE WHEN units IS NULL OR isNaN(units) THEN 1.0 ELSE units END AS units
"""


def _sold_after(store: GraphStore, path: str, cut: int, weeks: int) -> dict[str, np.ndarray]:
    """Units of each product of a category in each of the weeks after the cut, by sku: floats ``[weeks]``."""
    sold: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(weeks))
    for row in store.read(_SOLD, path=path, cut=cut):
        week = (int(row["at"]) - cut - 1) // _WEEK
        if week < weeks:
            sold[row["sku"]][week] += row["units"]
    return sold
