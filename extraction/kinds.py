"""What an attribute that was never seen may have as values, by its name: the signs that need no example of it.

Values come in kinds: the choices of the vocabulary's attributes, quantities of
a dimension, counts, codes, barcodes, makers. A kind has names, and a name of
an attribute is more or less like them (*Frame Color* is like *colour*), so a
run of words is as plausible as its kind is like the name (:attr:`Signs.runs`).
Two more signs are open to all names: WordNet's hypernyms, see
:mod:`extraction.hypernyms`, and the encoder's likeness of the run's words to the
name, compared with their likeness to the names of the attributes known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from spacy.lang.en.stop_words import STOP_WORDS

from extraction import hypernyms
from extraction.normalise import counts, quantities, singular, unit_of
from extraction.patterns import PATTERNS
from extraction.products import title_head
from extraction.spans import CODE, LEAST_CODE, Text, fold, words_of
from kg.vocabulary import Kind, Vocabulary

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, ``[texts, dimensions]``."""

SIGNS: Final = (
    "kind",
    "kind_off",
    "kind_other",
    "is_a",
    "is_a_off",
    "likeness",
    "is_name",
    "has_name",
    "counts_name",
    "noun_before",
    "noun_behind",
)
"""Signs of a run of words."""
SILENCES: Final = ("no_kind", "no_is_a", "unlike")
"""Signs that a text does not state the attribute: nothing in it has its kind, is a kind of it, or is like it."""
UNLIKE: Final = 0.35
"""Cosine of two names that have nothing to do with one another."""
MAX_REMEMBERED: Final = 100_000
"""Words whose vectors are kept."""
MAX_WORDS: Final = 4
"""Words of the longest run that is looked up among choices and nouns."""
_DIMENSIONS: Final = {
    "length": ("size", "dimensions", "diameter", "thickness"),
    "mass": ("weight", "mass"),
    "volume": ("capacity", "volume"),
    "data": ("storage capacity", "memory", "cache"),
    "voltage": ("voltage",),
    "power": ("power", "wattage"),
    "current": ("current", "amperage"),
    "charge": ("battery capacity",),
    "frequency": ("frequency", "clock speed"),
    "duration": ("time", "duration"),
}
"""Names of what quantities of a dimension measure, beside those of the vocabulary."""
_BARCODE = re.compile(r"(?<!\d)(?:\d{8}|\d{12,14})(?!\d)")
_NUMBER = re.compile(r"(?<![\d.,-])\d{1,4}(?:\.\d+)?(?:[ -]\d+/\d+)?(?![\d.,-]*\d)")
_SIDED = re.compile(
    r"(?<![\w.])((\d+(?:\.\d+)?(?:[ -]\d+/\d+)?)\s?(?:\"|”|''|in\.?|inch(?:es)?|cm|mm|ft)?)[\s-]?"
    r"(w|d|h|l|wide|deep|high|tall|long|width|depth|height|length)(?!\w)",
    re.IGNORECASE,
)
_VALUE = (
    r"(\d+(?:\.\d+)?(?:[ -]\d+/\d+)?|\d+/\d+)(\s?(?:\"|”|''|'|in\.?|inch(?:es)?|cm|mm|ft\.?|feet|yards?|yds?)(?!\w))?"
)
_EXTENTS = re.compile(rf"(?<![\w./-]){_VALUE}\s?[x×X]\s?{_VALUE}(?:\s?[x×X]\s?{_VALUE})?(?![\w/])")
_ORDER: Final = {
    2: ({"width": 0.7, "length": 0.5}, {"height": 0.7, "length": 0.7}),
    3: ({"width": 0.7, "length": 0.6}, {"depth": 0.7, "width": 0.4, "height": 0.3}, {"height": 0.7, "depth": 0.4}),
}
"""Of two or three extents in a row, which sides they may be: mostly the width comes first."""
_BARE: Final = 0.4
"""How far a length of which no word tells the side counts for each side."""
_SIDES: Final = {"w": "width", "d": "depth", "h": "height", "l": "length", "t": "height"}
"""A letter behind a number (24"W), which most words for the sides begin with, and the side."""
_PACK = re.compile(
    r"\d[\d,]*\s?(?:(?:pcs?|pieces?|ct|count|pk|sheets?)\s?)?/\s?"
    r"(?:box|pack|pk|lot|carton|ctn|set|case|bag|roll|dozen|dz|bundle|pair|pad|each|ea)(?!\w)"
    r"|(?:pack|set|box|case|bag) of \d+|\d+[\s-]?(?:pcs|pieces|pack|pk|ct|count)(?!\w)",
    re.IGNORECASE,
)
_NAME = re.compile(r"\d?[^\W\d_]+(?:[-'’&][^\W\d_]+)*(?!-?\d)(?!\w)")
"""A word of a maker's name, with what is tied to it: Bunn-O-Matic, Kellogg's, 3M; no code."""
_BY = re.compile(r"(?<!\w)by\s", re.IGNORECASE)
_APART = re.compile(r"\s[-–|]\s")
_MAKER_WORDS: Final = 3
"""Words of the longest name of a maker."""
_MAKER: Final = ("brand", "brand name", "manufacturer", "maker")
_PRODUCT: Final = ("product type", "item type", "product")
_CODES: Final = ("model number", "part number", "stock number", "model")
_BARCODES: Final = ("barcode", "upc", "ean", "gtin")
_PACKS: Final = ("pack quantity", "quantity", "pack size")
_OPENING: Final = 8
"""Words of a description among which it may say what the thing is."""
_BY_WIDTH: Final = (0.8, 1.0, 0.8, 0.6)
"""Things mostly go by two words: a paper clip, a toner cartridge."""
_PART: Final = 0.5
"""How far a run that is a part of a value counts: its last word is a choice, or it is the number of a quantity."""


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """Of one question."""

    runs: NDArray[np.float32]
    """``[runs, SIGNS]``."""
    silence: NDArray[np.float32]
    """``[SILENCES]``."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Of one text what no question changes."""

    kinds: NDArray[np.float32]
    """How far each run is of each kind, ``[runs, kinds]``."""
    nouns: tuple[tuple[int, Mapping[int, float]], ...]
    """Short runs that are nouns, and what they are kinds of."""
    beside: NDArray[np.float32]
    """Whether a noun stands next before and next behind each run, so that the run is a part of a name of two words: the
    Paper of a Paper Clip is no material, and Clip alone not what it is, ``[runs, 2]``."""


