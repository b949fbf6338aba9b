"""``kg ask``: a question in words to an answer with evidence, or "not known".

:mod:`extraction.questions` reads the question, ``search/answer.cypher`` and
``search/extremes.cypher`` fetch the facts, and :func:`compose` makes an answer of both: a pure function, and the
place where it is decided what counts as yes, as no, and as nothing known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Final

from extraction.implied import rules_out, says, ways
from extraction.measures import Bound
from extraction.mentions import Lexicon, ProductEntry, words
from extraction.normalise import singular
from extraction.products import title_head
from extraction.questions import Asks, Question, QuestionReader, codes
from kg import catalogue, schema, vocabulary
from kg.app.jobs import encoder_of
from kg.settings import Settings
from kg.store import GraphStore

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "not known"

CANDIDATES: Final = 200
"""Products whose names may stand in a question: those whose titles have most of its words. Building the finder of names
from all of a large shop would take longer than everything else together."""
MOST_WORDS: Final = 60
"""Words of a question that are looked at: Lucene takes a thousand, and nobody asks in so many."""
SHOWN: Final = 5
"""Facts of an answer."""
SHELVES: Final = 3
"""Shelves of a name that many have, as "Accessories", on which is looked."""
OF_SHELF: Final = 20
"""Products of a shelf that are looked at one by one, the most popular."""
LARGEST: Final = 1000
"""The same where the one with the most of something is looked for, and most rows of facts."""

Fetch = Callable[..., list[dict[str, Any]]]
"""Rows of ``search/answer`` or ``search/extremes``, called with its parameters."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of an answer, as a row of ``search/answer`` says it."""

    sku: str
    title: str
    says: str
    """Relationship type, attribute, ``price`` or ``stock``."""
    object: str
    texts: int
    confidence: float
    source: str
    quote: str | None = None
    """The words of the text that say so, with the sentence around them and where they stand."""
    sentence: str | None = None
    document: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``kg ask`` prints."""

    question: str
    asks: Asks
    verdict: str
    """``yes``, ``no``, ``not known``, or the value that was asked for."""
    text: str
    """The answer as a sentence."""
    facts: tuple[Fact, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Asker:
    """Answers questions about one shop; built once a process, since models take seconds to load."""

    def __init__(self, store: GraphStore, settings: Settings) -> None:
        self._store = store
        encoder = encoder_of(settings)
        self._reader = QuestionReader(vocabulary.load(settings.vocabulary), encoder.encode)
        self._answer, self._by_attributes, self._extremes = (
            catalogue.find(f"search/{name}") for name in ("answer", "by_attributes", "extremes")
        )
        self._timeout_s = settings.query_timeout_s

    def ask(self, question: str, skus: Sequence[str] = (), *, left_s: Callable[[], float] | None = None) -> Answer:
        """Answer ``question``.

        Args:
            skus: the products that "it" or "these" speaks of, those shown before.
            left_s: asked before each query for the seconds that it may take; by default the setting's.
        """
        left_s = left_s or self._limit_s
        if not _may_be_english(question):
            return _unknown(Question(question, Asks.NOTHING), "Questions are read in English alone: ask in English.")

        def fetch(**parameters: Any) -> list[dict[str, Any]]:
            return list(catalogue.run(self._store, self._answer, parameters, timeout_s=left_s()))

        def shelf(**parameters: Any) -> list[dict[str, Any]]:
            return list(catalogue.run(self._store, self._by_attributes, parameters, timeout_s=left_s()))

        def extremes(**parameters: Any) -> list[dict[str, Any]]:
            return list(catalogue.run(self._store, self._extremes, parameters, timeout_s=left_s()))

        lexicon = self._lexicon(question, skus, left_s)
        read = self._reader.read(question, lexicon)
        return answer(read, lexicon, fetch, shelf, extremes, skus=[s for s in skus if s in lexicon.products])

    def _limit_s(self) -> float:
        return self._timeout_s

    def _lexicon(self, question: str, skus: Sequence[str], left_s: Callable[[], float]) -> Lexicon:
        """The names that may stand in a question: products with its words, those shown before, and every shelf."""
        # The words alone, in small letters: nothing that Lucene could take for a command. What is sold out counts too.
        text = " ".join(w.text.lower() for w in words(question)[:MOST_WORDS])
        products = self._store.read(
            _ENTRIES,
            skus=[*skus, *(w.text for w in codes(question)[:MOST_WORDS])],
            text=text,
            limit=CANDIDATES,
            extraction=schema.EXTRACTION,
            timeout_s=left_s(),
        )
        categories = self._store.read("MATCH (c:Category) RETURN c.path AS path ORDER BY path", timeout_s=left_s())
        return Lexicon(
            brands={row["brand"]: row["brand_name"] for row in products if row["brand"]},
            categories=tuple(row["path"] for row in categories),
            products={row["sku"]: ProductEntry(row["title"], row["brand"], row["category"]) for row in products},
        )


_ENTRIES: Final = """
CYPHER 25
CALL () {
  UNWIND $skus AS sku
  MATCH (p:Product {sku: sku})
  RETURN p
UNION
  CALL () {
    WHEN $text <> '' THEN {
      MATCH (p:Product)
        SEARCH p IN (FULLTEXT INDEX product_fulltext FOR $text LIMIT $limit)
      RETURN p
    }
  }
  RETURN p
}
CALL (p) {
  MATCH (p)-[r:MADE_BY]->(b:Brand)
  RETURN b
  ORDER BY CASE r.source WHEN $extraction THEN 1 ELSE 0 END, b.key
  LIMIT 1
  NEXT
  RETURN collect(b)[0] AS b
}
CALL (p) {
  MATCH (p)-[:IN_CATEGORY]->(c:Category)
  RETURN c.path AS path
  ORDER BY size(split(path, ' > ')) DESC, path
  LIMIT 1
  NEXT
  RETURN collect(path)[0] AS category
}
RETURN p.sku AS sku, p.title AS title, b.key AS brand, b.name AS brand_name, category
"""


def _may_be_english(question: str) -> bool:
    """Whether at least half the letters are those of English; the rest may be the name of a product."""
    letters = [c for c in question if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) >= len(letters)


# --- what is asked of what ------------------------------------------------------------------------------------


def answer(
    question: Question,
    lexicon: Lexicon,
    fetch: Fetch,
    shelf: Fetch,
    extremes: Fetch,
    *,
    skus: Sequence[str] = (),
) -> Answer:
    """Fetch what a question asks, and compose the answer."""
    named = _flat(question.products)
    if question.asks is Asks.NOTHING:
        return _unknown(question, "I do not understand the question. Questions are read in English.")
    if question.strangers and (question.asks is Asks.FITS or not (named or question.refers)):
        # What is known of other products is no answer.
        listed = _listed(question.strangers)
        return _unknown(question, f"Nothing here is called {listed}: name the product as the shop does.")
    if question.asks is Asks.FITS:
        return _fits(question, lexicon, fetch, skus)
    shown = _shown(question, skus, lexicon)
    if question.bound is not None and question.bound.number is None:
        return _more(question, question.bound, lexicon, extremes, shown)
    if question.asks is Asks.COMPARE and question.shown_first:
        named = list(dict.fromkeys([*shown, *named]))
    subjects = named or shown
    if question.asks is Asks.VALUE and (question.most or question.bound):
        return _measured(question, lexicon, fetch, shelf, extremes, subjects)
    if not subjects:
        subjects = _on_shelves(question, shelf, limit=OF_SHELF)
    if not subjects:
        return _unknown(question, "I do not know which product is meant: name it, or pass its sku.")
    if question.asks is Asks.COMPARE:
        return _compare(question, lexicon, fetch, subjects)
    if question.asks is Asks.CHEAPER:
        return _cheaper(question, lexicon, subjects, fetch)
    if question.asks in (Asks.PRICE, Asks.STOCK):
        return _offer(question, fetch(asks="offer", skus=subjects, limit=LARGEST))
    if question.asks is Asks.OPINION:
        return _opinion(question, lexicon, subjects, fetch(asks="opinion", skus=subjects, about=list(question.aspects)))
    rows = fetch(asks="value", skus=subjects, about=list(question.attributes), limit=LARGEST)
    if question.values:
        answer = _is_it(question, lexicon, subjects, rows)
        return _in_another_version(question, fetch, subjects, answer) if answer.verdict == NO else answer
    return _value(question, lexicon, subjects, rows)


def _flat(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(sku for name in names for sku in name))


def _shown(question: Question, skus: Sequence[str], lexicon: Lexicon) -> list[str]:
    """Those of the products shown before that a question without a name speaks of."""
    meant = _of_kind(question.things, skus, lexicon)
    if question.brands and not question.refers:
        # "Is the Birch guitar black?" is not asked of another maker's.
        meant = [sku for sku in meant if lexicon.products[sku].brand in question.brands]
    return meant


def _on_shelves(question: Question, shelf: Fetch, *, limit: int) -> list[str]:
    """What stands on the shelves that a question names and has the values and one of the brands in it."""
    found: dict[str, float] = {}
    for category in question.categories[:SHELVES]:
        for brand in question.brands or (None,):
            for keys in product(*(ways(value) for value in question.values)):
                rows = shelf(category=category, brand=brand, attributes=list(keys), limit=limit)
                found |= {row["sku"]: row["popularity"] or 0.0 for row in rows}
    return sorted(found, key=lambda sku: (-found[sku], sku))[:limit]


def _measured(
    question: Question, lexicon: Lexicon, fetch: Fetch, shelf: Fetch, extremes: Fetch, subjects: Sequence[str]
) -> Answer:
    """Which has the most of a quantity, or which has more or less than so much."""
    among: dict[str, list[str]]
    if subjects and question.values:
        # "Which of these black ones is the cheapest", "is it waterproof and under 300".
        about = list(dict.fromkeys(value.partition("=")[0] for value in question.values))
        rows = fetch(asks="value", skus=subjects, about=about, limit=LARGEST)
        having, _ = _with_values(question, subjects, rows)
        if not having:
            return _is_it(question, lexicon, subjects, rows)
        among = {"skus": list(having)}
    elif subjects:
        among = {"skus": list(subjects)}
    elif question.brands or any(len(ways(value)) > 1 for value in question.values):
        among = {"skus": _on_shelves(question, shelf, limit=LARGEST)}
    else:
        # Of a shelf all that it holds, however much: the graph looks for the extreme.
        among = {"categories": list(question.categories[:SHELVES]), "attributes": list(question.values)}
    if not (among.get("skus") or among.get("categories")):
        return _unknown(question, "I do not know which product is meant: name it, or pass its sku.")
    if question.bound is not None:
        limit = LARGEST if question.most else SHOWN
        rows = extremes(attribute=question.bound.of, most=question.bound.side > 0, limit=limit, **among)
        within = _within(question, question.bound, rows)
        if not question.most or within.verdict != YES:
            return within
        among = {"skus": [row["sku"] for row in rows if _holds(question.bound, row)]}
    (quantity,) = question.attributes
    return _extreme(question, extremes(attribute=quantity, most=question.most > 0, **among))


def _comparable(bound: Bound, row: Mapping[str, Any]) -> bool:
    """Whether a number is in a unit or a currency that the bound may be in; a price without one is in any."""
    return not bound.units or row["unit"] is None or row["unit"].upper() in {unit.upper() for unit in bound.units}


def _holds(bound: Bound, row: Mapping[str, Any]) -> bool:
    return bound.number is not None and _comparable(bound, row) and bound.holds(row["number"], bound.number)


def _within(question: Question, bound: Bound, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Whether any of several products has more, or less, than so much; rows come in the order of the quantity."""
    if not rows:
        return _unknown(question, f"Nothing is known of the {bound.of} of these.")
    comparable = [row for row in rows if _comparable(bound, row)]
    if not comparable:
        unit = "currency" if bound.of == "price" else "unit"
        return _unknown(question, f"The {bound.of} is known in another {unit} alone: {_stated(rows[:SHOWN])}.", rows)
    holding = [row for row in comparable if _holds(bound, row)][:SHOWN]
    verdict, shown = (YES, holding) if holding else (NO, comparable[:1])
    text = f"{verdict.capitalize()}: {_stated(shown)}."
    return Answer(question.text, question.asks, verdict, text, _facts(shown))


