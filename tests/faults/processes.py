"""Where the processes that are killed come from: a server that has imported all that they need, which takes seconds."""

from __future__ import annotations

import multiprocessing
from typing import Final

context: Final = multiprocessing.get_context("forkserver")
# One list for all: whoever sets another before the server starts would undo it.
context.set_forkserver_preload(["tests.faults.worker", "tests.faults.stream", "kg.app.kafka", "embeddings.foldin"])
