"""A customer's question as what can be looked up: of which products, and what.

Names of products and shelves, attribute values and aspects are found by the
same finders that read texts; a few cues ("fit", "cheaper", "people say") tell
what is asked, and where none stands the encoder likens the question to examples
of each kind. A question that is like none of them is not understood, and says
so: there is no language model here that would guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from extraction import language
from extraction.linking import Encode
from extraction.measures import Bound, Measures, phrases_in, phrases_of
from extraction.mentions import Lexicon, Word, word_set, words
from extraction.ner import Gazetteer, Name
from extraction.normalise import aspect_key, singular, squash
from extraction.polarity import denied_right_before, excludes, is_negated, negated_before, token_at
from extraction.products import CategoryFinder, ProductFinder, is_code, title_head
from extraction.rules import AttributeRules
from kg.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spacy.tokens import Doc


class Asks(StrEnum):
    """What a question wants to know."""

    FITS = "fits"
    """Whether one thing goes with another, or what does."""
    VALUE = "value"
    """An attribute: what it is, or whether it is a certain value."""
    OPINION = "opinion"
    """What reviewers say of an aspect, or of the whole."""
    CHEAPER = "cheaper"
    """What could be bought for less."""
    PRICE = "price"
    """What it costs."""
    STOCK = "stock"
    """Whether it can be had."""
    COMPARE = "compare"
    """How several products differ."""
    NOTHING = "nothing"
    """Not understood."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, read."""

    text: str
    asks: Asks
    products: tuple[tuple[str, ...], ...] = ()
    """Skus that each name in the text may mean, in the order of the text."""
    categories: tuple[str, ...] = ()
    """Paths of shelves that it names."""
    things: tuple[str, ...] = ()
    """Nouns for a kind of thing, in the singular: "strap"."""
    refers: bool = False
    """Whether it speaks of "it", "this" or "these": of what was shown before."""
    attributes: tuple[str, ...] = ()
    """Names of attributes."""
    values: tuple[str, ...] = ()
    """Keys of attribute values: "waterproof rating=waterproof"."""
    without: tuple[str, ...] = ()
    """Keys of attribute values that must not be: "which are not black"."""
    aspects: tuple[str, ...] = ()
    """Keys of aspects."""
    most: int = 0
    """1 where the greatest of a quantity is asked for ("the heaviest"), -1 for the least, else 0."""
    unit: str | None = None
    """The unit in which the quantity should be told: "how heavy is it in pounds"."""
    bound: Bound | None = None
    """With what the quantity is compared: "under 50 dollars", "heavier than the X200"."""
    either: bool = False
    """Whether one of the values is enough: "red or black"."""
    subjects: int = 0
    """How many of the products that it names should go with the others: of none, with those shown before."""
    every: bool = False
    """Whether names are joined by "and": what fits the one and not the other fits not both."""
    misfits: bool = False
    """Whether it asks for what does not go with a product: "which of these do not fit"."""
    shown_first: bool = False
    """Whether it speaks of what was shown before it names a product: "does it fit the X100"."""
    brands: tuple[str, ...] = ()
    """Keys of brands that it names outside the names of products."""
    strangers: tuple[str, ...] = ()
    """Words that are written as names, and that nothing in the lexicon has."""


