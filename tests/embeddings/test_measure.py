from __future__ import annotations

import sys

import numpy as np
import pytest

from embeddings.measure import measured


def test_work_gives_its_result_and_its_time() -> None:
    result, cost = measured(lambda: 6 * 7)
    assert result == 42
    assert cost.seconds >= 0.0
    assert set(cost.as_dict()) == {"training_seconds", "peak_mb", "added_mb"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak memory")
def test_the_peak_is_seen_although_the_memory_is_given_back() -> None:
    _, small = measured(lambda: None)
    _, large = measured(lambda: float(np.ones(40_000_000).sum()))
    _, after = measured(lambda: None)
    assert small.added_mb is not None
    assert large.added_mb is not None
    assert after.added_mb is not None
    # 40 million floats of 8 bytes are 320 MB.
    assert large.added_mb > 300.0
    assert max(small.added_mb, after.added_mb) < 100.0
