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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from safetensors import SafetensorError

from extraction import language
from extraction.adapters import AdaptedEncoder
from extraction.benchmarks import (
    Format,
    MarkedProduct,
    MarkedSentence,
    Triplet,
    read_products,
    read_sentences,
)
from extraction.corrections import as_examples, read_corrections
from extraction.encoder import Encoder
from extraction.evaluation import ExtractionScore, score_triplets, score_values
from extraction.kin import Kin
from extraction.kinds import Kinds
from extraction.triplets import TripletModel
from extraction.values import Progress, Recipe, ValueModel
from kg.errors import ExtractionError
from kg.vocabulary import Vocabulary, load

LAYOUT: Final = 3
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

    @staticmethod
    def version_in(folder: Path, encoder: Encoder, shipped: Path | None = None) -> str:
        """Version of what :meth:`load` would give, without reading it; empty where that is nothing."""
        own = _manifest(folder)
        return _joined(str(own.get("version", "")), _version_shipped(shipped, encoder) if "triplets" not in own else "")

    @classmethod
    def load(
        cls, folder: Path, encoder: Encoder, vocabulary: Vocabulary | None = None, *, shipped: Path | None = None
    ) -> Heads:
        """The heads in ``folder``, to read with; empty ones where nothing was trained.

        Args:
            encoder: the one that they were trained on; they compute with its precision.
            vocabulary: tells which values attributes never seen may have; by default the one that ships with kg.
            shipped: folder of heads to use for tasks of which ``folder`` has learned nothing, if they fit the encoder;
                see :mod:`extraction.shipping`.

        Raises:
            ExtractionError: the files are damaged, of another layout, or were trained on another encoder.
        """
        own = cls._read(folder, encoder, vocabulary)
        version = _version_shipped(shipped, encoder)
        if own.triplets is not None or shipped is None or not version:
            return own
        return replace(own, triplets=cls._read(shipped, encoder).triplets, version=_joined(own.version, version))

    @staticmethod
    def trainable_values(folder: Path, encoder: Encoder, vocabulary: Vocabulary | None = None) -> ValueModel | None:
        """The head of attribute values in ``folder``, to be trained on; ``None`` where there is none.

        Raises:
            ExtractionError: as :meth:`load`.
        """
        manifest = _manifest_for(encoder, folder)
        if "values" not in manifest:
            return None
        with _reading(folder):
            return _load_values(folder / manifest["values"], encoder, vocabulary, trainable=True)

    @classmethod
    def _read(cls, folder: Path, encoder: Encoder, vocabulary: Vocabulary | None = None) -> Heads:
        manifest = _manifest_for(encoder, folder)
        if not manifest:
            return cls()
        with _reading(folder):
            values = _load_values(folder / manifest["values"], encoder, vocabulary) if "values" in manifest else None
            triplets = _load_triplets(folder / manifest["triplets"], encoder) if "triplets" in manifest else None
        return cls(values, triplets, manifest["version"])


def write_shipped(folder: Path, model: TripletModel, encoder: Encoder) -> str:
    """Write a head as it ships: half precision, without its sentences, under a name that does not change.

    Returns:
        Its version: hex digits that change with the weights.
    """
    target = folder / "triplets"
    model.save(target, half=True)
    content = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(target.iterdir())))
    version = content.hexdigest()[:8]
    _replace(
        folder / _MANIFEST,
        {"layout": LAYOUT, "encoder": encoder.fingerprint, "version": version, "triplets": target.name},
    )
    return version


