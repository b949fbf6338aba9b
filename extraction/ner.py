"""Brands in a text: known ones, and makers never seen before.

Recognition works on words, not on spaCy's tokens: names are compared without
case, accents, spaces and punctuation, so that ``D’Addario``, ``DADDARIO`` and
``On Stage``/``OnStage`` meet, whatever a tokenizer makes of them. Each finder
is built once from a :class:`~extraction.mentions.Lexicon` and is then pure.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extraction.mentions import Lexicon, Mention, ProductEntry, Word, word_set, words
from extraction.normalise import singular, squash
from kg.graph import Node
from kg.normalise import brand_key

MAX_NAME_WORDS: Final = 8
"""Longest name looked up: a brand has up to five words, a lens \"35 mm f/1.8\" has five behind its brand."""

# Between the words of one name there may stand a space, a hyphen, an ampersand, a mark; nothing longer.
_WITHIN_NAME = re.compile(r"[\s\-–./&+'’®™]{1,3}")
_TITLE_NOISE: Final = word_set(
    """
    the a an new genuine original official brand authentic oem set pack lot pair one two three pc pcs x by
    """
)
# Words before a name that make it what the product is for, not who made it.
_FOR: Final = word_set(
    """
    for fits fit with to like replaces replacement compatible universal via w on and or
    """
)
_BY: Final = frozenset({"by", "from"})
_SIGNED: Final = re.compile(r"\b(?:(?<!ed )(?<!worn )|(?<=manufactured )|(?<=produced ))by\s\Z", re.IGNORECASE)
_SIGNS: Final = re.compile(r"\s(?:made |manufactured |produced )?by\b", re.IGNORECASE)
_STYLE: Final = re.compile(
    r"-(?:style|type|compatible|like|look|inspired|fit)\b|\s(?:style|compatible|inspired)\b", re.IGNORECASE
)
_STYLED: Final = re.compile(r"[-\s](?:style|type|compatible|like|look|inspired|fit)\Z", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?;](?=\s)|\n")
# "Not made by Ardsley", "better than anything Ardsley makes", "endorsed by Ardsley".
_NOT_BY: Final = re.compile(
    r"\b(?:not(?! (?:only|just|merely))|never|nor|neither|no|than|unlike|without)\b|n['’]t\b|"
    r"\b(?:endorsed|inspired|approved|recommended|used|loved|trusted|licen[cs]ed|sponsored|played|worn) "
    r"(?:\w+ )?by\s\Z",
    re.IGNORECASE,
)
_TRADEMARK: Final = re.compile(
    r"[®™]?\s(?:\w+\s){0,6}(?:is|are)\s(?:an?\s)?(?:\w+\s){0,2}(?:trade ?marks?|brand names?)\b", re.IGNORECASE
)
_POSSESSIVE: Final = re.compile(r"['’][sS]$")
# What a brand does in a text without having made the thing.
_NOT_MAKING: Final = word_set(
    "i ha wa it not just fit need work product string guitar camera part kit item series must at"
)
_NO_BRAND: Final = frozenset({"unknown", "generic", "unbranded", "no title", "na", "none", "no brand", "various"})


@dataclass(frozen=True, slots=True)
class Name:
    """A run of words of a text that is a known name."""

    start: int
    end: int
    first: int
    """Index of its first word."""
    last: int
    """Index one past its last word."""
    key: str


@dataclass(frozen=True, slots=True)
class _Usual:
    """The brand behind most titles that open alike."""

    key: str
    count: int
    share: float
    followers: int
    """How many different words go on after the opening in the titles of this brand."""


