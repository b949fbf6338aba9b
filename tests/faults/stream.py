"""A follower that is killed at random moments: in the end the whole graph is that of a clean load.

The world is the named shop with a live model. Events, reviews and products come in files that grow; a seed draws what
comes, in which pieces, and when the follower is killed: while it reads, while it commits, between a commit and the
vectors or facts that follow from it. It fixes the plan, not what the operating system makes of it.
"""

from __future__ import annotations

import json
import logging
import random
import re
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import structlog

from embeddings import registry
from embeddings.writeback import write_embeddings
from kg import localdb, streams
from kg.app import jobs
from kg.app.follow import Source, follow
from kg.settings import Settings
from kg.store import GraphStore
from tests.conftest import SHOP, empty
from tests.embeddings.test_writeback import model
from tests.faults.clock import shift_clock
from tests.faults.processes import context
from tests.kg.whole_graph import whole_graph

PATIENCE_S: Final = 120
SKUS: Final = ("G1", "G2", "S1", "S2", "T1")
SAYINGS: Final = (
    "Very comfortable strap.",
    "The sound is great.",
    "Poor sound, but comfortable.",
    "It fits the Ashdown S-200.",
    "Better sound than the Ashdown S-200.",
    "Less comfortable than the Ashdown S-200.",
)
SINCE: Final = 4_102_444_800
"""In the year 2100, after the model was written: what happens then moves users."""
TARGETED: Final = ("ACCESSORY_OF", "BETTER_THAN", "COMPARED_WITH", "COMPATIBLE_WITH", "DOES_NOT_FIT", "WORSE_THAN")
"""What is said of a product and another."""
SETTLED: Final = (*TARGETED, "HAS_ATTRIBUTE", "MADE_BY")
KEPT: Final = ("(Product ", "(Brand ", "(Category ", "(AttributeValue ", "(Document ")
_FACT: Final = re.compile(r"\('fact', '([0-9a-f]+)'\)")
KILLS: Final = 5
"""In one run."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What comes, and when the follower is killed."""

    seed: int
    kind: str
    """``events``; or ``reviews`` or ``products``, whose facts are read too."""
    files: tuple[bytes, ...]
    cuts: tuple[tuple[float, float], ...]
    """For each kill: the share of each file that is there, and the seconds after the first commit of that life."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What came of one seed."""

    plan: StreamPlan
    refused: int
    differences: tuple[str, ...]
    seconds: float
    recovery_s: float
    """From the last kill until the next one went on reading."""


def stream_plan(seed: int, *, kills: int = KILLS, kind: str | None = None, events: int = 200) -> StreamPlan:
    """Draw a run; of ten one is of reviews and one of products, whose followers take seconds to be ready.

    Args:
        events: in each of two files.
    """
    rng = random.Random(seed)
    kind = kind or {4: "reviews", 8: "products"}.get(seed % 10, "events")
    draw = {"events": _events, "reviews": _reviews, "products": _products}[kind]
    size = events if kind == "events" else 25
    files = tuple(b"".join(draw(rng, size, SINCE + part * 500_000, part)) for part in range(2))
    shares = sorted(rng.random() for _ in range(kills))
    return StreamPlan(seed, kind, files, tuple((share, rng.uniform(0, 0.12)) for share in shares))


def _events(rng: random.Random, count: int, since: int, part: int) -> list[bytes]:
    """Some without a time and equal, some broken, some of unknown products.

    Ratings have times, no two the same: which of others is the latest depends on which file is read first. Everybody's
    first event has a time, so that a clean load knows as well as a follower that they were seen.
    """
    kinds = ("viewed", "carted", "bought", "rated", "searched", "exposed")
    rows, met = [], set()
    for number in range(count):
        row: dict[str, Any] = {"user": f"u{rng.randrange(12)}", "type": rng.choice(kinds), "sku": rng.choice(SKUS)}
        if row["type"] == "rated" or row["user"] not in met or rng.random() < 0.6:
            row |= {"at": since + number, "session": f"s{number % 7}"}
            met.add(row["user"])
        if row["type"] == "rated":
            row["value"] = rng.randint(1, 5)
        if row["type"] == "searched":
            row["query"] = rng.choice(("strap", "tuner"))
        if rng.random() < 0.03:
            row["sku"] = "unknown"
        rows.append(json.dumps(row).encode() + b"\n" if rng.random() > 0.02 else b"broken\n")
    return rows


def _reviews(rng: random.Random, count: int, since: int, part: int) -> list[bytes]:
    rows = []
    for number in range(count):
        row = {
            "id": f"new-{part}-{number}",
            "user": f"u{rng.randrange(12)}",
            "sku": rng.choice(SKUS) if rng.random() > 0.05 else "unknown",
            "rating": rng.randint(1, 5),
            "text": rng.choice(SAYINGS),
            "at": since + number,
        }
        rows.append(json.dumps(row).encode() + b"\n" if rng.random() > 0.05 else b"broken\n")
    return rows