_COMPARE: Final = re.compile(
    r"\b(?:compare[ds]?|comparison|comparing|differs?|differences?|different from|versus|vs)\b|"
    r"\bwhich (?:one )?is better\b|\bbetter\b.*\bor\b|\b(?:better|worse) than\b|\bas good as\b",
    re.IGNORECASE,
)
_FITS: Final = re.compile(
    r"\b(?:fits?|fitting|(?:in)?compatib\w+(?! (?:mount|devices?|systems?)\b)|works? (?:\w+ ){0,2}(?:with|on|in)|"
    r"(?:go|goes) (?:\w+ )?(?:with|on|onto|in|into)|"
    r"(?:use|used|combine|pair|attach\w*|mount\w*|connect\w*|screw\w*|clip\w*|plug\w*)\b.*\b(?:with|on|onto|in|into|to)|"
    r"suit(?:s|able)?|"
    # "What is the price for the X100", "is there a warranty for it" ask for what is its own.
    r"(?!(?:used|prices?|pa(?:y|id)|costs?|charged?|ask(?:ed|ing)?|wants?|spend|warranty|guarantee|weight|dimensions?)\b)"
    r"\w+ for (?:the|my|an?|this|it)|"
    r"accessor\w+|belongs? to|take[ns]?(?! (?:\w+ )?to\b))\b",
    re.IGNORECASE,
)
_MADE_FOR: Final = frozenset(
    {
        *("use", "gender", "age group", "skill level", "season", "compatible devices", "connectivity", "connector"),
        *("compatible mount", "power source"),
    }
)
"""Attributes whose values a thing is said to suit, fit or work with: "is it suitable for hiking"."""
# "Do you have the strap for the X100", "is a strap available for it": it is not the X100 that should be in stock.
_THING_FOR: Final = re.compile(
    r"\b(?:the|an?|any|some)\s(?:\w+\s){0,2}?\w+\s(?:(?:still |in )?\w+\s)?for (?:the|my|an?|(?P<refers>this|it)\b)\s?",
    re.IGNORECASE,
)
_CHEAPER: Final = re.compile(
    r"\b(?:cheaper|less expensive|(?:costs?|pay|spend) less|more affordable|lower[- ]priced?|lower price|for less)\b",
    re.IGNORECASE,
)
_PRICE: Final = re.compile(
    r"\bhow (?:much|expensive) (?:is|are|does|do|for)\b(?!.*\b(?:weigh|hold|carry|fit)\b)|\b(?:price|costs?)\b",
    re.IGNORECASE,
)
_STOCK: Final = re.compile(
    r"\b(?:in stock|on stock|sold out|(?:still )?available(?! in\b)|can i (?:still )?(?:buy|order|get) (?:it|this|the)|"
    r"do you (?:still )?(?:sell|have) (?:it|this|the))\b",
    re.IGNORECASE,
)
_OPINION: Final = re.compile(
    r"\b(?:people|customers?|reviewers?|buyers?|others|anyone|anybody|everyone|users?|owners?|they)\b.{0,20}"
    r"\b(?:say|saying|said|think|like|liked|complain\w*|find|mention|report|love|hate|praise\w*|criticis\w+|happy)\b|"
    r"\b(?:reviews?|opinions?|complaints?|problems?|any good|experiences?)\b|"
    r"\bhow (?:good|bad|well|reliable) (?:is|are|does|do)\b|\bhow (?:is|are) the\b|\bwhat(?:'s| is| are) the .* like\b",
    re.IGNORECASE,
)
_AND: Final = re.compile(r"\b(?:and|plus|as well as)\b|&", re.IGNORECASE)
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)
_REFERS: Final = frozenset(["it", "its", "this", "that", "these", "those", "them", "they", "one", "ones", "both"])
_SUBJECTS: Final = frozenset(["it", "its", "this", "these", "those", "they", "both"])
"""Those of them that a question puts before what it asks; "one" and "that" are often another: "is there one that"."""
_SEVERAL: Final = re.compile(r"\b(?:these|those|both|(?:the|of|them) two|of them)\b", re.IGNORECASE)
EXAMPLES: Final[Mapping[Asks, tuple[str, ...]]] = {
    Asks.FITS: (
        "Does the strap fit the X100?",
        "Will this battery work in my camera?",
        "Can I put this lens on it?",
        "What can I use with it?",
    ),
    Asks.VALUE: (
        "How heavy is it?",
        "What is it made of?",
        "Which of these is waterproof?",
        "What are the dimensions?",
        "Does it have USB-C?",
    ),
    Asks.OPINION: (
        "What do people say about the battery?",
        "Is the grip comfortable?",
        "Are customers happy with it?",
        "Does it break easily?",
        "Is it worth the money?",
    ),
    Asks.CHEAPER: ("Is there a cheaper one?", "Do you have something similar for less money?"),
    Asks.PRICE: ("How much is it?", "What does it cost?"),
    Asks.STOCK: ("Is it in stock?", "Can I still buy it?"),
    Asks.COMPARE: ("Compare these two.", "What is the difference between them?", "Which one should I take?"),
    Asks.NOTHING: (
        "When will my parcel arrive?",
        "How do I return something?",
        "Who is the president?",
        "What is the weather tomorrow?",
        "Tell me a joke.",
        "Where is your shop?",
        "Can I pay by invoice?",
    ),
}
_TOKEN: Final = re.compile(r"[^\s?!,;:()\"“”'’]+")
LEAST_DIGITS: Final = 5
"""Digits of the shortest number that may be a sku: "under 500" names none."""
_GREETING: Final = re.compile(r"\b(?:hi|hello|dear|i['’]m|i am|my name is)\W+\Z", re.IGNORECASE)
"""What stands before the name of a person."""
_CAPITALS: Final = word_set("i i'm i've i'd i'll i’m i’ve i’d i’ll ok tv pc usd eur gbp jpy cny")
"""Words with a capital, in small letters, that are no names."""
MAX_QUESTION: Final = 1000
"""Characters of a question that are read; ``kg ask`` refuses a longer one."""
LIKENESS: Final = 0.45
"""Least cosine to an example at which a question without a cue is believed to be of its kind."""


