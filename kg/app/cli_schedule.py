"""``kg schedule``: the jobs by the clock, and their history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kg.app.printing import Json, err, show
from kg.settings import Settings
from kg.store import GraphStore

if TYPE_CHECKING:
    from kg.scheduler import Scheduler
    from kg.timetable import Scheduled

# Everything heavy is imported by the command that needs it, as in kg.app.cli.

app = typer.Typer(help="Run the jobs by the clock, and look at their history.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the jobs by the clock until stopped. Several processes may: each job still runs once."""
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        scheduler = _scheduler(store, settings)
        err.print(f"Running {', '.join(scheduler.jobs)} by the clock (UTC); Ctrl-C stops.")
        scheduler.run_forever()


@app.command("list")
def list_jobs(json: Json = False) -> None:
    """List the jobs and when each runs."""
    from kg import runs
    from kg.app import jobs
    from kg.app.session import open_store
    from kg.timetable import UNCHANGED, checked, describe

    settings = Settings.load()
    with open_store(settings) as store:
        paused, changes = runs.paused(store), runs.changes(store)
    set_now = {
        name: changes.get(name, UNCHANGED).of(job) for name, job in checked(jobs.scheduled_jobs(settings)).items()
    }
    described = describe(set_now, datetime.now(UTC), paused=paused)
    show([_row(item, json) for item in described], json)
    for item in described:
        if item.problem is not None:
            err.print(f"{item.name} is not run here. {item.problem} Set it anew: kg schedule set.", markup=False)


@app.command("trigger")
def trigger(
    job: Annotated[str, typer.Argument(help="Name of the job.")],
    chain: Annotated[bool, typer.Option("--chain", help="Go on with the jobs that follow it.")] = False,
    json: Json = False,
) -> None:
    """Run one job now, in this process, and record it."""
    from kg.app.session import open_store
    from kg.runs import Outcome

    settings = Settings.load()
    with open_store(settings) as store:
        runs = _scheduler(store, settings).trigger(job, chain=chain)
    _print_runs([run.as_dict() for run in runs], json)
    if any(run.outcome != Outcome.SUCCEEDED for run in runs):
        raise typer.Exit(1)


@app.command("pause")
def pause(job: Annotated[str, typer.Argument(help="Name of the job.")]) -> None:
    """Let the clock start a job no more, in whichever process, until `kg schedule resume`; a run goes on to its end."""
    _pause(job, True)


@app.command("resume")
def resume(job: Annotated[str, typer.Argument(help="Name of the job.")]) -> None:
    """Let the clock start a job again that was paused."""
    _pause(job, False)


@app.command("set")
def set_job(
    job: Annotated[str, typer.Argument(help="Name of the job.")],
    cron: Annotated[
        str | None, typer.Option(help='Start it by five cron fields: minute hour day month weekday, "30 3 * * 1-5".')
    ] = None,
    every: Annotated[str | None, typer.Option(help="Start it in intervals: 15m, 1h30m, 2d.")] = None,
    timezone: Annotated[str | None, typer.Option(help="In which cron fields count, such as Europe/Berlin.")] = None,
    retries: Annotated[int | None, typer.Option(min=0, help="Times that a failure is tried again.")] = None,
    backoff: Annotated[str | None, typer.Option(help="Wait before the first retry; it doubles.")] = None,
    timeout: Annotated[str | None, typer.Option(help="Longest time that a run may take.")] = None,
    grace: Annotated[str | None, typer.Option(help="By how much a run may be late; later it is left out.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Forget what was set before.")] = False,
    json: Json = False,
) -> None:
    """Set when and how a job runs, in every process; what is not named stays as it is."""
    from dataclasses import replace

    from kg import runs
    from kg.app.session import open_store
    from kg.errors import SchedulerError
    from kg.timetable import UNCHANGED, describe, duration

    if cron is not None and every is not None:
        raise SchedulerError("A job runs by --cron or --every: name one of the two.")
    times = {"every": every, "backoff": backoff, "timeout": timeout, "grace": grace}
    named: dict[str, Any] = {"cron": cron, "timezone": timezone, "retries": retries}
    named |= {name: None if text is None else duration(text) for name, text in times.items()}
    named = {name: value for name, value in named.items() if value is not None}
    # Of two triggers the one that was named last holds.
    named |= {"every": None} if cron is not None else {"cron": None} if every is not None else {}
    settings = Settings.load()
    with open_store(settings) as store:
        scheduler = _scheduler(store, settings)
        before = UNCHANGED if default else runs.changes(store).get(job, UNCHANGED)
        changed = scheduler.change(job, replace(before, **named))
        paused = runs.paused(store)
    show([_row(item, json) for item in describe({job: changed}, datetime.now(UTC), paused=paused)], json)


@app.command("history")
def history(limit: Annotated[int, typer.Option(min=1, help="Most runs to show.")] = 20, json: Json = False) -> None:
    """Show the latest runs, newest first."""
    from kg.app.session import open_store
    from kg.runs import history

    with open_store(Settings.load()) as store:
        runs = history(store, limit=limit)
    _print_runs([run.as_dict() for run in runs], json)


def _scheduler(store: GraphStore, settings: Settings) -> Scheduler:
    from kg.app import alerts, jobs, logs
    from kg.scheduler import Scheduler

    logs.configure()
    return Scheduler(store, jobs.scheduled_jobs(settings), alert=alerts.hook(settings))


def _row(job: Scheduled, json: bool) -> dict[str, Any]:
    """A problem is a sentence, which has no room in a table: it is said below."""
    return {name: value for name, value in job.as_dict().items() if json or name != "problem"}


def _pause(job: str, paused: bool) -> None:
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        _scheduler(store, settings).pause(job, paused)
    err.print(f"The clock {'leaves' if paused else 'starts'} {job} {'alone' if paused else 'again'}.")


def _print_runs(runs: list[dict[str, Any]], json: bool) -> None:
    shown = ("job", "outcome", "at", "seconds", "trigger", "attempt", "progress", "detail", "error")
    show(runs if json else [{name: run[name] for name in shown} for run in runs], json)
