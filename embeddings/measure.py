"""What a piece of work costs: seconds, and the memory that it needed at its peak."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_PROCESS: Final = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one piece of work."""

    seconds: float
    peak_mb: float | None
    """Greatest resident memory of the process meanwhile, in MB of 10⁶ bytes; None where the system does not say."""
    added_mb: float | None
    """The part of it that was not there before the work began."""

    def as_dict(self) -> dict[str, float | None]:
        """For reports."""
        return {
            "training_seconds": round(self.seconds, 3),
            "peak_mb": None if self.peak_mb is None else round(self.peak_mb, 1),
            "added_mb": None if self.added_mb is None else round(self.added_mb, 1),
        }


def measured(work: Callable[[], T]) -> tuple[T, Cost]:
    """Do the work and say what it cost. Not for two pieces of work at once: the peak is the whole process's."""
    before = _resident("VmRSS")
    known = _forget_peak()
    begun = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    peak = _resident("VmHWM") if known else None
    return result, Cost(seconds, peak, None if peak is None or before is None else max(peak - before, 0.0))


def _forget_peak() -> bool:
    """Set Linux's high-water mark of resident memory back to the present (proc(5), clear_refs); elsewhere False."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> float | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None
