"""The generated pages: complete, and the committed ones up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer

from kg import schema
from kg.app import cli, docs
from kg.catalogue import load
from kg.errors import KGError
from kg.queries import parse
from kg.store import GraphStore

DOCS = Path(__file__).parents[2] / "docs"
STALE = "out of date: run `python -m kg.app.docs` and commit what it writes"


def test_the_schema_page_is_up_to_date() -> None:
    assert (DOCS / docs.SCHEMA_PAGE).read_text(encoding="utf-8") == docs.schema_page(), STALE


def test_the_commands_page_is_up_to_date() -> None:
    assert (DOCS / docs.COMMANDS_PAGE).read_text(encoding="utf-8") == docs.commands_page(), STALE


def test_every_command_every_option_and_every_setting_says_what_it_is() -> None:
    commands, _, settings = docs.commands_page().partition("## Settings")
    rows = [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in commands.splitlines() if line.startswith("| `")]
    assert [name for name, doc, _ in rows if not doc] == []
    rows = [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in settings.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    assert [name for name, _, doc in rows if not doc] == []
    for words, command in docs._commands(typer.main.get_command(cli.app), ()):
        assert command.help, words


def test_the_queries_page_is_up_to_date(shop: GraphStore) -> None:
    queries = load()
    page = docs.queries_page(queries, docs.answer_examples(shop, queries))
    assert (DOCS / docs.QUERIES_PAGE).read_text(encoding="utf-8") == page, STALE


def test_the_schema_page_names_everything() -> None:
    page = docs.schema_page()
    for label in schema.LABELS:
        assert f"### {label.name}\n" in page
    for type_ in schema.RELATIONSHIP_TYPES:
        assert re.search(rf"^### {type_.name}\b", page, re.MULTILINE)
    for index in (*schema.RANGE_INDEXES, *schema.FULLTEXT_INDEXES, *schema.VECTOR_INDEXES):
        assert f"`{index.name}`" in page
    assert "| `sku`* | `STRING` | The shop's own number for it. |" in page
    assert "### MADE_BY †" in page
    assert "### BOUGHT\n" in page


def test_a_query_is_shown_with_all_that_its_header_says(shop: GraphStore) -> None:
    query = parse(
        "// title: Cheap products\n"
        "// description: Those below a price.\n"
        "// param below: FLOAT -- the price\n"
        "// param words: LIST<STRING> = [] -- in the title\n"
        '// example: {"below": 20, "words": ["Cobalt clip"]}\n'
        "// returns: sku STRING, price FLOAT\n"
        "\n"
        "MATCH (p:Product)\n"
        "WHERE p.price < $below AND all(word IN $words WHERE p.title CONTAINS word)\n"
        "RETURN p.sku AS sku, p.price / 7 AS price\n",
        name="product/cheap",
    )
    queries = {query.name: query}
    page = docs.queries_page(queries, docs.answer_examples(shop, queries))
    assert "- [`product/cheap`](#productcheap): Cheap products" in page
    assert page.partition("## product/cheap")[2] == (
        "\n\n"
        "**Cheap products.** Those below a price.\n"
        "\n"
        "| parameter | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `below` | `FLOAT` | must be given | the price |\n"
        "| `words` | `LIST<STRING>` | `[]` | in the title |\n"
        "\n"
        "Returns `sku STRING`, `price FLOAT`.\n"
        "\n"
        "```cypher\n"
        "MATCH (p:Product)\n"
        "WHERE p.price < $below AND all(word IN $words WHERE p.title CONTAINS word)\n"
        "RETURN p.sku AS sku, p.price / 7 AS price\n"
        "```\n"
        "\n"
        "```sh\n"
        "kg query product/cheap --param below=20 --param 'words=[\"Cobalt clip\"]'\n"
        "```\n"
        "\n"
        "In Neo4j's own shell and browser:\n"
        "\n"
        "```\n"
        ':param {below: 20.0, words: ["Cobalt clip"]}\n'
        "```\n"
        "\n"
        "It gives:\n"
        "\n"
        "```json\n"
        '{"sku": "T1", "price": 2.1429}\n'
        "```\n"
    )


def test_long_rows_are_shown_on_several_lines_and_stay_json() -> None:
    row = {
        "path": [f"a step of some length, number {i}" for i in range(5)],
        "weight": 0.123456,
        "map": {"b": 1, "a": 2},
    }
    text = docs._row(row)
    assert len(text.splitlines()) > len(row)
    assert json.loads(text) == {**row, "weight": 0.1235}
    assert '"map": {"a": 2, "b": 1}' in text


def test_outside_a_checkout_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KGError, match="in the top folder of a checkout"):
        docs.main()
