"""Every size that training uses, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass


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
    penalties: tuple[float, ...] = (20.0, 50.0, 100.0, 200.0, 400.0)
    """λ of the ridge to choose from, where the whole catalogue is solved at once."""
    local_penalties: tuple[float, ...] = (20.0, 50.0)
    """λ where each product is regressed on its neighbours."""
    half_lives: tuple[float, ...] = (365.0, 90.0, 3650.0)
    """Days after which interest has halved, to choose from; the first where nothing can be chosen."""
    recency: float = 0.6
    """What a product counts in the sequence, relative to the one after it."""
    next_penalty: float = 20.0
    """λ of the sequence's ridge."""
    outgoing: int = 60
    """Most SIMILAR_TO relations of a product. On Beauty's validation data 100 were no better."""
    large: int = 100_000
    """From this many interactions on, one split is made and fewer settings are tried."""
