"""Jars that a committed lock names: kept in the Maven local repository, checked once.

Those of Neo4j (``kg/localdb/jgo.lock.toml``) and of WordNet (``extraction/wordnet.lock.toml``).
A start reads nothing but the lock: each line gives a jar's place in the
repository and its sha256, so no POM is resolved. What is missing is fetched
through jgo, several files at a time, first into a staging folder beside the
repository's own files; only a file whose sum agrees is moved to its place, in
one rename. A repository shared by many homes thus never holds half a jar of ours.

Hashing the 172 MiB of Neo4j took 0.4 s from the page cache, and takes longer from a
cold disk, so a stamp remembers size and modification time of what was found
good; a file that still looks the same is not read again (a warm start: 0.02 s).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from filelock import FileLock

from kg.errors import ChecksumError, JarError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_log = logging.getLogger(__name__)

#: Measured for the 241 jars of Neo4j: eight at once 27 s, one at a time 44 s, sixteen at once 32 s.
DOWNLOADS_AT_ONCE = 8
#: Our own folder within the repository: stamps, the staging area, the lock between processes, Java's classes.
_OWN_FOLDER = ".shopgraph"
_ATTEMPTS = 3
_RETRY_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def path(self) -> PurePosixPath:
        """Where Maven keeps this jar, relative to the repository."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        name = f"{self.artifact}-{self.version}{suffix}.jar"
        return PurePosixPath(*self.group.split("."), self.artifact, self.version, name)

    def __str__(self) -> str:
        return ":".join(filter(None, (self.group, self.artifact, self.version, self.classifier)))


#: Puts one jar into a staging repository and returns the file.
Fetch = Callable[[Jar, Path], Path]
#: Told after each jar fetched: how many are done, of how many.
Progress = Callable[[int, int], None]


def read_lock(lock: Path) -> tuple[Jar, ...]:
    """The jars that the lock names, in its order."""
    entries = tomllib.loads(lock.read_text(encoding="utf-8"))["dependencies"]
    return tuple(
        Jar(e["groupId"], e["artifactId"], e["version"], e.get("classifier", ""), e["sha256"]) for e in entries
    )


