"""py2neo against the real server: what it reads, what it may write, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import py2neo
import pytest

from kg import localdb
from kg.errors import ConnectionFailedError, QueryError, StoreError
from kg.notebook import Aspect, AttributeValue, Brand, Category, Product, Review, User, connect, neighbourhood
from kg.store import GraphStore


@pytest.fixture
def graph(shop: GraphStore, database: localdb.Connection) -> py2neo.Graph:
    """The shop, as py2neo sees it."""
    return connect(database.uri, database.username, database.password)


def skus(products: Any) -> list[str]:
    """The skus of some products, in order."""
    return sorted(product.sku for product in products)


def test_cypher_runs(graph: py2neo.Graph) -> None:
    assert graph.run("MATCH (p:Product {sku: $sku}) RETURN p.title AS title", sku="S1").data() == [
        {"title": "Birch leather guitar strap"}
    ]


def test_a_product_and_what_it_is_related_to(graph: py2neo.Graph) -> None:
    strap = Product.match(graph, "S1").first()
    assert (strap.sku, strap.title, strap.price, strap.active) == ("S1", "Birch leather guitar strap", 24.5, True)
    assert [brand.name for brand in strap.brands] == ["Birch"]
    assert [shelf.path for shelf in strap.categories] == ["Accessories"]
    assert [(value.attribute, value.value) for value in strap.attributes] == [("material", "leather")]
    assert [aspect.name for aspect in strap.praised_for] == ["comfort"]
    assert len(strap.criticised_for) == 0
    assert [review.rating for review in strap.reviews] == [5.0]
    guitar = Product.match(graph, "G1").first()
    assert skus(guitar.accessories) == ["S1"]
    assert sorted(user.id for user in guitar.buyers) == ["anna", "ben"]
    assert strap in guitar.accessories
    assert guitar not in guitar.accessories


def test_the_other_ends(graph: py2neo.Graph) -> None:
    assert skus(Brand.match(graph, "birch").first().products) == ["G2", "S1"]
    guitars = Category.match(graph, "Instruments > Guitars").first()
    assert skus(guitars.products) == ["G1", "G2"]
    assert [parent.path for parent in guitars.parents] == ["Instruments"]
    assert [child.path for child in Category.match(graph, "Instruments").first().children] == ["Instruments > Guitars"]
    assert skus(AttributeValue.match(graph, "material=leather").first().products) == ["S1"]
    assert skus(Aspect.match(graph, "comfort").first().praised) == ["S1"]
    ben = User.match(graph, "ben").first()
    assert (skus(ben.bought), skus(ben.viewed)) == (["G1", "T1"], ["G2"])
    assert ben.last_at.iso_format() == "2026-03-03T10:00:00.000000000+00:00"
    review = Review.match(graph, "r1").first()
    assert (skus(review.products), [author.id for author in review.authors]) == (["S1"], ["anna"])


def test_products_are_matched_by_a_condition(graph: py2neo.Graph) -> None:
    assert skus(Product.match(graph).where("_.price < 20")) == ["S2", "T1"]


def test_the_relationship_itself_can_be_read(graph: py2neo.Graph) -> None:
    strap = Product.match(graph, "S1").first()
    ((subject, relationship, brand),) = strap.brands.triples()
    assert (subject.sku, relationship, brand.key) == ("S1", ("MADE_BY", {"source": "catalogue"}), "birch")


def test_pushing_a_product_writes_its_properties_and_leaves_its_relations(
    graph: py2neo.Graph, shop: GraphStore
) -> None:
    # Two sources assert the brand side by side: py2neo's own push would make both say the same.
    shop.write("MATCH (s:Product {sku: 'S1'}), (b:Brand {key: 'birch'}) CREATE (s)-[:MADE_BY {source: 'curator'}]->(b)")
    strap = Product.match(graph, "S1").first()
    assert [brand.key for brand in strap.brands] == ["birch"]
    strap.price = 19.5
    graph.push(strap)
    assert shop.read(
        "MATCH (p:Product {sku: 'S1'})-[r:MADE_BY]->(b) "
        "RETURN p.price AS price, p.description AS text, r.source AS source, b.key AS brand ORDER BY source"
    ) == [
        {"price": 19.5, "text": "Brown leather. Fits the Ashdown S-200.", "source": source, "brand": "birch"}
        for source in ("catalogue", "curator")
    ]


def test_pushing_a_user_leaves_times_as_they_are(graph: py2neo.Graph, shop: GraphStore) -> None:
    # py2neo reads a time with its zone and writes it without.
    ben = User.match(graph, "ben").first()
    ben.language = "cy"
    graph.push(ben)
    assert shop.read(
        "MATCH (u:User {id: 'ben'}) RETURN u.language AS language, u.last_at = datetime('2026-03-03T10:00:00Z') AS same"
    ) == [{"language": "cy", "same": True}]
    with pytest.raises(AttributeError, match="last_at is a time"):
        ben.last_at = None


def test_a_property_set_to_none_goes(graph: py2neo.Graph, shop: GraphStore) -> None:
    strap = Product.match(graph, "S1").first()
    strap.description = None
    graph.push(strap)
    assert shop.read("MATCH (p:Product {sku: 'S1'}) RETURN p.description AS text, p.price AS price") == [
        {"text": None, "price": 24.5}
    ]


def test_relations_are_for_reading(graph: py2neo.Graph) -> None:
    strap = Product.match(graph, "S1").first()
    with pytest.raises(AttributeError, match="add"):
        strap.brands.add(Brand("cobalt"))


def test_merging_an_object_twice_makes_one_node(graph: py2neo.Graph, shop: GraphStore) -> None:
    for name in ("Zenith", "ZENITH"):
        graph.merge(Brand("zenith", name=name))
    graph.push(Brand("zenith", name="Zenith Audio"))
    assert shop.read("MATCH (b:Brand {key: 'zenith'}) RETURN b.name AS name") == [{"name": "Zenith Audio"}]


def test_a_neighbourhood_is_a_subgraph(graph: py2neo.Graph) -> None:
    around = neighbourhood(graph, "S1")
    assert sorted(named(node) for node in around.nodes) == [
        "Accessories",
        "Ashdown S-200 electric guitar",
        "Birch",
        "Birch leather guitar strap",
        "Lovely",
        "anna",
        "comfort",
        "leather",
    ]
    assert sorted((named(r.start_node), type(r).__name__, named(r.end_node)) for r in around.relationships) == [
        ("Birch leather guitar strap", "ACCESSORY_OF", "Ashdown S-200 electric guitar"),
        ("Birch leather guitar strap", "HAS_ATTRIBUTE", "leather"),
        ("Birch leather guitar strap", "IN_CATEGORY", "Accessories"),
        ("Birch leather guitar strap", "MADE_BY", "Birch"),
        ("Birch leather guitar strap", "PRAISED_FOR", "comfort"),
        ("Lovely", "ABOUT", "Birch leather guitar strap"),
        ("anna", "RATED", "Birch leather guitar strap"),
    ]


def named(node: py2neo.Node) -> str:
    """What a reader would call a node."""
    return next(node[key] for key in ("title", "name", "value", "id") if node[key] is not None)


def test_a_neighbourhood_shows_a_few_of_each_kind(graph: py2neo.Graph, shop: GraphStore) -> None:
    shop.write("MATCH (g:Product {sku: 'G1'}) UNWIND range(1, 50) AS i CREATE (:User {id: 'u' + i})-[:BOUGHT]->(g)")
    kinds = sorted(type(r).__name__ for r in neighbourhood(graph, "G1", limit=2).relationships)
    assert kinds == ["ACCESSORY_OF", "BOUGHT", "BOUGHT", "IN_CATEGORY", "MADE_BY"]


def test_a_product_that_stands_alone_is_its_own_neighbourhood(graph: py2neo.Graph, shop: GraphStore) -> None:
    shop.write("CREATE (:Product {sku: 'L1', title: 'Lonely', active: true})")
    around = neighbourhood(graph, "L1")
    assert ([node["sku"] for node in around.nodes], len(around.relationships)) == (["L1"], 0)


def test_what_is_not_there_is_said(graph: py2neo.Graph) -> None:
    assert Product.match(graph, "S9").first() is None
    with pytest.raises(QueryError, match="no product with the sku 'S9'"):
        neighbourhood(graph, "S9")
    with pytest.raises(QueryError, match="expected a limit of 1 or more, found 0"):
        neighbourhood(graph, "S1", limit=0)


def test_no_connection_is_said_in_one_sentence(database: localdb.Connection) -> None:
    with pytest.raises(ConnectionFailedError, match=r"no connection to Neo4j at bolt://127.0.0.1:1 as neo4j"):
        connect("bolt://127.0.0.1:1", "neo4j", "secret")
    with pytest.raises(ConnectionFailedError, match="is the password right"):
        connect(database.uri, "neo4j", "wrong")
    with pytest.raises(ConnectionFailedError, match="'localhost' is not the address of a Neo4j"):
        connect("localhost", "neo4j", "secret")
    with pytest.raises(StoreError, match="refused the connection to database nowhere"):
        connect(database.uri, database.username, database.password, database="nowhere")
