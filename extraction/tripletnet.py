"""The network that reads triplets off word states: spans first, then pairs of spans.

After Span-ASTE (Xu, Chia and Bing, ACL 2021). With words :math:`i \\le j`, states
:math:`f_i, l_j` of first and last word pieces and :math:`m` the mean between::

    h(i, j) = gelu(W1 f_i + W2 l_j + W3 m_ij + W4 l_(i-1) + W5 f_(j+1) + width)      every span of at most 8 words
    span(i, j) = softmax(W6 h)                                      none, aspect, opinion
    pair(a, o) = softmax(W7 gelu(W8 h_a + W9 h_o + distance + W10 m_between) + W11 (W12 h_a * W13 h_o))
                                                                    none, positive, negative, neutral
    plain(i) = W14 (f_i + l_i) / 2                                  what the encoder as it is says of the word

Only the likeliest aspects and opinions of a sentence are paired: half as many
as it has words, so that the work is quadratic in a sentence's words only up
to :data:`MAX_CANDIDATES`. In training the right ones are always among them.

The last line is for readers of plain states (:mod:`extraction.clauses`). It is learned together with the rest, so that
the adapter keeps what they need, and one pass of the encoder serves them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extraction.adapters import States
from extraction.benchmarks import SENTIMENTS, MarkedSentence, Triplet

MAX_WIDTH: Final = 8
"""Words of the longest span; in ASTE-V2's training parts 12 of 4,811 triplets have a longer one."""
MAX_CANDIDATES: Final = 40
"""Aspects, and opinions, of one sentence that are paired at most."""
DISTANCES: Final = (0, 1, 2, 3, 4, 5, 7, 10, 15, 25)
"""Words between an aspect and an opinion, in classes that begin at these numbers; overlap is a class of its own."""
WIDTH: Final = 192
"""Width of the hidden layers."""
DROPOUT: Final = 0.3

NONE, ASPECT, OPINION = 0, 1, 2
Span = tuple[int, int]
"""First and last word."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network says of a batch of sentences; ``S`` spans a sentence, ``K`` candidates of either kind."""

    spans: Tensor
    """Logits of none, aspect, opinion: ``[sentences, S, 3]``."""
    present: Tensor
    """Whether a span lies within its sentence: ``[sentences, S]``."""
    starts: Tensor
    """First word of each span: ``[S]``."""
    ends: Tensor
    """Last word of each span: ``[S]``."""
    aspects: Tensor
    """Which spans are candidates: ``[sentences, K]``."""
    opinions: Tensor
    """The same for opinions: ``[sentences, K]``."""
    pairs: Tensor
    """Logits of none and the sentiments: ``[sentences, K, K, 4]``."""
    possible: Tensor
    """Whether both spans of a pair lie within the sentence and do not overlap: ``[sentences, K, K]``."""


@dataclass(frozen=True, slots=True)
class Gold:
    """What is right for a batch of sentences."""

    kinds: Tensor
    """Kind of each span: ``[sentences, S]``."""
    sentiments: Tensor
    """Triplets as rows ``(sentence, span of the aspect, span of the opinion, 1 + sentiment)``: ``[n, 4]``."""


