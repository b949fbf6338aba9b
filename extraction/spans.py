"""A product text as words and as runs of words: the candidates for a value, and what depends on no question.

Words are cut finely, between letters and digits too, so that the 40 of
``40mm`` and the 24 of ``24"`` are candidates. In WDC PAVE 98.5 % of the values
are runs of such words (96.4 % of the words between spaces and marks), 97 to
98 % runs of at most :data:`WIDTH`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct

WIDTH: Final = 8
"""Words of the longest run that is a candidate."""
MAX_CHARS: Final = 1500
"""Of a text, what is read: beyond it shops repeat themselves, and word pieces end."""
MAX_WORDS: Final = 400
"""Of a text, the words that are read."""
PHRASE: Final = 3
"""Words of the longest run of which is counted in how many texts it stands, and how titles go on behind it."""
MAX_VALUE: Final = 100
"""Characters of the longest value."""

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
CODE: Final = re.compile(r"(?<![^\s,;(:])(?=\S*\d)[A-Za-z0-9]+(?:[-/.][A-Za-z0-9]+)*(?![^\s,;):.!?])")
"""What may be a code: letters and digits that stand apart, with a digit."""
LEAST_CODE: Final = 4
"""Characters of the shortest code."""
_TRADE_MARKS: Final = " \t\n®™©"
_CLOSING: Final = frozenset("\"'#%+″”’)")
"""Marks with which a value may end."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A run of words with which a title may name the maker, folded."""

    run: str
    behind: str
    """The word behind it; empty where a code, a mark that parts, or the end follows."""


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A text cut into words; ``n`` runs of them are candidates."""

    raw: str
    title_end: int
    words: tuple[str, ...]
    """As they stand."""
    folded: tuple[str, ...]
    starts: NDArray[np.int32]
    """First character of each word."""
    ends: NDArray[np.int32]
    first: NDArray[np.int32]
    """First word of each run, ``[n]``."""
    last: NDArray[np.int32]
    """One past the last word of each run, ``[n]``."""
    keys: tuple[str, ...]
    """Each run folded: what the memory counts."""
    shapes: tuple[str, ...]
    plain: NDArray[np.bool_]
    """Runs that are candidates although the memory does not know them: they begin and end with a word."""
    broken: NDArray[np.float32]
    """How many of a run's two edges lie inside a word as people see words."""
    repeats: NDArray[np.float32]
    """How often each run stands in the text."""
    in_both: NDArray[np.bool_]
    """Runs that stand in the title and below it."""
    openings: tuple[Opening, ...]
    """How the title begins, and how it goes on behind each "by": the short runs there, the shortest first."""

    def value(self, run: int) -> str:
        """A run as it stands in the text."""
        return self.raw[self.starts[self.first[run]] : self.ends[self.last[run] - 1]]


def cut(product: MarkedProduct) -> Text:
    """A product's text as words and runs."""
    return _cut(product.text[:MAX_CHARS], len(product.title))


