from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from embeddings import registry
from embeddings.registry import Checkpoint
from embeddings.scoring import ScoreWeights
from kg.errors import CheckpointError
from kg.store import GraphStore


def checkpoint(version: str = "v1") -> Checkpoint:
    return Checkpoint(
        version=version,
        users=("anna", "ben"),
        products=("G1", "S1", "T1"),
        user_vectors=np.array([[1, 0], [0, 1]], dtype=np.float32),
        product_vectors=np.array([[1, 0], [0.6, 0.8], [0, 0]], dtype=np.float32),
        similar=sp.csr_matrix(np.array([[0, 0.5, 0], [0, 0, 0.25], [0, 0, 0]], dtype=np.float32)),
        popularity=np.array([1.0, 0.5, 0.0], dtype=np.float32),
        weights=ScoreWeights(0.2, 1.0, 0.1, 30.0, {"BOUGHT_WITH": 0.3}),
        state={"theta": np.array([0.0, -2.0], dtype=np.float32)},
        metrics={"model": {"hr@10": 0.5}},
        settings={"seed": 3, "dimensions": 2},
        timings={"network": 1.5},
        commit="abc",
        libraries={"torch": "2"},
    )


def test_a_saved_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = checkpoint()
    registry.save(saved, tmp_path)
    loaded = registry.load(tmp_path)
    for name in ("version", "users", "products", "weights", "metrics", "settings", "timings", "commit", "libraries"):
        assert getattr(loaded, name) == getattr(saved, name)
    for name in ("user_vectors", "product_vectors", "popularity"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
    assert (loaded.similar != saved.similar).nnz == 0
    assert loaded.state["theta"].tolist() == [0.0, -2.0]
    assert loaded.dimensions == 2


def test_versions_sort_by_time_and_do_not_collide() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    made = [registry.new_version(noon + timedelta(seconds=s)) for s in range(3)]
    assert made == sorted(made)
    assert len({registry.new_version(noon) for _ in range(20)}) == 20


def test_the_newest_is_the_last_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="kg train"):
        registry.newest(tmp_path)
    for version in ("20260301T000000Z-b", "20260302T000000Z-a"):
        registry.save(checkpoint(version), tmp_path)
    assert registry.versions(tmp_path) == ("20260301T000000Z-b", "20260302T000000Z-a")
    assert registry.newest(tmp_path) == "20260302T000000Z-a"
    assert registry.load(tmp_path, "20260301T000000Z-b").version == "20260301T000000Z-b"


def test_a_checkpoint_is_never_written_over(tmp_path: Path) -> None:
    registry.save(checkpoint(), tmp_path)
    with pytest.raises(CheckpointError, match="exists already"):
        registry.save(checkpoint(), tmp_path)


def test_a_write_that_is_cut_off_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        registry.save(checkpoint(), tmp_path)
    assert registry.versions(tmp_path) == ()
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("file", ["arrays.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_half_a_checkpoint_is_refused_with_what_to_do(tmp_path: Path, file: str, damage: str) -> None:
    path = registry.save(checkpoint(), tmp_path) / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"incomplete or damaged.*Delete that folder and train again"):
        registry.load(tmp_path)


def test_a_checkpoint_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    registry.save(replace(checkpoint(), schema_version=99), tmp_path)
    with pytest.raises(CheckpointError, match="schema version 99"):
        registry.load(tmp_path)


def test_a_node_index_of_another_length_is_refused(tmp_path: Path) -> None:
    path = registry.save(checkpoint(), tmp_path) / "checkpoint.json"
    about = json.loads(path.read_text())
    about["users"] = about["users"][:1]
    path.write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="differ in length"):
        registry.load(tmp_path)


def test_an_unknown_version_is_named_beside_those_there_are(tmp_path: Path) -> None:
    registry.save(checkpoint("v7"), tmp_path)
    with pytest.raises(CheckpointError, match=r"No checkpoint 'v8'.*v7"):
        registry.load(tmp_path, "v8")
    with pytest.raises(CheckpointError, match="No checkpoint"):
        registry.load(tmp_path, "../models/v7")


def ready(store: GraphStore, version: str, slot: str, status: str = "ready") -> None:
    store.write(
        "CREATE (m:ModelVersion {id: $version, slot: $slot, status: $status, at: datetime()}) SET m += $w",
        version=version,
        slot=slot,
        status=status,
        w=ScoreWeights(1.0, 1.0).as_properties(),
    )


