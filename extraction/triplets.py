"""A trainable extractor of (aspect, opinion, sentiment) triplets: an adapted encoder with a head of spans.

The upper layers of the encoder get a LoRA adapter (:mod:`extraction.adapters`), and
:mod:`extraction.tripletnet` scores spans and their pairs. A fifth of the marked
sentences is kept out of training: on it the log-odds of what is found become
calibrated confidences.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from extraction.benchmarks import MarkedSentence, Triplet
from extraction.calibration import Platt
from extraction.course import Chance, Course, Part, Tensors
from extraction.sentences import ReadSentence
from kg.errors import ExtractionError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from extraction.adapters import AdaptedEncoder, Coded
    from extraction.tripletnet import Found, TripletNet

_WEIGHTS: Final = "head.safetensors"
_CONFIG: Final = "triplets.json"

THRESHOLDS: Final = tuple(n / 4 for n in range(-2, 9))
"""Log-odds of which the best is chosen: few, since a fifth of the sentences tells no more."""
BATCH: Final = 1024
"""Word pieces in one pass: more of them leave the processor's caches and are slower."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained."""

    rank: int = 32
    """Rank of the adapter; 0 for the encoder as it is."""
    first_layer: int = 3
    """First layer that is adapted; what the layers below give is computed once a sentence."""
    epochs: int = 10
    batch: int = 16
    """Sentences of a step; fewer where there are less than twelve times as many in all."""
    rate: float = 1e-3
    """Highest learning rate, after a tenth of the steps; it falls to zero in a line."""
    decay: float = 0.01
    average: float = 0.99
    """Weight of the old in the running average of the weights, which is what is kept; 0 for none."""
    kept_out: float = 0.2
    """Share of the sentences on which confidences are calibrated."""
    faithful: float = 0.3
    """Weight of the distance from the plain encoder's states beside the loss of triplets."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ReadTriplet:
    """A triplet that the model reads in a sentence."""

    triplet: Triplet
    confidence: float
    """That it is exactly right, as ASTE counts."""
    fact_confidence: float
    """That aspect and sentiment are right (:meth:`Triplet.says_like`), wherever the words begin and end: what the graph
    will say."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a training reports after each."""

    number: int
    """From 1."""
    of: int
    loss: float
    """Mean over the sentences."""


