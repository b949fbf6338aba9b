"""Answers by likeness, with an encoder drawn by hand: each text is a point on a small sphere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from extraction.clauses import Clause, ClauseReader, clauses, vote, word_votes
from extraction.linking import Judge, Likeness, Linker
from kg.vocabulary import Vocabulary, parse

SMALL = parse(
    b"""
attributes: {c: {description: C., kind: text}}
aspects:
  sound: {synonyms: [tone], praise: [rich], blame: [tinny], good: [sound good], bad: [sound bad]}
  weight: {good: [weight good], bad: [weight bad]}
opinions: {positive: [good, fine], negative: [bad, poor], good: [all good], bad: [all bad], neutral: [nothing]}
""",
    "small",
)


class Drawn:
    """An encoder whose vectors have one axis for each word below; it counts what it is asked."""

    WORDS = ("sound", "weight", "good", "bad", "fine", "poor", "nothing", "tone")

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        rows = np.array([[float(w in t.casefold()) for w in self.WORDS] + [0.01] for t in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_text_is_linked_to_the_nearest_name_when_it_is_near() -> None:
    linker = Linker(Drawn(), {"sound": "sound", "tone": "sound", "weight": "weight"}, threshold=0.6)
    links = linker.links(["good sound", "nothing", "tone"])
    assert {text: link.key if link else None for text, link in links.items()} == {
        "good sound": "sound",
        "nothing": None,
        "tone": "sound",
    }


def test_a_text_between_two_names_is_linked_to_neither() -> None:
    linker = Linker(Drawn(), {"sound": "sound", "weight": "weight"}, threshold=0.6)
    assert linker.links(["sound weight"]) == {"sound weight": None}


def test_each_text_is_encoded_once() -> None:
    encode = Drawn()
    linker = Linker(encode, {"sound": "sound"}, threshold=0.6)
    linker.links(["tone", "tone"])
    linker.links(["tone"])
    assert encode.asked.count("tone") == 1


def test_nothing_is_linked_to_no_names() -> None:
    assert Linker(Drawn(), {}, threshold=0.6).links(["tone"]) == {"tone": None}


def test_a_word_is_judged_by_the_nearest_words_of_the_lexicon() -> None:
    judge = Judge(Drawn(), SMALL, nearest=1)
    assert judge.judge(["fine good", "poor", "sound"]) == {"fine good": True, "poor": False, "sound": None}


def test_a_question_is_answered_by_the_nearer_examples() -> None:
    likeness = Likeness(Drawn(), yes=["sound", "sound good"], no=["weight", "weight good"])
    assert likeness(["fine sound", "fine weight", "fine sound"]) == [True, False, True]


@pytest.mark.parametrize(
    ("text", "aspects", "expected"),
    [
        ("sound good", (), [("sound", True)]),
        ("weight bad", (), [("weight", False)]),
        ("nothing", (), []),
        ("sound weight", (), []),
        # Named aspects are taken at their word, only the sentiment is asked for.
        ("good", ("weight",), [("weight", True)]),
        ("good", ("weight", "sound"), [("weight", True), ("sound", True)]),
        ("nothing", ("weight",), []),
    ],
)
def test_a_clause_means_what_the_nearest_examples_mean(
    text: str, aspects: tuple[str, ...], expected: list[tuple[str, bool]]
) -> None:
    (readings,) = ClauseReader(Drawn(), SMALL).read([Clause(0, 9, text, aspects)], Drawn()([text]))
    assert [(r.aspect, r.positive) for r in readings] == expected
    assert all(0 < r.confidence <= 1 for r in readings)


def test_a_vocabulary_without_examples_reads_no_clauses() -> None:
    bare = parse(b"attributes: {c: {description: C., kind: text}}\naspects: {sound: {}}\n", "bare")
    assert ClauseReader(Drawn(), bare).read([Clause(0, 4, "sound good")], Drawn()(["sound good"])) == [()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good", 1),
        ("bad", -1),
        ("not good", -1),
        ("not at all good", -1),
        ("isn't bad", 1),
        ("rich", 1),
        ("too rich", -1),
        ("too bad", -1),
        ("not too bad", 1),
        ("way too easily bad", -1),
        ("me too, good", 1),
        ("good but bad", 0),
        ("", 0),
    ],
)
def test_words_vote(text: str, expected: int) -> None:
    assert vote(text, word_votes(SMALL)) == expected


def test_clauses_are_cut_where_a_new_statement_begins() -> None:
    text = "To be fair, the sound is rich but it weighs a ton. I sold this strap and it was gone."
    found = list(clauses(text, covered=[], aspects=[(16, 21, "sound")], nouns=["strap"]))
    assert [(text[c.start : c.end], c.text, c.aspects) for c in found] == [
        ("the sound is rich", "the sound is rich", ("sound",)),
        ("it weighs a ton", "it weighs a ton", ()),
        ("I sold this strap", "I sold it", ()),
        ("it was gone", "it was gone", ()),
    ]


def test_a_long_wish_is_no_statement() -> None:
    text = "I wish the strap had been made of a thicker and far more durable leather than this one."
    assert list(clauses(text, covered=[], aspects=[], nouns=["strap"])) == []


def test_clauses_that_are_understood_already_are_left_out() -> None:
    text = "The sound is rich, the weight is low."
    found = list(clauses(text, covered=[(4, 17)], aspects=[], nouns=[]))
    assert [c.text for c in found] == ["the weight is low"]


def test_the_vocabulary_that_ships_has_examples_for_every_aspect(vocabulary: Vocabulary) -> None:
    assert [a.name for a in vocabulary.aspects if not (a.good and a.bad) and a.name not in ("treble", "zoom")] == []
