"""The bundled shop: the same for the same seed, sound for the readers, and true to what it says is true."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from extraction.corpus import product_document, read_events, read_products, read_reviews, read_users, review_document
from kg.app.shop import ShopTruth, write_shop
from kg.app.shop.catalogue import load_words
from kg.records import EventRecord, ProductRecord, ReviewRecord, UserRecord
from kg.vocabulary import load as load_vocabulary

FILES = {"products.jsonl", "reviews.jsonl", "events.jsonl", "users.jsonl", "holdout.jsonl", "truth.json"}
PRODUCT_FIELDS = {
    "sku", "title", "description", "price", "currency", "brand", "categories", "released_at", "active", "stock",
    "consumable", "gtin", "variant_of",
}  # fmt: skip
"""What a product's row may say; the truths are to be found in title and description alone."""


SIZES = {"products": 121, "users": 300, "events": 3000, "reviews": 600}


@dataclass(frozen=True)
class Shop:
    """The shop of the default seed, read back by the readers."""

    truth: ShopTruth
    folder: Path
    products: dict[str, ProductRecord]
    reviews: dict[str, ReviewRecord]
    events: list[EventRecord]
    users: dict[str, UserRecord]
    holdout: dict[str, str]
    texts: dict[str, str]
    """Cleaned text of title and description, by sku."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    truth = write_shop(folder)
    products = {p.sku: p for p in read_products(folder / "products.jsonl", rejects=pytest.fail)}
    return Shop(
        truth=truth,
        folder=folder,
        products=products,
        reviews={r.id: r for r in read_reviews(folder / "reviews.jsonl", rejects=pytest.fail)},
        events=list(read_events(folder / "events.jsonl", rejects=pytest.fail)),
        users={u.user: u for u in read_users(folder / "users.jsonl", rejects=pytest.fail)},
        holdout={row["user"]: row["sku"] for row in rows(folder / "holdout.jsonl")},
        texts={sku: product_document(p).text for sku, p in products.items()},
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_shop(made: Shop, tmp_path: Path) -> None:
    again = write_shop(tmp_path / "again")
    truth = write_shop(tmp_path / "other", seed=8)

    assert again == made.truth != truth
    assert {p.name for p in made.folder.iterdir()} == FILES
    for name in FILES:
        assert (made.folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert (made.folder / name).read_bytes() != (tmp_path / "other" / name).read_bytes()
    counts = {name: len(rows(tmp_path / "other" / f"{name}.jsonl")) for name in SIZES}
    assert counts == SIZES
    assert len(truth.accessories) >= 10


def test_every_row_is_read_and_no_two_have_the_same_key(made: Shop) -> None:
    assert {name: len(getattr(made, name)) for name in SIZES} == SIZES


def test_events_and_reviews_are_of_customers_and_products_of_the_shop(made: Shop) -> None:
    assert {e.user for e in made.events} | {r.user for r in made.reviews.values()} <= made.users.keys()
    assert {e.sku for e in made.events if e.sku} | {r.sku for r in made.reviews.values()} <= made.products.keys()
    assert {f for u in made.users.values() for f in u.friends} <= made.users.keys()


def test_purchases_follow_carts_and_carts_follow_views(made: Shop) -> None:
    seen: defaultdict[tuple[str, str | None], set[str]] = defaultdict(set)
    for event in made.events:
        before = seen[event.user, event.sku]
        if event.type == "carted":
            assert "viewed" in before
        if event.type in ("bought", "rated", "returned"):
            assert {"carted"} <= before
        before.add(event.type)

    counts = Counter(e.type for e in made.events)
    assert counts["viewed"] > counts["carted"] > counts["bought"] > counts["rated"] > counts["returned"] > 0
    assert counts["searched"] > 0


def test_what_is_held_out_leaves_no_trace(made: Shop) -> None:
    bought = Counter(user for user, _ in {(e.user, e.sku) for e in made.events if e.type == "bought"})
    traces = {(e.user, e.sku) for e in made.events} | {(r.user, r.sku) for r in made.reviews.values()}

    assert len(made.holdout) >= 50
    assert not traces & set(made.holdout.items())
    assert all(bought[user] >= 2 for user in made.holdout)


def test_no_field_but_the_text_tells_the_truth(made: Shop) -> None:
    assert {name for row in rows(made.folder / "products.jsonl") for name in row} <= PRODUCT_FIELDS
    assert not any(p.related for p in made.products.values())
    assert {e.query for e in made.events if e.sku} == {None}


def test_every_planted_wording_stands_in_the_text(made: Shop) -> None:
    truth = made.truth

    assert (
        sum(r.type == "ACCESSORY_OF" for r in truth.relations),
        sum(r.type == "COMPATIBLE_WITH" for r in truth.relations),
        len(truth.denied),
    ) == (39, 32, 23)
    assert len(truth.attributes) > 300
    for plant in (*truth.relations, *truth.denied, *truth.attributes):
        assert plant.quote in made.texts[plant.sku]
    assert not any("[[" in text or "]]" in text for text in made.texts.values())


def test_who_says_that_a_product_fits_names_the_other(made: Shop) -> None:
    """A word of the other's title that is its own: its model ("K7", "Fjord") or what it is."""
    uses = Counter(word for p in made.products.values() for word in set(re.findall(r"[\w/-]+", p.title)))
    for relation in (*made.truth.relations, *made.truth.denied):
        title = re.findall(r"[\w/-]+", made.products[relation.target].title)
        own = {word for word in title if uses[word] <= 4 and (word[0].isupper() or word[0].isdigit())}
        assert own & set(re.findall(r"[\w/-]+", made.texts[relation.sku])), relation


