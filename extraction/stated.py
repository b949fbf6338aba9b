"""What a review states of its product: "it is made of leather", "this strap is 2 inches wide", "I use it for hiking".

A description speaks of its product wherever it does not say otherwise; a review speaks of the reviewer's guitar, of
what came before and of what was wished for. So a value counts there only where the clause that it is part of has the
product as its subject, or names the attribute, and asserts it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from extraction.assertion import is_negated, is_supposed, is_wished
from extraction.normalise import singular

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_MAX_STEPS: Final = 8
_IT: Final = frozenset({"it", "this", "these"})
_NAMELESS: Final = frozenset({"product", "item", "unit", "one", "thing"})
"""Nouns that stand for the product where "this" or "the" is before them."""
_MADE: Final = frozenset({"make", "construct", "build", "craft"})
_MEASURES: Final = frozenset({"be", "measure", "weigh"})
_VALUE: Final = frozenset({"acomp", "attr", "oprd", "npadvmod", "nummod", "dobj", "appos", "quantmod"})
"""How the words of a value hang on what asserts it."""
_DESCRIBES: Final = frozenset({"amod", "compound", "nmod"})
_KNOWS: Final = frozenset({"know", "note", "notice", "see", "mention", "love", "like", "appreciate"})
"""Verbs whose clause is stated: "I love that it is leather", but not "I thought it was leather"."""
_EXTENTS: Final = frozenset({"long", "wide", "tall", "high", "deep", "thick", "heavy", "across", "square"})
_DEGREES: Final = frozenset({"very", "so", "really", "quite", "pretty", "more", "less", "too", "extremely", "how"})
"""What goes with a judgement and with no value."""
_CONDITIONS: Final = frozenset({"when", "if", "unless", "until", "while"})
_DIFFERENCE: Final = re.compile(r"[\s\w.\"”]{0,8}\s(?:too|short(?:er)?|longer|wider|larger|bigger)\b", re.IGNORECASE)
"""Behind a quantity, what makes it no measure of the product but a distance from another one's."""
_SUBJECT: Final = ("nsubj", "nsubjpass")


def is_stated(
    doc: Doc, text: str, start: int, end: int, *, itself: Collection[str], names: Collection[str], purpose: bool
) -> bool:
    """Whether the parse of a review asserts the value at ``[start, end)`` of the review's own product.

    Args:
        text: ``doc.text``, which spaCy would put together anew at each call.
        itself: nouns that stand for the product, singular and in lower case.
        names: names of the attribute in lower case: "the colour is black" is said of the product.
        purpose: whether the value says what the product is for.
    """
    span = doc.char_span(start, end, alignment_mode="expand")
    if span is None or not len(span):
        return False
    value = current = span.root
    if any(c.dep_ == "advmod" and c.lower_ in _DEGREES for c in value.children):
        return False  # "a very transparent sound"
    if _DIFFERENCE.match(text, end):
        return False
    prepositions: list[Token] = []
    for _ in range(_MAX_STEPS):
        if current.pos_ in ("VERB", "AUX") and current is not value:
            return _asserts(current, value, prepositions, itself, names, purpose=purpose)
        head, dep = current.head, current.dep_
        if head is current:
            return False
        if dep == "prep":
            prepositions.append(current)
        elif not _carries(current, span.end, itself, names, purpose=purpose):
            return False
        current = head
    return False


def _carries(word: Token, end: int, itself: Collection[str], names: Collection[str], *, purpose: bool) -> bool:
    """Whether what a word hangs on may say it of the product; ``end`` is the index behind the value's last token."""
    head, dep = word.head, word.dep_
    if head.pos_ == "ADJ" and dep == "npadvmod" and not _is_extent(head, names):
        return False  # "an inch wider", "adjustable by 10 Hz"
    if dep in _DESCRIBES:
        return head.i < end or _is_product(head, itself)  # but "it is great for my black guitar"
    if dep == "pobj":
        return bool(head.pos_ == "ADP")
    if dep == "conj":
        return head.pos_ not in ("VERB", "AUX")
    return dep in _VALUE or (dep == "pcomp" and purpose)


