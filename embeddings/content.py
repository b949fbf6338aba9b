"""What a product is in itself: the vector of its text, and those that the shop supplied of it (of an image, say).

They stand side by side, each at unit length, so that each counts alike wherever a product is known by its content: in
the network's projection, among the features of the ridge, and, one part for each, in SIMILAR_TO.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from torch_geometric.data import HeteroData

from kg.records import VECTOR_NAME
from kg.store import GraphStore

TEXT: Final = "text_embedding"
"""Property of the text's vector, which comes first."""
SUPPLIED: Final = "vector_"
"""How the properties of the supplied ones begin; behind it stands the name that the product file gave."""


@dataclass(frozen=True, slots=True)
class Content:
    """Vectors of ``n`` products by property, each float32 ``[n, width]``: rows of unit length, or zero for none."""

    blocks: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, data: HeteroData) -> Content:
        """Out of an export; what no product has is left out."""
        product = data["Product"]
        found = {name: product[name].numpy() for name in properties_of(product.keys()) if product[name].any()}
        # The encoder's are of unit length already, and stay to the last digit what they are.
        return cls({name: rows if name == TEXT else unit_rows(rows) for name, rows in found.items()})

    @property
    def layout(self) -> dict[str, int]:
        """Width of each, in order: which columns of :meth:`together` are whose."""
        return {name: rows.shape[1] for name, rows in self.blocks.items()}

    def together(self) -> np.ndarray | None:
        """Side by side, float32 ``[n, Σ widths]``; None where there is none."""
        blocks = list(self.blocks.values())
        if len(blocks) <= 1:
            return blocks[0] if blocks else None
        return np.hstack(blocks)


def supplied(store: GraphStore) -> tuple[str, ...]:
    """Properties of supplied vectors that the graph knows; one that was removed everywhere may be among them."""
    rows = store.read(
        "CALL db.propertyKeys() YIELD propertyKey AS name\nWHERE name STARTS WITH $begin\nRETURN name ORDER BY name",
        begin=SUPPLIED,
    )
    return tuple(row["name"] for row in rows if VECTOR_NAME.fullmatch(row["name"].removeprefix(SUPPLIED)))


def properties_of(names: Iterable[str]) -> list[str]:
    """Those of content among some properties' names: the text's first, then the others by name."""
    return sorted((n for n in names if n == TEXT or n.startswith(SUPPLIED)), key=lambda n: (n != TEXT, n))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows at unit length, float32; zero rows stay zero, and a NaN stays one: whoever writes vectors looks for it."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    there = ~(length <= 1e-12)
    unit: np.ndarray = np.divide(vectors, length, out=np.zeros_like(vectors), where=there).astype(np.float32)
    return unit


def placed(weight: np.ndarray, made_for: Mapping[str, int], layout: Mapping[str, int]) -> np.ndarray:
    """A projection ``[d, Σ widths]`` with its columns where another layout has them; zero for what it did not know."""
    result = np.zeros((weight.shape[0], sum(layout.values())), dtype=weight.dtype)
    begins = _begins(made_for)
    for name, begin in _begins(layout).items():
        width = layout[name]
        if made_for.get(name) == width:
            result[:, begin : begin + width] = weight[:, begins[name] : begins[name] + width]
    return result


def _begins(layout: Mapping[str, int]) -> dict[str, int]:
    begins, end = {}, 0
    for name, width in layout.items():
        begins[name] = end
        end += width
    return begins
