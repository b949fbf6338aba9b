"""htmx out of its package, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.app.web.script import LOCK, htmx


def test_it_is_the_script_that_the_lock_names() -> None:
    script = htmx()
    assert script is not None
    assert b'version:"2.0.10"' in script
    assert 'version = "2.0.10"' in LOCK.read_text()


def test_another_file_than_the_locked_one_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = tmp_path / "htmx.lock.toml"
    lock.write_text(LOCK.read_text().replace('sha256 = "', 'sha256 = "0')[:-2] + '"\n')
    assert htmx(lock) is None
    assert "Pages are served without htmx." in caplog.text
