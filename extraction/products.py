"""Products and shelves that a text names: the catalogue's own titles, and the short names by which people call them.

Nobody writes "Lumo X100 Mirrorless Camera Body": they write "the X100", "my
Lumo X100" or "the Spark". From every title come several names: the whole of
it, the model number, the brand with what follows, what follows alone. A name
that several products share is told apart by the words around it, or it names
none of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from extraction.mentions import Lexicon, ProductEntry, Word, words
from extraction.ner import Gazetteer, Name
from extraction.normalise import quantities, singular, squash
from kg.graph import Node
from kg.normalise import PATH_SEPARATOR

CONTEXT_WORDS: Final = 4
"""How many words on either side of a name may tell which product is meant."""

MAX_SHARED: Final = 50
"""A name that more products share is not told apart: the words around it would have to be compared with each."""

# What comes behind one of these in a title is no longer the product's own name.
_TITLE_TAIL: Final = re.compile(
    r",|\s[-–|]\s|\s?\(|:|\s(?:for|with|w/|fits|compatible|by|from|in|includes|including|plus|and)\s", re.IGNORECASE
)
_MODEL: Final = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![\w-])")
# "10ft", "24-70mm", "2-pack" and "1st" hold digits and letters and are no model numbers.
_NO_MODEL: Final = re.compile(
    r"\d[\d.-]*(?:mm|cm|m|in|inch|ft|foot|feet|g|kg|oz|lb|lbs|ml|l|gb|mb|tb|v|w|a|mah|hz|khz|mp|h|hr|d|x|k|p|pc|pcs)|"
    r"\d+(?:st|nd|rd|th)|\d+-?(?:pack|piece|string|person|season|way|in-1|in-one|watt|volt|key|band|channel|inch)s?|"
    r"usb-?c?\d?|mp3|mp4|ip\d\d|ipx\d|\d+-[a-z]{4,}|[a-z]{5,}-\d",
    re.IGNORECASE,
)
# Sizes, standards and formats that look like codes, and are no product's number.
_STANDARD: Final = re.compile(
    r"a\d{1,2}|b[0-7]|\d+(?:x\d+)+|[2-8]k|uhd\d*|(?:480|576|720|1080|1440|2160|4320)[ip]|usb\d*|hdmi\d?|mp\d|[hx]26\d|"
    r"ip[x\d]{2}[a-z]?|wi-?fi\d?|cat\d[a-z]?|g?ddr\d[a-z]?|pcie?\d|rj\d+|[2-6]g|bt\d|u[1-3]|v[369]0|uhs-?i*\d?|"
    r"(?:x{1,4}|\d)x?[sl]\d?|[cl]r\d{1,4}|18650|802\d*[a-z]*|nd\d+|c\d+h\d+\w*|ps\d|win\d+|ios\d+|[bp]2[bcp]|i[3579]|"
    r"e(?:14|17|26|27|40)|b(?:15|22)d|b22|gu(?:5|10|24)|mr(?:11|16)|par\d\d|"
    r"\d+in\d+|\d+(?:rpm|fps|dpi|gsm|ply|bit|[mg]hz|k[wv]h?|wh|ah|btu|lm|gal|yd|nm|db|t)",
    re.IGNORECASE,
)
# Threads, slots and sockets, unless the maker's name stands before them: "M2 screws", "Kestley M2", "G9 bulb".
_THREAD: Final = re.compile(r"m\.?\d{1,2}|g(?:4|9|13|23|24)[dq]?|e1[012]|t(?:5|8)", re.IGNORECASE)
LEAST_CODE: Final = 2
"""Characters of the shortest model number that a title gives: "K7"."""


class NameKind(IntEnum):
    """How surely a name stands for its product, the surest first."""

    WHOLE = 0
    """The whole title, or a model number."""
    BRANDED = 1
    """The brand with the first words behind it."""
    SHORT = 2
    """The words behind the brand without the brand: "Fjord 40"."""
    WORD = 3
    """A single word or a model of two characters: believed only where it is written as a name."""


@dataclass(frozen=True, slots=True)
class ProductName:
    """A place in a text that names products of the lexicon; several when nothing tells them apart."""

    start: int
    end: int
    skus: tuple[str, ...]
    kind: NameKind


class ProductFinder:
    """Products that a text names.

    Args:
        common: ordinary words, lower case: a name of such words alone is none ("guitar strap").
        accessories: nouns of things made for other things: "Lumo X100" is the camera, not its case.
    """

    def __init__(self, lexicon: Lexicon, common: frozenset[str], accessories: frozenset[str]) -> None:
        self._products = lexicon.products
        # Those that came since: the lexicon is its maker's.
        self._came: dict[str, ProductEntry] = {}
        self._common = common
        self._accessories = accessories
        self._brand_names = {squash(name) for pair in lexicon.brands.items() for name in pair}
        # In how many titles a word stands where no name of a line stands: "Tripod" does, "Spark" does not.
        self._general: Counter[str] = Counter()
        for entry in lexicon.products.values():
            self._count(entry)
        # The kind of each name, and the products that it may mean.
        self._called: dict[str, tuple[NameKind, tuple[str, ...]]] = {}
        self._written: dict[str, set[str]] = defaultdict(set)
        for sku, entry in lexicon.products.items():
            for shown, kind in self._names(*_parts(entry)):
                self._learn(sku, shown, kind)
        self._gazetteer = Gazetteer(self._called.keys())

    def find(self, text: str, found: Sequence[Word]) -> list[ProductName]:
        """Products named in a text, from left to right."""
        names: list[ProductName] = []
        position = 0
        while position < len(found):
            name = self._gazetteer.at(text, found, position)
            if name is None or not self._is_written_as_name(text, found, name):
                position += 1
                continue
            position = name.last
            names.append(ProductName(name.start, name.end, self._meant(found, name), self._called[name.key][0]))
        return names

    def learn(self, lexicon: Lexicon) -> tuple[str, ...]:
        """Know these products and brands too, as if they had been there from the beginning but for one thing.

        Names of older products are not thought of again: if "Spark" has been the name of a line, and now stands in the
        midst of other titles, it stays one until a finder is built anew. So does the name of a title that has changed.

        Returns:
            Which of them it did not know by these titles.
        """
        self._brand_names |= {squash(name) for pair in lexicon.brands.items() for name in pair}
        new = {sku: entry for sku, entry in lexicon.products.items() if self.entry(sku) != entry}
        for entry in new.values():
            self._count(entry)
        self._came |= new
        for sku, entry in new.items():
            names = list(self._names(*_parts(entry)))
            for shown, kind in names:
                self._learn(sku, shown, kind)
            self._gazetteer.learn(squash(shown) for shown, _ in names)
        return tuple(new)

    def entry(self, sku: str) -> ProductEntry | None:
        """What is known of a product."""
        return self._came.get(sku) or self._products.get(sku)

    def sure_names(self, sku: str) -> list[str]:
        """Names of a product that are not ordinary words alone; of two that begin alike the shorter."""
        entry = self.entry(sku)
        if entry is None:
            return []
        sure = {name for name, kind in self._names(*_parts(entry)) if kind <= NameKind.BRANDED}
        shown = sorted(sure, key=lambda name: (len(name), name))
        return [name for n, name in enumerate(shown) if not name.startswith(tuple(f"{s} " for s in shown[:n]))]

    def _count(self, entry: ProductEntry) -> None:
        self._general.update({squash(w.text) for w in _parts(entry)[1][1:]})

    def _title(self, sku: str) -> str:
        entry = self.entry(sku)
        return entry.title if entry is not None else ""

    def _learn(self, sku: str, shown: str, kind: NameKind) -> None:
        name = squash(shown)
        surest, skus = self._called.get(name, (kind, ()))
        # One more than are told apart shows that there are too many.
        if sku not in skus and len(skus) <= MAX_SHARED:
            skus = (*skus, sku)
        self._called[name] = (min(kind, surest), skus)
        if kind is NameKind.WORD:
            self._written[name].add(shown)

    def _names(self, brand: Sequence[Word], behind: Sequence[Word]) -> Iterator[tuple[str, NameKind]]:
        """Names by which a text may call a product, from the words of its title that are and are not its brand."""
        if not behind:
            return
        label = " ".join(w.text for w in brand)
        whole = " ".join(w.text for w in behind)
        if len(behind) >= 2 and (brand or self._is_unusual(behind)) and self._is_unusual([*brand, *behind]):
            yield f"{label} {whole}".strip(), NameKind.WHOLE
        for match in _MODEL.finditer(whole):
            model = match.group()
            if not _NO_MODEL.fullmatch(model):
                yield model, NameKind.WHOLE if len(squash(model)) >= 3 else NameKind.WORD
        for size in range(1, min(6, len(behind)) + 1):
            shown = " ".join(w.text for w in behind[:size])
            if brand and not (size == 1 and behind[0].text.isdigit()):
                yield f"{label} {shown}", NameKind.BRANDED
            if 1 < size < 5 and self._is_line(behind[0]) and self._is_unusual(behind[:size]):
                yield shown, NameKind.SHORT
        if self._is_line(behind[0]) and len(behind[0].text) >= 4:
            yield behind[0].text, NameKind.WORD

    def _is_line(self, word: Word) -> bool:
        """Whether a word behind the brand is the name of a line of products, and not what they are."""
        text = word.text.casefold()
        return (
            text[0].isalpha()
            and word.text[:1].isupper()
            and self._general[squash(text)] == 0
            and singular(text) not in self._accessories
            and squash(text) not in self._brand_names
        )

    def _is_unusual(self, found: Sequence[Word]) -> bool:
        return any(w.text.casefold() not in self._common or any(c.isdigit() for c in w.text) for w in found)

    def _is_written_as_name(self, text: str, found: Sequence[Word], name: Name) -> bool:
        """A name must be written as one: the stove "Spark" is not every spark, nor "M2" every m²."""
        shown = text[name.start : name.end]
        kind = self._called[name.key][0]
        if kind < NameKind.WORD:
            return any(c.isupper() or c.isdigit() for c in shown)
        if shown not in self._written[name.key] and shown.removesuffix("s") not in self._written[name.key]:
            return False
        if any(c.isdigit() for c in shown) or shown.casefold() not in self._common:
            return True
        # An ordinary word is a name where only names have a capital: within a sentence of small letters.
        before = text[max(0, name.start - 3) : name.start].strip()
        opens = not before or before[-1] in '.!?:;•"“(' or "\n" in text[max(0, name.start - 2) : name.start]
        beside = [found[i].text for i in (name.first - 1, name.last) if 0 <= i < len(found)]
        return not opens and any(w.islower() for w in beside)

    def _meant(self, found: Sequence[Word], name: Name) -> tuple[str, ...]:
        """The products that a name may mean here."""
        skus = self._called[name.key][1]
        if len(skus) == 1 or len(skus) > MAX_SHARED:
            return skus
        around = [
            *found[max(0, name.first - CONTEXT_WORDS) : name.first],
            *found[name.last : name.last + CONTEXT_WORDS],
        ]
        near = {singular(w.text) for w in around}
        shared = {s: sum(word in near for word in head_words(self._title(s))) for s in skus}
        best = max(shared.values())
        if best:
            skus = tuple(s for s in skus if shared[s] == best)
        own = tuple(s for s in skus if not is_accessory(self._title(s), self._accessories))
        return own or skus


def is_code(word: str) -> bool:
    """Whether a word looks like a model number: letters and digits mixed, and no size and no standard."""
    return bool(_MODEL.fullmatch(word)) and not _NO_MODEL.fullmatch(word) and not _STANDARD.fullmatch(word)


def _parts(entry: ProductEntry) -> tuple[list[Word], list[Word]]:
    """The words of the head of a title that are its brand, and those behind it."""
    found = words(title_head(entry.title))
    brand = squash(entry.brand) if entry.brand else ""
    joined = ""
    for i, word in enumerate(found[:4]):
        joined += squash(word.text)
        if joined == brand and i + 1 < len(found):
            return found[: i + 1], found[i + 1 :]
    return [], found


def model_number(title: str, brand: tuple[int, int] | None) -> tuple[int, int] | None:
    """Where a title says its product's model number: letters and digits mixed, no size and no standard.

    It stands right behind the brand, or is the only such code in the part of the title that names the product.

    Args:
        brand: where the title names the maker, if it does.
    """
    head = title_head(title)
    measured = [(q.start, q.end) for q in quantities(head)]
    codes = [
        match.span()
        for match in _MODEL.finditer(head)
        if len(squash(match.group())) >= LEAST_CODE
        and any(c.isupper() for c in match.group())
        and not _NO_MODEL.fullmatch(match.group())
        and not _STANDARD.fullmatch(match.group())
        and not any(s < match.end() and match.start() < e for s, e in measured)
        and not (brand is not None and brand[0] < match.end() and match.start() < brand[1])
    ]
    beside = [code for code in codes if brand is not None and head[brand[1] : code[0]].strip(" -®™©") == ""]
    if brand is not None and beside:
        return beside[0]
    alone = [(start, end) for start, end in codes if not _THREAD.fullmatch(head[start:end])]
    return alone[0] if len(alone) == 1 else None


@lru_cache(maxsize=50_000)
def head_words(title: str) -> tuple[str, ...]:
    """The words of the head of a title in the singular: looked up again and again where many products share a name."""
    return tuple(singular(w.text) for w in words(title_head(title)))


def title_head(title: str) -> str:
    """The part of a title that names the product itself: "Lumo LP-6 battery" of "Lumo LP-6 battery for X100, black"."""
    tail = _TITLE_TAIL.search(title, 2)
    return title[: tail.start()] if tail else title


@lru_cache(maxsize=50_000)
def is_accessory(title: str, accessories: frozenset[str]) -> bool:
    """Whether the thing that a title names is one that is made to be used with another thing."""
    found = [singular(w.text) for w in words(title_head(title)) if not any(c.isdigit() for c in w.text)]
    while found and found[-1] in ("set", "pack", "pair"):
        found.pop()
    ends = [found[: len(found) - skip] for skip in (0, 1) if len(found) > skip]
    return any(end[-1] in accessories or " ".join(end[-2:]) in accessories for end in ends)


class CategoryFinder:
    """Categories by the last name of their path, in singular or plural.

    A name that stands on several shelves may mean each of them.

    Args:
        parts: whether "Bags & Cases" is also found as "bags" and as "cases".
    """

    def __init__(self, lexicon: Lexicon, *, parts: bool) -> None:
        self._parts = parts
        self._paths = self._forms(lexicon.categories)
        self._gazetteer = Gazetteer(self._paths.keys())

    def learn(self, categories: Iterable[str]) -> None:
        """Know these paths too."""
        forms = self._forms(categories)
        for form, paths in forms.items():
            self._paths[form] = tuple(dict.fromkeys((*self._paths.get(form, ()), *paths)))
        self._gazetteer.learn(forms)

    def _forms(self, categories: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The names under which paths are found, each with those that it may mean."""
        paths: dict[str, list[str]] = defaultdict(list)
        for path in categories:
            leaf = path.rpartition(PATH_SEPARATOR)[2]
            for name in leaf_names(leaf) if self._parts else [leaf]:
                for form in {squash(name), squash(_singular_last(name)), squash(_plural_last(name))}:
                    paths[form].append(path)
        return {name: tuple(dict.fromkeys(found)) for name, found in paths.items() if len(name) >= 3}

    def find(self, text: str, found: Sequence[Word]) -> list[tuple[Name, tuple[str, ...]]]:
        """Names of categories in a text with the paths that they may mean."""
        return [(name, self._paths[name.key]) for name in self._gazetteer.find(text, found)]

    @staticmethod
    def node(path: str) -> Node:
        """The node of a category."""
        return Node("Category", path, {"name": path.rpartition(PATH_SEPARATOR)[2]})


def leaf_names(leaf: str) -> list[str]:
    """The things that stand on a shelf: "Bags & Cases" has two names beside its own."""
    parts = [part.strip() for part in re.split(r"\s(?:&|and)\s|,|/", leaf)]
    return list(dict.fromkeys([leaf, *(part for part in parts if len(part) >= 3)]))


def _singular_last(name: str) -> str:
    head, _, last = name.rpartition(" ")
    return f"{head} {singular(last)}".strip()


def _plural_last(name: str) -> str:
    if name.endswith("s"):
        return name
    return name[:-1] + "ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else name + "s"
