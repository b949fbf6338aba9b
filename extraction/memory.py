"""A memory of known values, and the questions put to it: which run of words states an attribute's value?

For a text and an attribute every run of words is a candidate; so is each value
that the memory knows for the category, where it stands inside a word or nowhere
in the text; so is "not stated". A candidate's score comes from the features
below (:mod:`extraction.fitting`), and one softmax runs over all candidates of a question. Some features need no
example of the attribute: the signs of :mod:`extraction.kinds`. While the weights
are fitted each text is taken out of the memory, so that they learn how far to
trust it on texts never seen.

How well an attribute is known is one of three things (:data:`REGIMES`), and each
has weights of its own. *Known*: it was looked for in this category. *Moved*: it
was looked for in others, and is asked of them; the weights are fitted with one
category after another out of the memory. *New*: it was never looked for, and is
asked of its likes: every count is a sum over the known attributes, weighted by
how like their names are (:mod:`extraction.kin`); the weights are fitted by treating each known attribute
as if it were new.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extraction.benchmarks import MarkedProduct
from extraction.kin import Kin
from extraction.kinds import SIGNS, SILENCES
from extraction.spans import MAX_VALUE, PHRASE, WIDTH, Text, cut, fold, occurrences, shape, words_of

MAX_KNOWN: Final = 30
"""Known values of a category that are tried although no run of words is one of them."""
FEATURES: Final = (
    "none",
    "none_prior",
    "known_here",
    "known_here_odds",
    "known_elsewhere",
    "known_elsewhere_odds",
    "shape",
    "words",
    "left",
    "right",
    "first",
    "in_title",
    "length",
    "broken",
    "rivals",
    "label",
    "label_next",
    "label_after",
    "inside",
    "absent",
    "absent_odds",
    "usual",
    "usual_here",
    "repeats",
    "in_both",
    "labelled_kind",
    "taken",
    *SIGNS,
    *SILENCES,
)
"""The features, in the order of the weights; the signs are :mod:`extraction.kinds`'."""
Regime = Literal["known", "moved", "new"]
REGIMES: Final[tuple[Regime, ...]] = get_args(Regime)
LEAST_OPENINGS: Final = 3
"""Titles that open with a run, from which on these tell whether it is a maker's name; not chosen by measurement."""
MIN_PLURAL: Final = 3
"""Letters of the longest word whose s is no plural's."""
MIN_KIN: Final = 0.001
"""Weight below which another attribute's counts are not looked at."""
_NOTHING: Final[Counter[str]] = Counter()
_COLUMN: Final = {name: i for i, name in enumerate(FEATURES)}
_SIGNS: Final = [_COLUMN[name] for name in SIGNS]
_SILENCES: Final = [_COLUMN[name] for name in SILENCES]

