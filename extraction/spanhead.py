"""The network that reads values: a query for each attribute, and one score for each run of words of a text.

For word states :math:`h_i` (first piece) and :math:`e_j` (last piece) of a text
and the query :math:`q` of an attribute, the run from word i to word j has

.. math:: s_{ij} = h_i \\cdot Sq + e_j \\cdot Eq + \\frac{1}{j-i+1} \\sum_{t=i}^{j} h_t \\cdot Iq
          + \\sum_k (L h_i)_k (Gq)_k (R e_j)_k

and "not stated" has :math:`c \\cdot Nq` of the text's opening piece c. A query is
the sum of the attribute's name (its sentence vector, projected), a learned vector
of the attribute and one of the attribute in its category; an attribute never
seen has the name alone. To a candidate's score comes the memory's, scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from extraction.adapters import States
from extraction.memory import REGIMES
from extraction.spans import WIDTH

RANK: Final = 64
"""Width k of the product between the two ends of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question as numbers; ``n`` candidates."""

    name: NDArray[np.float32]
    """Vector of the attribute's name."""
    attribute: int
    """Its row, 0 when it is taken for new."""
    pair: int
    """Row of category and attribute, 0 where they were not met together."""
    first: NDArray[np.int32]
    """First word of each candidate; -1 for "not stated", -2 for what stands nowhere; ``[n]``."""
    last: NDArray[np.int32]
    """Last word of each candidate, the same for the two others; ``[n]``."""
    regime: int
    """How well it is known, a number in :data:`extraction.memory.REGIMES`."""
    memory: NDArray[np.float32]
    """What the memory gives each candidate, ``[n]``."""
    right: NDArray[np.bool_]
    """Which candidates are right; looked at in training alone."""