class Kinds:
    """Signs of values of attributes that are known by their names alone.

    Args:
        vocabulary: its attributes are kinds.
        encode: texts to unit vectors; or ``None``: then names are alike only where they share words.
        common: ordinary words, lower case, which are no makers' names.
    """

    def __init__(self, vocabulary: Vocabulary, encode: Vectors | None, common: frozenset[str] = frozenset()) -> None:
        self._encode = encode
        self._common = common
        self._names: list[tuple[str, ...]] = []
        self._choices: dict[str, set[int]] = defaultdict(set)
        self._dimensions: dict[str, list[int]] = defaultdict(list)
        self._counted: list[int] = []
        for dimension, names in _DIMENSIONS.items():
            self._dimensions[dimension].append(self._kind(*names))
        for attribute in vocabulary.attributes:
            if attribute.kind is Kind.CHOICE:
                number = self._kind(attribute.name, *attribute.synonyms)
                for value in attribute.values:
                    for form in (value.name, *value.synonyms):
                        self._choices[fold(form)].add(number)
            elif attribute.kind is Kind.QUANTITY and attribute.unit and attribute.name not in _SIDES.values():
                self._dimensions[unit_of(attribute.unit).dimension].append(self._kind(attribute.name))
            elif attribute.kind is Kind.COUNT:
                self._counted.append(self._kind(attribute.name))
        self._maker, self._product = self._kind(*_MAKER), self._kind(*_PRODUCT)
        self._code, self._barcode = self._kind(*_CODES), self._kind(*_BARCODES)
        self._pack = self._kind(*_PACKS)
        self._patterns = [(self._kind(*p.names), p.form) for p in PATTERNS]
        self._sides = {n: [self._kind(n)] for n in sorted({*_SIDES.values(), "length"})}
        self._words: dict[str, NDArray[np.float32]] = {}
        self._nothing = np.zeros(0, dtype=np.float32)
        self._own: list[NDArray[np.float32]] | None = None
        self._like: dict[str, NDArray[np.float32]] = {}
        self._last: tuple[Text, _Read] | None = None
        self._vectored: tuple[Text, NDArray[np.float32]] | None = None

    def prepare(self, texts: Iterable[Text]) -> None:
        """Encode the words of these texts that were not met before, all at once."""
        if self._encode is None:
            return
        if len(self._words) > MAX_REMEMBERED:
            self._words.clear()
        # A number or a mark is like no name.
        words = dict.fromkeys(w for text in texts for w in text.folded)
        new = [w for w in words if w not in self._words and w.isalpha()]
        if new:
            self._words.update(zip(new, self._encode(new), strict=True))
            self._nothing = np.zeros_like(self._words[new[0]])

    def signs(
        self,
        text: Text,
        runs: NDArray[np.int32],
        attribute: str,
        name: NDArray[np.float32],
        usual: NDArray[np.float32] | None,
        makers: NDArray[np.float32] | None = None,
    ) -> Signs:
        """The signs of a question.

        Args:
            runs: numbers of the runs that are candidates, ``[runs]``.
            name: vector of the attribute's name, ``[dimensions]``.
            usual: mean vector of the names of known attributes, ``[dimensions]``; or ``None``: likeness is not asked.
            makers: how sure each run of the text is a maker's name, NaN where nothing is known, ``[all runs]``; it is
                believed rather than the text alone.
        """
        read = self._read(text)
        found = np.zeros((len(runs), len(SIGNS)), dtype=np.float32)
        silence = np.zeros(len(SILENCES), dtype=np.float32)
        if not len(runs):
            return Signs(found, silence)
        like = self._likeness(attribute, name)  # [kinds]
        kinds = read.kinds[runs]
        if makers is not None:
            kinds[:, self._maker] = np.where(np.isnan(makers[runs]), kinds[:, self._maker], makers[runs])
        kind = (kinds * like).max(axis=1)
        most = float(like.max(initial=0.0))
        found[:, 0] = kind
        found[:, 1] = np.maximum(0.0, most - kind)
        found[:, 2] = np.maximum(0.0, kinds.max(axis=1) - kind)
        meant = hypernyms.load().meant(attribute)
        if meant:
            is_a = np.zeros(len(text.keys), dtype=np.float32)
            for synset in meant:
                for run, above in read.nouns:
                    if synset in above:
                        is_a[run] = max(is_a[run], above[synset])
            found[:, 3] = is_a[runs]
            found[:, 4] = found[:, 3] == 0
            silence[1] = 1.0 - found[:, 3].max()
        if usual is not None:
            vectors = self._vectors(text)
            if vectors.shape[1] == len(name):
                found[:, 5] = vectors[runs] @ (name - usual)
            silence[2] = 0.5 - float(found[:, 5].max())
        said = set(_content(attribute))
        named = np.array([singular(w) in said for w in text.folded], dtype=np.int32)
        sums = np.concatenate([[0], np.cumsum(named)])
        first, last = text.first[runs], text.last[runs]
        inside = sums[last] - sums[first]
        found[:, 6] = inside == last - first
        found[:, 7] = inside > 0
        # The 14 of "14 gauge", the 35 of "35-sheet" for a sheet capacity.
        behind = np.concatenate([named, [0, 0]])[last] | _hyphened(text, named)[last]
        digits = np.array([w.isdigit() for w in text.words], dtype=bool)
        found[:, 8] = digits[first] & digits[last - 1] & (behind > 0)
        found[:, 9:11] = read.beside[runs]
        silence[0] = most - float(kind.max())
        return Signs(found, silence)

    def _kind(self, *names: str) -> int:
        self._names.append(names)
        return len(self._names) - 1

    def _likeness(self, attribute: str, name: NDArray[np.float32]) -> NDArray[np.float32]:
        """How like an attribute's name is to those of each kind, ``[kinds]``."""
        found = self._like.get(attribute)
        if found is None:
            said = _content(attribute)
            found = np.array(
                [
                    any(said[-1:] == own[-1:] and set(own) <= set(said) for own in map(_content, names) if own)
                    for names in self._names
                ],
                dtype=np.float32,
            )
            if self._encode is not None:
                if self._own is None:
                    self._own = [self._encode(names) for names in self._names]
                cosine = np.array([float((own @ name).max()) for own in self._own], dtype=np.float32)
                found = np.maximum(found, np.clip((cosine - UNLIKE) / (1 - UNLIKE), 0.0, 1.0) ** 2)
            self._like[attribute] = found
        return found

    def _read(self, text: Text) -> _Read:
        if self._last is None or self._last[0] is not text:
            nouns = hypernyms.load()
            short = np.flatnonzero(text.plain & (text.last - text.first <= MAX_WORDS)).tolist()
            above = ((run, nouns.above(text.keys[run])) for run in short)
            self._last = (text, _Read(self._kinds(text), tuple(a for a in above if a[1]), _beside(text)))
        return self._last[1]

    def _vectors(self, text: Text) -> NDArray[np.float32]:
        """Unit vector of each run: the mean of its words', each read by itself, ``[runs, dimensions]``."""
        if self._vectored is None or self._vectored[0] is not text:
            self._vectored = (text, self._mean_vectors(text))
        return self._vectored[1]

    def _mean_vectors(self, text: Text) -> NDArray[np.float32]:
        if self._encode is None:
            return np.zeros((len(text.keys), 0), dtype=np.float32)
        if not text.folded:
            return np.zeros((0, 0), dtype=np.float32)
        self.prepare([text])
        words = np.stack([self._words.get(w, self._nothing) for w in text.folded])
        sums = np.concatenate([np.zeros_like(words[:1]), np.cumsum(words, axis=0)])
        found: NDArray[np.float32] = sums[text.last] - sums[text.first]
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
        return found

    def _kinds(self, text: Text) -> NDArray[np.float32]:
        """How far each run is of each kind."""
        found = np.zeros((len(text.keys), len(self._names)), dtype=np.float32)
        starts, ends = text.starts[text.first], text.ends[text.last - 1] if len(text.ends) else text.ends
        by_place = {(int(s), int(e)): n for n, (s, e) in enumerate(zip(starts, ends, strict=True))}

        def mark(start: int, end: int, kinds: Sequence[int], value: float) -> None:
            run = by_place.get((start, end))
            if run is not None:
                found[run, kinds] = np.maximum(found[run, kinds], value)

        for run, key in enumerate(text.keys):
            if text.last[run] - text.first[run] > MAX_WORDS:
                continue
            for form, value in ((key, 1.0), (singular(key), 1.0), (key.rpartition(" ")[2], _PART)):
                if kinds := self._choices.get(form):
                    found[run, list(kinds)] = np.maximum(found[run, list(kinds)], value)
        measured: list[tuple[int, int]] = []
        sided = {m.span(1): m for m in _SIDED.finditer(text.raw)}
        sides = [kind for kinds in self._sides.values() for kind in kinds]
        for quantity in quantities(text.raw):
            place = (quantity.start, quantity.end)
            mark(*place, self._dimensions.get(quantity.unit.dimension, []), 1.0)
            if quantity.unit.dimension == "length" and not quantity.more and place not in sided:
                mark(*place, sides, _BARE)
            measured.append(place)
        for count in counts(text.raw):
            mark(count.start, count.end, self._counted, 1.0)
        for number in _NUMBER.finditer(text.raw):
            mark(number.start(), number.end(), [*self._dimensions["length"], *self._counted], _PART)
        for named in sided.values():
            side = self._sides[_SIDES[named[3][0].casefold()]]
            mark(*named.span(1), side, 1.0)
            mark(*named.span(2), side, 0.9)
            measured.append(named.span())
        for extents in _EXTENTS.finditer(text.raw):
            parts = [g for g in (1, 3, 5) if extents[g]]
            for group, shares in zip(parts, _ORDER[len(parts)], strict=True):
                for name, value in shares.items():
                    with_unit = bool(extents[group + 1])
                    mark(extents.start(group), extents.end(group + with_unit), self._sides[name], value)
                    if with_unit:
                        mark(*extents.span(group), self._sides[name], _PART * value)
            measured.append(extents.span())
        for pack in _PACK.finditer(text.raw):
            mark(*pack.span(), [self._pack], 1.0)
            measured.append(pack.span())
        for code in CODE.finditer(text.raw):
            written, inside = code.group(), any(s < code.end() and code.start() < e for s, e in measured)
            if len(written) >= LEAST_CODE and not inside and not _ordinary_number(written):
                mark(code.start(), code.end(), [self._code], min(1.0, 0.4 + 0.1 * len(written)))
        for kind, pattern in self._patterns:
            for said in pattern.finditer(text.raw):
                mark(*said.span(), [kind], 1.0)
        for barcode in _BARCODE.finditer(text.raw):
            mark(barcode.start(), barcode.end(), [self._barcode], 1.0 if len(barcode.group()) > 8 else _PART)
        for start, end, value in self._makers(text):
            mark(start, end, [self._maker], value)
        for start, end, value in self._products(text):
            mark(start, end, [self._product], value)
        return found

    def _makers(self, text: Text) -> Iterator[tuple[int, int, float]]:
        """Where a maker may be named: unusual words with which a title begins, that "by" precedes, or that stand apart
        at its end ("Tea Saucer - Wedgwood | US")."""
        raw, title_end = text.raw, text.title_end
        by = [m.end() for m in _BY.finditer(raw)]
        first = _NAME.search(raw)
        places = [(first.start(), 0.2 if any(place <= title_end for place in by) else 0.4)] if first else []
        places += [(place, 0.4) for place in by]
        places += [(m.end(), 0.2) for m in _APART.finditer(raw, 0, title_end)]
        for start, least in places:
            end, said, strange = start, 0, 0
            while said < _MAKER_WORDS and (name := _NAME.match(raw, end)) and not name[0][0].islower():
                said, end = said + 1, name.end()
                is_common = name[0].casefold() in self._common
                strange += not is_common
                # "Universal Red": an ordinary word belongs to the name where both are said together again.
                alone = said > 1 and is_common and raw.count(raw[start:end]) == 1
                yield start, end, (least + 0.6 * strange / said) * (_PART if alone else 1.0)
                if raw[end : end + 1] != " ":
                    break
                end += 1

    def _products(self, text: Text) -> Iterator[tuple[int, int, float]]:
        """Where a text may say what the thing is: runs that end with a noun for something made, best at the end of
        what the title names before it goes on to details."""
        head = len(title_head(text.raw[: text.title_end]))
        below = next((i for i, start in enumerate(text.starts.tolist()) if start >= text.title_end), len(text.words))
        made = [_made(w) if i < below + _OPENING else 0.0 for i, w in enumerate(text.folded)]
        # A drive drives, but a hard drive is a thing.
        pairs = [0.0, *(_made(f"{a} {b}") if a.isalpha() and b.isalpha() else 0.0 for a, b in pairwise(text.folded))]
        made = [max(one, two) for one, two in zip(made, pairs, strict=False)]
        main = max((i for i, value in enumerate(made) if value >= _PART and text.ends[i] <= head), default=-1)
        for last, value in enumerate(made):
            if not value:
                continue
            place = 1.0 if last == main else 0.6
            width, first = 0, last
            while width < len(_BY_WIDTH) and first >= 0 and (text.words[first].isalpha() or text.words[first] == "-"):
                if text.words[first] == "-":
                    first -= 1
                    continue
                modifiers = text.folded[first:last]
                strange = any(w.isalpha() and w not in self._common for w in modifiers)
                trust = _BY_WIDTH[width] * (_PART if strange else 1.0)
                if width == 1 and pairs[last]:
                    trust = 1.0
                yield int(text.starts[first]), int(text.ends[last]), value * trust * place
                width += 1
                first -= 1


