"""The model's steps, composed from the packages: train, learn, tune, promote, watch, evaluate.

The text's steps are in :mod:`kg.app.jobs`, which also says when the scheduler does which.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.app import alerts
from kg.app.files import json_rows
from kg.app.session import progress_bar, pseudonym_of, stage_bar
from kg.errors import CheckpointError, PromotionRefusedError, SettingsError
from kg.popularity import count_popularity
from kg.settings import Settings
from kg.store import GraphStore

if TYPE_CHECKING:
    from embeddings.gate import Verdict
    from embeddings.network import Report
    from embeddings.registry import Checkpoint


def train(
    store: GraphStore,
    settings: Settings,
    *,
    seed: int | None = None,
    dimensions: int | None = None,
    base: str | None = None,
    changes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Train on the graph as it stands and keep the checkpoint; see :func:`embeddings.training.train`.

    Args:
        base: a checkpoint to go on from, or ``live`` for the one that queries read.
        changes: settings of :class:`embeddings.settings.TrainSettings`, as text; not together with ``base``.

    Raises:
        CheckpointError: there is no such checkpoint, or no model is live.
        SettingsError: there is no such setting, or the base has its own.
    """
    from embeddings import registry, training  # torch takes seconds to import
    from embeddings.settings import TrainSettings, changed

    if changes and base:
        raise SettingsError("Whoever goes on from a checkpoint keeps its settings. Leave --set or --from out.")
    chosen = changed(TrainSettings(), changes or {})

    started = time.perf_counter()
    if base == "live":
        live = registry.live(store)
        if live is None:
            raise CheckpointError("No model is live, so there is none to go on from. Train one: kg train; kg promote.")
        base = live.version
    with stage_bar() as report:
        checkpoint = training.train(
            store,
            home=settings.home,
            seed=settings.seed if seed is None else seed,
            device=settings.device,
            dimensions=dimensions or chosen.dimensions,
            settings=chosen,
            base=None if base is None else registry.load(settings.home, base),
            progress=report,
        )
    return {
        "version": checkpoint.version,
        "users": len(checkpoint.users),
        "products": len(checkpoint.products),
        "dimensions": checkpoint.dimensions,
        "metrics": dict(checkpoint.metrics),
        "based_on": base,
        "seconds": round(time.perf_counter() - started, 1),
    }


def learn(store: GraphStore, settings: Settings) -> dict[str, Any]:
    """Teach the live model, in its slot, what the graph holds that it does not know; see :mod:`embeddings.deltas`.

    Raises:
        CheckpointError: no model is live, its checkpoint is not in this home or of an earlier kg, or another process
            has learned or promoted meanwhile; then nothing was written.
    """
    from embeddings import registry
    from embeddings.deltas import Learner

    started = time.perf_counter()
    live = registry.live(store)
    if live is None:
        raise CheckpointError("No model is live, so there is none to go on from. Train one: kg train; kg promote.")
    learned = Learner(store, registry.load(settings.home, live.version), seed=settings.seed).learn(store)
    return {"version": live.version, **asdict(learned), "seconds": round(time.perf_counter() - started, 1)}


def tune(
    store: GraphStore, settings: Settings, *, trials: int, minutes: float | None, dimensions: int | None = None
) -> dict[str, Any]:
    """Search the network's settings on splits of the graph; see :func:`embeddings.tuning.search`."""
    from embeddings import export, training, tuning  # torch takes seconds to import
    from embeddings.settings import TrainSettings

    data, _ = export.export_subgraph(store, export.shop_with_supplied(store))
    base = TrainSettings()
    with stage_bar() as report:
        bench = tuning.Bench.of(
            data,
            replace(base, dimensions=dimensions or base.dimensions),
            device=training.device_of(settings.device),
            seed=settings.seed,
            report=report,
        )
        seconds = None if minutes is None else 60.0 * minutes
        found = tuning.search(bench, settings.home / "tuning", trials=trials, seconds=seconds, progress=report)
    return {**asdict(found), "options": tuning.as_options(found.settings)}


def trained_last(store: GraphStore, settings: Settings, trained: str | None) -> str | None:
    """The checkpoint that a chain is to promote: the newest of this home, if the last training left its own here.

    Args:
        trained: what the last training by the scheduler, on whichever machine, made; None where there was none.

    Returns:
        None where it was left elsewhere and is live already.

    Raises:
        CheckpointError: it was left elsewhere, or there is no checkpoint at all.
    """
    from embeddings import registry

    here = registry.versions(settings.home)
    if trained is None or (here and here[-1] >= trained):
        return registry.newest(settings.home)
    live = registry.live(store)
    if live is not None and live.version == trained:
        return None
    raise CheckpointError(
        f"The last training made {trained}, which is not in {registry.folder(settings.home)}: it ran on another "
        f"machine. Promote it there, kg promote {trained}, or let all machines that run the schedule share models/."
    )


