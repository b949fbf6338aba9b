"""One Neo4j for one home: start, stop, status, safe to call from several processes at once.

Everything lies in ``home/neo4j``::

    conf/       neo4j.conf and java.args, written anew at each start
    data/       the graph
    logs/       neo4j.log, debug.log, console.log (what Java itself says)
    run/        server.json while a server runs: its pid, when that process was created, its port;
                and for an instant at its end, classes.jsa (see classes.py)
    home.json   the version of Neo4j that wrote data/, and the port kept for this home
    password    generated once, readable by the owner only
    lock        held by whoever starts or stops the server

The server is a process of its own: it outlives the one that started it. A pid
alone proves nothing, since pids are reused; a process counts as ours only if it
was created when ``server.json`` says, or runs with this home's ``java.args``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import psutil
from filelock import FileLock, Timeout

from kg import jars
from kg.errors import LocalDatabaseError, PortTakenError
from kg.localdb import bolt, classes
from kg.localdb.config import (
    LOCK,
    Memory,
    admin_arguments,
    java_arguments,
    plan_memory,
    render_argument_file,
    render_conf,
    runtime_flags,
)
from kg.localdb.java import Java, find_java

_log = logging.getLogger(__name__)

USERNAME = "neo4j"
#: The transaction logs that config.py lets Neo4j keep; with less it would start, and fail in the middle of a load.
LEAST_FREE_MB = 256
#: A free port may be taken by another program before the server gets to it; three times in a row is no accident.
_PORT_ATTEMPTS = 3
_POLL_S = 0.1
#: How long a port is waited for that this home's server had before.
_LET_GO_S = 3.0
#: How long the system may take to end a killed process.
_KILL_S = 10.0

#: Processes started by this one. Kept so that their ends are noticed (no zombies) and not reported as leaks.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the server of a home."""

    uri: str
    username: str
    password: str
    pid: int

    def __repr__(self) -> str:
        return f"Connection(uri={self.uri!r}, username={self.username!r}, password='***', pid={self.pid})"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a home's server, running or not."""

    home: Path
    running: bool
    pid: int | None
    uri: str | None
    version: str | None  # of the Neo4j that wrote the data; None if there never was one
    heap_mb: int | None
    page_cache_mb: int | None
    data_bytes: int
    since: datetime | None
    note: str | None  # what a reader should know: killed, still starting


@dataclass(frozen=True, slots=True)
class _Running:
    """The content of ``run/server.json``."""

    pid: int
    created: float
    port: int
    version: str
    heap_mb: int
    page_cache_mb: int
    arguments: str
    classes: str | None = None
    """Where the classes go that this server leaves behind at its end; None where it leaves none."""

    @property
    def uri(self) -> str:
        return f"bolt://{bolt.LOOPBACK}:{self.port}"


def free_bytes(folder: Path) -> int:
    """Free space on the disk of this folder."""
    return shutil.disk_usage(folder).free