def _products(rng: random.Random, count: int, since: int, part: int) -> list[bytes]:
    """Instruments, and things that fit one of them, or one that comes later, or in the other file."""
    rows = []
    for number in range(count):
        # The models of both files, each with digits of its own.
        model = f"Q{rng.choice((0, 1)) * 500 + 100 + rng.randrange(count)}"
        row: dict[str, Any] = {
            "sku": f"p{part}-{number}",
            "brand": "Ashdown",
            "categories": [["Instruments", "Guitars"]],
        }
        if number % 2:
            row |= {"title": f"Ashdown Q{part * 500 + 100 + number} guitar", "description": "Solid alder body."}
        else:
            other = rng.choice(("Fits the", "Softer than the"))
            row |= {"title": f"Birch leather bag no {part * 500 + number}", "brand": "Birch"}
            row |= {"description": f"Soft leather. {other} Ashdown {model}.", "categories": [["Accessories"]]}
        rows.append(json.dumps(row).encode() + b"\n" if rng.random() > 0.05 else b"broken\n")
    return rows


def play_stream(
    store: GraphStore,
    connection: localdb.Connection,
    plan: StreamPlan,
    folder: Path,
    skews: Sequence[timedelta] = (timedelta(0),),
) -> StreamReport:
    """Follow and be killed as planned, then load the same cleanly, and compare.

    Args:
        skews: by how much the clocks of the processes are ahead, in turn.
    """
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    stream = folder / "stream"
    stream.mkdir(parents=True)
    content = {stream / f"{n}.jsonl": whole for n, whole in enumerate(plan.files)}
    # The lease of one that was killed runs out at once: the next is not to wait for it.
    source = Source(plan.kind, stream, folder / "rejects.jsonl", poll_s=0.01, ttl=timedelta(seconds=0.5))  # type: ignore[arg-type]

    def read() -> dict[str, int]:
        return {
            name: place.bytes for name, place in streams.places(store, [source.source_of(f) for f in content]).items()
        }

    clocks = cycle(skews)
    shop_with_model(store)
    for share, pause_s in plan.cuts:
        for file, whole in content.items():
            file.write_bytes(whole[: int(len(whole) * share)])  # mostly in the middle of a line
        before, process = read(), start(connection, folder / "home", source, next(clocks))
        wait(
            lambda before=before: (
                read() != before or (_is_whole(content, read(), source) and streams.count_waiting(store) == 0)
            )
        )
        time.sleep(pause_s)
        process.kill()
        process.join(PATIENCE_S)
    for file, whole in content.items():
        file.write_bytes(whole)
    killed, before = time.monotonic(), read()
    process = start(connection, folder / "home", source, next(clocks))
    wait(lambda: read() != before or _is_whole(content, read(), source))
    recovery_s = time.monotonic() - killed
    wait(
        lambda: set(read().values()) == {len(whole) for whole in content.values()} and streams.count_waiting(store) == 0
    )
    process.kill()
    process.join(PATIENCE_S)
    streamed, refused = plain(store), rejects_of(source.rejects)

    differences = from_clean(store, plan.kind, sorted(content), folder / "clean", streamed, refused)
    return StreamReport(plan, len(refused), tuple(differences), time.monotonic() - began, recovery_s)


def from_clean(
    store: GraphStore, kind: str, files: list[Path], home: Path, streamed: list[str], refused: list[tuple[str, int]]
) -> list[str]:
    """Load the files cleanly into the shop, and say how what was streamed differs; five differences at most.

    Args:
        streamed: the graph as it stands when this is called (:func:`plain`).
        refused: the rejects, of which the graph has the number.
    """
    counted = store.read("MATCH (o:Offset) RETURN sum(o.rejected) AS rejected, sum(o.behind) AS behind")[0]
    shop_with_model(store)
    settings = Settings.load({"KG_HOME": str(home)})
    jobs.ingest(store, settings, kind, files)  # type: ignore[arg-type]
    if kind in ("reviews", "products"):
        jobs.extract(store, settings)
    clean = plain(store)
    if kind == "products":
        streamed, clean = _settled(streamed), _settled(clean)
    differences = [f"{name}: {one} instead of {other}" for name, one, other in different(streamed, clean)]
    if refused != rejects_of(settings.home / "rejects.jsonl"):
        differences.append(f"the rejects are {refused} instead of {rejects_of(settings.home / 'rejects.jsonl')}")
    if counted != {"rejected": len(refused), "behind": 0}:
        differences.insert(0, f"The graph counts {counted}, and there are {len(refused)} rejects.")
    return differences[:5]


