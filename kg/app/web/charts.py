"""Where the lines and bars of a chart stand. Pure: rows in, coordinates out; templates draw them, the style sheet
colours them, so that a chart is light or dark with its page.

Coordinates are those of an SVG whose y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from kg.app.web.words import percent as percent_of

WIDTH: Final = 320.0
HEIGHT: Final = 120.0
LEFT: Final = 38.0
"""Room for the numbers of the upright axis."""
BELOW: Final = 20.0
"""Room for the periods."""
ABOVE: Final = 8.0
RIGHT: Final = 12.0


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a period, with its interval where one is known."""

    x: float
    y: float
    low: float | None
    high: float | None
    """Ends of the interval as y, ``low`` the lower value and so the greater y."""
    says: str
    """The value in words."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: where it stands along it, and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A chart of one value over time."""

    points: tuple[Point, ...]
    path: str
    """The line through the points, as the ``d`` of an SVG path."""
    across: tuple[Tick, ...]
    """Labels of the first and the last period."""
    up: tuple[Tick, ...]


def line(rows: Sequence[Mapping[str, Any]], value: str, least: float, most: float, *, percent: bool = False) -> Line:
    """The chart of column ``value`` of rows with a ``period`` (a date in ISO 8601), on a scale ``least`` to ``most``.

    Periods stand where their dates do, so that one without a row is a gap. Columns ``low`` and ``high`` are the
    interval. Rows without a value are left out.
    """
    known = sorted((r for r in rows if r[value] is not None), key=lambda r: r["period"])
    days = [date.fromisoformat(r["period"]).toordinal() for r in known]
    span = days[-1] - days[0] if days else 0

    def x(day: int) -> float:
        wide = WIDTH - LEFT - RIGHT
        return round(LEFT + wide * ((day - days[0]) / span if span else 0.5), 1)

    def y(number: float | None) -> float | None:
        if number is None:
            return None
        inside = min(max(number, least), most)
        return round(ABOVE + (HEIGHT - ABOVE - BELOW) * (most - inside) / (most - least), 1)

    def said(number: float) -> str:
        return percent_of(number) if percent else f"{number:.3g}"

    points = tuple(
        Point(x(day), y(r[value]) or 0.0, y(r.get("low")), y(r.get("high")), f"{r['period']}: {said(r[value])}")
        for day, r in zip(days, known, strict=True)
    )
    path = " ".join(f"{'L' if i else 'M'}{p.x:g} {p.y:g}" for i, p in enumerate(points))
    ends = {p.x: r["period"][:7] for p, r in zip(points, known, strict=True)}
    across = tuple(Tick(at, label) for at, label in ends.items() if at in (min(ends), max(ends)))
    middle = (least + most) / 2
    up = tuple(Tick(y(number) or 0.0, said(number)) for number in (least, middle, most))
    return Line(points, path, across, up)


@dataclass(frozen=True, slots=True)
class Bar:
    """What was counted beside what was expected, both as percents of the longest bar."""

    row: Mapping[str, Any]
    events: float
    expected: float


def bars(rows: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Bars of rows with ``events`` and ``expected``, on one scale, in the rows' order."""
    longest = max((max(r["events"], r["expected"]) for r in rows), default=0.0) or 1.0
    return [Bar(r, round(100 * r["events"] / longest, 2), round(100 * r["expected"] / longest, 2)) for r in rows]
