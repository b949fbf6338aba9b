"""How far a piece of work is: told by whoever does it, to whoever runs it and wants to know.

The work does not know whether anybody listens. The scheduler does, in the thread
of a job, and notes what it hears on the job's run; elsewhere nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """What is being done, and how much of it is done."""

    name: str
    done: int
    of: int | None = None
    """None where it is not known how much there is."""

    def __str__(self) -> str:
        return f"{self.name} {self.done}" + (f" of {self.of}" if self.of is not None else "")


Listener = Callable[[Stage], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Whoever asks for :func:`teller` in this thread, from ``with`` to its end, tells this one; from any thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def teller() -> Listener:
    """Where this thread's progress is to be told."""
    return _listener.get() or (lambda _: None)
