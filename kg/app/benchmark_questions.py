"""``kg benchmark questions``: the share of planted questions about the bundled shop that ``kg ask`` answers rightly.

The shop is loaded and its texts are read as always, so an answer may be wrong
because a fact was not extracted, because one was that is not so, or because the
question was not understood.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kg import vocabulary
from kg.app import jobs
from kg.app.answers import UNKNOWN, Answer
from kg.app.ask import Asker
from kg.app.benchmark import own_graph
from kg.app.session import progress_bar
from kg.app.shop import write_shop
from kg.app.shop.questions import PlantedQuestion, Wording, questions
from kg.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """A planted question with the answer that it got."""

    planted: PlantedQuestion
    answer: Answer

    @property
    def right(self) -> bool:
        """Whether the verdict is right, and whatever a text was read to say is quoted from it."""
        proven = all(fact.quote and fact.document for fact in self.answer.facts if fact.source == "extraction")
        return proven and self.planted.answered_by(self.answer.verdict, [fact.sku for fact in self.answer.facts])


def questions_benchmark(settings: Settings, *, wording: Wording, of_each: int) -> dict[str, Any]:
    """Load the shop into a Neo4j of its own, read its texts, ask, and count."""
    planted = questions(vocabulary.load(settings.vocabulary), wording=wording, of_each=of_each)
    with own_graph(settings, "questions") as store, tempfile.TemporaryDirectory() as folder:
        write_shop(Path(folder))
        for kind in jobs.KINDS:
            jobs.ingest(store, settings, kind, [Path(folder) / f"{kind}.jsonl"], rejects=Path(folder) / "rejects.jsonl")
        jobs.extract(store, settings)
        asker = Asker(store, settings)
        with progress_bar("Asking", unit="questions", total=len(planted)) as advance:
            asked = []
            for question in planted:
                asked.append(Asked(question, asker.ask(question.text, question.skus)))
                advance(1)
    return counted(asked)


def counted(asked: Sequence[Asked]) -> dict[str, Any]:
    """Accuracy over all questions and by kind, how well "not known" is known, and what went wrong."""
    kinds = list(dict.fromkeys(one.planted.kind for one in asked))
    said = [one for one in asked if one.answer.verdict == UNKNOWN]
    meant = [one for one in asked if one.planted.verdict == UNKNOWN]
    return {
        "questions": len(asked),
        "accuracy": _share(asked),
        "by_kind": {kind: _share(one for one in asked if one.planted.kind == kind) for kind in kinds},
        # Of the answers "not known", how many should be; of the questions to which nothing is known, how many got it.
        "not_known_precision": _share(said),
        "not_known_recall": _share(meant),
        "wrong": [
            {"kind": one.planted.kind, "question": one.planted.text, "expected": one.planted.verdict}
            | {"verdict": one.answer.verdict, "asks": one.answer.asks}
            for one in asked
            if not one.right
        ],
    }


def _share(asked: Iterable[Asked]) -> float | None:
    counts = Counter(one.right for one in asked)
    return round(counts[True] / counts.total(), 3) if counts else None
