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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Behind a name that is only compared with stands what is said of this product.
        ("Compared to the X200 it is much better.", {("BETTER_THAN", "X200")}),
        ("Compared to the X200, it is flimsier.", {("WORSE_THAN", "X200")}),
        ("Compared to the X200 it is no better.", {("COMPARED_WITH", "X200")}),
        ("Compared with the X200 the sound is better.", {("BETTER_THAN", "X200")}),
        ("Unlike the X200 this is sturdier.", {("BETTER_THAN", "X200")}),
        ("Next to the X200 this is sturdier.", {("BETTER_THAN", "X200")}),
        ("Coming from the X200 this is a better camera.", {("BETTER_THAN", "X200")}),
        ("After years with the X200 this feels sturdier.", {("BETTER_THAN", "X200")}),
        ("Unlike the X200, which has a better screen, this one is dim.", {("COMPARED_WITH", "X200")}),
        # "This" begins anew.
        ("I own the X200 and this is better.", {("BETTER_THAN", "X200")}),
        ("I sold the X200 because this is better.", {("BETTER_THAN", "X200")}),
        ("My friend has the X200 and says this is better.", {("BETTER_THAN", "X200")}),
        ("Having used the X200 I find this one better.", {("BETTER_THAN", "X200")}),
        # Which of the two "it" is, nobody knows.
        ("I had the X200 and it was better.", set()),
        ("With the X200 sound is better.", set()),
        # The other one is the subject all the same.
        ("I think the X200 is better.", {("WORSE_THAN", "X200")}),
        ("The X200 strap is sturdier.", {("WORSE_THAN", "X200")}),
        ("The X200 I had before was sturdier.", {("WORSE_THAN", "X200")}),
        ("The sound of the X200 is better.", {("WORSE_THAN", "X200")}),
        # "My old" may belong to the one that it is compared with.
        ("Lighter than my old Ashdown.", {("BETTER_THAN", "ashdown")}),
        ("Better than my old X200.", {("BETTER_THAN", "X200")}),
        ("It is much better than my other Lumo X200.", {("BETTER_THAN", "X200")}),
        ("I went back to my old X200.", {("WORSE_THAN", "X200")}),
        (
            "This is better than my old Ashdown but worse than the X200.",
            {("BETTER_THAN", "ashdown"), ("WORSE_THAN", "X200")},
        ),
        ("My other strap is lighter than my old Ashdown.", set()),
        ("Everything is better than my old Ashdown.", set()),
    ],
)
def test_whose_the_comparative_is(read_review: Read, text: str, expected: set[tuple[str, str]]) -> None:
    assert facts(read_review(text), *COMPARISONS) == expected


def test_what_is_said_behind_a_name_compared_with_is_praise_of_this_one(read_review: Read) -> None:
    extraction = read_review("Compared with the X200 the sound is better.")
    assert facts(extraction, "PRAISED_FOR") == {("PRAISED_FOR", "sound")}
    assert not facts(read_review("Unlike the X200, which has a great screen, this one is black."), "PRAISED_FOR")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("Much better than my Gibson.", "BETTER_THAN: Gibson"),
        ("It is lighter than my Zorro Q77.", "BETTER_THAN: Zorro Q77"),
    ],
)
def test_a_name_that_the_graph_does_not_know_is_rejected_with_its_reason(
    read_review: Read, text: str, detail: str
) -> None:
    extraction = read_review(text)
    assert ("unknown", detail) in reasons(extraction)
    assert not facts(extraction, *COMPARISONS)
