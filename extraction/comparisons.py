"""What a text says of its product beside another: ``BETTER_THAN``, ``WORSE_THAN``, ``COMPARED_WITH``.

"Better than my Fender", "not as loud as the X100", "the X100 is sturdier": a
comparative, a verb or a phrase relates the text's product to another product or
brand that the sentence names. Which of the two wins is read from the comparative
by the vocabulary's opinion words; where they do not tell ("longer than"), or
where both are alike, the two are merely compared. The aspect on which they are
compared ("the *sound* is warmer than …") is named by evidence of its own for the
same fact. What praises the other product is no praise of this one
(:attr:`Compared.foreign`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from extraction.mentions import Claim, Mention, Reason, word_set
from extraction.opinions import aspect_node
from extraction.polarity import is_hypothetical, negated_before, token_at
from kg.graph import Rejected
from kg.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

BETTER: Final = "BETTER_THAN"
WORSE: Final = "WORSE_THAN"
ALIKE: Final = "COMPARED_WITH"
_OPPOSITE: Final = {BETTER: WORSE, WORSE: BETTER, ALIKE: ALIKE}
TRUST: Final = 0.9
"""Factor on the confidence of a name, for the reading of the sentence."""

_WORDS: Final = r"(?:\s[\w'’-]+)"
_HIS: Final = r"(?:\s(?:the|my|our|your|his|her|a|an|any|some|most|all|other|old|previous|real|actual|original|new))*\s"
_THAN: Final = re.compile(rf"\bthan{_WORDS}{{0,6}}\s\Z", re.IGNORECASE)
_AS: Final = re.compile(rf"\bas\s(?P<word>[\w-]+){_WORDS}{{0,4}}?\sas{_WORDS}{{0,4}}\s\Z", re.IGNORECASE)
_NO_MEASURE: Final = word_set("well long soon far if though though such much many")
"""What stands between "as" and "as" and compares nothing: "as long as", "as well as"."""
_BEATS: Final = re.compile(
    r"\b(?:beats?|beat|outperforms?|outperformed|outclass(?:es)?|outlasts?|outlasted|surpass(?:es|ed)?|superior to|"
    r"(?:blows?|blew)(?: away)?|a cut above|far above|(?:upgrade|step up) (?:from|over)|"
    r"improvement (?:over|on|from)|"
    rf"(?:prefer|preferred|like|choose|chose|picked) (?:this|it|these|them|the){_WORDS}{{0,3}} (?:to|over)|"
    rf"switched{_WORDS}{{0,3}}? from|over){_HIS}\Z",
    re.IGNORECASE,
)
_LOSES: Final = re.compile(
    r"\b(?:inferior to|no match for|falls? short of|pales?(?: in comparison)? (?:to|beside|next to)|"
    r"(?:not a|no) (?:replacement|substitute) for|(?:downgrade|step down) from|(?:went|going|gone|go) back to|"
    r"returned to|switched(?: back)? to|prefer(?:red)?(?: to use)?|(?:stick|sticking|stuck) with|"
    r"(?:wish|should have) (?:\w+ ){0,3}(?:bought|got|gotten|gone with|chosen))"
    rf"{_HIS}\Z",
    re.IGNORECASE,
)
_LIKE: Final = re.compile(
    r"\b(?:similar to|comparable (?:to|with)|(?:the )?same as|identical to|on (?:a )?par with|rivals?|equal to|"
    r"equivalent (?:to|of)|(?:compared?|comparing|comparison) (?:it |this |them )?(?:to|with)|"
    r"compares (?:\w+ )?(?:to|with)|"
    r"versus|vs\.?|unlike|instead of|as opposed to|in place of|in lieu of|"
    r"(?:alternative|substitute) (?:to|for)|(?:copy|clone|knock-?off|imitation) of|"
    r"(?:stacks?|holds?) up (?:to|against|with)|different (?:from|than|to)|nothing like|much like|just like|"
    rf"reminds? me of|replaced?){_HIS}\Z",
    re.IGNORECASE,
)
# What belongs to the name itself ("the X200 strap still", "the X200 I had before"): no pronoun, no word that joins.
_ITS_OWN: Final = (
    r"(?:\s(?:(?:that|which)\s)?(?:I|we)\s(?:had|have|owned?|used?|bought|tried|got|replaced)"
    r"(?:\s(?:before|previously|earlier|first))?)?"
    r"(?:\s(?!(?:i|you|he|she|it|we|they|this|that|these|those|one|the|an?|my|your|our|his|her|its|their|some|any|no|"
    r"every|each|and|or|but|so|because|since|as|while|if|when|than|then|which|who|whom|whose|where|what|for|with|without|"
    r"from|to|at|on|in|by|after|before)\b)[\w'’-]+){0,3}?"
)
_VERB: Final = (
    r"\s(?:is|are|was|were|sounds?|looks?|feels?|felt|sounded|works?|worked|plays?|played|"
    r"performs?|fits?|lasts?|lasted|holds?|stays?|has|have|had|offers?|gives?|costs?|wins?)\b"
)
_PREDICATE: Final = re.compile(rf"(?:'s|’s)?{_ITS_OWN}{_VERB}", re.IGNORECASE)
_WINS: Final = re.compile(
    r"(?:\s(?:still|clearly|easily|simply|just|really|also))?\s(?:beats?|outperforms?|outclass(?:es)?|outlasts?|"
    r"blows?|wins?(?! an?\b))\b",
    re.IGNORECASE,
)
# "Compared to my X200 it is better": what follows is said of this one.
_FRONTED: Final = re.compile(
    r"(?:\A|,\s)\W*(?:(?:and|but|so|now)\s)?(?:"
    r"(?P<beside>(?:as\s|when\s)?compar(?:ed|ing)\s(?:(?:it|this|them)\s)?(?:to|with)|in\s(?:comparison|contrast)\s(?:to|with)|"
    rf"as\sopposed\sto|unlike|next\sto|besides?|against|versus|(?:coming|moving|switching|upgrading)(?:\s\w+)?\sfrom|"
    rf"(?:after|having){_WORDS}{{0,4}}?)|with|on|in|at|for|by|inside|using|other\sthan|rather\sthan|instead\sof)"
    rf"{_HIS}\Z",
    re.IGNORECASE,
)
_RELATIVE: Final = re.compile(r",?\s(?:which|that|who)\b[^,]*(?:,|\Z)", re.IGNORECASE)
# "I own the X200 and this is better", "… and find this one better".
_THIS_ONE: Final = re.compile(
    rf"\A(?:,?\s(?:(?:and|because|since|as)\s)?|{_WORDS}{{1,3}}\s(?:and|because|since|as)\s)"
    r"(?:(?:(?:i|we|he|she)\s)?(?:(?:\w+ly|do|would)\s)?(?:says?|said|thinks?|thought|finds?|found|feels?|considers?)\s"
    rf"(?:that\s)?)?(?:this|these)(?:\s(?:one|ones|{{noun}}))?(?=\s)".replace(
        "{noun}", r"[\w-]+(?=\s(?:is|are|was|feels?|has))"
    ),
    re.IGNORECASE,
)
_UNKNOWN: Final = re.compile(
    r"\bthan\s(?:my|the|our|an?|his|her)\s(?:(?:old|other|previous|last|former|original|first|current)\s)?"
    r"(?P<name>(?-i:[A-Z][\w-]*(?:\s[A-Z0-9][\w-]*)*))",
    re.IGNORECASE,
)
"""A name that the graph does not know, behind "than my"."""
_THAN_THIS: Final = re.compile(r"\bthan\s(?:this|these|it|them)\b", re.IGNORECASE)
_THAN_ANY: Final = re.compile(r"\bthan\b", re.IGNORECASE)
# "My old strap was better than the Birch" is not about the product of the review.
_ANOTHER: Final = re.compile(
    r"\b(?:(?:my|the|our|his|her)\s(?:old|other|previous|last|first|former|second|original|current)|nothing|none|"
    r"nobody|no one|no other|others?|everything|anything)\b",
    re.IGNORECASE,
)
_BREAK: Final = re.compile(
    r"[;:!?•|\n()]|\.(?=\s|\Z)|,\s(?:but|and|so|while|yet)\b|\b(?:but|however|although|though|whereas|while)\b",
    re.IGNORECASE,
)
_BETTER_WORDS: Final = word_set("better superior nicer finer greater")
_WORSE_WORDS: Final = word_set("worse inferior poorer lesser")
# Comparatives whose sense the words of opinion have not, or have for the plain form only.
_SIZES: Final = word_set(
    "longer shorter bigger smaller larger thicker thinner wider narrower higher lower deeper newer older taller"
)
"""Comparatives that are praise of one thing and blame of another."""
_MORE: Final = {
    "cheaper": ("price", True),
    "lighter": ("weight", True),
    "heavier": ("weight", False),
    "faster": ("speed", True),
    "slower": ("speed", False),
    "quieter": ("noise", True),
    "noisier": ("noise", False),
    "easier": ("ease of use", True),
    "harder": (None, False),
    "stronger": ("durability", True),
    "weaker": ("durability", False),
    "sturdier": ("durability", True),
    "flimsier": ("durability", False),
    "sharper": (None, True),
    "clearer": (None, True),
    "brighter": (None, True),
    "richer": (None, True),
    "smoother": (None, True),
    "softer": (None, True),
    "cleaner": (None, True),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """What one window compares its product with."""

    claims: tuple[Claim, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    foreign: tuple[tuple[int, int], ...] = ()
    """Places, in the window, that judge the other product: nothing there is said of this one."""


@dataclass(frozen=True, slots=True)
class _Degree:
    """A comparative: a better sound, cheaper, more comfortable, less noise."""

    token: Token
    """The word that compares: of "more comfortable" the second."""
    type: str
    aspect: str | None
    """What the word itself measures: the price where something is cheaper."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    type: str
    degree: _Degree | None = None
    foreign: tuple[int, int] | None = None


