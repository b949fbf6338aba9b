"""Attribute values of a product, read by rules that are built from the vocabulary.

Three ways in which shops state an attribute: ``Colour: black`` (a label), a
word of a closed list (``black``), and a number with a unit, whose neighbours,
or the title, tell what it measures. What is denied ("without a battery",
"Material: no leather"), asked ("Is it waterproof?") or belongs to other
versions ("available in red and blue") is rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from extraction.mentions import Claim, Found, Lexicon, Reason, word_set
from extraction.normalise import (
    Quantity,
    Unit,
    attribute_key,
    convert,
    counts,
    quantities,
    show_quantity,
    singular,
    unit_of,
)
from extraction.polarity import denial, is_asked, is_negated, offers_versions
from kg.graph import Node, Rejected
from kg.vocabulary import Kind, Vocabulary

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span, Token

MAX_OPEN_VALUE: Final = 40
"""Longest value behind a label that is believed to be one, in characters."""

# How often each way of stating a value is right, by the training parts of AE-110K and WDC PAVE (`rules alone` of `kg
# benchmark extraction-values` measures it on the test parts); a label's was not seen often enough, and is believed.
_LABELLED: Final = 0.97
_OPEN: Final = 0.75
_IN_TITLE: Final = 0.8
_IN_PROSE: Final = 0.7
_PURPOSE: Final = 0.7
"""Of what a title says a thing is for: it likes to name more than one purpose."""
_SHARED: Final = 0.2
"""Taken away where another attribute has the word as well."""
_NAMED_BESIDE: Final = 0.8
_HINTED: Final = 0.75
_BARE: Final = 0.8
_LETTERS: Final = re.compile(r"[^\W\d_]+")
# "Water like silk" is no silk.
_SIMILE: Final = re.compile(r"\b(?:like|as|than)\s(?:a\s|an\s|the\s)?$", re.IGNORECASE)
_FREE: Final = re.compile(r"(?P<what>.+?)[\s-]free", re.IGNORECASE)
# "High quality" and "long lasting" measure nothing.
_NO_MEASURE: Final = r"(?![ -](?:quality|end|performance|lasting|life|term|range|variety|bass|tension|output|speed))"
# What may stand between "for" and a value that counts behind it alone: "for long days of hiking, travel and yoga".
_BETWEEN: Final = r"(?:[\w'’-]+(?:\s|,\s|\s?[&/]\s?)){0,8}\Z"
# "Goes with black shoes", "ships in a cardboard box", "for wood floors": colours and materials of other things.
_OF_OTHERS: Final = re.compile(
    r"\b(?:go(?:es)? (?:well |great |nicely )?with|pairs? (?:well )?with|match(?:es)?|ships? in|shipped in|packed in|"
    r"cuts|removes?|cleans?|polish(?:es)?|protects?|resists?|(?:suitable|ideal|perfect|great|designed|made|meant) for|"
    r"for use on|replaces?)\b[^.;:!?\n]*\Z",
    re.IGNORECASE,
)
_IMITATION: Final = re.compile(r"\b(?:artificial|imitation(?: of)?|mock|simulated|fake|pretend)[ -]\Z", re.IGNORECASE)
# "Leather cleaner", "wood glue" and "leather-look polyester" are not of what they name; "Black Friday" has no colour.
_ANOTHER_HEAD: Final = re.compile(
    r"[ -](?:look|effect|imitation|substitute|alternative|cleaner|cleaning|glue|polish|conditioner|care|filler|stain|"
    r"oil|friday|tea|wine)\b",
    re.IGNORECASE,
)
# "Up to 15.6 inches", "for loads of", "withstands a 2 m drop": extents and weights of other things.
_HELD: Final = re.compile(
    r"\b(?:for|fits?|holds?|supports?|withstands?|survives?|accommodates?|carr(?:y|ies)|loads?|up to|resistant to|"
    r"resists?|visible|range|within|away|replaces?|equivalent)\b[^.,;:!?\n]*\Z",
    re.IGNORECASE,
)
_HELD_DIMENSIONS: Final = frozenset({"length", "mass"})
_REPLACED: Final = re.compile(r"\b(?:replaces?|equivalent to|instead of)\b[^.;:!?\n]*\Z", re.IGNORECASE)
# "Package weight: 2 kg", "strap length", "weight limit": of a part, of the box, of what it may bear.
_OF_A_PART: Final = re.compile(
    r"\b(?P<part>max(?:imum|\.)?|min(?:imum|\.)?|package|packaging|packed|shipping|box|carton|parcel|load|user|rider|"
    r"gross|strap|handle|lining|cable|cord|chain|heel|inner|case|lid|blade|shaft|sleeve|shipment|recommended)[ -]\Z",
    re.IGNORECASE,
)
_QUALIFIER: Final = re.compile(r"(?<![\w'’-])(?P<word>[^\W\d_]+)[ -]\Z")
_OF_THE_WHOLE: Final = word_set(
    """
    the its a an this these of and or with in is has at by to from product item article unit overall total outer outside
    external exterior approximate approximately approx net assembled actual full whole finished open opened standing
    flat garment size dimensions specifications specs details features color colour material
    """
)
"""Words before the name of a measure that make it no measure of a part."""
_LIMIT: Final = re.compile(r"[ -](?:limit|capacity|rating|range)\b", re.IGNORECASE)
# The letters beside an extent that name its side: "30 cm (L) x 20 cm (W)".
_SIDE: Final = re.compile(r"\s?\(?(?P<side>[LWHD])\)?(?![\w-])")
_SIDES: Final = {"L": "length", "W": "width", "H": "height", "D": "depth"}
_PLUGS: Final = frozenset({"connector", "compatible mount"})
# Words of these classes are no colours or materials, whatever they look like ("felt" the verb, "down" the adverb).
_NEVER_VALUES: Final = frozenset({"ADP", "PRON", "SCONJ", "INTJ"})


class AttributeRules:
    """Finds attribute values. Built once; :meth:`find` is pure.

    Args:
        lexicon: attribute values that stand in the graph are recognised like those of the vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary, lexicon: Lexicon, nlp: Language) -> None:
        from spacy.matcher import PhraseMatcher

        self._attributes = {a.name: a for a in vocabulary.attributes}
        self._units = {a.name: unit_of(a.unit) for a in vocabulary.attributes if a.unit}
        self._values: dict[str, list[tuple[str, str]]] = {}
        for attribute in vocabulary.attributes:
            for value in attribute.values:
                for form in (value.name, *value.synonyms):
                    self._add(form, attribute.name, value.name)
        for known in lexicon.attribute_values:
            attribute_ = self._attributes.get(known.attribute)
            if attribute_ and attribute_.kind is Kind.CHOICE:
                self._add(known.value, known.attribute, known.value)
        self._matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
        for form in self._values:
            self._matcher.add(form, _patterns(nlp, form))
        self._behind = {
            a.name: re.compile(rf"\b(?:{'|'.join(map(re.escape, a.behind))})\s{_BETWEEN}", re.IGNORECASE)
            for a in vocabulary.attributes
            if a.behind
        }
        self._labels = _label_pattern(vocabulary)
        self._label_of = {
            label.casefold(): attribute.name
            for attribute in reversed(vocabulary.attributes)
            for label in (attribute.name, *attribute.synonyms)
        }
        self._counted = {
            singular(word): a.name
            for a in vocabulary.attributes
            if a.kind is Kind.COUNT
            for word in (a.name, *a.synonyms)
        }
        self._cues = {
            a.name: re.compile(
                rf"(?<!\w)(?:{'|'.join(map(re.escape, (a.name, *a.synonyms)))})(?!\w){_NO_MEASURE}", re.IGNORECASE
            )
            for a in vocabulary.attributes
            if a.kind is Kind.QUANTITY
        }

    def find(
        self,
        doc: Doc,
        offset: int,
        *,
        document: str,
        title: str,
        is_title: bool,
        names: Sequence[tuple[int, int]],
        questions: bool = False,
        own: Callable[[str, int, int], bool] | None = None,
    ) -> Found:
        """Attribute values that one window of a text states.

        Args:
            offset: where ``doc`` begins in the document; claims carry offsets of the document.
            title: the product's title: it tells what a bare quantity measures.
            names: places in ``doc.text`` that are names of brands or products: "Blue" of Blue Microphones is no colour.
            questions: whether what is asked is what is looked for, and not what is stated: a customer's text. What it
                denies is found as well ("which are not black"); :func:`extraction.polarity.excludes` tells it.
            own: whether the text says a value of this attribute, at this place, of the product itself; a description
                always does. Not asked where a label does.
        """
        text = doc.text
        claims: list[Claim] = []
        rejected: list[Rejected] = []
        # The words of a label state nothing themselves: a "waterproof rating" may be none.
        taken = [*names, *(match.span("label") for match in self._labels.finditer(text))]
        for start, end, named, stated, confidence in self._labelled(text, title):
            taken.append((start, end))
            objection = self.objection(doc, text, start, end, questions=questions)
            if stated is None:
                objection = Reason.AMBIGUOUS
            if objection is None and stated is not None:
                claims.append(_claim(named, stated, start, end, confidence))
            elif objection is not None:
                detail = f"{named}: {text[start:end]}"
                rejected.append(Rejected(objection, detail, document, start + offset, end + offset))
        measured = self._quantities(text, title, is_title=is_title)
        candidates = [*self._choices(doc, text, is_title), *measured, *self._counts(text)]
        # One value behind "comes in" is the product's own; several are versions of it.
        offered = Counter(a for s, _, a, *_ in candidates if not is_title and offers_versions(text, s))
        for start, end, attribute, value, confidence in candidates:
            if any(s < end and start < e for s, e in taken):
                continue
            if attribute in _PLUGS:
                taken.append((start, end))  # the inches of a 1/4" jack are no length of the product
            reason = (
                Reason.AMBIGUOUS if attribute is None else self.objection(doc, text, start, end, questions=questions)
            )
            if reason is None and not is_title and offered[attribute] > 1 and offers_versions(text, start):
                reason = Reason.ALTERNATIVE
            if reason is None and own is not None and attribute is not None and not own(attribute, start, end):
                reason = Reason.NOT_OF_PRODUCT
            if reason is not None or attribute is None or value is None:
                detail = f"{attribute or 'attribute'}: {text[start:end]}"
                rejected.append(Rejected(reason or Reason.AMBIGUOUS, detail, document, start + offset, end + offset))
                continue
            claims.append(_claim(attribute, value, start, end, confidence))
        moved = tuple(Claim(c.type, c.node, c.start + offset, c.end + offset, c.confidence) for c in claims)
        return Found(moved, tuple(rejected))

    def objection(self, doc: Doc, text: str, start: int, end: int, *, questions: bool = False) -> Reason | None:
        """Why a text does not state the value that stands at ``[start, end)`` in it; ``None`` if it does.

        Args:
            text: ``doc.text``, which spaCy would put together anew at each call.
            questions: as for :meth:`find`.
        """
        if denial(text[start:end]) is not None or (not questions and is_negated(doc, text, start, end)):
            return Reason.NEGATED
        if (not questions and is_asked(text, end)) or _SIMILE.search(text, max(0, start - 12), start):
            return Reason.HYPOTHETICAL
        return None

    def attribute_named(self, name: str) -> str | None:
        """The attribute of the vocabulary with this name or synonym, whatever the case: "Color" is colour."""
        return self._label_of.get(name.casefold())

    def names(self, attribute: str) -> frozenset[str]:
        """The names of an attribute of the vocabulary, in lower case."""
        known = self._attributes[attribute]
        return frozenset(n.casefold() for n in (known.name, *known.synonyms))

    def is_purpose(self, attribute: str) -> bool:
        """Whether values of an attribute say what a product is for, so that they count behind certain words alone."""
        return attribute in self._behind

    def claim(self, attribute: str, raw: str, start: int, confidence: float) -> Claim | None:
        """What a text states by ``raw`` at ``start`` when it is known to be a value of ``attribute``."""
        kind = self._attributes[attribute].kind
        end = start + len(raw)
        if kind is Kind.QUANTITY:
            unit = self._units[attribute]
            found = next((q for q in quantities(raw) if q.unit.dimension == unit.dimension), None)
            return _claim(attribute, _of_quantity(found, unit), start, end, confidence) if found else None
        if kind is Kind.COUNT:
            digits = re.search(r"\d{1,6}", raw)
            if digits is None:
                return None
            return _claim(attribute, _Value(digits.group(), None, float(digits.group())), start, end, confidence)
        known = self._known(attribute, raw)
        return _claim(attribute, _Value(known) if known else _open_value(raw, kind), start, end, confidence)

    def _add(self, form: str, attribute: str, value: str) -> None:
        readings = self._values.setdefault(form.casefold(), [])
        if (attribute, value) not in readings:
            readings.append((attribute, value))

    def _labelled(self, text: str, title: str) -> Iterator[tuple[int, int, str, _Value | None, float]]:
        """``Colour: black``, ``Weight: 1.2 kg``; no value where it is that of a part: ``Package weight: 2 kg``."""
        for match in self._labels.finditer(text):
            attribute = self._attributes[self._label_of[match["label"].casefold()]]
            raw = match["value"].rstrip(" .?")
            start = match.start("value")
            if _is_of_a_part(text, match.start("label"), title) or (
                attribute.kind is Kind.QUANTITY and _is_qualified(text, match.start("label"), title)
            ):
                yield start, start + len(raw), attribute.name, None, 0.0
                continue
            if attribute.kind is Kind.QUANTITY:
                for quantity in quantities(raw):
                    if quantity.unit.dimension == self._units[attribute.name].dimension:
                        value = _of_quantity(quantity, self._units[attribute.name])
                        yield start + quantity.start, start + quantity.end, attribute.name, value, _LABELLED
                        break
                continue
            known = self._known(attribute.name, raw)
            if known:
                yield start, start + len(raw), attribute.name, _Value(known), _LABELLED
                continue
            without = _FREE.fullmatch(raw)
            if denial(raw) or (without and self._known(attribute.name, without["what"])):
                continue  # "cotton without nylon", "latex-free": each word of it is looked at by itself
            if attribute.kind in (Kind.CHOICE, Kind.TEXT) and _is_open_value(raw):
                yield start, start + len(raw), attribute.name, _open_value(raw, attribute.kind), _OPEN

    def _known(self, attribute: str, form: str) -> str | None:
        """The value of an attribute that is written so, among those of the vocabulary and the graph."""
        return next((v for a, v in self._values.get(form.casefold(), ()) if a == attribute), None)

    def _choices(
        self, doc: Doc, text: str, is_title: bool
    ) -> Iterator[tuple[int, int, str | None, _Value | None, float]]:
        for span in _longest(doc, self._matcher(doc)):
            if len(span.text) < 2 or (len(span) == 1 and span.text.islower() is False and _in_name(span)):
                continue
            readings = [r for r in self._values.get(span.label_, []) if is_title or self._in_prose(r[0], span, text)]
            if not readings:
                continue
            near = text[max(0, span.start_char - 25) : span.start_char].casefold()
            named = [r for r in readings if r[0] in near]
            attribute, value = (named or readings)[0]
            if self._is_of_another(attribute, span, text, is_title=is_title):
                yield span.start_char, span.end_char, attribute, None, 0.0
                continue
            confidence = (_PURPOSE if self.is_purpose(attribute) else _IN_TITLE) if is_title else _IN_PROSE
            confidence -= _SHARED if len(readings) > 1 and not named else 0.0
            end = span.start_char + len(span.text.rstrip("."))
            yield span.start_char, end, attribute, _Value(value), confidence

    def _in_prose(self, attribute: str, span: Span, text: str) -> bool:
        """Whether running text may state a value of the attribute by these words in this place."""
        if not self._attributes[attribute].prose:
            return False
        behind = self._behind.get(attribute)
        if behind is None:
            return len(span) > 1 or not _is_other_word(span[0])
        # "For running" is what a thing is for, "for running your amplifier" is not.
        after = span.doc[span.end] if span.end < len(span.doc) else None
        if span[-1].tag_ == "VBG" and after is not None and after.pos_ in ("DET", "PRON", "PROPN", "NUM"):
            return False
        return behind.search(text, max(0, span.start_char - 60), span.start_char) is not None

    def _is_of_another(self, attribute: str, span: Span, text: str, *, is_title: bool) -> bool:
        """Whether the words of a list say something of another thing: "goes with black shoes", "leather cleaner"."""
        start, end = span.start_char, span.end_char
        if attribute in _PLUGS:  # "pairs with the V10 through a 3.5 mm jack"
            return False
        if attribute in self._behind:  # what a thing is for
            return start > 1 and text[start - 1] == "-" and text[start - 2].isalnum()  # "third-party"
        if _ANOTHER_HEAD.match(text, end) or _IMITATION.search(text, max(0, start - 20), start):
            return True
        return not is_title and _OF_OTHERS.search(text, max(0, start - 60), start) is not None

    def _quantities(
        self, text: str, title: str, *, is_title: bool
    ) -> Iterator[tuple[int, int, str | None, _Value | None, float]]:
        found = list(quantities(text))
        # "50/60 Hz": what stands around both tells what each of them is.
        apart = [text[a.end : b.start] != "/" for a, b in pairwise(found)]
        for i, quantity in enumerate(found):
            first = next((n for n in range(i, 0, -1) if apart[n - 1]), 0)
            last = next((n for n in range(i, len(apart)) if apart[n]), len(found) - 1)
            begin, end = found[first].start, found[last].end
            left = text[max(0, begin - 35, found[first - 1].end if first else 0) : begin]
            right = text[end : min(end + 30, found[last + 1].start if last + 1 < len(found) else len(text))]
            attribute, confidence = self._measured(quantity, left, right, title, is_title=is_title)
            value = _of_quantity(quantity, self._units[attribute]) if attribute else None
            yield quantity.start, quantity.end, attribute, value, confidence

    def _measured(
        self, quantity: Quantity, left: str, right: str, title: str, *, is_title: bool
    ) -> tuple[str | None, float]:
        """Which attribute a quantity is a value of, and how sure that is; the nearest word decides."""
        same = [n for n, unit in self._units.items() if unit.dimension == quantity.unit.dimension]
        left = re.split(r"[.;!?\n]\s", left)[-1]
        right = re.split(r"[.;!?\n]\s|,", right)[0]
        side = _SIDE.match(right)
        if side and _SIDES[side["side"]] in same:
            return _SIDES[side["side"]], _NAMED_BESIDE
        # Extents and weights of what it is for, holds or replaces are not its own.
        held = not is_title and quantity.unit.dimension in _HELD_DIMENSIONS
        nearest: list[tuple[int, str, bool]] = []
        for name in same:
            for match in self._cues[name].finditer(left):
                before = left[: match.start()]
                own = not (_is_of_a_part(left, match.start(), title) or _LIMIT.match(left, match.end()))
                nearest.append((len(left) - match.end() + 2, name, own and not (held and _HELD.search(before))))
            after = self._cues[name].search(right)
            if after:
                nearest.append((after.start(), name, True))
        if nearest:
            _, name, own = min(nearest)
            return (name, _NAMED_BESIDE) if own else (None, 0.0)
        if (held and _HELD.search(left)) or (quantity.unit.dimension == "power" and _REPLACED.search(left)):
            return None, 0.0
        if quantity.more:  # several sides are no length of a strap
            return self._bare(same)
        # "2 m cable", "67 mm filters": the word behind a quantity tells like a word of the title.
        beside = set(map(singular, _LETTERS.findall(right.casefold())[:1]))
        for name in same:
            if beside and beside & {singular(h) for h in self._attributes[name].hints}:
                return name, _NAMED_BESIDE
        words = {singular(w) for w in _LETTERS.findall(title.casefold())}
        for name in same:
            attribute = self._attributes[name]
            if any(set(map(singular, hint.split())) <= words for hint in attribute.hints):
                unit = self._units[name]
                if attribute.least is None or convert(quantity.number, quantity.unit, unit) >= attribute.least:
                    return name, _HINTED
        return self._bare(same)

    def _bare(self, same: Sequence[str]) -> tuple[str | None, float]:
        """Which of some attributes a quantity is a value of where no word tells, and how sure that is."""
        return next(((n, _BARE) for n in same if self._attributes[n].bare), (None, 0.0))

    def _counts(self, text: str) -> Iterator[tuple[int, int, str | None, _Value | None, float]]:
        for count in counts(text):
            attribute = self._counted.get(singular(count.thing))
            if attribute:
                value = _Value(str(count.number), None, float(count.number))
                yield count.start, count.end, attribute, value, _NAMED_BESIDE


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    unit: str | None = None
    number: float | None = None
    shown: str | None = None
    """As it is printed, where its case matters: "LP-E6N" is one value with "lp-e6n", and is shown so."""


