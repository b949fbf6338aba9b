"""``kg benchmark freshness`` and ``streams``: how soon what comes is served, and how much may come.

Both need a shop with a trained model in a Neo4j of its own: the bundled one, or
for ``freshness`` the large synthetic one of :mod:`kg.app.powerlaw`. What follows
the streams is ``kg ingest --follow`` itself, in processes of its own, and what is
asked is the catalogue's ``recommend/for_user``, as an application would ask it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import orjson

from extraction import corpus
from kg import catalogue, removal, streams
from kg.app import jobs, models
from kg.app.benchmark import own_graph, own_home
from kg.app.benchmark_serving import synthetic_shop
from kg.app.follow import Source
from kg.app.shop import write_shop
from kg.errors import BenchmarkError
from kg.localdb import bolt
from kg.queries import Query
from kg.records import ProductRecord
from kg.settings import Settings
from kg.store import GraphStore

PATIENCE_S: Final = 60.0
"""After this time something that should have been served counts as missed."""
WARM_UP: Final = 3
"""Of each kind, sent first and not counted: Neo4j plans each query when it meets it first."""
LIMIT: Final = 100
"""Rows that are asked for: what is not placed yet is in none of them, and where it comes in is told."""
USERS: Final = 20_000
"""Users among whom is looked for those to whom new products should be shown; each with the whole history."""
FIRST: Final = 10
"""Rows that a shop shows."""

NEW: Final = "new-"
"""What the skus of new products begin with."""

Say = Callable[[str], None]
Way = Literal["file", "post"]
Hand = Callable[[corpus.Kind, Mapping[str, Any]], float]
"""Hands over a record of a kind; gives the moment at which that began."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A product of the shop after which a new one is made, and a user who should then see the new one."""

    sku: str
    title: str
    description: str
    brand: str | None
    category: str | None
    user: str


# --- freshness ------------------------------------------------------------------------------------------------


def freshness(
    settings: Settings, *, products: int | None, texts: int, events: int, by: Way, keep: bool, say: Say
) -> dict[str, Any]:
    """Seconds from handing a record over until a recommendation shows it: p50, p95, p99 over the lines.

    A new product is the sibling of one that counts more for a user than for anybody, and told in its words under
    a new name; it is served when that user's recommendations hold it. An event is a look at a product that the user
    has not met; it is served when the user's recommendations are others than before.

    Args:
        products: of the synthetic shop; ``None`` for the bundled one.
        by: whether a record is a line of a file that is followed, or a request to the receiver, from its first byte on.
    """
    with _shop(settings, products, keep=keep, say=say) as (home, store), tempfile.TemporaryDirectory() as folder:
        query = catalogue.find("recommend/for_user")
        _remove_new(store)  # what a run that was cut off left in a shop that is kept
        siblings = _siblings(store, settings, texts + WARM_UP, bundled=products is None)
        users = _users(store, events + WARM_UP, np.random.default_rng(settings.seed))
        with _handed(by, home, Path(folder)) as hand:
            say(f"Handing over {len(siblings)} new products.")
            shown = [_until_shown(store, query, hand, s, n) for n, s in enumerate(siblings)][WARM_UP:]
            say(f"Handing over {len(users)} events.")
            changed = [_until_changed(store, query, hand, user) for user in users][WARM_UP:]
        _remove_new(store)
        there = store.read("MATCH (p:Product) WHERE p.active RETURN count(p) AS n")[0]["n"]
    ranks = [rank for _, rank in shown if rank is not None]
    return {
        "handed over by": by,
        "products in the shop": there,
        "new product, seconds until recommended": _percentiles([seconds for seconds, _ in shown]),
        "new product, share within the first ten": round(sum(r <= FIRST for r in ranks) / max(1, len(shown)), 2),
        "event, seconds until recommendations change": _percentiles([c for c, _ in changed]),
        "event, seconds until the user's vector follows": _percentiles([p for _, p in changed]),
    }