class ComparisonRules:
    """Reads comparisons with what else a text names. Built once; :meth:`find` is pure."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        aspects = {a.name for a in vocabulary.aspects}
        self._senses: dict[str, tuple[str | None, bool]] = {}
        for word in vocabulary.positive:
            self._senses[word] = (None, True)
        for word in vocabulary.negative:
            self._senses[word] = (None, False)
        for aspect in vocabulary.aspects:
            for good, forms in ((True, aspect.praise), (False, aspect.blame)):
                self._senses.update((form.casefold(), (aspect.name, good)) for form in forms if " " not in form)
        for word, (name, good) in _MORE.items():
            self._senses[word] = (name if name in aspects else None, good)
        self._senses.update((word, (None, True)) for word in _BETTER_WORDS)
        self._senses.update((word, (None, False)) for word in _WORSE_WORDS)

    def find(
        self,
        doc: Doc,
        offset: int,
        *,
        document: str,
        named: Sequence[Mention],
        itself: Sequence[tuple[int, int]],
        aspects: Sequence[tuple[int, int, str]],
    ) -> Compared:
        """Comparisons of one window.

        Args:
            offset: where ``doc`` begins in the document; claims carry offsets of the document.
            named: other products and brands, by offsets of the document.
            itself: places in ``doc.text`` that name the text's own product, or its brand.
            aspects: places in ``doc.text`` that name an aspect.
        """
        claims: list[Claim] = []
        rejected: list[Rejected] = []
        foreign: list[tuple[int, int]] = []
        places = [(m.start - offset, m.end - offset) for m in named]
        for mention, (start, end) in zip(named, places, strict=True):
            token = token_at(doc, start)
            if token is None:
                continue
            sentence = token.sent
            others = [p for p in places if p != (start, end)]
            verdict = self._verdict(doc, sentence, start, end, others, itself)
            if verdict is None:
                continue
            if verdict.foreign is not None:
                foreign.append(verdict.foreign)
            begin = sentence.start_char
            if is_hypothetical(sentence.text, start - begin, reach=120):
                detail = f"{verdict.type}: {doc.text[start:end]}"
                rejected.append(Rejected(Reason.HYPOTHETICAL, detail, document, start + offset, end + offset))
                continue
            about = tuple(
                Mention(aspect_node(name), s + offset, e + offset, round(mention.confidence * TRUST * 0.9, 4))
                for s, e, name in self._aspects(doc, sentence, start, verdict, aspects)
            )
            claims.append(
                Claim(
                    verdict.type,
                    mention.node,
                    mention.start,
                    mention.end,
                    round(mention.confidence * TRUST, 4),
                    about,
                )
            )
        for found in _UNKNOWN.finditer(doc.text):
            start, end = found.span("name")
            if any(s < end and start < e for s, e in (*places, *itself)):
                continue
            token = token_at(doc, found.start())
            degree = self._degree(doc, token.sent.start_char, found.start()) if token is not None else None
            if degree is not None:
                detail = f"{degree.type}: {found['name']}"[:200]
                rejected.append(Rejected(Reason.UNKNOWN, detail, document, start + offset, end + offset))
        return Compared(tuple(claims), tuple(rejected), tuple(foreign))

    def _verdict(
        self,
        doc: Doc,
        sentence: Span,
        start: int,
        end: int,
        others: Sequence[tuple[int, int]],
        itself: Sequence[tuple[int, int]],
    ) -> _Verdict | None:
        """How the text's product fares beside what is named at ``[start, end)``; ``None`` where it is not compared."""
        text = doc.text
        left, right = _clause(text, sentence.start_char, sentence.end_char, start, end)
        ahead = text[left:start]
        fronted = _FRONTED.search(ahead)
        if fronted is None and (_PREDICATE.match(text, end, right) or _WINS.match(text, end, right)):
            return self._of_subject(doc, start, end, right, others, itself)
        if any(left <= s < start for s, _ in others):
            # "The Gibson is better than the Fender": the text's product is neither.
            return None
        if not any(end <= s < right for s, _ in others):
            if fronted is not None and fronted["beside"]:
                told = self._told_apart(doc, start, end, right)
                if told is not None:
                    return told
            this = _THIS_ONE.match(text[end:right])
            if this is not None and not _THAN_ANY.search(text, end, right):
                told = self._of_this(doc, end + this.end(), right)
                if told is not None:
                    return told
        return self._than(doc, left, start) or self._as(doc, ahead, left) or self._phrase(doc, ahead, left)

    def _told_apart(self, doc: Doc, start: int, end: int, right: int) -> _Verdict | None:
        """ "Compared to the X200 the sound is better": what is said of the text's product behind the other's name."""
        relative = _RELATIVE.match(doc.text, end, right)
        begin = relative.end() if relative else end
        foreign = (start, begin) if relative else None
        told = None if _THAN_ANY.search(doc.text, begin, right) else self._of_this(doc, begin, right)
        if told is None:
            return _Verdict(ALIKE, foreign=foreign) if foreign else None
        return _Verdict(told.type, told.degree, foreign)

    def _of_this(self, doc: Doc, begin: int, right: int) -> _Verdict | None:
        """What a comparative in ``[begin, right)`` says of the text's product beside what was named before."""
        degree = self._degree(doc, begin, right)
        if degree is None or _ANOTHER.search(doc.text, begin, degree.token.idx):
            return None
        denied = negated_before(doc, degree.token.i, is_verb=True)
        return _Verdict(ALIKE if denied else degree.type, degree)

    def _than(self, doc: Doc, left: int, start: int) -> _Verdict | None:
        """ "Much better than my …"."""
        found = _THAN.search(doc.text, left, start)
        if found is None:
            return None
        degree = self._degree(doc, left, found.start())
        if degree is None or _ANOTHER.search(doc.text, left, degree.token.idx):
            return None
        denied = negated_before(doc, degree.token.i, is_verb=True)
        return _Verdict(ALIKE if denied else degree.type, degree)

    def _as(self, doc: Doc, ahead: str, left: int) -> _Verdict | None:
        """ "As good as the …", "not as loud as my …"."""
        found = _AS.search(ahead)
        if found is None or found["word"].casefold() in _NO_MEASURE or _ANOTHER.search(ahead, 0, found.start()):
            return None
        token = token_at(doc, left + found.start("word"))
        if token is None or not negated_before(doc, token.i):
            return _Verdict(ALIKE)
        sense = self._sense(token)
        if sense is None:
            return _Verdict(ALIKE)
        # "Not as good" is worse, "not as heavy" better.
        return _Verdict(WORSE if sense[1] else BETTER, _Degree(token, ALIKE, sense[0]))

    def _phrase(self, doc: Doc, ahead: str, left: int) -> _Verdict | None:
        """ "Beats my …", "inferior to the …", "similar to the …"."""
        for pattern, type_ in ((_LOSES, WORSE), (_BEATS, BETTER), (_LIKE, ALIKE)):
            found = pattern.search(ahead)
            if found is None or (type_ is not ALIKE and _ANOTHER.search(ahead, 0, found.start())):
                continue
            if found.group().casefold().startswith("over") and not re.search(
                r"\b(?:prefer|choose|chose|pick|advantage|improvement)", ahead, re.IGNORECASE
            ):
                continue  # "it goes over the X100"
            token = token_at(doc, left + found.start())
            if token is not None and type_ is not ALIKE and negated_before(doc, token.i, is_verb=True):
                # "Does not beat my Fender", "not inferior to it".
                return _Verdict(WORSE if type_ == BETTER else ALIKE)
            return _Verdict(type_)
        return None

    def _of_subject(
        self,
        doc: Doc,
        start: int,
        end: int,
        right: int,
        others: Sequence[tuple[int, int]],
        itself: Sequence[tuple[int, int]],
    ) -> _Verdict | None:
        """ "The X100 is sturdier", "my Fender sounds better than this": what is said of the other."""
        text = doc.text
        than = _THAN_ANY.search(text, end, right)
        this = than is not None and (
            _THAN_THIS.match(text, than.start()) is not None
            or any(than.end() <= s <= than.end() + 30 for s, _ in itself)
        )
        if than is not None and not this:
            return None
        if any(end <= s < right for s, _ in others):
            return None
        if _WINS.match(text, end, right):
            return _Verdict(WORSE, foreign=(start, right))
        degree = self._degree(doc, end, than.start() if than else right)
        if degree is None:
            return None
        if negated_before(doc, degree.token.i, is_verb=True):
            return _Verdict(ALIKE, degree, foreign=(start, right))
        return _Verdict(_OPPOSITE[degree.type], degree, foreign=(start, right))

    def _degree(self, doc: Doc, left: int, right: int) -> _Degree | None:
        """The last comparative that stands in ``[left, right)``."""
        span = doc.char_span(left, right, alignment_mode="contract")
        for token in reversed(list(span or ())):
            if token.lower_ in ("more", "less", "fewer"):
                after = doc[token.i + 1] if token.i + 1 < len(doc) else None
                if after is None or after.idx >= right or after.pos_ not in ("ADJ", "ADV"):
                    return _Degree(token, ALIKE, None)
                sense = self._sense(after)
                if sense is None:
                    return _Degree(after, ALIKE, None)
                return _Degree(after, BETTER if sense[1] == (token.lower_ == "more") else WORSE, sense[0])
            if token.tag_ in ("JJR", "RBR") or token.lower_ in _BETTER_WORDS | _WORSE_WORDS:
                sense = self._sense(token)
                if sense is None:
                    return _Degree(token, ALIKE, None)
                return _Degree(token, BETTER if sense[1] else WORSE, sense[0])
        return None

    def _sense(self, token: Token) -> tuple[str | None, bool] | None:
        """What a word says of an aspect, and whether that is praise; ``None`` where the vocabulary does not know."""
        if token.lower_ in _SIZES:
            return None
        for form in (token.lower_, token.lemma_.casefold()):
            if form in self._senses:
                return self._senses[form]
        return None

    @staticmethod
    def _aspects(
        doc: Doc, sentence: Span, start: int, verdict: _Verdict, aspects: Sequence[tuple[int, int, str]]
    ) -> Iterator[tuple[int, int, str]]:
        """What the two are compared by: the aspect that the clause names, or what the comparative itself measures."""
        left, right = _clause(doc.text, sentence.start_char, sentence.end_char, start, start)
        named = [a for a in aspects if left <= a[0] and a[1] <= right]
        if named:
            yield min(named, key=lambda a: abs(a[0] - (verdict.degree.token.idx if verdict.degree else start)))
        elif verdict.degree is not None and verdict.degree.aspect is not None:
            token = verdict.degree.token
            yield token.idx, token.idx + len(token), verdict.degree.aspect


def _clause(text: str, begin: int, stop: int, start: int, end: int) -> tuple[int, int]:
    """The clause around a place of a sentence: from the last break before it to the first one behind it."""
    left = max((m.end() for m in _BREAK.finditer(text, begin, start)), default=begin)
    found = _BREAK.search(text, end, stop)
    return left, found.start() if found else stop
