"""What every command begins with: settings, a connection, a progress bar, a place for rejects."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from kg import localdb
from kg.errors import TooManyRejectsError
from kg.migrations import migrate
from kg.privacy import Pseudonym, pseudonymiser
from kg.progress import Stage, teller
from kg.records import Reject
from kg.settings import Settings
from kg.store import GraphStore

console = Console(stderr=True, highlight=False)
"""Everything but data goes to standard error, so that ``--json`` can be piped."""

Advance = Callable[[int], None]

MOST_REASONS: Final = 100
"""Reasons that are counted apart; a summary with more would be no summary."""
OTHER_REASONS: Final = "Other reasons; the file of rejects has them."
# What a reason quotes from the record: a literal of Python, cut off perhaps, or a number behind the word that tells of
# it. Numbers elsewhere are the rule's.
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*?['…]|"(?:[^"\\]|\\.)*?["…]""")
_TOLD: Final = re.compile(
    r"\b(is|has|is negative|line|column|char|byte) (\(?-?(?:\d[\d,.]*\d|\d)(?:e[+-]?\d+)?\)?|[\[{].*?[\]}…](?=[;,. ]))"
)


@contextmanager
def open_store(settings: Settings, *, migrated: bool = True, retry_s: float = 15.0) -> Iterator[GraphStore]:
    """A connection to the configured Neo4j; the local one is started on demand and left running."""
    if settings.neo4j_uri is not None:
        password = settings.neo4j_password.get_secret_value() if settings.neo4j_password else ""
        uri, username = settings.neo4j_uri, settings.neo4j_username
    else:
        connection = start_local(settings)
        uri, username, password = connection.uri, connection.username, connection.password
    with GraphStore.connect(uri, username, password, database=settings.neo4j_database, retry_s=retry_s) as store:
        if migrated:
            migrate(store)
        yield store


def start_local(settings: Settings) -> localdb.Connection:
    """Start the local Neo4j of this home, or find it running; the first start fetches its jars."""
    with progress_bar("Fetching Neo4j", unit="jars", total=None) as advance:
        done = 0

        def fetched(count: int, _total: int) -> None:
            nonlocal done
            advance(count - done)
            done = count

        return localdb.start(
            settings.home,
            heap_mb=settings.heap_mb,
            page_cache_mb=settings.page_cache_mb,
            java=settings.java,
            progress=fetched,
        )


def pseudonym_of(settings: Settings) -> Pseudonym:
    """How this graph's user ids are made from the shop's."""
    return pseudonymiser(settings.pseudonym_key.get_secret_value() if settings.pseudonym_key else None)


@contextmanager
def progress_bar(what: str, *, unit: str, total: int | None = None) -> Iterator[Advance]:
    """A bar on a terminal, silence elsewhere; a scheduler that runs this hears of it too."""
    tell, done = teller(), 0
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, start=True)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress.advance(task, count)
            tell(Stage(what, done, total))

        yield advance


@contextmanager
def stage_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work in several stages: called with the stage's name, how much of it is done, and of how much."""
    tell = teller()
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def report(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)
            tell(Stage(stage, done, total))

        yield report


class RejectFile:
    """Bad records, one JSON object a line. Nothing is lost: each says where it stands and why it was not loaded.

    The file of an earlier load is replaced only when this load ends, so a load that is
    cut off leaves the old one standing. Only its owner can read it (``mkstemp``), since records are of customers.
    """

    def __init__(self, path: Path, *, limit: int | None = None) -> None:
        self.path = path
        self.limit = limit
        self.count = 0
        self.reasons: dict[str, int] = {}
        """How many records were rejected for each reason, whatever the value that it quotes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
        self._file = os.fdopen(handle, "wb")
        self._part = Path(name)

    def __call__(self, reject: Reject) -> None:
        """Write one reject.

        Raises:
            TooManyRejectsError: the limit is passed; what was loaded stays loaded.
        """
        self.count += 1
        reason = without_values(reject.reason)
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS:
            reason = OTHER_REASONS
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self._file.write(orjson.dumps(reject.as_dict(), option=orjson.OPT_APPEND_NEWLINE))
        if self.limit is not None and self.count > self.limit:
            raise TooManyRejectsError(
                f"More than {self.limit} records of {reject.file} were rejected, the last at line {reject.line}: "
                f"{reject.reason} All of them are in {self.path}. What was loaded so far stays; correct the file "
                "and load it again, or raise --max-rejects."
            )

    def __enter__(self) -> RejectFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._part.replace(self.path)


def without_values(reason: str) -> str:
    """A reason as it reads for all records of which it is true: ``price is …, not a number.``"""
    return _TOLD.sub(r"\1 …", _QUOTED.sub("…", reason))