def train(
    files: Sequence[Path],
    format: Format,
    folder: Path,
    encoder: Encoder,
    *,
    vocabulary: Vocabulary | None = None,
    recipe: Recipe | None = None,
    progress: Progress = lambda *_: None,
) -> TrainingReport:
    """Learn from ``files`` and from everything learned from before; the result replaces the heads in ``folder``.

    A training that was cut off goes on after its last epoch when it is started again with the same files.

    Args:
        vocabulary: tells which values attributes never seen may have; by default the one that ships with kg.
        recipe: how attribute values are learned.
        progress: is told of each step.

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
    target = _keep(folder, task, examples, recipe if task == "values" else None)
    if manifest.get(task) == target.name:
        return TrainingReport(format, len(rows), len(examples), manifest["version"])
    checkpoint = folder / f"unfinished-{task}.pt"
    if task == "triplets":
        sentences = [_sentence(r) for r in examples]
        triplets = TripletModel.train(
            sentences,
            encoder.folder,
            device=encoder.device,
            checkpoint=checkpoint,
            progress=lambda epoch: progress("Learning", epoch.number, epoch.of),
        )
        triplets.save(target)
    else:
        values = ValueModel.train(
            [MarkedProduct.of_dict(r) for r in examples],
            kin_of(encoder, vocabulary),
            partial(_adapted, encoder),
            recipe=recipe,
            checkpoint=checkpoint,
            progress=progress,
        )
        values.save(target)
    checkpoint.unlink(missing_ok=True)
    version = _switch(folder, task, target, encoder)
    return TrainingReport(format, len(rows), len(examples), version)


def correct(
    file: Path,
    folder: Path,
    encoder: Encoder,
    *,
    vocabulary: Vocabulary | None = None,
    recipe: Recipe | None = None,
    progress: Progress = lambda *_: None,
) -> TrainingReport:
    """Learn people's corrections, see :mod:`extraction.corrections`, in a small part of the time of :func:`train`.

    Raises:
        ExtractionError: the file holds no corrections, or nothing was trained that they could correct.
    """
    corrections = read_corrections(file)
    model = Heads.trainable_values(folder, encoder, vocabulary)
    if model is None:
        raise _untrained("ae")
    before = [MarkedProduct.of_dict(r) for r in _examples(folder / _manifest(folder)["values"])]
    corrected = as_examples(corrections, before)
    texts = {p.text for p in corrected}
    examples = [p.as_dict() for p in (*(p for p in before if p.text not in texts), *corrected)]
    values = model.refine(corrected, recipe=recipe, progress=progress)
    target = _keep(folder, "values", examples)
    values.save(target)
    return TrainingReport("corrections", len(corrections), len(examples), _switch(folder, "values", target, encoder))


def suggest(file: Path, format: Literal["pave", "ae"], heads: Heads, *, limit: int) -> list[dict[str, Any]]:
    """The questions of a file that a person should answer next, the least certain first, as corrections to complete.

    Raises:
        ExtractionError: the file is not of the format, or nothing was trained.
    """
    if heads.values is None:
        raise _untrained(format)
    products = list(read_products(file, format))
    rows = []
    for n, attribute, answer in heads.values.least_certain(products)[:limit]:
        text = products[n].text
        start, end = answer.place(text) or (None, None)
        rows.append(
            {
                "text": text,
                "category": products[n].category,
                "attribute": attribute,
                "value": answer.value,
                "start": start,
                "end": end,
                "probability": round(answer.probability, 4),
            }
        )
    return rows


def _keep(folder: Path, task: Task, examples: Sequence[dict[str, Any]], recipe: Recipe | None = None) -> Path:
    """A folder for what is learned from these examples, with the examples in it; equal ones have one folder."""
    content = [examples, asdict(recipe) if recipe else None]
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    target = folder / f"{task}-{digest}"
    target.mkdir(parents=True, exist_ok=True)
    with gzip.open(target / "examples.jsonl.gz", "wb") as file:
        file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in examples)
    return target


def _switch(folder: Path, task: Task, target: Path, encoder: Encoder) -> str:
    """Make what lies in ``target`` the folder's head for a task; gives the new version of the heads."""
    manifest = _manifest(folder)
    parts: dict[str, Any] = {k: manifest[k] for k in ("values", "triplets") if k in manifest}
    parts[task] = target.name
    version = hashlib.sha256(orjson.dumps([LAYOUT, encoder.fingerprint, sorted(parts.values())])).hexdigest()[:8]
    _replace(folder / _MANIFEST, {"layout": LAYOUT, "encoder": encoder.fingerprint, "version": version, **parts})
    _forget(folder, task, keep=target)
    return version


