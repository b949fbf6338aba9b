"""``kg benchmark network``: what the network's losses and ways to make it robust are worth, on this graph's splits.

Each variant changes the default settings in one point and is trained on the same splits. Its vectors are ranked
alone, and in the best mixture with the other parts of the score; the difference to the default is paired by user.
Nothing is held out beyond what a training holds out itself, so this is validation, by which a default may be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from kg.errors import BenchmarkError
from kg.settings import Settings
from kg.store import GraphStore

VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "bpr": {"loss": "bpr"},
    "bpr, 4 hard negatives": {"loss": "bpr", "hard_negatives": 4},
    "1 hard negative": {"hard_negatives": 1},
    "4 hard negatives": {"hard_negatives": 4},
    "edge dropout .1": {"edge_dropout": 0.1},
    "edge dropout .3": {"edge_dropout": 0.3},
    "contrast .05": {"contrast": 0.05},
    "contrast .2": {"contrast": 0.2},
    "contrast .2, noise .3": {"contrast": 0.2, "noise": 0.3},
}


def network(store: GraphStore, settings: Settings, *, seeds: Sequence[int], of: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each variant: hit@10 + 2 · NDCG@10 alone and mixed, and the gain beside the default in standard errors.

    Args:
        seeds: of the splits and of the training; the rows are means over all.
        of: names of :data:`VARIANTS`; all where it is empty. The default is always among them.

    Raises:
        BenchmarkError: there is no such variant.
    """
    from embeddings import export, training, tuning  # torch takes seconds to import
    from embeddings.settings import TrainSettings
    from kg.app.session import stage_bar

    unknown = sorted(set(of) - VARIANTS.keys())
    if unknown:
        raise BenchmarkError(f"There is no variant {', '.join(unknown)}; expected {'; '.join(VARIANTS)}.")
    names = [name for name in VARIANTS if not of or name in of or name == "default"]
    data, _ = export.export_subgraph(store, export.shop_with_supplied(store))
    found: dict[str, list[tuning.Measured]] = {name: [] for name in names}
    device = training.device_of(settings.device)
    with stage_bar() as report:
        for seed in seeds:
            bench = tuning.Bench.of(data, TrainSettings(), device=device, seed=seed, report=report)
            for name in names:
                found[name].append(bench.measure(replace(bench.settings, **VARIANTS[name])))
    return [_row(name, found[name], found["default"]) for name in names]


def _row(name: str, ours: Sequence[Any], default: Sequence[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": name}
    for part in ("alone", "mixed"):
        values, others = (np.concatenate([getattr(m, part) for m in runs]) for runs in (ours, default))
        gain = values - others
        # Seeds share their users, so their rows are not independent: the spread of one seed's users, as of one.
        error = gain.std(ddof=1) / np.sqrt(len(gain) / len(ours))
        row |= {
            part: round(float(values.mean()), 4),
            f"{part}, gain": round(float(gain.mean() / others.mean()), 4),
            f"{part}, error": round(float(error / others.mean()), 4),
        }
    return {**row, "seconds": round(sum(m.seconds for m in ours) / len(ours), 1)}