def _made(noun: str) -> float:
    """How surely a noun, or two words that dictionaries have as one, names something that can be sold."""
    nouns = hypernyms.load()
    if " " in noun and not nouns.has(noun):
        return 0.0
    return max(nouns.kind_of(noun, "artifact"), nouns.kind_of(noun, "food"), 0.8 * nouns.kind_of(noun, "substance"))


def _beside(text: Text) -> NDArray[np.float32]:
    """Whether a noun stands next before and next behind each run, ``[runs, 2]``."""
    nouns = hypernyms.load()
    noun = [
        w.isalpha() and w not in STOP_WORDS and len(w) >= hypernyms.LEAST_WORD and nouns.has(w) for w in text.folded
    ]
    tied = [text.raw[e:s] == " " for e, s in zip(text.ends[:-1].tolist(), text.starts[1:].tolist(), strict=True)]
    before = np.array([0, *(n and t for n, t in zip(noun, tied, strict=False)), 0], dtype=np.float32)
    behind = np.array([0, *(n and t for n, t in zip(noun[1:], tied, strict=True)), 0], dtype=np.float32)
    return np.stack([before[text.first], behind[text.last]], axis=1)


def _content(name: str) -> list[str]:
    """The words of an attribute's name, without what stands in brackets and without last words that say nothing."""
    found = [singular(w) for w in words_of(fold(name.partition("(")[0])) if w.isalpha()]
    while len(found) > 1 and found[-1] in ("type", "name"):
        found.pop()
    return found


def _hyphened(text: Text, named: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which words are hyphens before a word of the attribute's name, ``[words + 2]``."""
    hyphen = np.array([w == "-" for w in text.words], dtype=np.int32)
    return np.concatenate([hyphen * np.concatenate([named, [0]])[1 : len(hyphen) + 1], [0, 0]]).astype(np.int32)


def _ordinary_number(said: str) -> bool:
    """Whether what looks like a code is a number, a fraction or a product of extents."""
    return re.fullmatch(r"[\d.]+(?:[/x-]\d{1,3})*", said) is not None and not re.fullmatch(r"\d{4,}-\d+", said)