def evaluate(gold: Path, format: Format, heads: Heads) -> ExtractionScore:
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
    answers = heads.values.answer(products)
    return score_values(products, [{a: answer.value for a, answer in one.items()} for one in answers])


def _version_shipped(shipped: Path | None, encoder: Encoder) -> str:
    """Version of shipped heads; empty where there are none for this encoder."""
    manifest = _manifest(shipped) if shipped is not None else {}
    return str(manifest["version"]) if manifest.get("encoder") == encoder.fingerprint else ""


def _joined(own: str, shipped: str) -> str:
    """One version of what a home has learned and of what ships: "s" marks the latter."""
    return own + (f"s{shipped}" if shipped else "")


def _untrained(format: str) -> ExtractionError:
    return ExtractionError(
        f"Nothing was trained for {format} in this home. Run: kg train-extraction FILE --format {format}."
    )


def _rows(path: Path, format: Format) -> Iterable[dict[str, Any]]:
    """A file's examples as plain values, as they are stored."""
    if format == "aste":
        return ({"tokens": list(s.tokens), "triplets": [asdict(t) for t in s.triplets]} for s in read_sentences(path))
    return (p.as_dict() for p in read_products(path, format))


def _adapted(encoder: Encoder, recipe: Recipe) -> AdaptedEncoder:
    """The encoder with a new adapter."""
    return AdaptedEncoder(
        encoder.folder, device=encoder.device, rank=recipe.rank, first_layer=recipe.first_layer, seed=recipe.seed
    )


def kin_of(
    encoder: Encoder, vocabulary: Vocabulary | None = None, descriptions: Mapping[str, str] | None = None
) -> Kin:
    """What is known of attributes by their names.

    Args:
        descriptions: of attributes that are not learned from texts; by default of those that the vocabulary wants asked
            although nothing was marked with them.
    """
    known = vocabulary or load()
    if descriptions is None:
        descriptions = {a.name: a.description for a in known.attributes if a.ask}
    return Kin(encoder.encode, Kinds(known, encoder.encode, language.lemma_index()), descriptions)


def _sentence(row: dict[str, Any]) -> MarkedSentence:
    triplets = (Triplet(tuple(t["aspect"]), tuple(t["opinion"]), t["sentiment"]) for t in row["triplets"])
    return MarkedSentence(tuple(row["tokens"]), tuple(triplets))


def _load_values(
    folder: Path, encoder: Encoder, vocabulary: Vocabulary | None, *, trainable: bool = False
) -> ValueModel:
    def adapted(saved: Path) -> AdaptedEncoder:
        read = AdaptedEncoder.load(saved, encoder.folder, device=encoder.device)
        if not trainable:
            read.merge(exact=encoder.exact)
        return read

    return ValueModel.load(folder, kin_of(encoder, vocabulary), adapted)


def _load_triplets(folder: Path, encoder: Encoder) -> TripletModel:
    return TripletModel.load(folder, encoder.folder, device=encoder.device, fp32=encoder.exact)


def _examples(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / "examples.jsonl.gz", "rb") as file:
        return [orjson.loads(line) for line in file]


def _manifest_for(encoder: Encoder, folder: Path) -> dict[str, Any]:
    """What the folder holds, if it is this encoder's; empty where nothing was trained."""
    manifest = _manifest(folder)
    if manifest and manifest.get("encoder") != encoder.fingerprint:
        raise ExtractionError(
            f"The heads in {folder} were trained on another encoder ({manifest.get('encoder')}, now "
            f"{encoder.fingerprint}). Set KG_ENCODER back, or delete the folder and train again."
        )
    return manifest


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ExtractionError(
            f"The heads in {folder} cannot be read ({error}). Delete the folder and train again."
        ) from error


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
