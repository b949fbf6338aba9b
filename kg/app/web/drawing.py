"""A drawing of what stands around a product: its facts to the left, other products to the right, lines between.

In three columns every label has a line of its own and can be read, which it
cannot where a layout by forces lets them overlap. Within a column neighbours are
ordered by the middle of what they are linked with, so that lines cross less
(Sugiyama et al. 1981). Libraries that draw graphs (neo4j-viz, pyvis) paint a canvas
with scripts of their own: this is text and links, for a keyboard, for paper, and
for a page that runs no script. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import networkx as nx

WIDTH: Final = 860.0
ROW: Final = 30.0
"""Height of a line of the drawing."""
EDGE: Final = 250.0
"""How far a column stands from its side of the drawing: the room of its labels."""
SWEEPS: Final = 4
"""Times that the columns are put in order after each other; the order does not change any more after three or four."""

Key = tuple[str, str]
"""Label and business key of a node."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A node where it is drawn."""

    label: str
    key: str
    name: str
    x: float
    y: float
    side: str
    """``left``, ``middle`` or ``right``."""


@dataclass(frozen=True, slots=True)
class Link:
    """A relationship as a curve."""

    type: str
    path: str
    """The ``d`` of an SVG path."""
    own: bool
    """Whether it is one of the product's own."""
    says: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that a template draws."""

    width: float
    height: float
    spots: tuple[Spot, ...]
    links: tuple[Link, ...]


def drawing(rows: Iterable[Mapping[str, Any]], sku: str) -> Drawing | None:
    """The drawing of rows of ``product/neighbourhood`` around ``sku``; ``None`` where there are none."""
    graph = nx.MultiDiGraph()
    for row in rows:
        start, end = (row["from_label"], row["from_key"]), (row["to_label"], row["to_key"])
        for node, name in ((start, row["from_name"]), (end, row["to_name"])):
            graph.add_node(node, name=name, subset=_column(node, sku))
        graph.add_edge(start, end, type=row["type"])
    if not graph:
        return None
    columns = _ordered(graph)
    tallest = max(len(column) for column in columns.values())
    height = ROW * (tallest + 1)
    spots = _spots(graph, columns, height)
    links = tuple(
        Link(
            data["type"],
            _curve(spots[a], spots[b]),
            "middle" in (spots[a].side, spots[b].side),
            f"{spots[a].name} {data['type']} {spots[b].name}",
        )
        for a, b, data in graph.edges(data=True)
    )
    # The product's own lines are drawn last, over the others.
    return Drawing(WIDTH, height, tuple(spots.values()), tuple(sorted(links, key=lambda link: link.own)))


def _column(node: Key, sku: str) -> int:
    return 1 if node == ("Product", sku) else 2 if node[0] == "Product" else 0


def _ordered(graph: nx.MultiDiGraph) -> dict[int, list[Key]]:
    """The nodes of each column, in an order with few crossings."""
    columns: dict[int, list[Key]] = {0: [], 1: [], 2: []}
    for node, column in graph.nodes(data="subset"):
        columns[column].append(node)
    # What is of one kind stands together on the left, to be read as a list.
    columns[0].sort(key=lambda node: node[0])
    around = graph.to_undirected(as_view=True)
    for _ in range(SWEEPS):
        for column, other in ((2, 0), (0, 2)):
            place = {node: i for i, node in enumerate(columns[other])}

            def middle(node: Key, place: Mapping[Key, int] = place) -> float:
                found = [place[n] for n in around[node] if n in place]
                return sum(found) / len(found) if found else len(place) / 2

            columns[column].sort(key=lambda node: (node[0], middle(node)) if node[0] != "Product" else middle(node))
    return columns


def _spots(graph: nx.MultiDiGraph, columns: Mapping[int, list[Key]], height: float) -> dict[Key, Spot]:
    spots = {}
    for column, nodes in columns.items():
        side = ("left", "middle", "right")[column]
        x = (EDGE, WIDTH / 2, WIDTH - EDGE)[column]
        top = (height - ROW * (len(nodes) - 1)) / 2
        for i, node in enumerate(nodes):
            spots[node] = Spot(*node, graph.nodes[node]["name"], x, round(top + ROW * i, 1), side)
    return spots


def _curve(a: Spot, b: Spot) -> str:
    """From one spot to the other, leaving and arriving level; within one column, a bow towards the middle."""
    if a.x == b.x:
        bow = a.x + (1 if a.side == "left" else -1) * (24 + abs(a.y - b.y) * 0.25)
        return f"M{a.x:g} {a.y:g} C{bow:g} {a.y:g} {bow:g} {b.y:g} {b.x:g} {b.y:g}"
    middle = (a.x + b.x) / 2
    return f"M{a.x:g} {a.y:g} C{middle:g} {a.y:g} {middle:g} {b.y:g} {b.x:g} {b.y:g}"
