"""A customer's question as what can be looked up: of which products, and what.

Names of products and shelves, attribute values and aspects are found by the
same finders that read texts; a few cues ("fit", "cheaper", "people say") tell
what is asked, and where none stands the encoder likens the question to examples
of each kind. A question that is like none of them is not understood, and says
so: there is no language model here that would guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from extraction import language
from extraction.linking import Encode
from extraction.mentions import Lexicon, Word, words
from extraction.ner import Gazetteer
from extraction.normalise import aspect_key, singular, squash
from extraction.products import CategoryFinder, ProductFinder, title_head
from extraction.rules import AttributeRules
from kg.vocabulary import Kind, Vocabulary

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
    aspects: tuple[str, ...] = ()
    """Keys of aspects."""
    most: int = 0
    """1 where the greatest of a quantity is asked for ("the heaviest"), -1 for the least, else 0."""


_COMPARE: Final = re.compile(
    r"\b(?:compare[ds]?|comparison|comparing|differs?|differences?|different from|versus|vs)\b|"
    r"\bwhich (?:one )?is better\b|\bbetter\b.*\bor\b|\b(?:better|worse) than\b|\bas good as\b",
    re.IGNORECASE,
)
_FITS: Final = re.compile(
    r"\b(?:fits?|fitting|(?:in)?compatib\w+|works? (?:\w+ ){0,2}(?:with|on|in)|"
    r"(?:go|goes) (?:\w+ )?(?:with|on|onto|in|into)|"
    r"(?:use|used|combine|pair|attach\w*|mount\w*|connect\w*|screw\w*|clip\w*|plug\w*)\b.*\b(?:with|on|onto|in|into|to)|"
    r"suit(?:s|able)?|(?!used\b)\w+ for (?:the|my|an?|this|it)|"
    r"accessor\w+|belongs? to|take[ns]?)\b",
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
_REFERS: Final = frozenset(["it", "its", "this", "that", "these", "those", "them", "they", "one", "ones", "both"])
_MOST: Final = re.compile(r"\b(?:which|what)\b.*?\b(?P<adjective>\w+est|(?P<sense>most|least) \w+)\b", re.IGNORECASE)

# What an adjective asks of, where the vocabulary's own names do not say it; and which end of it the superlative is.
_ADJECTIVES: Final[Mapping[str, tuple[str, int]]] = {
    "heavy": ("weight", 1),
    "light": ("weight", -1),
    "lightweight": ("weight", -1),
    "long": ("length", 1),
    "short": ("length", -1),
    "wide": ("width", 1),
    "narrow": ("width", -1),
    "tall": ("height", 1),
    "high": ("height", 1),
    "deep": ("depth", 1),
    "thick": ("thickness", 1),
    "thin": ("thickness", -1),
    "big": ("size", 1),
    "large": ("size", 1),
    "small": ("size", -1),
    "warm": ("temperature rating", -1),
    "bright": ("brightness", 1),
    "cheap": ("price", -1),
    "expensive": ("price", 1),
}
_PHRASES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), attribute)
    for pattern, attribute in (
        (r"\bweigh(?:s|t)?\b", "weight"),
        (r"\bmade (?:of|from|out of)\b|\bwhat is it of\b", "material"),
        (r"\b(?:battery|charge)\b.*\blast\b|\bhow long does .* (?:last|run)\b", "battery life"),
        (r"\bhow (?:much|many li\w+) (?:does|can|will|do) .*\b(?:hold|contain)\b", "volume"),
        (r"\bhow many (?:people|persons)\b|\bsleeps?\b", "persons"),
        (r"\bhow many\b.*\b(?:in|come|are|pieces)\b", "number of pieces"),
        (r"\bmegapixels?\b", "resolution"),
    )
)

SINGLE: Final = frozenset({"colour", "waterproof rating"})
"""Attributes of which a product has one value: whoever has another has not the one asked for."""
IMPLIES: Final[Mapping[str, frozenset[str]]] = {
    # IEC 60529: the digits 7 and 8 stand for immersion, 4 to 6 for splashes and jets.
    "waterproof rating=waterproof": frozenset(
        f"waterproof rating={v}" for v in ("waterproof", "ipx7", "ipx8", "ip67", "ip68")
    ),
    "waterproof rating=water-resistant": frozenset(
        f"waterproof rating={v}"
        for v in (
            *("waterproof", "water-resistant", "weather-sealed", "ipx4", "ipx5", "ipx6", "ipx7", "ipx8"),
            *("ip65", "ip66", "ip67", "ip68"),
        )
    ),
}
"""Values that say what is asked for in other words; a value that is not listed says it of itself alone."""

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
MAX_QUESTION: Final = 1000
"""Characters of a question that are read."""
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
        self._attributes = _phrases(
            (form, a.name)
            for a in vocabulary.attributes
            for form in (a.name, *(s for s in a.synonyms if a.kind is not Kind.CHOICE or s != "size"))
        )
        self._aspects = _phrases(
            (form, aspect_key(a.name))
            for a in vocabulary.aspects
            for form in (a.name, *a.synonyms, *a.praise, *a.blame)
        )
        self._known = frozenset(a.name for a in vocabulary.attributes)
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
        labels = [(s, e) for s, e, _ in _found(self._attributes, rest) if " " in rest[s:e]]
        values = self._values(doc, [*spans, *labels])
        most, superlative = self._most(rest)
        attributes = self._named_attributes(rest, values)
        if superlative:
            attributes = (superlative,)
        aspects = tuple(dict.fromkeys(key for *_, key in _found(self._aspects, rest)))
        categories = tuple(
            dict.fromkeys(
                path
                for name, paths in CategoryFinder(lexicon, parts=True).find(text, found)
                if not any(s <= name.start < e for s, e in spans)
                for path in paths
            )
        )
        refers = any(w.text.casefold() in _REFERS for w in words(rest))
        asks = self._asks(
            rest, named=len(named), refers=refers, values=values, attributes=attributes, aspects=aspects, most=most
        )
        return Question(
            text=text,
            asks=asks,
            products=tuple(skus for _, _, skus in named),
            categories=categories,
            things=_things(doc, spans),
            refers=refers,
            attributes=attributes,
            values=values,
            aspects=aspects,
            most=most,
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
        kept: list[tuple[int, int, tuple[str, ...]]] = []
        for name in sorted(names, key=lambda n: (n[0] - n[1], len(n[2]))):
            if all(name[1] <= start or end <= name[0] for start, end, _ in kept):
                kept.append(name)
        return sorted(kept)

    def _asks(
        self,
        text: str,
        *,
        named: int,
        refers: bool,
        values: Sequence[str],
        attributes: Sequence[str],
        aspects: Sequence[str],
        most: int,
    ) -> Asks:
        if _COMPARE.search(text) and not most:
            return Asks.COMPARE
        if _CHEAPER.search(text):
            return Asks.CHEAPER
        if _STOCK.search(text) and not values:
            return Asks.STOCK
        if _OPINION.search(text):
            return Asks.OPINION
        if most or (values and not _FITS.search(text)):
            return Asks.VALUE
        if _FITS.search(text) and (named or refers):
            return Asks.FITS
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

    def _values(self, doc: Doc, named: Sequence[tuple[int, int]]) -> tuple[str, ...]:
        # A question is no prose: "is it classic" asks for the value that a title would state.
        found = self._rules.find(doc, 0, document="", title="", is_title=True, names=named, questions=True)
        return tuple(dict.fromkeys(claim.node.key for claim in found.claims))

    def _named_attributes(self, text: str, values: Sequence[str]) -> tuple[str, ...]:
        names = [value.partition("=")[0] for value in values]
        names += [attribute for pattern, attribute in _PHRASES if pattern.search(text)]
        how = re.search(r"\bhow (\w+)\b", text, re.IGNORECASE)
        if how and how[1].casefold() in _ADJECTIVES:
            names.append(_ADJECTIVES[how[1].casefold()][0])
        if not names:
            names = [name for *_, name in _found(self._attributes, text)]
        return tuple(n for n in dict.fromkeys(names) if n in self._known)

    def _most(self, text: str) -> tuple[int, str | None]:
        """Whether the greatest (1) or the least (-1) of which attribute is asked for."""
        match = _MOST.search(text)
        if match is None:
            return 0, None
        word = match["adjective"].casefold().rpartition(" ")[2]
        for stem in {word, word.removesuffix("est"), word.removesuffix("iest") + "y", word.removesuffix("st")} | {
            word.removesuffix("est")[:-1] if word.endswith("est") else word
        }:
            if stem in _ADJECTIVES:
                attribute, end = _ADJECTIVES[stem]
                return (-end if (match["sense"] or "").casefold() == "least" else end), attribute
        return 0, None


def _things(doc: Doc, named: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Nouns that stand outside the names of products, in the singular."""
    nouns = [
        singular(token.text)
        for token in doc
        if token.pos_ == "NOUN" and not any(start <= token.idx < end for start, end in named)
    ]
    return tuple(dict.fromkeys(nouns))


def _phrases(forms: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Form, lower case → what it names; the first wins."""
    phrases: dict[str, str] = {}
    for form, name in forms:
        phrases.setdefault(form.casefold(), name)
    return phrases


def _found(phrases: Mapping[str, str], text: str) -> list[tuple[int, int, str]]:
    """Phrases that stand in a text, the longest at each place: where they begin and end, and what they name."""
    tokens = words(text.casefold())
    found: list[tuple[int, int, str]] = []
    first = 0
    while first < len(tokens):
        for last in range(min(len(tokens), first + 4), first, -1):
            shown = " ".join(t.text for t in tokens[first:last])
            name = phrases.get(shown) or phrases.get(
                " ".join([*(t.text for t in tokens[first : last - 1]), singular(tokens[last - 1].text)])
            )
            if name is not None:
                found.append((tokens[first].start, tokens[last - 1].end, name))
                first = last - 1
                break
        first += 1
    return found


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with the names of products left blank: "Steady" of "Quillmark Steady" asks for nothing."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text