Claims = Mapping[str, Sequence[int]]
"""Known attribute → the runs of a text that are its value."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may answer a question; the first candidate is "not stated"."""

    text: Text
    runs: NDArray[np.int32]
    """Of the next candidates, the number of each one's run in ``text``, ``[r]``."""
    others: tuple[tuple[str, int, int], ...]
    """Of the candidates after those, the value and the run of words around it; ``(value, 0, 0)`` stands nowhere."""
    features: NDArray[np.float32]
    """``[1 + r + others, features]``."""

    def __len__(self) -> int:
        return len(self.features)

    def value(self, candidate: int) -> str | None:
        """The answer that a candidate gives."""
        if not candidate:
            return None
        if candidate <= len(self.runs):
            return self.text.value(int(self.runs[candidate - 1]))
        return self.others[candidate - 1 - len(self.runs)][0]

    def start(self, candidate: int) -> int | None:
        """Where in the text a candidate's value begins; ``None`` for one that stands nowhere, or for "not stated"."""
        if not candidate:
            return None
        if candidate <= len(self.runs):
            return int(self.text.starts[self.text.first[self.runs[candidate - 1]]])
        value, first, last = self.others[candidate - 1 - len(self.runs)]
        if not last:
            return None
        begin = int(self.text.starts[first])
        within = self.text.raw.find(value, begin, int(self.text.ends[last - 1]))
        return within if within >= 0 else None

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last word of each candidate; -1 for "not stated", -2 for a value that stands nowhere."""
        around = np.array([(a, z - 1) if z else (-2, -2) for _, a, z in self.others], dtype=np.int64).reshape(-1, 2)
        first = np.concatenate([[-1], self.text.first[self.runs], around[:, 0]]).astype(np.int64)
        last = np.concatenate([[-1], self.text.last[self.runs] - 1, around[:, 1]]).astype(np.int64)
        return first, last

    def right(self, values: Sequence[str]) -> NDArray[np.bool_]:
        """Which candidates are right where ``values`` are."""
        found = np.zeros(len(self), dtype=bool)
        if not values:
            found[0] = True
            return found
        folded = {fold(v) for v in values}
        for i, run in enumerate(self.runs.tolist(), start=1):
            if self.text.keys[run] in folded and self.text.value(run) in values:
                found[i] = True
        for i, (value, *_) in enumerate(self.others, start=1 + len(self.runs)):
            found[i] = value in values
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A text, and what a memory knows of it whatever the question."""

    category: str
    text: Text
    ids: NDArray[np.int64]
    """The memory's numbers of the words, with those of the two edges around them, ``[words + 2]``."""
    general: NDArray[np.float32]
    """Logarithm of one plus the number of texts in which each of them stands, ``[words + 2]``."""
    shapes: NDArray[np.int64]
    """The memory's number of each run's shape."""
    owned: tuple[tuple[int, Counter[tuple[str, str]]], ...]
    """Runs that are known values, and how often of what."""
    keys: frozenset[str]
    folded: str
    usual: NDArray[np.float32]
    """How usual each run is: the logarithm of the texts in which it stands, and that of its odds to stand in a text of
    this category, ``[runs, 2]``; zeros for runs that are long, or that no other text has."""
    makers: NDArray[np.float32]
    """How sure each run is a maker's name because other titles open with it and go on in many ways, ``[runs]``; NaN
    where they say nothing of it."""