class QuestionReader:
    """Reads questions. Built once; :meth:`read` is pure.

    Args:
        encode: texts to unit vectors, asked where no cue tells what a question wants.
    """

    def __init__(self, vocabulary: Vocabulary, encode: Encode) -> None:
        self._nlp = language.load()
        self._common = language.lemma_index() | vocabulary.words()
        self._accessories = vocabulary.accessories
        self._rules = AttributeRules(vocabulary, Lexicon(), self._nlp)
        self._measures = Measures(vocabulary)
        self._aspects = phrases_of(
            (form, aspect_key(a.name))
            for a in vocabulary.aspects
            for form in (a.name, *a.synonyms, *a.praise, *a.blame)
        )
        named = (*self._measures.phrases, *self._aspects, *vocabulary.words())
        self._ordinary = frozenset(word for form in named for word in form.split()) | _CAPITALS
        self._encode = encode
        self._examples: tuple[list[Asks], NDArray[np.float32]] | None = None

    def read(self, text: str, lexicon: Lexicon) -> Question:
        """What a question asks.

        Args:
            lexicon: the products that may be meant; those of a large shop are narrowed beforehand by a search.
        """
        text = " ".join(text.split())[:MAX_QUESTION]
        doc = self._nlp(text)
        found = words(text)
        named = self._products(text, found, lexicon)
        spans = [(start, end) for start, end, _ in named]
        rest = _blanked(text, spans)
        # The "waterproof" of "waterproof rating" is no value.
        labels = [(s, e) for s, e, _ in phrases_in(self._measures.phrases, rest) if " " in rest[s:e]]
        subject = min((w.start for w in words(rest) if w.text.casefold() in _SUBJECTS), default=len(text))
        refers = any(w.text.casefold() in _REFERS for w in words(rest))
        limited = self._measures.bound(rest, spans, subject=subject, refers=refers)
        limits = [limited.span] if limited else []
        found_values = self._values(doc, [*spans, *labels, *limits])
        values = tuple(dict.fromkeys(value.key for value in found_values if not value.denied))
        without = tuple(dict.fromkeys(value.key for value in found_values if value.denied))
        most, superlative = self._measures.most(rest, several=len(named) > 1 or _SEVERAL.search(rest) is not None)
        attributes = self._measures.named(rest, (*values, *without))
        if limited and not superlative:
            attributes = (limited.bound.of,)
        if superlative:
            attributes = (superlative,)
        aspects = tuple(dict.fromkeys(key for *_, key in phrases_in(self._aspects, rest)))
        shelves = [
            (name, paths)
            for name, paths in CategoryFinder(lexicon, parts=True).find(text, found)
            if not any(s <= name.start < e for s, e in spans)
        ]
        known = [*spans, *labels, *limits, *((v.start, v.end) for v in found_values)]
        brands = self._brands(text, found, lexicon, known)
        known += [(n.start, n.end) for n in brands] + [(n.start, n.end) for n, _ in shelves]
        asks = self._asks(
            rest,
            names=spans,
            refers=refers,
            values=found_values,
            attributes=attributes,
            aspects=aspects,
            most=most,
            limited=limited is not None,
        )
        return Question(
            text=text,
            asks=asks,
            products=tuple(skus for _, _, skus in named),
            categories=tuple(dict.fromkeys(path for _, paths in shelves for path in paths)),
            things=_things(doc, spans),
            refers=refers,
            attributes=attributes,
            values=values,
            without=without,
            aspects=aspects,
            most=most,
            unit=self._measures.unit_asked(rest, attributes),
            bound=limited.bound if limited and asks is Asks.VALUE else None,
            either=_OR.search(rest) is not None,
            subjects=_subjects(rest, spans),
            every=any(_AND.search(rest, end, start) for (_, end), (start, _) in pairwise(spans)),
            misfits=_asks_for_misfits(rest),
            shown_first=subject < min((start for start, _ in spans), default=len(text)),
            brands=tuple(dict.fromkeys(n.key for n in brands)),
            strangers=self._strangers(doc, found, lexicon, spans, known),
        )

    def _products(self, text: str, found: Sequence[Word], lexicon: Lexicon) -> list[tuple[int, int, tuple[str, ...]]]:
        """Start, end and possible skus of each product that is named, in the order of the text.

        In a question a title, or its head, is a name even where its words are ordinary ones: who asks of the "Spare
        Cell" has read it on the page. A longer name hides what lies within it.
        """
        names = [
            (n.start, n.end, n.skus) for n in ProductFinder(lexicon, self._common, self._accessories).find(text, found)
        ]
        heads: dict[str, list[str]] = {}
        for sku, entry in lexicon.products.items():
            for shown in {title_head(entry.title), entry.title}:
                if len(words(shown)) > 1:
                    heads.setdefault(squash(shown), []).append(sku)
        names += [(n.start, n.end, tuple(heads[n.key])) for n in Gazetteer(heads.keys()).find(text, found)]
        names += [(w.start, w.end, (w.text,)) for w in codes(text) if w.text in lexicon.products]
        kept: list[tuple[int, int, tuple[str, ...]]] = []
        for name in sorted(names, key=lambda n: (n[0] - n[1], len(n[2]))):
            if all(name[1] <= start or end <= name[0] for start, end, _ in kept):
                kept.append(name)
        return sorted(kept)

    def _brands(
        self, text: str, found: Sequence[Word], lexicon: Lexicon, known: Sequence[tuple[int, int]]
    ) -> list[Name]:
        """Brands of the lexicon that are named by themselves; an ordinary word is one where it is written as a name."""
        names = {squash(shown): key for key, name in lexicon.brands.items() for shown in (key, name)}
        return [
            name
            for name in Gazetteer(names).find(text, found)
            if not any(s < name.end and name.start < e for s, e in known)
            and (
                (text[name.start].isupper() and not _opens(text, name.start))
                or text[name.start : name.end].casefold() not in self._common
            )
        ]

    def _strangers(
        self,
        doc: Doc,
        found: Sequence[Word],
        lexicon: Lexicon,
        names: Sequence[tuple[int, int]],
        known: Sequence[tuple[int, int]],
    ) -> tuple[str, ...]:
        """Words written as names ("Fender", "R5") that stand in no title, and beside no name of a product.

        What stands right beside a name belongs to it: the "Ashdwn" of "Ashdwn S-200" is misspelt. Where no product is
        named, proper nouns in small letters are names as well: "my gibson les paul".
        """
        text = doc.text
        if not any(w.text.islower() and len(w.text) > 1 for w in found):
            return ()  # where all is in capitals they tell nothing
        shop = {squash(w.text) for entry in lexicon.products.values() for w in words(entry.title)}
        strange = [
            w
            for w in found
            if (self._is_written_as_name(text, w) or (not names and self._is_proper(doc, w)))
            and squash(w.text) not in shop
            and not any(s < w.end and w.start < e for s, e in known)
        ]
        ends = {end for span in names for end in span}
        for word in (*strange, *reversed(strange)):  # "Mk II" behind a name, "Big Ashdwn" before one
            beside = text[: word.start].rstrip(" -"), len(text) - len(text[word.end :].lstrip(" -"))
            if len(beside[0]) in ends or beside[1] in ends:
                ends |= {word.start, word.end}
        return tuple(dict.fromkeys(w.text for w in strange if w.start not in ends))

    def _is_proper(self, doc: Doc, word: Word) -> bool:
        token = token_at(doc, word.start)
        return token is not None and token.pos_ == "PROPN" and word.text.islower() and word.text not in self._ordinary

    def _is_written_as_name(self, text: str, word: Word) -> bool:
        shown = word.text
        if shown.casefold() in self._ordinary:
            return False
        if is_code(shown):
            return True
        if shown.isupper():
            return len(shown) > 1 and shown.casefold() not in self._common  # "REALLY" is shouted
        return shown[0].isupper() and not _opens(text, word.start) and not _GREETING.search(text, 0, word.start)

    def _asks(
        self,
        text: str,
        *,
        names: Sequence[tuple[int, int]],
        refers: bool,
        values: Sequence[_Value],
        attributes: Sequence[str],
        aspects: Sequence[str],
        most: int,
        limited: bool,
    ) -> Asks:
        fits = _FITS.search(text)
        if fits and any(
            value.attribute in _MADE_FOR and (value.start >= fits.end() or value.end == fits.start() - 1)
            for value in values
        ):
            # "Is it compatible with Android?" asks for a value, unless a product stands there.
            fits = fits if any(start >= fits.end() for start, _ in names) else None
            beside = fits is None
        else:
            beside = False
        if _COMPARE.search(text) and not most:
            return Asks.COMPARE
        if _CHEAPER.search(text) and not most and not limited:
            return Asks.CHEAPER
        if _STOCK.search(text) and not values and not limited:
            return Asks.FITS if _is_of_another_thing(text, names) else Asks.STOCK
        if _OPINION.search(text):
            return Asks.OPINION
        if most or beside or (values and not fits):
            return Asks.VALUE
        if fits and (names or refers):
            return Asks.FITS
        if limited:
            return Asks.VALUE
        if _PRICE.search(text):
            return Asks.PRICE
        if values or attributes:
            return Asks.VALUE
        if aspects:
            return Asks.OPINION
        return self._alike(text)

    def _alike(self, text: str) -> Asks:
        """The kind of the example that is most like the question."""
        if self._examples is None:
            kinds = [kind for kind, texts in EXAMPLES.items() for _ in texts]
            self._examples = kinds, self._encode([t for texts in EXAMPLES.values() for t in texts])
        kinds, vectors = self._examples
        scores = vectors @ self._encode([text])[0]  # [examples]
        best = int(scores.argmax())
        return kinds[best] if scores[best] >= LIKENESS else Asks.NOTHING

    def _values(self, doc: Doc, named: Sequence[tuple[int, int]]) -> list[_Value]:
        # A question is no prose: "is it classic" asks for the value that a title would state.
        found = self._rules.find(doc, 0, document="", title="", is_title=True, names=named, questions=True)
        return [_Value(c.node.key, c.start, c.end, denied=_is_denied(doc, c.start, c.end)) for c in found.claims]


