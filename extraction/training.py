"""Learning from marked files: what ``kg train-extraction`` does, and the heads that it leaves in a home.

A home's heads live in one folder: the marked examples of all calls so far
(later calls add to them and learn anew from all), the learned weights, and a
manifest that names encoder, counts and versions. The manifest is written last
and replaced as a whole: a run that is cut off leaves the old heads as they were.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import orjson

from extraction.benchmarks import (
    Format,
    MarkedProduct,
    MarkedSentence,
    Triplet,
    read_products,
    read_sentences,
)
from extraction.encoder import Encoder
from extraction.evaluation import ExtractionScore, score_triplets, score_values
from extraction.triplets import TripletModel
from extraction.values import MAX_CHARS, ValueModel
from kg.errors import ExtractionError

LAYOUT: Final = 1
"""Counts changes of the files' layout."""
_MANIFEST: Final = "manifest.json"

Task = Literal["values", "triplets"]


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What one call of :func:`train` did."""

    format: str
    read: int
    """Examples in the files of this call."""
    examples: int
    """Examples that the heads now rest on."""
    version: str
    """Version of the heads: part of the extractor's own."""


@dataclass(frozen=True, slots=True)
class Heads:
    """What a home has learned; either part may be missing."""

    values: ValueModel | None = None
    triplets: TripletModel | None = None
    version: str = ""
    """Hex digits that change with everything learned; empty when nothing was."""

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> Heads:
        """The heads in ``folder``; empty ones where nothing was trained.

        Raises:
            ExtractionError: the files are damaged, of another layout, or were trained on another encoder.
        """
        manifest = _manifest(folder)
        if not manifest:
            return cls()
        if manifest.get("encoder") != encoder.fingerprint:
            raise ExtractionError(
                f"The heads in {folder} were trained on another encoder ({manifest.get('encoder')}, now "
                f"{encoder.fingerprint}). Set KG_ENCODER back, or delete the folder and train again."
            )
        try:
            values = _load_values(folder / manifest["values"]) if "values" in manifest else None
            triplets = (
                TripletModel.load(folder / manifest["triplets"], encoder.folder) if "triplets" in manifest else None
            )
        except (OSError, ValueError, KeyError) as error:
            raise ExtractionError(
                f"The heads in {folder} cannot be read ({error}). Delete the folder and train again."
            ) from error
        return cls(values, triplets, manifest["version"])


def train(files: Sequence[Path], format: Format, folder: Path, encoder: Encoder) -> TrainingReport:
    """Learn from ``files`` and from everything learned from before; the result replaces the heads in ``folder``.

    Raises:
        ExtractionError: a file is not of the format, or there is nothing in it.
    """
    task: Task = "triplets" if format == "aste" else "values"
    rows: list[dict[str, Any]] = [row for file in files for row in _rows(file, format)]
    if not rows:
        raise ExtractionError(f"No examples in {', '.join(map(str, files))}.")
    manifest = _manifest(folder)
    before = _examples(folder / manifest[task]) if task in manifest else []
    # The same example twice is one: calling twice with a file equals calling once.
    examples = list({orjson.dumps(row, option=orjson.OPT_SORT_KEYS): row for row in (*before, *rows)}.values())
    digest = hashlib.sha256(orjson.dumps(examples, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    target = folder / f"{task}-{digest}"
    target.mkdir(parents=True, exist_ok=True)
    with gzip.open(target / "examples.jsonl.gz", "wb") as file:
        file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in examples)
    if task == "triplets":
        TripletModel.train([_sentence(r) for r in examples], encoder.folder).save(target)
    else:
        products = [_product(r) for r in examples]
        vectors = encoder.encode([p.text[:MAX_CHARS] for p in products])
        values = ValueModel.train(products, vectors)
        np.savez(target / "weights.npz", weights=values.weights, vectors=vectors.astype(np.float16))
    parts: dict[str, Any] = {k: manifest[k] for k in ("values", "triplets") if k in manifest}
    parts[task] = target.name
    version = hashlib.sha256(orjson.dumps([LAYOUT, encoder.fingerprint, sorted(parts.values())])).hexdigest()[:8]
    _replace(folder / _MANIFEST, {"layout": LAYOUT, "encoder": encoder.fingerprint, "version": version, **parts})
    _forget(folder, task, keep=target)
    return TrainingReport(format, len(rows), len(examples), version)


def evaluate(gold: Path, format: Format, heads: Heads, encoder: Encoder) -> ExtractionScore:
    """Score the heads on a gold file, counted as its benchmark counts.

    Raises:
        ExtractionError: the file is not of the format, or nothing was trained for it.
    """
    if format == "aste":
        if heads.triplets is None:
            raise _untrained(format)
        sentences = list(read_sentences(gold))
        found = heads.triplets.answer([s.tokens for s in sentences])
        return score_triplets(sentences, found)
    if heads.values is None:
        raise _untrained(format)
    products = list(read_products(gold, format))
    vectors = encoder.encode([p.text[:MAX_CHARS] for p in products])
    answers = heads.values.answer(products, vectors)
    return score_values(products, [{a: answer.value for a, answer in one.items()} for one in answers])


def _untrained(format: str) -> ExtractionError:
    return ExtractionError(
        f"Nothing was trained for {format} in this home. Run: kg train-extraction FILE --format {format}."
    )


def _rows(path: Path, format: Format) -> Iterable[dict[str, Any]]:
    """A file's examples as plain values, as they are stored."""
    if format == "aste":
        return ({"tokens": list(s.tokens), "triplets": [asdict(t) for t in s.triplets]} for s in read_sentences(path))
    return (
        {
            "title": p.title,
            "description": p.description,
            "category": p.category,
            "targets": {a: list(values) for a, values in p.targets.items()},
        }
        for p in read_products(path, format)
    )


def _product(row: dict[str, Any]) -> MarkedProduct:
    targets = {attribute: tuple(values) for attribute, values in row["targets"].items()}
    return MarkedProduct(row["title"], row["description"], row["category"], targets)


def _sentence(row: dict[str, Any]) -> MarkedSentence:
    triplets = (Triplet(tuple(t["aspect"]), tuple(t["opinion"]), t["sentiment"]) for t in row["triplets"])
    return MarkedSentence(tuple(row["tokens"]), tuple(triplets))


def _load_values(folder: Path) -> ValueModel:
    with np.load(folder / "weights.npz") as arrays:
        products = [_product(row) for row in _examples(folder)]
        return ValueModel(products, arrays["vectors"].astype(np.float32), arrays["weights"])


def _examples(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / "examples.jsonl.gz", "rb") as file:
        return [orjson.loads(line) for line in file]


def _manifest(folder: Path) -> dict[str, Any]:
    """What the folder holds; empty where nothing was trained."""
    path = folder / _MANIFEST
    if not path.is_file():
        return {}
    try:
        manifest: Any = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ExtractionError(f"{path} cannot be read ({error}). Delete the folder and train again.") from error
    if not isinstance(manifest, dict) or manifest.get("layout") != LAYOUT:
        raise ExtractionError(f"{path} is of another layout than {LAYOUT}. Delete the folder and train again.")
    return manifest


def _replace(path: Path, content: dict[str, Any]) -> None:
    """Write a file so that readers see the old one or the new one, never a half of either."""
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    new.replace(path)


def _forget(folder: Path, task: Task, keep: Path) -> None:
    """Delete what earlier calls left for this task."""
    for old in folder.glob(f"{task}-*"):
        if old != keep:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
