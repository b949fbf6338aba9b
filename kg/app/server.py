"""The process behind ``kg serve``: a socket, a connection to Neo4j, uvicorn, and an end that waits for answers."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from kg import catalogue
from kg.app import logs
from kg.app.api import GRACE_S, Limits, application
from kg.app.ask import Asker
from kg.app.gate import is_loopback
from kg.app.search import Searcher
from kg.app.session import open_store, pseudonym_of
from kg.app.typed import Once, Typed
from kg.app.web.pages import Pages
from kg.app.web.script import htmx
from kg.errors import KGError, SettingsError
from kg.settings import Settings

log = logging.getLogger("kg.api")

RETRY_S: Final = 1.0
"""How long a query is tried again while Neo4j is away: a client that waits is better told so soon."""


def serve(settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the catalogue until SIGINT or SIGTERM; running answers are finished first, within the time limit.

    Raises:
        SettingsError: the address cannot be listened at, or is open to others while there are no keys.
    """
    keys = [key.get_secret_value() for key in settings.api_keys]
    require_keys(host, keys, "KG_API_KEYS")
    queries = catalogue.load()
    # Taken before Neo4j is started, which is slow: a port that is taken is told at once.
    with listening_at(host, port) as listening, open_store(settings, retry_s=RETRY_S) as store:
        limits = Limits(
            timeout_s=settings.query_timeout_s,
            max_rows=settings.query_max_rows,
            max_stream_rows=settings.api_max_rows,
            max_body=settings.api_max_body,
            concurrency=settings.api_concurrency,
        )
        searcher = Once(lambda: Searcher(store, settings))
        asker = Once(lambda: Asker(store, settings))
        typed, pages = Typed(searcher, asker), Pages(searcher, asker, keys=keys, script=htmx())
        warming = threading.Thread(target=_warm, args=[searcher], name="encoder")
        warming.start()
        app = application(
            store, queries, limits=limits, keys=keys, pseudonym=pseudonym_of(settings), typed=typed, face=pages
        )
        say(
            f"Serving {len(queries)} queries at {address_of(host, listening)}, "
            f"{'with API keys' if keys else 'to this machine alone'}; Ctrl-C stops."
        )
        run_until_stopped(app, listening, grace_s=limits.timeout_s + GRACE_S)
        # Libraries that are still being loaded while the interpreter ends begin threads, which it refuses them.
        warming.join()


def _warm(searcher: Callable[[], Searcher]) -> None:
    """Load the encoder, which takes seconds, while nobody waits for it; without it all else is served."""
    try:
        searcher().warm()
    except KGError as error:
        log.warning("Searches and questions are answered with an error. %s", error)


def run_until_stopped(app: ASGIApp, listening: socket.socket, *, grace_s: float) -> None:
    """Serve until SIGINT or SIGTERM; running answers have so many seconds to be finished."""
    logs.configure()
    logs.configure_libraries()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            log_config=None,
            # Its lines would hold the parameters, and so who asked what about whom.
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=int(grace_s),
        )
    )
    # Once it has stopped, uvicorn raises the signal again: it must then find somebody who is not killed by it,
    # for Neo4j's connections are still to be closed, and a server that was asked to stop did not fail.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def address_of(host: str, listening: socket.socket) -> str:
    """The URL of a server that listens there."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"


def require_keys(host: str, keys: Sequence[str], setting: str) -> None:
    """Refuse to be open to other machines without keys.

    Raises:
        SettingsError: naming the setting in which the keys are set.
    """
    if not keys and not is_loopback(host):
        raise SettingsError(
            f"Without API keys only this machine may be served, and --host {host} is open to others. Set {setting} "
            "to one or more keys, separated by commas, or leave --host at 127.0.0.1."
        )


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SettingsError: the address cannot be listened at.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen at {host}, port {port}: {error.strerror}. Choose another with --host and --port."
        ) from error
