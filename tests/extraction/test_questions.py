"""Questions of customers, and what is read out of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from extraction.encoder import Encoder
from extraction.questions import EXAMPLES, Asks, Question, QuestionReader
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


def test_it_and_these_refer_to_what_was_shown(read: Read) -> None:
    assert read("How heavy is it?").refers
    assert not read("How heavy is the X100?").refers


def test_a_name_asks_for_nothing_by_its_words(read: Read) -> None:
    # "leather" in the name of the strap is no material that is asked for.
    assert read("How heavy is the Birch leather camera strap?").values == ()


def test_every_kind_has_examples_of_its_own() -> None:
    assert set(EXAMPLES) == set(Asks)
