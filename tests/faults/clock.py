"""A process whose clock is wrong: everything that asks for the time of day in it is told another.

That clock is what Python's ``datetime.now`` and ``time.time`` say. How long something takes is measured by another,
which nobody sets, and which stays as it is here.
"""

from __future__ import annotations

import datetime as of_python
import random
import sys
import time
from datetime import timedelta, tzinfo

real = of_python.datetime


def shift_clock(skew: timedelta) -> None:
    """From now on this process's clock is ahead by so much, or behind."""
    if not skew:
        return

    class Shifted(real):
        """Makes plain moments, which the driver knows."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> real:  # type: ignore[override]
            return real.now(tz) + skew

    now_s = time.time
    time.time = lambda: now_s() + skew.total_seconds()
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] in ("kg", "embeddings", "extraction") and vars(module).get("datetime") is real:
            vars(module)["datetime"] = Shifted


def draw_skews(rng: random.Random) -> tuple[timedelta, ...]:
    """Clocks of three processes: one is right, the others are off by seconds to days, either way."""
    off = [timedelta(seconds=rng.choice((-1, 1)) * 10 ** rng.uniform(0.3, 5.5)) for _ in range(2)]
    skews = [timedelta(0), *off]
    rng.shuffle(skews)
    return tuple(skews)