class Gazetteer:
    """Finds known names in a sequence of words, longest first, in time linear in the words.

    Args:
        names: squashed name → key, or squashed names that are their own keys. Names shorter than two letters are
            ignored. They are not copied: a large shop has millions.
    """

    def __init__(self, names: Mapping[str, str] | KeysView[str]) -> None:
        self._names = names
        self._keys = names if isinstance(names, Mapping) else None
        self._longest = max(map(len, names), default=0)
        # Most words begin no name: three letters tell it at once.
        self._heads = {name[:3] for name in names if len(name) >= 2}

    def __len__(self) -> int:
        return sum(len(name) >= 2 for name in self._names)

    def learn(self, names: Iterable[str]) -> None:
        """Find these too, which have come to be among the names it was given."""
        for name in names:
            self._longest = max(self._longest, len(name))
            if len(name) >= 2:
                self._heads.add(name[:3])

    def at(self, text: str, found: Sequence[Word], first: int) -> Name | None:
        """The longest known name that begins at word ``first``."""
        joined, best = "", None
        for last in range(first, min(first + MAX_NAME_WORDS, len(found))):
            if last > first and not _WITHIN_NAME.fullmatch(text, found[last - 1].end, found[last].start):
                break
            joined += squash(found[last].text)
            if len(joined) >= 3 and joined[:3] not in self._heads:
                break
            if len(joined) > self._longest + 1:
                break
            for form in (joined, joined[:-1] if joined.endswith("s") and len(joined) >= 3 else ""):
                if len(form) >= 2 and form in self._names:
                    key = form if self._keys is None else self._keys[form]
                    # A possessive "Fender's" matches without its ending, which stays out of the quote.
                    possessive = form != joined and _POSSESSIVE.search(found[last].text) is not None
                    if form == joined or possessive:
                        end = found[last].end - (2 if possessive else 0)
                        best = Name(found[first].start, end, first, last + 1, key)
                    break
        return best

    def find(self, text: str, found: Sequence[Word]) -> list[Name]:
        """All known names from left to right, none overlapping another."""
        names: list[Name] = []
        position = 0
        while position < len(found):
            name = self.at(text, found, position)
            if name is None:
                position += 1
            else:
                names.append(name)
                position = name.last
        return names


