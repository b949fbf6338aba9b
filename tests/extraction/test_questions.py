"""Questions of customers, and what is read out of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from extraction import measures
from extraction.encoder import Encoder
from extraction.measures import Bound
from extraction.questions import EXAMPLES, Asks, Question, QuestionReader, codes
from kg.vocabulary import Vocabulary
from tests.extraction.conftest import CAMERAS

Read = Callable[[str], Question]


@pytest.fixture(scope="module")
def read(vocabulary: Vocabulary, encoder: Encoder) -> Read:
    reader = QuestionReader(vocabulary, encoder.encode)
    return lambda text: reader.read(text, CAMERAS)


@pytest.mark.parametrize(
    ("text", "asks", "products"),
    [
        ("Does the strap fit the X100?", Asks.FITS, ("X100",)),
        ("Is the LB-7 compatible with the Lumo X200?", Asks.FITS, ("LB7", "X200")),
        ("can i use the lb-7 with the x100", Asks.FITS, ("LB7", "X100")),
        ("Which batteries work with the X100?", Asks.FITS, ("X100",)),
        ("What do people say about the battery of the X100?", Asks.OPINION, ("X100",)),
        ("How is the sound of the S-200?", Asks.OPINION, ("G1",)),
        ("Are there complaints about the X200?", Asks.OPINION, ("X200",)),
        ("Which of these is waterproof?", Asks.VALUE, ()),
        ("How heavy is it?", Asks.VALUE, ()),
        ("What is the X100 made of?", Asks.VALUE, ("X100",)),
        ("What colour is the X100?", Asks.VALUE, ("X100",)),
        ("Is there a cheaper one?", Asks.CHEAPER, ()),
        ("Do you have anything less expensive than the X200?", Asks.CHEAPER, ("X200",)),
        ("Compare the X100 and the X200.", Asks.COMPARE, ("X100", "X200")),
        ("What is the difference between X100 and X200?", Asks.COMPARE, ("X100", "X200")),
        ("How much is the X100?", Asks.PRICE, ("X100",)),
        ("What does the X100 cost?", Asks.PRICE, ("X100",)),
        ("Is the X100 in stock?", Asks.STOCK, ("X100",)),
        ("Who won the match last night?", Asks.NOTHING, ()),
        ("When will my parcel arrive?", Asks.NOTHING, ()),
        ("", Asks.NOTHING, ()),
        ("???", Asks.NOTHING, ()),
    ],
)
def test_what_is_asked_of_which_product(read: Read, text: str, asks: Asks, products: tuple[str, ...]) -> None:
    question = read(text)
    assert (question.asks, question.products) == (asks, tuple((sku,) for sku in products))


def test_attributes_values_and_aspects_are_named_as_in_the_vocabulary(read: Read) -> None:
    assert read("How heavy is it?").attributes == ("weight",)
    assert read("What is it made of?").attributes == ("material",)
    assert read("Which of these is waterproof?").values == ("waterproof rating=waterproof",)
    assert read("Is the X100 black?").values == ("colour=black",)
    assert read("What do people say about the battery?").aspects == ("battery life",)
    assert read("Does the strap fit the X100?").things == ("strap",)
    assert read("Which cameras are black?").categories == ("Photo > Cameras",)


def test_superlatives_tell_which_end_of_what(read: Read) -> None:
    for text, attribute, most in (
        ("Which of these is the heaviest?", "weight", 1),
        ("Which one is the lightest?", "weight", -1),
        ("Which is the cheapest?", "price", -1),
        ("Which one is the least expensive?", "price", -1),
    ):
        question = read(text)
        assert (question.asks, question.attributes, question.most) == (Asks.VALUE, (attribute,), most), text


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("How long does the battery last?", "battery life"),
        ("How long is the battery life of the X100?", "battery life"),
        ("How long does the X100 take to charge?", "charging time"),
        ("How long is the warranty?", "warranty"),
        ("How long is the X100?", "length"),
        ("How high is the voltage?", "voltage"),
        ("How big is the screen?", "screen size"),
        ("How big is the camera?", "size"),
        ("How much does the bag hold?", "capacity"),
        ("How many people does the tent sleep?", "capacity in people"),
        ("Which of these has the longest battery life?", "battery life"),
        ("Which one has the lowest price?", "price"),
    ],
)
def test_an_adjective_measures_what_the_question_names(read: Read, text: str, attribute: str) -> None:
    question = read(text)
    assert (question.asks, question.attributes) == (Asks.VALUE, (attribute,))


def test_what_cues_ask_of_is_in_the_vocabulary(vocabulary: Vocabulary) -> None:
    known = {a.name for a in vocabulary.attributes} | {"price"}
    assert {attribute for attribute, _ in measures.ADJECTIVES.values()} <= known
    assert {attribute for _, attribute in measures.PHRASES} <= known
    assert {attribute for named in measures.OF_NAMED.values() for attribute in named} <= known


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("Is it under 50 dollars?", Bound("price", -1, 50.0, measures.DOLLARS)),
        ("Which cameras cost no more than €1,250.50?", Bound("price", -1, 1250.5, frozenset({"EUR"}), reached=True)),
        ("Is it over 300?", Bound("price", 1, 300.0)),
        ("Does it weigh less than 2 kg?", Bound("weight", -1, 2000.0, frozenset({"g"}))),
        ("Is it lighter than 5 pounds?", Bound("weight", -1, 2268.0, frozenset({"g"}))),
        ("Is it cheaper than 5 pounds?", Bound("price", -1, 5.0, frozenset({"GBP"}))),
        ("Does it have a longer battery life than 10 hours?", Bound("battery life", 1, 10.0, frozenset({"h"}))),
        ("Is the X100 heavier than the X200?", Bound("weight", 1, before=1)),
        ("Is it less expensive than the X200?", Bound("price", -1)),
        ("Does the X100 have more megapixels than the X200?", Bound("resolution", 1, before=1)),
        ("Between 200 and 300 dollars?", Bound("price", 1, 200.0, measures.DOLLARS, reached=True, high=300.0)),
        ("Is it between $200 and 300?", Bound("price", 1, 200.0, measures.DOLLARS, reached=True, high=300.0)),
        ("Which cost from 20 to 30?", Bound("price", 1, 20.0, reached=True, high=30.0)),
        ("Anything for €20-30?", Bound("price", 1, 20.0, frozenset({"EUR"}), reached=True, high=30.0)),
        ("Does it weigh between 2 and 3 kg?", Bound("weight", 1, 2000.0, frozenset({"g"}), reached=True, high=3000.0)),
        ("Which do not weigh more than 2 kg?", Bound("weight", -1, 2000.0, frozenset({"g"}), reached=True)),
        ("Which are not under $50?", Bound("price", 1, 50.0, measures.DOLLARS, reached=True)),
        ("Isn't it under $50?", Bound("price", -1, 50.0, measures.DOLLARS)),
        ("What is the difference between the X100 and the X200?", None),
        ("Is it a zoom of 24-70 mm?", None),
        ("Is it for between 2 and 4 people?", None),
        ("Is the X100 better value for children under 12?", None),
        ("Can I wear it under a jacket?", None),
        ("Is there a cheaper one than the X200?", None),
        ("Is it something other than leather?", None),
    ],
)
def test_more_or_less_than_what(read: Read, text: str, bound: Bound | None) -> None:
    assert read(text).bound == bound


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("How heavy is it in pounds?", "lb"),
        ("How long is the X100 in inches?", "in"),
        ("How heavy is it in inches?", None),
        ("How heavy is it in all?", None),
        ("How heavy is it?", None),
    ],
)
def test_in_which_unit_a_quantity_should_be_told(read: Read, text: str, unit: str | None) -> None:
    assert read(text).unit == unit


@pytest.mark.parametrize(
    ("text", "values", "without"),
    [
        ("Isn't it black?", ("colour=black",), ()),
        ("Aren't these waterproof?", ("waterproof rating=waterproof",), ()),
        ("The X100, is it really not black?", ("colour=black",), ()),
        ("Is this one not black?", ("colour=black",), ()),
        ("Is there no black one?", ("colour=black",), ()),
        ("Isn't there one that is not black?", (), ("colour=black",)),
        ("Which are not black?", (), ("colour=black",)),
        ("Are any of these not black?", (), ("colour=black",)),
        ("Do you have a black strap without leather?", ("colour=black",), ("material=leather",)),
        ("Is it waterproof and not black?", ("waterproof rating=waterproof",), ("colour=black",)),
        ("Is it not only waterproof but also black?", ("waterproof rating=waterproof", "colour=black"), ()),
    ],
)
def test_what_a_question_denies_is_asked_for_or_excluded(
    read: Read, text: str, values: tuple[str, ...], without: tuple[str, ...]
) -> None:
    question = read(text)
    assert (question.asks, question.values, question.without) == (Asks.VALUE, values, without)


@pytest.mark.parametrize(
    ("text", "subjects", "misfits"),
    [
        ("Does the LB-7 fit the X100 and the X200?", 1, False),
        ("What fits the X100 and the X200?", 0, False),
        ("Does it fit the X100?", 0, False),
        ("Do the LB-7 and the Birch leather camera strap fit the X100?", 2, False),
        ("Are the LB-7 and the X100 compatible?", 1, False),
        ("Which of these do not fit the X100?", 0, True),
        ("Won't it fit the X100?", 0, False),
        ("Is the LB-7 not compatible with the X100?", 1, False),
        ("Is the LB-7 incompatible with the X100?", 1, True),
    ],
)
def test_what_should_go_with_what(read: Read, text: str, subjects: int, misfits: bool) -> None:
    question = read(text)
    assert (question.asks, question.subjects, question.misfits) == (Asks.FITS, subjects, misfits)


@pytest.mark.parametrize(
    ("text", "strangers"),
    [
        ("Does it fit the Canon R5?", ("Canon", "R5")),
        ("Does the strap fit the X100?", ()),
        ("Does it fit my lumo X100?", ()),
        ("Does the Lummo X100 Mk II fit it?", ()),
        ("Is it compatible with Bluetooth and USB-C?", ()),
        ("Is it REALLY black?", ()),
        ("DOES IT FIT THE CANON?", ()),
        ("Will it work with my gibson les paul?", ("gibson", "les", "paul")),
        ("Hi, I'm Anna. Does the strap fit the X100?", ()),
    ],
)
def test_names_that_the_shop_does_not_have(read: Read, text: str, strangers: tuple[str, ...]) -> None:
    assert read(text).strangers == strangers


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("What is the price for the X100?", Asks.PRICE),
        ("How much do you want for the X100?", Asks.PRICE),
        ("Is there a warranty for the X100?", Asks.VALUE),
        ("Is there a battery for the X100?", Asks.FITS),
        ("Do you have the battery for the X100?", Asks.FITS),
        ("Do you have the X100?", Asks.STOCK),
        ("Is it suitable for hiking?", Asks.VALUE),
        ("Does it work with Bluetooth?", Asks.VALUE),
        ("Does the Bluetooth remote work with the X100?", Asks.FITS),
        ("Does it take AA batteries?", Asks.VALUE),
        ("What compatible mount does the X100 have?", Asks.VALUE),
    ],
)
def test_what_only_looks_like_a_question_of_fitting(read: Read, text: str, asks: Asks) -> None:
    assert read(text).asks is asks


def test_names_are_joined_by_and(read: Read) -> None:
    assert read("Does the LB-7 fit the X100 and the X200?").every
    assert not read("Does the LB-7 fit the X100 or the X200?").every
    assert not read("Does the LB-7 fit the X100 (X200)?").every


def test_a_sku_names_its_product(read: Read) -> None:
    assert read("How heavy is R3C?").products == (("R3C",),)
    assert [w.text for w in codes("Is OR-K7, 10023456 or (X1) under 500?")] == ["OR-K7", "10023456", "X1"]


def test_it_and_these_refer_to_what_was_shown(read: Read) -> None:
    assert read("How heavy is it?").refers
    assert not read("How heavy is the X100?").refers


def test_a_name_asks_for_nothing_by_its_words(read: Read) -> None:
    # "leather" in the name of the strap is no material that is asked for.
    assert read("How heavy is the Birch leather camera strap?").values == ()


def test_every_kind_has_examples_of_its_own() -> None:
    assert set(EXAMPLES) == set(Asks)
