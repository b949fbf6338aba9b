"""Composed sentences: what is marked is what was written."""

from __future__ import annotations

import random

import pytest

from extraction.benchmarks import Triplet
from extraction.composed import Domain, Part, Wording, _Draft, _Writer, compose
from kg.errors import ExtractionError

LISTS = {
    "good": ("great",),
    "bad": ("poor",),
    "is": ("is",),
    "are": ("are",),
    "I": ("we",),
    "very": ("very",),
    "love": ("love",),
}
LAMPS = Domain(things=("lamp",), parts=(Part("lamp shades", ("pretty",), ("torn",)),))


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording.load()


def written(pattern: str, lists: dict[str, tuple[str, ...]] | None = None) -> tuple[str, list[Triplet]]:
    """A clause of this pattern, with seed 0."""
    draft = _Draft()
    writer = _Writer(Wording((LAMPS,), lists or LISTS, {}), random.Random(0))
    writer._clause(draft, pattern, LAMPS)
    return " ".join(draft.tokens), draft.triplets


def test_a_pattern_says_what_is_judged_by_which_words() -> None:
    text, triplets = written("$I <+love> the [n] , but the [2:cord] isn't <2:- too $good>")
    assert text == "we love the lamp shades , but the cord is n't too great"
    assert triplets == [Triplet((3, 4), (1,), "POS"), Triplet((8,), (11, 12), "NEG")]


def test_one_opinion_judges_all_parts_of_its_number() -> None:
    text, triplets = written("the [cord] and the [plug] $is <=so so>")
    assert text == "the cord and the plug is so so"
    assert triplets == [Triplet((1,), (6, 7), "NEU"), Triplet((4,), (6, 7), "NEU")]


def test_what_is_not_in_brackets_is_not_marked_and_verbs_agree() -> None:
    assert written("the n $is $good") == ("the lamp shades are great", [])
    assert written("$I am here") == ("we are here", [])


def test_a_list_that_is_not_there_is_named() -> None:
    with pytest.raises(ExtractionError, match="'colours'"):
        written("the [n] $is $colours")


def test_the_same_seed_gives_the_same_sentences(wording: Wording) -> None:
    assert compose(wording, 50, 1) == compose(wording, 50, 1)
    assert compose(wording, 50, 1) != compose(wording, 50, 2)


def test_every_pattern_can_be_written_and_judges_if_it_should(wording: Wording) -> None:
    writer = _Writer(wording, random.Random(0))
    for kind, patterns in wording.patterns.items():
        for pattern in patterns:
            draft = _Draft()
            writer._clause(draft, pattern, wording.domains[0])
            assert bool(draft.triplets) == (kind == "clauses"), pattern
            for triplet in draft.triplets:
                assert not set(triplet.aspect) & set(triplet.opinion), pattern
                assert max(*triplet.aspect, *triplet.opinion) < len(draft.tokens), pattern
