"""The graph through py2neo, for notebooks and for code that is used to it. The only module that imports py2neo.

>>> graph = connect("bolt://localhost:7687", "neo4j", password)
>>> strap = Product.match(graph, "S1").first()
>>> strap.title, [brand.name for brand in strap.brands]
('Birch leather guitar strap', ['Birch'])
>>> [guitar.title for guitar in Brand.match(graph, "ashdown").first().products]
['Ashdown S-200 electric guitar', 'Ashdown practice amp']
>>> neighbourhood(graph, "S1", limit=5)
Subgraph({Node('Product', …), …}, {MADE_BY(…), …})

py2neo 2021.2 is at its end of life. Its connection, Cypher, ``merge``, ``match``
and OGM work against the servers that kg needs; its schema helpers
(``graph.schema``) do not, and are kg init's business anyway.

**What may be written here.** An object's own properties, times excepted: set them
and ``graph.push(it)``. Relations are for reading: py2neo merges a relationship on
its two ends alone, and would turn what the catalogue, the extractor and a
curator assert side by side into one and the same. ``kg.writer`` knows better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import py2neo
from py2neo.errors import ConnectionUnavailable, Neo4jError
from py2neo.ogm import Model, Property, RelatedFrom, RelatedTo

from kg import schema
from kg.errors import ConnectionFailedError, QueryError, StoreError

# --- connecting -----------------------------------------------------------------------------------------------


def connect(uri: str, username: str, password: str, *, database: str = "neo4j") -> py2neo.Graph:
    """The graph as py2neo sees it. For kg's own Neo4j, ``kg db status --json`` tells where each stands.

    Raises:
        ConnectionFailedError: nothing answers, or the password is refused (py2neo does not tell which).
        StoreError: the server has no such database.
    """
    if "://" not in uri:
        # py2neo would not complain and connect to localhost:7687: somebody's graph, but which?
        raise ConnectionFailedError(f"{uri!r} is not the address of a Neo4j. Expected e.g. bolt://localhost:7687.")
    try:
        graph = py2neo.Graph(uri, auth=(username, password), name=database)
        graph.run("RETURN 1").evaluate()
    except (ConnectionUnavailable, ValueError) as error:
        raise ConnectionFailedError(
            f"py2neo got no connection to Neo4j at {uri} as {username} ({error}). Is it running, and is the password "
            "right? py2neo does not tell these apart; kg db status does."
        ) from error
    except Neo4jError as error:
        raise StoreError(f"Neo4j at {uri} refused the connection to database {database}: {error}") from error
    return graph


# --- objects --------------------------------------------------------------------------------------------------


class Relations:
    """What an object is related to: iterated over, counted, asked for; see the module's note on writing."""

    def __init__(self, related: Any) -> None:
        self._related = related

    def __iter__(self) -> Iterator[Any]:
        """The objects, each once, however many sources relate it."""
        seen = set()
        for other in self._related:
            if other.__primaryvalue__ not in seen:
                seen.add(other.__primaryvalue__)
                yield other

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, other: object) -> bool:
        return other in self._related

    def __repr__(self) -> str:
        return repr(list(self))

    def triples(self) -> Iterator[tuple[Any, tuple[str, dict[str, Any]], Any]]:
        """``(this object, (type, properties), other)`` of every relationship, as py2neo gives them."""
        yield from self._related.triples()


class _To(RelatedTo):  # type: ignore[misc]  # py2neo has no types
    """Outgoing relations, for reading."""

    def __get__(self, instance: Any, owner: type) -> Relations:
        return Relations(super().__get__(instance, owner))


class _From(RelatedFrom):  # type: ignore[misc]
    """Incoming relations, for reading."""

    def __get__(self, instance: Any, owner: type) -> Relations:
        return Relations(super().__get__(instance, owner))


class Time(Property):  # type: ignore[misc]
    """A property that holds a time, for reading: py2neo loses the zone when it writes one back."""

    def __set__(self, instance: Any, value: object) -> None:
        raise AttributeError(f"{self.key} is a time, which py2neo cannot write with its zone: write it through Cypher.")


class Entity(Model):  # type: ignore[misc]
    """What all the classes below share: pushing or merging an object writes its own properties and nothing else."""

    __primarykey__ = "key"

    def __db_push__(self, tx: Any) -> None:
        node = self.__node__
        if node.graph is None:
            self.__db_merge__(tx)
            return
        # py2neo's own push writes every property of the node as it came, vectors and times (now without their zone)
        # among them. A property set to None goes.
        own = {name: node[name] for name, attribute in vars(type(self)).items() if type(attribute) is Property}
        tx.run("MATCH (n) WHERE id(n) = $id SET n += $own", id=node.identity, own=own)

    def __db_merge__(self, tx: Any, primary_label: str | None = None, primary_key: str | None = None) -> None:
        if self.__node__.graph is None:
            tx.merge(self.__node__, primary_label or self.__primarylabel__, primary_key or self.__primarykey__)


