"""What the local Neo4j is told: memory, ``neo4j.conf``, and the arguments of Java. Pure functions, no files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kg.errors import LocalDatabaseError
from kg.localdb.java import VECTOR_MODULE, Java

#: The committed lock of Neo4j's jars.
LOCK = Path(__file__).with_name("jgo.lock.toml")
#: Floors for a small machine. Neo4j starts with less, but little is then left for loading and for vector indexes.
SMALLEST_HEAP_MB = 512
SMALLEST_PAGE_CACHE_MB = 256
#: Heap and page cache each get an eighth of the machine, up to this: together at most 2 GB unless set.
LARGEST_SHARE_MB = 1024
MAIN_CLASS = "org.neo4j.server.Neo4jCommunity"
ADMIN_CLASS = "org.neo4j.cli.AdminTool"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the server may hold, in MiB."""

    heap_mb: int
    page_cache_mb: int


def plan_memory(machine_mb: int, heap_mb: int | None = None, page_cache_mb: int | None = None) -> Memory:
    """Share out the machine: an eighth each for heap and page cache, within bounds; what is set, stands.

    Raises:
        LocalDatabaseError: The two do not fit into the machine.
    """
    share = min(machine_mb // 8, LARGEST_SHARE_MB)
    memory = Memory(heap_mb or max(share, SMALLEST_HEAP_MB), page_cache_mb or max(share, SMALLEST_PAGE_CACHE_MB))
    if memory.heap_mb + memory.page_cache_mb > machine_mb:
        raise LocalDatabaseError(
            f"Neo4j would need {memory.heap_mb} MiB of heap and {memory.page_cache_mb} MiB of page cache, but this "
            f"machine has {machine_mb} MiB. Lower KG_HEAP_MB and KG_PAGE_CACHE_MB."
        )
    return memory


def render_conf(port: int, memory: Memory, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """The text of ``neo4j.conf``, complete: nothing in it is kept from an earlier start.

    ``settings`` are further ones, by Neo4j's names; Neo4j refuses to start where one is set twice or unknown.
    """
    further = "".join(f"{name}={value}\n" for name, value in settings.items())
    return f"""\
# Written by kg at each start; changes made here are lost.

# Bolt, for this machine only; no HTTP.
server.default_listen_address=127.0.0.1
server.default_advertised_address=127.0.0.1
server.bolt.enabled=true
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
dbms.security.auth_enabled=true

# Nothing is sent to anyone, and no query text is written down.
dbms.usage_report.enabled=false
dbms.fleet_manager.enabled=false
server.fleet_discovery.enabled=false
server.bolt.telemetry.enabled=false
db.logs.query.enabled=OFF

# One query may take half the heap, all together 70 %: too large a query fails, the server lives on.
server.memory.heap.max_size={memory.heap_mb}m
server.memory.pagecache.size={memory.page_cache_mb}m
db.memory.transaction.max={memory.heap_mb // 2}m
dbms.memory.transaction.total.max={memory.heap_mb * 7 // 10}m

# One plan serves parameters of any size: by default each power of ten of a text's or a list's length is planned anew.
internal.cypher.use_parameter_size=false

# A new home takes 2 MB instead of the 517 MB of two preallocated logs; old logs go soon.
db.tx_log.preallocate=false
db.tx_log.rotation.size=64m
db.tx_log.rotation.retention_policy=256M size

# A client hears from its query every few seconds; after 10 s of silence it knows that the connection is dead, not after
# two minutes, and tries again.
server.bolt.connection_keep_alive=5s
server.bolt.connection_keep_alive_streaming_scheduling_interval=2s

# Databases are closed within 0.3 s; by default Bolt then waits twice 5 s for nobody.
internal.dbms.bolt.netty_server_shutdown_quiet_period_duration=0s
{further}"""


def java_arguments(java: Java, jars: tuple[Path, ...], folder: Path, memory: Memory) -> list[str]:
    """The command line of the server after ``java``; ``folder`` is its home."""
    return [
        # All of it from the beginning, as Neo4j advises: a heap that begins small stays so while little is kept, and
        # the smaller it is the more often it is cleared, while every request waits.
        f"-Xms{memory.heap_mb}m",
        f"-Xmx{memory.heap_mb}m",
        "-XX:+UseG1GC",  # pauses stay short while queries are served; two cores suffice
        "-XX:+ExitOnOutOfMemoryError",  # a server half dead is worse than one that kg can start again
        "-XX:-OmitStackTraceInFastThrow",
        "-Djdk.nio.maxCachedBufferSize=1024",  # or each thread keeps its largest direct buffer for good
        "-Dlog4j2.disable.jmx=true",
        "-Dfile.encoding=UTF-8",
        *runtime_flags(java),
        "-cp",
        _join(jars),
        MAIN_CLASS,
        f"--home-dir={folder}",
        f"--config-dir={folder / 'conf'}",
    ]


def admin_arguments(java: Java, jars: tuple[Path, ...], *command: str) -> list[str]:
    """The command line of one ``neo4j-admin`` command after ``java``; it reads ``NEO4J_HOME`` and ``NEO4J_CONF``."""
    # A command lives for a second: the smallest collector, and no optimising compiler.
    quick = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return [*quick, *runtime_flags(java), "-cp", _join(jars), ADMIN_CLASS, *command]


def runtime_flags(java: Java) -> list[str]:
    """What Neo4j needs opened, by what this Java knows."""
    flags = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "java.io", "sun.nio.ch")]
    flags.append("--enable-native-access=ALL-UNNAMED")
    if java.has_vector_module:
        flags.append(f"--add-modules={VECTOR_MODULE}")
    if java.major >= 24:  # from here on Java warns of each use, and older ones refuse the flag
        flags.append("--sun-misc-unsafe-memory-access=allow")
    return flags


def render_argument_file(arguments: list[str]) -> str:
    """Arguments as a file for ``java @file``: 28 KB of class path would drown ``ps``, and is too long for Windows."""
    quoted = (argument.replace("\\", "\\\\").replace('"', '\\"') for argument in arguments)
    return "".join(f'"{argument}"\n' for argument in quoted)


def _join(jars: tuple[Path, ...]) -> str:
    return os.pathsep.join(map(str, jars))
