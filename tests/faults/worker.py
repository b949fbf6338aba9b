"""A scheduler process, as the faults meet it: two tiny jobs, the second following the first.

Processes are forked from one that has imported all this already (``multiprocessing``'s fork server): a run starts a
dozen of them, and Python would take a second of a core for each.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import structlog

from kg.errors import StoreError
from kg.runs import JobRun
from kg.scheduler import Scheduler
from kg.store import GraphStore
from kg.timetable import Job
from tests.faults.clock import shift_clock

MARK = """
MATCH (lease:Lease {name: $job})
CREATE (:FaultMark {job: $job, call: $call, process: $process, holder: lease.holder, token: lease.token})
"""


@dataclass(frozen=True, slots=True)
class World:
    """What a scheduler process is told. Jobs have names of their own in each run, so that runs share one graph."""

    uri: str
    username: str
    password: str
    name: str
    interval: timedelta
    ttl: timedelta
    tick: timedelta
    work_s: float
    """How long the first job takes, between its two writes."""
    fenced: bool = True
    """Without the fence the check must find something: that shows that it looks."""
    skews: tuple[timedelta, ...] = (timedelta(0),)
    """By how much the clocks of the processes are ahead, place by place."""

    @property
    def beat(self) -> str:
        """The job that the clock starts: each multiple of the interval is a slot."""
        return f"{self.name} beat"

    @property
    def follow(self) -> str:
        """The job that follows it."""
        return f"{self.name} follow"

    def jobs(self, unfenced: GraphStore) -> tuple[Job, Job]:
        """Both."""

        def beat(store: GraphStore) -> None:
            call = {"job": self.beat, "call": uuid.uuid4().hex, "process": f"{socket.gethostname()}/{os.getpid()}"}
            for pause_s in (self.work_s, 0.0):
                (store if self.fenced else unfenced).write(MARK, **call)
                time.sleep(pause_s)

        return (
            # Coalescing would leave slots out where processes are late; here none may be missing.
            Job(name=self.beat, run=beat, trigger=self.interval, coalesce=False),
            Job(name=self.follow, run=lambda _: None, after=(self.beat,)),
        )


def serve(world: World, place: int, gate: Barrier | None) -> None:
    """Run the jobs by the clock until SIGTERM; begin again, as a supervisor lets it, where the database is away at the
    start.

    Args:
        gate: is waited at with those that begin together.
    """
    shift_clock(world.skews[place % len(world.skews)])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable()
    while True:
        try:
            with GraphStore.connect(world.uri, world.username, world.password) as store:
                if gate is not None:
                    gate.wait()
                    gate = None
                Scheduler(store, world.jobs(store), ttl=world.ttl, tick=world.tick, alert=_nobody).run_forever()
        except StoreError:
            time.sleep(0.1)
        else:
            return


def _nobody(_: JobRun) -> None:
    pass
