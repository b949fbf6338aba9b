"""``kg ask`` on the named shop: yes, no, a value, or not known, and each with what says so."""

from __future__ import annotations

from collections import Counter

import pytest

from extraction.questions import Asks
from kg import vocabulary
from kg.app.ask import Answer, Asker
from kg.app.benchmark_questions import Asked, counted
from kg.app.shop.questions import PlantedQuestion, questions
from kg.settings import Settings
from kg.store import GraphStore
from tests.app.conftest import Kg
from tests.conftest import SHOP


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