class Memory:
    """Counts of what was right, where, and of what stood beside it; a text can be taken out of it again."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """(category, attribute) → folded value → in how many texts it was right."""
        self.known: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        """Folded value → (category, attribute) → in how many texts it was right."""
        self.asked: Counter[tuple[str, str]] = Counter()
        self.silent: Counter[tuple[str, str]] = Counter()
        """How often an attribute was looked for, and how often in vain."""
        self.texts: Counter[str] = Counter()
        """Category → how many texts of it were counted."""
        self.attributes: dict[str, int] = {}
        """Attribute → its row in the tables."""
        self._anywhere: dict[str, Counter[str]] = defaultdict(Counter)
        """Attribute → folded value → in how many texts it was right."""
        self._spellings: dict[str, Counter[str]] = defaultdict(Counter)
        self._word_ids: dict[str, int] = {"": 0}
        self._shape_ids: dict[str, int] = {"": 0}
        self._phrases: Counter[str] = Counter()
        self._phrases_here: dict[str, Counter[str]] = defaultdict(Counter)
        """In how many texts a short run of words stands; of a category, the same."""
        self._openings: dict[str, Counter[str]] = defaultdict(Counter)
        """Run with which titles begin, or that "by" precedes → the word behind, see
        :class:`~extraction.spans.Opening` → in how many texts."""
        self._behind: dict[str, Counter[str]] = defaultdict(Counter)
        """Word → the one word with which titles begin before it → in how many texts."""
        self._general = np.zeros(1024, dtype=np.float32)
        """In how many texts a word stands at all, ``[words]``."""
        # Of the words in, before and after values and of their shapes: [attributes, words or shapes].
        self._words, self._left, self._right, self._shapes = (np.zeros((8, 256), dtype=np.float32) for _ in range(4))
        self._total = np.zeros(8, dtype=np.float32)

    def add(self, product: MarkedProduct, *, times: int = 1) -> None:
        """Count a text; with ``times=-1`` take it out again."""
        text = cut(product)
        for number in [self._word(word) for word in dict.fromkeys(text.folded)]:
            self._general[number] += times
        self.texts[product.category] += times
        phrases = _phrases(text)
        here = self._phrases_here[product.category]
        for phrase in phrases:
            self._phrases[phrase] += times
            here[phrase] += times
        for opening in text.openings:
            self._openings[opening.run][opening.behind] += times
            if " " not in opening.run:
                self._behind[opening.behind][opening.run] += times
        for attribute, values in product.targets.items():
            question = (product.category, attribute)
            self.asked[question] += times
            self.silent[question] += times * (not values)
            row = self._row(attribute)
            self._total[row] += times * len(values)
            for value in values:
                key = fold(value)
                self._spellings[key][value] += times
                self.values[question][key] += times
                self.known[key][question] += times
                self._anywhere[attribute][key] += times
                self._count("_shapes", row, self._id(self._shape_ids, shape(value)), times)
                for word in {w.casefold() for w in words_of(value)}:
                    self._count("_words", row, self._word(word), times)
                for first, last in occurrences(text, value)[:1]:
                    before = text.folded[first - 1] if first else "^"
                    after = text.folded[last] if last < len(text.folded) else "$"
                    self._count("_left", row, self._word(before), times)
                    self._count("_right", row, self._word(after), times)

    def read(self, product: MarkedProduct) -> Reading:
        """What the questions about one text have in common. Valid until the next :meth:`add`."""
        text = cut(product)
        # Opening and closing marks stand for the edges of the text.
        ids = np.array([self._word_ids.get(w, 0) for w in ("^", *text.folded, "$")], dtype=np.int64)
        shapes = np.array([self._shape_ids.get(s, 0) for s in text.shapes], dtype=np.int64)
        owned = [(run, owners) for run, key in enumerate(text.keys) if (owners := self.known.get(key))]
        folded = text.raw.casefold()
        return Reading(
            product.category,
            text,
            ids,
            np.log(self._general[ids] + 1.0),
            shapes,
            tuple(owned),
            frozenset(text.keys),
            # Where folding changes the length, places in the folded text are not those in the text.
            folded if len(folded) == len(text.raw) else "",
            self._usual(text, product.category),
            self._makers(text),
        )

    def _usual(self, text: Text, category: str) -> NDArray[np.float32]:
        found = np.zeros((len(text.keys), 2), dtype=np.float32)
        own = self._phrases_here[category]
        for run in np.flatnonzero(text.last - text.first <= PHRASE).tolist():
            count = self._phrases[text.keys[run]]
            if count > 1:
                inside = own[text.keys[run]]
                found[run] = math.log(count), math.log((inside + 0.5) / (count - inside + 0.5))
        return found

    def _makers(self, text: Text) -> NDArray[np.float32]:
        found = np.full(len(text.keys), np.nan, dtype=np.float32)
        sure: dict[str, float] = {}
        for opening in text.openings:
            behind = {word: n for word, n in self._openings.get(opening.run, _NOTHING).items() if n > 0}
            if sum(behind.values()) >= LEAST_OPENINGS:
                # After a maker's name anything may follow, or nothing does; within it one word. But behind the name of
                # a maker of one sort of thing stands what stands behind others' too.
                varied = len(behind) + ("" in behind) - 1
                if not varied and _distinct(self._behind.get(next(iter(behind)), _NOTHING)) >= LEAST_OPENINGS:
                    varied = 1
                sure[opening.run] = varied / (varied + 1)
            elif (shorter := opening.run.rpartition(" ")[0]) in sure:
                # Too few titles tell of it, but that its beginning goes on in other ways too.
                sure[opening.run] = sure[shorter] / 2
        for run in np.flatnonzero(text.last - text.first <= PHRASE).tolist() if sure else ():
            found[run] = sure.get(text.keys[run], np.nan)
        return found

    def regime(self, category: str, attribute: str) -> Regime:
        """How well an attribute is known in a category."""
        if self.asked[category, attribute] > 0:
            return "known"
        row = self.attributes.get(attribute)
        return "new" if row is None or not self._total[row] else "moved"

    def candidates(
        self,
        reading: Reading,
        attribute: str,
        kin: Kin | None = None,
        *,
        as_new: bool = False,
        claims: Claims | None = None,
    ) -> Candidates:
        """What may answer a question, with the features of each candidate.

        Args:
            kin: whom an attribute is asked of that is not known in the category; without it, itself alone.
            as_new: take the attribute for one that was never looked for.
            claims: what known attributes claim of the text; looked at where the attribute is new.
        """
        text = reading.text
        regime: Regime = "new" if as_new else self.regime(reading.category, attribute)
        if kin is None or regime != "new":
            weights = {attribute: 1.0} if attribute in self.attributes else {}
        else:
            own = kin.weights(attribute, self.attributes)
            weights = {a: float(w) for a, w in zip(self.attributes, own, strict=True) if w > MIN_KIN}
        here, elsewhere, rivals = self._counts(reading, weights, attribute)
        runs = np.flatnonzero(text.plain | (here + elsewhere > 0)).astype(np.int32)
        features = np.zeros((1 + len(runs), len(FEATURES)), dtype=np.float32)
        features[0, _COLUMN["none"]] = 1.0
        asked, silent = self._asked(reading.category, weights)
        features[0, _COLUMN["none_prior"]] = math.log((silent + 0.5) / (asked - silent + 0.5)) if asked > 0 else 0.0
        if claims and regime == "new":
            features[1:, _COLUMN["taken"]] = _taken(text, claims, attribute)[runs]
        if len(runs):
            self._fill(features[1:], reading, runs, attribute, weights, here[runs], elsewhere[runs], rivals[runs])
        if kin is not None:
            # Where there are examples, likeness to the name adds nothing (AE-110K) and costs a pass of the encoder.
            signs = kin.signs(text, runs, attribute, None if regime == "known" else self.attributes, reading.makers)
            features[1:, _SIGNS] = signs.runs
            features[1:, _COLUMN["labelled_kind"]] = features[1:, _COLUMN["label_next"]] * features[1:, _COLUMN["kind"]]
            features[0, _SILENCES] = signs.silence
        others, rows = (
            self._others(reading, attribute) if regime != "new" else _without_plural(text, runs, features[1:])
        )
        if others:
            features = np.concatenate([features, np.array(rows, dtype=np.float32)])
        return Candidates(text, runs, tuple(others), features)

    def _fill(
        self,
        features: NDArray[np.float32],
        reading: Reading,
        runs: NDArray[np.int32],
        attribute: str,
        weights: Mapping[str, float],
        here: NDArray[np.float32],
        elsewhere: NDArray[np.float32],
        rivals: NDArray[np.float32],
    ) -> None:
        """The features of runs of words, into ``features`` ``[runs, features]``."""
        text = reading.text
        first, last = text.first[runs], text.last[runs]
        rows = np.array([self.attributes[a] for a in weights], dtype=np.int64)
        shares = np.array(list(weights.values()), dtype=np.float32)

        def counts(table: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
            # Column 0 is of what was never counted, and ids beyond the table are of words counted elsewhere.
            found: NDArray[np.float32] = shares @ table[rows[:, None], np.where(ids < table.shape[1], ids, 0)]
            return found

        odds = {
            name: np.log(counts(table, reading.ids) + 0.1) - reading.general
            for name, table in (("words", self._words), ("left", self._left), ("right", self._right))
        }
        sums = np.concatenate([[0.0], np.cumsum(odds["words"])])
        width = (last - first).astype(np.float32)
        column = _COLUMN
        features[:, column["words"]] = (sums[last + 1] - sums[first + 1]) / width
        features[:, column["left"]] = odds["left"][first]
        features[:, column["right"]] = odds["right"][last + 1]
        shapes = counts(self._shapes, reading.shapes[runs])
        features[:, column["shape"]] = np.log(shapes + 0.3) - math.log(float(shares @ self._total[rows]) + 1.0)
        for run in np.flatnonzero(here + elsewhere):
            # The rarest word of a run bounds in how many texts the run stands.
            texts = float(reading.general[first[run] + 1 : last[run] + 1].min())
            for name, count in (("known_here", here[run]), ("known_elsewhere", elsewhere[run])):
                if count > 0:
                    features[run, column[name]] = min(1.0, count)
                    features[run, column[name + "_odds"]] = math.log(count + 0.2) - texts
        starts, ends = text.starts[first], text.ends[last - 1]
        features[:, column["first"]] = first == 0
        features[:, column["in_title"]] = starts < text.title_end
        features[:, column["length"]] = np.log(width)
        features[:, column["broken"]] = text.broken[runs]
        features[:, column["repeats"]] = np.log(text.repeats[runs])
        features[:, column["in_both"]] = text.in_both[runs]
        features[:, [column["usual"], column["usual_here"]]] = reading.usual[runs]
        features[:, column["rivals"]] = np.log1p(np.maximum(0.0, rivals))
        for begin, end in _places(reading.folded, attribute):
            gap = starts - end
            features[(gap >= 0) & (gap <= 30), column["label"]] = 1.0
            features[(gap >= 0) & (gap <= 3), column["label_next"]] = 1.0
            ahead = begin - ends
            features[(ahead >= 0) & (ahead <= 3), column["label_after"]] = 1.0

    def _counts(
        self, reading: Reading, weights: Mapping[str, float], attribute: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Of each run: in how many texts it was the value in this category, in all, and that of another attribute.

        An attribute that is taken for new is no rival of itself.
        """
        hidden = attribute if attribute not in weights else None
        here, elsewhere, rivals = (np.zeros(len(reading.text.keys), dtype=np.float32) for _ in range(3))
        for run, owners in reading.owned:
            for (category, other), count in owners.items():
                if other == hidden:
                    continue
                weight = weights.get(other, 0.0)
                elsewhere[run] += weight * count
                if category == reading.category:
                    here[run] += weight * count
                    rivals[run] = max(rivals[run], (1.0 - weight) * count)
        return here, elsewhere, rivals

    def _asked(self, category: str, weights: Mapping[str, float]) -> tuple[float, float]:
        """How often an attribute was looked for in a category, and how often in vain."""
        pairs = [((category, a), w) for a, w in weights.items()]
        return sum(w * self.asked[p] for p, w in pairs), sum(w * self.silent[p] for p, w in pairs)

    def _others(self, reading: Reading, attribute: str) -> tuple[list[tuple[str, int, int]], list[NDArray[np.float32]]]:
        """Known values of the category which no run of words is: inside words, longer than runs, or nowhere."""
        question, text = (reading.category, attribute), reading.text
        known = self.values.get(question, _NOTHING)
        if not known:
            known = self._anywhere[attribute]
        asked = self.asked[question] or sum(known.values())
        found: list[tuple[str, int, int]] = []
        rows: list[NDArray[np.float32]] = []
        for key, count in known.most_common(10 * MAX_KNOWN):
            if key in reading.keys or count <= 0 or not key:
                continue
            row = np.zeros(len(FEATURES), dtype=np.float32)
            odds = math.log((count + 0.2) / (asked + 1.0))
            place = _inside(reading.folded, key)
            if place >= 0:
                end = place + len(key)
                around = np.flatnonzero((text.ends > place) & (text.starts < end))
                if not len(around):
                    continue
                first, last = int(around[0]), int(around[-1]) + 1
                found.append((text.raw[place:end], first, min(last, first + WIDTH)))
                row[[_COLUMN["inside"], _COLUMN["known_here"]]] = 1.0
                row[_COLUMN["known_here_odds"]] = odds
            elif len(found) < MAX_KNOWN:
                found.append((self.spelling(key), 0, 0))
                row[_COLUMN["absent"]] = 1.0
                row[_COLUMN["absent_odds"]] = odds
            else:
                continue
            rows.append(row)
        return found, rows

    def spelling(self, key: str) -> str:
        """How a folded value is mostly written."""
        spellings = self._spellings.get(key)
        return min(spellings, key=lambda s: (-spellings[s], s)) if spellings else key

    def _word(self, word: str) -> int:
        number = self._id(self._word_ids, word)
        if number >= len(self._general):
            self._general = np.concatenate([self._general, np.zeros_like(self._general)])
        return number

    def _row(self, attribute: str) -> int:
        row = self.attributes.setdefault(attribute, len(self.attributes))
        if row >= len(self._total):
            self._total = np.concatenate([self._total, np.zeros_like(self._total)])
            for name in ("_words", "_left", "_right", "_shapes"):
                table = getattr(self, name)
                setattr(self, name, np.concatenate([table, np.zeros_like(table)]))
        return row

    def _count(self, name: str, row: int, column: int, times: int) -> None:
        table: NDArray[np.float32] = getattr(self, name)
        if column >= table.shape[1]:
            wider = np.zeros((table.shape[0], 2 * column), dtype=np.float32)
            wider[:, : table.shape[1]] = table
            setattr(self, name, wider)
            table = wider
        table[row, column] += times

    @staticmethod
    def _id(ids: dict[str, int], text: str) -> int:
        return ids.setdefault(text, len(ids))