def _until_shown(
    store: GraphStore, query: Query, hand: Hand, sibling: Sibling, number: int
) -> tuple[float | None, int | None]:
    """Seconds, and at which rank it is then."""
    sku = f"{NEW}{number}"
    record: dict[str, Any] = {
        "sku": sku,
        "title": f"{sibling.title}, edition {number + 2}",
        "description": sibling.description,
    }
    if sibling.brand:
        record["brand"] = sibling.brand
    if sibling.category:
        record["categories"] = [sibling.category.split(" > ")]
    began = hand("products", record)
    asked = {"user": sibling.user, "limit": LIMIT}
    rank: int | None = None

    def is_shown() -> bool:
        nonlocal rank
        skus = [row["sku"] for row in catalogue.run(store, query, asked)]
        rank = skus.index(sku) + 1 if sku in skus else None
        return rank is not None

    seconds = _wait(began, is_shown)
    # The next is not to compete with it.
    store.write("MATCH (p:Product {sku: $sku}) SET p.active = false", sku=sku)
    return seconds, rank


def _until_changed(
    store: GraphStore, query: Query, hand: Hand, user: tuple[str, str]
) -> tuple[float | None, float | None]:
    name, sku = user
    asked = {"user": name, "limit": LIMIT}

    def rows() -> list[tuple[str, float]]:
        return [(row["sku"], round(row["score"], 9)) for row in catalogue.run(store, query, asked)]

    def vector() -> Any:
        cypher = "MATCH (u:User {id: $user}) RETURN coalesce(u.embedding_blue, u.embedding_green) AS vector"
        return store.read(cypher, user=name)[0]["vector"]

    before, place = rows(), vector()
    began = hand("events", {"user": name, "sku": sku, "type": "viewed", "at": int(time.time()), "value": 30})
    return _wait(began, lambda: rows() != before), _wait(began, lambda: vector() != place)


def _remove_new(store: GraphStore) -> None:
    rows = store.read("MATCH (p:Product) WHERE p.sku STARTS WITH $new RETURN p.sku AS sku", new=NEW)
    removal.remove(store, "products", [row["sku"] for row in rows])


@contextmanager
def _handed(by: Way, home: Path, folder: Path) -> Iterator[Hand]:
    if by == "post":
        with _receiver(home) as hand:
            yield hand
        return
    with _followers(home, folder, ("products", "events")) as files:

        def append(kind: corpus.Kind, record: Mapping[str, Any]) -> float:
            began = time.perf_counter()
            with files[kind].open("ab") as stream:
                stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            return began

        yield append


def _wait(began: float, served: Callable[[], bool]) -> float | None:
    """Ask again as soon as it is answered; seconds since then, None if patience ended."""
    while (asked := time.perf_counter()) - began < PATIENCE_S:
        if served():
            return time.perf_counter() - began
        # A client that asks without a pause would take a core from those that it waits for.
        time.sleep(max(0.0, 0.02 - (time.perf_counter() - asked)))
    return None


def _percentiles(seconds: Sequence[float | None]) -> dict[str, Any]:
    found = [s for s in seconds if s is not None]
    if not found:
        return {"n": len(seconds), "missed": len(seconds)}
    p50, p95, p99 = np.percentile(found, [50, 95, 99])
    return {
        "n": len(seconds),
        "missed": len(seconds) - len(found),
        "p50": round(float(p50), 2),
        "p95": round(float(p95), 2),
        "p99": round(float(p99), 2),
        "longest": round(max(found), 2),
    }


# --- the shop -------------------------------------------------------------------------------------------------


@contextmanager
def _shop(settings: Settings, products: int | None, *, keep: bool, say: Say) -> Iterator[tuple[Path, GraphStore]]:
    """A shop with a live model, in a Neo4j of its own."""
    if products is None:
        with _trained(settings, say) as (home, store):
            yield home, store
        return
    with synthetic_shop(settings, products, keep=keep, say=say) as (home, store, _):
        # What a training would have written: how far texts, makers and shelves count for what nobody has met.
        store.write("MATCH (m:ModelVersion) SET m.f_text = 1.0, m.f_made_by = 0.1, m.f_in_category = 0.1, m.lift = 4.0")
        yield home, store


@contextmanager
def _trained(settings: Settings, say: Say) -> Iterator[tuple[Path, GraphStore]]:
    home = own_home(settings, "streams")
    own = settings.model_copy(update={"home": home})
    with own_graph(settings, "streams") as store, tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        say("Loading and training the bundled shop.")
        write_shop(files)
        for kind in ("products", "users", "events", "reviews"):
            jobs.ingest(store, own, kind, [files / f"{kind}.jsonl"])
        jobs.extract(store, own)
        models.train(store, own)
        models.promote(store, own)
        yield home, store


