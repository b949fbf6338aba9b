"""The encoder as heads train it: token states, and one LoRA adapter of a few megabytes on its upper layers.

The weights of the encoder's folder stay as they are. An adapter (Hu et al.
2021, by peft) adds a product of two thin matrices to every linear map of the
layers from ``first_layer`` on. The layers below compute the same for everybody
and in every epoch, so training computes them once a text (:meth:`AdaptedEncoder.lower`)
and starts each epoch from there.

A head goes through these steps::

    encoder = AdaptedEncoder(folder, rank=16, seed=0)      # or AdaptedEncoder.load(saved, folder)
    coded = encoder.code(words_of_each_text, before=words_before)   # word pieces, once
    kept = encoder.lower(coded)                            # optional, for training
    optimiser = AdamW([*encoder.parameters(), *head.parameters()])
    with encoder.training():
        states = encoder.states(coded[:16], kept[:16])     # differentiable
    encoder.save(folder_of_the_head)
    for batch in encoder.batches(coded):                   # indices, texts of like length together
        with torch.inference_mode():
            states = encoder.states([coded[i] for i in batch])

Any encoder that transformers loads with AutoModel and that keeps its layers in
one list (BERT, RoBERTa, DistilBERT, MPNet, ELECTRA …) will do: which modules to
adapt is found by looking, not by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from extraction.encoder import Encoder, batches, computes_bf16, most_tokens
from kg.errors import ExtractionError

if TYPE_CHECKING:
    import torch

RANK: Final = 16
"""Rank of the added matrices: 16 on the six layers of MiniLM are 2.4 MB."""
MAX_WORD: Final = 100
"""Characters of a word that are read: nobody writes longer ones, and word pieces of endless words take long."""
_WEIGHTS: Final = "adapter.safetensors"
_CONFIG: Final = "adapter.json"
_NAME: Final = "head"


@dataclass(frozen=True, slots=True)
class Coded:
    """A text as word pieces."""

    pieces: tuple[int, ...]
    types: tuple[int, ...]
    """Segment of each piece: 0 for what stands before the text, 1 for the text; all 0 where nothing stands before."""
    first: tuple[int, ...]
    """Of each word its first piece. Words beyond :func:`extraction.encoder.most_tokens` have none: there are fewer
    entries then."""
    last: tuple[int, ...]
    """Of each word its last piece."""


@dataclass(frozen=True, slots=True)
class States:
    """What the encoder says of the words of some texts; ``W`` is the number of words of the longest."""

    first: torch.Tensor
    """State of each word's first piece, ``[texts, W, dimensions]``."""
    last: torch.Tensor
    """State of each word's last piece, ``[texts, W, dimensions]``."""
    present: torch.Tensor
    """Whether the text has such a word, ``[texts, W]``."""
    whole: torch.Tensor
    """State of the opening piece (BERT's ``[CLS]``), ``[texts, dimensions]``."""


