"""For whom the freshness benchmark makes its new products; its figures are no test's business."""

from __future__ import annotations

from kg.app.benchmark_streams import Sibling, _remove_new, _siblings
from kg.settings import Settings
from kg.store import GraphStore

SHOP = """
UNWIND ['A', 'B', 'C', 'gone'] AS sku
CREATE (:Product {sku: sku, title: 'Thing ' + sku, description: 'Of steel.', active: sku <> 'gone', popularity: 0.0})
WITH count(*) AS made
UNWIND [['few', 'A', 0.8], ['many', 'A', 0.9], ['many', 'B', 0.9], ['many', 'C', 0.9], ['late', 'gone', 1.0],
        ['late', 'B', 0.2]] AS did
MERGE (u:User {id: did[0]})
WITH u, did
MATCH (p:Product {sku: did[1]})
CREATE (u)-[:VIEWED {strength: did[2]}]->(p)
"""


def test_a_new_product_is_for_the_user_in_whose_score_its_sibling_counts_most(store: GraphStore) -> None:
    store.write(SHOP)
    # "few" has .8 / √.8, "many" .9 / √2.7, "late" .2 / √1.2: the whole history counts, of what is gone too.
    found = _siblings(store, Settings(), 4, bundled=True)
    assert found[:3] == [
        Sibling("A", "Thing A", "Of steel.", None, None, "few"),
        Sibling("B", "Thing B", "Of steel.", None, None, "many"),
        Sibling("C", "Thing C", "Of steel.", None, None, "many"),
    ]
    assert found[3] == found[0]


def test_what_a_run_has_made_leaves_the_shop_again(store: GraphStore) -> None:
    store.write(SHOP)
    store.write("UNWIND range(0, 2) AS n CREATE (:Product {sku: 'new-' + n, title: 'New', active: true})")
    _remove_new(store)
    assert [r["sku"] for r in store.read("MATCH (p:Product) RETURN p.sku AS sku ORDER BY sku")] == [
        "A",
        "B",
        "C",
        "gone",
    ]
