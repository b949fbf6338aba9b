"""How what happens while nobody watches is logged: to standard error, for people on a terminal, else as JSON lines."""

from __future__ import annotations

import sys
from typing import Any

import structlog


def configure() -> None:
    """Say so to structlog, once for the process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendered(sys.stderr.isatty()),
        ],
        # Looked up for each message: whoever runs commands in one process may put another stream in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _rendered(terminal: bool) -> tuple[Any, ...]:
    if terminal:
        return (structlog.dev.ConsoleRenderer(),)
    return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str))
