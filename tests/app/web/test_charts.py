"""Points where their values are, checked by hand on a scale of whole numbers."""

from __future__ import annotations

from kg.app.web.charts import ABOVE, BELOW, HEIGHT, LEFT, RIGHT, WIDTH, Tick, bars, line

ROWS = [
    {"period": "2026-01-01", "share": 0.0, "low": None, "high": None},
    {"period": "2026-01-11", "share": 1.0, "low": 0.5, "high": 1.0},
    {"period": "2026-01-05", "share": None, "low": None, "high": None},
]


def test_a_value_stands_where_its_date_and_its_number_are() -> None:
    chart = line(ROWS, "share", 0.0, 1.0)
    first, last = chart.points
    assert (first.x, first.y) == (LEFT, HEIGHT - BELOW)
    assert (last.x, last.y) == (WIDTH - RIGHT, ABOVE)
    assert (last.low, last.high) == ((ABOVE + HEIGHT - BELOW) / 2, ABOVE)
    assert (first.low, first.says) == (None, "2026-01-01: 0")
    assert chart.path == f"M{LEFT:g} {HEIGHT - BELOW:g} L{WIDTH - RIGHT:g} {ABOVE:g}"
    assert chart.across == (Tick(LEFT, "2026-01"), Tick(WIDTH - RIGHT, "2026-01"))
    assert [tick.label for tick in chart.up] == ["0", "0.5", "1"]


def test_a_gap_in_time_is_a_gap_in_the_chart() -> None:
    rows = [{"period": p, "share": 0.5} for p in ("2026-01-01", "2026-01-02", "2026-01-11")]
    a, b, c = (p.x for p in line(rows, "share", 0.0, 1.0).points)
    assert (c - b) > 8 * (b - a) > 0


def test_one_value_stands_in_the_middle_and_none_is_no_line() -> None:
    (only,) = line(ROWS[:1], "share", 0.0, 1.0, percent=True).points
    assert only.x == LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert only.says.replace("\N{NO-BREAK SPACE}", " ") == "2026-01-01: 0 %"
    assert line([], "share", 0.0, 1.0).points == ()


def test_a_value_beyond_the_scale_stands_at_its_end() -> None:
    assert line([{"period": "2026-01-01", "rating": 9.0}], "rating", 1.0, 5.0).points[0].y == ABOVE


def test_bars_share_one_scale() -> None:
    found = bars([{"events": 4, "expected": 1.0}, {"events": 2, "expected": 5.0}])
    assert [(b.events, b.expected) for b in found] == [(80.0, 20.0), (40.0, 100.0)]
    assert bars([{"events": 0, "expected": 0.0}])[0].events == 0.0
