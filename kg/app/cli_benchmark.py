"""``kg benchmark``: each command measures one thing and prints the table that docs/benchmark.md holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kg.app.printing import Json, err, show
from kg.errors import KGError
from kg.settings import Settings

# Everything heavy is imported by the command that needs it, as in kg.app.cli.

app = typer.Typer(
    help="Measure speed and quality; each prints the table that docs/benchmark.md holds.", no_args_is_help=True
)


@app.command("load")
def load(
    products: Annotated[int, typer.Option(min=1, help="Products to load.")] = 20_000,
    events: Annotated[int, typer.Option(min=1, help="Events to load.")] = 100_000,
    json: Json = False,
) -> None:
    """Rows a second of `kg ingest`, beside the naive load that sends row by row, in one run."""
    from kg.app import benchmark as measured

    report = measured.load_speed(Settings.load(), products=products, events=events)
    show(report, json)


@app.command("brand-recovery")
def brand_recovery(
    products: Annotated[Path, typer.Option(help="Product file with brands.")],
    format: Annotated[Literal["native", "amazon"], typer.Option(help="Format of the file.")] = "native",
    folds: Annotated[int, typer.Option(min=2, help="Parts, each hidden once.")] = 5,
    json: Json = False,
) -> None:
    """Hide the brands of one fold after the other and see which are found in the text."""
    from kg.app import benchmark as measured

    show(measured.brand_recovery(Settings.load(), products, format=format, folds=folds), json)


@app.command("extraction-triplets")
def extraction_triplets(
    data: Annotated[Path, typer.Option(help="Folder of ASTE-Data-V2: 14lap, 14res and 15res with their parts.")],
    json: Json = False,
) -> None:
    """Train on reviews marked with (aspect, opinion, sentiment) triplets and print F1 on parts held out."""
    from kg.app import benchmark as measured

    report = measured.extraction_triplets(Settings.load(), data)
    rows = report.pop("rows")
    if json:
        show({**report, "rows": rows}, True)
    else:
        show(report, False)
        show(rows, False)


@app.command("extraction-shipped")
def extraction_shipped(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of ASTE-Data-V2: its development parts are measured, confidences fitted on its training parts."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """What the head of opinions that ships with kg adds to the rules: on foreign sentences and on the bundled shop."""
    from kg.app import benchmark_shipped as measured

    settings = Settings.load()
    model = measured.shipped_model(settings)
    if data is not None:
        show(list(measured.on_sentences(settings, data, model)), json)
        show(list(measured.calibrations(data, model)), json)
    show([row for seed in measured.SHOP_SEEDS for row in measured.on_shop(settings, model, seed)], json)


@app.command("extraction-values")
def extraction_values(
    data: Annotated[Path, typer.Option(help="Folder with `ae110k` and `wdc_pave`.", exists=True, file_okay=False)],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="ae, surface or normalised; what was never seen: ae-new-attributes, "
            "surface-new-attributes, ae-new-categories or surface-new-categories; all.",
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="rules alone, whole, without memory, without adapter or memory alone; of what was never seen: "
            "without kinds, without hypernyms, without neighbours or without likeness; all.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each training, to look at it quickly.")] = None,
    parts: Annotated[
        int, typer.Option(min=1, max=5, help="Of what was never seen: how many fifths are held out, each in turn.")
    ] = 5,
    descriptions: Annotated[
        Path | None,
        typer.Option(
            help="YAML file, name to description: of attributes never seen, what the encoder reads beside the name.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """F1 of learned attribute values beside rules, memory alone and ablations; prints a JSON object a line."""
    from extraction.valuebench import RULES, SETS, VARIANTS
    from kg.app import benchmark as measured

    for given, known in ((sets, SETS), (variants, (RULES, *VARIANTS))):
        if unknown := sorted(set(given or ()) - set(known)):
            raise KGError(f"{', '.join(unknown)}: expected one of {', '.join(known)}.")
    rows = measured.extraction_values(
        Settings.load(),
        data,
        sets=sets or SETS,
        variants=variants or tuple(VARIANTS),
        epochs=epochs,
        parts=parts,
        descriptions=descriptions,
    )
    for row in rows:
        show(row, True)


@app.command("extraction-speed")
def extraction_speed(
    data: Annotated[
        Path, typer.Option(help="Folder with `ae110k` and `musical_instruments`.", exists=True, file_okay=False)
    ],
    texts: Annotated[int, typer.Option(min=1, help="Titles, and as many reviews of 60 words.")] = 1500,
    json: Json = False,
) -> None:
    """Titles and reviews a second through the whole extractor, with all heads that this home has learned."""
    from kg.app import benchmark_speed as measured

    show(measured.extraction_speed(Settings.load(), data, texts=texts), json)


@app.command("extraction-length")
def extraction_length(json: Json = False) -> None:
    """Milliseconds for a thousand characters of texts that grow to 200,000, of reviews and of hostile texts."""
    from kg.app import benchmark_speed as measured

    show(measured.extraction_length(Settings.load()), json)


@app.command("index")
def index(json: Json = False) -> None:
    """Share of each user's 20 nearest products, by exact cosine, that the live model's vector index finds."""
    from embeddings import evaluation
    from kg.app.session import open_store

    with open_store(Settings.load()) as store:
        recall = evaluation.index_recall(store)
    show({"recall@20": round(recall, 4)}, json, f"recall@20 {recall:.4f}")


@app.command("index-settings")
def index_settings(
    products: Annotated[int, typer.Option(min=1000, help="Vectors in the index.")] = 50_000,
    queries: Annotated[int, typer.Option(min=1, help="Searches.")] = 1000,
    json: Json = False,
) -> None:
    """Recall@20, milliseconds and seconds of building of the vector index by its settings, in a Neo4j of its own."""
    from kg.app import benchmark_index as measured

    show(measured.index_settings(Settings.load(), products=products, queries=queries, say=_say), json)


@app.command("round-trip")
def round_trip(
    edges: Annotated[int, typer.Option(min=1, help="Relationships to export.")] = 800_000,
    vectors: Annotated[int, typer.Option(min=1, help="Vectors of 64 numbers to write back.")] = 100_000,
    json: Json = False,
) -> None:
    """Export out of Neo4j and write vectors back, beside the plain way of each, in one run."""
    from kg.app import benchmark_round_trip as measured

    show(measured.round_trip(Settings.load(), edges=edges, vectors=vectors), json)


@app.command("recommend")
def recommend(
    data: Annotated[Path, typer.Option(help="Folder of the set's files; docs/benchmark.md names them.")],
    set: Annotated[Literal["gowalla", "beauty", "musical_instruments"], typer.Option(help="Which set it is.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings, with seeds from 0.")] = 1,
    related: Annotated[bool, typer.Option(help="Use the set's own relations between products.")] = False,
    cold: Annotated[bool, typer.Option(help="Every tenth product is new: recall of those, warm and cold.")] = False,
    sasrec: Annotated[bool, typer.Option(help="Train SASRec as a baseline too, which takes minutes.")] = False,
    users: Annotated[int | None, typer.Option(min=1, help="Rank for as many users, drawn by chance.")] = None,
    json: Json = False,
) -> None:
    """Train and rank through Cypher on a public set, beside every baseline; mean and spread over the seeds."""
    from kg.app import benchmark_recommend as measured

    report = measured.recommend(
        Settings.load(), data, set, seeds=range(seeds), related=related, cold=cold, sasrec=sasrec, users=users
    )
    show(report, json)


@app.command("fold-in")
def fold_in(
    data: Annotated[Path, typer.Option(help="Folder of the set's files; docs/benchmark.md names them.")],
    set: Annotated[Literal["gowalla", "beauty", "musical_instruments"], typer.Option(help="Which set it is.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each kind, with seeds from 0.")] = 1,
    related: Annotated[bool, typer.Option(help="Use the set's own relations between products.")] = False,
    json: Json = False,
) -> None:
    """What is found for users, and of products, that came after the training, beside a training that knew them."""
    from kg.app import benchmark_foldin as measured

    show(measured.fold_in(Settings.load(), data, set, related=related, seeds=range(seeds)), json)


@app.command("growth")
def growth(
    data: Annotated[Path, typer.Option(help="Folder of the set's files; docs/benchmark.md names them.")],
    set: Annotated[Literal["beauty", "musical_instruments"], typer.Option(help="Which set it is.")],
    related: Annotated[bool, typer.Option(help="Use the set's own relations between products.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="So many seeds, from KG_SEED on.")] = 1,
    json: Json = False,
) -> None:
    """Train on ten times when the graph has grown by a hundredth, beside a full training in the end."""
    from kg.app import benchmark_growth as measured

    report = measured.growth(Settings.load(), data, set, related=related, seeds=seeds)
    if not json:
        show(report.pop("seeds"), json)
    show(report, json)


@app.command("deltas")
def deltas(
    copies: Annotated[int, typer.Option(min=1, help="So many times the bundled shop, each drawn anew.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Changes of a hundredth.")] = 100,
    train_every: Annotated[
        int | None, typer.Option(min=1, help="Steps after which the model is trained in full; never by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Processor seconds that a change of a hundredth costs beside a full rebuild, and the quality after all of them."""
    from kg.app import benchmark_deltas as measured

    show(measured.deltas(Settings.load(), copies=copies, steps=steps, train_every=train_every, say=_say), json)


