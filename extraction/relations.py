"""What a text says its product goes with: ``COMPATIBLE_WITH`` and ``ACCESSORY_OF``.

A cue ("fits", "compatible with", "designed for", "battery for") opens a scope
that reaches to the next clause; every product, brand or category named in the
scope is a target. A denied cue ("does not fit"), an excepted target ("but not
the X200") and a mere question or hope are rejected, never asserted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from extraction.mentions import Claim, Lexicon, Mention, Reason, words
from extraction.ner import BrandFinder, CategoryFinder, ProductFinder, is_accessory
from extraction.normalise import singular
from extraction.polarity import is_hypothetical, negated_before, token_at
from extraction.rules import Found
from kg.graph import Node, Rejected

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

MAX_VARIANTS: Final = 4
"""A name that fits more products than this tells nothing."""

_FILL = r"(?:\s\w+){0,2}?\s"
_WORKS_WITH: Final = (
    rf"(?:compatible|compatibility)(?:\s\w+)?\swith|incompatible\swith|work(?:s|ed|ing)?{_FILL}with|"
    rf"pair(?:s|ed)?{_FILL}with|"
    rf"goes{_FILL}with|interchangeable\swith|connects?{_FILL}to|supports?|"
    rf"used?\s(?:it\s|this\s|them\s)?(?:with|on|in)|for\suse\s(?:with|on|in)|suitable\s(?:for|with)|suits|plays?\swell\swith"
)
_MADE_FOR: Final = (
    rf"fits|fit|fitted|fitting|fits?\s(?:on|onto|over|into|inside)|"
    rf"(?:designed|made|built|intended|tailored|shaped|cut|engineered|moulded|molded){_FILL}?(?:for|to\sfit)|"
    rf"(?:designed|made|built|intended)\s(?:for|to\sfit)|replacement{_FILL}?for|replacement\sfor|replaces|"
    rf"accessory\s(?:for|to)|attaches{_FILL}?to|attaches\sto|mounts{_FILL}?(?:on|onto|to)|mounts\s(?:on|onto|to)|"
    rf"belongs\sto|goes\son|slides\sonto|snaps\son(?:to)?|clips\sonto|screws\sonto"
)
_EXCEPT: Final = re.compile(
    r"\b(?:but not|except(?: for)?|excluding|not|nor|other than|neither)\b(?!\sonly)", re.IGNORECASE
)
# Behind one of these a new statement begins.
_SCOPE_ENDS: Final = re.compile(
    r"[;!?•|\n]|\.(?=\s|$)|\b(?:but(?!\snot)|however|although|though|while|which|because|since|thanks|so that|with|"
    r"plus|comes|includes|including|featuring|features|without)\b",
    re.IGNORECASE,
)
# What may stand between a cue and an ordinary word that is its target: "fits most standard acoustic guitars".
_CLOSE: Final = re.compile(
    r"[\s:-]*(?:(?:the|a|an|your|my|all|any|most|every|other|standard|both|many)\s){0,3}", re.IGNORECASE
)
_DETERMINER: Final = re.compile(r"\b(?:a|an|any|every|all|most|your|my|the)\s(?:\w+\s)?$", re.IGNORECASE)
_NEGATIVE_CUE: Final = "incompatible"


@dataclass(frozen=True, slots=True)
class _Target:
    """Something named in a scope."""

    start: int
    end: int
    nodes: tuple[Node, ...]
    confidence: float
    ambiguous: bool = False
    itself: bool = False
    close: bool = False
    """Whether it counts only right behind the cue, because it is an ordinary word as well."""


class RelationRules:
    """Reads relations between the text's product and what else it names. Built once; its methods are pure."""

    def __init__(
        self,
        lexicon: Lexicon,
        accessories: frozenset[str],
        brands: BrandFinder,
        products: ProductFinder,
        categories: CategoryFinder,
    ) -> None:
        self._lexicon = lexicon
        self._accessories = accessories
        self._brands = brands
        self._products = products
        self._categories = categories
        noun = "|".join(re.escape(a) + "s?" for a in sorted(accessories, key=len, reverse=True))
        self._cue = re.compile(
            rf"\b(?:(?P<made>{_MADE_FOR}|(?P<noun>{noun})\sfor)|(?P<works>{_WORKS_WITH}))\b", re.IGNORECASE
        )

    def find(self, doc: Doc, offset: int, *, document: str, sku: str, title: str, trust: float) -> Found:
        """Relations that one window of a text states.

        Args:
            offset: where ``doc`` begins in the document.
            title: title of the product that the text is about, if known: tells whether it is an accessory.
            trust: factor on every confidence; reviewers err more often than descriptions.
        """
        claims: list[Claim] = []
        rejected: list[Rejected] = []
        for sentence in sentences(doc):
            for claim in self._in_sentence(doc, sentence, sku, title):
                start, end = claim.start + offset, claim.end + offset
                if isinstance(claim, _Dropped):
                    rejected.append(Rejected(claim.reason, claim.detail, document, start, end))
                else:
                    claims.append(Claim(claim.type, claim.node, start, end, round(claim.confidence * trust, 4)))
        return Found(tuple(claims), tuple(rejected))

    def _in_sentence(self, doc: Doc, sentence: Span, sku: str, title: str) -> Iterator[Claim | _Dropped]:
        text, begin = sentence.text, sentence.start_char
        cues = list(self._cue.finditer(text))
        if not cues:
            return
        targets = self._targets(text, sku)
        if not targets:
            return
        accessory = is_accessory(title, self._accessories)
        for i, cue in enumerate(cues):
            ends = _SCOPE_ENDS.search(text, cue.end())
            limit = min(ends.start() if ends else len(text), cue.end() + 160)
            if i + 1 < len(cues):
                limit = min(limit, cues[i + 1].start())
            anchor = token_at(doc, begin + cue.start())
            denied = cue.group().casefold().startswith(_NEGATIVE_CUE) or (
                anchor is not None and negated_before(doc, anchor.i)
            )
            doubtful = is_hypothetical(text, cue.start())
            made_for = cue["made"] is not None and (accessory or cue["noun"] is not None)
            kind = "ACCESSORY_OF" if made_for else "COMPATIBLE_WITH"
            for target in targets:
                if not cue.end() <= target.start < limit:
                    continue
                if target.close and not _CLOSE.fullmatch(text, cue.end(), target.start):
                    continue
                excepted = _EXCEPT.search(text, cue.end(), target.start)
                reason = (
                    Reason.NEGATED
                    if denied or excepted
                    else Reason.HYPOTHETICAL
                    if doubtful
                    else Reason.SELF_REFERENCE
                    if target.itself
                    else Reason.AMBIGUOUS
                    if target.ambiguous
                    else None
                )
                start, end = begin + target.start, begin + target.end
                if reason:
                    yield _Dropped(reason, f"{kind}: {text[target.start : target.end]}", start, end)
                    continue
                for node in target.nodes:
                    yield Claim(kind, node, start, end, target.confidence)

    def _targets(self, text: str, sku: str) -> list[_Target]:
        """Products, then brands, then categories named in a sentence; a longer name hides what lies within it."""
        found = words(text)
        targets: list[_Target] = []
        for name in self._products.find(text, found):
            others = tuple(s for s in name.skus if s != sku)
            nodes = tuple(Node("Product", s) for s in others[:MAX_VARIANTS])
            together = len(others) <= 1 or (len(others) <= MAX_VARIANTS and self._same_shelf(others))
            targets.append(
                _Target(
                    name.start,
                    name.end,
                    nodes,
                    0.9 if name.exact else 0.75,
                    ambiguous=not together,
                    itself=not others,
                )
            )
        taken = [(t.start, t.end) for t in targets]
        for mention in self._brands.mentions(text, found):
            if _free(taken, mention.start, mention.end):
                common = mention.confidence < 0.8
                confidence = 0.6 if common else 0.75
                targets.append(_Target(mention.start, mention.end, (mention.node,), confidence, close=common))
                taken.append((mention.start, mention.end))
        for category, paths in self._categories.find(text, found):
            after = found[category.last] if category.last < len(found) else None
            if (
                after is not None
                and text[category.end : after.start] == " "
                and singular(after.text) in self._accessories
            ):
                continue  # "fits most microphone stands" says nothing of microphones
            shown = text[category.start : category.end]
            generic = singular(shown) != shown.casefold() or _DETERMINER.search(text, 0, category.start)
            if generic and _free(taken, category.start, category.end):
                nodes = tuple(CategoryFinder.node(p) for p in paths[:1])
                ambiguous = len(paths) > 1
                targets.append(_Target(category.start, category.end, nodes, 0.6, ambiguous=ambiguous, close=True))
        targets.sort(key=lambda t: t.start)
        return targets

    def _same_shelf(self, skus: Sequence[str]) -> bool:
        """Whether products are versions of one thing, so that what is said of the name is true of each."""
        entries = [self._lexicon.products[s] for s in skus]
        first = entries[0]
        return all(e.brand == first.brand and e.category == first.category and e.category for e in entries)


@dataclass(frozen=True, slots=True)
class _Dropped:
    reason: Reason
    detail: str
    start: int
    end: int


def bare_mentions(text: str, offset: int, sku: str, brands: BrandFinder, products: ProductFinder) -> Iterator[Mention]:
    """Other products and brands that a text names, whatever it says of them."""
    found = words(text)
    taken: list[tuple[int, int]] = []
    for name in products.find(text, found):
        taken.append((name.start, name.end))
        if len(name.skus) == 1 and name.skus[0] != sku and name.exact:
            yield Mention(Node("Product", name.skus[0]), name.start + offset, name.end + offset, 0.8)
    for mention in brands.mentions(text, found):
        if _free(taken, mention.start, mention.end):
            yield Mention(mention.node, mention.start + offset, mention.end + offset, mention.confidence)


def sentences(doc: Doc) -> Iterator[Span]:
    """The sentences of a window; the whole window where nothing marks any."""
    if doc.has_annotation("SENT_START"):
        yield from doc.sents
    elif len(doc):
        yield doc[:]


def _free(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return not any(s < end and start < e for s, e in taken)