def _more(question: Question, bound: Bound, lexicon: Lexicon, extremes: Fetch, shown: Sequence[str]) -> Answer:
    """Whether one product has more of a quantity than another: "is it heavier than the X200"."""
    names = question.products
    if 0 < bound.before < len(names):
        ones, others = _flat(names[: bound.before]), _flat(names[bound.before :])
    elif question.shown_first:
        ones, others = list(shown), _flat(names)
    else:
        ones, others = _flat(names), list(shown)
    ones = [sku for sku in ones if sku not in others]
    if not ones or not others:
        return _unknown(question, "I need two products to compare: name them, or pass their skus.")
    rows = extremes(attribute=bound.of, most=bound.side > 0, skus=[*ones, *others], limit=LARGEST)
    for side in (ones, others):
        if not any(row["sku"] in side for row in rows):
            return _unknown(question, f"Nothing is known of the {bound.of} of {_names(side, lexicon)}.")
    limits = defaultdict(list)
    for row in rows:
        if row["sku"] in others:
            limits[row["unit"]].append(row)
    compared = [row for row in rows if row["sku"] in ones and row["unit"] in limits]
    if not compared:
        unit = "currencies" if bound.of == "price" else "units"
        return _unknown(question, f"What is stated in different {unit} is not compared: {_stated(rows[:SHOWN])}.", rows)
    more = [r for r in compared if all(bound.holds(r["number"], o["number"]) for o in limits[r["unit"]])]
    first = (more or compared)[:SHOWN]
    facts = [*first, *(o for unit in dict.fromkeys(r["unit"] for r in first) for o in limits[unit])][:SHOWN]
    verdict = YES if more else NO
    return Answer(question.text, question.asks, verdict, f"{verdict.capitalize()}: {_stated(facts)}.", _facts(facts))


