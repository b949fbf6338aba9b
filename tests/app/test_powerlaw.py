"""The synthetic shop: the same for the same seed, as uneven as it should be, and in the graph what it is as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from kg import catalogue, schema
from kg.app import powerlaw
from kg.app.benchmark_serving import BARE, FILTERED, NAIVE, like_example, pool_of, requests_of
from kg.app.powerlaw import PowerLawShop, draw, write
from kg.queries import bind
from kg.store import GraphStore

NAMED = {
    "sku": "Product", "skus": "Product", "items": "Product", "targets": "Product", "user": "User", "users": "User",
    "category": "Category", "brand": "Brand", "attributes": "AttributeValue",
}  # fmt: skip
"""Parameters that name nodes of the shop."""
ANSWERED = (
    "recommend/next_item", "recommend/explain_path", "search/answer", "product/why", "product/reviews_summary",
)  # fmt: skip
"""Queries that were once asked for nothing that the shop has."""


@pytest.fixture(scope="module")
def drawn() -> PowerLawShop:
    return draw(5000, np.random.default_rng(1))


def test_the_same_seed_draws_the_same_shop(drawn: PowerLawShop) -> None:
    again = draw(5000, np.random.default_rng(1))
    assert np.array_equal(again.price, drawn.price)
    assert np.array_equal(again.similar, drawn.similar)
    assert all(np.array_equal(again.met[name], pairs) for name, pairs in drawn.met.items())
    assert not np.array_equal(draw(5000, np.random.default_rng(2)).price, drawn.price)


def test_what_is_popular_is_met_most(drawn: PowerLawShop) -> None:
    brands = np.sort(np.bincount(drawn.brand))[::-1]
    assert brands[0] > 10 * np.median(brands)
    met = np.sort(np.concatenate([np.bincount(p[1], minlength=5000)[None] for p in drawn.met.values()]).sum(axis=0))
    assert met[-50:].sum() > 0.05 * met.sum()
    assert 0.4 < (drawn.values["finish"] == 0).mean() < 0.6
    assert np.median(np.unique(drawn.values["series"], return_counts=True)[1]) < 5


def test_each_pair_is_there_once_and_none_with_itself(drawn: PowerLawShop) -> None:
    for pairs in (*drawn.related.values(), drawn.similar):
        assert (pairs[0] != pairs[1]).all()
        assert np.unique(pairs, axis=1).shape == pairs.shape
    for pairs in drawn.met.values():
        assert np.unique(pairs, axis=1).shape == pairs.shape


def test_products_of_one_shelf_lie_near_each_other(drawn: PowerLawShop) -> None:
    assert np.allclose(np.linalg.norm(drawn.vectors, axis=1), 1.0, atol=1e-5)
    first = drawn.vectors[drawn.shelf == 0]
    others = drawn.vectors[drawn.shelf != 0]
    assert (first[0] @ first.T).mean() > (first[0] @ others.T).mean() + 0.3


def test_the_graph_is_the_arrays_and_can_be_asked(store: GraphStore) -> None:
    """One test, since the writing takes longest: what stands there, and that all ways compared answer one question."""
    rng = np.random.default_rng(3)
    shop = draw(1000, rng)
    write(store, shop, rng)

    def count(pattern: str) -> int:
        return int(store.read(f"MATCH {pattern} RETURN count(*) AS n")[0]["n"])

    assert count("(p:Product)") == shop.products
    assert count("(u:User)") == shop.users
    assert count("(p:Product) WHERE p.active") == shop.active.sum()
    assert count("(:Product)-[:SIMILAR_TO]->(:Product)") == shop.similar.shape[1]
    assert count("(:Product)-[:HAS_ATTRIBUTE]->(:AttributeValue)") == len(shop.values) * shop.products
    for name, pairs in {**shop.related, **{n: p for n, p in shop.met.items() if n != "CLICKED"}}.items():
        assert count(f"()-[:{name}]->()") == pairs.shape[1], name
    below = store.read(
        "MATCH (:Category {path: $root})<-[:SUBCATEGORY_OF]-{1,3}()<-[:IN_CATEGORY]-(p) RETURN count(DISTINCT p) AS n",
        root=powerlaw.ROOT,
    )
    assert below[0]["n"] == shop.products
    nearest = store.read(
        "CYPHER 25 MATCH (u:User {id: 'u5'}) MATCH (p:Product) SEARCH p IN (VECTOR INDEX product_embedding_blue "
        "FOR u.embedding_blue LIMIT 1) RETURN p.sku AS sku"
    )
    assert nearest == [{"sku": f"p{int(np.argmax(shop.vectors @ shop.user_vectors[5]))}"}]

    requests = requests_of(store, rng)
    assert {len(calls) for calls in requests.values()} == {len(requests[FILTERED])}
    text, given = next(call for call in requests[FILTERED] if call[1]["category"] == powerlaw.department(0))
    rows = store.read(text, **given)
    naive = store.read(NAIVE, **{k: given[k] for k in ("user", "category", "min_price", "max_price")})
    assert len(rows) == len(naive) == 10
    for row in rows + naive:
        place = int(row["sku"][1:])
        assert shop.shelf[place] < 10
        assert 10.0 <= shop.price[place] <= 100.0
    assert len(store.read(BARE, user=given["user"])) == 100

    # Whatever the queries of the catalogue are asked for is there.
    pool, queries = pool_of(store, rng), catalogue.load()
    asked: dict[str, set[str]] = {}
    for query in queries.values():
        for one in (one for some in like_example(query, pool, rng).values() for one in some):
            for name in NAMED.keys() & one.keys():
                named = one[name] if isinstance(one[name], list) else [one[name]]
                asked.setdefault(NAMED[name], set()).update(key for key in named if key is not None)
    for label, keys in asked.items():
        key = schema.LABEL[label].key
        found = store.read(f"UNWIND $keys AS key MATCH (n:{label} {{{key}: key}}) RETURN n.{key} AS key", keys=[*keys])
        assert {row["key"] for row in found} == keys
    # And each of those that measured nothing has rows.
    for name in ANSWERED:
        query = queries[name]
        requests_ = [bind(query, one) for one in next(iter(like_example(query, pool, rng).values()))]
        assert any(store.read(query.text, **one) for one in requests_), name