def _distinct(counts: Counter[str]) -> int:
    return sum(n > 0 for n in counts.values())


def _taken(text: Text, claims: Claims, attribute: str) -> NDArray[np.float32]:
    """Share of each run's words that other attributes claim, ``[runs]``."""
    words = np.zeros(len(text.words) + 1, dtype=np.float32)
    for other, runs in claims.items():
        if other != attribute:
            for run in runs:
                words[text.first[run] + 1 : text.last[run] + 1] = 1.0
    sums = np.cumsum(words)
    return np.asarray((sums[text.last] - sums[text.first]) / np.maximum(1, text.last - text.first), dtype=np.float32)


def _without_plural(
    text: Text, runs: NDArray[np.int32], features: NDArray[np.float32]
) -> tuple[list[tuple[str, int, int]], list[NDArray[np.float32]]]:
    """Likely runs without the s of their last word: shops sell ``Jerseys`` made of Jersey, ``Mens`` things for Men.

    Args:
        features: of the runs, ``[runs, features]``.
    """
    found: list[tuple[str, int, int]] = []
    rows: list[NDArray[np.float32]] = []
    likely = (features[:, _COLUMN["kind"]] > 0) | (features[:, _COLUMN["is_a"]] > 0)
    for number in np.flatnonzero(likely).tolist():
        run = int(runs[number])
        value = text.value(run)
        if len(value) > MIN_PLURAL and value.endswith("s") and not value.endswith("ss"):
            found.append((value[:-1], int(text.first[run]), int(text.last[run])))
            row = features[number].copy()
            row[_COLUMN["inside"]] = 1.0
            rows.append(row)
    return found, rows