def _stated(rows: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{r['title']}: {r['says']} {r['object']}" for r in rows)


def _of_kind(things: Sequence[str], skus: Sequence[str], lexicon: Lexicon) -> list[str]:
    """Those of the products shown before that a noun of the question names; all of them where none does."""
    meant = [s for s in skus if set(things) & {singular(w.text) for w in words(title_head(lexicon.products[s].title))}]
    return meant or list(skus)


def _fits(question: Question, lexicon: Lexicon, fetch: Fetch, skus: Sequence[str]) -> Answer:
    names = question.products
    kind = [t for t in question.things if t not in _NO_KINDS]
    if names and skus and question.shown_first:
        # "Does it fit the X100 and the X200?"
        subjects, targets = _of_kind(kind, skus, lexicon), _flat(names)
        subjects = [s for s in subjects if s not in targets]
    elif len(names) >= 2:
        subjects, targets = list(names[0]), [sku for name in names[1:] for sku in name]
    elif names and skus and (question.refers or _named_among(kind, skus, lexicon)):
        # "Does the strap fit the X100?" of the strap shown before.
        subjects, targets = _of_kind(kind, skus, lexicon), list(names[0])
        subjects = [s for s in subjects if s not in targets]
    elif names:
        subjects, targets = [], list(names[0])
    elif len(skus) >= 2 and question.refers:
        subjects, targets = list(skus[:1]), list(skus[1:])
    elif skus:
        subjects, targets = [], list(skus)
    else:
        return _unknown(question, "I do not know which products are meant: name them, or pass their skus.")
    rows = fetch(asks="fits", skus=subjects, targets=targets, about=[] if subjects else kind)
    if not subjects:
        makers = set(question.brands) - {lexicon.products[sku].brand for sku in targets}
        rows = [r for r in rows if not makers or _maker(lexicon, r["sku"]) in makers]
    if not rows:
        these, verb = _these(subjects, kind, lexicon), "goes" if len(subjects) == 1 else "go"
        return _unknown(question, f"Nothing is known of whether {these} {verb} with {_names(targets, lexicon)}.")
    return _weighed(question, rows, several=not subjects or len(subjects) > 1)


def _maker(lexicon: Lexicon, sku: str) -> str | None:
    return lexicon.products[sku].brand if sku in lexicon.products else None


def _named_among(kind: Sequence[str], skus: Sequence[str], lexicon: Lexicon) -> bool:
    return any(set(kind) & {singular(w.text) for w in words(lexicon.products[s].title)} for s in skus)


_NO_KINDS: Final = frozenset({"thing", "accessory", "product", "item", "stuff", "one"})
"""Nouns that narrow nothing."""


def _weighed(question: Question, rows: Sequence[Mapping[str, Any]], *, several: bool) -> Answer:
    """Yes or no by the heaviest fact of each product: rows come with the surest and nearest first."""
    first: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(row["sku"], row)
    fitting = [r for r in first.values() if r["says"] != "DOES_NOT_FIT"]
    misfits = [r for r in first.values() if r["says"] == "DOES_NOT_FIT"]
    if fitting:
        shown = fitting[:SHOWN] if several else fitting[:1]
        listed = _listed([f"{r['title']} ({r['object']})" for r in shown])
        text = f"Yes: {listed}." if several else f"Yes, {shown[0]['title']} goes with {shown[0]['object']}."
        return Answer(question.text, question.asks, YES, text, _facts([*shown, *misfits][:SHOWN]))
    text = f"No, {_listed([r['title'] for r in misfits[:SHOWN]])} does not go with {misfits[0]['object']}."
    return Answer(question.text, question.asks, NO, text, _facts(misfits[:SHOWN]))


def _with_values(
    question: Question, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[Mapping[str, Any]]], list[Mapping[str, Any]]]:
    """The products that have the values asked for, each with the rows that say so; and rows that rule them out."""
    asked: dict[str, list[str]] = defaultdict(list)
    for value in question.values:
        # "Red or black": one of an attribute will do.
        asked[value.partition("=")[0] if question.either else value].append(value)
    having: dict[str, list[Mapping[str, Any]]] = {}
    lacking: list[Mapping[str, Any]] = []
    by_sku = defaultdict(list)
    for row in rows:
        by_sku[row["sku"]].append(row)
    for sku in dict.fromkeys(subjects):
        mine = by_sku[sku]
        proofs = [next((r for r in mine if any(says(r["key"], v) for v in some)), None) for some in asked.values()]
        if all(proofs):
            having[sku] = [p for p in proofs if p]
            continue
        for some, proof in zip(asked.values(), proofs, strict=True):
            if proof is None:
                lacking += [r for r in mine if all(rules_out(r["key"], v) for v in some)]
    return having, lacking


