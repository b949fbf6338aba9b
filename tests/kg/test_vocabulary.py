"""The vocabulary file: what ships is sound, and what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from extraction.normalise import unit_of
from kg.errors import SettingsError
from kg.vocabulary import Attribute, Kind, Value, load, parse

SMALL = """
attributes:
  colour:
    description: The colour.
    synonyms: [color]
    kind: choice
    values: {black: [jet black], red: []}
  weight: {description: How heavy it is., kind: quantity, unit: g, bare: true, hints: [stone], least: 2}
aspects:
  noise: {defect: true, synonyms: [hum], praise: [quiet], blame: [noisy]}
  strap:
accessories: [Case]
opinions: {positive: [Good], negative: [bad]}
"""


def test_a_file_is_read_into_values() -> None:
    vocabulary = parse(SMALL.encode(), "small.yaml")
    assert vocabulary.attributes[0] == Attribute(
        name="colour",
        description="The colour.",
        kind=Kind.CHOICE,
        synonyms=("color",),
        values=(Value("black", ("jet black",)), Value("red")),
    )
    weight = vocabulary.attributes[1]
    assert (weight.unit, weight.bare, weight.hints, weight.least, weight.prose) == ("g", True, ("stone",), 2, True)
    assert [(a.name, a.defect) for a in vocabulary.aspects] == [("noise", True), ("strap", False)]
    assert vocabulary.accessories == {"case"}
    assert (vocabulary.positive, vocabulary.negative) == ({"good"}, {"bad"})
    assert vocabulary.words() == {"black", "jet", "red"}


def test_the_digest_follows_the_content() -> None:
    assert parse(SMALL.encode(), "a").digest == parse(SMALL.encode(), "b").digest
    assert parse(SMALL.encode(), "a").digest != parse(SMALL.replace("red", "blue").encode(), "a").digest


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("synonyms: [color]", "synonym: [color]", "small.yaml: attributes.colour: unknown key synonym"),
        ("accessories:", "acessories:", "small.yaml: the file: unknown key acessories"),
        ("praise: [quiet]", "prais: [quiet]", "aspects.noise: unknown key prais"),
        ("positive: [Good]", "postive: [Good]", "opinions: unknown key postive"),
        ("kind: choice", "kind: colour", "attributes.colour: `kind` must be one of choice, quantity, count, text"),
        ("description: The colour.", "description: ''", "attributes.colour: `description` must be a sentence"),
        ("unit: g,", "", "attributes.weight: a quantity needs a `unit`"),
        ("values: {black: [jet black], red: []}", "", "attributes.colour: a choice needs `values`"),
        ("[jet black]", "[1]", "attributes.colour.values.black: expected text in the list, found 1"),
        ("[jet black]", "jet", "attributes.colour.values.black: expected a list, found str"),
        ("red: []", "no: []", "attributes.colour.values: names must be text, found False"),
        ("bare: true", "bare: perhaps", "attributes.weight: `bare` must be true or false, found 'perhaps'"),
        ("least: 2", "least: two", "attributes.weight: `least` must be a number, found 'two'"),
        ("negative: [bad]", "negative: [bad, good]", "good stand under both positive and negative"),
        ("  strap:", "  strap: [x]", "aspects.strap: expected a mapping"),
        ("aspects:", "aspects: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(old: str, new: str, complaint: str) -> None:
    assert old in SMALL
    with pytest.raises(SettingsError) as caught:
        parse(SMALL.replace(old, new).encode(), "small.yaml")
    assert complaint in str(caught.value)


def test_an_empty_file_and_an_empty_part_are_refused() -> None:
    with pytest.raises(SettingsError, match="expected a mapping"):
        parse(b"", "empty.yaml")
    with pytest.raises(SettingsError, match="at least one entry"):
        parse(b"attributes: {}\naspects: {}\n", "empty.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml .*Check KG_VOCABULARY"):
        load(tmp_path / "nowhere.yaml")


def test_what_ships_is_sound() -> None:
    vocabulary = load()
    assert len(vocabulary.attributes) >= 40
    assert len(vocabulary.aspects) >= 55
    names = [a.name for a in vocabulary.attributes]
    assert len(set(names)) == len(names)
    for attribute in vocabulary.attributes:
        if attribute.unit:
            assert unit_of(attribute.unit).symbol == attribute.unit
    for aspect in vocabulary.aspects:
        both = {w.casefold() for w in aspect.praise} & {w.casefold() for w in aspect.blame}
        assert not both, f"{aspect.name}: {both} both praises and blames"


def test_no_synonym_of_an_aspect_names_two_aspects() -> None:
    seen: dict[str, str] = {}
    for aspect in load().aspects:
        for form in (*aspect.synonyms, aspect.name):
            other = seen.setdefault(form.casefold(), aspect.name)
            assert other == aspect.name, f"{form!r} stands under {other} and {aspect.name}"


def test_no_spelling_of_a_value_stands_twice_under_one_attribute() -> None:
    for attribute in load().attributes:
        forms = [f.casefold() for v in attribute.values for f in (v.name, *v.synonyms)]
        doubles = {f for f in forms if forms.count(f) > 1}
        assert not doubles, f"{attribute.name}: {doubles}"