class TripletModel:
    """Adapter, head and calibrations.

    Args:
        exact: log-odds to the confidence that a triplet is exactly right.
        fact: log-odds to the confidence that its aspect and sentiment are.
        threshold: log-odds below which nothing is answered.
    """

    def __init__(
        self,
        encoder: AdaptedEncoder,
        net: TripletNet,
        exact: Platt,
        fact: Platt,
        threshold: float = min(THRESHOLDS),
    ) -> None:
        self.encoder = encoder
        self.net = net
        self.exact = exact
        self.fact = fact
        self.threshold = threshold

    @classmethod
    def train(
        cls,
        sentences: Sequence[MarkedSentence],
        folder: str | Path | None = None,
        *,
        recipe: Recipe | None = None,
        device: str = "auto",
        checkpoint: Path | None = None,
        progress: Callable[[Epoch], None] = lambda _: None,
    ) -> TripletModel:
        """Learn from marked sentences; the same sentences and the same recipe give the same model.

        Args:
            folder: of the encoder, see :class:`extraction.encoder.Encoder`.
            checkpoint: file in which each finished epoch is kept; a training that was cut off goes on from there.
        """
        import torch

        from extraction.adapters import AdaptedEncoder
        from extraction.tripletnet import TripletNet

        recipe = recipe or Recipe()
        learned, kept_out = split(once(sentences), recipe.kept_out, recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            encoder = AdaptedEncoder(
                folder,
                device=device,
                rank=recipe.rank,
                first_layer=recipe.first_layer,
                dropout=0.0,
                seed=recipe.seed,
            )
            net = TripletNet(encoder.dimensions).to(encoder.device)
            for epoch in _epochs(_Prepared.of(learned, encoder, recipe), encoder, net, recipe, checkpoint):
                progress(epoch)
        model = cls(encoder, net, Platt(), Platt())
        if kept_out:
            judged = model._judged(kept_out)
            stated = sum(len(s.triplets) for s in kept_out)
            model.threshold = best_threshold([(logit, exact) for logit, exact, _ in judged], stated)
            model.exact, model.fact = model.calibrations(kept_out)
        else:
            model.threshold = 0.0
        return model

    def calibrations(self, marked: Sequence[MarkedSentence]) -> tuple[Platt, Platt]:
        """Those of exact triplets and of facts that fit what is read in sentences which were not learned."""
        judged = [one for one in self._judged(marked) if one[0] >= self.threshold]
        logits = [logit for logit, _, _ in judged]
        return Platt.fit(logits, [e for _, e, _ in judged]), Platt.fit(logits, [f for _, _, f in judged])

    def _judged(self, marked: Sequence[MarkedSentence]) -> list[tuple[float, bool, bool]]:
        """The log-odds of each triplet found, whether it is exactly right, and whether its fact is."""
        return [
            (one.logit, one.triplet in sentence.triplets, any(map(one.triplet.says_like, sentence.triplets)))
            for sentence, (_, found) in zip(marked, self._pass([s.tokens for s in marked]), strict=True)
            for one in found
        ]

    def answer(self, sentences: Sequence[Sequence[str]]) -> list[tuple[Triplet, ...]]:
        """The triplets of each sentence, given as words."""
        return [tuple(sorted(f.triplet for f in found)) for _, found in self._pass(sentences)]

    def read(self, sentences: Sequence[Sequence[str]]) -> list[ReadSentence]:
        """The triplets of each sentence, given as words, and the states of its words as the plain encoder has them."""
        return [
            ReadSentence(words, tuple(ReadTriplet(f.triplet, self.exact(f.logit), self.fact(f.logit)) for f in found))
            for words, found in self._pass(sentences)
        ]

    def _pass(self, sentences: Sequence[Sequence[str]]) -> list[tuple[NDArray[np.float32], list[Found]]]:
        """One pass of the encoder: plain states of each sentence's words, and what the head finds in it."""
        import numpy as np
        import torch

        from extraction.tripletnet import decode

        found: list[tuple[NDArray[np.float32], list[Found]]] = [
            (np.zeros((len(words), self.encoder.dimensions), dtype=np.float32), []) for words in sentences
        ]
        asked = [i for i, words in enumerate(sentences) if words]
        coded = self.encoder.code([sentences[i] for i in asked])
        self.net.eval()
        with torch.inference_mode():
            for batch in self.encoder.batches(coded, BATCH):
                states = self.encoder.states([coded[i] for i in batch])
                plain = self.net.plain(states).cpu().numpy()
                for row, (i, one) in enumerate(zip(batch, decode(self.net(states), self.threshold), strict=True)):
                    words, triplets = found[asked[i]]
                    read = len(coded[i].first)
                    words[:read] = plain[row, :read]
                    triplets += one
        return found

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write adapter, head and calibrations into a folder.

        Args:
            half: whether the adapter's weights are written in half precision, as the head's always are.
        """
        from safetensors.torch import save_file

        self.encoder.save(folder, half=half)
        weights = {n: w.half().contiguous() for n, w in self.net.state_dict().items()}
        save_file(weights, folder / _WEIGHTS)
        config = {"threshold": self.threshold, "exact": asdict(self.exact), "fact": asdict(self.fact)}
        (folder / _CONFIG).write_bytes(orjson.dumps(config))

    @classmethod
    def load(
        cls, saved: Path, folder: str | Path | None = None, *, device: str = "auto", fp32: bool = False
    ) -> TripletModel:
        """What :meth:`save` wrote.

        Args:
            fp32: whether to read in it even where the processor is faster in bf16.

        Raises:
            ExtractionError: the files are damaged or belong to another encoder.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from extraction.adapters import AdaptedEncoder
        from extraction.tripletnet import TripletNet

        encoder = AdaptedEncoder.load(saved, folder, device=device)
        net = TripletNet(encoder.dimensions)
        try:
            config = orjson.loads((saved / _CONFIG).read_bytes())
            exact, fact = Platt(**config["exact"]), Platt(**config["fact"])
            threshold = float(config["threshold"])
            weights = {n: w.float() for n, w in load_file(saved / _WEIGHTS).items()}
            net.load_state_dict(weights)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ExtractionError(f"The head in {saved} cannot be read ({error}). Train again.") from error
        encoder.merge(exact=fp32)
        return cls(encoder, net.to(encoder.device).eval(), exact, fact, threshold)


def once(sentences: Sequence[MarkedSentence]) -> list[MarkedSentence]:
    """Each sentence once, whatever its case: of several markings (files that overlap have them) the fullest."""
    fullest: dict[str, MarkedSentence] = {}
    for sentence in sentences:
        known = fullest.setdefault(" ".join(sentence.tokens).casefold(), sentence)
        if len(sentence.triplets) > len(known.triplets):
            fullest[" ".join(sentence.tokens).casefold()] = sentence
    return list(fullest.values())


def best_threshold(judged: Sequence[tuple[float, bool]], stated: int) -> float:
    """The log-odds from which on to answer, for the best F1 on sentences kept out; of equals the one nearest to zero.

    Args:
        judged: log-odds of what was found, and whether it is right.
        stated: how many triplets there were to find.
    """

    def f1(threshold: float) -> float:
        answered = [right for logit, right in judged if logit >= threshold]
        return 2 * sum(answered) / max(1, len(answered) + stated)

    return max(THRESHOLDS, key=lambda t: (f1(t), -abs(t)))


def split(
    sentences: Sequence[MarkedSentence], share: float, seed: int
) -> tuple[list[MarkedSentence], list[MarkedSentence]]:
    """Sentences to learn from, and a share of them kept out; equal sentences stay together."""
    distinct = sorted({" ".join(s.tokens) for s in sentences})
    random.Random(seed).shuffle(distinct)
    out = set(distinct[: int(share * len(distinct))])
    return (
        [s for s in sentences if " ".join(s.tokens) not in out],
        [s for s in sentences if " ".join(s.tokens) in out],
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Sentences to learn, and what the encoder says of them before it learns anything."""

    sentences: Sequence[MarkedSentence]
    coded: Sequence[Coded]
    entering: Sequence[torch.Tensor]
    """What enters the first layer that is adapted, ``[pieces, dimensions]`` each; empty where that is the first."""
    plain: Sequence[torch.Tensor]
    """States of their words, ``[words, dimensions]`` each; empty where nothing moves them."""

    @classmethod
    def of(cls, sentences: Sequence[MarkedSentence], encoder: AdaptedEncoder, recipe: Recipe) -> _Prepared:
        """Ask an encoder with a new adapter, which changes nothing yet."""
        coded = encoder.code([s.tokens for s in sentences])
        entering = encoder.lower(coded)
        plain = _plain_words(encoder, coded, entering) if recipe.rank and recipe.faithful else []
        return cls(sentences, coded, entering, plain)


def _epochs(
    prepared: _Prepared, encoder: AdaptedEncoder, net: TripletNet, recipe: Recipe, checkpoint: Path | None
) -> Iterator[Epoch]:
    """Train, an epoch at a time; in the end the averaged weights stand in encoder and net."""
    import torch

    from extraction.tripletnet import astray, gold_of, loss

    sentences, coded, kept, plain = prepared.sentences, prepared.coded, prepared.entering, prepared.plain
    rng = random.Random(recipe.seed)
    weights = [*encoder.parameters(), *net.parameters()]
    average = [w.detach().clone() for w in weights]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=recipe.decay)
    # Of a dozen sentences there would be too few steps to learn anything.
    size = min(recipe.batch, max(2, len(sentences) // 12))
    steps = recipe.epochs * max(1, math.ceil(len(sentences) / size))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(1.0, (n + 1) / max(1.0, 0.1 * steps)) * max(0.0, 1 - n / steps)
    )
    parts: dict[str, Part] = {
        "adapter": encoder,
        "net": net,
        "average": Tensors(average),
        "optimiser": optimiser,
        "schedule": schedule,
        "chance": Chance(rng),
    }
    course = Course(parts, checkpoint, _mark(sentences, recipe, encoder.fingerprint))
    before = course.resume(encoder.device)
    done = before * math.ceil(len(sentences) / size)
    for number in range(before + 1, recipe.epochs + 1):
        total = 0.0
        net.train()
        with encoder.training():
            for batch in _shuffled(coded, size, rng):
                states = encoder.states([coded[i] for i in batch], [kept[i] for i in batch] if kept else None)
                gold = gold_of([sentences[i] for i in batch], states.first.shape[1], encoder.device)
                value = loss(net(states, gold), gold)
                if plain:
                    target = torch.nn.utils.rnn.pad_sequence([plain[i] for i in batch], batch_first=True)
                    value = value + recipe.faithful * astray(net.plain(states), target.float(), states.present)
                optimiser.zero_grad()
                value.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimiser.step()
                schedule.step()
                done += 1
                total += float(value.detach()) * len(batch)
                _blend(average, weights, min(recipe.average, done / (done + 10)))
        course.keep(number)
        yield Epoch(number, recipe.epochs, total / max(1, len(sentences)))
    net.eval()
    if recipe.average:
        _blend(weights, average, 0.0)


def _mark(sentences: Sequence[MarkedSentence], recipe: Recipe, encoder: str) -> str:
    """What a training is of: a checkpoint of another one is not gone on from."""
    rows = [[s.tokens, [[t.aspect, t.opinion, t.sentiment] for t in s.triplets]] for s in sentences]
    return hashlib.sha256(orjson.dumps([encoder, asdict(recipe), rows])).hexdigest()


def _plain_words(encoder: AdaptedEncoder, coded: Sequence[Coded], kept: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The encoder's states of each text's words, ``[words, dimensions]``, in half the memory."""
    import torch

    from extraction.tripletnet import words_of

    found: list[torch.Tensor] = [torch.empty(0)] * len(coded)
    with torch.inference_mode():
        for batch in encoder.batches(coded):
            states = encoder.states([coded[i] for i in batch], [kept[i] for i in batch] if kept else None)
            for row, i in enumerate(batch):
                found[i] = words_of(states)[row, : max(1, len(coded[i].first))].to(torch.bfloat16)
    return [f.clone() for f in found]


def _blend(target: Sequence[torch.Tensor], source: Sequence[torch.Tensor], keep: float) -> None:
    """Move ``target`` towards ``source``, keeping a share of what it was."""
    import torch

    with torch.no_grad():
        for one, other in zip(target, source, strict=True):
            one.lerp_(other, 1 - keep)


def _shuffled(coded: Sequence[Coded], size: int, rng: random.Random) -> list[list[int]]:
    """Batches in random order, each of sentences of like length: sorted within eight batches at a time."""
    order = list(range(len(coded)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for begin in range(0, len(order), 8 * size):
        pool = sorted(order[begin : begin + 8 * size], key=lambda i: len(coded[i].pieces))
        batches += [pool[k : k + size] for k in range(0, len(pool), size)]
    rng.shuffle(batches)
    return batches
