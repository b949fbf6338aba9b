"""Where a review speaks of another thing than its product: the X200's screen, my old camera, most cameras.

What is praised or blamed there is said of that thing. A clause is another's when
its subject is, or the thing whose part its subject is; of other clauses only the
words that hang on the other thing's name are. "Use it with the X200", "sounds
great on my X200" speak of the review's own product.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from extraction.mentions import word_set
from extraction.normalise import singular

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_FORMER: Final = frozenset({"old", "previous", "former", "last", "earlier"})
_MOST: Final = word_set("most many other others some few cheap cheaper typical usual ordinary average")
"""What makes a plural one of the others of its kind: "most cameras", "cheap cameras"."""
_OWNERS: Final = frozenset({"my", "our", "his", "her", "their"})
_PEOPLE: Final = word_set(
    """
    wife husband son daughter kid friend brother sister father mother dad mom mum neighbor neighbour boss colleague
    coworker roommate girlfriend boyfriend buddy partner cousin uncle aunt nephew niece grandson granddaughter
    """
)
_KINDS: Final = frozenset({"one", "ones", "model", "models", "version", "versions", "brand", "brands", "product"})
_PARTS_WITH: Final = frozenset({"return", "sell", "replace", "ditch", "dump", "toss", "retire", "discard"})
_HAS: Final = frozenset({"have", "own", "get", "buy", "return", "try", "use"})
_THIS: Final = frozenset({"this", "these", "it", "them"})
_BESIDE: Final = frozenset({"with", "through", "in", "on", "since", "to", "into"})
_MADE_SO: Final = frozenset({"make", "let", "keep", "help", "give", "get", "have"})
_ABOUT_BOTH: Final = frozenset({"fit", "slide", "slip"})
"""What one thing does in or on the other: "my X200 fits well"."""
_SUBJECT: Final = ("nsubj", "nsubjpass")
_MAX_STEPS: Final = 6

Place = tuple[int, int]


def foreign_places(
    doc: Doc,
    *,
    brands: Sequence[Place],
    products: Sequence[Place],
    itself: Collection[str],
    aspects: Sequence[tuple[int, int, str]],
) -> tuple[Place, ...]:
    """Places of a parsed window that speak of another thing than its product, in characters; they may overlap.

    Args:
        brands: where other brands are named.
        products: where other products are named.
        itself: nouns that stand for the product itself, singular and in lower case.
        aspects: places that name an aspect.
    """
    heads = {root.i for place in (*brands, *products) if (root := _root(doc, place)) is not None}
    for place in (*brands, *products):
        name = _root(doc, place)
        if name is not None and name.dep_ in ("compound", "nmod") and name.head.pos_ in ("NOUN", "PROPN"):
            # "The Fender strap broke", but in a review of a battery "the X200 battery" is that one.
            heads.discard(name.i)
            if place in brands or singular(name.head.text) not in itself:
                heads.add(name.head.i)
    parts = {root.i for start, end, _ in aspects if (root := _root(doc, (start, end))) is not None}
    found: set[int] = set()
    for token in doc:
        if token.i in heads or (token.pos_ in ("NOUN", "PROPN", "NUM") and _is_another(token, itself, parts)):
            found.update(_theirs(token, itself))
    return tuple(_runs(doc, found))


def _root(doc: Doc, place: Place) -> Token | None:
    span = doc.char_span(*place, alignment_mode="expand")
    return span.root if span is not None and len(span) else None


def _is_another(noun: Token, itself: Collection[str], parts: Collection[int]) -> bool:
    """Whether a noun stands for a thing that is not the review's product."""
    lower = noun.lower_
    own = singular(noun.text) in itself
    kind = own or lower in _KINDS
    owners = [c for c in noun.children if c.dep_ == "poss"]
    before = {c.lower_ for c in noun.children if c.i < noun.i}
    if before & _FORMER:
        mine = any(c.lower_ in _OWNERS for c in owners) and noun.pos_ == "NOUN"
        has_parts = noun.dep_ == "poss" or (noun.dep_ == "pobj" and noun.head.lower_ == "of")
        return kind or (mine and (has_parts or (noun.i not in parts and noun.dep_ in (*_SUBJECT, "dobj"))))
    if noun.tag_ in ("NNS", "NNPS") and before & _MOST:
        return kind and not before & {"these", "those"}
    return own and any(singular(c.text) in _PEOPLE for c in owners)