class BrandFinder:
    """Brands in texts: those of the lexicon, and who made a product that names a maker never seen before.

    Args:
        lexicon: brands by name; the titles of all products show which words are
            general and which begin titles; those products whose brand is known
            show which openings of a title stand for which brand (a line of
            products sold under its own name).
        common: words of the language, lower case: a maker is seldom one of them.
    """

    def __init__(self, lexicon: Lexicon, common: frozenset[str]) -> None:
        self._common = common
        self._names = dict(lexicon.brands)
        self._by_squash: dict[str, str] = {}
        self._name(lexicon.brands)
        self._inner: Counter[str] = Counter()
        self._starts: dict[str, Counter[str]] = defaultdict(Counter)
        openings: dict[str, Counter[str]] = defaultdict(Counter)
        followers: dict[tuple[str, str], set[str]] = defaultdict(set)
        # One title after the other: the words of a million at once would fill the memory.
        for entry in lexicon.products.values():
            self._learn_title(entry, openings, followers)
        # What a look-up needs of each opening is told once: a common word opens the titles of thousands of brands.
        self._usual = {
            opened: _Usual(key, count, count / brands.total(), len(followers.get((opened, key), ())))
            for opened, brands in openings.items()
            for key, count in brands.most_common(1)
        }
        self._gazetteer = Gazetteer(self._by_squash)

    def learn(self, brands: Mapping[str, str]) -> None:
        """Know these too. What titles tell (which open with whom, which words are general) stays as it was counted."""
        new = {key: name for key, name in brands.items() if key not in self._names}
        self._names |= new
        self._gazetteer.learn(self._name(new))

    def _name(self, brands: Mapping[str, str]) -> list[str]:
        """Note under which names brands are found; these names."""
        forms = [(squash(shown), key) for key, name in brands.items() if key not in _NO_BRAND for shown in (key, name)]
        for form, key in forms:
            self._by_squash.setdefault(form, key)
        return [form for form, _ in forms]

    def node(self, key: str, shown: str | None = None) -> Node:
        """The node of a brand; ``shown`` is how the text writes one that the lexicon does not have."""
        return Node("Brand", key, {"name": self._names.get(key) or shown or key})

    def mentions(self, text: str, found: Sequence[Word]) -> list[Mention]:
        """Known brands named anywhere in a text."""
        return [
            Mention(self.node(name.key), name.start, name.end, self._plausibility(text, name))
            for name in self._gazetteer.find(text, found)
            if self._looks_like_name(text, name)
        ]

    def maker(self, text: str, title_end: int) -> Mention | None:
        """Who made the product that ``text`` (title, then description) describes; ``None`` when it does not say."""
        title = words(text[:title_end])
        body = words(text[title_end:])
        body = [Word(w.text, w.start + title_end, w.end + title_end) for w in body]
        candidates = [
            *self._known_in_title(text, title),
            *self._remembered(title),
            *self._signed(text, title),
            *self._unseen(text, title, body),
            *self._known_in_body(text, body),
        ]
        candidates = [m for m in candidates if not _is_style(text, m.start, m.end)]
        if not candidates:
            return None
        # "Ainsley lightning cable by Ardsley": who signs outranks the name that opens, but not "Ainsley by Ardsley …".
        signed = [m for m in candidates if m.end <= title_end and _SIGNED.search(text, 0, m.start)]
        if signed and any(m not in signed and _SIGNS.match(text, m.end) for m in candidates):
            signed = []
        candidates = signed or candidates
        # The first of equals wins: the list above goes from the surest reading to the least sure.
        return max(candidates, key=lambda m: m.confidence, default=None)

    def _known_in_title(self, text: str, title: Sequence[Word]) -> Iterable[Mention]:
        opening = _first_word(title)
        for name in self._gazetteer.find(text, title):
            if not self._looks_like_name(text, name):
                continue
            if name.first <= opening:
                usual = self._usual_maker(title, name.last - name.first, name.first)
                if usual is not None and usual.key != name.key and usual.count >= 3 and usual.share >= 0.6:
                    continue  # a name under which another brand sells: the memory answers
                yield Mention(self.node(name.key), name.start, name.end, 0.97)
            elif _before(title, name.first) in _BY:
                yield Mention(self.node(name.key), name.start, name.end, 0.95)
            elif not _is_target(title, name.first) and not self._is_common(text[name.start : name.end]):
                yield Mention(self.node(name.key), name.start, name.end, 0.72)

    def _remembered(self, title: Sequence[Word]) -> Iterable[Mention]:
        """A title that opens like those of a known brand."""
        opening = _first_word(title)
        for size in (3, 2, 1):
            usual = self._usual_maker(title, size, opening)
            if usual is None or usual.share < 0.6:
                continue
            first = title[opening].text
            if size == 1 and squash(first) != squash(usual.key):
                # "Mighty Bright" always goes on with the same word: then "Mighty" alone is nobody.
                if " " in usual.key and usual.followers < 2:
                    continue
                if self._is_english(first) and usual.count < 3:
                    continue
            confidence = 0.55 + 0.4 * usual.share * usual.count / (usual.count + 0.5)
            last = opening + size
            if size > 1 and usual.count < 3 and all(self._is_english(w.text) for w in title[opening:last]):
                continue  # "Guitar hanger" is no name, whoever sells one
            # The quote is the name, not the ordinary words behind it.
            while last > opening + 1 and self._is_common(title[last - 1].text):
                last -= 1
            end = title[last - 1].end
            yield Mention(self.node(usual.key), title[opening].start, end, min(0.96, confidence))
            return

    def _signed(self, text: str, title: Sequence[Word]) -> Iterable[Mention]:
        """``Peg drops by Ardsley``."""
        for i in range(2, len(title)):
            word = title[i].text
            if title[i - 1].text.lower() not in _BY or not word[:1].isupper() or self._is_common(word):
                continue
            last = i + 1
            while last < min(i + 3, len(title)) and title[last].text[:1].isupper() and _adjacent(text, title, last):
                last += 1
            yield self._new(text, title[i].start, title[last - 1].end, 0.92)

    def _unseen(self, text: str, title: Sequence[Word], body: Sequence[Word]) -> Iterable[Mention]:
        """An unusual, capitalised word at the start of the title, with what else speaks for its being a name."""
        if not title:
            return
        opening = _first_word(title)
        word = title[opening].text
        last = opening + 1
        while last < min(opening + 3, len(title)) and self._continues(text, title, opening, last, body):
            last += 1
        start, end = title[opening].start, title[last - 1].end
        if word.isdigit() or end - start < 2 or not any(c.isupper() for c in word):
            return
        confidence = 0.72
        behind = title[last] if last < len(title) else None
        if behind is not None and text[end : behind.start] == "-" and behind.text[:1].isdigit():
            return  # "RC-1": a model, not its maker
        written = self._written_as_name(text, start, end, body)
        if all(self._is_common(w.text) and len(w.text) > 1 for w in title[opening:last]):
            if behind is not None and self._is_what_it_is(behind.text) and not (written and last - opening > 1):
                return  # "Helmet clips": what it is, not who made it
            if max(self._inner.get(squash(w.text), 0) for w in title[opening:last]) >= 2:
                return  # "Guitar hanger"
            confidence = 0.52
        elif self._inner.get(squash(text[start:end]), 0) >= 3:
            confidence -= 0.3
        if written:
            confidence += 0.15
        if _is_repeated(self._starts.get(squash(word))):
            confidence += 0.1
        elif self._inner.get(squash(word), 0):
            confidence -= 0.2
        if any(c.isdigit() for c in word):
            confidence -= 0.25
        if last - opening == 1 and _POSSESSIVE.search(word):
            end, confidence = end - 2, confidence + 0.1
        yield self._new(text, start, end, min(confidence, 0.93))

    def _known_in_body(self, text: str, body: Sequence[Word]) -> Iterable[Mention]:
        """The brand that a description names as the maker, or else names most."""
        named = [n for n in self._gazetteer.find(text, body[:400]) if self._looks_like_name(text, n)]
        named = [n for n in named if not self._is_common(text[n.start : n.end]) or " " in text[n.start : n.end]]
        named = [n for n in named if not _is_told_apart(text, n.start, n.end)]
        for name in named:
            if _before(body, name.first) in _BY or self._acts(text, body, name):
                yield Mention(self.node(name.key), name.start, name.end, 0.8)
                return
        named = [n for n in named if not _is_target(body, n.first) and not _is_part_of_name(text, body, n)]
        if not named:
            return
        (key, count), *rest = Counter(n.key for n in named).most_common(2)
        first = next(n for n in named if n.key == key)
        lead = count - (rest[0][1] if rest else 0)
        if lead > 0:
            yield Mention(self.node(key), first.start, first.end, min(0.5 + 0.08 * lead, 0.7))

    def _acts(self, text: str, body: Sequence[Word], name: Name) -> bool:
        """Whether a brand is the subject of a verb: "Birch stitched this strap", "Birch builds it for the road"."""
        if name.last >= len(body) or text[name.end : body[name.last].start] != " ":
            return False
        word = body[name.last].text
        if not word.islower() or not word.endswith(("s", "ed", "t")) or word.endswith(("ss", "'s", "’s")):
            return False
        lemma = word.removesuffix("s") if word.endswith("s") else word
        before = _before(body, name.first)
        return lemma not in _NOT_MAKING and before not in ("the", "a", "your", "my", "any", *_FOR)

    def _new(self, text: str, start: int, end: int, confidence: float) -> Mention:
        shown = text[start:end]
        key = brand_key(shown)
        known = self._by_squash.get(squash(key))
        return Mention(self.node(known or key, shown), start, end, confidence)

    def _continues(self, text: str, title: Sequence[Word], opening: int, last: int, body: Sequence[Word]) -> bool:
        """Whether the word at ``last`` still belongs to a name that begins the title."""
        word = title[last].text
        if not _adjacent(text, title, last) or not word[:1].isupper() or any(c.isdigit() for c in word):
            return False
        followers = self._starts.get(squash(title[last - 1].text))
        if followers is not None:
            others = len(followers) - (squash(word) in followers)  # distinct, however many titles there are
            if not others and _is_repeated(followers):
                return last - opening == 1  # "Mighty Bright" always goes on so
            if others > 1:
                return False
        gap = text[title[last - 1].end : title[last].start]
        if not any(c.isspace() for c in gap) or gap.startswith("."):
            return True  # "T-Rex", "K&K", "Dr. Duck"
        if self._inner.get(squash(word), 0) >= 2 or word[1:] != word[1:].lower() or last - opening > 1:
            return False
        if self._is_common(title[opening].text) and not self._is_common(word):
            return True  # "Lee Oskar": a first name is an ordinary word, a family name is not
        return self._written_as_name(text, title[opening].start, title[last].end, body)

    def _written_as_name(self, text: str, start: int, end: int, body: Sequence[Word]) -> bool:
        """Whether the description repeats these words of the title, capitalised."""
        name = squash(text[start:end])
        repeated = Gazetteer({name: name}).find(text, body[:400])
        return any(text[n.start].isupper() for n in repeated)

    def _usual_maker(self, title: Sequence[Word], size: int, opening: int) -> _Usual | None:
        """The brand of most known products whose titles open with the same ``size`` words."""
        if opening + size > len(title):
            return None
        return self._usual.get("".join(squash(w.text) for w in title[opening : opening + size]))

    def _learn_title(
        self, entry: ProductEntry, openings: dict[str, Counter[str]], followers: dict[tuple[str, str], set[str]]
    ) -> None:
        """Count which words open the titles of whom, what follows them, and which words stand anywhere else.

        Args:
            openings: by the words that open titles, brands of the products.
            followers: by first word and brand, the second words.
        """
        found = words(entry.title)
        if not found:
            return
        first = _first_word(found)
        squashed = [squash(w.text) for w in found]
        self._inner.update(set(squashed[first + 1 :]))
        second = squashed[first + 1] if first + 1 < len(found) else ""
        self._starts[squashed[first]][second] += 1
        if entry.brand and entry.brand not in _NO_BRAND:
            joined = ""
            for word in squashed[first : first + 3]:
                joined += word
                openings[joined][entry.brand] += 1
        if entry.brand and first + 1 < len(found):
            followers[squashed[first], entry.brand].add(second)

    def _is_common(self, shown: str) -> bool:
        """Whether a name is also an ordinary word of the language or of this catalogue."""
        return self._is_english(shown) or self._inner.get(squash(shown), 0) >= 5

    def _is_what_it_is(self, shown: str) -> bool:
        """Whether a word behind an ordinary word shows that both only say what the thing is."""
        is_model = any(c.isdigit() for c in shown) or (shown.isupper() and len(shown) <= 4)
        return shown.lower() in _FOR or (self._is_common(shown) and not is_model)

    def _is_english(self, shown: str) -> bool:
        word = shown.casefold()
        return word in self._common or singular(word) in self._common

    def _looks_like_name(self, text: str, name: Name) -> bool:
        """A name must be written as one: ``boss`` and ``on stage`` in a sentence are no brands."""
        shown = text[name.start : name.end]
        return any(c.isupper() for c in shown) or (not self._is_common(shown) and " " not in shown)

    def _plausibility(self, text: str, name: Name) -> float:
        return 0.6 if self._is_common(text[name.start : name.end]) else 0.85


