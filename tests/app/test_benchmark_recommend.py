from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kg.app.benchmark_recommend import Task, newcomers_of, read_task
from kg.errors import BenchmarkError
from kg.records import EventRecord, ProductRecord


def pairs(task: Task) -> list[tuple[str, str | None]]:
    return [(e.user, e.sku) for e in task.events]


def test_gowalla_holds_out_its_test_file_or_else_a_fifth_of_each_user(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 0 1 2 3 4 5 6 7 8 9\n1 3 4 5 6 7\n2\n")
    split = read_task(tmp_path, "gowalla", related=False, seed=0)
    assert [user for user, _ in split.heldout] == ["0", "0", "1"]
    assert len(split.events) == 12
    assert not set(pairs(split)) & set(split.heldout)
    assert read_task(tmp_path, "gowalla", related=False, seed=0) == split
    (tmp_path / "test.txt").write_text("0 11 12\n1\n")
    official = read_task(tmp_path, "gowalla", related=False, seed=0)
    assert official.heldout == (("0", "11"), ("0", "12"))
    assert len(official.events) == 15
    assert {p.sku for p in official.products} == {str(n) for n in range(10)} | {"11", "12"}


def test_beauty_holds_out_the_last_of_each_sequence(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "sequences.txt.gz", "wt") as file:
        file.write("1 5 6 7\n2 7 5\n")
    (tmp_path / "datamaps.json").write_text(json.dumps({"id2item": {"5": "A5", "6": "A6", "7": "A7"}}))
    graph = tmp_path / "graph"
    graph.mkdir()
    (graph / "product.txt").write_text("A7\nA5\nA6\n")
    (graph / "related_product.txt").write_text("A6\nB0\nA5\n")
    for kind, lines in {"also_bought": "0 1\n\n2\n", "bought_together": "\n\n\n", "also_viewed": "\n0\n\n"}.items():
        (graph / f"{kind}_p_p.txt").write_text(lines)
    task = read_task(tmp_path, "beauty", related=True, seed=0)
    assert task.heldout == (("1", "7"), ("2", "5"))
    assert pairs(task) == [("1", "5"), ("1", "6"), ("2", "7")]
    assert task.events[0].at < task.events[1].at  # type: ignore[operator]
    assert {p.sku: dict(p.related) for p in task.products} == {
        "5": {"also_viewed": ("6",)},
        "6": {"also_bought": ("5",)},
        "7": {"also_bought": ("6",)},
    }


def test_musical_instruments_holds_out_the_last_review(tmp_path: Path) -> None:
    meta = [{"asin": asin, "title": f"Guitar {asin}", "related": {"also_bought": ["A1"]}} for asin in ("A1", "A2")]
    reviews = [
        {"reviewerID": "u", "asin": asin, "overall": "5.0", "unixReviewTime": at, "reviewText": "", "summary": ""}
        for asin, at in (("A2", "1300000000"), ("A1", "1200000000"))
    ]
    for name, rows in (("meta", meta), ("reviews", reviews)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = read_task(tmp_path, "musical_instruments", related=False, seed=0)
    assert task.heldout == (("u", "A2"),)
    assert pairs(task) == [("u", "A1")]
    assert all(not p.related for p in task.products)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"train\.txt is not there"):
        read_task(tmp_path, "gowalla", related=False, seed=0)


def test_newcomers_are_every_tenth_product_and_what_was_held_out_of_them_is_looked_for() -> None:
    products = tuple(ProductRecord(sku=f"p{n:02}", title="x") for n in range(20))
    met = [("anna", "p00"), ("anna", "p03"), ("ben", "p10"), ("ben", "p04"), ("cleo", "p05")]
    events = tuple(EventRecord(user=user, sku=sku, type="bought") for user, sku in met)
    newcomers, warm = newcomers_of(Task(products, events, (("anna", "p10"), ("cleo", "p04"))))
    assert newcomers == {"p00", "p10"}
    assert warm.heldout == (("anna", "p10"),)
    assert pairs(warm) == met
    assert {sku for _, sku in pairs(warm.without(newcomers))} == {"p03", "p04", "p05"}
