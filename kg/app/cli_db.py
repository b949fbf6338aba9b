"""``kg db``: the Neo4j that kg runs itself."""

from __future__ import annotations

import typer

from kg.app.printing import Json, show
from kg.errors import KGError
from kg.settings import Settings

# Everything heavy is imported by the command that needs it, as in kg.app.cli.

app = typer.Typer(help="The Neo4j that kg runs itself, without Docker.", no_args_is_help=True)


@app.command("start")
def start(json: Json = False) -> None:
    """Start the local Neo4j of this home, or find it running."""
    from kg.app.session import start_local

    settings = Settings.load()
    if not settings.runs_local_database:
        raise KGError(f"NEO4J_URI is set to {settings.neo4j_uri}: kg runs no Neo4j of its own. Unset it to let it.")
    connection = start_local(settings)
    password = settings.home / "neo4j" / "password"
    where = {
        "uri": connection.uri,
        "username": connection.username,
        "password_file": str(password),
        "pid": connection.pid,
    }
    show(where, json, f"Neo4j answers at {connection.uri}, user {connection.username}, password in {password}.")


@app.command("stop")
def stop(json: Json = False) -> None:
    """Stop the local Neo4j of this home; the data stay."""
    from kg import localdb

    stopped = localdb.stop(Settings.load().home)
    show({"stopped": stopped}, json, "Stopped." if stopped else "It was not running.")


@app.command("status")
def status(json: Json = False) -> None:
    """Say whether a Neo4j answers, and where."""
    from kg import localdb
    from kg.app.session import open_store

    settings = Settings.load()
    if not settings.runs_local_database:
        with open_store(settings, migrated=False) as store:
            show({"running": True, "uri": store.uri}, json, f"Neo4j answers at {store.uri} (NEO4J_URI).")
        return
    local = localdb.status(settings.home)
    words = (
        f"Neo4j {local.version} answers at {local.uri}, process {local.pid}."
        if local.running
        else "The local Neo4j is not running; any command that needs it starts it."
    )
    shown = {name: getattr(local, name) for name in ("running", "pid", "uri", "version", "heap_mb", "page_cache_mb")}
    shown |= {"username": "neo4j", "password_file": str(settings.home / "neo4j" / "password")}
    show(shown, json, f"{words} {local.note or ''}".strip())
    if not local.running:
        raise typer.Exit(3)
