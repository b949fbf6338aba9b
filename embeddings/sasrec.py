"""SASRec (Kang & McAuley, ICDM 2018, arXiv:1808.09781): the baseline that reads a sequence.

A transformer decoder over a user's products in the order of time predicts at each
place the next one, by binary cross-entropy against one random product, as
published. Sizes are those of the paper and of RecBole (64 dimensions, two blocks,
the last 50 products); how many epochs is chosen on each user's last product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.baselines import Baseline, Ranker, Validation
from embeddings.scoring import places
from embeddings.split import Interactions

LENGTH: Final = 50
DIMENSIONS: Final = 64
BLOCKS: Final = 2
HEADS: Final = 2
DROPOUT: Final = 0.5
"""The paper's for sparse sets such as Amazon's."""
BATCH: Final = 256
LEARNING_RATE: Final = 1e-3
EPOCHS: Final = 120
EVALUATE_EVERY: Final = 10
PATIENCE: Final = 3
"""Evaluations without improvement before it ends."""


class SASRec(nn.Module):
    """Row 0 of the embedding is padding; product p is row p + 1.

    Shapes:
        - input: rows of products, right-padded, int64 ``[b, t]``, and lengths ``[b]``
        - output: a state at each place, ``[b, t, d]``; a product's score is its embedding times the state.
    """

    def __init__(self, n_products: int) -> None:
        super().__init__()
        self.products = nn.Embedding(n_products + 1, DIMENSIONS, padding_idx=0)
        self.positions = nn.Embedding(LENGTH, DIMENSIONS)
        self.dropout = nn.Dropout(DROPOUT)
        block = nn.TransformerEncoderLayer(
            DIMENSIONS, HEADS, DIMENSIONS, DROPOUT, activation="relu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, BLOCKS, nn.LayerNorm(DIMENSIONS), enable_nested_tensor=False)
        for embedding in (self.products, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        with torch.no_grad():
            self.products.weight[0].zero_()

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """States, each of which has seen its own product and those before it."""
        t = rows.shape[1]
        # Counted from the end, as the paper's padding on the left does: the latest product stands at 0.
        position = (lengths[:, None] - 1 - torch.arange(t)[None, :]).clamp(min=0)
        x = self.dropout(self.products(rows) * DIMENSIONS**0.5 + self.positions(position))
        later = torch.triu(torch.ones(t, t, dtype=torch.bool), 1)
        return self.blocks(x, mask=later)


def sasrec(x: Interactions, validation: Validation | None, seed: int) -> Baseline:
    """Trained for as many epochs as were best on ``validation``, then once more on everything."""
    epochs = EPOCHS // 2
    if validation is not None:
        best = (-np.inf, 0)
        for epoch, model in _train(validation.train, EPOCHS, seed):
            if epoch % EVALUATE_EVERY == 0:
                best = max(best, (validation.score(_ranker(model, validation.train)), -epoch))
                if epoch + best[1] >= PATIENCE * EVALUATE_EVERY:
                    break
        epochs = -best[1]
    *_, (_, model) = _train(x, epochs, seed)
    return Baseline("sasrec", _ranker(model, x), f"{epochs} epochs")


def sequences(x: Interactions) -> list[np.ndarray]:
    """Each user's products, earliest first, int64; empty for who has none with a time."""
    users, products, _ = places(x)
    bounds = np.searchsorted(users, np.arange(x.n_users + 1))
    return [products[begin:end][::-1] for begin, end in pairwise(bounds)]


def _train(x: Interactions, epochs: int, seed: int) -> Iterator[tuple[int, SASRec]]:
    """Yields the model before the first epoch and after each."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        past = [s[-LENGTH - 1 :] for s in sequences(x) if len(s) > 1]
        model = SASRec(x.n_products)
        optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98))
        yield 0, model
        for epoch in range(1, epochs + 1):
            model.train()
            for batch in _batches(past, rng):
                rows, lengths = _padded([s[:-1] for s in batch])
                targets, _ = _padded([s[1:] for s in batch])
                states = model(rows, lengths)
                real = targets > 0
                negatives = torch.from_numpy(rng.integers(1, x.n_products + 1, int(real.sum())))
                states = states[real]
                up = (states * model.products(targets[real])).sum(1)
                down = (states * model.products(negatives)).sum(1)
                loss = -(F.logsigmoid(up) + F.logsigmoid(-down)).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            yield epoch, model


def _batches(past: Sequence[np.ndarray], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """All sequences in random order, those of like length together: padding is then little."""
    noise = rng.random(len(past))
    order = np.lexsort([noise, np.array([len(s) for s in past])])
    starts = np.arange(0, len(order), BATCH)
    for start in rng.permutation(starts):
        yield [past[i] for i in order[start : start + BATCH]]


def _padded(batch: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(s) for s in batch])
    rows = np.zeros((len(batch), max(int(lengths.max()), 1)), dtype=np.int64)
    for row, s in zip(rows, batch, strict=True):
        row[: len(s)] = s + 1
    return torch.from_numpy(rows), torch.from_numpy(lengths)


def _ranker(model: SASRec, x: Interactions) -> Ranker:
    past = [s[-LENGTH:] for s in sequences(x)]

    def rank(users: np.ndarray) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            rows, lengths = _padded([past[user] for user in users])
            states = model(rows, lengths)[torch.arange(len(users)), (lengths - 1).clamp(min=0)]
            scores: np.ndarray = (states @ model.products.weight[1:].T).numpy()
        scores[lengths.numpy() == 0] = 0.0
        return scores

    return rank