def promote(
    store: GraphStore,
    settings: Settings,
    version: str | None = None,
    *,
    force: bool = False,
    unattended: bool = False,
) -> dict[str, Any]:
    """Write a checkpoint (the newest by default) into the dark slot unless it stands there, then switch.

    Args:
        force: though it is worse on validation than the live model, or was rolled back.
        unattended: nobody sees the answer, so that what cannot be compared with the live model is not promoted.

    Raises:
        PromotionRefusedError: it is; nothing has changed but the record of the gate.
        CheckpointError: there is no such checkpoint, unattended none of the live model to compare it with, or another
            model became live while it was compared.
    """
    from embeddings import gate, registry, writeback

    named = version is not None and not unattended
    checkpoint = registry.load(settings.home, version)
    now = store.now()
    with stage_bar() as report:
        verdict = _verdict(
            store, settings, checkpoint, again=named or force, force=force, unattended=unattended, report=report
        )
        if verdict is not None and not (verdict.passed or force):
            gate.record(store, checkpoint.version, verdict, forced=False, now=now)
            raise PromotionRefusedError(
                f"Model {checkpoint.version} was not promoted, {verdict.reason}. "
                f"To promote it all the same: kg promote {checkpoint.version} --force."
            )
        # What was decided of one live model says nothing of another that took its place meanwhile.
        beside = None if verdict is None or force else verdict.against or ""
        writeback.write_embeddings(store, checkpoint, beside=beside, progress=report)
    if verdict is not None:
        gate.record(store, checkpoint.version, verdict, forced=force, now=now)
    live = registry.promote(store, checkpoint.version, instead_of=beside)
    # The shop's and not the model's, so not before the switch: until then nothing changes for readers.
    count_popularity(store)
    registry.prune(settings.home, in_use=registry.in_use(store), newest=settings.keep_models)
    found = None if verdict is None else verdict.as_dict()
    return {"version": live.version, "slot": live.slot, "gate": found}


def _verdict(
    store: GraphStore,
    settings: Settings,
    new: Checkpoint,
    *,
    again: bool,
    force: bool,
    unattended: bool,
    report: Report,
) -> Verdict | None:
    """What the gate says of a checkpoint; None of the one that is live.

    Args:
        again: it may have been rolled back: somebody has asked for it.
        force: the outcome does not matter, so nothing is measured that takes time.
        unattended: nobody is there to be told that nothing could be compared, so that is an error.
    """
    from embeddings import gate, registry, training

    live = registry.live(store)
    if live is None:
        return gate.Verdict(True, "no model was live")
    if live.version == new.version:
        return None
    if force:
        return gate.Verdict(False, "a person wanted it, and nothing was compared", live.version)
    rolled_back = store.read(
        "MATCH (m:ModelVersion {id: $version})\nWHERE m.rolled_back_at IS NOT NULL\n"
        "RETURN m.rolled_back_because AS because",
        version=new.version,
    )
    if rolled_back and not again:
        return gate.Verdict(False, f"it was rolled back ({rolled_back[0]['because']})", live.version)
    try:
        before = registry.load(settings.home, live.version)
    except CheckpointError as error:
        reason = f"{new.version} could not be compared with the live model: {error}"
        if unattended:
            raise CheckpointError(reason) from error
        return gate.Verdict(True, reason, live.version)
    return gate.compare(
        store,
        new,
        before,
        device=training.device_of(settings.device),
        seed=settings.seed,
        report=report,
        unattended=unattended,
    )


def watch(store: GraphStore, settings: Settings, *, now: datetime | None = None) -> dict[str, Any]:
    """Roll back if the live model serves worse than the one before it, and tell whoever is to be told.

    Raises:
        CheckpointError: it does, but the model before has left its slot and has no checkpoint in this home, or another
            model became live meanwhile.
    """
    from embeddings import registry, watching, writeback

    at = now or store.now()
    outcome = watching.look(store, now=at)
    if outcome.fell:
        because = outcome.detail
        if not watching.can_return(store, outcome):
            # The dark slot has been written since: the version before comes back from its checkpoint.
            before = registry.load(settings.home, outcome.before)
            writeback.write_embeddings(store, before, beside=outcome.live, now=at)
        registry.rollback(store, because=because, live=outcome.live, before=outcome.before, now=at)
        alerts.tell(settings, f"Model {outcome.live} was rolled back to {outcome.before}: {because}.")
    return outcome.as_dict()


def insight(store: GraphStore, settings: Settings, *, now: datetime | None = None) -> dict[str, Any]:
    """Find the users' segments and fit how purchases follow from events: what ``cypher/insight`` reads of both."""
    import numpy as np

    from embeddings import intent, segments

    at = now or store.now()
    rng = np.random.default_rng(settings.seed)
    found = segments.find_segments(segments.read_audience(store), rng)
    segments.write_segments(store, found, at)
    model = intent.fit(intent.read_market(store, rng))
    if model is not None:
        intent.write_intent(store, model, at)
    return {"segments": len(found), "intent": model is not None}


def evaluate_recommend(
    store: GraphStore, settings: Settings, holdout: Path, cutoffs: Sequence[int], *, known_filter: bool
) -> dict[str, Any]:
    """Rank for the users of a holdout file; see :func:`embeddings.evaluation.evaluate_recommend`."""
    from embeddings import evaluation

    pseudonym = pseudonym_of(settings)
    pairs = [(pseudonym(user), sku) for user, sku in read_pairs(holdout)]
    with progress_bar("Ranking", unit="users", total=len({user for user, _ in pairs})) as advance:
        return evaluation.evaluate_recommend(
            store, pairs, cutoffs, known_filter=known_filter, seed=settings.seed, progress=advance
        )


def evaluate_explanations(store: GraphStore, settings: Settings, rows: int) -> dict[str, Any]:
    """Take away what explanations name and score again; see :func:`embeddings.fidelity.evaluate_explanations`."""
    from embeddings import fidelity, registry

    live = registry.live(store)
    if live is None:
        raise CheckpointError("No model is live, so nothing is recommended by one. Run kg train and kg promote.")
    here = live.version in registry.versions(settings.home)
    checkpoint = registry.load(settings.home, live.version) if here else None
    return fidelity.evaluate_explanations(store, rows=rows, seed=settings.seed, checkpoint=checkpoint)


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """The pairs of a holdout file, ``{user, sku}`` a line.

    Raises:
        InputError: the file cannot be read, or a line is not such a pair.
    """
    return json_rows(path, lambda row: (str(row["user"]), str(row["sku"])), '{"user": "u1", "sku": "A1"}')
