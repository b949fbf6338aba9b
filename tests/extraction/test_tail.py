"""Files that grow: whole lines alone count, places are exact, replaced files are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from extraction.corpus import is_same_file, read_piece, sources
from kg.records import EventRecord, Place, UserRecord


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.jsonl"


def users(file: Path, start: Place, most: int = 100) -> tuple[list[tuple[int, str]], Place]:
    piece = read_piece(file, "users", start, most_lines=most)
    assert piece.rejects == ()
    return [(at, record.user) for at, record in piece.records if isinstance(record, UserRecord)], piece.end


def test_a_line_counts_once_its_end_is_there(file: Path) -> None:
    file.write_bytes(b'{"user": "anna"}\n{"user": "b')
    found, place = users(file, Place())
    assert (found, place.bytes, place.lines) == ([(0, "anna")], 17, 1)
    assert users(file, place) == ([], place)
    with file.open("ab") as more:
        more.write(b'en"}\n\n{"user": "cleo"}\n')
    found, end = users(file, place)
    assert (found, end.bytes, end.lines) == ([(17, "ben"), (34, "cleo")], file.stat().st_size, 4)


def test_no_more_lines_are_read_than_wished(file: Path) -> None:
    file.write_bytes(b"".join(b'{"user": "u%d"}\n' % n for n in range(5)))
    place, seen = Place(), []
    while True:
        found, end = users(file, place, most=2)
        if end == place:
            break
        seen.append([user for _, user in found])
        place = end
    assert seen == [["u0", "u1"], ["u2", "u3"], ["u4"]]


def test_a_bad_line_is_a_reject_with_its_place(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf{"user": "anna"}\nnonsense\n{"interests": ["blues"]}\n{"user": "ben"}\n')
    piece = read_piece(file, "users", Place(), most_lines=100)
    assert [at for at, _ in piece.records] == [0, 54]
    assert [(r.line, r.offset, r.excerpt) for r in piece.rejects] == [
        (2, 20, ""),  # it may say who
        (3, 29, '{"interests": ["blues"]}'),
    ]
    assert piece.rejects[0].as_dict()["offset"] == 20


def test_an_event_knows_its_line(file: Path) -> None:
    file.write_bytes(b'{"user": "a", "type": "viewed", "sku": "G1"}\n' * 2)
    records = [r for _, r in read_piece(file, "events", Place(), most_lines=9).records]
    assert [r.line for r in records if isinstance(r, EventRecord)] == [1, 2]


def test_a_line_that_is_too_long_is_a_reject_and_the_next_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sources, __import__("extraction.corpus.tail", fromlist=["tail"])):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 50)
    long = b'{"user": "' + b"x" * 200 + b'"}'
    file.write_bytes(long)
    assert users(file, Place()) == ([], Place())
    file.write_bytes(long + b'\n{"user": "ben"}\n')
    piece = read_piece(file, "users", Place(), most_lines=9)
    assert [(r.line, r.offset, r.reason) for r in piece.rejects] == [(1, 0, "the line is longer than 50 bytes.")]
    assert [at for at, _ in piece.records] == [len(long) + 1]


def test_a_file_that_was_replaced_is_not_the_same(file: Path) -> None:
    file.write_bytes(b'{"user": "anna"}\n{"user": "ben"}\n')
    _, place = users(file, Place(), most=1)
    assert is_same_file(file, place)
    _, end = users(file, place)
    assert is_same_file(file, end)
    file.write_bytes(b'{"user": "anna"}\n{"user": "cleo"}\n')
    assert is_same_file(file, place)
    assert not is_same_file(file, end)
    file.write_bytes(b'{"user": "anna"}\n')
    assert not is_same_file(file, end)


def test_a_new_version_that_begins_like_the_one_before_is_not_the_same(file: Path) -> None:
    rows = [b'{"user": "%05d"}\n' % n for n in range(1000)]
    file.write_bytes(b"".join(rows))
    _, place = users(file, Place(), most=1000)
    with file.open("ab") as stream:
        stream.write(b'{"user": "anna"}\n')
    assert is_same_file(file, place)
    file.write_bytes(b"".join([*rows[:600], b'{"user": "ben"}\n', *rows[600:]]))
    assert not is_same_file(file, place)


def test_a_place_that_an_earlier_version_noted_still_stands(file: Path) -> None:
    file.write_bytes(b'{"user": "anna"}\n' * 1000)
    _, place = users(file, Place(), most=1000)
    assert is_same_file(file, replace(place, head=hashlib.sha256(file.read_bytes()[:4096]).hexdigest()))
