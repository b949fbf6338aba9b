"""What people type into a search box, brought nearer to what titles say: units, and words that are misspelt.

Pure functions: what the catalogue knows of a word is asked elsewhere
(``search/words.cypher``) and handed in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from rapidfuzz.distance import OSA

_WORD: Final = re.compile(r"[^\W\d_]+")
_QUANTITY: Final = re.compile(
    r"""(?<![^\W_xX]) (?<![\d.,/])             # no letter before it, as in the model r134a, but the x of 2x4in
    (?P<number> \d[\d.,/]* ) (?<=\d) \s*-?\s*
    (?P<unit> [a-z]+\b\.? | " | ” | '' | ' | ’ )""",
    re.IGNORECASE | re.VERBOSE,
)
_SPELLINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(('"', "”", "''", "in", "inch", "inches"), "in"),
    **dict.fromkeys(("'", "’", "ft", "foot", "feet"), "ft"),
    **dict.fromkeys(("v", "volt", "volts"), "volt"),
    **dict.fromkeys(("w", "watt", "watts"), "watt"),
    **dict.fromkeys(("a", "amp", "amps"), "amp"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), "lb"),
    **dict.fromkeys(("gal", "gallon", "gallons"), "gal"),
    **dict.fromkeys(("mm", "cm", "sq", "oz", "mil", "hp", "btu", "cc"), ""),
}
"""How titles of shops write a unit; empty: as it stands, but for the space before it."""

SHORTEST: Final = 4
"""Letters of the shortest word that is corrected: of a shorter one, too much else is one letter away."""
LONGEST: Final = 32
"""Letters of the longest: of a longer one nobody knows what it was to be, and of thousands of letters the halves alone
would fill a memory."""
MOST: Final = 32
"""Words that are corrected: as many as ``search/products`` looks for."""
LONG: Final = 6
"""From so many letters on two slips are forgiven, else one."""
_SLIP: Final = 3.0
"""What a slip costs, against the logarithm of the number of products with the word: of two words that are as near, the
twenty times as frequent one is worth one slip more. Chosen on Home Depot's queries, the development half."""
_SPLIT: Final = 2.5
"""What it costs to take a word for two that lack a space."""
_RARE: Final = 3
"""A word of fewer products may itself be a slip of whoever wrote the title: it must be very near to be meant."""


def tidied(text: str) -> str:
    """Quantities as titles write them: ``3/4"`` as ``3/4 in``, ``18v`` as ``18 volt``.

    >>> tidied('18v drill 3/4" bit, 6\\' ladder')
    '18 volt drill 3/4 in bit, 6 ft ladder'
    """

    def write(found: re.Match[str]) -> str:
        unit = found["unit"].casefold().removesuffix(".")
        if unit not in _SPELLINGS:
            return found.group()
        return f"{found['number']} {_SPELLINGS[unit] or unit} "

    return " ".join(_QUANTITY.sub(write, text).replace(" ,", ",").split())


def unknown_words(text: str) -> list[str]:
    """The first words of a text that may be corrected, lower case: letters alone, not too short and not too long."""
    words = (m.group().casefold() for m in _WORD.finditer(text))
    return list(dict.fromkeys(w for w in words if SHORTEST <= len(w) <= LONGEST))[:MOST]


def halves(word: str) -> Iterator[tuple[str, str]]:
    """The ways in which a word may be two that lack a space between them: "bathroomvanity"."""
    for cut in range(3, len(word) - 2):
        yield word[:cut], word[cut:]


def is_near(word: str, other: str) -> bool:
    """Whether ``other`` may be what ``word`` was meant to be."""
    return word != other and slips(word, other) <= (2 if len(word) >= LONG else 1)


def corrected(word: str, products: Mapping[str, int]) -> str:
    """What ``word``, which no product has, was probably meant to be; itself where nothing is near.

    Args:
        products: in how many products a word stands; of all words that are near, and of all halves.
    """
    if any(count and word in (f"{other}s", other.removesuffix("s")) for other, count in products.items()):
        return word  # its singular or plural is known, and the search does not tell them apart
    best, best_score = word, -math.inf
    for other, count in sorted(products.items()):
        if not count or not is_near(word, other):
            continue
        distance = slips(word, other)
        same = other[0] == word[0]
        if count < _RARE and not (distance == 1 and same):
            continue
        score = math.log(count) - _SLIP * distance + (1.0 if same else -1.0)
        if score > best_score:
            best, best_score = other, score
    for first, second in halves(word):
        count = min(products.get(first, 0), products.get(second, 0))
        if count >= _RARE and (score := math.log(count) - _SPLIT) > best_score:
            best, best_score = f"{first} {second}", score
    return best


def rewritten(text: str, corrections: Mapping[str, str]) -> str:
    """The text with its words corrected, all else as it stands."""
    return _WORD.sub(lambda m: corrections.get(m.group().casefold(), m.group()), text)


def slips(word: str, other: str) -> int:
    """Letters left out, put in, taken for another, or swapped with the next (optimal string alignment).

    >>> slips("sprkinler", "sprinkler"), slips("frnch", "french"), slips("vynal", "vinyl")
    (2, 1, 2)
    """
    return OSA.distance(word, other)
