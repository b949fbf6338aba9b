"""What a text says its product goes with, and does not: ``COMPATIBLE_WITH``, ``ACCESSORY_OF``, ``DOES_NOT_FIT``.

A cue ("fits", "compatible with", "designed for", "battery for") opens a scope
that reaches to the next clause; every product, brand or category named in the
scope is a target. A product that a description names with no cue at all ("it
clamps to the rail of the X100") is a question for the encoder. A denied cue
("does not fit"), an excepted target ("but not the X200", "all apart from the
X200") and one that is denied behind its name ("the X200 is not supported") are
rejected as relations and asserted as ``DOES_NOT_FIT``: who asks whether it fits
wants to be told. A mere question or hope is rejected and asserts nothing, and
so is what the target is only told apart from ("rather than the X200").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from extraction.mentions import Claim, Found, Mention, Question, Reason, words
from extraction.ner import BrandFinder
from extraction.normalise import singular
from extraction.polarity import is_hypothetical, negated_before, token_at
from extraction.products import CategoryFinder, NameKind, ProductFinder, is_accessory
from kg.graph import Node, Rejected

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

MAX_VARIANTS: Final = 4
"""A name that fits more products than this tells nothing."""
STAND_IN: Final = "X100"
"""What stands for the target in a question to the encoder, so that it hears the sentence and not the name."""

_FILL = r"(?:\s\w+){0,3}?\s"
_WORKS_WITH: Final = (
    rf"(?:compatible|compatibility)(?:\s\w+){{0,2}}\swith|incompatible\swith|work(?:s|ed|ing)?{_FILL}with|"
    rf"pair(?:s|ed)?{_FILL}with|pairs\swith|goes{_FILL}with|interchangeable\swith|connects?{_FILL}to|supports?|"
    rf"use(?:d|s)?\s(?:it\s|this\s|them\s)?(?:with|on|in)|suitable\s(?:for|with)|suits|"
    rf"tested\s(?:with|on)|plays?\swell\swith"
)
# Whatever is said to be this is an accessory, whatever it is called.
_BELONGS: Final = (
    rf"(?:designed|made|built|tailored|shaped|cut|engineered|moulded|molded|milled|machined|intended)"
    rf"{_FILL}?(?:for|to\sfit)|"
    rf"(?:replacement|spare|extra)s?{_FILL}?for|replaces|accessory\s(?:for|to)|add-on\sfor|belongs\sto|"
    rf"attaches{_FILL}?to|mounts{_FILL}?(?:on|onto|to)|"
    rf"(?:screws|clips|snaps|slides|pushes|threads)\s(?:on|onto|into|to)"
)
_FITS: Final = (
    r"(?:fits?|fitted|fitting)(?:\s(?:on|onto|over|into|inside))?|goes\s(?:on|into|onto|round|around|over)|"
    r"for\suse\s(?:with|on|in)|^for|(?:perfect|ideal|great|right|meant|best)\s(?:for|with|on)"
)
_BARRED: Final = re.compile(r"\b(?:but not|not|nor|neither)\b(?!\sonly)|\bno\s\Z", re.IGNORECASE)
# "All but the X100", "everything except the X100": what is named is the only one of which the contrary is said.
_EXCEPTION: Final = re.compile(
    r"\b(?:except(?: for| with)?|excepting|excluding|other than|(?:apart|aside) from|with the exception of|"
    r"(?:save|barring|bar)(?= (?:for |only )?(?:the|your|my|an?)\b)(?: for)?|"
    r"(?:everything|anything|nothing|none|everyone|everybody) but(?! not\b)|"
    # "All cameras but the X100", and not "all cameras, but the X100 needs an adapter".
    r"(?:all|any|every|each|no)(?: [\w-]+){1,4} but(?! not\b)"
    r"(?= (?:(?:the|your|my) )?[\w-]+(?: [\w-]+)?\s*(?:[.,;:!?)\n]|\Z)))\b",
    re.IGNORECASE,
)
# "Fits no camera but the X100": of what is denied of all others it is the exception.
_NONE: Final = re.compile(r"\b(?:no|nothing|none)\b", re.IGNORECASE)
# Behind one of these a new statement begins.
_SCOPE_ENDS: Final = re.compile(
    r"[;!?•|\n]|\.(?=\s|$)|\b(?:but(?!\s(?:not|also))|however|although|though|while|which|because|since|"
    r"thanks|so that|(?<!also\s)with|plus|comes|includes|including|featuring|features|without)\b",
    re.IGNORECASE,
)
# What may stand between a cue and an ordinary word that is its target: "fits most standard acoustic guitars".
_CLOSE: Final = re.compile(
    r"[\s:-]*(?:(?:the|a|an|your|my|all|any|most|every|other|standard|both|many)\s){0,3}", re.IGNORECASE
)
_DETERMINER: Final = re.compile(r"\b(?:a|an|any|every|all|most|your|my|the)\s(?:\w+\s)?$", re.IGNORECASE)
_NEGATIVE_CUE: Final = "incompatible"
# Other ways to say that two things do not go together; they deny every target of their clause.
_MISFIT: Final = re.compile(
    r"\btoo (?:\w+ ){1,3}(?:for|to)\b|"
    r"\b(?:pointless|useless|no use|no good|no help|wrong|wasted|nothing) (?:\w+ )?(?:with|for|on|to|in)\b|"
    r"\b(?:refuses?|fails?|unable) to\b|\bhas no (?:use|need|place|room)\b|\bdo(?:es)? without\b",
    re.IGNORECASE,
)
# A product is compared with another, or told apart from it: nothing is said of their going together.
_CONTRAST: Final = re.compile(
    r"\bthan\b|\b(?:unlike|instead of|in (?:place|lieu) of|as opposed to|compared (?:with|to)|"
    r"versus|vs|same as|as \w+ as|alternative to|"
    r"(?:sister|brother|sibling|cousin|successor|predecessor|version|rival|heir|copy) (?:of|to)|lacks?|"
    r"half the|twice the|similar to|upgrade (?:from|to)|step up from|formerly|replaced)\b",
    re.IGNORECASE,
)
# Behind a cue few of these remain: "compatible with any version of the X100" tells nothing apart.
_RATHER: Final = re.compile(
    r"\b(?:(?<!more )(?<!other )(?<!less )than|unlike|instead of|in (?:place|lieu) of|as opposed to|"
    r"in contrast (?:to|with)|compared (?:to|with)|versus|vs)\b|\b(?:more|less) than\s(?:the|my|your|an?)\b",
    re.IGNORECASE,
)
# Ways to deny what follows that hold no word of denial, or hold it as their subject.
_DENIED_BEFORE: Final = re.compile(
    r"\b(?:far from|anything but|(?:stop(?:s|ped)?|ceas(?:e[sd]?|ing)|quit)|(?:it|this|that|these|they|which) used to|"
    r"(?:nobody|no one)(?: \w+){0,3}?(?: (?:has|have|had|could|can|will|would|ever|got|gets?|made|makes?)){0,3}"
    r"(?: (?:it|this|them|one|mine))?)(?:\s(?:to|be|being|been|fully|properly|\w+ly)){0,3}\s*\Z",
    re.IGNORECASE,
)
# "Nothing fits the X100 like this": said of all other things.
_NOTHING: Final = re.compile(r"\bnothing(?: \w+){0,3}\s*\Z", re.IGNORECASE)
_VERB: Final = r"(?:support|work|fit|match|connect|pair|function|compatible|suitable|covered|includ|among)\w*"
_DENIED_BEHIND: Final = re.compile(
    r"(?:\s(?!and\b|or\b|which\b|that\b)[\w-]+){0,2}?\s(?:"
    rf"(?:(?:is|are|was|were|has|have)\s)?(?:not|never|no longer)\s(?:\w+\s){{0,2}}?{_VERB}|"
    r"(?:(?:is|are)\s)?(?:unsupported|incompatible|excluded|excepted)\b|"
    rf"(?:isn|aren|wasn|weren|won|doesn|don|didn|can|couldn|hasn|haven)['’]?t\s(?:\w+\s){{0,2}}?{_VERB}|"
    rf"(?:do|does|did|will|would|can|could)\s?not\s(?:\w+\s){{0,2}}?{_VERB}|"
    r"(?:isn|aren|won|doesn|don|didn|can)['’]?t(?=\s*(?:[.,;:!?)\n]|\Z)))",
    re.IGNORECASE,
)
# "Works with the X200, and the X100 is a bargain": what a verb follows is spoken of anew.
_SUBJECT: Final = re.compile(
    r"\s(?:is|are|was|were|has|have|had|does|do|did|will|would|can|could|needs?|costs?)(?:n['’]t)?\b", re.IGNORECASE
)
_JOINED: Final = re.compile(r"\s*(?:and|or|nor|and/or|&|/)\s*(?:the|your|my|an?)?\s*", re.IGNORECASE)
_LISTED: Final = re.compile(r"\s*,?\s*(?:and|or|nor|and/or|&|/|,)\s*(?:the|your|my|an?)?\s*", re.IGNORECASE)
_CLAUSE: Final = re.compile(
    r"[;:!?•|\n]|\.(?=\s|$)|,\s(?:but|and|while|so)\b|\b(?:but|while|whereas|although|though)\b"
)


@dataclass(frozen=True, slots=True)
class _Target:
    """Something named in a sentence."""

    start: int
    end: int
    nodes: tuple[Node, ...]
    confidence: float
    ambiguous: bool = False
    itself: bool = False
    close: bool = False
    """Whether it counts only right behind the cue, because it is an ordinary word as well."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a sentence says of a target, before it is weighed."""

    kind: str
    target: _Target
    reason: Reason | None
    denies: bool
    """Whether it states that the two do not go together."""


