from __future__ import annotations

from pathlib import Path

import pytest

from kg.app import benchmark_round_trip as benchmark
from kg.settings import Settings


@pytest.mark.servers
def test_every_way_out_and_back_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "WARM_UP_S", 0.0)
    found = benchmark.round_trip(Settings(home=tmp_path), edges=4_000, vectors=300)
    assert found["edges"] == 4_000
    assert found["vectors"] == 300
    assert found["export_over_row_by_row"] > 0
    assert found["export_over_scan"] > 0
    assert found["write_over_lists"] > 0
    assert not list((tmp_path / "benchmark").iterdir())