def _asserts(
    verb: Token,
    value: Token,
    prepositions: list[Token],
    itself: Collection[str],
    names: Collection[str],
    *,
    purpose: bool,
) -> bool:
    """Whether a clause asserts a value of the product that hangs on its verb behind these prepositions."""
    words = {p.lower_ for p in prepositions}
    if is_negated(value) or is_negated(verb) or any(map(is_supposed, (value, verb))) or is_wished(verb):
        return False
    if verb.dep_ == "ccomp" and verb.head.lemma_ not in _KNOWS:
        return False
    auxiliaries = {c.lower_ for c in verb.children if c.dep_ == "aux" and c.tag_ == "MD"}
    if auxiliaries and not (purpose and auxiliaries <= {"can"}):
        return False
    if any(t.lower_ in _CONDITIONS for t in verb.subtree):
        return False  # "it is red when out of tune"
    if any(t.lower_ == "too" for t in verb.doc[verb.i : value.i]):
        return False  # "too slow for the stage"
    subject = _subject(verb)
    if purpose:
        if words - {"for"} or "for" not in words:
            return False
        if verb.lemma_ == "use":
            used = [c for c in verb.children if c.dep_ in ("dobj", "nsubjpass")]
            return any(_is_this(u, itself) for u in used) and not _is_past(verb, used)
        return verb.lemma_ in ("be", "work", "make") and subject is not None and _is_this(subject, itself)
    if subject is None or (verb.lemma_ == "be" and verb.tag_ not in ("VBZ", "VBP")):
        return False  # "it was black": what is told may be another's
    if verb.lemma_ in _MADE:
        return words in ({"of"}, {"from"}, {"out", "of"}) and _is_this(subject, itself)
    if verb.lemma_ not in _MEASURES or words:
        return False
    return _is_this(subject, itself) or _is_named(subject, itself, names)


def _subject(verb: Token) -> Token | None:
    """The subject of a verb, or of the verb that it is joined to."""
    for _ in range(_MAX_STEPS):
        for child in verb.children:
            if child.dep_ in _SUBJECT:
                return child
        if verb.dep_ != "conj" or verb.head is verb:
            return None
        verb = verb.head
    return None


def _is_product(noun: Token, itself: Collection[str]) -> bool:
    return singular(noun.text) in itself or noun.lower_ in _NAMELESS


def _is_this(subject: Token, itself: Collection[str]) -> bool:
    """Whether a subject or object is the product: "this", "the strap", and "it" where nothing else was spoken of."""
    if subject.lower_ in _IT:
        return subject.lower_ != "it" or not _is_of_another(subject, itself)
    if not _is_product(subject, itself) or any(c.dep_ in ("acl", "relcl") for c in subject.children):
        return False  # "the one that I returned"
    before = [c for c in subject.children if c.dep_ in ("det", "poss", "amod", "compound", "nummod")]
    return any(c.lower_ in ("this", "the", "these") for c in before) and not any(
        c.dep_ in ("poss", "amod") for c in before
    )


def _is_of_another(pronoun: Token, itself: Collection[str]) -> bool:
    """Whether the last noun that was subject or object before "it" is not the product: "The case is nice. It is …"."""
    start = pronoun.sent.start
    begin = pronoun.doc[start - 1].sent.start if start else start
    for token in reversed(pronoun.doc[begin : pronoun.i]):
        if token.dep_ in (*_SUBJECT, "dobj", "attr") and token.pos_ in ("NOUN", "PROPN"):
            return not _is_product(token, itself)
        if token.dep_ in (*_SUBJECT, "dobj") and token.lower_ in ("this", "these"):
            return False
    return False


def _is_named(subject: Token, itself: Collection[str], names: Collection[str]) -> bool:
    """Whether a subject names the attribute, and not that of another thing: "the colour", "its weight"."""
    if subject.lower_ not in names and subject.lemma_.casefold() not in names:
        return False
    for child in subject.children:
        if child.dep_ == "prep":
            if child.lower_ != "of" or not any(c.dep_ == "pobj" and _is_this(c, itself) for c in child.children):
                return False
        elif child.dep_ == "poss":
            if child.lower_ != "its" and not _is_product(child, itself):
                return False
        elif child.dep_ not in ("det", "punct"):
            return False
    return True


def _is_extent(adjective: Token, names: Collection[str]) -> bool:
    """Whether a quantity before an adjective measures the product: "10 feet long", but not "an inch wider"."""
    if adjective.tag_ == "JJR" or any(c.lower_ in _DEGREES for c in adjective.children):
        return False
    return adjective.lower_ in _EXTENTS or adjective.lower_ in names


def _is_past(verb: Token, used: list[Token]) -> bool:
    """Whether something was used once, and no longer: "I used it for hiking" (but "it is used for hiking")."""
    return verb.tag_ == "VBD" and not any(u.dep_ == "nsubjpass" for u in used)
