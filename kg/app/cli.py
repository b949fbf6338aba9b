"""The command ``kg``: each command reads the settings once, calls one function, and prints what came back.

Data goes to standard output (with ``--json`` as one JSON value), everything else
to standard error. An expected failure is one paragraph and exit code 1; a bug
shows its traceback.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
import typer

from kg.app import cli_benchmark, cli_db, cli_evaluate, cli_models, cli_schedule
from kg.app.options import pairs
from kg.app.printing import Json, err, out, show
from kg.errors import KGError, QueryError
from kg.settings import Settings

# Everything heavy (torch, spaCy, transformers) is imported by the command that needs it: `kg query` must not
# wait seconds for libraries that it does not use.

app = typer.Typer(
    name="kg",
    help="A knowledge graph of a shop, kept in Neo4j and served by Cypher.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_db.app, name="db")
app.add_typer(cli_models.app)
app.add_typer(cli_evaluate.app, name="evaluate")
app.add_typer(cli_schedule.app, name="schedule")
app.add_typer(cli_benchmark.app, name="benchmark")

Files = Annotated[list[Path], typer.Argument(help="JSON Lines, CSV or Parquet, also .gz.", show_default=False)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``kg``; the entry point of the distribution."""
    # The driver tries again what can be tried again and logs each failure; what remains reaches the user as an error.
    logging.getLogger("neo4j").setLevel(logging.CRITICAL)
    # torch-geometric still calls what torch has deprecated; that is between the two of them.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\b")
    try:
        app(args=arguments)
    except KGError as error:
        err.print(f"kg: {error}", style=None, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("kg: stopped. What was committed is in the graph; run the same command again to go on.")
        sys.exit(130)


@app.command()
def init(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the Cypher and change nothing.")] = False,
) -> None:
    """Make the constraints and indexes; what is there already stays."""
    from kg.app.session import open_store
    from kg.migrations import migrate

    with open_store(Settings.load(), migrated=False) as store:
        pending = migrate(store, dry_run=dry_run)
    if dry_run:
        for migration in pending:
            out.print(f"// {migration.id}", markup=False)
            for statement in migration.statements:
                out.print(f"{statement};\n", markup=False)
        return
    names = ", ".join(m.id for m in pending)
    err.print(f"Applied {names}." if pending else "The schema is up to date.", markup=False)


# --- text in -------------------------------------------------------------------------------------------------


@app.command()
def ingest(
    kind: Annotated[
        Literal["products", "reviews", "events", "users", "all"],
        typer.Argument(help="What the files hold; `all` where records are posted."),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            help="JSON Lines, CSV or Parquet, also .gz; with --follow one folder, http://HOST:PORT to which records "
            "are posted, or kafka://HOST:PORT/TOPIC.",
            show_default=False,
        ),
    ],
    format: Annotated[Literal["native", "amazon"], typer.Option(help="docs/data.md describes both.")] = "native",
    rejects: Annotated[
        Path | None, typer.Option(help="Where bad records go; by default rejects.jsonl in KG_HOME.")
    ] = None,
    max_rejects: Annotated[int | None, typer.Option(min=0, help="Stop when more records than this are bad.")] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Make products that the files lack inactive, if no record was rejected.")
    ] = False,
    create_missing: Annotated[
        bool, typer.Option("--create-missing", help="Make a product for an event whose sku is unknown.")
    ] = False,
    related: Annotated[
        bool, typer.Option("--related/--no-related", help="Make the relations to other products that the file names.")
    ] = True,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Load what comes until stopped: what is appended to the .jsonl files of a folder, is posted, or "
            "stands in a topic.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Load a shop's files. Loading twice equals loading once; bad records go to a file with their reason."""
    from kg.app import jobs
    from kg.app.session import open_store

    if sync and kind != "products":
        raise KGError(f"--sync compares product files with the catalogue; it means nothing for {kind}.")
    settings = Settings.load()
    if follow:
        if len(files) != 1 or format != "native" or sync or max_rejects is not None or not related:
            raise KGError(
                "--follow takes one folder, http:// or kafka:// address, and of the other options --rejects and "
                "--create-missing."
            )
        _follow(settings, kind, files[0], rejects, create_missing)
        return
    if kind == "all":
        raise KGError("Files hold records of one kind: products, reviews, events or users. `all` is for http://.")
    with open_store(settings) as store:
        report = jobs.ingest(
            store,
            settings,
            kind,
            [Path(file) for file in files],
            format=format,
            rejects=rejects,
            max_rejects=max_rejects,
            sync=sync,
            create_missing=create_missing,
            related=related,
        )
    words = [f"{report.loaded} {kind} loaded"]
    if report.unchanged_events:
        words.append(f"{report.unchanged_events} of them known before")
    if report.unknown_targets:
        words.append(f"{report.unknown_targets} relations to products outside the catalogue not made")
    if report.unknown_kinds:
        words.append(f"{report.unknown_kinds} relations of a kind that docs/data.md does not name left out")
    if report.deactivated:
        words.append(f"{report.deactivated} products made inactive")
    words.append(f"{report.rejected} rejected" + (f" ({report.rejects})" if report.rejected else ""))
    show(report.as_dict(), json, ", ".join(words) + ".")
    for reason, count in list(report.reasons.items())[:5]:
        err.print(f"  {count} × {reason}", markup=False)
    if report.sync_left_out:
        why = f"{report.rejected} records were rejected" if report.rejected else "the files hold no products"
        err.print(
            f"--sync made no product inactive, because {why}: products that are on sale could be among those that the "
            "files lack. Correct the files and load them again.",
            markup=False,
        )
        raise typer.Exit(1)