class RelationRules:
    """Reads relations between the text's product and what else it names. Built once; its methods are pure."""

    def __init__(
        self,
        accessories: frozenset[str],
        brands: BrandFinder,
        products: ProductFinder,
        categories: CategoryFinder,
    ) -> None:
        self._accessories = accessories
        self._brands = brands
        self._products = products
        self._categories = categories
        noun = "|".join(re.escape(a) + "s?" for a in sorted(accessories, key=len, reverse=True))
        self._cue = re.compile(
            rf"\b(?:(?P<belongs>{_BELONGS}|(?:{noun})\sfor)|(?P<fits>{_FITS})|(?P<works>{_WORKS_WITH}))\b",
            re.IGNORECASE,
        )

    def find(
        self, doc: Doc, offset: int, *, document: str, sku: str, title: str, trust: float, questions: bool
    ) -> Found:
        """Relations that one window of a text states.

        Args:
            offset: where ``doc`` begins in the document.
            title: title of the product that the text is about, if known: tells whether it is an accessory.
            trust: factor on every confidence; reviewers err more often than descriptions.
            questions: whether to ask about products that are named without a cue; a reviewer names many.
        """
        claims: list[Claim] = []
        rejected: list[Rejected] = []
        asked: list[Question] = []
        for sentence in sentences(doc):
            text, begin = sentence.text, sentence.start_char
            targets = self._targets(text, sku)
            if not targets:
                continue
            settled: set[int] = set()
            for said in self._by_cue(doc, text, begin, targets, title):
                settled.add(said.target.start)
                _sort(said, text, begin + offset, document, trust, claims, rejected)
            if not questions:
                continue
            for target in targets:
                if target.start not in settled and target.nodes and target.nodes[0].label == "Product":
                    guess = self._uncued(doc, text, begin, target, targets, title)
                    if guess is not None and guess.reason:
                        _sort(guess, text, begin + offset, document, trust, claims, rejected)
                    elif guess is not None:
                        asked.append(_question(guess, text, begin + offset, trust))
        return Found(tuple(claims), tuple(rejected), tuple(asked))

    def _by_cue(self, doc: Doc, text: str, begin: int, targets: Sequence[_Target], title: str) -> Iterator[_Said]:
        cues = list(self._cue.finditer(text))
        exceptions = list(_EXCEPTION.finditer(text))
        behind = _denied_behind(text, targets)
        for i, cue in enumerate(cues):
            limit = min(_scope_end(text, cue.end(), exceptions), cue.end() + 160)
            if i + 1 < len(cues):
                limit = min(limit, cues[i + 1].start())
            anchor = token_at(doc, begin + cue.start())
            denied = (
                cue.group().casefold().startswith(_NEGATIVE_CUE)
                or (anchor is not None and negated_before(doc, anchor.i, is_verb=True))
                or _DENIED_BEFORE.search(text, max(0, cue.start() - 60), cue.start()) is not None
            )
            others = _NOTHING.search(text, max(0, cue.start() - 40), cue.start()) is not None
            doubtful = is_hypothetical(text, cue.start())
            kind = self._kind(title, belongs=cue["belongs"] is not None, fits=cue["fits"] is not None)
            first = True
            for target in targets:
                if not cue.end() <= target.start < limit:
                    continue
                if target.close and not _CLOSE.fullmatch(text, cue.end(), target.start):
                    continue
                if not first and target.start not in behind and _SUBJECT.match(text, target.end):
                    continue
                first = False
                if others or _RATHER.search(text, cue.end(), target.start):
                    yield _Said(kind, target, Reason.COMPARED, denies=False)
                    continue
                barred = _BARRED.search(text, cue.end(), target.start) is not None
                misfit = _MISFIT.search(text, max(0, cue.start() - 40), target.start) is not None
                no = denied or misfit
                excepted = next((e for e in exceptions if cue.end() <= e.start() and e.end() <= target.start), None)
                if excepted is not None:
                    # The contrary of what is said of all others, be that yes or no.
                    no = not (no or _NONE.search(text, cue.end(), excepted.end()))
                yield _said(kind, target, no or barred or target.start in behind, doubtful)

    def _uncued(
        self, doc: Doc, text: str, begin: int, target: _Target, targets: Sequence[_Target], title: str
    ) -> _Said | None:
        """What a sentence without a cue may say of a product that it names."""
        start, end = _clause(text, target.start, target.end)
        clause = text[start:end]
        if _CONTRAST.search(text, max(start, target.start - 45), target.start):
            return None
        token = token_at(doc, begin + target.start)
        denied = token is not None and negated_before(doc, token.i, reach=10)
        denied = denied or _MISFIT.search(clause) is not None or target.start in _denied_behind(text, targets)
        kind = self._kind(title, belongs=False, fits=True)
        return _said(kind, target, denied, is_hypothetical(text, target.start))

    def _kind(self, title: str, *, belongs: bool, fits: bool) -> str:
        if belongs or (fits and is_accessory(title, self._accessories)):
            return "ACCESSORY_OF"
        return "COMPATIBLE_WITH"

    def _targets(self, text: str, sku: str) -> list[_Target]:
        """Products, then brands, then categories named in a sentence; a longer name hides what lies within it."""
        found = words(text)
        targets: list[_Target] = []
        for name in self._products.find(text, found):
            itself = sku in name.skus
            together = len(name.skus) == 1 or (len(name.skus) <= MAX_VARIANTS and self._same_shelf(name.skus))
            targets.append(
                _Target(
                    name.start,
                    name.end,
                    () if itself else tuple(Node("Product", s) for s in name.skus[:MAX_VARIANTS]),
                    {NameKind.WHOLE: 0.9, NameKind.BRANDED: 0.85, NameKind.SHORT: 0.8, NameKind.WORD: 0.75}[name.kind],
                    ambiguous=not together,
                    itself=itself,
                )
            )
        taken = [(t.start, t.end) for t in targets]
        for mention in self._brands.mentions(text, found):
            if is_free(taken, mention.start, mention.end):
                common = mention.confidence < 0.8
                confidence = 0.6 if common else 0.75
                targets.append(_Target(mention.start, mention.end, (mention.node,), confidence, close=common))
                taken.append((mention.start, mention.end))
        for category, paths in self._categories.find(text, found):
            after = found[category.last] if category.last < len(found) else None
            if after is not None and text[category.end : after.start] == " " and self._is_thing(after.text):
                continue  # "fits most microphone stands" says nothing of microphones
            shown = text[category.start : category.end]
            generic = singular(shown) != shown.casefold() or _DETERMINER.search(text, 0, category.start)
            if generic and is_free(taken, category.start, category.end):
                nodes = tuple(CategoryFinder.node(p) for p in paths[:1])
                ambiguous = len(paths) > 1
                targets.append(_Target(category.start, category.end, nodes, 0.6, ambiguous=ambiguous, close=True))
        targets.sort(key=lambda t: t.start)
        return targets

    def _is_thing(self, word: str) -> bool:
        return singular(word) in self._accessories

    def _same_shelf(self, skus: Sequence[str]) -> bool:
        """Whether products are versions of one thing, so that what is said of the name is true of each."""
        entries = [entry for s in skus if (entry := self._products.entry(s)) is not None]
        first = entries[0]
        return all(e.brand == first.brand and e.category == first.category and e.category for e in entries)