@lru_cache(maxsize=512)
def _cut(raw: str, title_end: int) -> Text:
    found = list(_WORD.finditer(raw))[:MAX_WORDS]
    words = tuple(m.group() for m in found)
    starts, ends = [m.start() for m in found], [m.end() for m in found]
    count = len(words)
    first: list[int] = []
    last: list[int] = []
    keys: list[str] = []
    shapes: list[str] = []
    plain: list[bool] = []
    broken: list[int] = []
    folded = tuple(w.casefold() for w in words)
    opens = [w[0].isalnum() for w in words]
    closes = [opens[i] or w in _CLOSING for i, w in enumerate(words)]
    # Whether letters or digits go on across the gap before each word, and at the end of the text.
    joined = [i > 0 and starts[i] == ends[i - 1] and opens[i] and opens[i - 1] for i in range(count)] + [False]
    # What each word adds to a run that it does not begin, with the gap before it: to its key, and to its shape.
    gaps = [raw[ends[i - 1] : starts[i]] if i else "" for i in range(count)]
    more = [" " + word if gap else word for gap, word in zip(gaps, folded, strict=True)]
    looks = [shape(word) for word in words]
    more_looks = [shape(gap) + look for gap, look in zip(gaps, looks, strict=True)]
    for i in range(count):
        key, look = folded[i], looks[i]
        for j in range(i + 1, min(i + WIDTH, count) + 1):
            if ends[j - 1] - starts[i] > MAX_VALUE:
                break
            if j > i + 1:
                key += more[j - 1]
                # The same kind on both sides is one.
                look += more_looks[j - 1][look[-1] == more_looks[j - 1][0] :]
            first.append(i)
            last.append(j)
            keys.append(key)
            shapes.append(look)
            plain.append(opens[i] and closes[j - 1])
            broken.append(joined[i] + joined[j])
    openings: dict[str, Opening] = {}
    for opening in _openings(raw[:title_end], words, starts, ends):
        openings.setdefault(opening.run, opening)
    often = Counter(keys)
    above = {keys[n] for n, j in enumerate(last) if ends[j - 1] <= title_end}
    below = {keys[n] for n, i in enumerate(first) if starts[i] >= title_end}
    return Text(
        raw,
        title_end,
        words,
        folded,
        np.array(starts, dtype=np.int32),
        np.array(ends, dtype=np.int32),
        np.array(first, dtype=np.int32),
        np.array(last, dtype=np.int32),
        tuple(keys),
        tuple(shapes),
        np.array(plain, dtype=bool),
        np.array(broken, dtype=np.float32),
        np.array([often[k] for k in keys], dtype=np.float32),
        np.array([k in above and k in below for k in keys], dtype=bool),
        tuple(openings.values()),
    )


def _openings(title: str, words: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> Iterator[Opening]:
    codes = [m.span() for m in CODE.finditer(title) if len(m.group()) >= LEAST_CODE]

    def next_word(i: int) -> int | None:
        """The first word from the i-th on, marks left out, that stands in the title."""
        return next((n for n in range(i, len(words)) if words[n][0].isalnum() and ends[n] <= len(title)), None)

    def is_code(i: int) -> bool:
        return any(start <= starts[i] < end for start, end in codes)

    begin = next_word(0)
    while begin is not None and is_code(begin):
        begin = next_word(begin + 1)
    by = [next_word(i) for i, word in enumerate(words, start=1) if word.casefold() == "by" and ends[i - 1] < len(title)]
    for first in dict.fromkeys(i for i in (begin, *by) if i is not None):
        for last in range(first, min(first + PHRASE, len(words))):
            if ends[last] > len(title) or is_code(last):
                break
            if not words[last][0].isalnum():
                continue
            run, after = fold(title[starts[first] : ends[last]]), next_word(last + 1)
            if after is None:
                yield Opening(run, "")
                continue
            gap = title[ends[last] : starts[after]]
            if any(map(str.isspace, gap)):  # Bunn-O-Matic is one name
                goes_on = not is_code(after) and not gap.strip(_TRADE_MARKS)
                yield Opening(run, words[after].casefold() if goes_on else "")


def occurrences(text: Text, value: str) -> list[tuple[int, int]]:
    """Runs of words that are a value: first word and one past the last. Longer runs than candidates are found too."""
    wanted = words_of(value)
    size = len(wanted)
    if not size:
        return []
    return [(i, i + size) for i in range(len(text.words) - size + 1) if text.words[i : i + size] == wanted]


@lru_cache(maxsize=100_000)
def words_of(value: str) -> tuple[str, ...]:
    """The words of a value."""
    return tuple(_WORD.findall(value))


@lru_cache(maxsize=200_000)
def fold(value: str) -> str:
    """A value without case and with single spaces."""
    return " ".join(value.casefold().split())


@lru_cache(maxsize=200_000)
def shape(value: str) -> str:
    """How a value looks: ``YA24a`` is ``Xdx``, ``40mm`` is ``dx``, ``Deep Blue`` is ``Xx Xx``."""
    looks: list[str] = []
    for c in value:
        kind = "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c
        if not looks or looks[-1] != kind:
            looks.append(kind)
    return "".join(looks)
