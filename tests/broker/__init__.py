"""A real Kafka broker for tests, in KRaft mode: its jars by a lock like Neo4j's, its folder and ports its own."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kg import jars
from kg.localdb.java import find_java

LOCK = Path(__file__).with_name("jgo.lock.toml")
PATIENCE_S = 120

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
num.network.threads=1
num.io.threads=2
background.threads=2
log.cleaner.enable=false
"""

META = """version=1
cluster.id={cluster}
node.id=1
directory.id={directory}
"""
"""What `kafka-storage format` would write, in a process of Java less."""


@dataclass
class Broker:
    """A broker that runs."""

    address: str
    command: tuple[str, ...]
    console: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def started(cls, address: str, command: tuple[str, ...], console: Path) -> Broker:
        with console.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        return cls(address, command, console, process)

    def wait(self) -> None:
        """Until it answers."""
        _wait_until_it_answers(self.address, self.process, self.console)

    def kill(self) -> None:
        """It is gone."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def start_again(self) -> None:
        """Where it was, with what it had; return when it answers."""
        self.process = Broker.started(self.address, self.command, self.console).process
        self.wait()

    def freeze(self) -> None:
        """It answers nobody any more."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def broker(home: Path) -> Iterator[Broker]:
    """A broker with nothing in it, killed in the end: what it has is nobody's."""
    shutil.rmtree(home, ignore_errors=True)
    data = home / "data"
    data.mkdir(parents=True)
    port, controller = _free_ports(2)
    (data / "meta.properties").write_text(META.format(cluster=_uuid(), directory=_uuid()))
    properties = home / "server.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, data=data))
    classpath = ":".join(str(jar) for jar in jars.classpath(LOCK))
    java = [str(find_java().executable), "-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command = (*java, "-cp", classpath, "kafka.Kafka", str(properties))
    running = Broker.started(f"127.0.0.1:{port}", command, home / "console.log")
    try:
        running.wait()
        yield running
    finally:
        running.process.kill()
        running.process.wait(PATIENCE_S)
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], console: Path) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": address, "log_level": 0, "error_cb": lambda _: None})
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, console.read_text()[-2000:]
        try:
            if admin.list_topics(timeout=1.0).brokers:
                return
        except KafkaException:
            continue
    raise AssertionError(console.read_text()[-2000:])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _uuid() -> str:
    return urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A")
