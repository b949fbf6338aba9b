"""What becomes live by itself, what does not, and what does not stay live."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from embeddings import gate, registry, watching
from embeddings.registry import Checkpoint
from embeddings.scoring import ScoreWeights
from embeddings.training import train
from kg.app import alerts, jobs, models
from kg.errors import CheckpointError, PromotionRefusedError
from kg.settings import Settings
from kg.store import GraphStore
from tests.embeddings.test_watching import shown
from tests.embeddings.worlds import QUICK, write_checkerboard


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def good(store: GraphStore, settings: Settings) -> Checkpoint:
    """A model of a checkerboard, live."""
    write_checkerboard(store)
    trained = train(store, home=settings.home, device="cpu", settings=QUICK)
    promoted = models.promote(store, settings)
    assert promoted["gate"]["reason"] == "no model was live"
    return trained


def saved(good: Checkpoint, home: Settings, version: str, **changes: Any) -> str:
    registry.save(replace(good, version=version, **changes), home.home)
    return version


def gate_of(store: GraphStore, version: str) -> dict[str, Any]:
    (row,) = store.read("MATCH (m:ModelVersion {id: $version}) RETURN m {.*} AS m", version=version)
    return row["m"]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the alert hook would have been told."""
    words: list[str] = []
    monkeypatch.setattr(alerts, "tell", lambda _, text: words.append(text))
    return words


def by_the_clock(store: GraphStore, settings: Settings, name: str) -> str:
    (job,) = [job for job in jobs.scheduled_jobs(settings) if job.name == name]
    detail = job.run(store)
    assert detail is not None
    return detail


def test_a_worse_model_is_refused_recorded_and_can_be_forced(
    store: GraphStore, settings: Settings, good: Checkpoint, told: list[str]
) -> None:
    poor = saved(
        good, settings, "29990101-poor",
        settings={**good.settings, "factors": {"ridge": 0.0}}, weights=ScoreWeights(popularity=1.0),
    )  # fmt: skip
    with pytest.raises(PromotionRefusedError, match=r"worse than the live model: .*--force"):
        models.promote(store, settings)
    seen = gate_of(store, poor)
    assert (seen["status"], seen["gate_against"], seen["gate_users"]) == ("refused", good.version, 40)
    assert seen["gate"].startswith("refused: ")
    assert seen["gate_difference"] < -1.645 * seen["gate_error"]
    # In the chain that is a decision, not a failure, and whoever is to be told is told.
    assert "was not promoted" in by_the_clock(store, settings, "promote")
    assert len(told) == 1
    live = registry.live(store)
    assert live is not None
    assert live.version == good.version

    forced = models.promote(store, settings, force=True)
    assert forced["version"] == poor
    assert gate_of(store, poor)["gate"].startswith("forced: ")


def test_as_good_a_model_passes_with_its_figures(store: GraphStore, settings: Settings, good: Checkpoint) -> None:
    saved(good, settings, "29990101-same")
    detail = by_the_clock(store, settings, "promote")
    assert "no worse than the live model" in detail
    seen = gate_of(store, "29990101-same")
    assert (seen["status"], seen["gate_against"], seen["gate_difference"]) == ("live", good.version, 0.0)
    # The live one again is nothing to decide.
    assert models.promote(store, settings)["gate"] is None


def test_without_the_live_models_checkpoint_only_a_person_promotes(
    store: GraphStore, settings: Settings, good: Checkpoint, tmp_path: Path
) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere")
    version = saved(good, elsewhere, "29990101-there")
    with pytest.raises(CheckpointError, match=f"{version} could not be compared with the live model"):
        models.promote(store, elsewhere, unattended=True)
    promoted = models.promote(store, elsewhere)
    assert promoted["version"] == version
    assert "could not be compared" in promoted["gate"]["reason"]
    assert "could not be compared" in gate_of(store, version)["gate"]


def test_a_model_that_serves_worse_goes_back_once_and_stays_back(
    store: GraphStore, settings: Settings, good: Checkpoint, told: list[str]
) -> None:
    worse = saved(good, settings, "29990101-worse")
    models.promote(store, settings)
    now = datetime.now(UTC)
    shown(store, good.version, now - timedelta(days=1), users=200, clicked=60)
    shown(store, worse, now + timedelta(seconds=1), users=200, clicked=5)

    outcome = models.watch(store, settings, now=now + timedelta(hours=1))
    assert outcome["fell"]
    live = registry.live(store)
    assert live is not None
    assert live.version == good.version
    assert "clicks 0.0025 after 0.0300" in gate_of(store, worse)["rolled_back_because"]
    (words,) = told
    assert words.startswith(f"Model {worse} was rolled back to {good.version}: clicks")

    # Nothing brings it back by itself, and the one that took its place is not measured by it.
    assert "was rolled back" in by_the_clock(store, settings, "promote")
    assert not models.watch(store, settings, now=now + timedelta(hours=2))["fell"]
    assert registry.live(store) == live
    # A person can.
    assert models.promote(store, settings, worse)["version"] == worse
    assert "rolled_back_at" not in gate_of(store, worse)