class AdaptedEncoder:
    """An encoder and one adapter.

    Args:
        folder: the encoder's folder, see :class:`extraction.encoder.Encoder`; by default the installed MiniLM.
        device: ``cpu``, ``cuda`` or ``auto``.
        rank: rank of the adapter; 0 for none (the encoder as it is).
        first_layer: the first layer that is adapted; those below are shared.
        dropout: of what goes into the adapter, while training.
        seed: of the adapter's first weights.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        device: str = "auto",
        rank: int = RANK,
        first_layer: int = 0,
        dropout: float = 0.05,
        seed: int = 0,
    ) -> None:
        import torch

        # fp32: an adapter's small steps are lost in bf16's seven bits.
        base = Encoder(folder, device=device, exact=True)
        self.fingerprint = base.fingerprint
        self._tokenizer, self._model = base.parts
        self._model.requires_grad_(False)
        self.rank, self.first_layer = rank, first_layer
        self._owner, self._attribute, self._layers = _layers(self._model)
        if not 0 <= first_layer <= len(self._layers):
            raise ExtractionError(f"The encoder has {len(self._layers)} layers; {first_layer} is none of them.")
        self._names: frozenset[str] = frozenset()
        if rank:
            import peft

            linear = [
                name
                for name, module in self._model.named_modules()
                if isinstance(module, torch.nn.Linear) and self._layer_of(name) >= first_layer
            ]
            config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=linear)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                peft.inject_adapter_in_model(config, self._model, _NAME)
            self._model.to(self.device)
            self._names = frozenset(n for n, p in self._model.named_parameters() if p.requires_grad)
        self._model.eval()

    @classmethod
    def load(cls, saved: Path, folder: str | Path | None = None, *, device: str = "auto") -> AdaptedEncoder:
        """What :meth:`save` wrote.

        Raises:
            ExtractionError: the files are damaged or belong to another encoder.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            config = orjson.loads((saved / _CONFIG).read_bytes())
            weights = load_file(saved / _WEIGHTS) if config["rank"] else {}
            encoder = cls(folder, device=device, rank=config["rank"], first_layer=config["first_layer"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ExtractionError(f"The adapter in {saved} cannot be read ({error}). Train again.") from error
        if config["encoder"] != encoder.fingerprint or weights.keys() != encoder._names:
            raise ExtractionError(
                f"The adapter in {saved} was trained on encoder {config['encoder']}, and {encoder.fingerprint} is set. "
                "Set KG_ENCODER to the former, or train again."
            )
        encoder._model.load_state_dict(weights, strict=False)
        encoder.settle()
        return encoder

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write the adapter (not the encoder) into a folder, in half precision if asked."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        config = {"encoder": self.fingerprint, "rank": self.rank, "first_layer": self.first_layer}
        (folder / _CONFIG).write_bytes(orjson.dumps(config))
        state = {n: w.half() for n, w in self.state_dict().items()} if half else self.state_dict()
        save_file(state, folder / _WEIGHTS)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A copy of the adapter's weights by name."""
        return {n: p.detach().cpu().clone() for n, p in self._model.named_parameters() if n in self._names}

    def load_state_dict(self, state: dict[str, torch.Tensor], /) -> None:
        """Set the adapter's weights to what :meth:`state` gave."""
        for layer in self._adapted():
            if layer.merged:
                layer.unmerge()
        self._model.load_state_dict(state, strict=False)

    def merge(self, *, exact: bool = False) -> None:
        """Add the adapter into the encoder's weights, to read with and no more to be trained.

        In bf16 where the processor computes it, which is faster: steps of training would be lost in its seven bits,
        their sum is not.

        Args:
            exact: in fp32 everywhere.
        """
        import torch

        self.settle()
        if self.device.type == "cpu" and not exact and computes_bf16():
            self._model.to(torch.bfloat16)

    def parameters(self) -> list[torch.nn.Parameter]:
        """The adapter's weights, for an optimiser."""
        return [p for n, p in self._model.named_parameters() if n in self._names]

    def settle(self) -> None:
        """Add the adapter's products to the encoder's own matrices until it is trained again: saves a third of the time
        of its layers, and changes states by rounding alone."""
        for layer in self._adapted():
            if not layer.merged:
                layer.merge()

    def _adapted(self) -> list[Any]:
        if not self.rank:
            return []
        from peft.tuners.tuners_utils import BaseTunerLayer

        return [module for module in self._model.modules() if isinstance(module, BaseTunerLayer)]

    @contextmanager
    def training(self) -> Iterator[None]:
        """With dropout within, without it before and after.

        Raises:
            ExtractionError: the weights are no longer exact, see :meth:`merge`.
        """
        import torch

        if self._model.dtype == torch.bfloat16:
            raise ExtractionError("This encoder was merged to read with (bf16). Load it again to train on.")
        for layer in self._adapted():
            if layer.merged:
                layer.unmerge()
        self._model.train()
        try:
            yield
        finally:
            self._model.eval()

    @property
    def device(self) -> torch.device:
        """Where the encoder computes."""
        device: torch.device = self._model.device
        return device

    @property
    def dimensions(self) -> int:
        """Width of the states (384 for MiniLM)."""
        return int(self._model.config.hidden_size)

    def code(self, texts: Sequence[Sequence[str]], before: Sequence[Sequence[str]] | None = None) -> list[Coded]:
        """Cut texts, given as words, into word pieces.

        Args:
            texts: the words of each text.
            before: words that are read before each text (its category, say) and get no states of their own.
        """
        if not texts:
            return []
        words = [_clean(t) for t in texts]
        pair = {} if before is None else {"text_pair": words}
        coded = self._tokenizer(
            words if before is None else [_clean(b) for b in before],
            **pair,
            is_split_into_words=True,
            truncation="longest_first",
            max_length=self._max_tokens,
        )
        return [_coded(encoding, int(before is not None)) for encoding in coded.encodings]

    def batches(self, coded: Sequence[Coded], tokens: int = 4096) -> list[list[int]]:
        """Indices of the texts in batches of at most ``tokens`` pieces, padding included, the shortest first."""
        lengths = [len(c.pieces) for c in coded]
        return batches(sorted(range(len(coded)), key=lengths.__getitem__), lengths, tokens)

    def lower(self, coded: Sequence[Coded]) -> list[torch.Tensor]:
        """What enters ``first_layer``, ``[pieces, dimensions]`` for each text; empty where that is the first."""
        import torch

        if not self.first_layer:
            return []
        found: list[torch.Tensor] = [torch.empty(0)] * len(coded)
        with torch.inference_mode(), self._only(slice(0, self.first_layer)), _output(self._layers) as seen:
            for batch in self.batches(coded):
                self._run([coded[i] for i in batch], None)
                for row, i in enumerate(batch):
                    found[i] = seen[self.first_layer - 1][row, : len(coded[i].pieces)].clone()
        return [f.clone() for f in found]

    def states(self, coded: Sequence[Coded], kept: Sequence[torch.Tensor] | None = None) -> States:
        """States of the words of a batch of texts; differentiable in the adapter's weights.

        Args:
            kept: what :meth:`lower` gave for these texts.
        """
        import torch

        if kept:
            with self._only(slice(self.first_layer, None)):
                hidden = self._run(coded, torch.nn.utils.rnn.pad_sequence(list(kept), batch_first=True))
        else:
            hidden = self._run(coded, None)
        width = max(1, *(len(c.first) for c in coded))
        first, last = (
            torch.tensor([[*f, *[0] * (width - len(f))] for f in places], device=self.device)
            for places in ([c.first for c in coded], [c.last for c in coded])
        )
        count = torch.tensor([len(c.first) for c in coded], device=self.device)
        row = torch.arange(len(coded), device=self.device)[:, None]
        present = torch.arange(width, device=self.device) < count[:, None]
        return States(hidden[row, first], hidden[row, last], present, hidden[:, 0])

    def _run(self, coded: Sequence[Coded], entering: torch.Tensor | None) -> torch.Tensor:
        """Last hidden states ``[texts, pieces, dimensions]``; ``entering`` replaces what enters the first layer run."""
        fields = {"input_ids": [list(c.pieces) for c in coded]}
        if "token_type_ids" in self._tokenizer.model_input_names:
            fields["token_type_ids"] = [list(c.types) for c in coded]
        inputs = self._tokenizer.pad(fields, return_tensors="pt").to(self.device)
        if entering is None:
            hidden: torch.Tensor = self._model(**inputs).last_hidden_state
            return hidden.float()
        given = entering.to(self.device)
        handle = self._layers[self.first_layer].register_forward_pre_hook(lambda _, args: (given, *args[1:]))
        try:
            hidden = self._model(**inputs).last_hidden_state
        finally:
            handle.remove()
        return hidden

    @contextmanager
    def _only(self, part: slice) -> Iterator[None]:
        """Run some of the layers."""
        setattr(self._owner, self._attribute, self._layers[part])
        try:
            yield
        finally:
            setattr(self._owner, self._attribute, self._layers)

    @cached_property
    def _max_tokens(self) -> int:
        return most_tokens(self._model)

    def _layer_of(self, name: str) -> int:
        """The layer that a module belongs to, by its name; -1 for what lies outside the layers."""
        head, found, tail = name.partition(f"{self._prefix}.")
        number = tail.partition(".")[0]
        return int(number) if found and not head and number.isdigit() else -1

    @cached_property
    def _prefix(self) -> str:
        return next(name for name, module in self._model.named_modules() if module is self._layers)


def _layers(model: Any) -> tuple[Any, str, Any]:
    """The list of a model's layers, with its owner and its name there."""
    import torch

    count = int(getattr(model.config, "num_hidden_layers", 0))
    for owner in model.modules():
        for name, child in owner.named_children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == count:
                return owner, name, child
    raise ExtractionError(f"{type(model).__name__} has no list of {count} layers that an adapter could be put on.")


@contextmanager
def _output(layers: Any) -> Iterator[dict[int, torch.Tensor]]:
    """What each layer gave last, by its number."""
    seen: dict[int, torch.Tensor] = {}

    def keep(number: int) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            seen[number] = output if not isinstance(output, tuple) else output[0]

        return hook

    handles = [layer.register_forward_hook(keep(n)) for n, layer in enumerate(layers)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _clean(words: Sequence[str]) -> list[str]:
    """Words that the tokenizer can take: an underscore stands for one without any piece, which would shift the rest."""
    return [w[:MAX_WORD].encode("utf-8", "replace").decode("utf-8").strip() or "_" for w in words] or ["_"]


def _coded(encoding: Any, segment: int) -> Coded:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for piece, (word, sequence) in enumerate(zip(encoding.word_ids, encoding.sequence_ids, strict=True)):
        if word is not None and sequence == segment:
            first.setdefault(word, piece)
            last[word] = piece
    # A word without any piece (a zero-width space) stands where its predecessor ends, or where the text begins.
    starts: list[int] = []
    ends: list[int] = [min(first.values(), default=0)]
    for word in range(max(first, default=-1) + 1):
        starts.append(first.get(word, ends[-1]))
        ends.append(last.get(word, starts[-1]))
    return Coded(tuple(encoding.ids), tuple(encoding.type_ids), tuple(starts), tuple(ends[1:]))
