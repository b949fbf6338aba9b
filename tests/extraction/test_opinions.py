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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A denial holds for all of a list, and for nothing behind it.
        ("The sound isn't good, clear or warm.", {(BAD, "sound")}),
        ("It isn't sturdy, durable or comfortable.", {(BAD, "build quality"), (BAD, "durability"), (BAD, "comfort")}),
        ("The screen is neither bright nor sharp.", {(BAD, "screen")}),
        ("Neither the screen nor the sound is good.", {(BAD, "screen"), (BAD, "sound")}),
        (
            "No comfortable, sturdy or light strap.",
            {(BAD, "comfort"), (BAD, "build quality"), (BAD, "weight"), (BAD, "strap")},
        ),
        ("The sound is clear, warm and balanced.", {(GOOD, "sound")}),
        # The denial stands before the noun, or before the judgement.
        ("Not a great screen.", {(BAD, "screen")}),
        ("Not the best sound.", {(BAD, "sound")}),
        ("By no means a great screen.", {(BAD, "screen")}),
        ("Hardly a great screen.", {(BAD, "screen")}),
        ("Far from a great screen.", {(BAD, "screen")}),
        ("The sound is far from good.", {(BAD, "sound")}),
        ("It is far from comfortable.", {(BAD, "comfort")}),
        ("Not a bad screen.", {(GOOD, "screen")}),
        ("Nothing great about the sound.", {(BAD, "sound")}),
        ("Not only a great screen.", {(GOOD, "screen")}),
        # Wishes keep the sense of the word; a denied comparative is a superlative.
        ("The sound couldn't be worse.", {(BAD, "sound")}),
        ("The battery life could be worse.", {(GOOD, "battery life")}),
        ("I have never heard better sound.", {(GOOD, "sound")}),
        ("Never had a better strap.", {(GOOD, "strap")}),
        ("I've never seen a worse screen.", {(BAD, "screen")}),
        ("I couldn't find a better strap.", {(GOOD, "strap")}),
        ("There is no better strap.", {(GOOD, "strap")}),
        ("It has never been more comfortable.", {(GOOD, "comfort")}),
        ("I can't recommend the strap enough.", {(GOOD, "strap")}),
        ("I can't recommend the strap.", {(BAD, "strap")}),
        ("The sound is not better.", {(BAD, "sound")}),
        ("The screen was never good.", {(BAD, "screen")}),
        # A plain measure.
        ("It weighs 1.2 kg and is made of leather.", set()),
        ("It is light and weighs 300 g.", {(GOOD, "weight")}),
    ],
)
def test_denials_reach_as_far_as_they_do(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(read_review(text), GOOD, BAD) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("If the strap breaks, they replace it.", set()),
        ("I was worried that the strap would be flimsy, but it isn't.", set()),
        ("I was looking for a sturdy strap.", set()),
        ("I wanted a comfortable strap.", set()),
        ("I'd give 5 stars if the battery were better.", set()),
        ("I hope the strap is durable.", set()),
        ("It is supposed to have great battery life.", set()),
        ("They promise great battery life.", set()),
        ("It was advertised as comfortable.", set()),
        ("Supposedly great sound.", set()),
        ("So-called comfortable strap.", set()),
        ("Hopefully the strap won't break.", set()),
        # Stated beside it, or after all.
        ("I expected the sound to be terrible, but it was great.", set()),
        ("I thought it would be flimsy, but it is sturdy.", {(GOOD, "build quality")}),
        ("I thought the sound was great.", {(GOOD, "sound")}),
        ("The sound is better than I expected.", {(GOOD, "sound")}),
        ("As promised, the sound is great.", {(GOOD, "sound")}),
        ("I would recommend the strap.", {(GOOD, "strap")}),
        ("Don't expect good sound.", {(BAD, "sound")}),
        ("I wish it had a better screen.", {(BAD, "screen")}),
        ("I bought it for the great screen.", {(GOOD, "screen")}),
        ("I am happy with the sound, if not with the strap.", {(GOOD, "sound")}),
    ],
)
def test_what_is_only_supposed_is_no_opinion(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(read_review(text), GOOD, BAD) == expected


@pytest.mark.parametrize(
    "text",
    [
        "My X200 broke after a week. This one is great.",
        "The X200's screen is terrible.",
        "My X200 has a terrible screen.",
        "I have an X200 with a broken strap.",
        "The X200 I had before had terrible battery life.",
        "I returned my X200 because of the terrible battery life.",
        "My Ashdown has a great sound.",
        "The Ashdown strap broke.",
        "I use it with my Ashdown, which has a great sound.",
        "My old camera had a terrible screen.",
        "My last one broke after a week.",
        "The strap of my previous bag broke.",
        "The previous model was flimsy.",
        "Most cameras have terrible screens.",
        "Cheap cameras have poor sound.",
        "I have had many cameras with bad screens.",
        "My wife's camera has great sound.",
    ],
)
def test_what_is_said_of_another_thing_is_not_said_of_this(read_review: Read, text: str) -> None:
    extraction = read_review(text)
    assert facts(extraction, GOOD, BAD) == set()
    assert "compared" in {reason for reason, _ in reasons(extraction)}


@pytest.mark.parametrize(
    ("sku", "text", "expected"),
    [
        ("X100", "Unlike the X200, which has a great screen, this one is dim.", {(BAD, "brightness")}),
        ("X100", "I returned my X200 because this has great battery life.", {(GOOD, "battery life")}),
        ("X100", "My old camera was fine, but the screen of this one is great.", {(GOOD, "screen")}),
        ("X100", "I put it on my Ashdown and the sound is great.", {(GOOD, "sound")}),
        ("X100", "It sounds great on my X200.", {(GOOD, "sound")}),
        ("X100", "I use it with my X200 and the strap is comfortable.", {(GOOD, "strap"), (GOOD, "comfort")}),
        ("X100", "My X100 has a great screen.", {(GOOD, "screen")}),
        ("X100", "These cameras have great screens.", {(GOOD, "screen")}),
        ("X100", "Better sound than my old camera.", {(GOOD, "sound")}),
        ("S1", "My X200 fits perfectly.", {(GOOD, "fit")}),
        ("S1", "My X200 looks great with this strap.", {(GOOD, "appearance")}),
        ("LB7", "The battery of my X100 is great.", {(GOOD, "battery life")}),
    ],
)
def test_what_is_said_beside_another_thing_is_said_of_this(
    read_review: Read, sku: str, text: str, expected: set[tuple[str, str]]
) -> None:
    assert facts(read_review(text, sku=sku), GOOD, BAD) == expected