class Product(Entity):
    """``Product.match(graph, sku).first()``.

    What fits this product, or is made for it, is an attribute here; what it
    fits itself may be products, brands or categories, of which py2neo would make
    one class: ask :func:`neighbourhood`, or ``product/profile`` of the catalogue.
    """

    __primarykey__ = "sku"

    sku = Property()
    title = Property()
    description = Property()
    price = Property()
    currency = Property()
    active = Property()
    stock = Property()
    popularity = Property()

    brands = _To("Brand", "MADE_BY")
    categories = _To("Category", "IN_CATEGORY")
    attributes = _To("AttributeValue", "HAS_ATTRIBUTE")
    praised_for = _To("Aspect", "PRAISED_FOR")
    criticised_for = _To("Aspect", "CRITICISED_FOR")
    accessories = _From("Product", "ACCESSORY_OF")
    compatible = _From("Product", "COMPATIBLE_WITH")
    bought_with = _To("Product", "BOUGHT_WITH")
    viewed_with = _To("Product", "VIEWED_WITH")
    substitutes = _To("Product", "SUBSTITUTE_FOR")
    variant_of = _To("Product", "VARIANT_OF")
    similar = _To("Product", "SIMILAR_TO")
    reviews = _From("Review", "ABOUT")
    buyers = _From("User", "BOUGHT")


class Brand(Entity):
    """``Brand.match(graph, key).first()``."""

    key = Property()
    name = Property()

    products = _From("Product", "MADE_BY")


class Category(Entity):
    """``Category.match(graph, "Instruments > Guitars").first()``."""

    __primarykey__ = "path"

    path = Property()
    name = Property()

    products = _From("Product", "IN_CATEGORY")
    parents = _To("Category", "SUBCATEGORY_OF")
    children = _From("Category", "SUBCATEGORY_OF")


class AttributeValue(Entity):
    """``AttributeValue.match(graph, "material=leather").first()``."""

    key = Property()
    attribute = Property()
    value = Property()
    unit = Property()
    number = Property()

    products = _From("Product", "HAS_ATTRIBUTE")


class Aspect(Entity):
    """``Aspect.match(graph, "comfort").first()``."""

    key = Property()
    name = Property()

    praised = _From("Product", "PRAISED_FOR")
    criticised = _From("Product", "CRITICISED_FOR")


class User(Entity):
    """``User.match(graph, pseudonym).first()``."""

    __primarykey__ = "id"

    id = Property()
    language = Property()
    interests = Property()
    last_at = Time()

    viewed = _To("Product", "VIEWED")
    carted = _To("Product", "CARTED")
    bought = _To("Product", "BOUGHT")
    rated = _To("Product", "RATED")
    disliked = _To("Product", "DISLIKED")
    reviews = _To("Review", "WROTE")
    friends = _To("User", "FRIEND_OF")


class Review(Entity):
    """``Review.match(graph, id).first()``."""

    __primarykey__ = "id"

    id = Property()
    rating = Property()
    title = Property()
    at = Time()

    products = _To("Product", "ABOUT")
    authors = _From("User", "WROTE")


# --- neighbourhoods -------------------------------------------------------------------------------------------

NEIGHBOUR_TYPES: Final = tuple(
    t.name
    for t in schema.RELATIONSHIP_TYPES
    if any("Product" in pair for pair in t.between) and t.name not in ("HAS_TEXT", "MENTIONS")
)
"""The relationships that make a neighbourhood: all of a product's own but those to its texts and evidence."""

# The limit counts by type, lest a thousand buyers hide the one brand; and it stands inside the subquery, so that no
# more is read than shown.
_NEIGHBOURHOOD: Final = """
CYPHER 25
MATCH (p:Product {sku: $sku})
UNWIND $types AS type
OPTIONAL CALL (p, type) {
  MATCH (p)-[r:$(type)]-(x)
  RETURN r, x
  LIMIT $limit
}
RETURN p, r, x
"""


def neighbourhood(graph: py2neo.Graph, sku: str, *, limit: int = 25) -> py2neo.Subgraph:
    """A product with what stands one relationship away: at most ``limit`` of each type of relationship.

    Raises:
        QueryError: there is no such product, or ``limit`` is below 1.
    """
    if limit < 1:
        raise QueryError(f"neighbourhood of {sku}: expected a limit of 1 or more, found {limit}.")
    subgraph = graph.run(_NEIGHBOURHOOD, sku=sku, types=list(NEIGHBOUR_TYPES), limit=limit).to_subgraph()
    if subgraph is None:
        raise QueryError(f"There is no product with the sku {sku!r}.")
    return subgraph