def _follow(
    settings: Settings,
    kind: Literal["products", "reviews", "events", "users", "all"],
    source: str,
    rejects: Path | None,
    create_missing: bool,
) -> None:
    """By the kind of source."""
    from kg.app import logs
    from kg.app.session import open_store
    from kg.scheduler import until_signalled

    logs.configure()
    rejects = rejects or settings.home / f"rejects-{kind}.jsonl"
    if source.startswith(("http://", "https://")):
        _receive(settings, kind, source, rejects, create_missing)
        return
    if kind == "all":
        raise KGError("A folder or a topic holds records of one kind: products, reviews, events or users.")
    with open_store(settings) as store, until_signalled() as stopped:
        err.print(f"Following {source}; Ctrl-C stops. Bad records go to {rejects}.", markup=False)
        if source.startswith("kafka://"):
            from kg.app.kafka import Topic, follow_topic

            topic = Topic.of(source, kind, rejects, create_missing=create_missing)
            follow_topic(store, settings, topic, stopped)
        else:
            from kg.app.follow import Source, follow

            follow(store, settings, Source(kind, Path(source), rejects, create_missing), stopped)


def _receive(
    settings: Settings,
    kind: Literal["products", "reviews", "events", "users", "all"],
    address: str,
    rejects: Path,
    create_missing: bool,
) -> None:
    from kg.app.receive import KINDS, receive
    from kg.app.server import address_of, listening_at, require_keys
    from kg.app.session import open_store

    host, port = _host_and_port(address)
    kinds = KINDS if kind == "all" else (kind,)
    keys = [key.get_secret_value() for key in settings.ingest_keys]
    require_keys(host, keys, "KG_INGEST_KEYS")
    # Taken before Neo4j is started, which is slow: a port that is taken is told at once.
    with listening_at(host, port) as listening, open_store(settings) as store:
        taken = ", ".join(f"/{one}" for one in kinds)
        err.print(
            f"Taking records by POST at {address_of(host, listening)}{taken}, "
            f"{'with API keys' if keys else 'from this machine alone'}; Ctrl-C stops. Bad records go to {rejects}.",
            markup=False,
        )
        receive(store, settings, listening, kinds=kinds, rejects=rejects, create_missing=create_missing)


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    if parts.scheme != "http" or not parts.hostname or parts.port is None or parts.path not in ("", "/"):
        raise KGError(f"{address}: expected http://HOST:PORT to listen at. For TLS put a proxy before it.")
    return parts.hostname, parts.port