@app.command("linking")
def linking(
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=1000, help="Products; 10,000, 100,000 and 1,000,000.")
    ] = None,
    json: Json = False,
) -> None:
    """How long linking what a new text names takes in catalogues of several sizes, in memory and in Neo4j."""
    from kg.app import benchmark_linking as measured

    show(measured.linking(Settings.load(), sizes=sizes or (10_000, 100_000, 1_000_000), say=_say), json)


@app.command("network")
def network(
    seeds: Annotated[int, typer.Option(min=1, help="Splits and trainings, with seeds from 0.")] = 1,
    variants: Annotated[list[str] | None, typer.Option("--variant", help="One of the table's; all.")] = None,
    json: Json = False,
) -> None:
    """Losses and robustness of the network on validation splits of this home's graph, beside the default."""
    from kg.app import benchmark_network as measured
    from kg.app.session import open_store

    settings = Settings.load()
    with open_store(settings) as store:
        rows = measured.network(store, settings, seeds=range(seeds), of=variants or ())
    show(rows, json)


@app.command("questions")
def questions(
    wording: Annotated[
        Literal["seen", "unseen"], typer.Option(help="Wordings in sight when the reader was written, or others.")
    ] = "unseen",
    of_each: Annotated[int, typer.Option(min=1, help="Most questions of a kind.")] = 30,
    json: Json = False,
) -> None:
    """Share of questions about the bundled shop that `kg ask` answers as its planted truths say."""
    from kg.app.benchmark_questions import questions_benchmark

    report = questions_benchmark(Settings.load(), wording=wording, of_each=of_each)
    if json:
        show(report, True)
        return
    wrong = report.pop("wrong")
    show(report, False)
    show(wrong, False)