def _open_value(raw: str, kind: Kind) -> _Value:
    """A value outside the lists; codes and names (:attr:`Kind.TEXT`) are shown with their capitals."""
    printed = " ".join(raw.split())
    return _Value(printed.casefold(), shown=printed if kind is Kind.TEXT else None)


def _of_quantity(quantity: Quantity, to: Unit) -> _Value:
    text, number = show_quantity(quantity, to)
    return _Value(text, to.symbol, number)


def _claim(attribute: str, value: _Value, start: int, end: int, confidence: float) -> Claim:
    properties: dict[str, object] = {"attribute": attribute, "value": value.shown or value.text}
    if value.unit is not None:
        properties["unit"] = value.unit
        properties["value"] = value.text.removesuffix(value.unit).strip()
    if value.number is not None:
        properties["number"] = value.number
    node = Node("AttributeValue", attribute_key(attribute, value.text), properties)
    return Claim("HAS_ATTRIBUTE", node, start, end, confidence)


def _patterns(nlp: Language, form: str) -> list[Doc]:
    """A form as the tokenizer may cut it: with hyphens and with spaces, in capitals, before a full stop or a slash."""
    spellings = {form, form.replace("-", " "), form.replace(" ", "-")}
    docs = [nlp.make_doc(case) for s in sorted(spellings) for case in (s, s.upper(), s.title())]
    for spelling in sorted(spellings):
        framed = nlp.make_doc(f"{spelling.upper()}.")
        inside = framed.char_span(0, len(spelling))
        docs.append((inside if inside is not None else framed[:]).as_doc())
    return list({tuple(t.lower_ for t in doc): doc for doc in docs}.values())