def settle(questions: Sequence[Question], judge: Callable[[Sequence[str]], Sequence[bool]]) -> Found:
    """Let the encoder answer what the rules asked; a "no" is rejected for want of confidence."""
    claims: list[Claim] = []
    rejected: list[Rejected] = []
    for question, yes in zip(questions, judge([q.text for q in questions]), strict=True):
        if yes:
            claims += question.claims
        else:
            first = question.claims[0]
            rejected.append(
                Rejected(Reason.LOW_CONFIDENCE, f"{first.type}: {first.node.key}", None, first.start, first.end)
            )
    return Found(tuple(claims), tuple(rejected))


def bare_mentions(text: str, offset: int, sku: str, brands: BrandFinder, products: ProductFinder) -> Iterator[Mention]:
    """Other products and brands that a text names, whatever it says of them."""
    found = words(text)
    taken: list[tuple[int, int]] = []
    for name in products.find(text, found):
        taken.append((name.start, name.end))
        if len(name.skus) == 1 and name.skus[0] != sku and name.kind < NameKind.WORD:
            yield Mention(Node("Product", name.skus[0]), name.start + offset, name.end + offset, 0.8)
    for mention in brands.mentions(text, found):
        if is_free(taken, mention.start, mention.end):
            yield Mention(mention.node, mention.start + offset, mention.end + offset, mention.confidence)


