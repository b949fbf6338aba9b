"""What terms, prices and sentences are called on a page."""

from __future__ import annotations

import re

import pytest

from kg import catalogue
from kg.app.web.words import TERMS, Fact, Marked, Share, beside, facts_of, marked, money, percent, shares, stars, term


def test_what_is_said_of_two_products_alike_does_not_say_which_is_for_which() -> None:
    assert (term("ACCESSORY_OF"), beside("ACCESSORY_OF")) == ("made for it", "one is made for the other")
    assert beside("BOUGHT_WITH") == "bought together"


def test_every_term_of_a_score_has_a_name() -> None:
    """A query that names a new term in its reasons would show it in the letters of the database."""
    text = "\n".join(
        query.cypher for query in catalogue.load().values() if query.name.startswith(("recommend/", "search/"))
    )
    named = set(re.findall(r"'([A-Z_]{3,})' AS term|term: '([A-Z_]{3,})'", text))
    terms = {a or b for a, b in named}
    assert {"EMBEDDING", "POPULARITY", "WORDS"} <= terms
    assert terms - TERMS.keys() == set()
    assert (term("WORDS"), term("NEWLY_FOUND")) == ("words", "newly found")


@pytest.mark.parametrize(
    ("price", "currency", "said"), [(24.5, "USD", "24.50 USD"), (1249.0, None, "1,249.00"), (None, "USD", "–")]
)
def test_a_price_is_written_with_its_currency(price: float | None, currency: str | None, said: str) -> None:
    assert money(price, currency) == said


@pytest.mark.parametrize(
    ("rating", "said"),
    [(5.0, "5 stars"), (4.5, "4.5 stars"), (1.0, "1 star"), (3.25, "3.25 stars"), (10.0, "10 stars"), (0.0, "0 stars")],
)
def test_stars_are_those_that_were_given(rating: float, said: str) -> None:
    assert stars(rating) == said


@pytest.mark.parametrize(("share", "said"), [(0.5, "50 %"), (0.001, "<1 %"), (0.0, "0 %"), (1.0, "100 %"), (None, "–")])
def test_a_share_is_never_called_nothing_when_it_is_something(share: float | None, said: str) -> None:
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == said


@pytest.mark.parametrize(
    ("sentence", "quote", "pieces"),
    [
        ("Brown leather.", "leather", ("Brown ", "leather", ".")),
        ("Brown leather.", "wood", ("Brown leather.", "", "")),
        (None, "leather", ("", "leather", "")),
        ("Brown.", None, ("Brown.", "", "")),
    ],
)
def test_a_quote_is_found_in_its_sentence(sentence: str | None, quote: str | None, pieces: tuple[str, ...]) -> None:
    assert marked(sentence, quote) == Marked(*pieces)


def test_the_places_of_a_fact_stand_together() -> None:
    rows = [
        {"fact": "f1", "type": "HAS_ATTRIBUTE", "object": "material = leather", "confidence": 0.7},
        {"fact": "f2", "type": "ACCESSORY_OF", "object": "S-200", "confidence": None},
        {"fact": "f1", "type": "HAS_ATTRIBUTE", "object": "material = leather", "confidence": 0.9},
    ]
    assert facts_of(rows) == [
        Fact("f1", "HAS_ATTRIBUTE", "material = leather", 0.9, (rows[0], rows[2])),
        Fact("f2", "ACCESSORY_OF", "S-200", 0.0, (rows[1],)),
    ]


def test_shares_of_one_term_are_added_and_stand_side_by_side() -> None:
    reasons = [
        {"term": "SIMILAR_TO", "share": 0.25, "because": "Guitar"},
        {"term": "POPULARITY", "share": 0.3, "because": None},
        {"term": "SIMILAR_TO", "share": 0.25, "because": "Tuner"},
    ]
    assert shares(reasons) == [Share("SIMILAR_TO", 0.5, 0.0, "Guitar"), Share("POPULARITY", 0.3, 50.0, None)]


def test_parts_become_shares_of_their_sum() -> None:
    assert [(s.term, s.share) for s in shares([{"term": "WORDS", "part": 1.5}, {"term": "MEANING", "part": 0.5}])] == [
        ("WORDS", 0.75),
        ("MEANING", 0.25),
    ]
    assert shares([]) == []