def _settled(lines: list[str]) -> list[str]:
    """Those that do not depend on who was there when a product came: what it is by its record, what its text says of it
    and of which other, and where.

    Which shelf the neighbours of a title speak for, which place the model gives a newcomer among those that are there:
    that does depend on it. Of a node that stays is that it is there.
    """
    relations = [line for line in lines if any(f"-[{type_}]->" in line for type_ in SETTLED) or _is_of_catalogue(line)]
    facts = {found[1] for line in relations if (found := _FACT.search(line))}
    nodes = [line.partition(" [(")[0] for line in lines if line.startswith(KEPT)]
    said = [
        line for line in lines if line.startswith("(Evidence ") and (found := _FACT.search(line)) and found[1] in facts
    ]
    return sorted([*nodes, *relations, *said])


def _is_of_catalogue(line: str) -> bool:
    return "]->(" in line and "('source', 'catalogue')" in line


def _is_whole(content: dict[Path, bytes], read: dict[str, int], source: Source) -> bool:
    """Whether all whole lines that are there have been read."""
    return all(read[source.source_of(file)] >= file.read_bytes().rfind(b"\n") + 1 for file in content if file.exists())


def shop_with_model(store: GraphStore) -> None:
    """The named shop, and a model that is live."""
    empty(store)
    store.write(SHOP)
    store.write("MATCH (n:Document|Evidence) DETACH DELETE n")  # they were read by nobody
    write_embeddings(store, replace(model("m1"), settings={"factors": {"text": 1.0}, "lift": 4.0}))
    registry.promote(store, "m1")


def start(
    connection: localdb.Connection,
    home: Path,
    source: Source,
    skew: timedelta = timedelta(0),
    *,
    fits: int = resource.RLIM_INFINITY,
) -> ForkServerProcess:
    """A follower in a process of its own, whose clock is ahead, and whose files find room for so many bytes."""
    process = context.Process(target=_serve, args=(connection, home, source, skew, fits), daemon=True)
    process.start()
    return process


def _serve(connection: localdb.Connection, home: Path, source: Source, skew: timedelta, fits: int) -> None:
    shift_clock(skew)
    # A log that is kept in a file would find no room either.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (fits, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    settings = Settings.load({"KG_HOME": str(home), "KG_BATCH_SIZE": "25"})
    with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
        follow(store, settings, source, threading.Event())


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds.

    Raises:
        AssertionError: it does not within :data:`PATIENCE_S` seconds.
    """
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- graphs that are the same ---------------------------------------------------------------------------------

_OF_THE_WAY: Final = frozenset({"Offset", "Lease", "ExtractionRun", "ModelVersion"})
"""Nodes that tell how a graph came to be, not what it says."""
_TIMES: Final = frozenset({"extracted", "at"})


def plain(store: GraphStore, *, ids: bool = True) -> list[str]:
    """All that the graph says, in lines; in which order equal moments came in, and when a text was read, is none of it.

    Args:
        ids: whether the identities of events are part of it. Those without a time have one of their source.
    """
    graph = whole_graph(store)
    lines = [
        f"({row['label']} {row['key']}) {_plain(row['properties'], row['label'], ids)}"
        for row in graph["nodes"]
        if row["label"] not in _OF_THE_WAY
    ]
    lines += [
        f"({row['start']})-[{row['type']}]->({row['end']}) {_plain(row['properties'], row['type'], ids)}"
        for row in graph["relationships"]
    ]
    return sorted(lines)


def _plain(properties: dict[str, Any], of: str, ids: bool) -> str:
    p = dict(properties)
    if "events" in p:
        sessions = p.pop("sessions", None) or [""] * len(p["events"])
        names = p.pop("events")
        single = zip(
            names if ids else [0] * len(names), p.pop("times"), map(repr, p.pop("values")), sessions, strict=True
        )
        p["events"] = sorted(single)
    if of in ("Evidence", "Document"):
        p = {name: value for name, value in p.items() if name not in _TIMES}
    return repr(sorted((name, _rounded(value)) for name, value in p.items()))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    return [_rounded(v) for v in value] if isinstance(value, list) and value and isinstance(value[0], float) else value


def different(one: list[str], other: list[str]) -> list[tuple[str, str, str]]:
    mine, theirs = set(one) - set(other), set(other) - set(one)
    found = []
    for line in sorted(mine):
        head = line.partition(" [")[0]
        found.append((head, line, next((t for t in theirs if t.startswith(head)), "nothing")))
    heads = {head for head, _, _ in found}
    return found + [(t.partition(" [")[0], "nothing", t) for t in sorted(theirs) if t.partition(" [")[0] not in heads]


def rejects_of(path: Path) -> list[tuple[str, int]]:
    if not path.exists():
        return []
    return sorted((Path(row["file"]).name, row["line"]) for row in map(json.loads, path.read_bytes().splitlines()))
