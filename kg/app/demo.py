"""``kg demo``: the whole main job on the bundled shop, and what came of it, counted against the planted truth.

Nothing here is special to the demo but the printing: each step is the function
that the command of the same name calls.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from kg import catalogue, provenance
from kg.app import jobs, models
from kg.app.session import open_store
from kg.app.shop import ShopTruth, write_shop
from kg.normalise import brand_key
from kg.settings import Settings
from kg.store import GraphStore

SHOWN_USERS = 2
"""Customers whose recommendations are printed."""


@dataclass(frozen=True, slots=True)
class Score:
    """How much of something planted was found."""

    what: str
    found: int
    planted: int

    def __str__(self) -> str:
        return f"found {self.found} of the {self.planted} {self.what}"


def run(settings: Settings, out: Console) -> None:
    """Load, extract, compare, train, promote, recommend; in ``settings.home``, whose graph is emptied first."""
    started = time.perf_counter()
    files = settings.home / "shop"
    truth = write_shop(files)
    out.print(
        "[bold]A synthetic shop[/]: outdoor and photo gear of makers that do not exist; its texts hold facts that"
    )
    out.print("were planted, so that what is read out of them can be counted.\n")
    with _step(out, "Neo4j"), open_store(settings) as store:
        empty(store)
    with open_store(settings) as store:
        with _step(out, "kg ingest"):
            for kind in jobs.KINDS:
                report = jobs.ingest(store, settings, kind, [files / f"{kind}.jsonl"])
                out.print(f"  {report.loaded} {kind}, {report.rejected} rejected")
        with _step(out, "kg extract"):
            extracted = jobs.extract(store, settings)
            out.print(f"  {extracted.documents} texts read, {extracted.facts} facts, each with the sentence it is from")
            for score in scores(store, truth):
                out.print(f"  {score}")
            denied = len(_related(store) & {(r.sku, r.target) for r in truth.denied})
            out.print(f"  and {denied} of the {len(truth.denied)} that a text denies (“does not fit …”)")
        with _step(out, "kg train"):
            trained = models.train(store, settings)
            out.print(f"  {trained['version']}")
        with _step(out, "kg promote"):
            promoted = models.promote(store, settings, force=True)  # that of an earlier demo is no rival
            out.print(f"  live in slot {promoted['slot']}")
        with _step(out, "kg evaluate recommend"):
            report_ = models.evaluate_recommend(store, settings, files / "holdout.jsonl", (10,), known_filter=True)
            _print_evaluation(out, report_)
        _print_recommendations(out, store)
        _print_fact(out, store)
    out.print(f"\n{time.perf_counter() - started:.0f} s in all. The graph is in {settings.home}; look around:")
    out.print(f"  KG_HOME={settings.home} .venv/bin/kg query", markup=False)
    out.print(f"  KG_HOME={settings.home} .venv/bin/kg db status", markup=False)
    out.print(f"  KG_HOME={settings.home} .venv/bin/kg db stop", markup=False)


def scores(store: GraphStore, truth: ShopTruth) -> list[Score]:
    """Compare the extracted facts with what was planted."""
    related = _related(store)
    compatible = {(r.sku, r.target) for r in truth.relations if r.type == "COMPATIBLE_WITH"}
    brands = {
        (row["sku"], row["brand"])
        for row in store.read(
            "MATCH (p:Product)-[:MADE_BY {source: 'extraction'}]->(b:Brand) RETURN p.sku AS sku, b.key AS brand"
        )
    }
    values = {
        (row["sku"], row["key"])
        for row in store.read(
            "MATCH (p:Product)-[:HAS_ATTRIBUTE {source: 'extraction'}]->(v:AttributeValue) "
            "RETURN p.sku AS sku, v.key AS key"
        )
    }
    opinions = {
        (row["sku"], row["aspect"], row["type"])
        for row in store.read(
            "MATCH (p:Product)-[r:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect) "
            "RETURN p.sku AS sku, a.key AS aspect, "
            "CASE type(r) WHEN 'PRAISED_FOR' THEN 'praised' ELSE 'criticised' END AS type"
        )
    }
    return [
        Score("planted accessories", len(truth.accessories & related), len(truth.accessories)),
        Score("planted compatible products", len(compatible & related), len(compatible)),
        Score(
            "brands that only the text names",
            sum((sku, brand_key(brand)) in brands for sku, brand in truth.brands.items()),
            len(truth.brands),
        ),
        Score(
            "planted attribute values",
            sum((a.sku, f"{a.attribute}={a.value}") in values for a in truth.attributes),
            len(truth.attributes),
        ),
        Score(
            "planted opinions of reviewers",
            sum((o.sku, o.aspect, o.sentiment) in opinions for o in truth.opinions),
            len(truth.opinions),
        ),
    ]


def _related(store: GraphStore) -> set[tuple[str, str]]:
    """Pairs of products that the texts were read to relate; how exactly is not compared."""
    rows = store.read(
        "MATCH (p:Product)-[r:ACCESSORY_OF|COMPATIBLE_WITH {source: 'extraction'}]->(q:Product) "
        "RETURN p.sku AS p, q.sku AS q"
    )
    return {(row["p"], row["q"]) for row in rows}


def _print_evaluation(out: Console, report: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("", "HR@10", "NDCG@10"):
        table.add_column(name)
    rows = {"through Cypher": report["cypher"], "the same score outside Neo4j": report["exact"]}
    rows |= {name.replace("_", "-"): figures for name, figures in report["baselines"].items()}
    for name, figures in rows.items():
        table.add_row(f"  {name}", f"{figures['hr@10']:.3f}", f"{figures['ndcg@10']:.3f}")
    out.print(f"  the last purchase of {report['users']} customers, held out:")
    out.print(table)


def _print_recommendations(out: Console, store: GraphStore) -> None:
    users = store.read(
        "MATCH (u:User)-[:BOUGHT]->(p) WITH u, count(p) AS bought WHERE bought >= 3 "
        "RETURN u.id AS id, bought ORDER BY bought DESC, id LIMIT $n",
        n=SHOWN_USERS,
    )
    for user in users:
        bought = store.read(
            "MATCH (:User {id: $id})-[r:BOUGHT]->(p) RETURN p.title AS title ORDER BY r.at DESC LIMIT 3", id=user["id"]
        )
        out.print(f"\n[bold]kg query recommend/for_user --param user={user['id']}[/]")
        out.print(f"  bought lately: {'; '.join(row['title'] for row in bought)}", markup=False)
        rows = catalogue.run(store, catalogue.find("recommend/for_user"), {"user": user["id"], "limit": 4})
        for row in rows:
            out.print(f"  {row['score']:.3f}  {row['title']}", markup=False)
            because = catalogue.run(
                store, catalogue.find("recommend/explain"), {"user": user["id"], "sku": row["sku"], "limit": 1}
            )
            for reason in because:
                out.print(f"         {' · '.join(reason['path'])}", markup=False)


def _print_fact(out: Console, store: GraphStore) -> None:
    found = store.read(
        "MATCH (:Product)-[r:ACCESSORY_OF {source: 'extraction'}]->(:Product) RETURN r.fact AS fact "
        "ORDER BY r.confidence DESC, fact LIMIT 1"
    )
    for row in found:
        out.print(f"\n[bold]kg why {row['fact']}[/]")
        for t in provenance.why(store, row["fact"], context=60):
            out.print(f"  {t.title} {t.type} {t.object}", markup=False)
            quoted = f"…{t.before}«{t.quote}»{t.after}…".replace("\n", " ")
            out.print(f"  {quoted}  ({t.document}, confidence {t.confidence:.2f})", markup=False)


@contextmanager
def _step(out: Console, name: str) -> Iterator[None]:
    started = time.perf_counter()
    out.print(f"[bold]{name}[/]")
    yield
    out.print(f"  [dim]{time.perf_counter() - started:.1f} s[/]")


def empty(store: GraphStore) -> None:
    """Delete all but the record of the migrations. For graphs that are the program's own: a demo's, a benchmark's."""
    store.autocommit("MATCH (n) WHERE NOT n:Migration CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 1000 ROWS")
