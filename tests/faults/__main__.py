"""``python -m tests.faults``: play many seeds of each kind of fault, and say which ones broke something.

    python -m tests.faults                          all kinds, as often as each is worth (``make faults``)
    python -m tests.faults --kind network           one kind
    python -m tests.faults --kind network --seed 4  one seed again
    python -m tests.faults --runs 3                 so many seeds of each kind
    python -m tests.faults --kind disk --seed 50 --runs 9   seeds that nobody has played yet
    python -m tests.faults --kind scheduler --runs 20 --unfenced   without the fence: the check must find something

Everything happens in a Neo4j of its own, under KG_HOME. It ends with 1 when a seed broke something.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import structlog

from tests.faults.kinds import KINDS, scheduler
from tests.faults.outcome import Played, Scene, scene_at


def main() -> int:
    """Play; 1 when a seed broke something."""
    arguments = _arguments()
    # What is logged while something breaks is meant to be: the summary says what matters.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("neo4j").setLevel(logging.CRITICAL)
    home = Path(os.environ.get("KG_HOME", ".kg/faults")).absolute()
    began = time.monotonic()
    played: list[Played] = []
    with scene_at(home) as scene:
        for name in arguments.kinds:
            kind = KINDS[name]
            first = arguments.seed or 0
            count = arguments.runs or (kind.runs if arguments.seed is None else 1)
            seeds = range(first, first + count)
            beside = arguments.beside if kind.beside else 1
            played += _all(scene, name, seeds, beside, fenced=not arguments.unfenced)
    say(table(played), sys.stdout)
    say(f"{len(played)} runs in {(time.monotonic() - began) / 60:.1f} minutes", sys.stdout)
    broken = [one for one in played if one.complaints]
    for one in broken:
        say(f"Again: python -m tests.faults --kind {one.kind} --seed {one.seed}", sys.stderr)
    return 1 if broken else 0


def _all(scene: Scene, name: str, seeds: Iterable[int], beside: int, *, fenced: bool) -> list[Played]:
    def one(seed: int) -> Played:
        began = time.monotonic()
        try:
            found = KINDS[name].play(scene, seed) if fenced else scheduler(scene, seed, fenced=False)
        except Exception as error:  # a run that could not be played to its end is a broken one, and the next is played
            wrong = f"{type(error).__name__}: {error}"
            found = Played(name, seed, "not played to its end", (wrong,), 0.0, time.monotonic() - began)
        say(line(found), sys.stderr)
        return found

    with ThreadPoolExecutor(beside) as threads:
        return list(threads.map(one, seeds))


def line(one: Played) -> str:
    """One run in a line, and what is wrong below it."""
    head = f"{one.kind} {one.seed}: {one.said}; recovered after {one.recovery_s:.1f} s, {one.seconds:.1f} s in all"
    return "\n   BROKEN: ".join([head, *one.complaints])


def table(played: Sequence[Played]) -> str:
    """A line for each kind: runs, how many broke something, the longest recovery."""
    lines = [f"{'kind':<10} {'runs':>5} {'broken':>7} {'longest recovery':>17}"]
    for name in dict.fromkeys(one.kind for one in played):
        mine = [one for one in played if one.kind == name]
        longest_s = max(one.recovery_s for one in mine)
        lines.append(f"{name:<10} {len(mine):>5} {sum(bool(o.complaints) for o in mine):>7} {longest_s:>15.1f} s")
    return "\n".join(lines)


def say(text: str, where: TextIO) -> None:
    """Print it at once; several threads do."""
    where.write(text + "\n")
    where.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--kind", choices=KINDS, help="; ".join(f"{name}: {kind.doc}" for name, kind in KINDS.items()))
    parser.add_argument("--runs", type=int, help="so many seeds of each kind")
    parser.add_argument("--seed", type=int, help="the first seed, by itself the only one; with --kind")
    parser.add_argument("--beside", type=int, default=4, help="runs of schedulers at a time")
    parser.add_argument("--unfenced", action="store_true", help="with --kind scheduler: jobs write past their fence")
    arguments = parser.parse_args()
    if arguments.seed is not None and arguments.kind is None:
        parser.error("--seed is a seed of one kind: name it with --kind.")
    if arguments.unfenced and arguments.kind != "scheduler":
        parser.error("--unfenced goes with --kind scheduler.")
    arguments.kinds = list(KINDS) if arguments.kind is None else [arguments.kind]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