def sentences(doc: Doc) -> Iterator[Span]:
    """The sentences of a parsed window."""
    yield from doc.sents


def is_free(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether a place overlaps none of those taken."""
    return not any(s < end and start < e for s, e in taken)


def _scope_end(text: str, start: int, exceptions: Sequence[re.Match[str]]) -> int:
    """Where a new statement begins behind ``start``; a word that belongs to an exception ("all but") begins none."""
    for end in _SCOPE_ENDS.finditer(text, start):
        if not any(e.start() <= end.start() < e.end() for e in exceptions):
            return end.start()
    return len(text)


def _denied_behind(text: str, targets: Sequence[_Target]) -> frozenset[int]:
    """Where those targets start that are denied behind their names: "the X100 is not supported".

    The denial holds for what "and" joins to the last of them, and in brackets of their own for the whole list.
    """
    denied: set[int] = set()
    after: _Target | None = None
    for target in reversed(targets):
        if _DENIED_BEHIND.match(text, target.end):
            denied.add(target.start)
        elif after is not None and after.start in denied:
            bracket = text.rfind("(", 0, target.start)
            alone = bracket >= 0 and ")" not in text[bracket : target.start]
            if (_LISTED if alone else _JOINED).fullmatch(text, target.end, after.start):
                denied.add(target.start)
        after = target
    return frozenset(denied)


def _said(kind: str, target: _Target, denied: bool, doubtful: bool) -> _Said:
    reason: Reason | None = None
    if denied:
        reason = Reason.NEGATED
    elif doubtful:
        reason = Reason.HYPOTHETICAL
    elif target.itself:
        reason = Reason.SELF_REFERENCE
    elif target.ambiguous:
        reason = Reason.AMBIGUOUS
    return _Said(kind, target, reason, denies=denied and not (doubtful or target.itself or target.ambiguous))


def _sort(
    said: _Said,
    text: str,
    offset: int,
    document: str,
    trust: float,
    claims: list[Claim],
    rejected: list[Rejected],
) -> None:
    """Put what was said among the claims or among the rejects."""
    target = said.target
    start, end = offset + target.start, offset + target.end
    confidence = round(target.confidence * trust, 4)
    if said.reason:
        detail = f"{said.kind}: {text[target.start : target.end]}"
        rejected.append(Rejected(said.reason, detail, document, start, end))
    kind = "DOES_NOT_FIT" if said.denies else said.kind
    if said.denies or not said.reason:
        claims += [Claim(kind, node, start, end, confidence) for node in target.nodes]


def _question(said: _Said, text: str, offset: int, trust: float) -> Question:
    target = said.target
    start, end = _clause(text, target.start, target.end)
    asked = f"{text[start : target.start]}{STAND_IN}{text[target.end : end]}"
    confidence = round(0.8 * target.confidence * trust, 4)
    claims = tuple(
        Claim(said.kind, node, offset + target.start, offset + target.end, confidence) for node in target.nodes
    )
    return Question(" ".join(asked.split()), claims)


def _clause(text: str, start: int, end: int) -> tuple[int, int]:
    """The clause around a place: from the last break before it to the first one behind it."""
    left = max((m.end() for m in _CLAUSE.finditer(text, 0, start)), default=0)
    right = _CLAUSE.search(text, end)
    return left, right.start() if right else len(text)
