"""Marked sentences without end, composed of words and patterns that were written for this project.

What ships with the project must be learned from texts that may ship. A real
review says in some pattern what its writer thinks of a part of a thing:
``shipped/wording.yaml`` holds such patterns, the parts of things and words that
judge them, and sentences are drawn from these by chance. What each sentence says of
what is known, word for word, because it was written so.

The notation of a pattern is explained where the patterns stand.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

import yaml

from extraction.benchmarks import MarkedSentence, Triplet
from kg.errors import ExtractionError

_PIECE: Final = re.compile(
    r"\[(?:(?P<aspect_of>\d):)?(?P<aspect>[^\]]+)\]"
    r"|<(?:(?P<opinion_of>\d):)?(?P<sign>[-+=~])(?P<opinion>[^>]+)>"
    r"|(?P<plain>[^\s<\[]+)"
)
_WORD: Final = re.compile(r"\w+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|\.\.\.|\w+(?:-\w+)*|[^\w\s]")
_SIGNS: Final = {"+": "POS", "-": "NEG", "=": "NEU"}
_OWN_WORDS: Final = 0.5
"""Chance that a part is judged by words of its own where it has any: "long" of a battery's life."""
_OF_WHICH: Final = 0.07
"""Chance that a part is named together with its thing: "laptop keyboard"."""
_GOOD: Final = 0.55
_NOTHING: Final = 0.15
"""Share of the sentences that judge no part: as many would leave the opinions too few to learn them soon."""
_PLURALS: Final = frozenset({"we", "they", "you", "people", "my kids", "my wife and I"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part or a side of things, and words that judge it and not others."""

    name: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """Things of one kind and their parts."""

    things: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """What ``wording.yaml`` holds."""

    domains: tuple[Domain, ...]
    lists: Mapping[str, tuple[str, ...]]
    """Words by the name of their list."""
    patterns: Mapping[str, tuple[str, ...]]
    """Patterns by the name of their list."""

    @classmethod
    def load(cls) -> Wording:
        """Read the file that ships with the package.

        Raises:
            ExtractionError: a line of the file is not as it should be.
        """
        raw: Any = yaml.safe_load(resources.files("extraction").joinpath("shipped/wording.yaml").read_text("utf-8"))
        domains = tuple(
            Domain(_words(one["things"]), tuple(map(_part, one["parts"].splitlines())))
            for one in raw.pop("domains").values()
        )
        patterns = {name: tuple(filter(None, raw.pop(name).splitlines())) for name in ("clauses", "plain")}
        lists = {name: tuple(value) if isinstance(value, list) else _words(value) for name, value in raw.items()}
        return cls(domains, lists, patterns)


def compose(wording: Wording, count: int, seed: int) -> list[MarkedSentence]:
    """``count`` sentences; the same seed gives the same ones."""
    writer = _Writer(wording, random.Random(seed))
    return [writer.sentence() for _ in range(count)]


@dataclass(slots=True)
class _Draft:
    """A sentence as far as it is written."""

    tokens: list[str] = field(default_factory=list)
    triplets: list[Triplet] = field(default_factory=list)

    def add(self, text: str) -> tuple[int, ...]:
        """Append the words of a text; gives their places."""
        start = len(self.tokens)
        self.tokens += _WORD.findall(text)
        return tuple(range(start, len(self.tokens)))


class _Writer:
    def __init__(self, wording: Wording, rng: random.Random) -> None:
        self._wording = wording
        self._rng = rng

    def sentence(self) -> MarkedSentence:
        """One sentence, of one domain."""
        rng = self._rng
        domain = rng.choice(self._wording.domains)
        draft = _Draft()
        judging = 0 if rng.random() < _NOTHING else rng.choices([1, 2, 3], [55, 33, 12])[0]
        kinds = ["clauses"] * judging + ["plain"] * (rng.choices([0, 1], [75, 25])[0] if judging else rng.randint(1, 2))
        rng.shuffle(kinds)
        if rng.random() < 0.25:
            draft.add(self._filled(self._word("leads"), domain))
            draft.add(rng.choice([",", ",", ":", ""]))
        for number, kind in enumerate(kinds):
            if number:
                draft.add(self._word("joins"))
            self._clause(draft, rng.choice(self._wording.patterns[kind]), domain)
            if rng.random() < 0.15:
                draft.add(self._filled(self._word("tails"), domain))
        draft.add(rng.choices([".", "!", "", "...", "!!"], [78, 10, 7, 3, 2])[0])
        return MarkedSentence(tuple(draft.tokens), tuple(sorted(draft.triplets)))

    def _clause(self, draft: _Draft, pattern: str, domain: Domain) -> None:
        rng = self._rng
        pieces = list(_PIECE.finditer(pattern))
        groups = [m["aspect_of"] or m["opinion_of"] or "1" for m in pieces]
        parts = {n: rng.choice(domain.parts) for n, m in enumerate(pieces) if m["aspect"] == "n"}
        good = {group: rng.random() < _GOOD for group in groups}
        subject = ""
        aspects: dict[str, list[tuple[int, ...]]] = {}
        opinions: list[tuple[str, tuple[int, ...], str]] = []
        for n, (piece, group) in enumerate(zip(pieces, groups, strict=True)):
            if piece["aspect"]:
                name = self._named(parts[n], domain) if n in parts else self._filled(piece["aspect"], domain)
                aspects.setdefault(group, []).append(draft.add(name))
                subject = name
            elif piece["opinion"]:
                sign = piece["sign"] if piece["sign"] != "~" else "+" if good[group] else "-"
                judged = next((p for k, p in parts.items() if groups[k] == group), None)
                opinions.append((group, draft.add(self._opinion(piece["opinion"], sign, judged, domain)), sign))
            else:
                subject = self._plain(draft, piece["plain"], subject, domain)
        draft.triplets += [
            Triplet(aspect, place, _SIGNS[sign])
            for group, place, sign in opinions
            for aspect in aspects.get(group, ())
            if place and aspect
        ]

    def _plain(self, draft: _Draft, word: str, subject: str, domain: Domain) -> str:
        """Write a word that is not marked; gives what a verb after it agrees with."""
        rng = self._rng
        if word.endswith("?"):
            if rng.random() < 0.5:
                return subject
            word = word[:-1]
        if word == "n":
            subject = self._named(rng.choice(domain.parts), domain)
            draft.add(subject)
        elif word == "$I":
            subject = self._word("I")
            draft.add(subject)
        elif word == "$is":
            draft.add(self._word("are" if _is_plural(subject) else "is"))
        elif word in ("am", "was") and subject in self._wording.lists["I"]:
            present, past = ("are", "were") if subject in _PLURALS else ("is", "was")
            draft.add(word if subject == "I" else present if word == "am" else past)
        else:
            draft.add(self._filled(word, domain))
        return subject

    def _opinion(self, text: str, sign: str, judged: Part | None, domain: Domain) -> str:
        rng = self._rng
        if text == "adj":
            own = () if judged is None else judged.good if sign == "+" else judged.bad
            return (
                rng.choice(own) if own and rng.random() < _OWN_WORDS else self._word("good" if sign == "+" else "bad")
            )
        if text in self._wording.lists:
            return self._word(text)
        return self._filled(text, domain)

    def _named(self, part: Part, domain: Domain) -> str:
        rng = self._rng
        return f"{rng.choice(domain.things)} {part.name}" if rng.random() < _OF_WHICH else part.name

    def _filled(self, text: str, domain: Domain) -> str:
        """A text with words drawn for its ``$names``."""

        def drawn(found: re.Match[str]) -> str:
            name = found[1]
            if name == "thing":
                return self._rng.choice(domain.things)
            return self._word(_LISTS.get(name, name))

        return re.sub(r"\$(\w+)", drawn, text)

    def _word(self, name: str) -> str:
        if name not in self._wording.lists:
            raise ExtractionError(f"wording.yaml has no list of words {name!r}, and a pattern draws from it.")
        return self._rng.choice(self._wording.lists[name])


_LISTS: Final = {"time": "times", "person": "people", "verb": "verbs"}
"""Names in patterns whose list is called otherwise."""


def _is_plural(name: str) -> bool:
    return name in _PLURALS or (name.endswith("s") and not name.endswith(("ss", "us", "'s")))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("\n", " ").split(",") if word.strip())


def _part(line: str) -> Part:
    name, good, bad = (re.fullmatch(r"([^+]+?)\s*(?:\+ (.*?))?\s*(?: - (.*))?", line) or _wrong(line)).groups()
    return Part(name, _words(good or ""), _words(bad or ""))


def _wrong(line: str) -> Any:
    raise ExtractionError(f"wording.yaml: {line!r} is not: part + good words - bad words.")
