"""Popularity: a number of the shop, counted from what users did."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kg.popularity import count_popularity, popularity
from kg.store import GraphStore


def test_it_is_the_logarithm_of_users_and_the_median_where_nobody_was_yet() -> None:
    one, three = math.log(2), math.log(4)
    assert popularity(np.array([3, 0, 1, 1])).tolist() == pytest.approx([1.0, one / three, one / three, one / three])
    assert popularity(np.array([0, 0])).tolist() == [0.0, 0.0]
    assert popularity(np.array([])).tolist() == []


def test_each_user_who_showed_interest_counts_once_and_what_did_not_change_is_not_written(store: GraphStore) -> None:
    store.write(
        "CREATE (g:Product {sku: 'G'}), (s:Product {sku: 'S'}), (:Product {sku: 'X'}), (a:User {id: 'a'}),\n"
        "  (b:User {id: 'b'}), (a)-[:VIEWED {strength: 1.0}]->(g), (a)-[:BOUGHT]->(g), (b)-[:RATED]->(g),\n"
        "  (c:User {id: 'c'})-[:CARTED]->(g), (a)-[:CLICKED]->(s), (b)-[:RATED {strength: -1.0}]->(s),\n"
        "  (b)-[:RETURNED]->(s)"
    )

    def stands() -> dict[str, float]:
        rows = store.read("MATCH (p:Product) RETURN p.sku AS sku, p.popularity AS popularity ORDER BY sku")
        return {row["sku"]: row["popularity"] for row in rows}

    assert count_popularity(store) == 3
    assert stands() == pytest.approx({"G": 1.0, "S": 0.5, "X": 0.75})
    assert count_popularity(store) == 0
    store.write("MATCH (b:User {id: 'b'}), (s:Product {sku: 'S'}) CREATE (b)-[:VIEWED {strength: 0.2}]->(s)")
    assert count_popularity(store) == 2
    assert stands()["S"] == pytest.approx(math.log(3) / math.log(4))
