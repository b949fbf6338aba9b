"""The page for who is on call: each alarm that is logged stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = " ".join((ROOT / "docs/operations.md").read_text(encoding="utf-8").split())
ALARM = re.compile(r"""\blog\.(?:warning|error|exception)\(\s*"([^"%]+)\"""")
"""Events of the modules that log by structlog, up to what ``;`` parts from them: what happens then by itself."""


def alarms() -> list[str]:
    found = {
        event.partition(";")[0].partition(", by a bug")[0]
        for package in ("kg", "embeddings", "extraction")
        for module in (ROOT / package).rglob("*.py")
        if "structlog" in (text := module.read_text(encoding="utf-8"))
        for event in ALARM.findall(text)
    }
    return sorted(found)


def test_alarms_are_found() -> None:
    assert {"a run was abandoned", "the scheduler failed", "a file cannot be read"} <= set(alarms())


@pytest.mark.parametrize("alarm", alarms())
def test_each_alarm_has_what_to_do(alarm: str) -> None:
    assert f"`{alarm}" in PAGE
