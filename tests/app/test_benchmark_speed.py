from __future__ import annotations

from pathlib import Path

from kg.app.benchmark_speed import HOSTILE, extraction_length
from kg.settings import Settings


def test_each_kind_of_text_is_read_at_each_length(tmp_path: Path) -> None:
    rows = extraction_length(Settings(home=tmp_path), lengths=(400, 200))
    assert [row["text"] for row in rows] == ["reviews", *HOSTILE]
    for row in rows:
        assert list(row) == ["text", "200 characters", "400 characters"]
        assert min(row["200 characters"], row["400 characters"]) > 0
