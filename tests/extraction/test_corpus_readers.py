"""The readers on files of every kind: what is written is read back, what is bad is rejected, the rest goes on."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extraction.corpus import (
    clean_line,
    clean_text,
    product_document,
    read_events,
    read_products,
    read_reviews,
    read_users,
    review_document,
)
from extraction.corpus.fields import MAX_KEY, MAX_TEXT
from extraction.corpus.sources import MAX_LINE_BYTES
from kg.errors import InputError
from kg.graph import DocumentKind
from kg.records import EVENT_TYPES, EventRecord, ProductRecord, Record, Reject, ReviewRecord, UserRecord

READERS: dict[type[Record], Callable[..., Iterator[Any]]] = {
    ProductRecord: read_products,
    ReviewRecord: read_reviews,
    EventRecord: read_events,
    UserRecord: read_users,
}
KINDS = ["jsonl", "csv", "parquet"]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the suffix says; CSV and Parquet hold nested values as JSON."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
        data = text.getvalue().encode()
    elif kind == "parquet":
        sink = io.BytesIO()
        table = pyarrow.table({name: [_cell(row.get(name)) for row in rows] for name in columns})
        pyarrow.parquet.write_table(table, sink)
        data = sink.getvalue()
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def read(reader: Callable[..., Iterator[Any]], path: Path, **options: Any) -> tuple[list[Any], list[Reject]]:
    rejects: list[Reject] = []
    return list(reader(path, rejects=rejects.append, **options)), rejects


def lines(path: Path, *rows: str | bytes | dict[str, Any]) -> Path:
    encoded = (json.dumps(row) if isinstance(row, dict) else row for row in rows)
    path.write_bytes(b"".join((row if isinstance(row, bytes) else row.encode()) + b"\n" for row in encoded))
    return path


# ---------------------------------------------------------------- what is written is read back

NAMES = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=12).map(clean_line).filter(bool)
PROSE = st.text(max_size=40).map(clean_text)
IDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=10)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
NUMBERS = st.floats(0, 1e6)
QUANTITIES = st.integers(1, 10**6).map(float)
FLOATS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=3).map(tuple)

RECORDS: dict[type[Record], st.SearchStrategy[Any]] = {
    ProductRecord: st.builds(
        ProductRecord,
        sku=IDS,
        title=NAMES,
        description=PROSE,
        price=st.none() | NUMBERS,
        currency=st.none() | st.sampled_from(["EUR", "USD"]),
        brand=st.none() | NAMES,
        categories=st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=2, unique=True).map(tuple),
        released_at=st.none() | TIMES,
        active=st.booleans(),
        stock=st.none() | st.integers(0, 10**6),
        consumable=st.none() | st.booleans(),
        gtin=st.none() | st.from_regex(r"[0-9]{13}", fullmatch=True),
        variant_of=st.none() | IDS,
        related=st.dictionaries(
            st.sampled_from(["also_bought", "accessory_of"]),
            st.lists(IDS, min_size=1, max_size=3, unique=True).map(tuple),
        ),
        vectors=st.dictionaries(st.sampled_from(["image", "audio"]), FLOATS),
    ),
    ReviewRecord: st.builds(
        ReviewRecord,
        id=IDS,
        user=IDS,
        sku=IDS,
        text=PROSE.filter(bool),
        rating=st.none() | st.floats(1, 5),
        title=PROSE.map(clean_line),
        at=st.none() | TIMES,
    ),
    EventRecord: st.builds(
        EventRecord,
        user=IDS,
        type=st.sampled_from([t for t in EVENT_TYPES if t not in ("rated", "bought", "searched")]),
        sku=IDS,
        at=st.none() | TIMES,
        value=st.none() | NUMBERS,
        session=st.none() | IDS,
        query=st.none() | NAMES,
        model=st.none() | IDS,
        arm=st.none() | IDS,
    )
    | st.builds(EventRecord, user=IDS, type=st.just("rated"), sku=IDS, value=st.floats(1, 5))
    | st.builds(EventRecord, user=IDS, type=st.just("bought"), sku=IDS, value=st.none() | QUANTITIES)
    | st.builds(EventRecord, user=IDS, type=st.just("searched"), query=NAMES),
    UserRecord: st.builds(
        UserRecord,
        user=IDS,
        interests=st.lists(NAMES, max_size=3, unique=True).map(tuple),
        language=st.none() | st.sampled_from(["en", "de-CH"]),
        friends=st.lists(IDS, max_size=3, unique=True).map(tuple),
    ),
}
KEY = {ProductRecord: "sku", ReviewRecord: "id", UserRecord: "user"}


def as_row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, datetime):
            value = value.isoformat()
        row[field.name] = json.loads(json.dumps(value)) if isinstance(value, tuple | dict) else value
    return row


@pytest.mark.parametrize("kind", [*KINDS, "jsonl.gz", "csv.gz", "parquet.gz"])
@pytest.mark.parametrize("record_type", READERS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back(
    tmp_path: Path, record_type: type[Record], kind: str, data: st.DataObject
) -> None:
    key = KEY.get(record_type)
    unique = (lambda r: getattr(r, key)) if key else None
    records = data.draw(st.lists(RECORDS[record_type], min_size=1, max_size=4, unique_by=unique))
    path = write_rows(tmp_path / f"file.{kind}", [as_row(r) for r in records])

    found, rejects = read(READERS[record_type], path)

    assert found == records
    assert rejects == []


@pytest.mark.parametrize("name", ["file.jsonl", "file.csv", "file.json.gz", "file.tsv", "file.parquet", "file.csv.gz"])
@pytest.mark.parametrize("reader", READERS.values())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"sku,title,user,type,id,text\n" + tail))
def test_arbitrary_bytes_give_rejects_or_an_input_error(
    tmp_path: Path, reader: Callable[..., Iterator[Any]], name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    rejects: list[Reject] = []

    records: list[Any] = []
    refusal = str(path)

    try:
        records.extend(reader(path, rejects=rejects.append))
    except InputError as error:
        refusal = str(error)

    assert refusal.startswith(str(path))
    assert len(records) + len(rejects) <= data.count(b"\n") + data.count(b"\r") + 1
    orjson.dumps([r.as_dict() for r in rejects])  # refuses halves of pairs


# ---------------------------------------------------------------- what is bad is rejected, the rest goes on


def product(**changes: Any) -> dict[str, Any]:
    return {"sku": "A1", "title": "Tripod", **changes}


def event(**changes: Any) -> dict[str, Any]:
    return {"user": "ann", "sku": "A1", "type": "viewed", **changes}


def review(**changes: Any) -> dict[str, Any]:
    return {"id": "r1", "user": "ann", "sku": "A1", "text": "Sturdy.", "rating": 4, **changes}


BAD: list[tuple[Callable[..., Iterator[Any]], str | bytes | dict[str, Any], str]] = [
    (read_products, '{"sku": "A1", "title"', "broken JSON"),
    (read_products, "[1, 2]", "found an array"),
    (read_products, '"A1"', "found a string"),
    (read_products, "17", "found a number"),
    (read_products, "null", "found null"),
    (read_products, b'{"sku": "A1", "title": "Caf\xe9"}', "not UTF-8 (byte 28 of the line is 0xe9)"),
    (read_products, {"title": "Tripod"}, "sku is missing"),
    (read_products, product(sku=" "), "sku is missing"),
    (read_products, product(sku=True), "sku is True, not an id"),
    (read_products, product(sku=[1]), "sku is [1], not an id"),
    (read_products, product(sku="s" * (MAX_KEY + 1)), "sku has 1,001 characters"),
    (read_products, {"sku": "A1"}, "title is missing or empty"),
    (read_products, product(title="<br>&nbsp;"), "title is missing or empty"),
    (read_products, product(title=["Tripod"]), "title is ['Tripod'], not text"),
    (read_products, product(title="x" * (MAX_TEXT + 1)), "title has 1,000,001 characters"),
    (read_products, product(description="x" * (MAX_TEXT + 1)), "description has 1,000,001 characters"),
    (read_products, product(price="abc"), "price is 'abc', not a number"),
    (read_products, product(price="1,5"), "price is '1,5', not a number"),
    (read_products, product(price=float("nan")), "price is nan, not a finite number"),
    (read_products, product(price="inf"), "price is inf, not a finite number"),
    (read_products, product(price=1e308 * 10), "price is inf, not a finite number"),
    (read_products, product(price=-1), "price is negative (-1)"),
    (read_products, product(price=True), "price is True, not a number"),
    (read_products, product(price={}), "price is {}, not a number"),
    (read_products, product(currency="Euro"), "currency is 'Euro'"),
    (read_products, product(brand={"name": "Acme"}), "brand is {'name': 'Acme'}, not text"),
    (read_products, product(brand="b" * (MAX_KEY + 1)), "brand has 1,001 characters"),
    (read_products, product(categories=7), "categories is 7; expected a list of paths"),
    (read_products, product(categories=[["Photo"], 7]), "expected paths"),
    (read_products, product(categories=[["c" * 600, "d" * 600]]), "a path of over 1,000 characters"),
    (read_products, product(categories='[["Photo"'), "categories holds broken JSON"),
    (read_products, product(released_at="spring"), "released_at is 'spring'"),
    (read_products, product(released_at=1e30), "released_at is 1e+30"),
    (read_products, product(active="perhaps"), "active is 'perhaps', neither true nor false"),
    (read_products, product(stock=1.5), "stock is 1.5, not a whole number"),
    (read_products, product(stock=2**63), "beyond 64 bits"),
    (read_products, product(related=["B1"]), "related is ['B1']"),
    (read_products, product(related={"also_bought": {}}), "related.also_bought is {}"),
    (read_products, product(vectors={"image": [1, "x"]}), "vectors.image is 'x', not a number"),
    (read_products, product(vectors={"image": [1, float("inf")]}), "not a finite number"),
    (read_products, product(vectors={"image": []}), "vectors.image is []"),
    (read_products, product(vectors={"Image": [1]}), "vectors holds 'Image'; expected a name of at most 41 of a-z"),
    (read_products, product(vectors={"clip-vit": [1]}), "vectors holds 'clip-vit'; expected a name"),
    (read_products, product(vectors={"a" * 42: [1]}), "expected a name of at most 41"),
    (read_products, product(vectors={"": [1]}), "vectors holds ''; expected a name"),
    (read_reviews, review(text=""), "empty text"),
    (read_reviews, review(text="<p> </p>"), "empty text"),
    (read_reviews, review(text="x" * (MAX_TEXT + 1)), "text has 1,000,001 characters"),
    (read_reviews, review(id=None), "id is missing"),
    (read_reviews, review(user=""), "user is missing"),
    (read_reviews, review(rating=0), "rating is 0; expected 1 to 5"),
    (read_reviews, review(rating="5.5"), "rating is 5.5; expected 1 to 5"),
    (read_reviews, review(rating="good"), "rating is 'good', not a number"),
    (read_events, event(user=None), "user is missing"),
    (read_events, event(type="stared_at"), "type is 'stared_at'; expected one of viewed, carted"),
    (read_events, event(type=None), "type is None"),
    (read_events, event(sku=None), "viewed without a sku"),
    (read_events, event(type="searched"), "searched without a query"),
    (read_events, event(type="rated", value=6), "value is 6; expected 1 to 5"),
    (read_events, event(type="bought", value=0), "value is 0; expected more than 0 and at most 1,000,000"),
    (read_events, event(type="bought", value=-1), "value is -1; expected more than 0"),
    (read_events, event(type="bought", value=-1.5), "value is -1.5; expected more than 0"),
    (read_events, event(type="bought", value="1000001"), "value is 1000001; expected more than 0"),
    (read_events, event(type="bought", value=1e19), "value is 1e+19; expected more than 0"),
    (read_events, event(value="many"), "value is 'many', not a number"),
    (read_events, event(at="yesterday"), "at is 'yesterday'; expected ISO 8601"),
    (read_events, event(at=[]), "at is []; expected ISO 8601"),
    (read_users, {"interests": ["birds"]}, "user is missing"),
    (read_users, {"user": "ann", "interests": [{}]}, "interests is {}, not text"),
    (read_users, {"user": "ann", "friends": {"bob": 1}}, "expected a list"),
]
GOOD = {
    read_products: product(sku="good"),
    read_reviews: review(id="good"),
    read_events: event(user="good"),
    read_users: {"user": "good"},
}


@pytest.mark.parametrize(("reader", "bad", "reason"), BAD)
def test_a_bad_line_is_rejected_with_its_reason_and_the_next_is_read(
    tmp_path: Path, reader: Callable[..., Iterator[Any]], bad: Any, reason: str
) -> None:
    path = lines(tmp_path / "file.jsonl", "", bad, GOOD[reader])

    found, rejects = read(reader, path)

    assert [getattr(r, {read_products: "sku", read_reviews: "id"}.get(reader, "user")) for r in found] == ["good"]
    assert [(str(path), 2)] == [(r.file, r.line) for r in rejects]
    assert reason in rejects[0].reason
    assert rejects[0].excerpt
    assert len(rejects[0].excerpt) <= 200


SECRET = "anna@example.org"


@pytest.mark.parametrize(
    ("reader", "name", "bad", "shown"),
    [
        (
            read_events,
            "f.jsonl",
            {"user": SECRET, "sku": "A1", "type": "stared_at"},
            '{"sku": "A1", "type": "stared_at"}',
        ),
        (read_events, "f.jsonl", {"USER": SECRET, "sku": "A1", "type": "viewed"}, '{"sku": "A1", "type": "viewed"}'),
        (read_events, "f.jsonl", f'{{"sku": "A1", "user": "{SECRET}", "type"', '{"sku": "A1", "user": "", "type"'),
        (read_events, "f.jsonl", f'{{"sku": "A1", "user": "{SECRET}', '{"sku": "A1", "user": ""'),
        (read_events, "f.jsonl", f'{{"sku": "A1", "user": {{"x": 1, "mail": "{SECRET}"}}', '{"sku": "A1", "user": ""'),
        (read_events, "f.jsonl", f'["{SECRET}", "A1"]', ""),
        (read_events, "f.csv", f"user,sku,type\n{SECRET},A1,stared_at", '{"sku": "A1", "type": "stared_at"}'),
        (read_events, "f.csv", f"user,sku,type\n{SECRET},A1", ""),
        (read_reviews, "f.jsonl", review(user=SECRET, text=""), '{"id": "r1", "sku": "A1", "text": "", "rating": 4}'),
        (read_users, "f.jsonl", {"user": [SECRET], "language": "en"}, '{"language": "en"}'),
        (read_users, "f.jsonl", {"user": "x", "friends": {SECRET: 1}}, "{}"),
        (read_users, "f.jsonl", {"user": "x", "friends": [[SECRET]], "language": "en"}, '{"language": "en"}'),
        (read_users, "f.jsonl", f'{{"friends": ["ben", "a]{SECRET}", "lang', '{"friends": ""'),
        (
            read_users,
            "f.jsonl",
            f'{{"user": "{SECRET}"}}\n{{"user": "{SECRET}", "language": "en"}}',
            '{"language": "en"}',
        ),
    ],
)
def test_no_reject_says_who(
    tmp_path: Path, reader: Callable[..., Iterator[Any]], name: str, bad: Any, shown: str
) -> None:
    _, rejects = read(reader, lines(tmp_path / name, bad))

    assert [r.excerpt for r in rejects] == [shown]
    assert SECRET not in json.dumps([r.as_dict() for r in rejects])
    assert rejects[0].reason


def test_a_line_longer_than_memory_should_hold_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with path.open("wb") as file:
        file.write(b'{"sku": "A1", "title": "' + b"x" * 2 * MAX_LINE_BYTES + b'"}\n')
        file.write(b'{"sku": "good", "title": "Tripod"}\n')

    found, rejects = read(read_products, path)

    assert [p.sku for p in found] == ["good"]
    assert [r.line for r in rejects] == [1]
    assert "longer than 16,777,216 bytes" in rejects[0].reason


def test_a_sku_that_comes_twice_stands_as_it_was_first_said(tmp_path: Path) -> None:
    first, changed = product(related={"also_bought": ["B"]}), product(related={"also_bought": ["C"]})
    path = lines(tmp_path / "file.jsonl", first, first, changed, product(sku="A2"))

    found, rejects = read(read_products, path)

    assert [(p.sku, p.related) for p in found] == [("A1", {"also_bought": ("B",)}), ("A2", {})]
    assert [(r.line, r.reason) for r in rejects] == [
        (3, "'A1' stands in this file before, with other content; that is kept.")
    ]


def test_so_do_reviews_and_users_but_events_may_repeat(tmp_path: Path) -> None:
    reviews = lines(tmp_path / "reviews.jsonl", review(), review(), review(text="Wobbly."))
    users = lines(tmp_path / "users.jsonl", {"user": "ann"}, {"user": "ann"}, {"user": "ann", "language": "en"})
    events = lines(tmp_path / "events.jsonl", event(), event())

    assert [
        (len(found), [r.line for r in rejects])
        for found, rejects in (read(read_reviews, reviews), read(read_users, users), read(read_events, events))
    ] == [(1, [3]), (1, [3]), (2, [])]


def test_rows_of_csv_are_rejected_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(
        b'sku,title,description,price\n'
        b'A1,"Tripod, tall","two\nlines",12.5\n'
        b'A2,Tripod,,abc\n'
        b'A3,Tripod\n'
        b'A4,Caf\xe9,,1\n'
        b'\n'
        b'A5,Tripod,,1,2,3\n'
        b'A6,Caf\xc3\xa9,,\n'
    )  # fmt: skip

    found, rejects = read(read_products, path)

    assert [(p.sku, p.title, p.description, p.price) for p in found] == [
        ("A1", "Tripod, tall", "two\nlines", 12.5),
        ("A6", "Café", "", None),
    ]
    assert [(r.line, r.reason) for r in rejects] == [
        (4, "price is 'abc', not a number."),
        (5, "it has 2 cells, the first row has 4."),
        (6, "not UTF-8 (byte 7 is 0xe9)."),
        (8, "it has 6 cells, the first row has 4."),
    ]


def test_a_quotation_mark_that_is_never_closed_costs_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('sku,title\nA1,Tripod\nA2,"Tripod\nA3,Tripod\n')

    found, rejects = read(read_products, path)

    assert [p.sku for p in found if p.title == "Tripod"] == ["A1"]
    assert len(found) + len(rejects) == 2


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_may_part_its_cells_otherwise(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"sku{delimiter}title\nA1{delimiter}Tripod, tall\n")

    assert [p.title for p in read(read_products, path)[0]] == ["Tripod, tall"]


def test_parquet_rows_with_text_that_is_not_utf8_are_rejected_one_by_one(tmp_path: Path) -> None:
    offsets = pyarrow.array([0, 2, 4, 6], pyarrow.int32()).buffers()[1]
    skus = pyarrow.StringArray.from_buffers(3, offsets, pyarrow.py_buffer(b"A1A\xe9A3"))
    path = tmp_path / "file.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"sku": skus, "title": ["Tripod"] * 3}), path)

    found, rejects = read(read_products, path)

    assert [p.sku for p in found] == ["A1", "A3"]
    assert [(r.line, r.reason) for r in rejects] == [(2, "sku is not UTF-8 or beyond all dates, not an id.")]


def test_parquet_brings_types_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    noon = datetime(2024, 5, 31, 12)
    skus_by_kind = pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.string()))
    table = pyarrow.table(
        {
            "sku": pyarrow.array([1.0, None]),
            "title": pyarrow.array(["Tripod", "Tripod"]).dictionary_encode(),
            "price": pyarrow.array([12.5, float("nan")]),
            "released_at": pyarrow.array([noon, noon], pyarrow.timestamp("ns", "Europe/Berlin")),
            "categories": pyarrow.array([[["Photo", "Tripods"]], []]),
            "related": pyarrow.array([[("also_bought", ["B1"])], []], skus_by_kind),
            "vectors": pyarrow.array([{"image": [0.5, 1.0]}, None]),
        }
    )  # fmt: skip
    pyarrow.parquet.write_table(table, path)

    found, rejects = read(read_products, path)

    assert found == [
        ProductRecord(
            sku="1",
            title="Tripod",
            price=12.5,
            released_at=noon.replace(tzinfo=UTC),
            categories=(("Photo", "Tripods"),),
            related={"also_bought": ("B1",)},
            vectors={"image": (0.5, 1.0)},
        )
    ]
    assert [r.line for r in rejects] == [2]


# ---------------------------------------------------------------- what is accepted for each field


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, 5.0), ("12.99", 12.99), ("$12.99", 12.99), ("€ 5", 5.0), ("1,299.00", 1299.0), ("", None), (None, None),
        (0, 0.0), ("1e2", 100.0),
    ],
)  # fmt: skip
def test_prices(tmp_path: Path, given: Any, expected: float | None) -> None:
    found, _ = read(read_products, lines(tmp_path / "file.jsonl", product(price=given)))

    assert expected == found[0].price


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-05-31T18:00:00Z", datetime(2024, 5, 31, 18, tzinfo=UTC)),
        ("2024-05-31T18:00:00.250+02:00", datetime(2024, 5, 31, 16, 0, 0, 250_000, tzinfo=UTC)),
        ("2024-05-31 18:00", datetime(2024, 5, 31, 18, tzinfo=UTC)),
        (" 2024-05-31 ", datetime(2024, 5, 31, tzinfo=UTC)),
        (1393545600, datetime(2014, 2, 28, tzinfo=UTC)),
        ("1393545600", datetime(2014, 2, 28, tzinfo=UTC)),
        (1393545600.5, datetime(2014, 2, 28, 0, 0, 0, 500_000, tzinfo=UTC)),
        (1393545600000, datetime(2014, 2, 28, tzinfo=UTC)),
        ("20140228", datetime(1970, 8, 22, 2, 30, 28, tzinfo=UTC)),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
        ("", None),
    ],
)
def test_times(tmp_path: Path, given: Any, expected: datetime | None) -> None:
    found, rejects = read(read_events, lines(tmp_path / "file.jsonl", event(at=given)))

    assert rejects == []
    assert expected == found[0].at


def test_times_are_in_utc(tmp_path: Path) -> None:
    at = datetime(2024, 5, 31, 18, tzinfo=timezone(timedelta(hours=2)))
    found, _ = read(read_events, lines(tmp_path / "file.jsonl", event(at=at.isoformat())))

    assert found[0].at.tzinfo is UTC


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([["Photo", "Tripods"], ["Travel"]], (("Photo", "Tripods"), ("Travel",))),
        (["Photo", "Tripods"], (("Photo", "Tripods"),)),
        (["Photo > Tripods", "Travel"], (("Photo", "Tripods"), ("Travel",))),
        ("Photo > Tripods | Travel", (("Photo", "Tripods"), ("Travel",))),
        ("Bags &amp; Cases", (("Bags & Cases",),)),
        ('[["Photo", " Tripods "], ["Photo", "Tripods"]]', (("Photo", "Tripods"),)),
        ([["Photo", ""], []], (("Photo",),)),
        ("", ()),
        ([], ()),
        (None, ()),
    ],
)
def test_categories(tmp_path: Path, given: Any, expected: Any) -> None:
    found, _ = read(read_products, lines(tmp_path / "file.jsonl", product(categories=given)))

    assert expected == found[0].categories


@pytest.mark.parametrize(
    ("given", "expected"), [(7, "7"), (7.0, "7"), (" A-7 ", "A-7"), ("Ü/7", "Ü/7"), ("A\x007", "A7")]
)
def test_ids(tmp_path: Path, given: Any, expected: str) -> None:
    found, _ = read(read_products, lines(tmp_path / "file.jsonl", product(sku=given)))

    assert expected == found[0].sku


@pytest.mark.parametrize(("given", "expected"), [(True, True), ("no", False), ("TRUE", True), (0, False), (None, True)])
def test_flags(tmp_path: Path, given: Any, expected: bool) -> None:
    found, _ = read(read_products, lines(tmp_path / "file.jsonl", product(active=given)))

    assert expected is found[0].active


def test_lists_in_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text('user,interests,friends\nann,birds; night sky,"[""bob"", 7]"\nbob,,ann|cy\n')

    assert read(read_users, path) == (
        [
            UserRecord(user="ann", interests=("birds", "night sky"), friends=("bob", "7")),
            UserRecord(user="bob", friends=("ann", "cy")),
        ],
        [],
    )


def test_other_fields_are_ignored_and_a_half_of_a_pair_is_dropped(tmp_path: Path) -> None:
    path = lines(tmp_path / "file.jsonl", '{"sku": "A1", "title": "Tri\\ud800pod\\u0000", "colour": "red"}')

    assert read(read_products, path) == ([ProductRecord(sku="A1", title="Tripod")], [])


def test_types_of_events_are_read_in_any_case(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "file.jsonl", event(type=" Bought "), {"user": "ann", "type": "searched", "query": " tall\ttripod "}
    )

    assert [(e.type, e.query) for e in read(read_events, path)[0]] == [("bought", None), ("searched", "tall tripod")]


# ---------------------------------------------------------------- files that cannot be read at all


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbfsku,title\nA1,Tripod\n")

    assert [p.sku for p in read(read_products, path)[0]] == ["A1"]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("file.txt", b"sku", "is of no known kind. Expected a name that ends in .jsonl"),
        ("file.gz", b"sku", "is of no known kind"),
        ("file.jsonl", b"", "is empty."),
        ("file.jsonl", b"\n \n", "is empty."),
        ("file.csv", b"", "is empty."),
        ("file.csv", b"\n\n", "is empty."),
        ("file.jsonl.gz", gzip.compress(b""), "is empty."),
        ("file.parquet", b"", "is empty."),
        ("file.parquet", b"PAR1 and then nothing", "is not a sound Parquet file"),
        ("file.parquet.gz", gzip.compress(b"PAR1"), "is not a sound Parquet file"),
        ("file.jsonl.gz", b'{"sku": "A1"}', "is not a sound gzip file"),
        ("file.jsonl", "{}".encode("utf-16"), "is in UTF-16. Save it as UTF-8."),
        ("file.json", b'[{"sku": "A1"}]', "is one JSON array. Write one object a line"),
        ("file.csv", b"title\nTripod\n", "has no column sku"),
        ("file.csv", b"sku,title,sku\n1,2,3\n", "has two columns called 'sku'"),
    ],
)
def test_a_file_that_is_none_says_so_in_a_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(InputError) as caught:
        read(read_products, path)

    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()

    with pytest.raises(InputError, match=r"none\.jsonl does not exist"):
        read(read_products, tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"folder\.jsonl is a folder"):
        read(read_products, tmp_path / "folder.jsonl")
    with pytest.raises(InputError, match="Unknown format 'ebay'"):
        read(read_products, tmp_path / "none.jsonl", format="ebay")


def test_a_truncated_gzip_gives_what_stands_before_the_break(tmp_path: Path) -> None:
    rows = [product(sku=f"A{n}", description=f"{n * 7919:x}" * 40) for n in range(2000)]
    path = write_rows(tmp_path / "file.jsonl.gz", rows)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found: list[str] = []

    def take(records: Iterable[ProductRecord]) -> None:
        found.extend(p.sku for p in records)

    with pytest.raises(InputError, match=r"file\.jsonl\.gz is cut off"):
        take(read_products(path, rejects=pytest.fail))

    assert 500 < len(found) < 2000
    assert [f"A{n}" for n in range(len(found))] == found


# ---------------------------------------------------------------- documents


def test_the_document_of_a_product() -> None:
    document = product_document(ProductRecord(sku="A1", title="Tripod", description="Tall.\nLight."))

    assert document.id == "product:A1"
    assert document.kind is DocumentKind.PRODUCT
    assert document.text == "Tripod\n\nTall.\nLight."
    assert document.text[: document.title_end] == "Tripod"


@pytest.mark.parametrize(
    ("title", "description", "text", "title_end"),
    [("Tripod", "", "Tripod", 6), ("A1", "Tall.", "Tall.", 0), ("A1", "", "", 0)],
)
def test_a_product_without_a_text_or_a_name(title: str, description: str, text: str, title_end: int) -> None:
    document = product_document(ProductRecord(sku="A1", title=title, description=description))

    assert (text, title_end) == (document.text, document.title_end)


def test_the_document_of_a_review() -> None:
    with_title = ReviewRecord(id="r1", user="ann", sku="A1", title="Fine", text="Sturdy.")
    without = ReviewRecord(id="r2", user="ann", sku="A1", text="Sturdy.")

    assert [(d.id, d.sku, d.text, d.title_end) for d in map(review_document, (with_title, without))] == [
        ("review:r1", "A1", "Fine\n\nSturdy.", 4),
        ("review:r2", "A1", "Sturdy.", 0),
    ]