@app.command()
def remove(
    kind: Annotated[Literal["products", "reviews", "documents", "sources"], typer.Argument(help="What to remove.")],
    keys: Annotated[
        list[str], typer.Argument(help="Skus, ids of reviews or documents, or names of sources.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Remove records, with exactly what they alone supported: facts, evidence, brands, shelves, users' interest."""
    from kg.app.session import open_store
    from kg.removal import remove as removed

    with open_store(Settings.load()) as store:
        report = removed(store, kind, keys)
    show(
        {"found": report.found, "users": len(report.users), "products": len(report.products)},
        json,
        f"{report.found} of {len(keys)} {kind} removed; {len(report.users)} users and {len(report.products)} products "
        "had to do with them.",
    )


@app.command()
def holdout(
    file: Annotated[Path, typer.Argument(help="Reviews or events, JSON Lines or CSV, also .gz.")],
    remaining: Annotated[Path, typer.Option(help="Gets the other lines, unchanged.")],
    pairs: Annotated[Path, typer.Option(help="Gets {user, sku} of each user's last record.")],
    format: Annotated[Literal["native", "amazon"], typer.Option(help="Format of the file.")] = "native",
    json: Json = False,
) -> None:
    """Hold out each user's last review or purchase (the greatest by time, then sku) for `kg evaluate recommend`.

    Whatever else the user did with that product, such as the look before the purchase, is left out as well.
    """
    from extraction.corpus import split_last

    summary = split_last(file, remaining=remaining, holdout=pairs, format=format)
    show(
        {"remaining": summary.remaining, "held_out": summary.held_out, "traces": summary.traces},
        json,
        f"{summary.remaining} records remain in {remaining}, {summary.held_out} are held out in {pairs}, "
        f"{summary.traces} more of the same users and products are in neither.",
    )


@app.command()
def extract(
    everything: Annotated[
        bool, typer.Option("--all", help="Read all texts again, to find names that the catalogue has learnt since.")
    ] = False,
    json: Json = False,
) -> None:
    """Read facts out of every text that is new or changed, each with its evidence."""
    from kg.app import jobs
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        report = jobs.extract(store, settings, everything=everything)
    show(
        report.as_dict(),
        json,
        f"{report.documents} texts read, {report.facts} facts found, {report.rejected} candidates dropped, "
        f"{report.vectors} products encoded.",
    )


@app.command("train-extraction")
def train_extraction(
    files: Annotated[list[Path] | None, typer.Argument(help="Marked texts.", show_default=False)] = None,
    format: Annotated[Literal["pave", "ae", "aste"] | None, typer.Option(help="Format of the files.")] = None,
    from_corrections: Annotated[
        Path | None,
        typer.Option(help="Corrections, JSON Lines `text, attribute, value or null, start, end`, to learn instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Learn from marked texts; the result becomes part of this KG_HOME's extractor. Several calls add up."""
    from kg.app import jobs

    if from_corrections is not None and not files:
        report = jobs.correct_extraction(Settings.load(), from_corrections)
    elif files and format is not None and from_corrections is None:
        report = jobs.train_extraction(Settings.load(), files, format)
    else:
        raise KGError("Give either files and their --format, or --from-corrections FILE.")
    words = f"Learned from {report['read']} texts, {report['examples']} with those before; kept in {report['folder']}."
    show(report, json, words)


@app.command("suggest-corrections")
def suggest_corrections(
    file: Annotated[Path, typer.Argument(help="Texts with the attributes to ask; marked values are not looked at.")],
    format: Annotated[Literal["pave", "ae"], typer.Option(help="Format of the file.")],
    limit: Annotated[int, typer.Option(min=1, help="Questions to print.")] = 20,
) -> None:
    """Print the questions of which the trained extractor is least certain, as lines for `--from-corrections`."""
    from kg.app import jobs

    for row in jobs.suggest_corrections(Settings.load(), file, format, limit):
        typer.echo(orjson.dumps(row).decode())


@app.command()
def why(
    fact: Annotated[str, typer.Argument(help="Id of the fact: the property `fact` of the relationship.")],
    json: Json = False,
) -> None:
    """Show the evidence for an extracted fact: which text says so, where, and who read it."""
    from kg import provenance
    from kg.app.session import open_store

    with open_store(Settings.load()) as store:
        found = provenance.why(store, fact)
    if not found:
        raise QueryError(
            f"No fact {fact!r} in this graph. `kg query product/why --param sku=…` lists the facts of a product."
        )
    if json:
        show([t.as_dict() for t in found], json)
        return
    first = found[0]
    out.print(f"{first.title or first.sku} {first.type or '(no longer asserted)'} {first.object or ''}", markup=False)
    for t in found:
        out.print(f"\n  …{t.before}«{t.quote}»{t.after}…".replace("\n", " "), markup=False)
        out.print(
            f"  {t.document} [{t.start}:{t.end}]  confidence {t.confidence:.2f}  "
            f"{t.extractor} {t.version}  {t.at:%Y-%m-%d %H:%M}",
            markup=False,
        )


# --- questions -----------------------------------------------------------------------------------------------


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What a customer would type.")],
    user: Annotated[str | None, typer.Option(help="Whose taste orders the best rows anew.")] = None,
    category: Annotated[str | None, typer.Option(help="Path of a category, its sub-categories included.")] = None,
    brand: Annotated[str | None, typer.Option(help="Key of a brand.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Key of an attribute value, material=leather; again for each.")
    ] = None,
    min_price: Annotated[float | None, typer.Option(help="Cheapest price.")] = None,
    max_price: Annotated[float | None, typer.Option(help="Dearest price.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 20,
    json: Json = False,
) -> None:
    """Search the catalogue: spelling corrected, by words and by meaning; the query is search/products."""
    from kg.app.search import Searcher
    from kg.app.session import open_store, pseudonym_of

    settings = Settings.load()
    with open_store(settings) as store:
        searcher = Searcher(store, settings)
        (prepared,) = searcher.prepare([text])
        rows = searcher.run(
            prepared,
            user=pseudonym_of(settings)(user) if user is not None else None,
            category=category,
            brand=brand,
            attributes=attribute or [],
            min_price=min_price,
            max_price=max_price,
            limit=limit,
        )
    if prepared.corrected != text and not json:
        err.print(f"Searched for {prepared.corrected}.", markup=False)
    show(list(rows), json)
    if not rows and not json:
        err.print("No rows.")


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="A customer's question, in English.")],
    sku: Annotated[list[str] | None, typer.Option(help='A product that "it" or "these" means; again for each.')] = None,
    json: Json = False,
) -> None:
    """Answer a customer's question from the graph, with the sentences that say so, or say that it is not known."""
    from kg.app.ask import Asker
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        answer = Asker(store, settings).ask(question, sku or ())
    show(answer.as_dict(), json, answer.text)
    for fact in () if json else answer.facts:
        if fact.quote is not None:
            out.print(f"  “{fact.sentence}” ({fact.document} [{fact.start}:{fact.end}])", markup=False)


@app.command()
def query(
    name: Annotated[str | None, typer.Argument(help="Name, such as recommend/for_user; none lists them all.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE, again for each.")] = None,
    json: Json = False,
) -> None:
    """Run a query of the catalogue in cypher/, read-only, limited in time and rows."""
    from kg import catalogue
    from kg.app.session import open_store, pseudonym_of

    queries = catalogue.load()
    if name is None:
        show([{"name": q.name, "title": q.title} for q in queries.values()], json)
        return
    found = catalogue.find(name, queries)
    given: dict[str, Any] = pairs("--param", param)
    settings = Settings.load()
    given = catalogue.with_pseudonyms(found, given, pseudonym_of(settings))
    with open_store(settings) as store:
        rows = catalogue.run(store, found, given, timeout_s=settings.query_timeout_s, max_rows=settings.query_max_rows)
        notice = catalogue.notice(store, found, given, rows)
    show(list(rows), json)
    if rows.truncated:
        err.print(f"Only the first {len(rows)} rows are shown (KG_QUERY_MAX_ROWS).")
    if notice is not None:
        err.print(notice if rows else f"No rows. {notice}", markup=False)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; another than loopback needs KG_API_KEYS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 for a free one.")] = 8000,
) -> None:
    """Answer the queries of the catalogue over HTTP until stopped; docs/api.md describes it."""
    from kg.app import server

    server.serve(Settings.load(), host, port, lambda words: err.print(words, markup=False))


@app.command()
def demo() -> None:
    """Run the whole main job on the bundled synthetic shop and show what came of it."""
    from kg.app.demo import run

    run(Settings.load(), out)


if __name__ == "__main__":
    main()