def _theirs(other: Token, itself: Collection[str]) -> Iterator[int]:
    """Tokens that speak of the other thing."""
    whole = _whole(other)
    if whole != other and singular(whole.text) in itself:
        return  # in a review of a battery, "the battery of my X200" is that one
    yield from _noun_phrase(other, whole)
    verb = _verb_of(other, whole)
    if verb is None:
        return
    if other.dep_ == "dobj" and other.head == verb:
        if verb.lemma_ in _PARTS_WITH and not any(c.dep_ == "nsubj" and c.lower_ in _THIS for c in verb.children):
            for child in verb.children:
                if child.i > other.i and _is_reason(child):
                    yield from (t.i for t in child.subtree)
        elif verb.lemma_ in _HAS:
            for child in verb.children:
                if child.dep_ == "prep" and child.lower_ == "with" and child.i > other.i:
                    yield from (t.i for t in child.subtree)
        return
    if verb.lemma_ in _ABOUT_BOTH or (verb.dep_ in ("ccomp", "xcomp") and verb.head.lemma_ in _MADE_SO):
        return
    clause = list(_clause(verb))
    if _speaks_of_this(other, clause):
        return
    yield from (t.i for t in clause)


def _noun_phrase(other: Token, whole: Token) -> Iterator[int]:
    """The name, what describes it, and the thing whose possessor it is: "my X200's terrible screen"."""
    yield other.i
    for child in other.children:
        with_part = child.dep_ == "prep" and child.lower_ == "with" and other.dep_ in (*_SUBJECT, "dobj", "attr")
        if with_part or child.dep_ in ("amod", "compound", "relcl", "acl", "appos", "poss", "nummod"):
            yield from (t.i for t in child.subtree)
    if whole != other:
        yield from (t.i for t in whole.subtree)


def _whole(other: Token) -> Token:
    """The outermost noun whose possessor the other thing is: the strap of "the strap of my old bag"."""
    current = other
    for _ in range(_MAX_STEPS):
        head = current.head
        if current.dep_ == "poss":
            current = head
        elif current.dep_ == "pobj" and head.lower_ == "of" and head.dep_ == "prep" and head.head.pos_ == "NOUN":
            current = head.head
        else:
            break
    return current


def _verb_of(other: Token, whole: Token) -> Token | None:
    """The verb whose subject the other thing or its part is, or whose object the other thing is."""
    if whole.dep_ in _SUBJECT and whole.head.pos_ in ("VERB", "AUX"):
        return whole.head
    if other.dep_ == "dobj" and other.head.pos_ == "VERB":
        return other.head
    return None


def _clause(verb: Token) -> Iterator[Token]:
    """Tokens of a clause, without those that hang on it and have a subject of their own."""
    yield verb
    for child in verb.children:
        if child.dep_ in ("conj", "advcl", "parataxis", "ccomp") and any(
            c.dep_ in (*_SUBJECT, "expl") and c.lower_ not in ("which", "that", "who") for c in child.children
        ):
            continue
        if child.dep_ == "conj":
            yield from _clause(child)
        else:
            yield from child.subtree


def _speaks_of_this(other: Token, clause: Sequence[Token]) -> bool:
    """Whether a clause says what the other does with the review's product, or that it never was so good."""
    if any(t.lower_ == "never" for t in clause) and any(t.tag_ in ("JJR", "RBR") for t in clause):
        return True
    for token in clause:
        this = token.lower_ in _THIS or any(c.lower_ in _THIS for c in token.children if c.dep_ == "det")
        if this and token.dep_ == "pobj" and token.head.lower_ in _BESIDE:
            return True
    return any(t.dep_ == "conj" for t in other.children)


def _is_reason(child: Token) -> bool:
    """Whether what hangs on a verb says why: "returned it because of the screen", but not "because this is better"."""
    if child.lower_ in ("because", "for", "due", "over"):
        return True
    marked = any(c.lower_ in ("because", "since", "as") for c in child.children if c.dep_ == "mark")
    subjects = [c for c in child.children if c.dep_ in _SUBJECT]
    return child.dep_ == "advcl" and marked and not any(c.lower_ in ("this", "these") for c in subjects)


def _runs(doc: Doc, indices: Collection[int]) -> Iterator[Place]:
    """Places of runs of tokens that follow one another."""
    ordered = sorted(indices)
    for n, i in enumerate(ordered):
        if n == 0 or ordered[n - 1] != i - 1:
            start = doc[i].idx
        if n + 1 == len(ordered) or ordered[n + 1] != i + 1:
            yield start, doc[i].idx + len(doc[i])