def _is_other_word(token: Token) -> bool:
    """Whether a word in running text only looks like a value: "felt" the verb, "down" the adverb."""
    return token.pos_ in _NEVER_VALUES or (token.pos_ in ("VERB", "AUX") and token.lemma_ != token.lower_)


def _label_pattern(vocabulary: Vocabulary) -> re.Pattern[str]:
    labels = {label for a in vocabulary.attributes for label in (a.name, *a.synonyms)}
    alternatives = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    # One line, up to the next comma, semicolon, bullet, bracket or full stop.
    return re.compile(
        rf"(?<![\w-])(?P<label>{alternatives})\s?[:=]\s{{0,3}}(?P<value>[^\s:;,|•*()\[\]\n][^:;,|•*()\[\]\n]{{0,60}}?)"
        r"(?=\s*(?:[;,|•*()\[\]\n]|\.(?:\s|$)|$|\s[A-Z][\w ]{0,20}:))",
        re.IGNORECASE,
    )


def _is_of_a_part(text: str, start: int, title: str) -> bool:
    """Whether the name of an attribute at ``start`` is that of a part or of the box: "Package weight". The straps of a
    strap are its own."""
    part = _OF_A_PART.search(text, max(0, start - 20), start)
    return part is not None and re.search(rf"\b{re.escape(part['part'])}s?\b", title, re.IGNORECASE) is None