def start(
    home: Path,
    *,
    heap_mb: int | None = None,
    page_cache_mb: int | None = None,
    java: Path | None = None,
    port: int | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float = 240.0,
    free_space: Callable[[Path], int] = free_bytes,
    progress: jars.Progress | None = None,
) -> Connection:
    """Start the home's Neo4j, or find it running; return when it answers Bolt.

    Args:
        home: The folder of this graph; made if need be.
        heap_mb: Heap in MiB; by default sized from the machine. A running server keeps what it has.
        page_cache_mb: Page cache in MiB; likewise.
        java: A java executable or a Java home; by default looked for.
        port: Insist on this port. By default a free one is picked once and kept; when another program has taken it
            meanwhile, a new one is picked: callers read it from the result.
        settings: Further settings by Neo4j's own names. A running server keeps what it has.
        timeout_s: How long the server may take until it answers: 6 s are usual, 100 s were seen on a crowded machine.
        free_space: Tells the free bytes on a folder's disk.
        progress: Told how many of how many jars are fetched, on a machine that lacks some.

    Raises:
        JavaNotFoundError: No Java 21 or newer.
        ChecksumError: A jar is not what the lock names.
        PortTakenError: ``port`` was insisted on and is taken.
        LocalDatabaseError: Anything else, in one sentence with what to do.
    """
    folder = _folder(home)
    with _locked(folder, timeout_s):
        running = _find_running(folder)
        if running is None:
            memory = plan_memory(_machine_mb(), heap_mb, page_cache_mb)
            _check_version(folder)
            _check_space(folder, free_space)
            # Java first: it is looked up at once, the jars may take a minute.
            program = find_java(java)
            classpath = jars.classpath(LOCK, progress=progress)
            running = _start_stopped(folder, memory, settings, program, classpath, port, timeout_s)
        elif port is not None and port != running.port:
            raise LocalDatabaseError(
                f"The Neo4j of {folder.parent} already runs on port {running.port}, not {port}. "
                "Stop it first (kg db stop)."
            )
        elif not _answers_within(running, timeout_s):
            raise LocalDatabaseError(
                f"The Neo4j of {folder.parent} (pid {running.pid}) runs but has not answered for {timeout_s:.0f} s. "
                f"See {folder / 'logs'}; kg db stop, then kg db start, begins anew."
            )
        # Written here, not when launched: a starter that is interrupted leaves it to the next one.
        _write_home(folder, running)
        return Connection(running.uri, USERNAME, _read_password(folder), running.pid)


def stop(home: Path, *, timeout_s: float = 60.0) -> bool:
    """Stop the home's Neo4j cleanly; say whether there was one.

    A server that has not ended after ``timeout_s`` is killed, with a warning;
    its next start then replays the transaction log, and nothing committed is lost.
    """
    folder = _folder(home)
    if not folder.is_dir():
        return False
    with _locked(folder, timeout_s):
        running = _find_running(folder)
        if running is None:
            _forget(folder)
            return False
        _signal(running, psutil.Process.terminate)
        if not _ends_within(running, timeout_s):
            _log.warning("Neo4j (pid %d) did not stop within %.0f s and is killed.", running.pid, timeout_s)
            _signal(running, psutil.Process.kill)
            if not _ends_within(running, _KILL_S):
                raise LocalDatabaseError(
                    f"Neo4j (pid {running.pid}) cannot be ended, most likely because its disk does not answer. "
                    f"Check the disk of {folder}."
                )
        _forget(folder)
        if running.classes is not None and _classes_file(folder).exists():
            classes.share(_classes_file(folder), Path(running.classes))
        return True


def status(home: Path) -> Status:
    """Look, without waiting and without changing anything."""
    folder = _folder(home)
    recorded = _read_running(folder)
    running = recorded if recorded is not None and _is_alive(recorded) else None
    if recorded is not None and running is None:
        note = f"The server (pid {recorded.pid}) has ended without being stopped; kg db start recovers its data."
    elif running is not None and not bolt.answers(running.port):
        note = "The process runs but does not answer Bolt: it is starting, stopping or overloaded."
    else:
        note = None
    return Status(
        home=folder.parent,
        running=running is not None,
        pid=running.pid if running else None,
        uri=running.uri if running else None,
        version=_read_home(folder)[0],
        heap_mb=running.heap_mb if running else None,
        page_cache_mb=running.page_cache_mb if running else None,
        data_bytes=_size(folder / "data"),
        since=datetime.fromtimestamp(running.created, UTC) if running else None,
        note=note,
    )


def admin(home: Path, *command: str, java: Path | None = None) -> str:
    """Run one ``neo4j-admin`` command, such as ``database dump``, on a stopped home; return what it printed.

    Raises:
        LocalDatabaseError: The server runs, or the command failed; with its last line.
    """
    folder = _folder(home)
    with _locked(folder, timeout_s=90):
        running = _find_running(folder)
        if running is not None:
            raise LocalDatabaseError(
                f"The Neo4j of {folder.parent} is running (pid {running.pid}). Stop it first (kg db stop)."
            )
        return _run_admin(folder, find_java(java), jars.classpath(LOCK), *command)


# --- starting -------------------------------------------------------------------------------------------------