def classpath(
    lock: Path,
    repository: Path | None = None,
    *,
    fetch: Fetch | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Every locked jar, present and checked; missing ones are fetched first.

    Args:
        lock: The lock to go by.
        repository: The Maven local repository; by default the one that jgo is configured to use.
        fetch: How to get one missing jar; by default through jgo and the repositories it is configured to use.
        progress: Told after each jar fetched.

    Raises:
        ChecksumError: A jar differs from the lock, and is named.
        JarError: A jar could not be fetched or stored.
    """
    repository = repository or _local_repository()
    jars = read_lock(lock)
    missing = [jar for jar in jars if not (repository / jar.path).is_file()]
    if missing:
        _fetch_all(missing, repository, fetch or _fetch_with_jgo, progress or _log_progress)
    _check_all(jars, repository, lock)
    return tuple(repository / jar.path for jar in jars)


def maven_context(repository: Path | None = None) -> MavenContext:
    """jgo's view of the Maven world: its own defaults, then the ``[repositories]`` of the user's jgo.conf.

    A mirror is configured there, as for jgo itself; an entry ``central`` replaces the default.
    """
    from jgo.config import GlobalSettings  # imported late: half a second that a warm start need not spend
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    context = MavenContext(repo_cache=repository or settings.repo_cache, timeout=60)
    context.remote_repos.update(settings.repositories)
    return context


def own_folder() -> Path:
    """Our own folder within the local repository, for what is made from the jars and shared by all homes."""
    return _local_repository() / _OWN_FOLDER


def _local_repository() -> Path:
    from jgo.config import GlobalSettings

    return GlobalSettings.load().repo_cache.expanduser()


def _fetch_all(missing: list[Jar], repository: Path, fetch: Fetch, progress: Progress) -> None:
    own = repository / _OWN_FOLDER
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JarError(
            f"Cannot write to the Maven repository {repository} ({error.strerror}). "
            "Make it writable, or set M2_REPO to a folder that is."
        ) from error
    with FileLock(own / "fetch.lock"):
        # Another process may have fetched them while this one waited for the lock.
        missing = [jar for jar in missing if not (repository / jar.path).is_file()]
        if not missing:
            return
        _log.info("Fetching %d jars into %s.", len(missing), repository)
        with (
            tempfile.TemporaryDirectory(prefix="staging-", dir=own) as staging,
            ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
        ):
            place = partial(_fetch_one, repository=repository, staging=Path(staging), fetch=fetch)
            try:
                for done, _ in enumerate(pool.map(place, missing), start=1):
                    progress(done, len(missing))
            except BaseException:
                pool.shutdown(cancel_futures=True)  # the first failure is the one to report; do not fetch on
                raise


def _fetch_one(jar: Jar, repository: Path, staging: Path, fetch: Fetch) -> None:
    target = repository / jar.path
    try:
        staged = fetch(jar, staging)
        found = sha256(staged)
        if found == jar.sha256:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            return
    except OSError as error:
        raise JarError(
            f"Cannot store {target} ({error.strerror}). Check space and permissions there, or set M2_REPO to another "
            "folder, and start again."
        ) from error
    raise ChecksumError(
        f"The jar {jar} was served with sha256 {found}, but the lock names {jar.sha256}; it was not kept. "
        "Try again; if it stays so, the repository or mirror in your jgo.conf serves another file."
    )


def _fetch_with_jgo(jar: Jar, staging: Path) -> Path:
    import requests  # jgo's own HTTP client, imported late for the same reason as jgo

    context = maven_context(staging)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return artifact.resolve()
        except (requests.RequestException, RuntimeError) as error:  # RuntimeError: no repository served it
            failure = error
            _log.debug("Attempt %d for %s failed: %s", attempt, jar, error)
        (staging / jar.path).unlink(missing_ok=True)  # or jgo would take a torn file for the jar
        time.sleep(_RETRY_AFTER_S * attempt)
    raise JarError(
        f"Cannot download {jar}, tried {_ATTEMPTS} times ({type(failure).__name__}). Check the network, or name a "
        "mirror under [repositories] in jgo.conf, and start again: what has arrived is kept."
    ) from failure


def _log_progress(done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        _log.info("Fetched %d of %d jars.", done, total)


def _check_all(jars: Iterable[Jar], repository: Path, lock: Path) -> None:
    """Hash every jar whose size or time is not the one that the stamp remembers."""
    stamp = repository / _OWN_FOLDER / f"verified-{sha256(lock)[:16]}.json"
    known = _read_stamp(stamp)
    looks = {str(jar.path): _look(repository / jar.path) for jar in jars}
    changed = [jar for jar in jars if known.get(str(jar.path)) != looks[str(jar.path)]]
    if not changed:
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashlib lets go of the interpreter lock
        sums = pool.map(lambda jar: sha256(repository / jar.path), changed)
        wrong = next(((jar, found) for jar, found in zip(changed, sums, strict=True) if found != jar.sha256), None)
    if wrong is not None:
        jar, found = wrong
        raise ChecksumError(
            f"The file {repository / jar.path} is not the jar {jar} that the lock names "
            f"(sha256 {found[:12]}…, expected {jar.sha256[:12]}…). Delete it and start again: it is then fetched anew."
        )
    _write_stamp(stamp, looks)


def _look(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _read_stamp(stamp: Path) -> dict[str, list[int]]:
    try:
        content: dict[str, list[int]] = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or torn: everything is hashed again
        return {}
    return content


def _write_stamp(stamp: Path, looks: dict[str, list[int]]) -> None:
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=stamp.parent, delete=False, encoding="utf-8") as file:
            json.dump(looks, file)
        shutil.move(file.name, stamp)
    except OSError as error:  # a read-only repository is fine: it only costs the hashing each time
        _log.debug("No stamp written: %s", error)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
