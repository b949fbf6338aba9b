"""What a trained head adds to the rules: learned triplets in the pipeline, whatever the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from extraction import language
from extraction.benchmarks import Triplet
from extraction.encoder import Encoder
from extraction.lexicon_triplets import lexicon_triplets
from extraction.opinions import OpinionRules
from extraction.pipeline import Extractor
from extraction.sentences import MAX_WORDS, PlainReader, ReadSentence, pieces, vectors_of
from extraction.training import Heads
from extraction.triplets import ReadTriplet, TripletModel
from kg.graph import Document, DocumentKind
from kg.vocabulary import Vocabulary
from tests.extraction.conftest import CAMERAS, NOW, facts
from tests.extraction.test_pipeline import HOSTILE, assert_sound
from tests.extraction.test_triplets import RECIPE, spoken


@pytest.fixture(scope="module")
def learned(vocabulary: Vocabulary, encoder: Encoder) -> Extractor:
    """An extractor with a head that knows that sound, strap and screen are great or poor."""
    model = TripletModel.train(spoken(), recipe=RECIPE, device="cpu")
    return Extractor(vocabulary, CAMERAS, encoder, heads=Heads(triplets=model, version="t"), clock=lambda: NOW)


@pytest.fixture(scope="module")
def rules(vocabulary: Vocabulary) -> OpinionRules:
    return OpinionRules(vocabulary, CAMERAS, language.load())


def test_hostile_texts_break_nothing(learned: Extractor) -> None:
    # The long ones are read by the rules alone elsewhere; one endless word is enough here.
    texts = [text for text in HOSTILE if len(text) < 2000 or len(set(text)) == 1]
    documents = [Document(f"d{n}", DocumentKind.REVIEW, text, "X100") for n, text in enumerate(texts)]
    for document, extraction in zip(documents, learned.extract_all(documents), strict=True):
        assert_sound(document, extraction)


@pytest.mark.parametrize(
    ("text", "sentiment", "expected"),
    [
        ("The sound is great.", "POS", [("sound", True)]),
        ("The sound is great.", "NEU", []),
        # The head errs; the sentence denies, wishes for or asks about what would be praise.
        ("The sound is not great.", "POS", []),
        ("The sound could be great.", "POS", []),
        ("Is the sound great?", "POS", []),
        # A fault that is denied is praise.
        ("The sound is not bad.", "POS", [("sound", True)]),
    ],
)
def test_learned_triplets_become_opinions(
    rules: OpinionRules, text: str, sentiment: str, expected: list[tuple[str, bool]]
) -> None:
    (tokens,) = pieces(language.load()(text))
    words = [t.lower_ for t in tokens]
    opinion = next(words.index(w) for w in ("great", "bad") if w in words)
    read = ReadTriplet(Triplet((words.index("sound"),), (opinion,), sentiment), 0.8, 0.8)
    found = rules.learned([(tokens, [read])], [])
    assert [(o.aspect, o.positive) for o in found] == expected
    assert all(o.confidence == 0.8 and text[o.start : o.end] in text for o in found)


def test_where_rules_have_read_the_head_is_not_heard(rules: OpinionRules) -> None:
    doc = language.load()("The sound is great.")
    (tokens,) = pieces(doc)
    read = ReadTriplet(Triplet((1,), (3,), "NEG"), 0.9, 0.9)
    assert rules.learned([(tokens, [read])], rules.find(doc, 0)) == []


def test_sentences_without_end_are_cut() -> None:
    doc = language.load()("the sound of it " * 100 + "\n\n great")
    cut = list(pieces(doc))
    assert max(map(len, cut)) == MAX_WORDS
    assert [t.text for tokens in cut for t in tokens] == [t.text for t in doc if not t.is_space]


def test_a_clause_has_the_vector_of_its_sentence(encoder: Encoder) -> None:
    # Alone or read within its sentence, nearly the same; another clause is farther.
    alone = vectors_of(["the sound is great", "my strap tore after a week"], PlainReader(encoder))
    (read,) = encoder.encode_words([["the", "sound", "is", "great", "."]])
    inside = read[:4].mean(0) / np.linalg.norm(read[:4].mean(0))
    assert float(inside @ alone[0]) > 0.95 > float(inside @ alone[1])


def test_the_lexicon_judges_the_nearest_nouns() -> None:
    sentences = [
        ("The", "battery", "life", "is", "not", "great", "but", "the", "screen", "is", "great", "."),
        ("Great", "!"),
        (),
    ]
    assert lexicon_triplets(sentences, {"great": 1}, language.load()) == [
        (Triplet((1, 2), (5,), "NEG"), Triplet((8,), (10,), "POS")),
        (),
        (),
    ]


def test_each_sentence_goes_through_the_encoder_once(learned: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    # The head reads what the rules leave open, and clauses that it leaves open are likened to examples.
    text = "The hinge outlived two of its rivals.\n\nThe sound is great. My rucksack made friends with the rain."
    learned.extract(Document("r", DocumentKind.REVIEW, text, "X100"))  # asks for the examples
    passes: list[int] = []
    hooks = [
        model.register_forward_hook(lambda *_, **__: passes.append(1))
        for model in (learned.encoder.parts[1], cast("TripletModel", learned._heads.triplets).encoder._model)
    ]
    asked: list[Sequence[str]] = []
    read = learned._reader.read
    monkeypatch.setattr(learned._reader, "read", lambda sentences: asked.extend(sentences) or read(sentences))
    try:
        learned.extract(Document("r", DocumentKind.REVIEW, text, "X100"))
    finally:
        for hook in hooks:
            hook.remove()
    assert [" ".join(words) for words in asked] == [
        "The hinge outlived two of its rivals .",
        "My rucksack made friends with the rain .",
    ]
    assert len(passes) == 1


class Quoth:
    """Stands for a head that reads one triplet in each sentence: the last word but one judges the first."""

    def read(self, sentences: Sequence[Sequence[str]]) -> list[ReadSentence]:
        return [
            ReadSentence(
                np.zeros((len(words), 384)), (ReadTriplet(Triplet((0,), (len(words) - 2,), "POS"), 0.7, 0.83),)
            )
            for words in sentences
        ]


def test_a_learned_opinion_is_a_fact_of_the_product(vocabulary: Vocabulary, encoder: Encoder) -> None:
    heads = Heads(triplets=cast("TripletModel", Quoth()), version="q")
    extractor = Extractor(vocabulary, CAMERAS, encoder, heads=heads, clock=lambda: NOW)
    extraction = extractor.extract(
        Document("r", DocumentKind.REVIEW, "Well.\n\nSound, quoth the bard, frabjous!", "X100", 5)
    )
    assert facts(extraction) == {("PRAISED_FOR", "sound")}
    (evidence,) = extraction.graph.evidence
    assert (evidence.quote, evidence.confidence) == ("Sound, quoth the bard, frabjous", 0.83)