@app.command("search")
def search(
    data: Annotated[Path, typer.Option(help="Folder with products.jsonl.gz and judgments.jsonl.gz (Home Depot).")],
    part: Annotated[
        Literal["development", "test"], typer.Option(help="Half of the queries, by a digest of their text.")
    ] = "test",
    queries: Annotated[int | None, typer.Option(min=1, help="As many queries of the half, drawn by chance.")] = None,
    json: Json = False,
) -> None:
    """Search a public catalogue for judged queries: the whole search beside words alone and meaning alone."""
    from kg.app.benchmark_search import search_benchmark

    show(search_benchmark(Settings.load(), data, part=part, queries=queries), json)


Products = Annotated[int, typer.Option(min=1000, help="Products of the synthetic shop.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the shop for the next run: writing it takes minutes.")]


@app.command("serving")
def serving(
    products: Products = 100_000,
    clients: Annotated[list[int] | None, typer.Option(min=1, help="Clients at once; 1, 4 and 16.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long each query is asked by as many clients.")] = 20.0,
    keep: Keep = False,
    json: Json = False,
) -> None:
    """How long filtered recommendations take on a large shop, beside the bare vector search and the naive query."""
    from kg.app import benchmark_serving as measured

    report = measured.serving(
        Settings.load(), products, clients=clients or (1, 4, 16), seconds=seconds, keep=keep, say=_say
    )
    rows = report.pop("rows")
    if json:
        show({**report, "rows": rows}, True)
    else:
        show(report, False)
        show(rows, False)


@app.command("filters")
def filters(
    products: Products = 100_000,
    users: Annotated[int, typer.Option(min=2, help="Users drawn by chance, each asked for with every filter.")] = 50,
    keep: Keep = False,
    json: Json = False,
) -> None:
    """Whether filters starve recommendations: rows and recall@20 beside the exact answer, by selectivity and kind."""
    from kg.app import benchmark_serving as measured

    show(measured.filters(Settings.load(), products, users=users, keep=keep, say=_say), json)


@app.command("catalogue")
def every_query(
    products: Products = 100_000,
    of: Annotated[str, typer.Option(help="Beginning of the queries' names, such as insight/; all.")] = "",
    keep: Keep = False,
    json: Json = False,
) -> None:
    """How long each query of the catalogue takes on a large shop, the slowest of a few runs."""
    from kg.app import benchmark_serving as measured

    show(measured.every_query(Settings.load(), products, of=of, keep=keep, say=_say), json)


@app.command("freshness")
def freshness(
    products: Annotated[
        int | None, typer.Option(min=1000, help="Products of a synthetic shop; by default the bundled shop is trained.")
    ] = None,
    texts: Annotated[int, typer.Option(min=1, help="New products, handed over one after the other.")] = 100,
    events: Annotated[int, typer.Option(min=1, help="Events, likewise.")] = 200,
    by: Annotated[
        Literal["file", "post"],
        typer.Option(help="As lines of a file that is followed, or as requests to the receiver."),
    ] = "file",
    keep: Annotated[bool, typer.Option("--keep", help="Keep a synthetic shop for the next run.")] = False,
    json: Json = False,
) -> None:
    """Seconds from a new product's text, and from an event, to the recommendation that shows it; nothing is trained."""
    from kg.app import benchmark_streams as measured

    report = measured.freshness(
        Settings.load(), products=products, texts=texts, events=events, by=by, keep=keep, say=_say
    )
    show(report, json)


@app.command("streams")
def streams(
    events: Annotated[int, typer.Option(min=1, help="Events.")] = 20_000,
    reviews: Annotated[int, typer.Option(min=1, help="Reviews.")] = 2_000,
    products: Annotated[int, typer.Option(min=1, help="Products.")] = 2_000,
    json: Json = False,
) -> None:
    """Events, reviews and products a second that `kg ingest --follow` loads and serves, beside a bulk load."""
    from kg.app import benchmark_streams as measured

    show(measured.throughput(Settings.load(), events=events, reviews=reviews, products=products, say=_say), json)


def _say(words: str) -> None:
    err.print(words, markup=False)
