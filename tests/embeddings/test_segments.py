"""Communities of users: a checkerboard whose halves are known, and the planted kinds of the bundled shop."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from embeddings.segments import Segment, find_segments, keep_ids, read_audience, write_segments
from kg.catalogue import find, run
from kg.store import GraphStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def halves(store: GraphStore) -> GraphStore:
    """Forty users, twenty products: the even met the even ones, lamps by Lumen, the odd the odd ones, tents by Tarp."""
    store.write(
        "UNWIND range(0, 19) AS n CREATE (p:Product {sku: 'p' + n, title: 'P', active: true}) WITH p, n "
        "MERGE (c:Category {path: CASE n % 2 WHEN 0 THEN 'Home > Lamps' ELSE 'Outdoor > Tents' END}) "
        "MERGE (b:Brand {key: CASE n % 2 WHEN 0 THEN 'lumen' ELSE 'tarp' END}) "
        "SET b.name = CASE n % 2 WHEN 0 THEN 'Lumen' ELSE 'Tarp' END "
        "CREATE (p)-[:IN_CATEGORY {source: 'catalogue'}]->(c), (p)-[:MADE_BY {source: 'catalogue'}]->(b)"
    )
    store.write(
        "UNWIND range(0, 39) AS n CREATE (u:User {id: 'u' + n}) WITH u, n UNWIND range(0, 4) AS k "
        "MATCH (p:Product {sku: 'p' + ((n % 2 + 2 * (n / 2 + k)) % 20)}) "
        "CREATE (u)-[:BOUGHT {count: 1, strength: 1.0}]->(p)"
    )
    return store


def found(store: GraphStore, *, seed: int = 0, most_users: int = 1000) -> tuple[Segment, ...]:
    # In so small and regular a world Louvain may cut each half again by the products in turn; a share of a fifth
    # dissolves no half.
    return find_segments(read_audience(store), np.random.default_rng(seed), most_users=most_users, least_share=0.2)


def test_what_sets_the_halves_apart_names_them(halves: GraphStore) -> None:
    write_segments(halves, found(halves), NOW)
    rows = run(halves, find("insight/segments"), {"members": 1000})
    members = [{user[1:] for user in row["members"]} for row in rows]
    assert all(len({int(n) % 2 for n in numbers}) == 1 for numbers in members)
    assert sorted(n for numbers in members for n in map(int, numbers)) == list(range(40))
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    for row, numbers in zip(rows, members, strict=True):
        even = int(next(iter(numbers))) % 2 == 0
        # The shelf and the maker set a half apart equally; which comes first is of no account.
        assert set(row["name"].split(" (")[0].split(" · ")) == ({"Lamps", "Lumen"} if even else {"Tents", "Tarp"})
        traits = {t["trait"]: (t["inside"], t["outside"]) for t in row["traits"]}
        assert traits["category Home > Lamps" if even else "category Outdoor > Tents"][0] == pytest.approx(1.0)


def test_a_sample_is_cut_and_the_others_join_it(halves: GraphStore) -> None:
    for segment in found(halves, most_users=20):
        assert len({int(user[1:]) % 2 for user in segment.members}) == 1


def test_the_same_seed_finds_the_same(halves: GraphStore) -> None:
    assert found(halves) == found(halves)


def test_writing_twice_equals_writing_once_and_who_left_is_taken_out(halves: GraphStore) -> None:
    segments = found(halves)
    for _ in range(2):
        write_segments(halves, segments, NOW)
        assert halves.read("MATCH (u:User)-[:IN_SEGMENT]->() RETURN count(*) AS n, count(DISTINCT u) AS users") == [
            {"n": 40, "users": 40}
        ]
    first, *others = segments
    left = replace(first, members=first.members[1:], strengths=first.strengths[1:])
    write_segments(halves, [left, *others], NOW)
    assert halves.read(
        "MATCH (u:User {id: $id}) RETURN EXISTS { (u)-[:IN_SEGMENT]->() } AS still", id=first.members[0]
    ) == [{"still": False}]
    assert [r["users"] for r in halves.read("MATCH (s:Segment {id: 's1'}) RETURN s.users AS users")] == [
        len(left.members)
    ]


def segment(*members: str) -> Segment:
    return Segment(id="?", name="n", members=members, strengths=(1.0,) * len(members), traits=())


def test_an_id_stays_with_most_of_its_members() -> None:
    before = {**dict.fromkeys("abcd", "s1"), **dict.fromkeys("efg", "s2")}
    again = [segment("e", "f", "x"), segment("a", "b", "c", "g"), segment("y", "z", "d")]
    assert [s.id for s in keep_ids(again, before)] == ["s2", "s1", "s3"]
    assert [s.id for s in keep_ids([segment("a"), segment("b")], {})] == ["s1", "s2"]


def test_too_few_to_have_kinds(store: GraphStore) -> None:
    assert found(store) == ()
    store.write("CREATE (:User {id: 'a'})-[:BOUGHT {count: 1, strength: 1.0}]->(:Product {sku: 'p', title: 'P'})")
    assert found(store) == ()


def test_the_planted_kinds_of_the_bundled_shop_are_found(store: GraphStore, tmp_path: Path) -> None:
    from kg.app.shop.catalogue import load_words
    from kg.app.shop.customers import customers
    from tests.embeddings.bundled import load_shop

    load_shop(store, tmp_path)
    kind = {person.id: person.kind for person in customers(load_words(), 7)}
    segments = find_segments(read_audience(store), np.random.default_rng(0))
    assert 4 <= len(segments) <= 12
    assert len({s.name for s in segments}) == len(segments)
    # Some ten events a person, of six kinds of whom the greatest is 22 % of all: half were put with their kind.
    counts = [Counter(kind[user] for user in s.members) for s in segments]
    total = sum(sum(c.values()) for c in counts)
    assert sum(max(c.values()) for c in counts) / total > 0.4
    # Photographers and walkers are hardly ever mixed.
    walkers = [sum(n for k, n in c.items() if k in ("hiker", "camper")) for c in counts]
    assert sum(max(w, sum(c.values()) - w) for w, c in zip(walkers, counts, strict=True)) / total > 0.75