def test_what_is_affirmed_is_not_denied(made: Shop) -> None:
    affirmed = {(r.sku, r.target) for r in made.truth.relations}

    assert not affirmed & {(r.sku, r.target) for r in made.truth.denied}
    assert {target for _, target in affirmed} | {r.target for r in made.truth.denied} <= made.products.keys()


def test_a_tenth_of_the_brands_stand_in_the_text_alone(made: Shop) -> None:
    without = {sku for sku, p in made.products.items() if p.brand is None}

    assert without == made.truth.brands.keys()
    assert 12 <= len(without) <= 15
    assert all(brand in made.texts[sku] for sku, brand in made.truth.brands.items())


def test_every_judgement_stands_in_its_review(made: Shop) -> None:
    for mention in made.truth.mentions:
        assert mention.quote in review_document(made.reviews[mention.review]).text
        assert mention.sku == made.reviews[mention.review].sku


def test_opinions_are_what_most_of_the_mentions_say(made: Shop) -> None:
    counts = Counter((m.sku, m.aspect, m.sentiment) for m in made.truth.mentions)
    opposite = {"praised": "criticised", "criticised": "praised"}

    assert {"praised", "criticised"} == {o.sentiment for o in made.truth.opinions}
    for opinion in made.truth.opinions:
        for_it = counts[opinion.sku, opinion.aspect, opinion.sentiment]
        against = counts[opinion.sku, opinion.aspect, opposite[opinion.sentiment]]
        assert len(opinion.reviews) == for_it >= 2
        assert for_it > against


def test_stars_go_with_words(made: Shop) -> None:
    good = Counter(m.review for m in made.truth.mentions if m.sentiment == "praised")
    bad = Counter(m.review for m in made.truth.mentions if m.sentiment == "criticised")
    only_good = [r.rating or 0 for id, r in made.reviews.items() if good[id] and not bad[id]]
    only_bad = [r.rating or 0 for id, r in made.reviews.items() if bad[id] and not good[id]]

    assert min(only_good) == 4
    assert max(only_bad) == 3


def test_pairs_are_bought_together_more_often_than_others(made: Shop) -> None:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for event in made.events:
        if event.type == "bought" and event.sku:
            owners[event.sku].add(event.user)
    share = sum(len(owners[p.first] & owners[p.second]) for p in made.truth.together) / sum(
        len(owners[p.first]) for p in made.truth.together
    )
    by_chance = sum(len(owners[p.second]) / len(made.users) for p in made.truth.together) / len(made.truth.together)

    assert len(made.truth.together) >= 10
    assert share > 3 * by_chance


def test_attributes_and_aspects_are_words_of_the_vocabulary(made: Shop) -> None:
    vocabulary = load_vocabulary()

    assert {a.attribute for a in made.truth.attributes} <= {a.name for a in vocabulary.attributes}
    assert {m.aspect for m in made.truth.mentions} <= {a.name for a in vocabulary.aspects}


def test_reviews_are_not_written_twice(made: Shop) -> None:
    texts = Counter(r.text for r in made.reviews.values())
    lengths = sorted(len(r.text.split()) for r in made.reviews.values())

    assert len(texts) > 0.98 * len(made.reviews)
    assert lengths[30] < 10
    assert lengths[-30] > 45


def test_clauses_can_follow_others() -> None:
    words = load_words()
    clauses = [c for entry in words["opinions"].values() for side in entry.values() for c in side]

    assert len(clauses) > 450
    assert [c for c in clauses if not re.match(r"[a-z]|I\b", c) or c[-1] in ".!?"] == []


def test_the_page_on_data_gives_the_numbers_of_the_shop(made: Shop) -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    truth = made.truth
    numbers = {
        "denied": f"{len(truth.denied)}",
        "attributes": f"{len(truth.attributes)}",
        "brands": f"{len(truth.brands)}",
        "opinions": f"{len(truth.mentions):,} and {len(truth.opinions)}",
        "together": f"{len(truth.together)}",
    }

    for name, number in numbers.items():
        assert re.search(rf"^\|.*`{name}` \|.*\| {number} \|$", page, re.MULTILINE), name
