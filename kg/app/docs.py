"""Writes the pages that are made, not typed: ``docs/schema.md``, ``docs/commands.md`` and ``docs/queries.md``.

``python -m kg.app.docs``, in a checkout, makes them anew. The first says what
``kg/schema.py`` says, the second what the commands' help and the settings say,
the third what the headers of ``cypher/`` say, with the rows that each query's
example really gives: on the named shop of ``tests/conftest.py``, in a Neo4j
started for the purpose. A test makes the pages too and fails when the committed
ones differ.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import typer

from kg import localdb, schema
from kg.app import cli
from kg.catalogue import Rows, load, run
from kg.errors import KGError
from kg.migrations import migrate
from kg.queries import Query, bind, described_type
from kg.settings import Settings
from kg.store import GraphStore

SCHEMA_PAGE: Final = "schema.md"
COMMANDS_PAGE: Final = "commands.md"
QUERIES_PAGE: Final = "queries.md"

_NOTE: Final = "<!-- Made by `python -m kg.app.docs`; a test fails when it is out of date. Do not edit. -->"
_WIDTH: Final = 110
"""A row that is longer is shown on several lines."""


def main() -> None:
    """Make the pages in ``docs/`` of the checkout in which this is run."""
    folder = Path("docs")
    if not folder.is_dir() or not Path("tests/conftest.py").is_file():
        raise KGError("Run python -m kg.app.docs in the top folder of a checkout: it writes to docs/ there.")
    queries = load()
    # The world is the tests' own, so that a page never shows rows that no test has seen.
    world = importlib.import_module("tests.conftest").SHOP
    with tempfile.TemporaryDirectory() as home:
        connection = localdb.start(Path(home), heap_mb=512, page_cache_mb=256)
        try:
            with GraphStore.connect(connection.uri, connection.username, connection.password) as store:
                migrate(store)
                store.write(world)
                answers = answer_examples(store, queries)
        finally:
            localdb.stop(Path(home))
    pages = {
        SCHEMA_PAGE: schema_page(),
        COMMANDS_PAGE: commands_page(),
        QUERIES_PAGE: queries_page(queries, answers),
    }
    for name, page in pages.items():
        (folder / name).write_text(page, encoding="utf-8")
        print(folder / name)


def answer_examples(store: GraphStore, queries: Mapping[str, Query]) -> dict[str, Rows]:
    """Run the example of each query; ``store`` holds the named shop."""
    return {name: run(store, query, query.example) for name, query in queries.items()}


# --- commands and settings ------------------------------------------------------------------------------------


def commands_page() -> str:
    """Every command with its arguments and options, and every setting."""
    lines = [
        "# Commands and settings",
        "",
        _NOTE,
        "",
        "Data goes to standard output, everything else to standard error. The exit code is 0 when all went well, 1 "
        "when something went wrong (one paragraph says what, where, and what to do), 2 for a malformed command line.",
        "",
        "## Commands",
    ]
    for words, command in _commands(typer.main.get_command(cli.app), ()):
        lines += ["", f"### kg {' '.join(words)}", "", (command.help or "").strip(), ""]
        lines += _table(("", "", "default"), (_parameter(p) for p in command.params if p.name != "help"))
    lines += [
        "",
        "## Settings",
        "",
        "Read from the environment, then from `kg.env` in `KG_HOME` (one `NAME=value` a line). An unknown `KG_` name "
        "is an error.",
        "",
        *_table(("setting", "default", "meaning"), _settings()),
    ]
    return "\n".join(lines) + "\n"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    # Typer brings its own copy of click, so the group is known by what it has.
    children = getattr(command, "commands", None)
    if children is not None:
        for name, child in children.items():
            yield from _commands(child, (*words, name))
    else:
        yield words, command


def _parameter(parameter: Any) -> tuple[str, str, str]:
    is_option = parameter.opts[0].startswith("-")
    name = ", ".join(parameter.opts) if is_option else parameter.name.upper()
    annotation = parameter.type_descriptor.annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    doc = getattr(parameter, "help", None) or ""
    if choices:
        doc += f" One of {', '.join(choices)}."
    default = "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"
    if parameter.required:
        default = "must be given"
    return f"`{name}`", doc, default


def _settings() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias if isinstance(field.validation_alias, str) else f"KG_{name.upper()}"
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        yield f"`{variable}`", default, field.description or ""


# --- queries --------------------------------------------------------------------------------------------------


def queries_page(queries: Mapping[str, Query], answers: Mapping[str, Rows]) -> str:
    """Every query with its parameters, its Cypher and what its example gives."""
    lines = [
        "# The queries",
        "",
        _NOTE,
        "",
        "Each is a file in `cypher/` that runs as it stands in any Neo4j client with its parameters alone. "
        "`kg query NAME --param name=value` checks the parameters, fills in defaults, and reads with limits on time "
        "and rows; `--json` prints a list of row objects. A client of your own passes every parameter, since Neo4j "
        "knows no defaults:",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "import neo4j",
        "",
        'with neo4j.GraphDatabase.driver(uri, auth=("neo4j", password)) as driver:',
        "    records, _, _ = driver.execute_query(",
        '        Path("cypher/product/why.cypher").read_text(),',
        '        {"sku": "S1", "per_fact": 3, "limit": 100},',
        '        database_="neo4j",',
        "    )",
        "```",
        "",
        "The rows below are real: what the examples give on the small shop of `tests/conftest.py` (numbers rounded to "
        "four digits).",
        "",
        *(f"- [`{query.name}`](#{_anchor(query.name)}): {query.title}" for query in queries.values()),
    ]
    for query in queries.values():
        lines += ["", *_query_section(query, answers[query.name])]
    return "\n".join(lines) + "\n"


def _query_section(query: Query, rows: Rows) -> Iterator[str]:
    yield from (f"## {query.name}", "", f"**{query.title}.** {query.description}", "")
    if query.parameters:
        yield from _table(
            ("parameter", "type", "default", "meaning"),
            (
                (
                    f"`{p.name}`",
                    f"`{described_type(p)}`",
                    "must be given" if p.required else f"`{_json(p.default)}`",
                    p.doc,
                )
                for p in query.parameters
            ),
        )
        yield ""
    if query.either:
        yield from ("Of " + " and ".join(f"`{name}`" for name in query.either) + " one is given.", "")
    yield "Returns " + ", ".join(f"`{column.name} {column.type}`" for column in query.returns) + "."
    yield from ("", "```cypher", query.cypher.rstrip(), "```", "")
    bound = bind(query, query.example)
    yield from ("```sh", f"kg query {query.name}{_options(query.example)}", "```", "")
    if bound:
        yield from ("In Neo4j's own shell and browser:", "", "```", f":param {_cypher_map(bound)}", "```", "")
    if not rows:
        yield "It gives no row."
        return
    yield from ("It gives:", "", "```json", *(_row(row) for row in rows), "```")


def _options(example: Mapping[str, Any]) -> str:
    return "".join(f" --param {_shell_word(f'{name}={_plain(value)}')}" for name, value in example.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _shell_word(word: str) -> str:
    safe = all(c.isalnum() or c in "=_-.,:/" for c in word)
    return word if safe else "'" + word.replace("'", "'\\''") + "'"


def _cypher_map(values: Mapping[str, Any]) -> str:
    """A map as Cypher writes it: like JSON, the keys without quotes."""

    def write(value: Any) -> str:
        if isinstance(value, Mapping):
            return _cypher_map(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join(write(item) for item in value) + "]"
        if isinstance(value, datetime):
            return f"datetime('{value.isoformat()}')"
        return _json(value)

    return "{" + ", ".join(f"{name}: {write(value)}" for name, value in values.items()) + "}"


def _row(row: Mapping[str, Any]) -> str:
    """A row as JSON: on one line, or one column a line, or where that is too long one item of a column a line."""
    tidy = {name: _tidy(value) for name, value in row.items()}
    if len(_json(tidy)) <= _WIDTH:
        return _json(tidy)
    return "{\n" + ",\n".join(f'  "{name}": {_column(value)}' for name, value in tidy.items()) + "\n}"


def _column(value: Any) -> str:
    text = _json(value)
    if len(text) <= _WIDTH or not isinstance(value, list):
        return text
    return "[\n" + ",\n".join(f"    {_json(item)}" for item in value) + "\n  ]"


def _tidy(value: Any) -> Any:
    """Floats with four digits and maps in the order of their keys: the same text on every machine."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {key: _tidy(value[key]) for key in sorted(value)}
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- schema ---------------------------------------------------------------------------------------------------


