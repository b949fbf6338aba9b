"""Sentences of reviews, and what they praise and criticise."""

from __future__ import annotations

import pytest

from tests.extraction.conftest import Read, facts, quotes, reasons

GOOD, BAD = "PRAISED_FOR", "CRITICISED_FOR"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Adjective beside the noun, behind the verb, behind a comma.
        ("Great sound.", {(GOOD, "sound")}),
        ("The sound is excellent.", {(GOOD, "sound")}),
        ("The strap is comfortable and sturdy.", {(GOOD, "strap"), (GOOD, "comfort"), (GOOD, "build quality")}),
        ("Terrible battery life.", {(BAD, "battery life")}),
        # Joined by "and", parted by "but".
        ("The sound and the screen are great.", {(GOOD, "sound"), (GOOD, "screen")}),
        ("Great sound, but terrible battery life.", {(GOOD, "sound"), (BAD, "battery life")}),
        ("I love the sound but hate the screen.", {(GOOD, "sound"), (BAD, "screen")}),
        # Verbs.
        ("I love the screen.", {(GOOD, "screen")}),
        ("The strap broke.", {(BAD, "strap")}),
        ("I am impressed with the sound.", {(GOOD, "sound")}),
        ("It looks great and sounds awful.", {(GOOD, "appearance"), (BAD, "sound")}),
        ("Works perfectly.", {(GOOD, "performance")}),
        # Words that name their aspect.
        ("It is comfortable.", {(GOOD, "comfort")}),
        ("Flimsy and overpriced.", {(BAD, "build quality"), (BAD, "price")}),
        ("Worth every penny.", {(GOOD, "price")}),
        # Negation.
        ("The sound is not good.", {(BAD, "sound")}),
        ("The screen isn't bad.", {(GOOD, "screen")}),
        ("I don't think the sound is good.", {(BAD, "sound")}),
        ("It never broke.", {(GOOD, "durability")}),
        ("The strap isn't comfortable.", {(BAD, "strap"), (BAD, "comfort")}),
        ("It is anything but easy to use.", {(BAD, "ease of use")}),
        # Faults: their absence is a merit.
        ("No hum at all.", {(GOOD, "noise")}),
        ("There is an awful hum.", {(BAD, "noise")}),
        ("There is a hum.", {(BAD, "noise")}),
        # Wishes and excess.
        ("The sound could be better.", {(BAD, "sound")}),
        ("The battery life could not be better.", {(GOOD, "battery life")}),
        ("It is too heavy.", {(BAD, "weight")}),
        ("Lack of bass.", {(BAD, "bass")}),
        ("It needs more volume.", {(BAD, "volume")}),
        # An opinion word outside the lexicon, and a noun outside the vocabulary, by likeness.
        ("The picture is mesmerizing.", {(GOOD, "picture quality")}),
        ("The earphone sound is stupendous.", {(GOOD, "sound")}),
        # Whole clauses by likeness to examples.
        ("Water got in during the first shower.", {(BAD, "waterproofing")}),
        ("They sent a new one at once.", {(GOOD, "customer service")}),
        # Nothing is said.
        ("Is the sound good?", set()),
        ("I bought it in March.", set()),
        ("It has a strap.", set()),
    ],
)
def test_praise_and_blame_are_read(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(read_review(text), GOOD, BAD) == expected


def test_the_quote_holds_aspect_and_opinion(read_review: Read) -> None:
    extraction = read_review("I think the sound quality is really excellent, all in all.")
    assert quotes(extraction, "sound") == ["sound quality is really excellent"]


def test_an_aspect_that_the_vocabulary_lacks_is_rejected(read_review: Read) -> None:
    extraction = read_review("The mascot is great.")
    assert ("not_in_schema", "aspect: mascot") in reasons(extraction)


def test_the_product_itself_is_no_aspect(read_review: Read) -> None:
    extraction = read_review("Great strap.", sku="S1")
    assert ("not_in_schema", "aspect: strap") not in reasons(extraction)


def test_other_products_are_mentions_and_no_relations(read_review: Read) -> None:
    extraction = read_review("I own an Ashdown S-200, too.")
    assert facts(extraction) == set()
    (evidence,) = [e for e in extraction.graph.evidence if e.mentions and e.mentions.key == "G1"]
    assert (evidence.quote, evidence.fact) == ("Ashdown S-200", None)
