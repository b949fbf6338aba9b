"""The commands of the model: train it, teach it what changed, search its settings, make it live, go back."""

from __future__ import annotations

from typing import Annotated

import typer

from kg.app.options import pairs
from kg.app.printing import Json, out, short, show
from kg.settings import Settings

# Everything heavy is imported by the command that needs it, as in kg.app.cli.

app = typer.Typer()


@app.command()
def train(
    seed: Annotated[int | None, typer.Option(help="Seed; by default KG_SEED.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=2, max=1024, help="Width of the embeddings; 64.")] = None,
    base: Annotated[
        str | None,
        typer.Option("--from", help="Go on from this checkpoint (`live`: the live one): quick, and chooses nothing."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, a setting of embeddings/settings.py; again for each."),
    ] = None,
    json: Json = False,
) -> None:
    """Train the graph network on the graph as it stands; the checkpoint waits for `kg promote`."""
    from kg.app import models
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = models.train(
            store, settings, seed=seed, dimensions=dimensions, base=base, changes=pairs("--set", changes)
        )
    how = f"going on from {report['based_on']}" if base else f"validation {short(report['metrics'])}"
    show(report, json, f"Trained {report['version']}; {how}.")


@app.command()
def learn(json: Json = False) -> None:
    """Teach the live model, in its place, what has changed since it last learned; nothing is chosen anew.

    The whole graph is read, but only what changed is trained and written. Repeat it at will: without a change it
    writes nothing.
    """
    from kg.app import models
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = models.learn(store, settings)
    show(
        report,
        json,
        f"{report['version']} has learned of {report['users']} users and {report['products']} products: "
        f"{report['vectors']} vectors and {report['relations']} relations were written.",
    )


@app.command()
def tune(
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier searches included.")] = 50,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="After which no further trial begins.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=2, max=1024, help="Width of the embeddings; 64.")] = None,
    json: Json = False,
) -> None:
    """Search the network's settings on validation splits of the graph; the same again goes on where it was."""
    from kg.app import models
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = models.tune(store, settings, trials=trials, minutes=minutes, dimensions=dimensions)
    if json:
        show(report, True)
        return
    out.print(
        f"Best of {report['trials']}: {report['best']:.4f}, {report['difference']:+.4f} ± {report['error']:.4f} beside "
        f"the default's {report['default']:.4f}.",
        markup=False,
    )
    out.print(f"kg train {report['options']}".rstrip(), markup=False)


@app.command()
def promote(
    version: Annotated[str | None, typer.Argument(help="Checkpoint; by default the newest.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Though it is worse than the live one; unmeasured.")] = False,
    json: Json = False,
) -> None:
    """Write a checkpoint's vectors and relations beside the live ones, then switch in one transaction.

    A model that is worse on validation than the live one, beyond chance, is refused.
    """
    from kg.app import models
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = models.promote(store, settings, version, force=force)
    why = f" ({report['gate']['reason']})" if report["gate"] else ""
    show(report, json, f"{report['version']} is live in slot {report['slot']}{why}.")


@app.command()
def rollback(json: Json = False) -> None:
    """Make the model that was live before live again."""
    from embeddings import registry
    from kg.app.session import open_store

    with open_store(Settings.load()) as store:
        version = registry.rollback(store)
    show({"version": version}, json, f"{version} is live again.")