def _start_stopped(
    folder: Path,
    memory: Memory,
    settings: Mapping[str, str],
    java: Java,
    classpath: tuple[Path, ...],
    port: int | None,
    timeout_s: float,
) -> _Running:
    """Launch until it answers; again on another port if the first was taken in the last moment."""
    if _state_file(folder).exists():
        _log.info("The last server of %s was not stopped cleanly; Neo4j recovers its data now.", folder.parent)
        _forget(folder)
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        chosen = _choose_port(folder, port)
        _write(folder / "conf" / "neo4j.conf", render_conf(chosen, memory, settings))
        shared = _write_arguments(folder, java, classpath, memory)
        _prepare_password(folder, java, classpath)
        running = _launch(folder, java, memory, chosen, shared)
        if _answers_within(running, timeout_s):
            return running
        failure = _end_failed(folder, running, timeout_s)
        if port is not None or attempt == _PORT_ATTEMPTS or not isinstance(failure, PortTakenError):
            raise failure
        _log.info("Port %d was taken in the last moment; trying another.", chosen)
    raise AssertionError("the last attempt returns or raises")


def _our_version() -> str:
    return next(jar.version for jar in jars.read_lock(LOCK) if (jar.group, jar.artifact) == ("org.neo4j", "neo4j"))


def _check_version(folder: Path) -> None:
    """Neo4j migrates older data by itself, but cannot read newer."""
    written_by, _ = _read_home(folder)
    if written_by is not None and _numbers(written_by) > _numbers(_our_version()):
        raise LocalDatabaseError(
            f"The data in {folder / 'data'} was written by Neo4j {written_by}, newer than the {_our_version()} that "
            "this kg runs. Update shopgraph, or set KG_HOME to another folder."
        )


def _check_space(folder: Path, free_space: Callable[[Path], int]) -> None:
    free_mb = free_space(folder) // 2**20
    if free_mb < LEAST_FREE_MB:
        raise LocalDatabaseError(
            f"The disk of {folder} has {free_mb} MiB left, and Neo4j needs at least {LEAST_FREE_MB}. "
            "Free some space, or set KG_HOME to a folder on another disk."
        )


def _choose_port(folder: Path, port: int | None) -> int:
    if port is not None:
        if not bolt.is_free(port):
            raise _port_taken(folder, port)
        return port
    _, kept = _read_home(folder)
    if kept is not None and _is_let_go(kept):
        return kept
    chosen = bolt.free_port()
    if kept is not None:
        _log.warning("Port %d of %s is now used by another program; Neo4j moves to %d.", kept, folder.parent, chosen)
    return chosen


def _is_let_go(port: int) -> bool:
    """Whether a port is free, or soon is: a server that was killed just now may hold it until its last thread is gone.

    Those that are connected look for the server where it was.
    """
    end = time.monotonic() + _LET_GO_S
    while not bolt.is_free(port):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _port_taken(folder: Path, port: int) -> PortTakenError:
    return PortTakenError(
        f"Port {port}, wanted by the Neo4j of {folder.parent}, is used by another program. "
        "Stop that program, or leave the port to kg."
    )


def _write_arguments(folder: Path, java: Java, classpath: tuple[Path, ...], memory: Memory) -> Path | None:
    """Write what Java reads; return where the classes go that the server is to leave behind, if any."""
    shared = classes.shared_file(jars.own_folder(), java, runtime_flags(java), classpath)
    recorded = classes.may_be_recorded(shared)
    sharing = classes.record(_classes_file(folder)) if recorded else classes.use(shared)
    arguments = [*sharing, *java_arguments(java, classpath, folder, memory)]
    _write(_arguments_file(folder), render_argument_file(arguments))
    return shared if recorded else None


def _prepare_password(folder: Path, java: Java, classpath: tuple[Path, ...]) -> None:
    """Generate the password once, and set it before the very first start."""
    path = folder / "password"
    has_data = (folder / "data" / "databases" / "system").exists()
    if not path.exists():
        if has_data:
            raise LocalDatabaseError(
                f"{path} is missing, so the graph in {folder / 'data'} cannot be opened. "
                "Put the file back, or move the data folder away to begin anew."
            )
        # Hexadecimal, because neo4j-admin would take a leading dash for an option and # for a comment.
        _write(path, secrets.token_hex(24) + "\n")
    if not has_data:
        # @file keeps the password out of the process list.
        _run_admin(folder, java, classpath, "dbms", "set-initial-password", f"@{path}")