def _siblings(store: GraphStore, settings: Settings, count: int, *, bundled: bool) -> list[Sibling]:
    """Products that count most for a user each; the same ones again if there are too few."""
    rows = store.read(
        "MATCH (u:User)\nWITH u ORDER BY u.id LIMIT $users\n"
        "MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)\nWHERE did.strength > 0.0\n"
        "WITH u, h, sum(did.strength) AS interest\n"
        "WITH u, collect({product: h, interest: interest}) AS met, sum(interest) AS total\n"
        "UNWIND met AS one\n"
        # How far a product of the history counts in recommend/for_user.
        "WITH u, one.product AS h, one.interest / sqrt(total) AS pull\n"
        "WHERE h.active AND coalesce(h.stock, 1) > 0\nWITH u, h, pull\nORDER BY pull DESC, u.id\n"
        "WITH h, collect(u.id)[0] AS user, max(pull) AS pull\nORDER BY pull DESC, h.sku\nLIMIT $count\n"
        "RETURN h.sku AS sku, h.title AS title, h.description AS description, user,\n"
        "       [(h)-[:MADE_BY {source: 'catalogue'}]->(b) | b.name][0] AS brand,\n"
        "       [(h)-[:IN_CATEGORY {source: 'catalogue'}]->(c) | c.path][0] AS category",
        count=count,
        users=USERS,
    )
    if not rows:
        raise BenchmarkError("Nobody in this shop is interested in anything; there is no one to show a product to.")
    found = [Sibling(r["sku"], r["title"], r["description"] or "", r["brand"], r["category"], r["user"]) for r in rows]
    if not bundled:
        found = _in_words(store, settings, found)
    return [found[n % len(found)] for n in range(count)]


def _in_words(store: GraphStore, settings: Settings, siblings: Sequence[Sibling]) -> list[Sibling]:
    """Texts of the bundled shop for products whose vectors of text are drawn by chance: words then mean something."""
    with tempfile.TemporaryDirectory() as folder:
        write_shop(Path(folder))
        told: list[ProductRecord] = list(corpus.read_products(Path(folder) / "products.jsonl", rejects=lambda _: None))
    named = [
        replace(s, title=f"{told[n % len(told)].title} {n}", description=told[n % len(told)].description)
        for n, s in enumerate(siblings)
    ]
    vectors = jobs.encoder_of(settings).encode([f"{s.title}\n\n{s.description}" for s in named])
    rows = [
        {"sku": sibling.sku, "title": sibling.title, "description": sibling.description, "vector": vector.tolist()}
        for sibling, vector in zip(named, vectors, strict=True)
    ]
    store.write(
        "UNWIND $rows AS row\nMATCH (p:Product {sku: row.sku})\n"
        "SET p.title = row.title, p.description = row.description, p.text_embedding = row.vector",
        rows=rows,
    )
    return named