@dataclass(frozen=True, slots=True)
class _Value:
    """An attribute value that a question names, and where."""

    key: str
    start: int
    end: int
    denied: bool = False
    """Whether what is without it is asked for."""

    @property
    def attribute(self) -> str:
        return self.key.partition("=")[0]


def _is_denied(doc: Doc, start: int, end: int) -> bool:
    text = doc.text
    token = token_at(doc, start)
    if token is not None and negated_before(doc, token.i):
        return excludes(text, start)
    return is_negated(doc, text, start, end)  # "leather-free"


def _subjects(text: str, names: Sequence[tuple[int, int]]) -> int:
    """How many names stand before the word of fitting; the first where none stands behind it."""
    fits = _FITS.search(text)
    before = sum(end <= fits.end() for _, end in names) if fits else len(names)
    return before if before < len(names) else max(0, min(len(names) - 1, 1))


def _asks_for_misfits(text: str) -> bool:
    fits = _FITS.search(text)
    if fits is None:
        return False
    return denied_right_before(text, fits.start()) or fits[0].casefold().startswith("incompatib")


def _is_of_another_thing(text: str, names: Sequence[tuple[int, int]]) -> bool:
    """Whether what should be in stock is something for a product: "do you have the strap for the X100"."""
    match = _THING_FOR.search(text)
    return match is not None and (bool(match["refers"]) or any(start == match.end() for start, _ in names))


def _opens(text: str, start: int) -> bool:
    """Whether a word opens a sentence, where ordinary ones have a capital as well."""
    before = text[:start].rstrip()
    return not before or before[-1] in '.!?:;"“('


def codes(text: str) -> list[Word]:
    """Words of a text that may be skus: with a digit in them, and long if they have nothing else."""
    found = [
        Word(m.group().rstrip("."), m.start(), m.start() + len(m.group().rstrip("."))) for m in _TOKEN.finditer(text)
    ]
    return [
        w
        for w in found
        if any(c.isdigit() for c in w.text) and (len(w.text) >= LEAST_DIGITS or any(c.isalpha() for c in w.text))
    ]


def _things(doc: Doc, named: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Nouns that stand outside the names of products, in the singular."""
    nouns = [
        singular(token.text)
        for token in doc
        if token.pos_ == "NOUN" and not any(start <= token.idx < end for start, end in named)
    ]
    return tuple(dict.fromkeys(nouns))


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with the names of products left blank: "Steady" of "Quillmark Steady" asks for nothing."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
