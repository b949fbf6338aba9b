"""Attributes that were never looked for are known by their names, and by what the vocabulary says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from extraction.encoder import Encoder
from extraction.kin import Kin
from extraction.training import kin_of
from kg.app.benchmark import extraction_values
from kg.errors import BenchmarkError
from kg.settings import Settings
from kg.vocabulary import Vocabulary

NOTES = "The taste of the food, such as chocolate or vanilla."


def test_a_description_makes_an_attribute_like_what_it_speaks_of(encoder: Encoder) -> None:
    known = {"Flavor": 1, "Paper Weight": 1, "Sheet Perforation": 1}
    by_name = Kin(encoder.encode).weights("Notes", known)
    described = Kin(encoder.encode, descriptions={"Notes": NOTES}).weights("Notes", known)
    assert by_name.argmax() != 0
    assert described.argmax() == 0


def test_what_the_vocabulary_wants_asked_is_known_by_its_description(encoder: Encoder, vocabulary: Vocabulary) -> None:
    first, *others = vocabulary.attributes
    asked = replace(vocabulary, attributes=(replace(first, ask=True, description=NOTES), *others))
    ours, named = kin_of(encoder, asked), kin_of(encoder, vocabulary)
    assert (ours.vector(first.name) != named.vector(first.name)).any()
    assert (ours.vector(others[0].name) == named.vector(others[0].name)).all()
    (expected,) = encoder.encode([f"{first.name}: {NOTES}"])
    assert ours.vector(first.name) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("content", ["- Grip", "Grip: [rubber, cork]", "Grip: {", "1: Hardness"])
def test_a_file_of_descriptions_is_checked(tmp_path: Path, content: str) -> None:
    file = tmp_path / "described.yaml"
    file.write_text(content)
    rows = extraction_values(Settings(), tmp_path, sets=[], variants=[], epochs=None, parts=1, descriptions=file)
    with pytest.raises(BenchmarkError, match=r"described\.yaml"):
        next(rows)
