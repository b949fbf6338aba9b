"""``kg benchmark serving``, ``filters`` and ``catalogue``: how fast the queries answer on a large synthetic shop.

The shop of :mod:`kg.app.powerlaw` stands in a Neo4j of its own, written once and
kept for the next run of any of the three. Clients are threads that ask again as
soon as they are answered (a closed loop), on the same machine as Neo4j, through
the driver that any application uses; what is timed is what such a client waits.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from kg import catalogue, localdb
from kg.app import powerlaw
from kg.app.benchmark import own_home
from kg.errors import BenchmarkError, KGError
from kg.migrations import migrate
from kg.queries import Query, bind
from kg.settings import Settings
from kg.store import GraphStore

NEAREST: Final = 100
"""Products that the bare vector search asks for."""

COLD: Final = 200
"""Requests after a restart whose slowest hundredth is the cold p99."""

_BARE_NAME: Final = f"vector search alone, {NEAREST} nearest"

BARE: Final = f"""
CYPHER 25
MATCH (u:User {{id: $user}})
MATCH (p:Product)
  SEARCH p IN (VECTOR INDEX product_embedding_blue FOR u.embedding_blue WHERE p.active = true LIMIT {NEAREST})
  SCORE AS score
RETURN p.sku AS sku, p.title AS title, score
"""
"""The least that any recommendation by vectors costs."""

NAIVE: Final = """
CYPHER 25
MATCH (u:User {id: $user}), (c:Category {path: $category})
MATCH (c)<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WHERE p.active AND coalesce(p.stock, 1) > 0 AND $min_price <= p.price <= $max_price
  AND NOT EXISTS { (u)-[:RATED|DISLIKED|RETURNED|HIDDEN|BOUGHT]->(p) }
OPTIONAL MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)-[r:SIMILAR_TO]->(p)
WITH u, p, collect(DISTINCT {h: h, part: did.strength * r.weight}) AS learned
OPTIONAL MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
               -[r:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR]-(p)
WITH u, p, learned, collect(DISTINCT {h: h, term: type(r), part: did.strength}) AS stated
WITH p, learned, stated, 2.0 * vector.similarity.cosine(u.embedding_blue, p.embedding_blue) - 1.0
     + 0.5 * reduce(s = 0.0, x IN learned | s + coalesce(x.part, 0.0))
     + 0.2 * reduce(s = 0.0, x IN stated | s + coalesce(x.part, 0.0)) + 0.3 * p.popularity AS score
ORDER BY score DESC
LIMIT 10
RETURN p.sku AS sku, p.title AS title, score, [x IN learned + stated WHERE x.h IS NOT NULL | x.h.title][..3] AS because
"""
"""The same recommendation as one would write it down at first: from the shelf to the user, everything scored."""

Call = tuple[str, Mapping[str, Any]]
"""A query's text and the parameters of one request."""


@contextmanager
def synthetic_shop(
    settings: Settings, products: int, *, keep: bool, say: Callable[[str], None]
) -> Iterator[tuple[Path, GraphStore, dict[str, Any]]]:
    """The home, a connection, and what is known of the writing; found again if an earlier run kept it."""
    home = own_home(settings, f"serving-{products}-{settings.seed}")
    try:
        store = _connect(settings, home)
        written: dict[str, Any] = {}
        if store.read("MATCH (s:Serving {name: 'ready'}) RETURN s LIMIT 1"):
            say(f"Found the shop of {products:,} products.")
            migrate(store)
        else:
            say(f"Writing a shop of {products:,} products.")
            if store.read("MATCH (n:Product) RETURN n LIMIT 1"):  # an earlier writing broke off
                store.close()
                localdb.stop(home)
                shutil.rmtree(home)
                store = _connect(settings, home)
            migrate(store)
            rng = np.random.default_rng(settings.seed)
            began = time.perf_counter()
            shop = powerlaw.draw(products, rng)
            powerlaw.write(store, shop, rng, texts=products <= MOST_TEXTS)
            store.write("CREATE (:Serving {name: 'ready'})")
            written = {"written_s": round(time.perf_counter() - began)}
        try:
            yield home, store, written
        finally:
            store.close()
    finally:
        localdb.stop(home)
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


