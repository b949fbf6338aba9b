"""Imports point one way: the contracts of ``pyproject.toml``, checked, and complete."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("kg", "extraction", "embeddings")
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def test_the_contracts_are_kept() -> None:
    # In a process of its own: it disables every logger that is there, and other tests read what is logged.
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    linter = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linter.returncode == 0, linter.stdout + linter.stderr


def test_every_module_of_kg_has_its_layer() -> None:
    (layers,) = [contract["layers"] for contract in LINTER["contracts"] if contract["type"] == "layers"]
    placed = {module.strip() for layer in layers for module in layer.split("|")}
    modules = {f"kg.{path.stem}" for path in (ROOT / "kg").iterdir() if path.suffix == ".py" or is_package(path)}
    assert modules - {"kg.__init__"} - placed == set()


def is_package(path: Path) -> bool:
    return (path / "__init__.py").is_file()


@pytest.mark.parametrize(("package", "only"), [("neo4j", "kg/store.py"), ("py2neo", "kg/notebook.py")])
def test_one_module_alone_imports(package: str, only: str) -> None:
    """The contracts list modules by name; this finds one that they forget, and imports inside functions too."""
    importing = {
        path.relative_to(ROOT).as_posix()
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*.py")
        if package in imported(path)
    }
    assert importing == {only}


def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add((node.module or "").partition(".")[0])
    return packages


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "sly.py"
    module.write_text("def f():\n    from neo4j.exceptions import Neo4jError\n    import numpy as np\n")
    assert imported(module) == {"neo4j", "numpy"}
