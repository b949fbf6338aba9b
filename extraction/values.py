"""A trainable extractor of attribute values: what the memory says of a candidate, and what the encoder reads.

:mod:`extraction.memory` finds the candidates of a question and scores them by
counts; :mod:`extraction.spanhead` adds what the adapted encoder sees at their
place; one softmax runs over all candidates, "not stated" among them. Candidates
with one spelling add up, and the answer is the best spelling if it is probable
enough. Probabilities are calibrated on texts that were held out of the training.

Attributes never seen are asked too, by their name alone, and attributes in categories where they were never looked
for: :mod:`extraction.memory` tells the three regimes apart. Each has a calibration of its own, fitted on the held-out
texts with the attribute, or the category, hidden from the memory.
"""

from __future__ import annotations

import gzip
import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from extraction.adapters import AdaptedEncoder, Coded
from extraction.beliefs import MIN_CALIBRATED, Answer, Belief, Calibration, calibrate, nth_place
from extraction.benchmarks import MarkedProduct
from extraction.course import Course, Part
from extraction.fitting import Fitted, Scorer, Scorers, fit, without_category
from extraction.kin import Kin
from extraction.memory import FEATURES, REGIMES, Candidates, Claims, Memory, Reading, Regime
from extraction.normalforms import NormalForms
from extraction.spans import cut
from kg.errors import ExtractionError

if TYPE_CHECKING:
    from extraction.spanhead import Question, SpanHead

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and of how much."""

REPLAY: Final = 8
"""Old examples that are learned again beside each new one."""
MIN_REPLAY: Final = 256
"""Least number of them: a handful of corrections must not turn the whole."""
LATE_REPLAY: Final = 2
"""Texts learned again beside each that was held out for the calibration, when that is done. An epoch of these gained .6
points of F1 on a fifth of AE-110K's training texts (87.8 to 88.4 over thresholds from .35 to .5)."""
THRESHOLDS: Final[Mapping[Regime, float]] = {"moved": 0.15, "new": 0.15}
"""Least softmax probability of a value of what is not known here. How silent an attribute is cannot be learned from
others: thresholds fitted on those ranged from .1 to .6, and answered nothing for some. Chosen on validation texts."""
NETWORK: Final = 0.6
"""Share of the network's scores in an answer; the rest is the memory's alone. The network has seen its texts several
times and is too sure of itself, the memory is fitted with each text left out. On a fifth of AE-110K's training texts F1
was 87.3 with the network's scores, 87.5 with .6 of them, 86.0 with none, at the default threshold."""
AS_NEW: Final = 0.5
"""Of the answer to an attribute known elsewhere, in a category of which no text was learned, the share of what it would
be told by if it were new: values known elsewhere say little here, and their absence nothing. On three categories of WDC
PAVE's validation texts F1 of such attributes was 10.6, 62.2 and 44.6 without, 61.0, 68.6 and 48.8 with."""
OF_CATEGORY: Final = 60
"""Texts of one category from which is learned how sure an answer to a new attribute is where nothing was learned of the
category either."""
KEPT: Final = 4
"""Of a question's values those that are kept, the most probable ones."""
READ_PIECES: Final = 1024
"""Word pieces that are read at once; four times as many leave the caches (118.6 in place of 124.8 titles a second)."""
CHOICES: Final = 16
"""Of a question's candidates the most probable ones whose spellings are compared."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the network is trained. Chosen on a fifth of AE-110K's training texts, see docs/benchmark.md."""

    epochs: int = 3
    batch: int = 16
    """Texts in one step."""
    rank: int = 16
    """Of the adapter; 0 trains the head alone on the encoder as it is."""
    first_layer: int = 3
    """The first layer of the encoder that is adapted."""
    adapter_rate: float = 1e-3
    head_rate: float = 1e-3
    decay: float = 0.01
    """Weight decay."""
    moved_share: float = 0.25
    """Share of the questions that are asked a second time as if the category were new."""
    held_out: float = 0.1
    """Share of the texts on which threshold and calibration are fitted."""
    memory: bool = True
    """Whether the network sees the memory's scores; without it only runs of words are candidates' sources."""
    without: tuple[str, ...] = ()
    """Of :data:`~extraction.memory.FEATURES` those that are not looked at."""
    seed: int = 0

    def gentle(self, epochs: int) -> Recipe:
        """How a trained network learns a few more texts: at a third of the pace."""
        return replace(
            self, epochs=epochs, adapter_rate=self.adapter_rate / 3, head_rate=self.head_rate / 3, moved_share=0.0
        )


