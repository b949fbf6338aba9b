"""The head that ships with the project: when it reads, and that it is in the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from extraction.benchmarks import Triplet
from extraction.encoder import Encoder
from extraction.shipping import SHIPPED, make
from extraction.training import Heads, train
from extraction.triplets import Recipe
from tests.extraction.conftest import spoken

ROOT = Path(__file__).parents[2]
FILES = {"manifest.json", "triplets/adapter.json", "triplets/head.safetensors", "triplets/triplets.json"}


@pytest.fixture(scope="module")
def fresh(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Heads:
    """What a home that has learned nothing reads with."""
    return Heads.load(tmp_path_factory.mktemp("fresh"), encoder, shipped=SHIPPED)


def test_a_fresh_home_reads_opinions_of_parts_it_was_never_told_of(fresh: Heads) -> None:
    assert fresh.triplets is not None
    assert fresh.triplets.answer(
        [
            ["the", "seat", "post", "is", "sturdy", ",", "but", "the", "pedals", "feel", "flimsy", "."],
            ["I", "bought", "the", "helmet", "last", "week", "."],
        ]
    ) == [(Triplet((1, 2), (4,), "POS"), Triplet((8,), (10,), "NEG")), ()]


def test_the_version_tells_that_it_is_used(fresh: Heads, encoder: Encoder, tmp_path: Path) -> None:
    assert fresh.version == Heads.version_in(tmp_path, encoder, SHIPPED) == f"s{Heads.version_in(SHIPPED, encoder)}"
    assert Heads.version_in(tmp_path, encoder) == ""
    assert Heads.load(tmp_path, encoder) == Heads()


def test_what_a_home_has_learned_takes_its_place(encoder: Encoder, tmp_path: Path) -> None:
    lines = [
        f"{' '.join(s.tokens)}####{[(list(t.aspect), list(t.opinion), t.sentiment) for t in s.triplets]}"
        for s in spoken()[:8]
    ]
    (tmp_path / "aste.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    own = train([tmp_path / "aste.txt"], "aste", tmp_path / "heads", encoder).version
    assert Heads.load(tmp_path / "heads", encoder, shipped=SHIPPED).version == own
    assert Heads.version_in(tmp_path / "heads", encoder, SHIPPED) == own


def test_another_encoder_goes_without(tmp_path: Path) -> None:
    class Other(Encoder):
        fingerprint = "0" * 12

    assert Heads.load(tmp_path, Other(device="cpu"), shipped=SHIPPED) == Heads()
    assert Heads.version_in(tmp_path, Other(device="cpu"), SHIPPED) == ""


def test_it_is_small_and_in_the_wheel() -> None:
    files = {f.distribution_path: Path(f.path) for f in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"extraction/shipped/{name}" for name in (*FILES, "wording.yaml", "MODEL_CARD.md")} <= set(files)
    size = sum(path.stat().st_size for name, path in files.items() if name.startswith("extraction/shipped/"))
    assert size < 3_000_000
    assert not [name for name in files if name.endswith((".pt", ".pkl", ".bin"))]


def test_it_is_made_by_one_call(encoder: Encoder, tmp_path: Path) -> None:
    version = make(tmp_path, sentences=40, recipe=Recipe(rank=2, first_layer=5, epochs=1))
    heads = Heads.load(tmp_path, encoder)
    assert heads.version == version
    assert heads.triplets is not None
