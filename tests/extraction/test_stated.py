"""What a review states of its product, and what it says of other things."""

from __future__ import annotations

import pytest

from extraction.mentions import Reason
from extraction.pipeline import REVIEW_TRUST
from tests.extraction.conftest import Read


def values(read_review: Read, text: str, sku: str) -> set[str]:
    """Keys of the attribute values that a review states of a product."""
    graph = read_review(text, sku=sku).graph
    return {r.end.key for r in graph.relationships if r.type == "HAS_ATTRIBUTE"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is made of leather.", "material=leather"),
        ("This is made out of nylon, and well.", "material=nylon"),
        ("This strap is leather.", "material=leather"),
        ("This is a nice leather strap.", "material=leather"),
        ("I love that it is leather.", "material=leather"),
        ("The strap is 2 inches wide.", "width=5.08 cm"),
        ("The strap is 12 inches by 14 inches.", "size=30.48 x 35.56 cm"),
        ("It weighs just over 3 pounds.", "weight=1361 g"),
        ("The colour is black.", "colour=black"),
        ("The colour of this strap is dark brown.", "colour=brown"),
        ("Colour: black", "colour=black"),
        ("I use it for hiking.", "use=hiking"),
        ("It is perfect for hiking.", "use=hiking"),
        ("It can be used for hiking.", "use=hiking"),
    ],
)
def test_a_review_states_values_of_its_product(read_review: Read, text: str, value: str) -> None:
    assert values(read_review, text, "S1") == {value}


@pytest.mark.parametrize(
    "text",
    [
        "It is great for my black camera.",
        "I bought it for my leather bag.",
        "The buckle is steel.",
        "It has a steel buckle.",
        "My old strap was leather.",
        "The bag is nice. It is leather.",
        "It was black.",
        "It looks like leather.",
        "It is not made of leather.",
        "I thought it was leather.",
        "If it is leather, I want one.",
        "I wish it were leather.",
        "Is it leather?",
        "It should be leather.",
        "It would be nicer if it were made of leather.",
        "It is 2 inches too short.",
        "The strap is about 6\" too short for me.",
        "It is an inch wider.",
        "It is red when out of tune.",
        "When wet this strap is black.",
        "It is a very transparent strap.",
        "I am 2 metres tall.",
        "I used it for hiking.",
        "It is too slow for hiking.",
        "I went hiking with it.",
        "The strap that I returned is leather.",
        "The Ashdown S-200 is red.",
    ],
)  # fmt: skip
def test_what_a_review_says_of_other_things_is_no_value_of_its_product(read_review: Read, text: str) -> None:
    assert values(read_review, text, "S1") == set()


def test_what_is_not_said_of_the_product_comes_back_with_a_reason(read_review: Read) -> None:
    rejected = read_review("It is a strap for my black camera.", sku="S1").rejected
    assert [(r.reason, r.detail) for r in rejected] == [(Reason.NOT_OF_PRODUCT, "colour: black")]


def test_a_review_is_believed_less_than_a_description(read_review: Read, read_product: Read) -> None:
    said = "It is made of leather."

    def confidence(read: Read) -> float:
        graph = read("Birch camera strap", said).graph if read is read_product else read(said, sku="S1").graph
        return next(float(str(r.properties["confidence"])) for r in graph.relationships if r.type == "HAS_ATTRIBUTE")

    assert confidence(read_review) == pytest.approx(REVIEW_TRUST * confidence(read_product), abs=1e-4)