def _is_qualified(text: str, start: int, title: str) -> bool:
    """Whether the name of a measure at ``start`` is that of what the title does not speak of: "Neck width"."""
    before = _QUALIFIER.search(text, max(0, start - 20), start)
    if before is None:
        return False
    word = before["word"].casefold()
    return word not in _OF_THE_WHOLE and re.search(rf"\b{re.escape(word)}s?\b", title, re.IGNORECASE) is None


def _is_open_value(raw: str) -> bool:
    return 0 < len(raw) <= MAX_OPEN_VALUE and len(raw.split()) <= 3 and any(c.isalnum() for c in raw)


def _in_name(span: Span) -> bool:
    """Whether a single word stands between capitalised words in running text: part of a name ("Red Hot")."""
    doc, token = span.doc, span[0]
    after = doc[token.i + 1] if token.i + 1 < len(doc) else None
    sentence_start = token.i == 0 or doc[token.i - 1].is_punct or doc[token.i - 1].is_space
    return bool(
        not sentence_start and token.is_title and after is not None and after.is_title and doc[token.i - 1].is_title
    ) and any(t.is_lower for t in doc[max(0, token.i - 8) : token.i + 8])


def _longest(doc: Doc, matches: Sequence[tuple[int, int, int]]) -> list[Span]:
    """Matches as spans, the longest first where two overlap, in the order of the text."""
    from spacy.tokens import Span
    from spacy.util import filter_spans

    return filter_spans([Span(doc, start, end, label=match) for match, start, end in matches])
