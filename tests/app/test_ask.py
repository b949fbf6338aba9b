"""``kg ask`` on the named shop: yes, no, a value, or not known, and each with what says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from extraction.questions import Asks
from kg import catalogue, vocabulary
from kg.app import ask
from kg.app.answers import Answer
from kg.app.ask import Asker
from kg.app.benchmark_questions import Asked, counted
from kg.app.shop.questions import PlantedQuestion, questions
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.conftest import Kg
from tests.conftest import SHOP

ASHDOWN = "Ashdown S-200 electric guitar"
BIRCH = "Birch dreadnought acoustic guitar"
HUMIDIFIER = "Larch soundhole humidifier"
STRAP = "Birch leather guitar strap"


@pytest.fixture(scope="module")
def asker(session_store: GraphStore) -> Asker:
    return Asker(session_store, Settings())


@pytest.fixture
def shop_of_facts(shop: GraphStore) -> GraphStore:
    """The shop, and some facts more: the tuner does not fit the acoustic, guitars have weights and a colour."""
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (g1:Product {sku: 'G1'}), (g2:Product {sku: 'G2'}) "
        "CREATE (d:Document {id: 'product:T1', kind: 'product', sku: 'T1', title_end: 20, sha256: 'c', "
        "text: 'Cobalt clip-on tuner\\n\\nIt does not fit the Birch dreadnought.'}), "
        "(t)-[:DOES_NOT_FIT {source: 'extraction', fact: 'f1', confidence: 0.8, count: 1}]->(g2), "
        "(:Evidence {id: 'x1', fact: 'f1', start: 42, end: 59, quote: 'Birch dreadnought', confidence: 0.8})"
        "-[:FROM]->(d), "
        "(g1)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'weight=3600 g', attribute: 'weight', value: '3600', unit: 'g', number: 3600.0}), "
        "(g2)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'weight=1900 g', attribute: 'weight', value: '1900', unit: 'g', number: 1900.0}), "
        "(g2)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'colour=black', attribute: 'colour', value: 'black'})"
    )
    return shop


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        ("Does the strap fit the S-200?", (), "yes", {"S1"}),
        ("Does it fit the S-200?", ("S1",), "yes", {"S1"}),
        ("What fits the Ashdown S-200?", (), "yes", {"S1"}),
        ("Does the Cobalt clip-on tuner fit the Birch dreadnought?", (), "no", {"T1"}),
        ("Does the Cobalt clip-on tuner fit the Ashdown S-200?", (), "not known", set()),
        ("How heavy is the Ashdown S-200?", (), "3600 g", {"G1"}),
        ("How heavy is it?", ("G2",), "1900 g", {"G2"}),
        ("How heavy is the Cobalt clip-on tuner?", (), "not known", set()),
        ("Which of these is black?", ("G1", "G2"), "yes", {"G2"}),
        ("Is the Birch dreadnought red?", (), "no", {"G2"}),
        ("Is the Ashdown S-200 black?", (), "not known", set()),
        ("Which of these is the lightest?", ("G1", "G2"), "Birch dreadnought acoustic guitar", {"G1", "G2"}),
        ("Which of these is the cheapest?", ("G1", "G2"), "Birch dreadnought acoustic guitar", {"G1", "G2"}),
        ("What do people say about the comfort?", ("S1",), "praised", {"S1"}),
        ("What do people say about the sound of the Ashdown S-200?", (), "not known", set()),
        ("Is there a cheaper one?", ("G1",), "yes", {"G2"}),
        ("Is there a cheaper one?", ("G2",), "no", set()),
        ("Compare the Ashdown S-200 and the Birch dreadnought.", (), "price, weight", {"G1", "G2"}),
        ("How much is the Cobalt clip-on tuner?", (), "15.0 USD", {"T1"}),
        ("When will my parcel arrive?", (), "not known", set()),
        ("How heavy is it?", (), "not known", set()),
        ("How heavy is it?", ("no such sku",), "not known", set()),
        ("", (), "not known", set()),
    ],
)
def test_answers(
    asker: Asker, shop_of_facts: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text
    for fact in answer.facts:
        if fact.source == "extraction":
            (document,) = shop_of_facts.read("MATCH (d:Document {id: $id}) RETURN d.text AS text", id=fact.document)
            assert document["text"][fact.start : fact.end] == fact.quote
            assert fact.quote in str(fact.sentence)
    assert answer.text.startswith("Not known.") == (verdict == "not known")


@pytest.mark.parametrize(
    ("question", "verdict", "of", "text"),
    [
        ("Does it come in red?", "yes", {"G2-R"}, "Yes: Birch dreadnought, red (red)."),
        ("Is it red?", "no", {"G2", "G2-R"}, "Another version is: Birch dreadnought, red (red)."),
        ("Is it black?", "yes", {"G2"}, "Yes"),
        ("Does it come in green?", "no", {"G2"}, "black."),  # the green one is sold out
        ("Does it come in white?", "no", {"G2"}, "black."),
    ],
)
def test_another_version_of_a_product_is_named_where_it_has_what_is_asked(
    asker: Asker, shop_of_facts: GraphStore, question: str, verdict: str, of: set[str], text: str
) -> None:
    shop_of_facts.write(
        "MATCH (g2:Product {sku: 'G2'}) UNWIND [['R', 'red', 3], ['G', 'green', 0]] AS version "
        "CREATE (g2)<-[:VARIANT_OF {source: 'catalogue'}]-(p:Product {sku: 'G2-' + version[0], active: true, "
        "stock: version[2], title: 'Birch dreadnought, ' + version[1]}), "
        "(p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->"
        "(:AttributeValue {key: 'colour=' + version[1], attribute: 'colour', value: version[1]})"
    )
    answer = asker.ask(question, ("G2",))
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text
    assert text in answer.text


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        ("Does it fit the Fender Stratocaster?", ("S1",), "not known", set()),
        ("Does the Birch leather guitar strap fit the Fender Strat?", (), "not known", set()),
        ("Does the Fender strap fit the Ashdown S-200?", (), "not known", set()),
        ("Is it compatible with the R5?", ("S1",), "not known", set()),
        ("Will it work with my gibson les paul?", ("S1",), "not known", set()),
        ("Is the Fender guitar black?", (), "not known", set()),
        ("How much is the Fender Strat?", ("G1",), "not known", set()),
        # The shop has a black guitar, of another brand.
        ("Is the Ashdown guitar black?", (), "not known", set()),
        ("Is the Birch guitar black?", (), "yes", {"G2"}),
        ("Is the Birch guitar black?", ("G1",), "yes", {"G2"}),
        # What is misspelt beside a name, shouted, or a word of the vocabulary is no other product.
        ("Does the strap fit the Ashdwn S-200?", (), "yes", {"S1"}),
        ("Does it REALLY fit the S-200?", ("S1",), "yes", {"S1"}),
        ("Does it fit the S-200 or the Birch dreadnought?", ("S1",), "yes", {"S1"}),
        ("Does S1 fit G1?", (), "yes", {"S1"}),
        ("How much is T1?", (), "15.0 USD", {"T1"}),
    ],
)
def test_what_is_known_of_another_product_is_no_answer(
    asker: Asker, shop_of_facts: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        ("Is the Ashdown S-200 cheaper than the Birch dreadnought?", (), "no", {"G1", "G2"}),
        ("Is the Birch dreadnought less expensive than the Ashdown S-200?", (), "yes", {"G1", "G2"}),
        ("Is it heavier than the Birch dreadnought?", ("G1",), "yes", {"G1", "G2"}),
        ("Is the Birch dreadnought heavier than this?", ("G1",), "no", {"G1", "G2"}),
        ("Does the Ashdown S-200 weigh more than the Birch dreadnought?", (), "yes", {"G1", "G2"}),
        ("Is the Cobalt clip-on tuner heavier than the Ashdown S-200?", (), "not known", set()),
        ("Is it better than the Birch dreadnought?", ("G1",), "price, weight", {"G1", "G2"}),
        ("Which is cheaper, the Ashdown S-200 or the Birch dreadnought?", (), BIRCH, {"G1", "G2"}),
        ("Which of these two is lighter?", ("G1", "G2"), BIRCH, {"G1", "G2"}),
        ("Which guitars cost less than 50 dollars?", (), "no", {"G2"}),
        ("Which guitars are under $300?", (), "yes", {"G2"}),
        ("Do you have guitars for more than 400 USD?", (), "yes", {"G1"}),
        ("Is it under 20 dollars?", ("T1",), "yes", {"T1"}),
        ("Is it under 20 dollars?", ("S1",), "no", {"S1"}),
        ("Does it cost at most 15 dollars?", ("T1",), "yes", {"T1"}),
        ("Is it under 20?", ("S1",), "no", {"S1"}),
        ("Is it cheaper than 20 euros?", ("T1",), "not known", {"T1"}),
        ("Does it weigh less than 2 kg?", ("G2",), "yes", {"G2"}),
        ("Is it lighter than 5 lbs?", ("G1",), "no", {"G1"}),
        ("Which is the heaviest guitar under 300 dollars?", (), BIRCH, {"G2"}),
        ("Which of these black ones is under 300 dollars?", ("G1", "G2"), "yes", {"G2"}),
        ("Is it black and under 600 dollars?", ("G1",), "not known", set()),
    ],
)
def test_more_and_less_are_compared_with_what_is_named(
    asker: Asker, shop_of_facts: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text


@pytest.fixture
def shop_of_colours(shop_of_facts: GraphStore) -> GraphStore:
    """The shop of facts, with values that no other test has: of the Ashdown nothing of the kind is known."""
    shop_of_facts.write(
        "UNWIND [['T1', 'colour', 'red'], ['T1', 'waterproof rating', 'ipx4'], ['S1', 'material', 'leather'], "
        "['S2', 'waterproof rating', 'ip68'], ['S2', 'colour', 'navy']] AS row MATCH (p:Product {sku: row[0]}) "
        "MERGE (v:AttributeValue {key: row[1] + '=' + row[2]}) SET v.attribute = row[1], v.value = row[2] "
        "MERGE (p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(v)"
    )
    return shop_of_facts


TUNER = "Cobalt clip-on tuner"


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        # A denial in a question of yes or no asks what the question would ask without it.
        ("Isn't it black?", ("G2",), "yes", {"G2"}),
        ("Isn't it black?", ("T1",), "no", {"T1"}),
        ("isnt it black", ("G2",), "yes", {"G2"}),
        ("Is it not waterproof?", ("T1",), "no", {"T1"}),
        ("Is the Birch dreadnought not black?", (), "yes", {"G2"}),
        ("Doesn't it come in black?", ("G2",), "yes", {"G2"}),
        ("Hi, why isn't it waterproof?", ("T1",), "no", {"T1"}),
        ("Isn't there a black one?", ("G2",), "yes", {"G2"}),
        # Else it asks for what is known to be without.
        ("Which of these are not black?", ("G1", "G2", "T1"), "yes", {"T1"}),
        ("which are not waterproof?", ("S2", "T1", "G1"), "yes", {"T1"}),
        ("Which of these aren't black?", ("G2",), "no", {"G2"}),
        ("Which of these are not black?", ("G1",), "not known", set()),
        ("Which ones are not red or black?", ("T1", "G2", "S2"), "yes", {"S2"}),
        ("Which of these is waterproof but not black?", ("S2", "T1"), "yes", {"S2"}),
        ("Is there one that is not black?", ("G2", "T1"), "yes", {"T1"}),
        ("Do you have one without leather?", ("S1",), "no", {"S1"}),
        ("Which of these that are not black is the cheapest?", ("G2", "T1"), TUNER, {"T1"}),
        # The same of numbers and of what goes together.
        ("Which of these do not cost more than 300 dollars?", ("G1", "G2"), "yes", {"G2"}),
        ("Isn't it under 300 dollars?", ("G2",), "yes", {"G2"}),
        ("Which of these is not under 300 dollars?", ("G1", "G2"), "yes", {"G1"}),
        ("Which of these does not fit the Birch dreadnought?", ("T1", "S1"), "yes", {"T1"}),
        ("Doesn't it fit the Birch dreadnought?", ("T1",), "no", {"T1"}),
        ("Is it incompatible with the S-200?", ("S1",), "no", {"S1"}),
    ],
)
def test_what_a_question_denies(
    asker: Asker, shop_of_colours: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text


def test_of_what_is_not_black_it_is_told_of_which_nothing_is_known(asker: Asker, shop_of_colours: GraphStore) -> None:
    assert asker.ask("Which of these are not black?", ["G1", "G2", "T1"]).text == (
        "Yes: Cobalt clip-on tuner (red). Nothing says whether Ashdown S-200 electric guitar is not black."
    )


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        ("Between 200 and 300 dollars?", ("G2",), "yes", {"G2"}),
        ("Between 200 and 300 dollars?", ("T1",), "no", {"T1"}),
        ("Which guitars cost between $200 and $300?", (), "yes", {"G2"}),
        ("Which guitars are from 300 to 500 USD?", (), "yes", {"G1"}),
        ("Do you have guitars for 300-400 dollars?", (), "no", {"G2"}),
        ("Is it between 10 and 20?", ("T1",), "yes", {"T1"}),
        ("Is it between 10 and 20 euros?", ("T1",), "not known", {"T1"}),
        ("Which of these weighs between 1 and 2 kg?", ("G1", "G2"), "yes", {"G2"}),
        ("Which is the cheapest guitar between 290 and 600 dollars?", (), ASHDOWN, {"G1"}),
        # In the unit asked for, with what is stated; a price in its own currency.
        ("How heavy is it in pounds?", ("G1",), "7.937 lb (3600 g)", {"G1"}),
        ("What is the weight of the Ashdown S-200 in kg?", (), "3.6 kg (3600 g)", {"G1"}),
        ("How heavy is it in grams?", ("G1",), "3600 g", {"G1"}),
        ("How heavy is it in inches?", ("G1",), "3600 g", {"G1"}),
        ("How much is it in pounds?", ("T1",), "15.0 USD", {"T1"}),
    ],
)
def test_ranges_and_units_that_are_asked_for(
    asker: Asker, shop_of_facts: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "text"),
    [
        (
            "Does it fit the S-200 and the Birch dreadnought?",
            ("S1",),
            "not known",
            f"Not known. {STRAP} goes with {ASHDOWN}; nothing is known of whether {STRAP} goes with {BIRCH}.",
        ),
        (
            f"Does the {STRAP} fit the S-200 and the Birch dreadnought?",
            (),
            "not known",
            f"Not known. {STRAP} goes with {ASHDOWN}; nothing is known of whether {STRAP} goes with {BIRCH}.",
        ),
        (
            "Does it fit the S-200 and the Birch dreadnought?",
            ("T1",),
            "no",
            f"No: {TUNER} goes with {ASHDOWN}; {TUNER} does not go with {BIRCH}.",
        ),
        (
            "What fits the S-200 and the Birch dreadnought?",
            (),
            "yes",
            f"Yes: {HUMIDIFIER} goes with {ASHDOWN}; {HUMIDIFIER} goes with {BIRCH}.",
        ),
        (
            f"Do the {STRAP} and the {TUNER} fit the S-200?",
            (),
            "yes",
            f"Yes: {STRAP} goes with {ASHDOWN}; {TUNER} goes with {ASHDOWN}.",
        ),
        (
            f"Do the {STRAP} and the {TUNER} fit the Birch dreadnought?",
            (),
            "no",
            f"No: {TUNER} does not go with {BIRCH}; nothing is known of whether {STRAP} goes with {BIRCH}.",
        ),
        ("Does it fit the S-200 or the Birch dreadnought?", ("S1",), "yes", f"Yes, {STRAP} goes with {ASHDOWN}."),
    ],
)
def test_what_goes_with_two_goes_with_both(
    asker: Asker, shop_of_facts: GraphStore, question: str, skus: tuple[str, ...], verdict: str, text: str
) -> None:
    shop_of_facts.write(
        "MATCH (t:Product {sku: 'T1'}), (g1:Product {sku: 'G1'}), (g2:Product {sku: 'G2'}) "
        "CREATE (t)-[:COMPATIBLE_WITH {source: 'catalogue'}]->(g1), "
        "(h:Product {sku: 'H1', title: $title, active: true}), "
        "(h)-[:COMPATIBLE_WITH {source: 'catalogue'}]->(g1), (h)-[:COMPATIBLE_WITH {source: 'catalogue'}]->(g2)",
        title=HUMIDIFIER,
    )
    answer = asker.ask(question, skus)
    assert (answer.verdict, answer.text) == (verdict, text)


def test_the_sentence_of_a_chinese_text_ends_at_its_full_stop(asker: Asker, shop: GraphStore) -> None:
    text = "吉他背带\n\n真皮制作。适合Ashdown S-200！可调节长度？不含其他配件。"
    start = text.index("Ashdown S-200")
    shop.write(
        "MATCH (t:Product {sku: 'T1'}), (g:Product {sku: 'G1'}) "
        "CREATE (d:Document {id: 'product:T1', kind: 'product', sku: 'T1', title_end: 4, sha256: 'c', text: $text}), "
        "(t)-[:COMPATIBLE_WITH {source: 'extraction', fact: 'z1', confidence: 0.8, count: 1}]->(g), "
        "(:Evidence {id: 'z1', fact: 'z1', start: $start, end: $end, quote: 'Ashdown S-200', confidence: 0.8})"
        "-[:FROM]->(d)",
        text=text,
        start=start,
        end=start + len("Ashdown S-200"),
    )
    (fact,) = asker.ask("Does it fit the S-200?", ["T1"]).facts
    assert fact.sentence == "适合Ashdown S-200！"
    (why,) = catalogue.run(shop, catalogue.find("product/why"), {"sku": "T1"})
    assert why["sentence"] == "适合Ashdown S-200！"


def test_a_question_that_is_too_long_is_not_read_by_half(asker: Asker, shop: GraphStore) -> None:
    answer = asker.ask("Is it black? " * 700, ["G2"])
    assert (answer.verdict, answer.text) == (
        "not known",
        "Not known. A question may have 1,000 characters, and this one has 9,099: ask in fewer words.",
    )


def test_the_planted_questions_do_not_depend_on_the_order_of_a_set() -> None:
    program = (
        "from kg import vocabulary; from kg.app.shop.questions import questions; "
        "print([(q.text, q.verdict) for q in questions(vocabulary.load(None), wording='unseen')])"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert first == second
    assert "differ" in first


def test_a_range_that_was_not_looked_at_to_its_end_is_not_denied(
    asker: Asker, shop: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "Which guitars cost between $200 and $300?"
    assert asker.ask(question).verdict == "yes"
    monkeypatch.setattr(ask, "LARGEST", 1)  # the dearest alone, which costs more
    answer = asker.ask(question)
    assert (answer.verdict, answer.facts) == ("not known", ())
    assert "only 1 were looked at" in answer.text


def test_a_question_full_of_values_looks_a_bounded_number_of_times(asker: Asker, shop: GraphStore) -> None:
    looked = Counter[str]()

    def left_s() -> float:
        looked["up"] += 1
        return 30.0

    asker.ask("Which guitars are waterproof, water-resistant, blue, green and red?", left_s=left_s)
    assert looked["up"] < 100


VALUES = [
    ("T1", "length", "5", "cm"),
    ("T1", "battery life", "30", "h"),
    ("T1", "charging time", "2", "h"),
    ("T1", "compatible devices", "android", None),
    ("S1", "length", "150", "cm"),
    ("S1", "battery life", "3", "h"),
    ("S1", "warranty", "24", "month"),
    ("S1", "use", "hiking", None),
    ("G2", "colour", "navy", None),
    ("T1", "waterproof rating", "ip54", None),
    ("G1", "waterproof rating", "ipx8", None),
    ("S2", "waterproof rating", "waterproof", None),
]


@pytest.mark.parametrize(
    ("question", "skus", "verdict", "of"),
    [
        # A long battery life is no length.
        ("How long does the battery last?", ("T1",), "30 h", {"T1"}),
        ("How long does it take to charge?", ("T1",), "2 h", {"T1"}),
        ("How long is the warranty?", ("S1",), "24 month", {"S1"}),
        ("How long is it?", ("S1",), "150 cm", {"S1"}),
        ("Which of these has the longest battery life?", ("S1", "T1"), "Cobalt clip-on tuner", {"S1", "T1"}),
        # A price, a value and what is in stock, though the question has a word of fitting.
        ("What is the price for the Ashdown S-200?", (), "499.0 USD", {"G1"}),
        ("Is there a warranty for it?", ("S1",), "24 month", {"S1"}),
        ("Is it compatible with Android?", ("T1",), "yes", {"T1"}),
        ("Is it suitable for hiking?", ("S1",), "yes", {"S1"}),
        ("Do you have the strap for the Ashdown S-200?", (), "yes", {"S1"}),
        ("Is a strap available for it?", ("G1",), "yes", {"S1"}),
        # One of several, all of several, and what says neither yes nor no.
        ("Is it red or blue?", ("G2",), "yes", {"G2"}),
        ("Does it come in red or black?", ("G2",), "no", {"G2"}),
        ("Is it blue and waterproof?", ("G2",), "not known", {"G2"}),
        ("Is it red and waterproof?", ("G2",), "no", {"G2"}),
        ("Is it water-resistant?", ("T1",), "yes", {"T1"}),
        ("Is it waterproof?", ("T1",), "no", {"T1"}),
        ("Is it IP67?", ("S2",), "not known", {"S2"}),
        ("Which guitars are waterproof?", (), "yes", {"G1"}),
        ("Which guitars are red or blue?", (), "yes", {"G2"}),
    ],
)
def test_attributes_are_read_as_people_ask_for_them(
    asker: Asker, shop: GraphStore, question: str, skus: tuple[str, ...], verdict: str, of: set[str]
) -> None:
    shop.write(
        "UNWIND $rows AS row MATCH (p:Product {sku: row[0]}) "
        "CREATE (p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(:AttributeValue {attribute: row[1], value: row[2], "
        "unit: row[3], number: toFloat(row[2]), key: row[1] + '=' + row[2] + coalesce(' ' + row[3], '')})",
        rows=[list(row) for row in VALUES],
    )
    answer = asker.ask(question, skus)
    assert (answer.verdict, {fact.sku for fact in answer.facts}) == (verdict, of), answer.text


def test_what_is_in_stock_is_not_hidden_by_what_is_sold_out(asker: Asker, shop: GraphStore) -> None:
    shop.write("MATCH (p:Product) SET p.active = true, p.stock = CASE p.sku WHEN 'X1' THEN 2 ELSE 0 END")
    answer = asker.ask("Are these in stock?", ["G1", "G2", "S1", "S2", "T1", "X1"])
    assert (answer.verdict, answer.text.partition(";")[0]) == ("yes", "Ashdown practice amp: 2 in stock")


def test_the_cheapest_and_the_heaviest_of_a_shelf_are_not_among_the_popular(asker: Asker, shop: GraphStore) -> None:
    shop.write(
        "MATCH (c:Category {path: 'Instruments > Guitars'}) UNWIND range(1, 100) AS n "
        "CREATE (p:Product {sku: 'N' + n, title: 'Larch model ' + n, active: true, popularity: 1.0 - n / 1000.0, "
        "                   price: CASE n WHEN 50 THEN 20.0 ELSE 600.0 + n END, currency: 'USD'})-[:IN_CATEGORY]->(c) "
        "CREATE (p)-[:HAS_ATTRIBUTE {source: 'catalogue'}]->(:AttributeValue {key: 'weight=' + n + ' g', "
        "        attribute: 'weight', value: toString(n), unit: 'g', "
        "number: CASE n WHEN 60 THEN 9.0e3 ELSE 1.0 * n END})"
    )
    cheapest = asker.ask("Which is the cheapest guitar?")
    assert (cheapest.verdict, cheapest.text) == ("Larch model 50", "Larch model 50: price 20.0 USD.")
    assert asker.ask("Which is the heaviest guitar?").verdict == "Larch model 60"
    # What is no longer sold is no answer, nor is it for those shown.
    shop.write("MATCH (p:Product {sku: 'N50'}) SET p.active = false")
    assert asker.ask("Which is the cheapest guitar?").verdict == "Birch dreadnought acoustic guitar"
    assert asker.ask("Which of these is the cheapest?", ["N50", "N70"]).verdict == "Larch model 70"


def test_prices_in_different_currencies_are_not_compared(asker: Asker, shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'G2'}) SET p.currency = 'JPY'")
    answer = asker.ask("Which of these is the cheapest?", ["G1", "G2", "T1"])
    assert answer.verdict == "Birch dreadnought acoustic guitar, Cobalt clip-on tuner"
    assert answer.text == (
        "Birch dreadnought acoustic guitar: price 289.0 JPY; Cobalt clip-on tuner: price 15.0 USD. "
        "What is stated in different currencies is not compared."
    )


def test_two_that_cost_the_same_are_both_the_cheapest(asker: Asker, shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'G1'}) SET p.price = 289.0")
    answer = asker.ask("Which of these is the cheapest?", ["G1", "G2"])
    assert answer.verdict == "Ashdown S-200 electric guitar, Birch dreadnought acoustic guitar"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            "SET p.price = null",
            "Not known. The price of Ashdown S-200 electric guitar is not known, so nothing can be compared with it.",
        ),
        (
            "SET p.currency = 'JPY'",
            "Not known. Nothing else on the shelf of Ashdown S-200 electric guitar can be had now and has a price in "
            "the same currency to compare with.",
        ),
    ],
)
def test_where_there_is_no_price_to_compare_nothing_is_said_to_cost_less(
    asker: Asker, shop: GraphStore, change: str, text: str
) -> None:
    shop.write("MATCH (p:Product {sku: 'G1'}) " + change)
    answer = asker.ask("Is there a cheaper one?", ["G1"])
    assert (answer.verdict, answer.text) == ("not known", text)


@pytest.mark.parametrize("question", ["这个背带适合S-200吗？", "最便宜的吉他是哪一把？", "ストラップは？"])
def test_a_question_in_another_script_is_told_that_questions_are_read_in_english(
    asker: Asker, shop: GraphStore, question: str
) -> None:
    answer = asker.ask(question, ["S1"])
    said = "Not known. Questions are read in English alone: ask in English."
    assert (answer.verdict, answer.text) == ("not known", said)


def test_a_name_in_another_script_may_stand_in_a_question(asker: Asker, shop: GraphStore) -> None:
    shop.write("MATCH (p:Product {sku: 'S1'}) SET p.title = '棕色真皮吉他背带'")
    assert asker.ask("How much is the 棕色真皮吉他背带?", ["S1"]).verdict == "24.5 USD"


def test_a_comparison_says_which_one_texts_prefer(asker: Asker, shop_of_facts: GraphStore) -> None:
    shop_of_facts.write(
        "MATCH (g1:Product {sku: 'G1'}), (g2:Product {sku: 'G2'}) "
        "CREATE (g2)-[:BETTER_THAN {source: 'extraction', fact: 'b1', confidence: 0.7, count: 2}]->(g1), "
        "(g1)-[:WORSE_THAN {source: 'extraction', fact: 'b2', confidence: 0.7, count: 1}]->(g2), "
        "(g1)-[:COMPARED_WITH {source: 'extraction', fact: 'b3', confidence: 0.7, count: 4}]->(g2)"
    )
    answer = asker.ask("Is the Ashdown S-200 better than the Birch dreadnought?")
    assert answer.verdict == "preference, price, weight"
    assert answer.text.startswith("3 of the texts that compare them prefer Birch dreadnought acoustic guitar; price:")
    assert {f.says for f in answer.facts} == {"BETTER_THAN", "WORSE_THAN", "COMPARED_WITH", "price", "weight"}


def test_the_command_prints_the_answer_with_the_sentence(kg: Kg, store: GraphStore) -> None:
    store.write(SHOP)
    shown = kg("ask", "Does the strap fit the S-200?").out
    assert shown.splitlines() == [
        "Yes: Birch leather guitar strap (Ashdown S-200 electric guitar).",
        "  “Fits the Ashdown S-200.” (product:S1 [52:65])",
    ]
    answer = kg("ask", "Does it fit the S-200?", "--sku", "S1", "--json").json
    assert (answer["verdict"], answer["facts"][0]["quote"]) == ("yes", "Ashdown S-200")


def test_planted_questions_have_every_kind_of_answer_and_differ_by_wording() -> None:
    words = vocabulary.load()
    seen, unseen = (questions(words, wording=w, of_each=5) for w in ("seen", "unseen"))
    assert questions(words, wording="seen", of_each=5) == seen
    assert not {q.text for q in seen} & {q.text for q in unseen}
    kinds = Counter(q.kind for q in unseen)
    assert set(kinds.values()) == {5}
    assert len(kinds) == 11
    verdicts = {q.verdict for q in unseen}
    assert {"yes", "no", "not known", "praised"} <= verdicts | {"praised"}


def test_accuracy_is_counted_by_kind_and_for_not_known() -> None:
    def asked(kind: str, expected: str, verdict: str) -> Asked:
        planted = PlantedQuestion(kind=kind, text="?", verdict=expected)
        return Asked(planted, Answer("?", Asks.FITS, verdict, ""))

    report = counted(
        [
            asked("fits", "yes", "yes"),
            asked("fits", "yes", "not known"),
            asked("unknown", "not known", "not known"),
            asked("value", "398 g", "weight 398 g"),
        ]
    )
    assert (report["accuracy"], report["by_kind"]) == (0.75, {"fits": 0.5, "unknown": 1.0, "value": 1.0})
    assert (report["not_known_precision"], report["not_known_recall"]) == (0.5, 1.0)
    assert [wrong["verdict"] for wrong in report["wrong"]] == ["not known"]