def _is_repeated(counts: Counter[str] | None) -> bool:
    """Whether at least two were counted."""
    return counts is not None and (len(counts) > 1 or counts.total() > 1)


def _first_word(title: Sequence[Word]) -> int:
    """Index of the first word of a title that may be a name."""
    for i, word in enumerate(title):
        if word.text.lower() not in _TITLE_NOISE and not word.text.isdigit():
            return i
    return 0


def _before(found: Sequence[Word], index: int) -> str:
    return found[index - 1].text.lower() if index else ""


def _is_style(text: str, start: int, end: int) -> bool:
    """Whether a name only tells what the thing is like, or goes with: "Ardsley-style strap"."""
    return _STYLE.match(text, end) is not None or _STYLED.search(text, start, end) is not None


def _is_told_apart(text: str, start: int, end: int) -> bool:
    """Whether a sentence of a description names a brand to say that it is another's: "not made by Ardsley"."""
    ahead = _SENTENCE_END.split(text[max(0, start - 100) : start])[-1]
    return _NOT_BY.search(ahead) is not None or _TRADEMARK.match(text, end) is not None


def _is_target(found: Sequence[Word], index: int) -> bool:
    """Whether a name stands behind "for", "fits" and the like, up to three words before."""
    return any(w.text.lower() in _FOR for w in found[max(0, index - 3) : index])


def _is_part_of_name(text: str, found: Sequence[Word], name: Name) -> bool:
    """Whether a capitalised word or a number goes on behind a brand: then it names a product, of whomever."""
    if name.last >= len(found) or not _WITHIN_NAME.fullmatch(text, name.end, found[name.last].start):
        return False
    return found[name.last].text[:1].isupper() or found[name.last].text[:1].isdigit()


def _adjacent(text: str, found: Sequence[Word], index: int) -> bool:
    return bool(_WITHIN_NAME.fullmatch(text, found[index - 1].end, found[index].start))
