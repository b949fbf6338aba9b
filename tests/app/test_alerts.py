"""The alert hook against a real HTTP server: what is posted, and that nothing it does hurts a run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import structlog

from kg.app import alerts
from kg.runs import JobRun, Outcome
from kg.settings import Settings

Posted = list[dict[str, object]]

RUN = JobRun(
    id="r1",
    job="train",
    outcome=Outcome.FAILED,
    at=datetime(2026, 3, 1, 2, tzinfo=UTC),
    trigger="chain",
    process="shop/1",
    slot=datetime(2026, 3, 1, 2, tzinfo=UTC),
    attempt=2,
    error="No memory left.",
)


@contextmanager
def server(status: int = 200, *, silent: threading.Event | None = None) -> Iterator[tuple[str, Posted]]:
    """A webhook: its URL, and what was posted to it. With ``silent`` it does not answer until that is set."""
    posted: Posted = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if silent is not None:
                silent.wait(60)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/secret-path", posted
        finally:
            running.shutdown()
            thread.join()


def test_a_run_is_posted_with_a_sentence_for_people() -> None:
    with server() as (url, posted):
        hook = alerts.hook(Settings.load({"KG_ALERT_WEBHOOK": url}))
        assert hook is not None
        hook(RUN)
    assert posted == [{"text": "Job train failed, attempt 2: No memory left.", "run": RUN.as_dict()}]


def test_without_a_setting_nobody_is_told() -> None:
    assert alerts.hook(Settings.load({})) is None


def test_a_hook_that_refuses_or_is_not_there_is_logged_without_its_address() -> None:
    with structlog.testing.capture_logs() as logs:
        with server(500) as (url, posted):
            alerts.post(url, RUN)
        assert len(posted) == 1
        alerts.post(url, RUN)  # nothing listens there any more
    assert [entry["error"] for entry in logs] == ["HTTPError", "URLError"]
    assert "secret-path" not in str(logs)


def test_a_hook_that_does_not_answer_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT_S", 0.2)
    silent = threading.Event()
    with structlog.testing.capture_logs() as logs, server(silent=silent) as (url, posted):
        alerts.post(url, RUN)
        while not posted:
            time.sleep(0.01)
        silent.set()
    assert logs
    assert {entry["log_level"] for entry in logs} == {"warning"}
