"""Resolve ``jgo.toml`` into ``jgo.lock.toml``: ``python -m kg.localdb.relock [SPEC]``, called by ``make lock``.

Run it after changing the Neo4j version. It walks 360 POMs one after the other
(71 s measured), which is why users never do: they read the lock that is committed.
The lock holds versions and sha256 sums only, never the address that served them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.env import EnvironmentSpec, LockFile, compute_spec_hash

from kg.jars import DOWNLOADS_AT_ONCE, maven_context
from kg.localdb.config import LOCK

SPEC = LOCK.with_name("jgo.toml")


def relock(spec_path: Path = SPEC, lock_path: Path = LOCK) -> int:
    """Write the lock and return how many jars it names."""
    spec = EnvironmentSpec.load(spec_path)
    context = maven_context()
    roots, transitive = context.resolver.resolve([context.create_dependency(c) for c in spec.coordinates])
    dependencies = sorted((*roots, *transitive), key=lambda d: (d.groupId, d.artifactId, d.version, d.classifier))
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        # The lock's constructor fetches each jar in turn; fetching them first, side by side, is faster.
        list(pool.map(lambda dependency: dependency.artifact.resolve(), dependencies))
    LockFile.from_resolved_dependencies(
        dependencies,
        environment_name=spec.name,
        min_java_version=21,
        entrypoints=spec.entrypoints,
        default_entrypoint=spec.default_entrypoint,
        spec_hash=compute_spec_hash(spec_path),
    ).save(lock_path)
    return len(dependencies)


def is_current(spec_path: Path = SPEC, lock_path: Path = LOCK) -> bool:
    """Whether the lock was made from the spec as it stands."""
    return lock_path.is_file() and LockFile.load(lock_path).spec_hash == compute_spec_hash(spec_path)


if __name__ == "__main__":
    spec = Path(sys.argv[1]) if len(sys.argv) > 1 else SPEC
    lock = spec.with_name("jgo.lock.toml")
    if is_current(spec, lock):
        sys.stdout.write(f"{lock} is up to date\n")
    else:
        sys.stdout.write(f"{lock}: {relock(spec, lock)} jars\n")
