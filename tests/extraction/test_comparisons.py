"""What reviews and descriptions say of a product beside another one."""

from __future__ import annotations

import pytest

from kg.graph import Extraction
from tests.extraction.conftest import Read, facts, reasons

COMPARISONS = ("BETTER_THAN", "WORSE_THAN", "COMPARED_WITH")


def compared_by(extraction: Extraction) -> set[tuple[str, str]]:
    """Aspects that the evidence of comparisons names, with the words that do."""
    stated = {r.fact for r in extraction.graph.relationships if r.type in COMPARISONS}
    named = [e for e in extraction.graph.evidence if e.fact in stated and e.mentions and e.mentions.label == "Aspect"]
    return {(e.mentions.key, e.quote) for e in named if e.mentions}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A comparative before "than": who wins is read from it.
        ("It is much better than my Lumo X200.", {("BETTER_THAN", "X200")}),
        ("More comfortable than the Birch.", {("BETTER_THAN", "birch")}),
        ("Less comfortable than the Birch.", {("WORSE_THAN", "birch")}),
        ("It is flimsier than the X200.", {("WORSE_THAN", "X200")}),
        ("This is longer than the X200.", {("COMPARED_WITH", "X200")}),
        ("It is no better than the X200.", {("COMPARED_WITH", "X200")}),
        ("The Lumo X100 is better than the X200.", {("BETTER_THAN", "X200")}),
        # As … as.
        ("It is just as good as the X200.", {("COMPARED_WITH", "X200")}),
        ("Not as good as the X200.", {("WORSE_THAN", "X200")}),
        ("It is not as heavy as the X200.", {("BETTER_THAN", "X200")}),
        # Verbs and phrases.
        ("I prefer this to the X200.", {("BETTER_THAN", "X200")}),
        ("I prefer the X200.", {("WORSE_THAN", "X200")}),
        ("It beats the Ashdown in every way.", {("BETTER_THAN", "ashdown")}),
        ("It doesn't beat the X200.", {("WORSE_THAN", "X200")}),
        ("I went back to my X200.", {("WORSE_THAN", "X200")}),
        ("An upgrade from the X200.", {("BETTER_THAN", "X200")}),
        ("Similar to the X200 but smaller.", {("COMPARED_WITH", "X200")}),
        # The other one is the subject.
        ("The X200 is sturdier.", {("WORSE_THAN", "X200")}),
        ("The X200 is better than the X100.", {("WORSE_THAN", "X200")}),
        ("My X200 is flimsier than this.", {("BETTER_THAN", "X200")}),
        # Nothing is said of this product.
        ("The Ashdown is better than the Birch.", set()),
        ("My old strap was better than the Birch.", set()),
        ("Nothing is better than my X200.", set()),
        ("It works as well as the X200.", set()),
        ("It goes over the X200.", set()),
        ("This goes over the X200.", set()),
        ("It puts the X200 within reach.", set()),
        ("It stuck to the X200.", set()),
        ("A replacement battery, and a good replacement for the X200.", set()),
        ("Better than other Lumo cameras.", set()),  # its own maker
    ],
)
def test_who_wins_is_read_from_the_sentence(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(read_review(text), *COMPARISONS) == expected


def test_a_description_compares_too(read_product: Read) -> None:
    extraction = read_product("Birch bag", "Lighter than the Ashdown Spark.")
    assert facts(extraction, *COMPARISONS) == {("BETTER_THAN", "SPK")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sound is warmer than my Ashdown S-200.", {("sound", "sound")}),
        ("Cheaper than the Lumo X200.", {("price", "Cheaper")}),
        ("My X200 has a better screen than this.", {("screen", "screen")}),
        ("It is much better than my Lumo X200.", set()),
    ],
)
def test_the_aspect_has_evidence_of_its_own(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert compared_by(read_review(text)) == expected


def test_what_the_other_one_has_is_no_praise_of_this_one(read_review: Read) -> None:
    extraction = read_review("My X200 has a better screen than this.")
    assert not facts(extraction, "PRAISED_FOR")
    assert ("compared", "opinion: better") in reasons(extraction)


@pytest.mark.parametrize("text", ["I thought it would be better than the X200.", "Is it better than the X200?"])
def test_a_hope_compares_nothing(read_review: Read, text: str) -> None:
    extraction = read_review(text)
    assert not facts(extraction, *COMPARISONS)
    assert ("hypothetical", "BETTER_THAN: X200") in reasons(extraction)


def test_less_turns_a_judgement_round(read_review: Read) -> None:
    assert facts(read_review("It is less comfortable.")) == {("CRITICISED_FOR", "comfort")}