def _users(store: GraphStore, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Users who have a history, drawn by chance, each with a product that they have not met."""
    users = [
        r["id"] for r in store.read("MATCH (u:User) WHERE EXISTS { (u)-[:VIEWED]->() } RETURN u.id AS id LIMIT 5000")
    ]
    skus = [r["sku"] for r in store.read("MATCH (p:Product) WHERE p.active RETURN p.sku AS sku LIMIT 5000")]
    found: dict[tuple[str, str], None] = {}
    while len(found) < count:
        drawn = [[str(rng.choice(users)), str(rng.choice(skus))] for _ in range(2 * count)]
        strange = store.read(
            "UNWIND $pairs AS pair\nMATCH (u:User {id: pair[0]})\nMATCH (p:Product {sku: pair[1]})\n"
            "WHERE NOT EXISTS { (u)-->(p) }\nRETURN u.id AS user, p.sku AS sku",
            pairs=drawn,
        )
        found |= dict.fromkeys((row["user"], row["sku"]) for row in strange)
    return list(found)[:count]


# --- those who follow -----------------------------------------------------------------------------------------


@contextmanager
def _followers(home: Path, folder: Path, kinds: Sequence[corpus.Kind]) -> Iterator[dict[str, Path]]:
    """The command itself, a process for each kind; the file of each kind that it follows."""
    files: dict[str, Path] = {}
    with ExitStack() as processes:
        for kind in kinds:
            (folder / kind).mkdir()
            files[kind] = folder / kind / "stream.jsonl"
            processes.enter_context(_following(home, kind, str(folder / kind)))
        yield files


@contextmanager
def _following(home: Path, kind: str, source: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NEO4J_", "KG_"))} | {"KG_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "kg.app.cli", "ingest", kind, source, "--follow"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


@contextmanager
def _receiver(home: Path) -> Iterator[Hand]:
    """The command itself, to which records are posted."""
    address = f"http://{bolt.LOOPBACK}:{bolt.free_port()}"
    with _following(home, "all", address) as process:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                opener.open(f"{address}/health/live", timeout=1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise BenchmarkError(f"Nobody listens at {address}: {error}.") from error
                time.sleep(0.1)

        def post(kind: corpus.Kind, record: Mapping[str, Any]) -> float:
            request = urllib.request.Request(
                f"{address}/{kind}", orjson.dumps(record), {"Content-Type": "application/json"}
            )
            began = time.perf_counter()
            opener.open(request, timeout=PATIENCE_S).close()
            return began

        yield post


# --- how much may come ----------------------------------------------------------------------------------------


def throughput(settings: Settings, *, events: int, reviews: int, products: int, say: Say) -> dict[str, Any]:
    """Lines a second that are loaded and served, a kind at a time, beside a bulk load of as many in the same run.

    Followed lines are counted until nothing waits: texts are read with every model of the home, products and users have
    their place. The bulk load is ``kg ingest``, for texts with ``kg extract`` behind it.
    """
    counts: dict[corpus.Kind, int] = {"events": events, "reviews": reviews, "products": products}
    report: dict[str, Any] = {}
    with _trained(settings, say) as (home, store), tempfile.TemporaryDirectory() as folder:
        own = settings.model_copy(update={"home": home})
        made = _Made(Path(folder))
        for kind, count in counts.items():
            say(f"{count} {kind}, as a file and as a stream.")
            bulk = Path(folder) / f"{kind}.jsonl"
            bulk.write_bytes(made.lines(kind, count, "bulk"))
            began = time.perf_counter()
            jobs.ingest(store, own, kind, [bulk])
            loaded = time.perf_counter() - began
            if kind != "events":
                jobs.extract(store, own)
            whole = time.perf_counter() - began
            with tempfile.TemporaryDirectory() as place, _followers(home, Path(place), (kind,)) as files:
                warm = made.lines(kind, 50, "warm")
                files[kind].write_bytes(warm)
                _until_served(store, kind, files[kind])
                with files[kind].open("ab") as stream:
                    stream.write(made.lines(kind, count, "stream"))
                began = time.perf_counter()
                _until_served(store, kind, files[kind])
                followed = time.perf_counter() - began
            report[kind] = {
                "followed and served per second": round(count / followed, 1),
                "bulk load per second": round(count / loaded, 1),
                "bulk load and extraction per second": round(count / whole, 1),
                "ratio": round(whole / followed, 2),
            }
    return report


def _until_served(store: GraphStore, kind: corpus.Kind, file: Path) -> None:
    source = Source(kind, file.parent, file).source_of(file)
    size = file.stat().st_size
    end = time.monotonic() + 3600
    while time.monotonic() < end:
        if streams.places(store, [source])[source].bytes >= size and streams.count_waiting(store) == 0:
            return
        time.sleep(0.05)
    raise BenchmarkError(f"The {kind} that are followed were not served within an hour.")


class _Made:
    """Lines like those of the bundled shop, under names of their own."""

    def __init__(self, folder: Path) -> None:
        write_shop(folder / "shop")
        self._rows = {
            kind: [orjson.loads(line) for line in (folder / "shop" / f"{kind}.jsonl").read_bytes().splitlines()]
            for kind in ("events", "reviews", "products")
        }

    def lines(self, kind: str, count: int, name: str) -> bytes:
        rows = self._rows[kind]
        made = []
        for n in range(count):
            row = dict(rows[n % len(rows)])
            turn = n // len(rows)
            if kind == "events":
                row["session"] = f"{name}-{turn}"
            elif kind == "reviews":
                row["id"] = f"{name}-{n}"
                row["text"] = f"{row['text']} Order {name} {n}."
            else:
                row["sku"] = f"{name}-{n}"
                row["title"] = f"{row['title']} {name} {n}"
                row.pop("related", None)
                row.pop("variant_of", None)
                row.pop("gtin", None)
            made.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        return b"".join(made)
