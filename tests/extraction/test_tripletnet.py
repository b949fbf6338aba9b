"""The network of spans and pairs, against slow loops and hand-drawn states."""

from __future__ import annotations

import pytest
import torch

from extraction import tripletnet
from extraction.adapters import States
from extraction.benchmarks import MarkedSentence, Triplet
from extraction.tripletnet import MAX_WIDTH, TripletNet, decode, gold_of, loss, spans_of

WORDS = {"the": 0, "sound": 1, "strap": 2, "is": 3, "great": 4, "poor": 5, "and": 6, ".": 7}


def drawn(*sentences: str) -> States:
    """One axis for each word, in fixed order; sentences are padded."""
    rows = [[WORDS[w] for w in s.split()] for s in sentences]
    width = max(map(len, rows))
    states = torch.zeros(len(rows), width, len(WORDS))
    present = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        states[i, range(len(row)), row] = 1.0
        present[i, : len(row)] = True
    return States(states, states, present, states[:, 0])


def marked(sentence: str, *triplets: tuple[int, int, str]) -> MarkedSentence:
    return MarkedSentence(tuple(sentence.split()), tuple(Triplet((a,), (o,), s) for a, o, s in triplets))


@pytest.mark.parametrize("words", [1, 2, MAX_WIDTH, MAX_WIDTH + 3])
def test_every_span_once(words: int) -> None:
    starts, ends = spans_of(words)
    expected = [(i, j) for i in range(words) for j in range(i, min(words, i + MAX_WIDTH))]
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected


def test_what_is_right_is_marked() -> None:
    sentence = MarkedSentence(tuple("abcd"), (Triplet((0, 1), (3,), "NEG"),))
    gold = gold_of([sentence], 4)
    starts, ends = spans_of(4)
    kinds = {(s, e): k for s, e, k in zip(starts.tolist(), ends.tolist(), gold.kinds[0].tolist(), strict=True) if k}
    assert kinds == {(0, 1): tripletnet.ASPECT, (3, 3): tripletnet.OPINION}
    assert gold.sentiments.tolist() == [[0, 1, 9, 2]]


def test_a_span_that_is_too_long_teaches_nothing() -> None:
    words = MAX_WIDTH + 2
    sentence = MarkedSentence(("w",) * words, (Triplet(tuple(range(MAX_WIDTH + 1)), (words - 1,), "POS"),))
    gold = gold_of([sentence], words)
    assert not gold.kinds.any()
    assert len(gold.sentiments) == 0


@pytest.fixture(scope="module")
def learned() -> TripletNet:
    """A net that has read a few sentences often."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = TripletNet(len(WORDS), width=24, dropout=0.0)
    sentences = [
        marked("the sound is great .", (1, 3, "POS")),
        marked("the strap is great .", (1, 3, "POS")),
        marked("the sound is poor .", (1, 3, "NEG")),
        marked("the strap is poor .", (1, 3, "NEG")),
        marked("great sound and poor strap", (1, 0, "POS"), (4, 3, "NEG")),
        marked("poor sound and great strap", (1, 0, "NEG"), (4, 3, "POS")),
        marked("the and is the ."),
    ]
    states = drawn(*(" ".join(s.tokens) for s in sentences))
    gold = gold_of(sentences, states.first.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-2)
    for _ in range(120):
        optimiser.zero_grad()
        value = loss(net(states, gold), gold)
        value.backward()
        optimiser.step()
    assert float(value.detach()) < 0.2
    return net.eval()


def answers(net: TripletNet, *sentences: str) -> list[set[tuple[tuple[int, ...], tuple[int, ...], str]]]:
    with torch.inference_mode():
        found = decode(net(drawn(*sentences)), 0.0)
    return [{(f.triplet.aspect, f.triplet.opinion, f.triplet.sentiment) for f in one} for one in found]


def test_triplets_are_learned(learned: TripletNet) -> None:
    assert answers(learned, "great strap and poor sound", "the and is the .") == [
        {((1,), (0,), "POS"), ((4,), (3,), "NEG")},
        set(),
    ]


def test_padding_changes_nothing(learned: TripletNet) -> None:
    alone = answers(learned, "the sound is great .")
    beside = answers(learned, "the sound is great .", "the strap is poor . the strap is great . the sound is poor .")
    assert alone == beside[:1]


def test_a_sentence_of_one_word_has_no_pair(learned: TripletNet) -> None:
    assert answers(learned, "great", "sound") == [set(), set()]


def test_of_overlapping_pairs_the_likeliest_stays() -> None:
    # Three words, all six spans candidates of both kinds: (0-1, 2) and (1, 2) belong together, the former more surely.
    starts, ends = spans_of(3)
    number = {span: n for n, span in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))}
    every = torch.arange(6)[None]
    pairs = torch.zeros(1, 6, 6, 4)
    pairs[..., 0] = 9.0
    pairs[0, number[0, 1], number[2, 2]] = torch.tensor([0.0, 5.0, 0.0, 0.0])
    pairs[0, number[1, 1], number[2, 2]] = torch.tensor([0.0, 0.0, 3.0, 0.0])
    scores = tripletnet.Scores(
        spans=torch.zeros(1, 6, 3),
        present=torch.ones(1, 6, dtype=torch.bool),
        starts=starts,
        ends=ends,
        aspects=every,
        opinions=every,
        pairs=pairs,
        possible=torch.ones(1, 6, 6, dtype=torch.bool),
    )
    (found,) = decode(scores, 0.0)
    assert [f.triplet for f in found] == [Triplet((0, 1), (2,), "POS")]
    assert found[0].logit == pytest.approx(5.0 - torch.tensor([0.0, 0.0, 0.0]).logsumexp(0).item(), abs=1e-4)