MOST_TEXTS: Final = 200_000
"""With more products the texts' vectors, 384 numbers each, are left out: no query measured here reads them."""


def _connect(settings: Settings, home: Path) -> GraphStore:
    there = localdb.start(home, heap_mb=settings.heap_mb, page_cache_mb=settings.page_cache_mb, java=settings.java)
    return GraphStore.connect(there.uri, there.username, there.password)


# --- serving --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests took, in milliseconds."""

    p50: float
    p95: float
    p99: float
    per_second: float

    @classmethod
    def of(cls, seconds: Sequence[float], wall_s: float) -> Latency:
        """Percentiles of the requests that ended within ``wall_s`` seconds."""
        p50, p95, p99 = np.percentile(np.asarray(seconds) * 1000, (50, 95, 99)).tolist()
        return cls(round(p50, 1), round(p95, 1), round(p99, 1), round(len(seconds) / wall_s, 1))


def closed_loop(ask: Callable[[Call], None], calls: Sequence[Call], clients: int, seconds: float) -> Latency:
    """``clients`` threads that ask one call after the other for ``seconds`` seconds, each from a place of its own."""
    taken: list[list[float]] = [[] for _ in range(clients)]
    began = time.perf_counter()

    def client(number: int) -> None:
        place = number * len(calls) // clients
        while (start := time.perf_counter()) - began < seconds:
            ask(calls[place % len(calls)])
            taken[number].append(time.perf_counter() - start)
            place += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Latency.of([s for one in taken for s in one], time.perf_counter() - began)


