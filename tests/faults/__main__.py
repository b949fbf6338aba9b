"""``python -m tests.faults``: play many seeds, several at a time, and say which ones broke something.

    python -m tests.faults --runs 200        seeds 0 to 199 (``make faults``)
    python -m tests.faults --seed 17         one seed again
    python -m tests.faults --runs 20 --unfenced   without the fence: the check must find something
    python -m tests.faults --runs 0 --kills 100   followers of streams, killed as often (part of ``make faults``)
    python -m tests.faults --stream 4        one of their seeds again

Everything happens in a Neo4j of its own, under KG_HOME.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from kg import localdb
from kg.migrations import migrate
from kg.store import GraphStore
from tests.faults.plan import plan
from tests.faults.stream import KILLS, StreamReport, play_stream, stream_plan
from tests.faults.world import Report, in_the_shop, known, play, world_of


def main() -> int:
    """Play; 1 when a seed broke something."""
    arguments = _arguments()
    home = Path(os.environ.get("KG_HOME", ".kg/faults")).absolute()
    connection = localdb.start(home, heap_mb=512, page_cache_mb=128)
    began = time.monotonic()
    try:
        with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
            migrate(store)

            def one(seed: int) -> Report:
                with known(store, world_of(seed, connection, fenced=not arguments.unfenced)) as world:
                    report = play(store, world, plan(seed))
                say(_line(report), sys.stderr)
                return report

            with ThreadPoolExecutor(arguments.beside) as threads:
                reports = list(threads.map(one, arguments.seeds))
            played = [_stream(store, connection, seed, home) for seed in arguments.streams]
            if arguments.seeds and arguments.seed is None:
                world, killed = in_the_shop(connection)
                with known(store, world):
                    shop = play(store, world, killed)
                say(_line(shop), sys.stderr)
    finally:
        localdb.stop(home)
    summary: dict[str, object] = {"seconds": round(time.monotonic() - began, 1)}
    if reports:
        summary = _summary(reports) | summary
    if reports and arguments.seed is None:
        reports.append(shop)
        summary["takeover_in_the_shop_s"] = [round(seconds, 1) for seconds in shop.takeovers]
    if played:
        summary["streams"] = {
            "seeds": len(played),
            "kills": sum(len(one.plan.cuts) for one in played),
            "refused": sum(one.refused for one in played),
            "broken": sum(1 for one in played if one.differences),
        }
    say(json.dumps(summary), sys.stdout)
    differing = [one.plan.seed for one in played if one.differences]
    if differing:
        say(f"Broken: {differing}. Again: python -m tests.faults --stream {differing[0]}", sys.stderr)
    broken = [report.plan.seed for report in reports if report.violations]
    if broken:
        say(f"Broken: {broken}. Again: python -m tests.faults --seed {broken[0]}", sys.stderr)
    return 1 if broken or differing else 0


def _stream(store: GraphStore, connection: localdb.Connection, seed: int, home: Path) -> StreamReport:
    report = play_stream(store, connection, stream_plan(seed), home / "stream")
    head = (
        f"stream {seed}: {len(report.plan.cuts)} kills of a follower of {report.plan.kind}, {report.refused} refused, "
        f"{report.seconds:.1f} s"
    )
    say("\n   BROKEN: ".join([head, *report.differences]), sys.stderr)
    return report


def say(line: str, where: TextIO) -> None:
    """Print a line at once; several threads do."""
    where.write(line + "\n")
    where.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--runs", type=int, default=200, help="seeds from 0 on")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--kills", type=int, default=0, help="of followers of streams, beside those of schedulers")
    parser.add_argument("--stream", type=int, help="this seed of a stream alone")
    parser.add_argument("--beside", type=int, default=4, help="runs at a time")
    parser.add_argument("--unfenced", action="store_true", help="jobs write through the bare store")
    arguments = parser.parse_args()
    arguments.seeds = range(arguments.runs) if arguments.seed is None else [arguments.seed]
    arguments.streams = range(math.ceil(arguments.kills / KILLS))
    if arguments.stream is not None:
        arguments.seeds, arguments.streams = range(0), [arguments.stream]
    return arguments


def _line(report: Report) -> str:
    faults = " ".join(f"{fault.kind}@{fault.at:.1f}" for fault in report.plan.faults)
    head = (
        f"seed {report.plan.seed}: {report.plan.processes} processes, {faults}: {report.runs} runs, "
        f"{report.abandoned} abandoned, at work after {report.recovery_s:.1f} s, whole after {report.whole_s:.1f} s"
    )
    return "\n   BROKEN: ".join([head, *report.violations])


def _summary(reports: list[Report]) -> dict[str, object]:
    taken = sorted(seconds for report in reports for seconds in report.takeovers)
    return {
        "seeds": len(reports),
        "broken": sum(1 for report in reports if report.violations),
        "faults": sum(len(report.plan.faults) for report in reports),
        "runs": sum(report.runs for report in reports),
        "abandoned": sum(report.abandoned for report in reports),
        "longest_takeover_s": round(taken[-1], 1) if taken else 0.0,
        "longest_recovery_s": round(max(report.recovery_s for report in reports), 1),
        "longest_until_whole_s": round(max(report.whole_s for report in reports), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