def test_the_shops_popularity_is_counted_after_the_switch_and_not_before(
    store: GraphStore, settings: Settings, good: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def popular() -> float:
        (row,) = store.read("MATCH (p:Product {sku: 'p00'}) RETURN p.popularity AS popularity")
        return float(row["popularity"])

    before = popular()
    store.write(
        "MATCH (p:Product {sku: 'p00'})\nUNWIND range(1, 60) AS n\n"
        "CREATE (:User {id: 'new' + n})-[:VIEWED {count: 1, strength: 0.2}]->(p)"
    )
    saved(good, settings, "29990101-next", popularity=1.0 - good.popularity)
    switch, then = registry.promote, []

    def noted(*arguments: Any, **options: Any) -> registry.LiveModel:
        then.append(popular())
        return switch(*arguments, **options)

    monkeypatch.setattr(registry, "promote", noted)
    assert models.promote(store, settings, force=True)["version"] == "29990101-next"
    assert then == [before]
    assert popular() == 1.0


def test_the_version_before_comes_back_from_its_checkpoint_where_its_slot_was_taken(
    store: GraphStore, settings: Settings, good: Checkpoint, told: list[str]
) -> None:
    from embeddings.writeback import write_embeddings

    worse = saved(good, settings, "29990101-worse")
    models.promote(store, settings)
    saved(good, settings, "29990102-next")
    write_embeddings(store, registry.load(settings.home, "29990102-next"))
    assert gate_of(store, good.version)["status"] == "retired"
    now = datetime.now(UTC)
    shown(store, good.version, now - timedelta(days=1), users=200, clicked=60)
    shown(store, worse, now + timedelta(seconds=1), users=200, clicked=5)
    assert models.watch(store, settings, now=now + timedelta(hours=1))["fell"]
    live = registry.live(store)
    assert live is not None
    assert live.version == good.version


def test_a_model_is_not_promoted_over_one_that_it_was_not_compared_with(
    store: GraphStore, settings: Settings, good: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, compare = saved(good, settings, "29990101-other"), gate.compare
    late = saved(good, settings, "29990102-late")

    def compared(*arguments: Any, **options: Any) -> gate.Verdict:
        verdict = compare(*arguments, **options)
        models.promote(store, settings, other, force=True)
        return verdict

    monkeypatch.setattr(gate, "compare", compared)
    with pytest.raises(CheckpointError, match=f"{late} was to be written beside {good.version}, but {other} is live"):
        by_the_clock(store, settings, "promote")
    live = registry.live(store)
    assert live is not None
    assert live.version == other
    assert gate_of(store, good.version)["status"] == "ready"


def test_watch_leaves_a_model_alone_that_became_live_while_it_looked(
    store: GraphStore, settings: Settings, good: Checkpoint, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = saved(good, settings, "29990101-worse")
    models.promote(store, settings)
    third = saved(good, settings, "29990102-third")
    now = datetime.now(UTC)
    shown(store, good.version, now - timedelta(days=1), users=200, clicked=60)
    shown(store, worse, now + timedelta(seconds=1), users=200, clicked=5)
    look = watching.look

    def looked(*arguments: Any, **options: Any) -> watching.Outcome:
        outcome = look(*arguments, **options)
        models.promote(store, settings, third, force=True)
        return outcome

    monkeypatch.setattr(watching, "look", looked)
    with pytest.raises(CheckpointError, match=f"{third} is live"):
        models.watch(store, settings, now=now + timedelta(hours=1))
    live = registry.live(store)
    assert live is not None
    assert live.version == third
    assert "rolled_back_at" not in gate_of(store, third)
    assert gate_of(store, worse)["status"] == "ready"
    assert told == []


def test_what_nobody_can_compare_is_promoted_by_a_person_and_not_by_the_clock(
    store: GraphStore, settings: Settings, good: Checkpoint, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "folds_of", lambda *_: ())
    version = saved(good, settings, "29990101-next")
    assert "was not promoted, too few users" in by_the_clock(store, settings, "promote")
    assert gate_of(store, version)["gate"] == "refused: too few users to compare it with the live model"
    assert len(told) == 1
    assert models.promote(store, settings)["gate"]["reason"] == "too few users to compare it with the live model"
    live = registry.live(store)
    assert live is not None
    assert live.version == version


def test_the_chain_promotes_what_was_trained_last_on_whichever_machine(
    store: GraphStore, settings: Settings, good: Checkpoint, tmp_path: Path
) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere")
    registry.save(good, elsewhere.home)
    trained = saved(good, elsewhere, "29990101-next")
    for version, outcome, minute in ((good.version, "succeeded", 1), (trained, "succeeded", 2), ("no", "failed", 3)):
        store.write(
            "CREATE (:JobRun {id: $version, job: 'train', outcome: $outcome, detail: $version, at: $at})",
            version=version, outcome=outcome, at=datetime(2026, 1, 1, 3, minute, tzinfo=UTC),
        )  # fmt: skip
    with pytest.raises(CheckpointError, match=f"The last training made {trained}, .* on another machine"):
        by_the_clock(store, settings, "promote")
    assert trained in by_the_clock(store, elsewhere, "promote")
    live = registry.live(store)
    assert live is not None
    assert live.version == trained
    assert by_the_clock(store, settings, "promote") == f"{trained} is live already"


def test_a_promotion_leaves_the_newest_checkpoints_and_those_that_are_served(
    store: GraphStore, settings: Settings, good: Checkpoint
) -> None:
    for version in ("29990101-a", "29990102-b", "29990103-c"):
        saved(good, settings, version)
    models.promote(store, Settings(home=settings.home, keep_models=1))
    assert registry.versions(settings.home) == (good.version, "29990103-c")
    assert [path.name for path in (settings.home / "runs").iterdir()] == [good.version]
