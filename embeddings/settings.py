"""Every size that training uses, in one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from kg.errors import SettingsError

LOSSES: Final = ("softmax", "bpr")
_LIMITS: Final = (
    (
        ("dimensions", "epochs", "steps", "evaluate_every", "outgoing", "batch", "negatives"),
        1,
        "at least 1",
    ),
    (
        (
            *("half_lives", "temperatures", "learning_rate"),
            *("penalties", "local_penalties", "next_penalty"),
        ),
        math.ulp(0.0),
        "more than 0",
    ),
    (
        (
            *("layers", "large", "large_steps", "finishing", "patience", "all_negatives", "hard_negatives"),
            *("decay", "newcomers", "features", "edge_half_life", "contrast", "noise"),
        ),
        0,
        "0 or more",
    ),
)
"""Names of settings, their least value, and how that is said."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The defaults were chosen on validation splits of the sets in docs/benchmark.md."""

    dimensions: int = 64
    layers: int = 2
    temperatures: tuple[float, ...] = (0.4, 0.1)
    """The first is for small graphs, where a soft loss generalises; with many interactions the last, sharper one."""
    learning_rate: float = 0.01
    epochs: int = 60
    large_steps: int = 600
    """The same for a large graph in steps, since each step is the whole graph."""
    finishing: float = 0.15
    """Share of the epochs by which a large graph's network is trained on, with what was held out, in the end."""
    steps: int = 50
    """Steps into which an epoch is divided, as far as the sizes of a step allow."""
    batch: tuple[int, int] = (1024, 8192)
    """Least and most interactions in a step. Each step propagates through the whole graph."""
    patience: int = 10
    """Evaluations without improvement before training ends."""
    evaluate_every: int = 2
    """Epochs between evaluations."""
    negatives: int = 512
    """Random products against which the positives of a step are held."""
    all_negatives: int = 2048
    """In a catalogue of at most this many products all are the negatives, and the softmax is a full one."""
    decay: float = 0.25
    """Weight of the mean squared length of the free vectors in the loss."""
    newcomers: float = 0.5
    """Weight in the loss of products as they would be if nobody had met them."""
    penalties: tuple[float, ...] = (50.0, 100.0, 200.0, 400.0, 800.0)
    """λ of the ridge to choose from, where the whole catalogue is solved at once."""
    local_penalties: tuple[float, ...] = (20.0, 50.0)
    """λ where each product is regressed on its neighbours. On hidden parts of Gowalla 20 was better."""
    features: tuple[float, ...] = (1.0, 0.0)
    """For how many users what is said of a product counts in the ridge, to choose from (:mod:`embeddings.features`)."""
    edge_half_life: float = 365.0
    """Days after which what a user did passes on half as much in the network; 0 lets each product met count alike."""
    half_lives: tuple[float, ...] = (365.0, 90.0, 3650.0)
    """Days after which interest has halved, to choose from; the first where nothing can be chosen."""
    recency: float = 0.6
    """What a product counts in the sequence, relative to the one after it."""
    next_penalty: float = 20.0
    """λ of the sequence's ridge."""
    outgoing: int = 60
    """Most SIMILAR_TO relations of a product. On Beauty's validation data 100 were no better."""
    large: int = 100_000
    """From this many interactions on, one split is made, of two kinds of users, and fewer settings are tried."""
    loss: str = "softmax"
    """``softmax`` or ``bpr`` (:mod:`embeddings.losses`)."""
    hard_negatives: int = 0
    """Further negatives of each positive, drawn from the first :data:`HARD_RANKS` products that the model itself, as of
    the last epoch, ranks for the user and the user never met."""
    edge_dropout: float = 0.0
    """Share of the interactions over which no message is passed, others in each epoch."""
    contrast: float = 0.0
    """Weight in the loss of telling nodes apart by two noisy views (SimGCL)."""
    noise: float = 0.1
    """Length of that noise in each layer."""
    mixed_precision: bool = True
    """Products of vectors in bfloat16, where the device is a GPU."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SettingsError(f"loss is {self.loss!r}; expected one of {', '.join(LOSSES)}.")
        if not 0.0 <= self.edge_dropout < 1.0:
            raise SettingsError(f"edge_dropout is {self.edge_dropout}; expected a share from 0 to below 1.")
        for names, least, wanted in _LIMITS:
            for name in names:
                given = getattr(self, name)
                values = given if isinstance(given, tuple) else (given,)
                # Asked so that NaN, which is no less than anything, does not pass.
                if not values or not all(value >= least and math.isfinite(value) for value in values):
                    raise SettingsError(f"{name} is {_written(given) or 'empty'}; expected {wanted}.")
        if not 0.0 <= self.recency <= 1.0:
            raise SettingsError(f"recency is {self.recency}; expected a share from 0 to 1.")
        if len(self.batch) != 2 or self.batch[0] > self.batch[1]:
            raise SettingsError(f"batch is {_written(self.batch)}; expected the least and the most, such as 1024,8192.")


HARD_RANKS: Final = 50
"""Of the model's own ranking for a user, from which hard negatives are drawn."""
HARD_SCORES: Final = 50_000_000
"""Scores of users and products that are in memory at once while these are found: 200 MB."""


def changed(settings: TrainSettings, given: Mapping[str, str]) -> TrainSettings:
    """Settings with some of them changed, each as it is written on a command line: ``2``, ``0.1,0.4``, ``bpr``.

    Raises:
        SettingsError: there is no such setting, or that is no value of it.
    """
    known = {field.name for field in fields(TrainSettings)}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            raise SettingsError(f"There is no setting {name!r} of training. There are {', '.join(sorted(known))}.")
        now = getattr(settings, name)
        try:
            values[name] = _read(text, now)
        except ValueError:
            kind = "numbers separated by commas" if isinstance(now, tuple) else type(now).__name__
            raise SettingsError(f"{name}={text!r}: expected {kind}, such as {_written(now)}.") from None
    return replace(settings, **values)


def _read(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"
    if isinstance(like, tuple):
        return tuple(type(like[0])(part) for part in text.split(","))
    return type(like)(text)


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
