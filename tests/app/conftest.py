"""``kg`` called as a user would, against the test run's Neo4j and a home of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kg import localdb
from kg.app import cli
from kg.store import GraphStore


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Kg = Callable[..., Answer]


@pytest.fixture
def kg(
    store: GraphStore,
    database: localdb.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Kg:
    """Run a command on the empty graph; KG_HOME is ``tmp_path / 'home'``."""
    monkeypatch.setenv("KG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NEO4J_URI", database.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", database.password)

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        try:
            cli.main([str(a) for a in arguments])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run


def lines(path: Path, *records: dict[str, Any]) -> Path:
    """A JSON Lines file of ``records``."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