def live_models(store: GraphStore) -> list[str]:
    return [
        row["id"]
        for row in store.read(
            "MATCH (serving:Serving {name: 'model'}), (m:ModelVersion {id: serving.version}) RETURN m.id AS id"
        )
    ]


def test_promotion_switches_and_rollback_switches_back(store: GraphStore) -> None:
    assert registry.live(store) is None
    ready(store, "v1", "blue")
    ready(store, "v2", "green")
    assert registry.promote(store, "v1").slot == "blue"
    assert registry.promote(store, "v2").version == "v2"
    assert live_models(store) == ["v2"]
    assert registry.rollback(store) == "v1"
    assert live_models(store) == ["v1"]
    # Back and forth, as often as wanted.
    assert registry.rollback(store) == "v2"


def test_promoting_the_live_model_again_changes_nothing(store: GraphStore) -> None:
    ready(store, "v1", "blue")
    registry.promote(store, "v1")
    before = store.read("MATCH (m:ModelVersion) RETURN properties(m) AS p")
    registry.promote(store, "v1")
    assert store.read("MATCH (m:ModelVersion) RETURN properties(m) AS p") == before


@pytest.mark.parametrize(
    ("status", "message"), [("writing", "not written to its end"), ("retired", "left its slot"), (None, "not in this")]
)
def test_only_a_whole_model_can_be_promoted(store: GraphStore, status: str | None, message: str) -> None:
    if status:
        ready(store, "v1", "blue", status)
    with pytest.raises(CheckpointError, match=message):
        registry.promote(store, "v1")
    assert live_models(store) == []


def test_there_is_no_way_back_without_an_earlier_model(store: GraphStore) -> None:
    with pytest.raises(CheckpointError, match="No model is live"):
        registry.rollback(store)
    ready(store, "v1", "blue")
    registry.promote(store, "v1")
    with pytest.raises(CheckpointError, match="no longer in the graph"):
        registry.rollback(store)


def test_a_model_takes_the_place_of_none_but_the_one_it_was_meant_for(store: GraphStore) -> None:
    ready(store, "v1", "blue")
    ready(store, "v2", "green")
    with pytest.raises(CheckpointError, match="v1 was to take the place of v0, but meanwhile none"):
        registry.promote(store, "v1", instead_of="v0")
    registry.promote(store, "v1", instead_of="")
    for other in ("", "v0"):
        with pytest.raises(CheckpointError, match="meanwhile v1 became the live one"):
            registry.promote(store, "v2", instead_of=other)
    assert live_models(store) == ["v1"]
    assert registry.promote(store, "v2", instead_of="v1").version == "v2"


def test_only_the_model_that_was_looked_at_is_rolled_back(store: GraphStore) -> None:
    ready(store, "v1", "blue")
    ready(store, "v2", "green")
    registry.promote(store, "v1")
    registry.promote(store, "v2")
    for asked in ({"live": "v1", "before": "v0"}, {"live": "v2", "before": "v0"}):
        with pytest.raises(CheckpointError, match="now v2 is live, after v1"):
            registry.rollback(store, **asked)
    assert live_models(store) == ["v2"]
    assert store.read("MATCH (m:ModelVersion) WHERE m.rolled_back_at IS NOT NULL RETURN m.id AS id") == []
    assert registry.rollback(store, live="v2", before="v1") == "v1"


def test_old_checkpoints_go_and_those_in_use_stay(store: GraphStore, tmp_path: Path) -> None:
    for version in ("v1", "v2", "v3", "v4", "v5"):
        (tmp_path / "models" / version).mkdir(parents=True)
        (tmp_path / "runs" / version).mkdir(parents=True)
    (tmp_path / "runs" / "v0").mkdir()  # is being trained: it has no checkpoint yet
    (tmp_path / "models" / ".v0.part").mkdir()
    ready(store, "v0", "blue")
    ready(store, "v2", "green")
    ready(store, "v3", "green", "writing")
    store.write("MATCH (m:ModelVersion {id: 'v2'}) SET m.previous = 'v1'")
    used = registry.in_use(store)
    assert used == {"v0", "v1", "v2", "v3"}
    store.write("MATCH (m:ModelVersion {id: 'v3'}) SET m.status = 'retired' REMOVE m.slot")
    assert registry.prune(tmp_path, in_use=registry.in_use(store), newest=1) == ("v3", "v4")
    assert registry.versions(tmp_path) == ("v1", "v2", "v5")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["v0", "v1", "v2", "v5"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [".v0.part", "v1", "v2", "v5"]
    assert registry.prune(tmp_path, in_use=used, newest=9) == ()
