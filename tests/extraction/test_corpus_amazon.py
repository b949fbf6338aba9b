"""Amazon's format: every review is a rating too, and nobody's name is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from extraction.corpus import (
    product_document,
    read_events,
    read_products,
    read_rated_reviews,
    read_reviews,
    read_users,
)
from kg.errors import InputError
from kg.records import EventRecord, ProductRecord, Reject, ReviewRecord

AT = datetime(2014, 2, 28, tzinfo=UTC)


def review(**changes: Any) -> dict[str, Any]:
    return {
        "reviewerID": "R1",
        "asin": "B1",
        "reviewerName": 'Ann "the ear" Lee',
        "helpful": "[0, 0]",
        "reviewText": "Sounds &#34;warm&#34;.",
        "overall": "5.0",
        "summary": "Good",
        "unixReviewTime": "1393545600",
        "reviewTime": "02 28, 2014",
    } | changes


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_a_product(tmp_path: Path) -> None:
    row = {
        "asin": "B1",
        "title": "21&#39; Cable -  1/4&quot;",
        "description": "Loud<br>and clear.",
        "price": 19.56,
        "brand": "D&#39;Addario",
        "categories": [["Musical Instruments", "Cables"]],
        "related": {"also_bought": ["B2", "B3"], "bought_together": ["B2"], "also_viewed": []},
        "salesRank": {"Musical Instruments": 1},
        "imUrl": "http://example.org/1.jpg",
    }

    products = list(read_products(write(tmp_path / "meta.jsonl", row), format="amazon", rejects=pytest.fail))

    assert products == [
        ProductRecord(
            sku="B1",
            title="21' Cable - 1/4\"",
            description="Loud\nand clear.",
            price=19.56,
            brand="D'Addario",
            categories=(("Musical Instruments", "Cables"),),
            related={"also_bought": ("B2", "B3"), "bought_together": ("B2",)},
        )
    ]


def test_a_product_without_a_title_is_named_by_its_asin_but_has_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "meta.jsonl", {"asin": "B1", "brand": ""})

    (product,) = read_products(path, format="amazon", rejects=pytest.fail)

    assert (product.sku, product.title, product.brand) == ("B1", "B1", None)
    assert product_document(product).text == ""


def test_each_review_is_a_rating_and_a_review(tmp_path: Path) -> None:
    rated, review_ = read_rated_reviews(write(tmp_path / "reviews.jsonl", review()), rejects=pytest.fail)

    assert rated == EventRecord(user="R1", type="rated", sku="B1", at=AT, value=5.0)
    assert review_ == ReviewRecord(
        id=review_.id, user="R1", sku="B1", text='Sounds "warm".', rating=5.0, title="Good", at=AT, rates=True
    )
    assert rated == review_.rated


def test_an_empty_text_is_a_reject_whose_rating_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.jsonl", review(reviewText=""), review(reviewerID="R2"))
    rejects: list[Reject] = []

    found = list(read_rated_reviews(path, rejects=rejects.append))

    assert [("R1", EventRecord), ("R2", EventRecord), ("R2", ReviewRecord)] == [(r.user, type(r)) for r in found]
    assert [(r.line, r.reason) for r in rejects] == [(1, "empty text.")]


def test_reviews_and_events_can_be_read_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.jsonl", review(reviewText=""), review(reviewerID="R2"))
    rejects: list[Reject] = []

    assert [r.user for r in read_reviews(path, format="amazon", rejects=rejects.append)] == ["R2"]
    assert [e.user for e in read_events(path, format="amazon", rejects=pytest.fail)] == ["R1", "R2"]
    assert len(rejects) == 1


def test_ids_of_reviews_are_stable_tell_two_apart_and_hide_the_reviewer(tmp_path: Path) -> None:
    rows = [review(), review(unixReviewTime="1393632000"), review(reviewerID="R2"), review(asin="B2")]
    path = write(tmp_path / "reviews.jsonl", *rows)
    backwards = write(tmp_path / "backwards.jsonl", *reversed(rows))

    ids = [r.id for r in read_reviews(path, format="amazon", rejects=pytest.fail)]

    assert len(set(ids)) == 4
    assert list(reversed(ids)) == [r.id for r in read_reviews(backwards, format="amazon", rejects=pytest.fail)]
    assert not any("R1" in id or "R2" in id for id in ids)


def test_the_same_review_twice_is_one_and_another_text_of_the_same_time_is_a_reject(tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.jsonl", review(), review(), review(reviewText="Edited.", overall="1.0"))
    rejects: list[Reject] = []

    found = list(read_rated_reviews(path, rejects=rejects.append))

    assert [r.value for r in found if isinstance(r, EventRecord)] == [5.0]
    assert [r.line for r in rejects] == [3]


@pytest.mark.parametrize(
    "bad",
    [
        json.dumps(review(overall="9")),
        json.dumps(review(asin="")),
        json.dumps(review())[:-20],
        json.dumps(review())[:60],
        json.dumps(review()).replace("5.0", "5.0\\"),
    ],
)
def test_no_reject_shows_who_it_was(tmp_path: Path, bad: str) -> None:
    rejects: list[Reject] = []

    assert not list(read_rated_reviews(write(tmp_path / "reviews.jsonl", bad), rejects=rejects.append))

    assert "reviewer" not in rejects[0].excerpt.replace('"reviewerID": ""', "").replace('"reviewerName": ""', "")
    assert "R1" not in rejects[0].excerpt
    assert "Ann" not in rejects[0].excerpt
    assert "Lee" not in rejects[0].excerpt


def test_amazon_has_no_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file of users"):
        read_users(tmp_path / "users.jsonl", format="amazon", rejects=pytest.fail)
