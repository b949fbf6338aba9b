"""The table of the index's settings; its times are no test's business."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg import schema
from kg.app import benchmark_index as benchmark
from kg.settings import Settings


@pytest.mark.servers
def test_every_setting_is_built_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "WARM_UP", 1)
    monkeypatch.setattr(benchmark, "SETTINGS", ({}, {"quantization": "BINARY", "search_expansion": 1.0}))
    rows = benchmark.index_settings(Settings(home=tmp_path), products=1500, queries=30, say=lambda _: None)
    assert [(r["vectors"], r["quantisation"]) for r in rows] == [
        ("a shop's", "NONE"),
        ("a shop's", "BINARY"),
        ("by chance", "NONE"),
        ("by chance", "BINARY"),
    ]
    built = schema.embedding_index("blue")
    assert (rows[0]["expansion"], rows[0]["m"], rows[0]["ef"]) == (
        built.search_expansion,
        built.m,
        built.ef_construction,
    )
    # What is built finds nearly all, and quantised to a bit the index loses many.
    for ours, binary in (rows[:2], rows[2:]):
        assert ours["recall@20"] > 0.97
        assert binary["recall@20"] < ours["recall@20"]
