"""How what happens while nobody watches is logged: to standard error, for people on a terminal, else as JSON lines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure() -> None:
    """Say so to structlog, once for the process."""
    structlog.configure(
        processors=[*_told(), *_rendered(sys.stderr.isatty())],
        # Looked up for each message: whoever runs commands in one process may put another stream in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def configure_libraries() -> None:
    """Have what is logged through Python's own logging (the web server's, the driver's) written the same way."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_told(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendered(sys.stderr.isatty()),
            ],
        )
    )
    handler.set_name(_LIBRARIES)
    root = logging.getLogger()
    root.handlers = [*(one for one in root.handlers if one.get_name() != _LIBRARIES), handler]


_LIBRARIES = "shopgraph"


def _told() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendered(terminal: bool) -> tuple[Any, ...]:
    if terminal:
        return (structlog.dev.ConsoleRenderer(),)
    return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str))