def _run_admin(folder: Path, java: Java, classpath: tuple[Path, ...], *command: str) -> str:
    arguments = folder / "conf" / "admin.args"
    _write(arguments, render_argument_file(admin_arguments(java, classpath)))
    done = subprocess.run(
        [java.executable, f"@{arguments}", *command],
        check=False,
        env=_environment() | {"NEO4J_HOME": str(folder), "NEO4J_CONF": str(folder / "conf")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise LocalDatabaseError(
            f"neo4j-admin {' '.join(command[:2])} failed on {folder}: {last_words(done.stdout + done.stderr)}"
        )
    return done.stdout


def _launch(folder: Path, java: Java, memory: Memory, port: int, shared: Path | None) -> _Running:
    arguments = _arguments_file(folder)
    _neo4j_log(folder).unlink(missing_ok=True)  # so that its last words are those of this start
    with (folder / "logs" / "console.log").open("wb") as console:
        child = subprocess.Popen(
            [java.executable, f"@{arguments}"],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither Ctrl-C nor the end of this process reaches the server
        )
    _children[child.pid] = child
    running = _Running(
        pid=child.pid,
        created=psutil.Process(child.pid).create_time(),
        port=port,
        version=_our_version(),
        heap_mb=memory.heap_mb,
        page_cache_mb=memory.page_cache_mb,
        arguments=str(arguments),
        classes=None if shared is None else str(shared),
    )
    _write(_state_file(folder), json.dumps(asdict(running)))
    return running


def _answers_within(running: _Running, timeout_s: float) -> bool:
    """Wait until the server answers Bolt; False if it ended, or the time did."""
    deadline = time.monotonic() + timeout_s
    while not (bolt.answers(running.port) and _listens(running)):
        if not _is_alive(running) or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _listens(running: _Running) -> bool:
    """Whether it is this very process that answers, not the Neo4j of another home that was quicker to the port."""
    try:
        sockets = psutil.Process(running.pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # some hardened systems hide this even for one's own processes
        return True
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == running.port for s in sockets)


def _end_failed(folder: Path, running: _Running, timeout_s: float) -> LocalDatabaseError:
    """Clear away a server that did not come up, and say why it did not."""
    if _is_alive(running):
        _signal(running, psutil.Process.kill)
        _ends_within(running, _KILL_S)
        what = f"did not answer within {timeout_s:.0f} s and was ended"
    else:
        what = "could not start"
    _forget(folder)
    return _failure(folder, running.port, what)


def _failure(folder: Path, port: int, what: str) -> LocalDatabaseError:
    """The error for a server that failed: its cause in our words where we know it, else in its own."""
    logs = [folder / "logs" / "console.log", _neo4j_log(folder)]
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in logs if path.exists())
    if "Address already in use" in text:
        return _port_taken(folder, port)
    if "No space left on device" in text:
        return LocalDatabaseError(
            f"Neo4j {what}: the disk of {folder} is full. Free some space, then start again; committed data is safe."
        )
    if "store_lock" in text:
        return LocalDatabaseError(
            f"Neo4j {what}: another process holds the data of {folder}. End it (a java process with {folder} in its "
            "command line), then start again."
        )
    return LocalDatabaseError(f"Neo4j {what}: {last_words(text)} More is in {folder / 'logs'}.")


def last_words(text: str) -> str:
    """The line of a log that says most: the innermost cause, else the last error, else the last line."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("at ", "... ", "WARNING:"))]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    errors = [line for line in lines if re.search(r"\bERROR\b|^Error", line)]
    chosen = (causes or errors or lines or ["it left no message"])[-1]
    return chosen if chosen.endswith(".") else chosen + "."


# --- what is running ------------------------------------------------------------------------------------------


def _find_running(folder: Path) -> _Running | None:
    recorded = _read_running(folder)
    return recorded if recorded is not None and _is_alive(recorded) else None


def _is_alive(running: _Running) -> bool:
    """Whether the recorded process lives and is still the one recorded."""
    if running.pid in _children:
        _children[running.pid].poll()
    try:
        process = psutil.Process(running.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # The clock may be set between two starts of kg, which moves the creation time of every process on Linux;
        # the name of the arguments file then still tells.
        return abs(process.create_time() - running.created) < 1 or f"@{running.arguments}" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or somebody else's
        return False


def _ends_within(running: _Running, timeout_s: float) -> bool:
    """Wait for the end of the process.

    Not by ``psutil``'s own wait: in a container whose first process reaps nobody,
    the server stays a zombie for ever, and that wait would never end.
    """
    deadline = time.monotonic() + timeout_s
    while _is_alive(running):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S / 5)
    return True


def _signal(running: _Running, send: Callable[[psutil.Process], None]) -> None:
    with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
        send(psutil.Process(running.pid))


def _forget(folder: Path) -> None:
    _state_file(folder).unlink(missing_ok=True)


def _read_running(folder: Path) -> _Running | None:
    try:
        return _Running(**json.loads(_state_file(folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # absent, or of another version of kg: then nothing is known to run
        return None


# --- files ----------------------------------------------------------------------------------------------------


def _folder(home: Path) -> Path:
    return home.expanduser().resolve() / "neo4j"


def _state_file(folder: Path) -> Path:
    return folder / "run" / "server.json"


def _arguments_file(folder: Path) -> Path:
    return folder / "conf" / "java.args"


def _classes_file(folder: Path) -> Path:
    return folder / "run" / "classes.jsa"


def _neo4j_log(folder: Path) -> Path:
    return folder / "logs" / "neo4j.log"


@contextmanager
def _locked(folder: Path, timeout_s: float) -> Iterator[None]:
    """Make the folders, and be the only process that starts or stops this home's server."""
    try:
        for name in ("conf", "data", "logs", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder / name):
                pass
    except OSError as error:
        raise LocalDatabaseError(
            f"Cannot write to {error.filename or folder} ({error.strerror}). "
            "Make it writable and check the disk, or set KG_HOME to another folder."
        ) from error
    # Whoever holds it may itself be waiting for a server for timeout_s.
    lock = FileLock(folder / "lock", timeout=timeout_s + 30)
    try:
        lock.acquire()
    except Timeout as error:
        raise LocalDatabaseError(
            f"Another process has been starting or stopping the Neo4j of {folder.parent} for more than "
            f"{timeout_s + 30:.0f} s. Look for a hanging kg, end it, and try again."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _read_password(folder: Path) -> str:
    path = folder / "password"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise LocalDatabaseError(
            f"Cannot read {path} ({error.strerror}), the password of a running Neo4j. Put the file back."
        ) from error


def _read_home(folder: Path) -> tuple[str | None, int | None]:
    """The version of Neo4j that wrote the data, and the port kept for this home."""
    path = folder / "home.json"
    if not path.exists():
        return None, None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["neo4j"]), int(content["port"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalDatabaseError(f"{path} cannot be read. Delete it; kg writes it anew.") from error


def _write_home(folder: Path, running: _Running) -> None:
    if _read_home(folder) != (running.version, running.port):
        _write(folder / "home.json", json.dumps({"neo4j": running.version, "port": running.port}))


def _write(path: Path, text: str) -> None:
    """Write a file that is whole or not there, and never readable by others, not for an instant."""
    # mkstemp creates with mode 0600 before anything is written, and the rename keeps the mode.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise LocalDatabaseError(
            f"Cannot write {path} ({error.strerror}). Check the disk and its permissions."
        ) from error


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a running server rotates its files
            continue
    return total


# --- the machine ----------------------------------------------------------------------------------------------


def _environment() -> dict[str, str]:
    """The environment without settings for some other Neo4j."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}


def _machine_mb() -> int:
    """Memory of the machine, or of the container if that is less."""
    total: int = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        limit = "max"
    return min(total, int(limit) if limit.isdigit() else total) // 2**20


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