class TripletNet(nn.Module):
    """Word states in, scores of spans and pairs out.

    Args:
        dimensions: width of the word states.
    """

    def __init__(self, dimensions: int, *, width: int = WIDTH, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.start = nn.Linear(dimensions, width)
        self.end = nn.Linear(dimensions, width, bias=False)
        self.inside = nn.Linear(dimensions, width, bias=False)
        self.before = nn.Linear(dimensions, width, bias=False)
        self.after = nn.Linear(dimensions, width, bias=False)
        self.length = nn.Embedding(MAX_WIDTH, width)
        self.kind = nn.Linear(width, 3)
        self.as_aspect = nn.Linear(width, width)
        self.as_opinion = nn.Linear(width, width, bias=False)
        self.between = nn.Linear(dimensions, width, bias=False)
        self.distance = nn.Embedding(2 * (len(DISTANCES) + 1), width)
        self.sentiment = nn.Linear(width, 1 + len(SENTIMENTS))
        self.aspect_factor = nn.Linear(width, 64)
        self.opinion_factor = nn.Linear(width, 64)
        self.product = nn.Linear(64, 1 + len(SENTIMENTS), bias=False)
        self.as_plain = nn.Linear(dimensions, dimensions)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small embeddings, and "none" as likely from the start as it is: else the first steps learn only that."""
        nn.init.normal_(self.length.weight, std=0.1)
        nn.init.normal_(self.distance.weight, std=0.1)
        with torch.no_grad():
            self.kind.bias[NONE] += 4.0
            self.sentiment.bias[0] += 3.0
        # A new adapter changes no state.
        nn.init.eye_(self.as_plain.weight)
        nn.init.zeros_(self.as_plain.bias)

    def forward(self, states: States, gold: Gold | None = None) -> Scores:
        """Score a batch.

        Args:
            gold: what is right, in training: the right spans are then candidates.
        """
        first, last = self.dropout(states.first), self.dropout(states.last)
        sentences, words, _ = first.shape
        starts, ends = spans_of(words, first.device)
        present = states.present[:, ends]
        hidden = self.dropout(F.gelu(self._spans(first, last, starts, ends)))  # [sentences, S, width]
        kinds = self.kind(hidden)
        count = min(MAX_CANDIDATES, (words + 1) // 2, len(starts))
        aspects = _candidates(kinds, present, ASPECT, count, gold)
        opinions = _candidates(kinds, present, OPINION, count, gold)
        row = torch.arange(sentences, device=first.device)[:, None]
        a, o = hidden[row, aspects], hidden[row, opinions]  # [sentences, K, width]
        gap, before = _gaps(starts[aspects], ends[aspects], starts[opinions], ends[opinions])
        joined = self.as_aspect(a)[:, :, None] + self.as_opinion(o)[:, None] + self.distance(_distances(gap, before))
        joined = joined + self._between(0.5 * (first + last), starts, ends, aspects, opinions)
        factors = self.aspect_factor(a)[:, :, None] * self.opinion_factor(o)[:, None]
        # One eighth: the product of two 64-d factors begins as large as the sum beside it.
        pairs = self.sentiment(self.dropout(F.gelu(joined))) + self.product(factors / 8)
        possible = present[row, aspects][:, :, None] & present[row, opinions][:, None] & (gap >= 0)
        return Scores(kinds, present, starts, ends, aspects, opinions, pairs, possible)

    def plain(self, states: States) -> Tensor:
        """Words nearly as the encoder has them without its adapter, ``[sentences, words, dimensions]``."""
        found: Tensor = self.as_plain(words_of(states))
        return found

    def _spans(self, first: Tensor, last: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """What is known of each span, before the nonlinearity: ``[sentences, S, width]``."""
        inside = _running(self.inside(0.5 * (first + last)))
        mean = (inside[:, ends + 1] - inside[:, starts]) / (ends - starts + 1)[:, None]
        # A blank word at either end stands for what lies outside the sentence.
        before = F.pad(self.before(last), (0, 0, 1, 0))[:, starts]
        after = F.pad(self.after(first), (0, 0, 0, 1))[:, ends + 1]
        spans: Tensor = (
            self.start(first)[:, starts] + self.end(last)[:, ends] + mean + before + after + self.length(ends - starts)
        )
        return spans

    def _between(self, states: Tensor, starts: Tensor, ends: Tensor, aspects: Tensor, opinions: Tensor) -> Tensor:
        """The mean of what stands between an aspect and an opinion: ``[sentences, K, K, width]``."""
        sums = _running(self.between(states))
        low = torch.minimum(ends[aspects][:, :, None], ends[opinions][:, None]) + 1
        high = torch.maximum(starts[aspects][:, :, None], starts[opinions][:, None]).maximum(low)
        row = torch.arange(len(states), device=states.device)[:, None, None]
        mean: Tensor = (sums[row, high] - sums[row, low]) / (high - low).clamp(min=1)[..., None]
        return mean


def words_of(states: States) -> Tensor:
    """One state a word, ``[sentences, words, dimensions]``: the mean of those of its first and its last piece."""
    return 0.5 * (states.first + states.last)


def spans_of(words: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """First and last word of every span of at most :data:`MAX_WIDTH` words, by first word: two ``[S]``."""
    start = torch.arange(words, device=device).repeat_interleave(MAX_WIDTH)
    end = start + torch.arange(MAX_WIDTH, device=device).repeat(words)
    inside = end < words
    return start[inside], end[inside]


def gold_of(sentences: Sequence[MarkedSentence], words: int, device: torch.device | None = None) -> Gold:
    """What is right for sentences of which the longest has ``words`` words; spans that are too long are left out."""
    starts, ends = spans_of(words)
    number = {span: n for n, span in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))}
    kinds = torch.zeros(len(sentences), len(starts), dtype=torch.long)
    rows: list[tuple[int, int, int, int]] = []
    for i, sentence in enumerate(sentences):
        for triplet in sentence.triplets:
            aspect, opinion = number.get(ends_of(triplet.aspect)), number.get(ends_of(triplet.opinion))
            if aspect is not None and opinion is not None:
                kinds[i, aspect], kinds[i, opinion] = ASPECT, OPINION
                rows.append((i, aspect, opinion, 1 + SENTIMENTS.index(triplet.sentiment)))
    return Gold(kinds.to(device), torch.tensor(rows, dtype=torch.long, device=device).reshape(-1, 4))


def loss(scores: Scores, gold: Gold) -> Tensor:
    """Cross-entropy of spans and of pairs, summed over a sentence, averaged over sentences."""
    of_spans = F.cross_entropy(scores.spans[scores.present], gold.kinds[scores.present], reduction="sum")
    right = torch.zeros(scores.pairs.shape[:3], dtype=torch.long, device=scores.pairs.device)
    sentence, aspect, opinion, sentiment = gold.sentiments.unbind(1)
    found_a = (scores.aspects[sentence] == aspect[:, None]).nonzero()
    found_o = (scores.opinions[sentence] == opinion[:, None]).nonzero()
    # Every right span is a candidate, once: the n-th row of either is that of the n-th triplet. Where a span is marked
    # both as aspect and as opinion it is a candidate of one kind alone, and its triplets teach nothing.
    place_a = torch.full_like(sentence, -1).index_put((found_a[:, 0],), found_a[:, 1])
    place_o = torch.full_like(sentence, -1).index_put((found_o[:, 0],), found_o[:, 1])
    both = (place_a >= 0) & (place_o >= 0)
    right[sentence[both], place_a[both], place_o[both]] = sentiment[both]
    of_pairs = F.cross_entropy(scores.pairs[scores.possible], right[scores.possible], reduction="sum")
    return (of_spans + of_pairs) / len(scores.spans)


def astray(found: Tensor, plain: Tensor, present: Tensor) -> Tensor:
    """Squared distances of words' states from those of the encoder as it is, in squares of the latter's lengths.

    Summed over a sentence, averaged over sentences, like :func:`loss`.

    Args:
        found: ``[sentences, words, dimensions]``.
        plain: the same.
        present: ``[sentences, words]``.
    """
    off = (found - plain).square().sum(-1) / plain.square().sum(-1).clamp(min=1e-6)
    return (off * present).sum() / len(found)


@dataclass(frozen=True, slots=True)
class Found:
    """A triplet that the network reads in a sentence."""

    triplet: Triplet
    logit: float
    """Log-odds of the triplet against everything else, not calibrated."""


def decode(scores: Scores, least: float) -> list[list[Found]]:
    """Pairs of each sentence likelier than ``least`` (a log-odds) to belong together, the likeliest first.

    Of pairs that overlap in both aspect and opinion only the likeliest stays.
    """
    log = scores.pairs.log_softmax(-1)
    # Log-odds of the triplet as a whole: the pair belongs together, and the sentiment is this one.
    chance, sentiments = log[..., 1:].max(-1)
    odds = torch.logit(chance.exp().clamp(1e-6, 1 - 1e-6)).masked_fill(~scores.possible, -torch.inf)
    starts, ends = scores.starts.tolist(), scores.ends.tolist()
    found: list[list[tuple[float, Span, Span, int]]] = [[] for _ in range(len(log))]
    for i, a, o in (odds >= least).nonzero().tolist():
        aspect, opinion = int(scores.aspects[i, a]), int(scores.opinions[i, o])
        spans = (starts[aspect], ends[aspect]), (starts[opinion], ends[opinion])
        found[i].append((float(odds[i, a, o]), *spans, int(sentiments[i, a, o])))
    return [_best(pairs) for pairs in found]


def _best(pairs: list[tuple[float, Span, Span, int]]) -> list[Found]:
    kept: list[tuple[Span, Span]] = []
    best: list[Found] = []
    for logit, aspect, opinion, sentiment in sorted(pairs, key=lambda p: (-p[0], p[1], p[2])):
        if not any(_overlap(aspect, a) and _overlap(opinion, o) for a, o in kept):
            kept.append((aspect, opinion))
            triplet = Triplet(
                tuple(range(aspect[0], aspect[1] + 1)),
                tuple(range(opinion[0], opinion[1] + 1)),
                SENTIMENTS[sentiment],
            )
            best.append(Found(triplet, logit))
    return best


def ends_of(run: Sequence[int]) -> Span:
    """First and last of a run of words."""
    return min(run), max(run)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _candidates(kinds: Tensor, present: Tensor, kind: int, count: int, gold: Gold | None) -> Tensor:
    """The spans likeliest to be of a kind: ``[sentences, count]``. More where the right ones are more."""
    with torch.no_grad():
        score = (kinds[..., kind] - kinds[..., NONE]).masked_fill(~present, -1e6)
        if gold is not None:
            right = gold.kinds == kind
            count = max(count, int(right.sum(1).max()))
            score = score + 1e3 * right
        return score.topk(count, dim=1).indices


def _gaps(a0: Tensor, a1: Tensor, o0: Tensor, o1: Tensor) -> tuple[Tensor, Tensor]:
    """Words between each aspect and each opinion, negative where they overlap; and whether the aspect is before."""
    before = a0[:, :, None] < o0[:, None]
    return torch.where(before, o0[:, None] - a1[:, :, None], a0[:, :, None] - o1[:, None]) - 1, before


def _distances(gap: Tensor, before: Tensor) -> Tensor:
    """Class of each distance, for the embedding."""
    steps = torch.tensor(DISTANCES, device=gap.device)
    classes = (torch.bucketize(gap, steps, right=True) - 1).masked_fill(gap < 0, len(DISTANCES))
    return classes + before * (len(DISTANCES) + 1)


def _running(states: Tensor) -> Tensor:
    """Running sums over words, beginning with zero: ``[sentences, words + 1, width]``."""
    return F.pad(states.cumsum(1), (0, 0, 1, 0))
