"""Holding out each user's last record: the greatest by time, then by sku."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from extraction.corpus import HoldoutSummary, split_last
from kg.errors import InputError


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def split(path: Path, **options: Any) -> tuple[HoldoutSummary, Path, Path]:
    remaining, held = path.with_name("remaining.jsonl"), path.with_name("holdout.jsonl")
    return split_last(path, remaining=remaining, holdout=held, **options), remaining, held


def test_the_last_of_each_user_is_held_out_and_the_other_lines_stay_as_they_are(tmp_path: Path) -> None:
    lines = [
        '{"reviewerID": "u1", "asin": "B9",  "unixReviewTime": "100"}',
        '{"reviewerID": "u1", "asin": "B1", "unixReviewTime": "200"}',
        '{"reviewerID": "u2", "asin": "B2", "unixReviewTime": "300"}',
        '{"reviewerID": "u1", "asin": "B5", "unixReviewTime": "200"}',
        '{"reviewerID": "u2", "asin": "B3", "unixReviewTime": "299"}',
        "not JSON at all",
    ]
    summary, remaining, held = split(write(tmp_path / "reviews.jsonl", *lines), format="amazon")

    assert summary == HoldoutSummary(remaining=4, held_out=2)
    assert rows(held) == [{"user": "u2", "sku": "B2"}, {"user": "u1", "sku": "B5"}]
    assert [lines[0], lines[1], lines[4], lines[5]] == remaining.read_text().splitlines()


def test_the_last_purchase_is_held_out_with_every_trace_of_it(tmp_path: Path) -> None:
    events = [
        {"user": "u1", "sku": "A", "type": "bought", "at": "2024-01-02T00:00:00+02:00"},
        {"user": "u1", "sku": "B", "type": "viewed", "at": "2024-01-01T22:00:00Z"},
        {"user": "u1", "sku": "B", "type": "bought", "at": "2024-01-01T23:00:00Z"},
        {"user": "u1", "sku": "C", "type": "viewed", "at": "2024-06-01"},
        {"user": "u1", "sku": "D", "type": "exposed", "at": "2024-06-02"},
        {"user": "u1", "sku": "Z", "type": "bought"},
        {"user": "u1", "sku": "B", "type": "clicked", "at": "2024-06-03"},
        {"user": "u2", "sku": "B", "type": "viewed", "at": "2024-01-01"},
        {"user": "u1", "type": "searched", "query": "tripod", "at": "2024-07-01"},
    ]
    path = write(tmp_path / "events.jsonl", *map(json.dumps, events))

    summary, remaining, held = split(path)
    assert rows(held) == [{"user": "u1", "sku": "B"}]  # a record without a time comes first
    assert rows(remaining) == [e for e in events if (e["user"], e.get("sku")) != ("u1", "B")]
    assert summary == HoldoutSummary(remaining=6, held_out=1, traces=2)

    _, _, held = split(path, types=("viewed",))
    assert rows(held) == [{"user": "u1", "sku": "C"}, {"user": "u2", "sku": "B"}]

    _, _, held = split(path, least=4)
    assert rows(held) == []


def test_csv_keeps_its_first_row_and_rows_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(b'id,user,sku,text,at\r\n1,ann,A,"two\nlines",1\r\n2,ann,B,short,2\r\n3,bob,"A",x,1\r\n')

    summary, remaining, held = split(path)

    assert summary == HoldoutSummary(remaining=1, held_out=2)
    assert remaining.read_bytes() == b'id,user,sku,text,at\r\n1,ann,A,"two\nlines",1\r\n'
    assert rows(held) == [{"user": "ann", "sku": "B"}, {"user": "bob", "sku": "A"}]


def test_compressed_files_are_read_and_written_the_same_way_each_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"user": "u", "sku": "A", "at": 1}\n{"user": "u", "sku": "B", "at": 2}\n'))
    results = []
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        split_last(path, remaining=tmp_path / name, holdout=tmp_path / "held.jsonl")
        results.append((tmp_path / name).read_bytes())

    assert results[0] == results[1]
    assert gzip.decompress(results[0]) == b'{"user": "u", "sku": "A", "at": 1}\n'


def test_a_split_that_fails_leaves_no_half_files(tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", '{"user": "u", "sku": "A", "at": 1}')

    with pytest.raises(InputError, match="would be written over"):
        split_last(path, remaining=path, holdout=tmp_path / "held.jsonl")
    with pytest.raises(InputError, match="cannot be written"):
        split_last(path, remaining=tmp_path / "no folder" / "rest.jsonl", holdout=tmp_path / "held.jsonl")
    with pytest.raises(InputError, match="is Parquet"):
        split_last(tmp_path / "x.parquet", remaining=tmp_path / "rest.jsonl", holdout=tmp_path / "held.jsonl")

    assert [p.name for p in tmp_path.iterdir()] == ["events.jsonl"]
