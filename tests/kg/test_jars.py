"""Jars of a lock: where they come from, and what is said of one that is not what it should be."""

from __future__ import annotations

import functools
import gc
import http.server
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from kg import jars
from kg.errors import ChecksumError, JarError

pytestmark = pytest.mark.servers


@dataclass(frozen=True)
class Shelf:
    """A small Maven world: a repository to fill, a lock of two jars, and the files that a mirror serves."""

    repository: Path
    lock: Path
    mirror: Path

    @property
    def files(self) -> list[Path]:
        return [self.repository / jar.path for jar in jars.read_lock(self.lock)]

    def fetch(self, jar: jars.Jar, staging: Path) -> Path:
        staged = staging / jar.path
        staged.parent.mkdir(parents=True)
        shutil.copy(self.mirror / jar.path, staged)
        return staged

    def classpath(self) -> tuple[Path, ...]:
        return jars.classpath(self.lock, self.repository, fetch=self.fetch)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    entries = []
    for artifact, classifier in (("kernel", ""), ("epoll", "linux-x86_64")):
        jar = jars.Jar("org.shop", artifact, "1.0", classifier, sha256="")
        served = tmp_path / "mirror" / jar.path
        served.parent.mkdir(parents=True)
        served.write_bytes(f"the jar {artifact}".encode())
        entries.append(
            f'[[dependencies]]\ngroupId = "org.shop"\nartifactId = "{artifact}"\nversion = "1.0"\n'
            + (f'classifier = "{classifier}"\n' if classifier else "")
            + f'sha256 = "{jars.sha256(served)}"\n'
        )
    lock = tmp_path / "jgo.lock.toml"
    lock.write_text("\n".join(entries))
    return Shelf(tmp_path / "repository", lock, tmp_path / "mirror")


def test_missing_jars_are_fetched_to_where_maven_keeps_them(shelf: Shelf) -> None:
    folder = shelf.repository / "org" / "shop"
    assert shelf.classpath() == (
        folder / "kernel" / "1.0" / "kernel-1.0.jar",
        folder / "epoll" / "1.0" / "epoll-1.0-linux-x86_64.jar",
    )
    assert [file.read_bytes() for file in shelf.files] == [b"the jar kernel", b"the jar epoll"]
    assert not list((shelf.repository / ".shopgraph").glob("staging-*"))


def test_a_corrupted_jar_is_named_and_fetched_anew_once_deleted(shelf: Shelf) -> None:
    shelf.classpath()
    kernel = shelf.files[0]
    kernel.write_bytes(b"the jar kerneL")  # as long as before: only its time tells the stamp

    with pytest.raises(ChecksumError) as wrong:
        shelf.classpath()
    assert f"The file {kernel} is not the jar org.shop:kernel:1.0" in str(wrong.value)
    assert "Delete it and start again" in str(wrong.value)

    kernel.unlink()
    shelf.classpath()
    assert kernel.read_bytes() == b"the jar kernel"


def test_a_jar_served_wrong_never_reaches_the_repository(shelf: Shelf) -> None:
    (shelf.mirror / jars.read_lock(shelf.lock)[1].path).write_bytes(b"something else")
    with pytest.raises(ChecksumError, match=r"The jar org.shop:epoll:1.0:linux-x86_64 was served with sha256"):
        shelf.classpath()
    assert not shelf.files[1].exists()


def test_a_warm_start_reads_no_jar(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.classpath()
    hashed: list[Path] = []
    original = jars.sha256

    def counting(path: Path) -> str:
        hashed.append(path)
        return original(path)

    monkeypatch.setattr(jars, "sha256", counting)
    shelf.classpath()
    assert hashed == [shelf.lock]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # jgo leaves the answer "404" open
def test_jars_come_from_the_mirror_in_jgo_conf(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(shelf.mirror))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as mirror:
        conf = tmp_path / "jgo.conf"
        conf.write_text(f"[repositories]\ncentral = http://127.0.0.1:{mirror.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(conf))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        jars.classpath(shelf.lock, shelf.repository)
        (shelf.mirror / jars.read_lock(shelf.lock)[0].path).unlink()
        shelf.files[0].unlink()
        with pytest.raises(JarError, match=r"Cannot download org.shop:kernel:1.0.*\[repositories\]"):
            jars.classpath(shelf.lock, shelf.repository)
        mirror.shutdown()
    gc.collect()  # here, where the warning is expected
    assert shelf.files[1].read_bytes() == b"the jar epoll"
