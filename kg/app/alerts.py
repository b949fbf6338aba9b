"""Who is told when a scheduled job goes wrong: a webhook, to which each such run is posted as JSON.

What answers, late or not at all, or with an error, never hurts a run: the post is
made in a thread of its own, waited for a little, tried once, and a failure logged.
"""

from __future__ import annotations

import threading
import urllib.request
from typing import Any, Final

import orjson
import structlog

from kg.runs import JobRun
from kg.scheduler import Alert
from kg.settings import Settings

log = structlog.get_logger()

TIMEOUT_S: Final = 5.0
"""How long the hook has to answer; a process that ends after its run waits so long."""


def hook(settings: Settings) -> Alert | None:
    """The alert of these settings; None where no webhook is set."""
    if settings.alert_webhook is None:
        return None
    url = settings.alert_webhook.get_secret_value()
    return lambda run: post(url, run)


def post(url: str, run: JobRun) -> None:
    """Post one run to a webhook."""
    _deliver(url, message(run), run.job)


def _deliver(url: str, body: dict[str, Any], job: str) -> None:
    thread = threading.Thread(target=_post, args=(url, body), name="kg-alert", daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    if thread.is_alive():
        log.warning("the alert webhook does not answer; the run goes on without it", job=job)


def tell(settings: Settings, text: str) -> None:
    """Post a sentence to the webhook of these settings, if there is one: of a decision, which is no failed run."""
    if settings.alert_webhook is not None:
        _deliver(settings.alert_webhook.get_secret_value(), {"text": text}, "no run")


def message(run: JobRun) -> dict[str, Any]:
    """What is posted: a sentence under ``text``, where chat services look for it, and the run."""
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    return {"text": f"Job {run.job} {run.outcome}{attempt}: {run.error}", "run": run.as_dict()}


def _post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, orjson.dumps(body), {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors; ValueError is a malformed URL
        # The URL may hold a secret, and messages of ValueErrors hold the URL.
        log.warning("the alert webhook failed; the run goes on without it", error=type(error).__name__)