def schema_page() -> str:
    """The vocabulary of the graph: a picture, labels, relationships, indexes."""
    return (
        "\n".join(
            [
                "# The schema",
                "",
                _NOTE,
                "",
                f"Version {schema.VERSION} of the graph's vocabulary, as `kg/schema.py` has it. `kg init` makes its "
                "constraints and indexes. A property marked * is required: `kg.writer` refuses what lacks it.",
                "",
                *_picture(),
                "",
                "## Labels",
                *(line for label in schema.LABELS for line in _label_section(label)),
                "",
                "## Relationships",
                "",
                "Two relationships of one type between the same two nodes are told apart by the properties under "
                "*identity*: what two sources assert stands side by side, so that taking one source away takes away "
                "exactly what it alone supported. Those marked † may be read out of texts; such a one has `source: "
                f"'{schema.EXTRACTION}'` and a `fact` id under which its evidence is found.",
                *(line for type_ in schema.RELATIONSHIP_TYPES for line in _relationship_section(type_)),
                "",
                "## Indexes",
                "",
                *_index_table(),
            ]
        )
        + "\n"
    )


def _picture() -> Iterator[str]:
    """The relationships between labels as a Mermaid graph, one arrow for all types between the same two."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for type_ in schema.RELATIONSHIP_TYPES:
        for pair in type_.between:
            arrows.setdefault(pair, []).append(type_.name)
    yield from ("```mermaid", "graph LR")
    for (start, end), names in arrows.items():
        yield f'  {start} -- "{"<br/>".join(names)}" --> {end}'
    yield "```"


def _label_section(label: schema.Label) -> Iterator[str]:
    yield from ("", f"### {label.name}", "", f"{label.doc} Known by `{label.key}`, which is unique.", "")
    yield from _property_table(label.properties)


def _relationship_section(type_: schema.RelationshipType) -> Iterator[str]:
    between = ", ".join(f"`(:{start})-[:{type_.name}]->(:{end})`" for start, end in type_.between)
    identity = ", ".join(f"`{name}`" for name in type_.identity) or "its two ends alone"
    yield from (
        "",
        f"### {type_.name}{' †' if type_.extractable else ''}",
        "",
        f"{type_.doc} {between}. Identity: {identity}.",
    )
    if type_.properties:
        yield ""
        yield from _property_table(type_.properties)


def _property_table(properties: Sequence[schema.Property]) -> Iterator[str]:
    yield from _table(
        ("property", "type", "meaning"),
        ((f"`{p.name}`{'*' if p.required else ''}", f"`{p.type}`", p.doc) for p in properties),
    )


def _index_table() -> Iterator[str]:
    constraints = ((f"`{label.name}.{label.key}`", "unique", "the business key") for label in schema.LABELS)
    ranges = (
        (
            ", ".join(f"`{index.target}.{name}`" for name in index.properties),
            "range",
            f"`{index.name}`" + (", on relationships" if index.relationship else ""),
        )
        for index in schema.RANGE_INDEXES
    )
    texts = (
        (", ".join(f"`{index.label}.{name}`" for name in index.properties), "full text", f"`{index.name}`")
        for index in schema.FULLTEXT_INDEXES
    )
    vectors = (
        (
            f"`{index.label}.{index.property}`",
            "vector",
            f"`{index.name}`: {index.dimensions} dimensions, {index.similarity.lower()}, quantisation "
            f"{index.quantization}" + (f"; narrowed by {', '.join(index.filters)}" if index.filters else ""),
        )
        for index in schema.VECTOR_INDEXES
    )
    yield from _table(("on", "kind", "index"), [*constraints, *ranges, *texts, *vectors])


# --- markdown -------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _table_row(head)
    yield _table_row(["---"] * len(head))
    for row in rows:
        yield _table_row(row)


def _table_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _anchor(heading: str) -> str:
    """The fragment under which GitHub puts a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


if __name__ == "__main__":
    main()