def serving(
    settings: Settings,
    products: int,
    *,
    clients: Sequence[int] = (1, 4, 16),
    seconds: float = 20.0,
    keep: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Latencies warm and after a restart, of recommendations, of the bare vector search, and of the naive form."""
    rng = np.random.default_rng(settings.seed + 1)
    with synthetic_shop(settings, products, keep=keep, say=say) as (home, store, written):
        requests = requests_of(store, rng)
        rows: list[dict[str, Any]] = []
        # Java compiles what runs often for as long as a minute: each query is asked as long as it will be measured, and
        # those whose ratio counts are measured one after the other, at each number of clients.
        for name, calls in requests.items():
            say(f"Warming up: {name}.")
            closed_loop(lambda call: _ask(store, call), calls, max(clients), seconds)
        for count in clients:
            for name, calls in requests.items():
                found = closed_loop(lambda call: _ask(store, call), calls, count, seconds)
                say(f"{name}, {count} clients: p99 {found.p99} ms")
                rows.append(
                    {
                        "query": name,
                        "clients": count,
                        "p50_ms": found.p50,
                        "p95_ms": found.p95,
                        "p99_ms": found.p99,
                        "queries_per_s": found.per_second,
                    }
                )
        bare = {row["clients"]: row["p99_ms"] for row in rows if row["query"] == _BARE_NAME}
        for row in rows:
            row["p99_to_bare"] = round(row["p99_ms"] / bare[row["clients"]], 2)
        memory = _memory(home)
        size = (
            store.read("MATCH (n) RETURN count(n) AS nodes")[0]
            | store.read("MATCH ()-[r]->() RETURN count(r) AS relationships")[0]
        )
        store.close()
        localdb.stop(home)
        say("Restarted, nothing warm but the files in the system's cache.")
        again = _connect(settings, home)
        try:
            calls = requests[FILTERED][:COLD]
            cold = []
            for call in calls:
                start = time.perf_counter()
                _ask(again, call)
                cold.append(time.perf_counter() - start)
        finally:
            again.close()
    first, *rest = cold
    return {
        "products": products,
        **size,
        **written,
        "rows": rows,
        "cold": {
            "requests": len(cold),
            "first_ms": round(first * 1000),
            "p50_ms": round(float(np.percentile(rest, 50)) * 1000, 1),
            "p99_ms": round(float(np.percentile(cold, 99)) * 1000, 1),
        },
        "memory": memory,
    }


FILTERED: Final = "recommend/for_user_filtered"


def requests_of(store: GraphStore, rng: np.random.Generator) -> dict[str, list[Call]]:
    """For each query many requests of users drawn by chance; filters are a department that the user visits, a price."""
    users = store.read("MATCH (u:User) WHERE u.id >= '' RETURN count(u) AS n")[0]["n"]
    drawn = [f"u{i}" for i in rng.choice(users, size=min(2000, users), replace=False)]
    visited = {
        row["user"]: row["category"]
        for row in store.read(
            "CYPHER 25 UNWIND $users AS id MATCH (u:User {id: id})-[:VIEWED]->(:Product)-[:IN_CATEGORY]->(:Category)"
            "-[:SUBCATEGORY_OF]->(d:Category) WITH id, d, count(*) AS n ORDER BY n DESC, d.path "
            "RETURN id AS user, collect(d.path)[0] AS category",
            users=drawn,
        )
    }
    asked = [
        {"user": user, "category": visited[user], "min_price": 10.0, "max_price": 100.0, "limit": 10}
        for user in drawn
        if user in visited
    ]
    filtered, plain = catalogue.find(FILTERED), catalogue.find("recommend/for_user")
    return {
        FILTERED: [(filtered.text, bind(filtered, one)) for one in asked],
        "recommend/for_user": [(plain.text, bind(plain, {"user": one["user"]})) for one in asked],
        _BARE_NAME: [(BARE, {"user": one["user"]}) for one in asked],
        "naive form": [(NAIVE, {k: v for k, v in one.items() if k != "limit"}) for one in asked],
    }


def _ask(store: GraphStore, call: Call) -> None:
    text, parameters = call
    store.read(text, **parameters)


def _memory(home: Path) -> dict[str, int | None]:
    status = localdb.status(home)
    resident = psutil.Process(status.pid).memory_info().rss if status.pid else 0
    return {
        "resident_mb": round(resident / 2**20),
        "heap_mb": status.heap_mb,
        "page_cache_mb": status.page_cache_mb,
        "data_mb": round(status.data_bytes / 2**20),
    }


# --- filters --------------------------------------------------------------------------------------------------

TOP: Final = 20
"""Rows that are compared."""
COUNTED: Final = 1_000
"""Matches are counted up to so many."""


def filters(
    settings: Settings,
    products: int,
    *,
    users: int = 50,
    keep: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """How often a filter leaves what, how it was found, and how much of the exact answer is in it.

    Exact is the same query told to score every match (its parameter ``exact``), which a test holds equal to a
    computation outside the database.
    """
    rng = np.random.default_rng(settings.seed + 2)
    query = catalogue.find(FILTERED)
    with synthetic_shop(settings, products, keep=keep, say=say) as (_, store, _):
        total = store.read("MATCH (u:User) WHERE u.id >= '' RETURN count(u) AS n")[0]["n"]
        drawn = [f"u{i}" for i in rng.choice(total, size=min(users, total), replace=False)]
        rows = []
        for name, given in _filters(store, products, rng).items():
            say(name)
            matches, recalls, short, plans, taken = [], [], 0, set(), []
            for user in drawn:
                asked = {**given, "user": user, "limit": TOP}
                exact = store.read(query.text, **bind(query, {**asked, "exact": EVERYTHING, "limit": COUNTED}))
                start = time.perf_counter()
                found = store.read(query.text, **bind(query, asked))
                taken.append(time.perf_counter() - start)
                best = {row["sku"] for row in exact[:TOP]}
                matches.append(len(exact))
                short += len(found) != min(TOP, len(exact))
                if best:
                    recalls.append(len(best & {row["sku"] for row in found}) / len(best))
                plans |= {row["plan"] for row in found}
            rest = taken[1:]  # the first is planned
            rows.append(
                {
                    "filter": name,
                    "matches": round(float(np.mean(matches))) if max(matches) < COUNTED else f"{COUNTED:,} or more",
                    "recall@20": round(float(np.mean(recalls)), 4) if recalls else None,
                    "short": short,
                    "plan": ", ".join(sorted(plans)),
                    "p50_ms": round(float(np.percentile(rest, 50)) * 1000, 1),
                    "p99_ms": round(float(np.percentile(rest, 99)) * 1000, 1),
                }
            )
    return rows


EVERYTHING: Final = 1_000_000


def _filters(store: GraphStore, products: int, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Prices that leave given shares, and each other kind of filter, alone and together."""
    prices = np.sort([r["price"] for r in store.read("MATCH (p:Product) WHERE p.price > 0.0 RETURN p.price AS price")])
    found: dict[str, dict[str, Any]] = {"none": {}}
    for share in (0.5, 0.1, 0.01, 0.001, 0.0001):
        wide = max(1, round(share * products))
        start = int(rng.integers(len(prices) - wide + 1))
        found[f"price, {share:.2%}".replace("%", " %")] = {
            "min_price": float(prices[start]),
            "max_price": float(prices[start + wide - 1]),
        }
    found |= {
        "category (department)": {"category": powerlaw.department(0)},
        "category (shelf)": {"category": "Department 1 > Shelf 12"},
        "finish: half": {"attributes": ["finish=0"]},
        "series: few": {"attributes": ["series=900"]},
        "AND: department, price, finish": {
            "category": powerlaw.department(0), "attributes": ["finish=0"], "min_price": 10.0, "max_price": 60.0,
        },
        "OR: any of 3 sizes": {"any_attributes": ["size=3", "size=7", "size=20"]},
        "NOT: neither 2 colours nor the first brand": {
            "not_attributes": ["colour=0", "colour=1"], "not_brands": ["brand 0"],
        },
        "IN: 5 brands": {"brands": [f"brand {i}" for i in (1, 3, 9, 27, 81)]},
        "relation: fits a product": {"fits": "p17"},
        "relation and NOT": {"fits": "p17", "not_brands": ["brand 0"]},
        "in stock, IN and NOT": {
            "in_stock": True, "brands": ["brand 0", "brand 1"], "not_attributes": ["finish=1"],
        },
        "nothing matches": {"attributes": ["series=900", "finish=0", "finish=1"]},
    }  # fmt: skip
    return found


# --- the whole catalogue --------------------------------------------------------------------------------------

REASONABLE: Final[Mapping[str, float]] = {"insight": 10.0, "quality": 10.0}
"""Seconds that a query of a folder for analysts may take; one for those that a customer waits for."""


PATIENCE_S: Final = 30.0
"""After so long a query is given up."""
AGAIN_S: Final = 3.0
"""For so long a query is asked again and again, until Java has compiled what it needs."""


def every_query(
    settings: Settings,
    products: int,
    *,
    of: str = "",
    keep: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """How long each query takes whose name begins with ``of``: when it is asked first, and in the runs after that.

    A query that takes longer than its folder is allowed says so in ``remark``; one that gave no row, whose time says
    nothing of what an answer costs, says so in ``empty``: requests without a row, of how many.
    """
    rng = np.random.default_rng(settings.seed + 3)
    with synthetic_shop(settings, products, keep=keep, say=say) as (_, store, _):
        rows = []
        pool = pool_of(store, rng)
        for name, query in catalogue.load().items():
            if not name.startswith(of):
                continue
            allowed = REASONABLE.get(name.partition("/")[0], 1.0)
            for what, given in like_example(query, pool, rng).items():
                times: list[float] = []
                found: list[int] = []
                remark = ""
                try:
                    # Each once for the plan, then again while there is time.
                    began = time.perf_counter()
                    while len(times) < 2 * len(given) or time.perf_counter() - began < AGAIN_S:
                        start = time.perf_counter()
                        asked = bind(query, given[len(times) % len(given)])
                        found.append(len(store.read(query.text, timeout_s=PATIENCE_S, **asked)))
                        times.append(time.perf_counter() - start)
                except KGError as error:
                    remark = str(error)[:80]
                warm = times[len(given) :]
                if warm and max(warm) > allowed:
                    remark = f"more than {allowed:g} s"
                each = found[: len(given)]
                rows.append(
                    {
                        "query": name,
                        "asked": what,
                        "first_s": round(times[0], 2) if times else None,
                        "median_s": round(float(np.median(warm)), 3) if warm else None,
                        "slowest_s": round(max(warm), 3) if warm else None,
                        "rows": max(each, default=0),
                        "empty": f"{each.count(0)} of {len(each)}" if 0 in each else "",
                        "remark": remark,
                    }
                )
                say(" ".join(str(value) for value in rows[-1].values()))
        if nothing := [f"{row['query']} ({row['asked']})" for row in rows if row["rows"] == 0]:
            say(f"No row was given by {', '.join(nothing)}: their times are not those of an answer.")
    return rows


@dataclass(frozen=True, slots=True)
class Pool:
    """What of a shop may be asked for."""

    skus: Sequence[str]
    """Half of them the products of which most is known, which cost most; half drawn by chance."""
    reviewed: Sequence[str]
    """Of the former those of which texts speak."""
    users: Sequence[str]
    """Half of them the busiest, half drawn by chance."""
    fitting: Sequence[tuple[str, str]]
    """Products of which one is said to be made for the other, or to work with it."""
    paths: Sequence[Sequence[Mapping[str, str]]]
    """Steps as ``recommend/explain`` gives them: what a user bought, and what it is praised for."""
    shelves: Sequence[str]
    departments: Sequence[str]
    brands: Sequence[str]
    values: Sequence[str]
    """Keys of attribute values."""
    vectors: Sequence[Sequence[float]]
    """Vectors of texts; none where the shop was written without."""


def pool_of(store: GraphStore, rng: np.random.Generator) -> Pool:
    """Read from the shop what queries can be asked for."""

    def column(cypher: str) -> list[Any]:
        return [row["x"] for row in store.read(f"CYPHER 25\n{cypher}")]

    popular = column(
        "MATCH (p:Product) WHERE p.popularity >= 0.0 ORDER BY p.popularity DESC LIMIT 100 RETURN p.sku AS x"
    )
    busy = column("MATCH (u:User) WHERE u.id >= '' ORDER BY COUNT { (u)-->() } DESC, u.id LIMIT 100 RETURN u.id AS x")
    products = store.read("MATCH (p:Product) WHERE p.sku >= '' RETURN count(p) AS n")[0]["n"]
    users = store.read("MATCH (u:User) WHERE u.id >= '' RETURN count(u) AS n")[0]["n"]
    below = f"(d:Category)-[:SUBCATEGORY_OF]->(:Category {{path: '{powerlaw.ROOT}'}})"
    departments = column(f"MATCH {below} RETURN d.path AS x")
    shelves = column(f"MATCH (c:Category)-[:SUBCATEGORY_OF]->{below} RETURN c.path AS x")
    return Pool(
        skus=popular + [powerlaw.sku(i) for i in rng.integers(products, size=100)],
        reviewed=column(
            "MATCH (p:Product) WHERE p.popularity >= 0.0 AND EXISTS { (p)-[:PRAISED_FOR]->() } "
            "ORDER BY p.popularity DESC LIMIT 100 RETURN p.sku AS x"
        ),
        users=busy + [f"u{i}" for i in rng.integers(users, size=100)],
        fitting=[
            tuple(pair)
            for pair in column(
                "MATCH (p:Product)-[:ACCESSORY_OF|COMPATIBLE_WITH]->(q:Product) WHERE p.sku >= '' "
                "LIMIT 200 RETURN [p.sku, q.sku] AS x"
            )
        ],
        paths=column(
            "MATCH (u:User)-[:BOUGHT]->(p:Product)-[:PRAISED_FOR]->(a:Aspect) WHERE u.id >= '' LIMIT 200 "
            "RETURN [{type: 'BOUGHT', from: u.id, to: p.sku}, {type: 'PRAISED_FOR', from: p.sku, to: a.key}] AS x"
        ),
        shelves=sorted(shelves, key=_numbers),
        departments=sorted(departments, key=_numbers),
        brands=column(
            "MATCH (b:Brand) WHERE b.key >= '' ORDER BY COUNT { (b)<--() } DESC, b.key LIMIT 50 RETURN b.key AS x"
        ),
        values=column("MATCH (v:AttributeValue) WHERE v.key STARTS WITH 'colour=' ORDER BY v.key RETURN v.key AS x"),
        vectors=column(
            "MATCH (p:Product) WHERE p.popularity >= 0.0 AND p.text_embedding IS NOT NULL "
            "ORDER BY p.popularity DESC LIMIT 50 RETURN p.text_embedding AS x"
        ),
    )


def _numbers(path: str) -> list[int]:
    """What a path sorts by: its numbers, so that the tenth shelf comes after the ninth."""
    return [int(part) for part in path.replace(">", " ").split() if part.isdecimal()]


_FROM_EXAMPLE: Final = frozenset({"asks", "attribute", "share", "relevance", "weeks", "shelves", "limit"})
"""Parameters that name nothing of a shop and are asked as the example has them."""


def like_example(query: Query, pool: Pool, rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    """Requests like the query's example, of what the pool has, and of shelves of all sizes.

    The test shop's dates, prices and least counts are left to the query's defaults. A search gets a vector of a text,
    as every search by ``kg search`` has one.

    Raises:
        BenchmarkError: the example has a parameter for which there is nothing here: say what to ask for.
    """
    said = {k: v for k, v in query.example.items() if k not in ("now", "since", "model", "least", "days", "max_price")}
    takes = {p.name: p for p in query.parameters}

    def some(of: Sequence[Any], count: int) -> list[Any]:
        return [of[int(i)] for i in rng.integers(len(of), size=count)]

    def one(category: str) -> dict[str, Any]:
        (sku,), (first, second) = some(pool.skus, 1), some(pool.fitting, 1)[0]
        brand, value = some(pool.brands, 1)[0], some(pool.values, 1)[0]
        words = value.replace("=", " ")
        values: dict[str, Any] = {
            "sku": some(pool.reviewed, 1)[0] if query.name in _OF_TEXTS else sku,
            "skus": [first] if "targets" in said else some(pool.skus, 2),
            "targets": [second],
            "items": some(pool.skus, 2),
            "user": some(pool.users, 1)[0],
            "users": some(pool.users, 20),
            "category": category,
            "categories": [category],
            "brand": brand,
            "attributes": [value],
            "interests": [words, brand],
            "text": f"product of {brand}, {words}",
            "words": ["product", "brand", "colour"],
            "path": some(pool.paths, 1)[0],
        }
        if unknown := sorted(said.keys() - values.keys() - _FROM_EXAMPLE):
            raise BenchmarkError(f"The benchmark knows nothing to ask {query.name} for as {', '.join(unknown)}.")
        made = said | {k: v for k, v in values.items() if k in said}
        if {"text", "vector"} <= takes.keys() and pool.vectors:
            made["vector"] = list(some(pool.vectors, 1)[0])
        return made

    if not {"category", "categories"} & said.keys():
        return {"products and users": [one("") for _ in range(6)]}
    # The first ten shelves are the largest.
    shelves = pool.shelves[10:14] or pool.shelves[:4]
    asked = {
        "a shelf": [one(path) for path in shelves],
        "a department": [one(path) for path in pool.departments[:4]],
        "everything": [one(powerlaw.ROOT) for _ in range(3)],
    }
    if "user" in said and takes["user"].nullable:
        asked["a department, for nobody"] = [r | {"user": None} for r in asked["a department"]]
    return asked


_OF_TEXTS: Final = frozenset({"product/why", "product/reviews_summary"})
"""Queries that tell what texts say of a product."""
