"""What turns a statement round: negation, hypothesis, alternatives. Shared by the rules of all kinds.

Works on a window of tokens, not on the parse: titles and lists have no parse
worth the name, and a denial that is missed becomes a false fact.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

NEGATORS: Final = frozenset(
    {
        *("no", "not", "n't", "n’t", "nt", "never", "without", "w/o", "neither", "nor", "none", "cannot", "cant"),
        *("dont", "doesnt", "isnt", "wont", "didnt", "lacks", "lack", "lacking", "excludes", "excluding", "except"),
        *("minus", "incompatible", "hardly"),
    }
)
"""Words, lower case as spaCy cuts them, that deny what follows."""
_REACH: Final = 6
"""How many words a negator reaches over: "does not come with a spare battery" has five between."""
_FAR: Final = 9
"""How many words the denial of a verb reaches over: "do not expect this light summer bag to be waterproof"."""
_OF_VERBS: Final = frozenset({"not", "n't", "n’t", "never", "cannot"})
_BARRIERS: Final = frozenset({",", ";", ":", "but", "however", "although", "though", "while", "(", ")", "|", "•", "."})
_AFTER: Final = re.compile(
    r"[\s-]{0,2}(?:(?:\w+\s){0,2}(?:is|are|was|were|has been|have been)\s)?"
    r"(?:not (?:included|supplied|provided|required|needed|compatible|supported|used)|sold separately|"
    r"free\b(?! of| shipping))"
    r"|\s(?:is|are|was|were|has|have)(?:n['’]t|\s(?:not|never))\s(?:been\s)?(?:used|included|supplied|provided)"
    r"|\s(?:\w+\s){1,2}(?:sold separately|not included)"
    # "Waterproof: no", "Wireless (no)", "waterproof it is not".
    r"|\s?(?:[:=(–-]\s?)(?:no|not|none|n/?a|false)(?=\s*(?:[.,;|•)\n]|\Z))"
    r"|\s(?:it|they|this)\s(?:is|are)(?:n['’]t|\snot)\b",
    re.IGNORECASE,
)
_TWO_WORDS: Final = frozenset(
    {
        *(("anything", "but"), ("far", "from"), ("free", "of"), ("free", "from"), ("instead", "of")),
        *(("rather", "than"), ("alternative", "to"), ("alternatives", "to"), ("substitute", "for")),
    }
)
"""Denials whose words deny nothing alone: "anything but waterproof"."""
_NEAR: Final = 3
"""How many words such a denial reaches over: "instead of leather we use cotton" denies no cotton."""
_DENYING: Final = frozenset({"nobody", "eliminate", "eliminates", "eliminating", "avoid", "avoids", "avoiding"})
"""Words that deny what stands behind them; they turn no judgement round, as :data:`NEGATORS` do."""
_DENYING_NEXT: Final = frozenset({"zero", "unlike"})
"""The same, no further than :data:`_NEAR`."""
_LIST: Final = 10
"""Tokens of the longest list whose last member "or" or "nor" joins: "no leather, wool, raw silk or fur"."""
_FINITE: Final = frozenset({"VB", "VBD", "VBP", "VBZ", "MD"})
"""Tags of verbs with a subject of their own, which no list of things has."""
_MEMBER: Final = 3
"""Words of the longest member of such a list."""
_WRAPPED: Final = 50
"""Least length of a line that may have been broken for want of room: the next one then goes on with a small letter."""
_PARENTHESIS: Final = 10
"""Tokens of the longest remark between a negator and what it denies: "is not, as many believe, waterproof"."""
_DENIES: Final = re.compile(
    r"(?<![\w-])(?:no|not|none|never|without|neither|nor|nil|n/a|lacks|\w+n['’]t)(?![\w-])(?!\.?\s?\d)", re.IGNORECASE
)
_QUESTION: Final = re.compile(r"(?:[^.!?\n]|\.(?=\w))*\?+[\s\"”'’)]*(?P<answer>\w+)?")
_YES: Final = frozenset({"yes", "yep", "yeah", "sure", "absolutely", "definitely", "certainly", "indeed"})
_ALTERNATIVES: Final = re.compile(
    r"\b(?:(?:also )?available in|also in|(?:also )?comes? in|choose (?:from|between)|choice of|offered in|"
    r"variety of colou?rs|other colou?rs|assorted|options? (?:include|are)|in colou?rs)\b[^.;!?\n]*$",
    re.IGNORECASE,
)
_BEHIND: Final = 30
"""Characters that what is behind a word may take to say that it is no doubt: "may be used with"."""
_NO_TROUBLE: Final = frozenset({"doubt", "problem", "problems", "trouble", "issue", "issues", "question"})
"""What is denied where nothing else is: "no doubt it fits", "had no problem fitting it"."""
_SAME_CLAUSE: Final = re.compile(
    r"(?:(?!\b(?:but|although|though|however|yet|and (?:it|this|that|they|these))\b)[^,;:.!?\n])*", re.IGNORECASE
)
_DOUBT: Final = re.compile(
    r"\b(?:might|"
    r"(?<!\byou )(?<!\bin )(?<!\blast )(?<!\bsince )may(?! (?:also )?be (?:used|attached|mounted|combined)\b)|"
    r"(?<!\bno )(?<!\ba )(?<!\bwithout )(?<!n['’]t )(?<!\bnot )doubt(?:s|ed|ful|ing)?|"
    r"(?:supposed|alleged|presumab|purported|reported|possib)ly|perhaps|maybe|(?:advertised|listed|marketed) as|"
    r"(?:claimed|said) to|(?:tried|trying|attempted) to)\b,?",
    re.IGNORECASE,
)
"""Doubt and hearsay, which reach to the end of their clause."""
_ASKED: Final = re.compile(
    r"(?:\A|[.!?;:,\n]|\b(?:but|and)\b)[\W_]*(?:(?:so|and|but|please|hi|hello) )?(?:"
    r"(?:(?:does|did|will|would|can|could|has|is|are|was|were)(?:n['’]t)? "
    r"(?:it|this|that|these|those|they|there|any(?:one|body)|some(?:one|body)|i|we|you)|"
    r"(?:does|did|will|would|can|could)(?:n['’]t)? (?:the|my|your|our|his|her|an?)|"
    r"(?:do|have)(?:n['’]t)? (?:these|those|they|you|i|we|any(?:one|body)))"
    # "Did it on my X100": who leaves out "I" asks nothing.
    r" (?!(?:with|on|in|to|for|at|from|and|or|not)\b))",
    re.IGNORECASE,
)
"""A question that has lost its mark: an auxiliary before its subject opens the clause."""
_NOT: Final = r"(?:\b(?:can)?not|\b(?:is|are|was|were|do|does|did|has|have|ca|could|wo|would|should)n['’]?t)\b"
_DENIAL: Final = re.compile(rf"{_NOT}|\b(?:no|non|nor|neither|never|without|except|excluding)\b", re.IGNORECASE)
_RIGHT_BEFORE: Final = re.compile(rf"{_NOT}\s(?:\w+ly\s)?(?:(?:be|cost|weigh)\s)?\Z", re.IGNORECASE)
_DENYING_QUESTION: Final = re.compile(
    r"(?:(?:\A|[.!?;:,\n])[\W_]*(?:(?:so|and|but|please|hi|hello|why) )*|\b(?:and|but) )"
    r"(?:(?:is|are|was|were|do|does|did|has|have|ca|could|wo|would|should)n['’]?t|"
    r"(?:is|are|was|were|do|does|did|has|have|can|could|will|would|should)\s+"
    # "Is there one that is not black" asks for another one.
    r"(?:(?!(?:there|you|that (?:is|are|does|do|has)|which|who|any\w*|something|but|and|(?<!this )(?<!that )ones?)\b)"
    r"[^\s.!?;:,]+\s+){0,6}not|(?:is|are) there no)\Z",
    re.IGNORECASE,
)
"""Ends at the "not" of a question that asks what it would ask without: "isn't it", "is the strap not"."""
_HYPOTHESIS: Final = re.compile(
    r"\b(?:if|whether|wish(?:ed)?|hop(?:e|ed|ing)|would(?:n't| not)? have|would|could have|should have|thought|"
    r"supposed to|expect(?:ed)?|unless|wonder(?:ed|ing)?|wanted|was looking for|assumed|claims? to|in case|"
    r"worried|afraid|feared|supposedly|allegedly|so-called)\b",
    re.IGNORECASE,
)


def is_negated(doc: Doc, text: str, start: int, end: int) -> bool:
    """Whether the text denies what stands at ``[start, end)``.

    Args:
        text: ``doc.text``, which spaCy would put together anew at each call.
    """
    if _AFTER.match(text, end):
        return True
    token = token_at(doc, start)
    return token is not None and negated_before(doc, token.i)


def excludes(text: str, start: int) -> bool:
    """Whether a question that denies what stands at ``start`` asks for what is without it.

    "Isn't it black" and "is it not black" want to know whether it is black.

    >>> [excludes(q, q.index("black")) for q in ("Which are not black?", "One without black?", "Isn't it black?")]
    [True, True, False]
    """
    denials = list(_DENIAL.finditer(text, 0, start))
    return not denials or _DENYING_QUESTION.search(text, 0, denials[-1].end()) is None


def denied_right_before(text: str, start: int) -> bool:
    """Whether a question asks for what does not do what stands at ``start``: "which do not fit", "aren't cheap"."""
    return _RIGHT_BEFORE.search(text, 0, start) is not None and excludes(text, start)


def negated_before(doc: Doc, index: int, reach: int = _REACH, *, is_verb: bool = False) -> bool:
    """Whether a negator governs the token at ``index`` from its left, within its clause.

    Args:
        is_verb: whether a predicate stands there: "needs no battery and pairs with the X100" denies the battery alone.
    """
    seen = 0
    for i in range(index - 1, -1, -1):
        if doc[i + 1].is_sent_start:
            return False
        token = doc[i]
        lower = token.lower_
        if (is_verb and lower == "and") or (token.is_space and ends_line(doc, i)):
            return False
        if lower in _DENYING and seen < reach:
            return True
        if seen < _NEAR and (lower in _DENYING_NEXT or (i and (doc[i - 1].lower_, lower) in _TWO_WORDS)):
            return True
        if lower == "," and _closes_remark(doc, i):
            return True
        if lower in NEGATORS and (seen < reach or lower in _OF_VERBS):
            if lower in ("no", "without") and doc[i + 1].lower_ in _NO_TROUBLE:
                return False
            # "not only X but also Y" asserts X.
            return not (lower == "not" and doc[i + 1].lower_ in ("only", "just", "merely"))
        if lower == "non" and index - i <= 2:
            return True  # "non-slip rubber" is rubber
        # "Do not use while swimming" denies the swimming.
        passes = _joins(doc, i) if lower == "," else lower == "while" and doc[i + 1].lower_.endswith("ing")
        if lower in _BARRIERS and not passes:
            return False
        seen += not token.is_punct
        if seen >= max(reach, _FAR):
            return False
    return False


def _joins(doc: Doc, comma: int) -> bool:
    """Whether a comma stands in a list whose members "or" joins: what denies the first one denies them all."""
    words = 0
    for token in doc[comma + 1 : comma + 1 + _LIST]:
        if token.is_sent_start or token.tag_ in _FINITE:
            return False
        if token.lower_ in ("or", "nor"):
            return True
        if token.lower_ == ",":
            words = 0
        elif token.lower_ in _BARRIERS or (words := words + 1) > _MEMBER:
            return False
    return False


def ends_line(doc: Doc, index: int) -> bool:
    """Whether the blank token at ``index`` ends a statement: a line break does, unless it only wraps a long line."""
    if "\n" not in doc[index].text:
        return False
    if index + 1 == len(doc) or not doc[index + 1].text[:1].islower():
        return True
    first = index
    while first and "\n" not in doc[first - 1].text:
        first -= 1
    return doc[index].idx - doc[first].idx < _WRAPPED


def _closes_remark(doc: Doc, comma: int) -> bool:
    """Whether a comma closes a remark right behind a negator: "not, as many believe, waterproof"."""
    for i in range(comma - 1, max(1, comma - _PARENTHESIS), -1):
        if doc[i].is_sent_start:
            return False
        if doc[i].lower_ == ",":
            # "Believe it or not, it is light, waterproof and black" denies nothing.
            return doc[i - 1].lower_ in ("not", "n't", "n’t", "never") and doc[max(0, i - 2)].lower_ != "or"
    return False


def denial(value: str) -> int | None:
    """Where a value, as it stands in a text, says what it is not: 0 for "no leather"; ``None`` where it does not."""
    found = _DENIES.search(value)
    return found.start() if found else None


def is_asked(text: str, end: int) -> bool:
    """Whether what ends at ``end`` belongs to a question to which the text does not answer "yes"."""
    question = _QUESTION.match(text, end)
    return question is not None and (question["answer"] or "").casefold() not in _YES


def offers_versions(text: str, start: int) -> bool:
    """Whether what stands at ``start`` belongs to a list of what is to be had ("available in red and blue")."""
    return bool(_ALTERNATIVES.search(text, max(0, start - 120), start))


def is_hypothetical(sentence: str, start: int, *, reach: int = 60) -> bool:
    """Whether a sentence only asks, wishes or supposes what it says at ``start``, by ``reach`` characters before it."""
    begin = max(0, start - reach, *(sentence.rfind(mark, 0, start) for mark in ";:"))
    return (
        sentence.rstrip().endswith("?")
        or _HYPOTHESIS.search(sentence, begin, start) is not None
        or any(
            found.end() <= start and _SAME_CLAUSE.fullmatch(sentence, found.end(), start) is not None
            for doubt in (_DOUBT, _ASKED)
            for found in doubt.finditer(sentence, begin, start + _BEHIND)
        )
    )


def token_at(doc: Doc, start: int) -> Token | None:
    """The token that covers the character at ``start``."""
    span = doc.char_span(start, start + 1, alignment_mode="expand")
    return span[0] if span is not None and len(span) else None
