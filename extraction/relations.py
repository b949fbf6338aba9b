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
from extraction.polarity import ends_line, is_hypothetical, negated_before, token_at
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
    rf"(?:compatible|compatibility)(?:\s\w+){{0,2}}\swith|incompatible\swith|"
    # The head of a list: "Compatible models:", "Not supported:".
    rf"(?:(?:in)?compatible|(?:un)?supported)(?:\s\w+){{0,2}}(?=:)|work(?:s|ed|ing)?{_FILL}with|"
    rf"pair(?:s|ed)?{_FILL}with|pairs\swith|goes{_FILL}with|interchangeable\swith|connects?{_FILL}to|supports?|"
    rf"use(?:d|s)?\s(?:it\s|this\s|them\s)?(?:with|on|in)|suitable\s(?:for|with)|suits|"
    rf"tested\s(?:with|on)|plays?\swell\swith"
)
# Whatever is said to be this is an accessory, whatever it is called.
_BELONGS: Final = (
    rf"(?:designed|made|built|tailored|shaped|cut|engineered|moulded|molded|milled|machined|intended)"
    rf"{_FILL}?(?:for|to\sfit)|"
    rf"(?:replacement|spare|extra)s?{_FILL}?for|(?P<replaces>replaces)|accessory\s(?:for|to)|add-on\sfor|belongs\sto|"
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
_NEGATIVE_CUES: Final = ("incompatible", "unsupported")
_HEAD_END: Final = re.compile(r"\s*:?\s*\Z")
"""Behind a cue that ends its line, so that it governs the lines of a list below."""
_ITEM: Final = re.compile(r"\s*(?:[-*+•·–—>✓✔✗✘]|\d{1,2}[.)]\s)?\s*(?:(?:the|all)\s)?", re.IGNORECASE)
_ITEM_WORDS: Final = 8
"""Most words of a line that is the item of a list and no sentence of its own."""
# Other ways to say that two things do not go together; they deny every target of their clause.
_MISFIT: Final = re.compile(
    r"\btoo (?:\w+ ){1,3}(?:for|to)\b|"
    r"\b(?:pointless|useless|no use|no good|no help|wrong|wasted|nothing) (?:\w+ )?(?:with|for|on|to|in)\b|"
    r"\b(?:refus(?:e[sd]?|ing)|(?<!never )fail(?:s|ed|ing)?|unable) to\b|"
    r"\bimpossible to (?:\w+ )?(?:fit|use|work|mount|attach|connect|pair|get|put|make)\b|"
    r"\b(?:prevent(?:s|ed|ing)?|keeps?|kept|stop(?:s|ped)?) (?:\w+ ){1,3}from (?:\w+ )?"
    r"(?:fit|work|connect|pair|attach|mount|us|be)\w*|"
    r"\bavoid (?:us(?:e|ing)|attaching|mounting|connecting|pairing|combining)\b|"
    r"\bhas no (?:use|need|place|room)\b|\bdo(?:es)? without\b",
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
# Doubtful beyond a mere "perhaps": not to be had for a fact, and no denial that one could rely on.
_SELDOM: Final = re.compile(
    r"\b(?:rarely|seldom|unlikely|(?:not|n['’]t|never)(?: \w+){0,2} (?:tested|tried|guaranteed?))"
    r"(?: (?!and\b|but\b)[\w'’]+){0,5}\s*\Z",
    re.IGNORECASE,
)
_VERB: Final = (
    r"(?:support|work|fit|match|connect|pair|function|compatible|suitable|covered|among|"
    # "Not recommended for beginners" says nothing of what it fits.
    r"recommended(?!\sfor\b(?!\suse)))\w*"
)
# "The X100 does not support fast charging": what is denied is the verb's own object.
_NO_OBJECT: Final = (
    r"(?![ \t]+(?!(?:with|in|on|into|to|at|by|here|yet|either|too|any ?more|any longer|at all|well|properly|correctly|"
    r"because|since|due|and|or|but|though|as|until|when|it|this|these|them|that|one|out|together)\b)\w)"
)
_BEHIND: Final = r"(?:[ \t](?!and\b|or\b|which\b|that\b)[\w-]+){0,2}?[ \t]"
_DENIED_BEHIND: Final = re.compile(
    rf"{_BEHIND}(?:"
    rf"(?:(?:is|are|was|were|has|have)\s)?(?:not|never|no longer)[ \t](?:\w+[ \t]){{0,2}}?{_VERB}|"
    r"(?:(?:is|are)[ \t])?(?:unsupported|incompatible|excluded|excepted)\b|"
    rf"(?:isn|aren|wasn|weren|hasn|haven)['’]?t[ \t](?:\w+[ \t]){{0,2}}?{_VERB}|"
    rf"(?:(?:won|doesn|don|didn|can|couldn|wouldn)['’]?t|(?:do|does|did|will|would|can|could)[ \t]?not)[ \t]"
    rf"(?:\w+[ \t]){{0,2}}?{_VERB}{_NO_OBJECT}|"
    r"(?:isn|aren|won|doesn|don|didn|can)['’]?t(?=\s*(?:[.,;:!?)\n]|\Z)))"
    # "Will not work without it": with it, it does.
    r"(?![^.;:!?\n]*\bwithout\b)",
    re.IGNORECASE,
)
_UNSURE_BEHIND: Final = re.compile(
    rf"{_BEHIND}(?:"
    r"(?:(?:is|are|was|were|has|have)(?:n['’]t|[ \t](?:not|never))|can(?:not|['’]t))(?:[ \t]\w+){0,2}?[ \t]"
    r"(?:guaranteed?|tested|warranted|confirmed|known)|(?:untested|unconfirmed|unknown)\b|"
    r"(?:is|are)[ \t](?:coming|planned|expected|under[ \t]way)\b|voids?\b|"
    r"(?:may|might|can|could|will)[ \t](?:\w+[ \t])?(?:void|damage|harm|ruin|destroy)\b)",
    re.IGNORECASE,
)
"""What is said behind a target that leaves it open whether it goes together."""
_ENDED_BEHIND: Final = re.compile(
    rf"{_BEHIND}(?:(?:has|have|had|was|were|is|are)(?:[ \t]be(?:en|ing))?[ \t](?:\w+ly[ \t])?"
    r"(?:dropped|discontinued|removed|withdrawn|ended|gone)|ended|ends|ceased)\b",
    re.IGNORECASE,
)
"""Of support, and of no product: "support for the X100 has been dropped"."""
_NOT_INCLUDED: Final = re.compile(
    r"(?:[ \t](?!and\b|or\b)[\w-]+){0,2}?[ \t](?:(?:is|are)(?:n['’]t|[ \t]not)|not)[ \t]"
    r"(?:included|supplied|provided)\b",
    re.IGNORECASE,
)
# "Made for those who loved the X100", "goes on where the X100 stops".
_CLAUSE_BETWEEN: Final = re.compile(r"\b(?:who|whom|whose|where|when|whenever|wherever)\b", re.IGNORECASE)
_OWNERS: Final = re.compile(r"\b(?:owners|users)\b", re.IGNORECASE)
_PEOPLE: Final = re.compile(
    r"\b(?:those|people|persons?|any(?:one|body)|every(?:one|body)|some(?:one|body)|owners?|users?|fans?|lovers?|"
    r"players?|photographers?|musicians?|beginners?|professionals?|customers?|friends?|children|kids|men|women)\b",
    re.IGNORECASE,
)
# The cue's subject is another thing: "my friend's strap fits …", "the other battery works with …".
_THING: Final = (
    r"(?:\s(?!(?:it|this|that|these|those|they|which|who|i|we|you|he|she|to|and|or|but|than|like|as|with|for|by|from|in|"
    r"on|of)\b)[\w'’-]+)"
)
_ANOTHER_THING: Final = re.compile(
    r"(?:\b(?:my|his|her|our|their|your)\s(?:\w+\s)?(?:friend|wife|husband|partner|son|daughter|brother|sister|mother|"
    r"father|mom|mum|dad|uncle|aunt|cousin|neighbou?r|buddy|colleague|boss|(?:boy|girl)friend|roommate)['’]s"
    rf"{_THING}{{1,4}}|"
    r"\b(?:my|the|our|his|her|their|your|an)\s?(?:old|other|previous|last|former|original|current|existing)"
    rf"{_THING}{{0,4}}|\b(?:(?:no|any|all|most|some|every|many)\s)?(?:others?|another){_THING}{{0,4}})\s\Z",
    re.IGNORECASE,
)
_SUBJECT_BEFORE: Final = re.compile(
    r"(?:\A|[.;:!?,]\s|\b(?:and|but|so)\s)\W*(?:the|my|our|your|an?)\s\Z", re.IGNORECASE
)
_AUXILIARY: Final = re.compile(
    r"(?:\s(?:also|only|still|really|always|is|was|does|did|will|would|can|could|not|never|be)(?:n['’]t)?){0,3}\s",
    re.IGNORECASE,
)
# "Works with the X200, and the X100 is a bargain": what a verb follows is spoken of anew.
_SUBJECT: Final = re.compile(
    r"\s(?:is|are|was|were|has|have|had|does|do|did|will|would|can|could|needs?|costs?)(?:n['’]t)?\b", re.IGNORECASE
)
_JOINED: Final = re.compile(r"[ \t]*(?:and|or|nor|and/or|&|/)[ \t]*(?:the|your|my|an?)?[ \t]*", re.IGNORECASE)
_LISTED: Final = re.compile(r"[ \t]*,?[ \t]*(?:and|or|nor|and/or|&|/|,)[ \t]*(?:the|your|my|an?)?[ \t]*", re.IGNORECASE)
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


@dataclass(frozen=True, slots=True)
class _Cue:
    """What opens a scope: words that say that one thing goes with another."""

    text: str
    kind: str
    denied: bool
    """Whether it says so of nothing in its scope."""
    doubtful: bool
    reason: Reason | None = None
    """Why nothing in its scope is the product's, if so."""
    owners: bool = True
    """Whether what is for the owners of another thing is for that thing."""


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
        head: _Cue | None = None
        for text, begin in statements(doc):
            targets = self._targets(text, sku)
            cues = list(self._cues(doc, text, begin, targets, title)) if targets or _opens_list(text) else []
            if not targets:
                head = self._head(text, cues, head)
                continue
            settled: set[int] = set()
            found = self._by_cue(text, cues, targets)
            if not cues and head is not None and _is_item(text, targets[0]):
                found = self._in_scope(text, head, 0, _scope_end(text, targets[0].end, ()), targets)
            for said in found:
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
            head = self._head(text, cues, head, item=_is_item(text, targets[0]))
        return Found(tuple(claims), tuple(rejected), tuple(asked))

    def _cues(
        self, doc: Doc, text: str, begin: int, targets: Sequence[_Target], title: str
    ) -> Iterator[tuple[re.Match[str], _Cue]]:
        """The cues of a statement, and what is said of whatever stands in their scope."""
        for cue in self._cue.finditer(text):
            shown = cue.group().casefold()
            before = max(0, cue.start() - 60)
            anchor = token_at(doc, begin + cue.start())
            denied = (
                shown.startswith(_NEGATIVE_CUES)
                or (anchor is not None and negated_before(doc, anchor.i, is_verb=True))
                or _DENIED_BEFORE.search(text, before, cue.start()) is not None
            )
            doubtful = is_hypothetical(text, cue.start())
            # "Not tested with the X100" does not say that it does not fit.
            doubtful = doubtful or (denied and shown.startswith("tested"))
            seldom = _SELDOM.search(text, before, cue.start()) is not None
            owners = is_accessory(title, self._accessories)
            other = (
                _NOTHING.search(text, max(0, cue.start() - 40), cue.start()) is not None
                or _ANOTHER_THING.search(text, before, cue.start()) is not None
                or _is_subject(text, targets, cue.start())
                or (cue["replaces"] is not None and not owners)
            )
            kind = self._kind(title, belongs=cue["belongs"] is not None, fits=cue["fits"] is not None)
            reason = Reason.COMPARED if other else None
            yield cue, _Cue(shown, kind, denied or seldom, doubtful or seldom, reason, owners)

    def _by_cue(
        self, text: str, cues: Sequence[tuple[re.Match[str], _Cue]], targets: Sequence[_Target]
    ) -> Iterator[_Said]:
        exceptions = list(_EXCEPTION.finditer(text))
        for i, (found, cue) in enumerate(cues):
            limit = min(_scope_end(text, found.end(), exceptions), found.end() + 160)
            if i + 1 < len(cues):
                limit = min(limit, cues[i + 1][0].start())
            yield from self._in_scope(text, cue, found.end(), limit, targets, before=found.start())

    def _in_scope(
        self, text: str, cue: _Cue, start: int, limit: int, targets: Sequence[_Target], before: int = 0
    ) -> Iterator[_Said]:
        """What a cue says of the targets in ``[start, limit)``; it begins at ``before``, or heads a list further up."""
        targets = [target for target in targets if start <= target.start < limit]
        exceptions = list(_EXCEPTION.finditer(text, start, limit)) if targets else []
        behind = _denied_behind(text, targets)
        unsure = _denied_behind(text, targets, _UNSURE_BEHIND)
        if cue.text.startswith(("support", "compatib")):
            behind |= _denied_behind(text, targets, _ENDED_BEHIND)
        first = True
        for target in targets:
            if target.close and not _CLOSE.fullmatch(text, start, target.start):
                continue
            if not first and target.start not in behind | unsure and _SUBJECT.match(text, target.end):
                continue
            if not first and _NOT_INCLUDED.match(text, target.end):
                # In the box, or in the list? It is no relation, and no denial either.
                yield _Said(cue.kind, target, Reason.NEGATED, denies=False)
                continue
            first = False
            if cue.reason or _RATHER.search(text, start, target.start):
                yield _Said(cue.kind, target, cue.reason or Reason.COMPARED, denies=False)
                continue
            if _CLAUSE_BETWEEN.search(text, start, target.start) or (
                cue.text.endswith("for")
                and _PEOPLE.search(text, start, target.start)
                and not (cue.owners and _OWNERS.search(text, start, target.start))
            ):
                yield _Said(cue.kind, target, Reason.LOW_CONFIDENCE, denies=False)
                continue
            barred = _BARRED.search(text, start, target.start) is not None
            misfit = _MISFIT.search(text, max(0, before - 40), target.start) is not None
            no = cue.denied or misfit
            excepted = next((e for e in exceptions if start <= e.start() and e.end() <= target.start), None)
            if excepted is not None:
                # The contrary of what is said of all others, be that yes or no.
                no = not (no or _NONE.search(text, start, excepted.end()))
            open_ = target.start in unsure
            yield _said(cue.kind, target, no or barred or open_ or target.start in behind, cue.doubtful or open_)

    def _head(
        self, text: str, cues: Sequence[tuple[re.Match[str], _Cue]], head: _Cue | None, *, item: bool = False
    ) -> _Cue | None:
        """The cue that governs the lines below a statement: "Fits:" does until the list ends or another begins."""
        if cues:
            found, cue = cues[-1]
            return cue if _HEAD_END.match(text, found.end()) else None
        return head if item or (_is_short(text) and not text.rstrip().endswith(":")) else None

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
        seldom = _SELDOM.search(text, start, target.start) is not None or target.start in _denied_behind(
            text, targets, _UNSURE_BEHIND
        )
        kind = self._kind(title, belongs=False, fits=True)
        return _said(kind, target, denied or seldom, seldom or is_hypothetical(text, target.start))

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


def statements(doc: Doc) -> Iterator[tuple[str, int]]:
    """The sentences of a parsed window, cut at the ends of lines, each with its place: no statement outlives a line."""
    for sentence in sentences(doc):
        first = sentence.start
        for token in sentence:
            if token.i + 1 == sentence.end or (token.is_space and ends_line(doc, token.i)):
                piece = doc[first : token.i + 1]
                first = token.i + 1
                if piece.text.strip():
                    yield piece.text, piece.start_char


def _opens_list(text: str) -> bool:
    """Whether a statement may be the head of what stands below it."""
    return _is_short(text) and (text.rstrip().endswith(":") or text.endswith("\n"))


def _is_short(text: str) -> bool:
    return len(text.split()) <= _ITEM_WORDS and not text.rstrip().endswith((".", "!", "?"))


def _is_item(text: str, target: _Target) -> bool:
    """Whether a statement is the item of a list that begins with this target."""
    if not _is_short(text) or _SUBJECT.match(text, target.end):
        return False
    return _ITEM.fullmatch(text, 0, target.start) is not None


def _is_subject(text: str, targets: Sequence[_Target], cue: int) -> bool:
    """Whether the cue at ``cue`` is said of another thing: "the LB-9 works with the X100"."""
    return any(
        not t.itself
        and t.end < cue
        and _AUXILIARY.fullmatch(text, t.end, cue) is not None
        and _SUBJECT_BEFORE.search(text, 0, t.start) is not None
        for t in targets
    )


def is_free(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether a place overlaps none of those taken."""
    return not any(s < end and start < e for s, e in taken)


def _scope_end(text: str, start: int, exceptions: Sequence[re.Match[str]]) -> int:
    """Where a new statement begins behind ``start``; a word that belongs to an exception ("all but") begins none."""
    for end in _SCOPE_ENDS.finditer(text, start):
        if not any(e.start() <= end.start() < e.end() for e in exceptions):
            return end.start()
    return len(text)


def _denied_behind(text: str, targets: Sequence[_Target], denial: re.Pattern[str] = _DENIED_BEHIND) -> frozenset[int]:
    """Where those targets start that are denied behind their names: "the X100 is not supported".

    The denial holds for what "and" joins to the last of them, and in brackets of their own for the whole list.
    """
    denied: set[int] = set()
    after: _Target | None = None
    for target in reversed(targets):
        if denial.match(text, target.end):
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