class SpanHead(nn.Module):
    """Scores of the candidates of questions; see the module's text.

    Args:
        dimensions: of the word states.
        names: dimensions of the names' vectors.
        attributes: how many attributes have a vector of their own.
        pairs: how many pairs of category and attribute have one.
    """

    def __init__(self, dimensions: int, names: int, attributes: int, pairs: int, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.name = nn.Linear(names, dimensions)
        self.attribute = nn.Embedding(attributes + 1, dimensions, padding_idx=0)
        self.pair = nn.Embedding(pairs + 1, dimensions, padding_idx=0)
        self.norm = nn.LayerNorm(dimensions)
        self.start, self.end, self.inside, self.none = (nn.Linear(dimensions, dimensions) for _ in range(4))
        self.left, self.right, self.gate = (nn.Linear(dimensions, RANK) for _ in range(3))
        self.trust = nn.Parameter(torch.ones(len(REGIMES)))
        """Scale of the memory's score, by how well an attribute is known."""
        self.silence = nn.Parameter(torch.zeros(len(REGIMES)))
        """Constant for "not stated", the same."""
        self.nowhere = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            # To begin with the memory speaks almost alone.
            for table in (self.attribute, self.pair):
                table.weight.zero_()
            for linear in (self.start, self.end, self.inside, self.none, self.gate):
                linear.weight.mul_(0.3)
                linear.bias.zero_()

    def forward(self, states: States, questions: Sequence[Sequence[Question]]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of all candidates ``[texts, questions, candidates]`` (-inf where there is none), which are right,
        and which questions there are ``[texts, questions]``."""
        device = states.first.device
        most = max(1, *(len(q) for q in questions))
        wide = max((len(q.first) for row in questions for q in row), default=1)
        length = states.first.shape[1]
        read = states.present.sum(1).tolist()
        shape = (len(questions), most)
        names = np.zeros((*shape, self.name.in_features), dtype=np.float32)
        ids = np.zeros((*shape, 3), dtype=np.int64)
        place = np.full((*shape, wide), length * WIDTH + 2, dtype=np.int64)
        memory = np.zeros((*shape, wide), dtype=np.float32)
        right = np.zeros((*shape, wide), dtype=bool)
        there = np.zeros(shape, dtype=bool)
        for t, row in enumerate(questions):
            for k, q in enumerate(row):
                n = len(q.first)
                names[t, k], ids[t, k], there[t, k] = q.name, (q.attribute, q.pair, q.regime), True
                place[t, k, :n] = _places(q.first, q.last, read[t], length)
                memory[t, k, :n], right[t, k, :n] = q.memory, q.right
        number = torch.from_numpy(ids).to(device)
        query = self.norm(
            self.name(self.dropout(torch.from_numpy(names).to(device)))
            + self.attribute(number[..., 0])
            + self.pair(number[..., 1])
        )
        query = self.dropout(query)  # [texts, questions, dimensions]
        regime = number[..., 2]
        scores = self._flat(states, query, self.silence[regime])
        scores = scores.gather(2, torch.from_numpy(place).to(device))
        scores = scores + self.trust[regime][..., None] * torch.from_numpy(memory).to(device)
        return scores, torch.from_numpy(right).to(device), torch.from_numpy(there).to(device)

    def _flat(self, states: States, query: Tensor, silence: Tensor) -> Tensor:
        """Scores ``[texts, questions, words · WIDTH + 3]``: of the run of width w from word i at ``i · WIDTH + w - 1``,
        then of "not stated", of a value that stands nowhere, and of no candidate at all (-inf)."""
        first, last = self.dropout(states.first), self.dropout(states.last)
        length, dimensions = first.shape[1:]
        scale = 1 / math.sqrt(dimensions)
        start = self.start(query) @ first.transpose(1, 2) * scale  # [texts, questions, words]
        end = self.end(query) @ last.transpose(1, 2) * scale
        inside = self.inside(query) @ first.transpose(1, 2) * scale
        sums = nn.functional.pad(inside.cumsum(2), (1, 0))
        left = self.left(first)[:, None] * self.gate(query)[:, :, None]  # [texts, questions, words, k]
        right = self.right(last)[:, None]
        by_width = []
        for w in range(1, WIDTH + 1):
            rest = length - w + 1
            if rest < 1:
                by_width.append(torch.full_like(start, -math.inf))
                continue
            run = start[..., :rest] + end[..., w - 1 :] + (sums[..., w:] - sums[..., :rest]) / w
            run = run + (left[:, :, :rest] * right[:, :, w - 1 :]).sum(-1) / math.sqrt(RANK)
            by_width.append(nn.functional.pad(run, (0, w - 1), value=-math.inf))
        grid = torch.stack(by_width, dim=-1).flatten(2)
        none = (self.none(query) * states.whole[:, None]).sum(-1) * scale + silence
        nowhere = self.nowhere.expand_as(none)
        nothing = torch.full_like(none, -math.inf)
        return torch.cat([grid, torch.stack([none, nowhere, nothing], dim=-1)], dim=-1)


def _places(first: NDArray[np.int32], last: NDArray[np.int32], read: int, length: int) -> NDArray[np.int64]:
    """Where the scores of candidates stand in a grid of ``length`` words.

    To words beyond those that were ``read``, which have no states, the network is blind.
    """
    width = np.minimum(last - first, WIDTH - 1)
    place = first.astype(np.int64) * WIDTH + width
    place[(first + width >= read) & (first >= 0)] = length * WIDTH + 1
    place[first == -1] = length * WIDTH
    place[first == -2] = length * WIDTH + 1
    return place


def loss(scores: Tensor, right: Tensor, there: Tensor) -> Tensor:
    """Mean negative logarithm of what all right candidates of a question have together."""
    answerable = there & right.any(-1) & (scores.masked_fill(~right, -math.inf).amax(-1) > -math.inf)
    scores, right = scores[answerable], right[answerable]  # [questions, candidates]
    good = scores.masked_fill(~right, -math.inf).logsumexp(-1)
    return (scores.logsumexp(-1) - good).mean() if len(scores) else scores.sum()
