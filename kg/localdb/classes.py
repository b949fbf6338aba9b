"""Neo4j's classes as Java has them in memory, kept between starts (class-data sharing, JEP 350).

A start spends more than half of its time on reading, checking and linking 20,000
classes out of 241 jars. The first server that is stopped cleanly leaves them in
a file of 80 MiB beside the jars' stamps in the Maven repository, for all homes:
a start then takes 3.7 s instead of 6.4 s (two cores, JDK 25), for 3 s more at that one stop.

Java itself checks that such a file fits its version, the class path and the
jars' sizes and times, and goes on without it where it does not; a wrong one costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from kg.localdb.java import Java

_log = logging.getLogger(__name__)

#: The file's size is 80 MiB; a disk with less than this left is not for it.
LEAST_FREE_MB = 1024


def shared_file(folder: Path, java: Java, flags: Iterable[str], classpath: Iterable[Path]) -> Path:
    """Where the classes lie that this Java has loaded from these jars, made yet or not."""
    text = "\n".join([str(java.executable), java.version, *flags, *map(str, classpath)])
    return folder / f"classes-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsa"


def use(shared: Path) -> list[str]:
    """The arguments for a start that only reads; none where there is nothing to read."""
    # Java calls it an error that its own classes were kept for fewer modules, and goes on with ours.
    return ["-Xlog:cds*=off", f"-XX:SharedArchiveFile={shared}"] if shared.is_file() else []


def record(own: Path) -> list[str]:
    """The argument for a start whose end writes ``own``, a file of one server alone."""
    own.unlink(missing_ok=True)
    return [f"-XX:ArchiveClassesAtExit={own}"]


def may_be_recorded(shared: Path) -> bool:
    """Whether a file is missing, and has room."""
    try:
        shared.parent.mkdir(parents=True, exist_ok=True)
        return not shared.exists() and shutil.disk_usage(shared.parent).free >= LEAST_FREE_MB * 2**20
    except OSError:  # a read-only repository: starts stay as long as they were
        return False


def share(own: Path, shared: Path) -> None:
    """Move what a stopped server wrote to where every home looks for it, whole or not at all."""
    staged = shared.with_name(f"{shared.name}.{own.stat().st_ino}")
    try:
        shutil.move(own, staged)  # maybe from another disk, which no rename can
        staged.replace(shared)
    except OSError as error:
        _log.debug("The classes of Neo4j were not kept: %s", error)
        staged.unlink(missing_ok=True)
    finally:
        own.unlink(missing_ok=True)
