"""``kg evaluate``: quality on what training never saw, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kg.app.printing import show
from kg.errors import KGError
from kg.settings import Settings

# Everything heavy is imported by the command that needs it, as in kg.app.cli.

app = typer.Typer(help="Measure quality on files that training never saw.", no_args_is_help=True)


@app.command("recommend")
def recommend(
    holdout: Annotated[Path, typer.Option(help="JSON Lines {user, sku}: what training did not see.")],
    k: Annotated[str, typer.Option(help="Cut-offs, separated by commas.")] = "10,20",
    no_known_filter: Annotated[
        bool, typer.Option("--no-known-filter", help="Rank what the user already has, too.")
    ] = False,
) -> None:
    """Rank all products for each held-out user through Cypher, exactly, and by the baselines; print JSON."""
    from kg.app import models
    from kg.app.session import open_store

    try:
        cutoffs = tuple(sorted({int(part) for part in k.split(",")}))
    except ValueError:
        raise KGError(f"--k {k!r}: expected whole numbers separated by commas, such as 10,20.") from None
    if not cutoffs or cutoffs[0] < 1:
        raise KGError(f"--k {k!r}: a cut-off is at least 1.")
    settings = Settings.load()
    with open_store(settings) as store:
        report = models.evaluate_recommend(store, settings, holdout, cutoffs, known_filter=not no_known_filter)
    show(report, True, "")


@app.command("explanations")
def explanations(
    rows: Annotated[int, typer.Option(min=1, help="Users drawn by chance, each with one recommendation.")] = 300,
) -> None:
    """Take away the edges that recommend/explain names, score again, and see whether scores fall; print JSON."""
    from kg.app import models
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = models.evaluate_explanations(store, settings, rows)
    show(report, True, "")


@app.command("extraction")
def extraction(
    gold: Annotated[Path, typer.Option(help="Marked texts that training did not see.")],
    format: Annotated[Literal["pave", "ae", "aste"], typer.Option(help="Format of the file.")],
) -> None:
    """Compare what `kg train-extraction` learned with gold labels, counting as the benchmark does; print JSON."""
    from kg.app import jobs

    show(jobs.evaluate_extraction(Settings.load(), gold, format), True, "")


@app.command("search")
def search(
    judgments: Annotated[Path, typer.Option(help="JSON Lines {query, sku, relevance}, also .gz.")],
) -> None:
    """Search for every judged query and compare: pairwise accuracy, NDCG@10 of the judged, recall@50; print JSON."""
    from kg.app.search import evaluate_search as evaluated
    from kg.app.search import read_judgments
    from kg.app.session import open_store, progress_bar

    settings = Settings.load()
    rows = list(read_judgments(judgments))
    total = len({row.query for row in rows})
    with open_store(settings) as store, progress_bar("Searching", unit="queries", total=total) as advance:
        report = evaluated(store, settings, rows, progress=advance)
    show(report, True, "")


@app.command("insight")
def insight(
    days: Annotated[int, typer.Option(min=1, max=365, help="How far ahead purchases of a category are foretold.")] = 30,
    weeks: Annotated[int, typer.Option(min=1, max=26, help="How far ahead sales are foretold.")] = 4,
) -> None:
    """Foretell the graph's latest days and weeks from those before: chances and forecasts beside what came; JSON."""
    import numpy as np

    from embeddings.backtest import forecast_report, intent_report
    from embeddings.intent import read_market
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        intent = intent_report(read_market(store, np.random.default_rng(settings.seed)), days=days)
        show({"purchase_intent": intent, "demand_forecast": forecast_report(store, weeks=weeks)}, True)