@dataclass(slots=True)
class _Parts:
    """What :class:`ValueModel` is made of."""

    memory: Memory
    kin: Kin
    scorers: Scorers
    forms: NormalForms
    encoder: AdaptedEncoder | None
    """``None``: the memory answers alone."""
    head: SpanHead | None
    attributes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """(category, attribute)."""
    calibrations: dict[Regime, Calibration] = field(default_factory=lambda: dict.fromkeys(REGIMES, Calibration()))
    abroad: Calibration | None = None
    """Of new attributes in categories of which no text was learned; ``None``: theirs is that of all new attributes."""
    trusts_memory: bool = True
    examples: list[MarkedProduct] = field(default_factory=list)
    """What the memory counts: marked products with what their texts say in place of normal forms."""


class ValueModel:
    """Answers which value a text states for an attribute."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._attribute = {a: n for n, a in enumerate(parts.attributes, start=1)}
        self._pair = {p: n for n, p in enumerate(parts.pairs, start=1)}

    @classmethod
    def train(
        cls,
        products: Sequence[MarkedProduct],
        kin: Kin,
        encoder: Callable[[Recipe], AdaptedEncoder] | None,
        *,
        recipe: Recipe | None = None,
        checkpoint: Path | None = None,
        progress: Progress = lambda *_: None,
    ) -> ValueModel:
        """Learn from marked products. The same products, recipe and processor give the same model.

        Args:
            kin: knows how like attributes are by their names.
            encoder: makes the encoder that the recipe asks for; without it the memory learns alone.
            checkpoint: file in which each finished epoch is kept; a training that was cut off goes on from there.
            progress: is told of each step.
        """
        recipe = recipe or Recipe()
        rng = random.Random(recipe.seed)
        order = list(range(len(products)))
        rng.shuffle(order)
        held = sorted(order[: int(len(order) * recipe.held_out)])
        kept = sorted(order[len(held) :])
        # A form that is known from a single text would be known of those that calibrate.
        forms, training = NormalForms.learn([products[i] for i in kept])
        memory = Memory()
        for product in training:
            memory.add(product)
        kin.read(memory.attributes)
        kin.prepare(map(cut, training))
        fitted = fit(memory, kin, training, seed=recipe.seed, without=recipe.without)
        progress("Fitting the memory", 1, 1)
        parts = _Parts(memory, kin, fitted.scorers, forms, None, None, trusts_memory=recipe.memory)
        if encoder is not None:
            parts.attributes = tuple(dict.fromkeys(a for p in training for a in p.targets))
            parts.pairs = tuple(dict.fromkeys((p.category, a) for p in training for a in p.targets))
            parts.encoder = encoder(recipe)
            parts.head = _new_head(parts, recipe.seed)
            model = cls(parts)
            model._learn(training, recipe, checkpoint, progress)
        else:
            model = cls(parts)
        late: list[MarkedProduct] = []
        if held:
            model._calibrate([products[i] for i in held], training, fitted)
            parts.forms, surfaced = NormalForms.learn(products)
            # What the texts say in place of normal forms is known better now: what was counted is counted anew.
            for product in training:
                memory.add(product, times=-1)
            training, late = [surfaced[i] for i in kept], [surfaced[i] for i in held]
            for product in (*training, *late):
                memory.add(product)
            replayed = rng.sample(training, min(len(training), LATE_REPLAY * len(late)))
            model._learn([*late, *replayed], recipe.gentle(1), None, progress)
        parts.examples = [*training, *late]
        return model

    def attributes(self, category: str) -> frozenset[str]:
        """Attributes that were looked for in the training texts of a category."""
        return frozenset(a for c, a in self._parts.memory.asked if c == category)

    def answer(self, products: Sequence[MarkedProduct]) -> list[dict[str, Answer]]:
        """For each product an answer to each attribute in its targets; the values there are not looked at."""
        return [
            {a: self._calibration(product.category, a).decide(belief) for a, belief in beliefs.items()}
            for product, beliefs in zip(products, self.beliefs(products), strict=True)
        ]

    def _calibration(self, category: str, attribute: str) -> Calibration:
        parts = self._parts
        regime = parts.memory.regime(category, attribute)
        if regime == "new" and parts.abroad is not None and not parts.memory.texts[category]:
            return parts.abroad
        return parts.calibrations[regime]

    def beliefs(self, products: Sequence[MarkedProduct], *, as_new: bool = False) -> Iterator[dict[str, Belief]]:
        """For each product, for each attribute in its targets, what the softmax makes of it.

        Args:
            as_new: take all attributes for ones that were never looked for.
        """
        for start in range(0, len(products), 256):
            yield from self._beliefs(products[start : start + 256], as_new)

    def _beliefs(self, products: Sequence[MarkedProduct], as_new: bool) -> list[dict[str, Belief]]:
        parts = self._parts
        parts.kin.prepare(
            cut(p) for p in products if as_new or any(parts.memory.regime(p.category, a) != "known" for a in p.targets)
        )
        beliefs: list[dict[str, Belief]] = []
        asked: list[list[tuple[str, Candidates, Question]]] = []  # by the network
        mixed: list[tuple[int, str, Belief]] = []  # of what is asked as if it were new, too
        for n, product in enumerate(products):
            reading = parts.memory.read(product)
            found: dict[str, Belief] = {}
            open_: list[tuple[str, Candidates, Question]] = []
            regimes: dict[str, Regime] = {
                a: "new" if as_new else parts.memory.regime(product.category, a) for a in product.targets
            }
            claims = self._claims(reading) if "new" in regimes.values() else None
            for attribute, regime in regimes.items():
                candidates = parts.memory.candidates(reading, attribute, parts.kin, as_new=as_new, claims=claims)
                if parts.head is not None and regime != "new":
                    open_.append((attribute, candidates, self._question(product, attribute, candidates, regime)))
                else:
                    found[attribute] = self._belief(attribute, candidates, self._remembered(candidates, regime))
                if regime == "moved" and not parts.memory.texts[product.category]:
                    candidates = parts.memory.candidates(reading, attribute, parts.kin, as_new=True)
                    other = self._belief(attribute, candidates, self._remembered(candidates, "new"))
                    mixed.append((n, attribute, other))
            beliefs.append(found)
            asked.append(open_)
        if parts.encoder is not None and parts.head is not None:
            import torch

            numbers = [n for n, row in enumerate(asked) if row]
            coded = _code(parts.encoder, [products[n] for n in numbers])
            parts.head.eval()
            with torch.inference_mode():
                for batch in parts.encoder.batches(coded, READ_PIECES):
                    rows = [asked[numbers[i]] for i in batch]
                    states = parts.encoder.states([coded[i] for i in batch])
                    scores, _, _ = parts.head(states, [[q for *_, q in row] for row in rows])
                    for i, row, scored in zip(batch, rows, scores.float().cpu().numpy(), strict=True):
                        beliefs[numbers[i]] |= {
                            a: self._belief(a, c, NETWORK * one[: len(c)] + (1 - NETWORK) * q.memory)
                            for (a, c, q), one in zip(row, scored, strict=False)
                        }
        for n, attribute, other in mixed:
            beliefs[n][attribute] = beliefs[n][attribute].mixed(other, AS_NEW)
        return beliefs

    def _claims(self, reading: Reading) -> Claims:
        """What the attributes known in a text's category are sure to be told by it: no new attribute's values."""
        claims: dict[str, list[int]] = {}
        for attribute in self.attributes(reading.category):
            found = self._parts.memory.candidates(reading, attribute, self._parts.kin)
            scores = self._remembered(found, "known")
            best = int(scores.argmax())
            if 0 < best <= len(found.runs) and scores[best] > np.logaddexp.reduce(np.delete(scores, best)):
                key = reading.text.keys[int(found.runs[best - 1])]
                claims[attribute] = [run for run, other in enumerate(reading.text.keys) if other == key]
        return claims

    def _calibrate(self, held: Sequence[MarkedProduct], training: Sequence[MarkedProduct], fitted: Fitted) -> None:
        """Calibrations from texts that were held out of the training: as they are, with their category out of the
        memory, with each attribute taken for new, by a scorer that has learned nothing from it either.

        An attribute that only one category has is new without that: how sure an answer is where both are new comes from
        these, in texts of the training too, as nothing that was learned from the category has a part in it.
        """
        parts, rng = self._parts, random.Random(len(training))
        moved: list[tuple[MarkedProduct, dict[str, Belief]]] = []
        abroad: list[tuple[MarkedProduct, dict[str, Belief]]] = []
        for numbers in without_category(parts.memory, training):
            category = training[numbers[0]].category
            late = [p for p in held if p.category == category]
            mine = [self._only(p, "moved") for p in late]
            moved += zip(mine, self.beliefs(mine), strict=True)
            some = [training[i] for i in rng.sample(numbers, min(len(numbers), OF_CATEGORY))]
            scorer = next(scorer for categories, scorer in fitted.abroad if category in categories)
            abroad += self._asked_as_new([self._only(p, "new") for p in (*late, *some)], scorer)
        new: list[tuple[MarkedProduct, dict[str, Belief]]] = []
        for attributes, scorer in fitted.apart:
            mine = [replace(p, targets={a: v for a, v in p.targets.items() if a in attributes}) for p in held]
            new += self._asked_as_new(mine, scorer)
        known = [self._only(p, "known") for p in held]
        parts.calibrations = {
            "known": calibrate(known, self.beliefs(known)),
            "moved": calibrate([p for p, _ in moved], [b for _, b in moved], threshold=THRESHOLDS["moved"]),
            "new": calibrate([p for p, _ in new], [b for _, b in new], threshold=THRESHOLDS["new"]),
        }
        if sum(len(p.targets) for p, _ in abroad) >= MIN_CALIBRATED:
            parts.abroad = calibrate([p for p, _ in abroad], [b for _, b in abroad], threshold=THRESHOLDS["new"])

    def _asked_as_new(
        self, products: Sequence[MarkedProduct], scorer: Scorer
    ) -> Iterator[tuple[MarkedProduct, dict[str, Belief]]]:
        """Those that have questions, with what another scorer of what is new makes of these."""
        asked = [p for p in products if p.targets]
        part = ValueModel(replace(self._parts, scorers=replace(self._parts.scorers, new=scorer)))
        return zip(asked, part.beliefs(asked, as_new=True), strict=True)

    def _only(self, product: MarkedProduct, regime: Regime) -> MarkedProduct:
        """A product with those of its questions whose attributes are so well known."""
        mine = {a: v for a, v in product.targets.items() if self._parts.memory.regime(product.category, a) == regime}
        return replace(product, targets=mine)

    def _belief(self, attribute: str, found: Candidates, scores: NDArray[np.float32]) -> Belief:
        """The probabilities of the most probable values; candidates with one normal form add up."""
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        total: dict[str, float] = defaultdict(float)
        said: dict[str, tuple[str, int | None]] = {}
        for candidate in np.argsort(-chances, kind="stable")[:CHOICES].tolist():
            quote = found.value(candidate)
            if quote is not None:
                value = self._parts.forms.apply(attribute, quote)
                total[value] += float(chances[candidate])
                if value not in said:  # the most probable place of each value
                    start = found.start(candidate)
                    said[value] = quote, None if start is None else nth_place(quote, found.text.raw, start)
        values = sorted(total, key=lambda v: (-total[v], v))
        return Belief(float(chances[0]), tuple(Answer(v, total[v], *said[v]) for v in values[:KEPT]))

    def _remembered(self, candidates: Candidates, regime: Regime) -> NDArray[np.float32]:
        return self._parts.scorers.of(regime)(candidates.features)

    def _question(self, product: MarkedProduct, attribute: str, found: Candidates, regime: Regime) -> Question:
        from extraction.spanhead import Question

        first, last = found.spans()
        memory = self._remembered(found, regime)
        return Question(
            self._parts.kin.vector(attribute),
            self._attribute.get(attribute, 0),
            self._pair.get((product.category, attribute), 0) if regime == "known" else 0,
            first.astype(np.int32),
            last.astype(np.int32),
            REGIMES.index(regime),
            memory if self._parts.trusts_memory else np.zeros_like(memory),
            found.right(product.targets[attribute]),
        )

    def _questions(self, products: Sequence[MarkedProduct], recipe: Recipe) -> list[list[Question]]:
        """The questions of the training texts, each text out of the memory, some a second time with its whole category
        out of it."""
        rng = random.Random(recipe.seed + 1)
        memory, kin = self._parts.memory, self._parts.kin
        rows: list[list[Question]] = []
        for product in products:
            memory.add(product, times=-1)
            reading = memory.read(product)
            rows.append(
                [self._question(product, a, memory.candidates(reading, a, kin), "known") for a in product.targets]
            )
            memory.add(product)
        for numbers in without_category(memory, products):
            for number in numbers:
                product = products[number]
                reading = memory.read(product)
                for attribute in product.targets:
                    if rng.random() < recipe.moved_share and memory.regime(product.category, attribute) == "moved":
                        found = memory.candidates(reading, attribute, kin)
                        rows[number].append(self._question(product, attribute, found, "moved"))
        return [[q for q in row if q.right.any()] for row in rows]

    def _learn(
        self, products: Sequence[MarkedProduct], recipe: Recipe, checkpoint: Path | None, progress: Progress
    ) -> None:
        """Train adapter and head."""
        import torch

        from extraction.spanhead import loss

        encoder, head = self._parts.encoder, self._parts.head
        if encoder is None or head is None:
            return
        questions = self._questions(products, recipe)
        coded = _code(encoder, products)
        lower = encoder.lower(coded)
        progress("Reading the texts", 1, 1)
        optimiser = torch.optim.AdamW(
            [
                {"params": encoder.parameters(), "lr": recipe.adapter_rate},
                {"params": list(head.parameters()), "lr": recipe.head_rate},
            ],
            weight_decay=recipe.decay,
        )
        useful = [i for i, row in enumerate(questions) if row]
        steps = max(1, recipe.epochs * -(-len(useful) // recipe.batch))
        warm = max(1, steps // 20)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / warm, max(0.02, (steps - step) / max(1, steps - warm)))
        )
        parts: dict[str, Part] = {"adapter": encoder, "head": head, "optimiser": optimiser, "schedule": schedule}
        course = Course(parts, checkpoint, _mark(products, recipe, encoder.fingerprint))
        for epoch in range(course.resume(encoder.device), recipe.epochs):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1000 * recipe.seed + epoch)
                batches = _shuffled(useful, [len(c.pieces) for c in coded], recipe, epoch)
                head.train()
                with encoder.training():
                    for batch in batches:
                        states = encoder.states([coded[i] for i in batch], [lower[i] for i in batch] if lower else None)
                        value = loss(*head(states, [questions[i] for i in batch]))
                        optimiser.zero_grad()
                        value.backward()
                        torch.nn.utils.clip_grad_norm_([*encoder.parameters(), *head.parameters()], 1.0)
                        optimiser.step()
                        schedule.step()
            head.eval()
            course.keep(epoch + 1)
            progress("Learning", epoch + 1, recipe.epochs)
        encoder.settle()

    def refine(
        self, corrected: Sequence[MarkedProduct], *, recipe: Recipe | None = None, progress: Progress = lambda *_: None
    ) -> ValueModel:
        """A model that has learned a few more marked products, and has not forgotten the others.

        It goes on from this one's weights, at a third of the pace, with :data:`REPLAY` old examples for each new
        one. Threshold, calibration and normal forms stay as they are. This model must not be used afterwards.
        """
        recipe = recipe or Recipe()
        old = self._parts
        rng = random.Random(recipe.seed)
        texts = {product.text for product in corrected}
        for product in old.examples:
            if product.text in texts:
                old.memory.add(product, times=-1)
        kept = [product for product in old.examples if product.text not in texts]
        for product in corrected:
            old.memory.add(product)
        old.kin.read(old.memory.attributes)
        replayed = rng.sample(kept, min(len(kept), max(MIN_REPLAY, REPLAY * len(corrected))))
        attributes = tuple(dict.fromkeys([*old.attributes, *(a for p in corrected for a in p.targets)]))
        pairs = tuple(dict.fromkeys([*old.pairs, *((p.category, a) for p in corrected for a in p.targets)]))
        parts = replace(old, attributes=attributes, pairs=pairs, examples=[*kept, *corrected])
        if old.head is not None:
            parts.head = _new_head(parts, recipe.seed)
            _copy(old.head, parts.head)
        model = ValueModel(parts)
        model._learn([*corrected, *replayed], recipe.gentle(2), None, progress)
        return model

    def least_certain(self, products: Sequence[MarkedProduct]) -> list[tuple[int, str, Answer]]:
        """Which questions a person should answer next: number of the product, attribute and the model's best value.

        The least certain come first: those where the best value's probability is nearest to the threshold at which
        it would be answered, so that a person's word decides most.
        """
        found = [
            (abs(belief.best.probability - self._calibration(p.category, a).threshold), n, a, belief.best)
            for n, (p, beliefs) in enumerate(zip(products, self.beliefs(products), strict=True))
            for a, belief in beliefs.items()
        ]
        return [
            (n, a, replace(best, probability=self._calibration(products[n].category, a).sure(best.probability)))
            for _, n, a, best in sorted(found, key=lambda f: f[:3])
        ]

    def save(self, folder: Path) -> None:
        """Write everything into a folder; the memory is counted again from its examples."""
        parts = self._parts
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "memory.jsonl.gz", "wb") as file:
            file.writelines(orjson.dumps(p.as_dict(), option=orjson.OPT_APPEND_NEWLINE) for p in parts.examples)
        content = {
            "attributes": parts.attributes,
            "pairs": parts.pairs,
            "calibrations": {regime: asdict(c) for regime, c in parts.calibrations.items()},
            "abroad": parts.abroad and asdict(parts.abroad),
            "features": FEATURES,
            "scorers": {regime: parts.scorers.of(regime).as_dict() for regime in REGIMES},
            "forms": parts.forms.as_dict(),
            "trusts_memory": parts.trusts_memory,
            "network": parts.head is not None,
        }
        (folder / "values.json").write_bytes(orjson.dumps(content))
        if parts.encoder is not None and parts.head is not None:
            from safetensors.torch import save_file

            parts.encoder.save(folder)
            # Learned vectors are nearly all of it, and half precision is enough for them.
            save_file(
                {n: t.half().contiguous() for n, t in parts.head.state_dict().items()}, folder / "head.safetensors"
            )

    @classmethod
    def load(cls, folder: Path, kin: Kin, encoder: Callable[[Path], AdaptedEncoder]) -> ValueModel:
        """What :meth:`save` wrote.

        Raises:
            OSError, ValueError, KeyError: the files are damaged, or of another version.
        """
        content = orjson.loads((folder / "values.json").read_bytes())
        if content.get("features") != list(FEATURES):
            raise ValueError("they are of another version, which read texts by other signs")
        with gzip.open(folder / "memory.jsonl.gz", "rb") as file:
            examples = [MarkedProduct.of_dict(orjson.loads(line)) for line in file]
        memory = Memory()
        for product in examples:
            memory.add(product)
        scorers = Scorers(**{regime: Scorer.of_dict(content["scorers"][regime]) for regime in REGIMES})
        parts = _Parts(
            memory,
            kin,
            scorers,
            NormalForms.of_dict(content["forms"]),
            None,
            None,
            tuple(content["attributes"]),
            tuple((c, a) for c, a in content["pairs"]),
            {regime: Calibration(**content["calibrations"][regime]) for regime in REGIMES},
            Calibration(**content["abroad"]) if content.get("abroad") else None,
            content["trusts_memory"],
            examples,
        )
        if content["network"]:
            from safetensors.torch import load_file

            parts.encoder = encoder(folder)
            parts.head = _new_head(parts, 0)
            parts.head.load_state_dict({n: t.float() for n, t in load_file(folder / "head.safetensors").items()})
        return cls(parts)


def _new_head(parts: _Parts, seed: int) -> SpanHead:
    import torch

    from extraction.spanhead import SpanHead

    if parts.encoder is None:
        raise ExtractionError("A head needs an encoder.")
    names = len(parts.kin.vector("Colour"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SpanHead(parts.encoder.dimensions, names, len(parts.attributes), len(parts.pairs))
    return head.to(parts.encoder.device).eval()


def _copy(old: SpanHead, new: SpanHead) -> None:
    """Give a head the weights of one for the first of its attributes and pairs; the others' vectors stay zero."""
    import torch

    with torch.no_grad():
        for name, weight in new.state_dict().items():
            before = old.state_dict()[name]
            weight[: len(before)] = before


def _code(encoder: AdaptedEncoder, products: Sequence[MarkedProduct]) -> list[Coded]:
    """Category and text of each product as word pieces."""
    return encoder.code([cut(p).words for p in products], before=[p.category.split() for p in products])


def _shuffled(useful: Sequence[int], lengths: Sequence[int], recipe: Recipe, epoch: int) -> list[list[int]]:
    """The texts of an epoch in batches, in an order of its own; texts of like length together, since padding costs."""
    rng = random.Random(f"{recipe.seed} {epoch}")
    order = list(useful)
    rng.shuffle(order)
    pool = 16 * recipe.batch
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = sorted(order[start : start + pool], key=lengths.__getitem__)
        batches += [part[i : i + recipe.batch] for i in range(0, len(part), recipe.batch)]
    rng.shuffle(batches)
    return batches


def _mark(products: Sequence[MarkedProduct], recipe: Recipe, encoder: str) -> str:
    """What a training is of: a checkpoint of another one is not gone on from."""
    rows = [[p.text, p.category, {a: list(v) for a, v in p.targets.items()}] for p in products]
    return hashlib.sha256(orjson.dumps([encoder, asdict(recipe), rows])).hexdigest()