def _inside(folded: str, key: str) -> int:
    """Where a value stands in a text, maybe inside a word, but not inside a number: 10 is not in 110; -1 if nowhere."""
    at = folded.find(key) if len(key) <= MAX_VALUE else -1
    while at >= 0:
        end = at + len(key)
        if not (folded[max(0, at - 1) : at + 1].isdigit() and at) and not (
            folded[end - 1 : end + 1].isdigit() and end < len(folded)
        ):
            return at
        at = folded.find(key, at + 1)
    return -1


@lru_cache(maxsize=10_000)
def _names(attribute: str) -> tuple[str, ...]:
    """Under which names an attribute may stand in a text: ``Size/Weight`` is size or weight, ``Color(s)`` is color."""
    plain = re.sub(r"\(.*?\)", "", attribute.casefold())
    parts = [" ".join(p.split()) for p in re.split(r"[/,_|]", plain)]
    # Part Number is also Part#, Retail UPC is also UPC:.
    short = [
        f"{p.rpartition(' ')[0].rpartition(' ')[2]}{mark}"
        for p in parts
        if p.endswith(" number")
        for mark in ("#", " no.")
    ]
    last = [f"{p.rpartition(' ')[2]}{mark}" for p in parts if " " in p for mark in (":", "#")]
    return tuple(p for p in dict.fromkeys([*parts, *short, *last]) if len(p) > 1)


def _phrases(text: Text) -> list[str]:
    """The distinct short runs of a text."""
    short = np.flatnonzero(text.plain & (text.last - text.first <= PHRASE)).tolist()
    return list(dict.fromkeys(text.keys[run] for run in short))


def _places(folded: str, attribute: str) -> Iterator[tuple[int, int]]:
    """Where a folded text names an attribute: begin and end."""
    for name in _names(attribute):
        at = folded.find(name)
        while at >= 0:
            yield at, at + len(name)
            at = folded.find(name, at + 1)