def _is_it(question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Whether products have the values asked for; of several, which have."""
    having, lacking = _with_values(question, subjects, rows)
    wanted = _listed([value.partition("=")[2] for value in question.values])
    if having:
        shown = [proof for proofs in having.values() for proof in proofs]
        has = _listed(_distinct(shown)) if question.either else wanted
        text = f"Yes: {_listed([lexicon_title(lexicon, sku) for sku in list(having)[:SHOWN]])} ({has})."
        return Answer(question.text, question.asks, YES, text, _facts(shown[:SHOWN]))
    if lacking:
        stated = _listed([f"{r['title']} is {r['object']}" for r in lacking[:SHOWN]])
        return Answer(question.text, question.asks, NO, f"No: {stated}.", _facts(lacking[:SHOWN]))
    return _unknown(question, f"Nothing says whether {_names(subjects, lexicon)} is {wanted}.", rows)


_VERSIONS: Final = re.compile(r"\b(comes?|available|sold|sell|(get|have|buy) (it|this|that|one)) in\b", re.IGNORECASE)
"""Asks for any version of a product: "does it come in red"."""


def _in_another_version(question: Question, fetch: Fetch, subjects: Sequence[str], answer: Answer) -> Answer:
    """Who asks for the red one is told that there is one, where the product asked about is black."""
    variants = [row["sku"] for row in fetch(asks="variants", skus=subjects, limit=LARGEST)]
    if not variants:
        return answer
    rows = fetch(asks="value", skus=variants, about=list(question.attributes), limit=LARGEST)
    having, _ = _with_values(question, variants, rows)
    if not having:
        return answer
    shown = [proof for proofs in having.values() for proof in proofs]
    named = _listed([f"{proofs[0]['title']} ({_listed(_distinct(proofs))})" for proofs in [*having.values()][:SHOWN]])
    if _VERSIONS.search(question.text):
        return Answer(question.text, question.asks, YES, f"Yes: {named}.", _facts(shown[:SHOWN]))
    text = f"{answer.text.rstrip('.')}. Another version is: {named}."
    return Answer(question.text, question.asks, NO, text, (*answer.facts, *_facts(shown[:SHOWN])))


def _value(question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Answer:
    if not rows or not question.attributes:
        names = _names(subjects, lexicon)
        if not question.attributes:
            return _unknown(question, f"I do not understand what of {names} is asked.")
        return _unknown(question, f"Nothing is known of the {_listed(question.attributes)} of {names}.")
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        best.setdefault((row["sku"], row["key"]), row)
    shown = list(best.values())[:SHOWN]
    return Answer(question.text, question.asks, _listed(_distinct(shown)), f"{_stated(shown)}.", _facts(shown))


def _extreme(question: Question, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Of several products, the one with the greatest or the least of a quantity, or those that have equally much.

    Rows come in the order of the quantity. What is stated in another currency or unit has an answer of its own.
    """
    if not rows:
        return _unknown(question, f"Nothing is known of the {_listed(question.attributes)} of these.")
    by_unit: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_unit[row["unit"]].append(row)
    best = [r for of_unit in by_unit.values() for r in of_unit if r["number"] == of_unit[0]["number"]]
    text = _stated(best)
    if len(by_unit) > 1:
        units = "currencies" if best[0]["says"] == "price" else "units"
        text += f". What is stated in different {units} is not compared"
    shown = [*best, *(r for r in rows if r not in best)][:SHOWN]
    return Answer(question.text, question.asks, _listed([r["title"] for r in best]), f"{text}.", _facts(shown))


def _opinion(
    question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> Answer:
    if not rows:
        asked = f"the {_listed(question.aspects)} of " if question.aspects else ""
        return _unknown(question, f"No review says anything of {asked}{_names(subjects, lexicon)}.")
    counts: dict[str, list[int]] = {}
    for row in rows:
        counts.setdefault(row["object"], [0, 0])[row["says"] == "CRITICISED_FOR"] += row["texts"]
    praised, criticised = (sum(c[side] for c in counts.values()) for side in (0, 1))
    verdict = "praised" if praised > criticised else "criticised" if criticised > praised else "mixed"
    said = "; ".join(
        f"{aspect}: {good} for and {bad} against it" for aspect, (good, bad) in list(counts.items())[:SHOWN]
    )
    text = f"Reviews of {_names(subjects, lexicon)}: {said}."
    return Answer(question.text, question.asks, verdict, text, _facts(rows[:SHOWN]))


def _offer(question: Question, rows: Sequence[Mapping[str, Any]]) -> Answer:
    wanted = "price" if question.asks is Asks.PRICE else "stock"
    shown = [r for r in rows if r["says"] == wanted]
    if wanted == "stock":
        shown.sort(key=lambda row: row["number"] <= 0)  # of many, what there is comes first
    shown = shown[:SHOWN]
    if not shown:
        return _unknown(question, f"The {wanted} is not known.")
    if wanted == "price":
        text = "; ".join(f"{r['title']} costs {r['object']}" for r in shown)
        return Answer(question.text, question.asks, _listed(_distinct(shown)), f"{text}.", _facts(shown))
    there = any(r["number"] > 0 for r in shown)
    text = "; ".join(f"{r['title']}: {r['object']} in stock" for r in shown)
    return Answer(question.text, question.asks, YES if there else NO, f"{text}.", _facts(shown))


def _cheaper(question: Question, lexicon: Lexicon, subjects: Sequence[str], fetch: Fetch) -> Answer:
    rows = fetch(asks="cheaper", skus=subjects)
    if not rows:
        # The catalogue is complete as to its own prices: that nothing costs less is an answer where there is something
        # to compare with.
        alone = next((s for s in subjects if not fetch(asks="dearer", skus=[s], limit=1)), None)
        if alone is None:
            return Answer(question.text, question.asks, NO, "No, nothing on its shelf costs less and can be had now.")
        name = lexicon_title(lexicon, alone)
        if not any(r["says"] == "price" for r in fetch(asks="offer", skus=[alone])):
            return _unknown(question, f"The price of {name} is not known, so nothing can be compared with it.")
        return _unknown(
            question,
            f"Nothing else on the shelf of {name} can be had now and has a price in the same currency to compare with.",
        )
    shown = rows[:SHOWN]
    listed = _listed([f"{r['title']} ({r['object']})" for r in shown])
    return Answer(question.text, question.asks, YES, f"Yes: {listed}.", _facts(shown))


def _compare(question: Question, lexicon: Lexicon, fetch: Fetch, subjects: Sequence[str]) -> Answer:
    """Which of them texts prefer, then price and attributes of which they differ; `product/compare` has all of them."""
    if len(subjects) < 2:
        return _unknown(question, "I need two products to compare: name them, or pass their skus.")
    said = fetch(asks="compared", skus=subjects, targets=subjects)
    preferred = dict.fromkeys(subjects, 0)
    for row in said:
        if row["says"] in _WINNER:
            preferred[row[_WINNER[row["says"]]]] += row["texts"]
    liked = [
        f"{count} of the texts that compare them prefer {lexicon_title(lexicon, sku)}"
        for sku, count in preferred.items()
        if count
    ]
    rows = [r for r in fetch(asks="offer", skus=subjects) if r["says"] == "price"]
    rows += fetch(asks="value", skus=subjects, about=list(question.attributes), limit=500)
    table: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        table[row["says"]].setdefault(row["sku"], row)
    differing = {name: by for name, by in table.items() if len({r["object"] for r in by.values()}) > 1}
    if not differing and not liked:
        return _unknown(question, f"Nothing is known in which {_names(subjects, lexicon)} differ.")
    lines = [
        f"{name}: " + ", ".join(f"{by[s]['title']} {by[s]['object']}" for s in subjects if s in by)
        for name, by in differing.items()
    ]
    shown = [*said[:SHOWN], *(r for by in differing.values() for r in by.values())]
    verdict = _listed([*(["preference"] if liked else []), *differing])
    return Answer(question.text, question.asks, verdict, f"{'; '.join([*liked, *lines])}.", _facts(shown))


_WINNER: Final = {"BETTER_THAN": "sku", "WORSE_THAN": "key"}
"""Which of a row's products a text prefers."""


# --- words ----------------------------------------------------------------------------------------------------


def _unknown(question: Question, text: str, rows: Sequence[Mapping[str, Any]] = ()) -> Answer:
    return Answer(question.text, question.asks, UNKNOWN, f"Not known. {text}", _facts(rows[:SHOWN]))


def _facts(rows: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    kept = ("sku", "title", "says", "object", "texts", "confidence", "source", "quote", "sentence", "document", "start")
    return tuple(Fact(**{name: row[name] for name in (*kept, "end")}) for row in rows)


def _distinct(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["object"] for row in rows))


def lexicon_title(lexicon: Lexicon, sku: str) -> str:
    """The title of a product, or its sku where the lexicon does not have it."""
    return lexicon.products[sku].title if sku in lexicon.products else sku


def _names(skus: Sequence[str], lexicon: Lexicon) -> str:
    more = f" and {len(skus) - SHOWN} more" if len(skus) > SHOWN else ""
    return _listed([lexicon_title(lexicon, s) for s in skus[:SHOWN]]) + more


def _these(subjects: Sequence[str], kind: Sequence[str], lexicon: Lexicon) -> str:
    return _names(subjects, lexicon) if subjects else f"any {' or '.join(kind)}" if kind else "anything"


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items)
