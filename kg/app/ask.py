"""``kg ask``: a question in words to an answer with evidence, or "not known".

:mod:`extraction.questions` reads the question, ``search/answer.cypher`` and
``search/extremes.cypher`` fetch the facts, and :mod:`kg.app.answers` puts them in words. Here stands of which products
what is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, product
from typing import Any, Final

from extraction.implied import ways
from extraction.measures import Bound
from extraction.mentions import Lexicon, ProductEntry, words
from extraction.normalise import singular
from extraction.products import title_head
from extraction.questions import MAX_QUESTION, Asks, Question, QuestionReader, codes
from kg import catalogue, schema, vocabulary
from kg.app import answers
from kg.app.answers import Answer
from kg.app.jobs import encoder_of
from kg.settings import Settings
from kg.store import GraphStore

CANDIDATES: Final = 200
"""Products whose names may stand in a question: those whose titles have most of its words. Building the finder of names
from all of a large shop would take longer than everything else together."""
MOST_WORDS: Final = 60
"""Words of a question that are looked at: Lucene takes a thousand, and nobody asks in so many."""
SHELVES: Final = 3
"""Shelves of a name that many have, as "Accessories", on which is looked."""
LOOKUPS: Final = 30
"""Combinations of values that are looked up on a shelf, those as asked for first: water-resistant things have thirteen
values and blue ones two, so both together have twenty-six, and each further value multiplies them."""
OF_SHELF: Final = 20
"""Products of a shelf that are looked at one by one, the most popular."""
LARGEST: Final = 1000
"""The same where the one with the most of something is looked for, and most rows of facts."""

Fetch = Callable[..., list[dict[str, Any]]]
"""Rows of ``search/answer`` or ``search/extremes``, called with its parameters."""


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
        length = len(" ".join(question.split()))
        if length > MAX_QUESTION:
            # What stands behind a cut may turn the question round.
            told = f"A question may have {MAX_QUESTION:,} characters, and this one has {length:,}: ask in fewer words."
            return answers.unknown(Question(question, Asks.NOTHING), told)
        if not _may_be_english(question):
            return answers.unknown(
                Question(question, Asks.NOTHING), "Questions are read in English alone: ask in English."
            )

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
        return answers.unknown(question, "I do not understand the question. Questions are read in English.")
    if question.strangers and (question.asks is Asks.FITS or not (named or question.refers)):
        # What is known of other products is no answer.
        listed = answers.joined(question.strangers)
        return answers.unknown(question, f"Nothing here is called {listed}: name the product as the shop does.")
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
        return answers.unknown(question, "I do not know which product is meant: name it, or pass its sku.")
    if question.asks is Asks.COMPARE:
        return _compare(question, lexicon, fetch, subjects)
    if question.asks is Asks.CHEAPER:
        return _cheaper(question, lexicon, subjects, fetch)
    if question.asks in (Asks.PRICE, Asks.STOCK):
        return answers.offer(question, fetch(asks="offer", skus=subjects, limit=LARGEST))
    if question.asks is Asks.OPINION:
        return answers.opinion(
            question, lexicon, subjects, fetch(asks="opinion", skus=subjects, about=list(question.aspects))
        )
    rows = fetch(asks="value", skus=subjects, about=list(question.attributes), limit=LARGEST)
    if question.values or question.without:
        answer = answers.is_it(question, lexicon, subjects, rows)
        return _in_another_version(question, fetch, subjects, answer) if answer.verdict == answers.NO else answer
    return answers.value(question, lexicon, subjects, rows)


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
    options = [dict.fromkeys(way for value in some for way in ways(value)) for some in answers.alternatives(question)]
    for category in question.categories[:SHELVES]:
        for brand in question.brands[:SHELVES] or (None,):
            for keys in islice(product(*options), LOOKUPS):
                rows = shelf(category=category, brand=brand, attributes=list(keys), limit=limit)
                found |= {row["sku"]: row["popularity"] or 0.0 for row in rows}
    return sorted(found, key=lambda sku: (-found[sku], sku))[:limit]


def _measured(
    question: Question, lexicon: Lexicon, fetch: Fetch, shelf: Fetch, extremes: Fetch, subjects: Sequence[str]
) -> Answer:
    """Which has the most of a quantity, or which has more or less than so much."""
    among: dict[str, list[str]]
    if question.without and not subjects:
        subjects = _on_shelves(question, shelf, limit=LARGEST)
    if subjects and (question.values or question.without):
        # "Which of these black ones is the cheapest", "is it waterproof and under 300".
        about = list(dict.fromkeys(v.partition("=")[0] for v in (*question.values, *question.without)))
        rows = fetch(asks="value", skus=subjects, about=about, limit=LARGEST)
        having, _ = answers.with_values(question, subjects, rows)
        if not having:
            return answers.is_it(question, lexicon, subjects, rows)
        among = {"skus": list(having)}
    elif subjects:
        among = {"skus": list(subjects)}
    elif question.brands or any(len(ways(value)) > 1 for value in question.values):
        among = {"skus": _on_shelves(question, shelf, limit=LARGEST)}
    else:
        # Of a shelf all that it holds, however much: the graph looks for the extreme.
        among = {"categories": list(question.categories[:SHELVES]), "attributes": list(question.values)}
    if not (among.get("skus") or among.get("categories")):
        return answers.unknown(question, "I do not know which product is meant: name it, or pass its sku.")
    if question.bound is not None:
        limit = LARGEST if question.most or question.bound.high is not None else answers.SHOWN
        rows = extremes(attribute=question.bound.of, most=question.bound.side > 0, limit=limit, **among)
        within = answers.within(question, question.bound, rows)
        if question.bound.high is not None and len(rows) == LARGEST and within.verdict == answers.NO:
            # The rows end above the range, or before it.
            told = (
                f"Of these only {LARGEST:,} were looked at, and none is in that range: name a brand or a value as well."
            )
            return answers.unknown(question, told)
        if not question.most or within.verdict != answers.YES:
            return within
        among = {"skus": [row["sku"] for row in rows if answers.holds(question.bound, row)]}
    (quantity,) = question.attributes
    return answers.extreme(question, extremes(attribute=quantity, most=question.most > 0, **among))


def _of_kind(things: Sequence[str], skus: Sequence[str], lexicon: Lexicon) -> list[str]:
    """Those of the products shown before that a noun of the question names; all of them where none does."""
    meant = [s for s in skus if set(things) & {singular(w.text) for w in words(title_head(lexicon.products[s].title))}]
    return meant or list(skus)


def _fits(question: Question, lexicon: Lexicon, fetch: Fetch, skus: Sequence[str]) -> Answer:
    names = question.products
    kind = [t for t in question.things if t not in _NO_KINDS]
    subjects: list[tuple[str, ...]]
    targets: list[tuple[str, ...]] = list(names)
    if names and skus and question.shown_first:
        # "Does it fit the X100 and the X200?"
        subjects = [tuple(s for s in _of_kind(kind, skus, lexicon) if s not in _flat(names))]
    elif question.subjects:
        subjects, targets = list(names[: question.subjects]), list(names[question.subjects :])
    elif names and skus and (question.refers or _named_among(kind, skus, lexicon)):
        # "Does the strap fit the X100?" of the strap shown before.
        subjects = [tuple(s for s in _of_kind(kind, skus, lexicon) if s not in _flat(names))]
    elif names:
        subjects = [()]
    elif len(skus) >= 2 and question.refers:
        subjects, targets = [tuple(skus[:1])], [tuple(skus[1:])]
    elif skus:
        subjects, targets = [()], [tuple(skus)]
    else:
        return answers.unknown(question, "I do not know which products are meant: name them, or pass their skus.")
    if question.either or question.misfits or not question.every:
        subjects, targets = [tuple(_flat(subjects))], [tuple(_flat(targets))]
    asked = _flat(subjects)
    makers = set(question.brands) - {lexicon.products[sku].brand for sku in _flat(targets)}
    # Of what goes with one thing, the surest; what goes with several need be the surest with none.
    limit = LARGEST if len(targets) > 1 else _FITTING
    pairings = []
    for target in targets:
        rows = fetch(asks="fits", skus=asked, targets=list(target), about=[] if asked else kind, limit=limit)
        if not asked:
            rows = [r for r in rows if not makers or _maker(lexicon, r["sku"]) in makers]
        pairings.append(answers.Pairing(answers.titles_of(target, lexicon), rows))
    if not any(pairing.rows for pairing in pairings):
        these, verb = answers.these(asked, kind, lexicon), "goes" if len(asked) == 1 else "go"
        return answers.unknown(
            question, f"Nothing is known of whether {these} {verb} with {answers.titles_of(_flat(targets), lexicon)}."
        )
    if len(subjects) > 1 or len(pairings) > 1:
        return answers.goes_with_all(question, lexicon, subjects, pairings, kind=kind)
    return answers.goes_with(question, pairings[0].rows, several=len(asked) != 1)


def _maker(lexicon: Lexicon, sku: str) -> str | None:
    return lexicon.products[sku].brand if sku in lexicon.products else None


def _named_among(kind: Sequence[str], skus: Sequence[str], lexicon: Lexicon) -> bool:
    return any(set(kind) & {singular(w.text) for w in words(lexicon.products[s].title)} for s in skus)


_FITTING: Final = 50
"""Rows of what goes with one thing."""
_NO_KINDS: Final = frozenset({"thing", "accessory", "product", "item", "stuff", "one"})
"""Nouns that narrow nothing."""


def _in_another_version(question: Question, fetch: Fetch, subjects: Sequence[str], answer: Answer) -> Answer:
    """What is answered where another version of a product has the values that it has not."""
    variants = [row["sku"] for row in fetch(asks="variants", skus=subjects, limit=LARGEST)]
    if not variants:
        return answer
    rows = fetch(asks="value", skus=variants, about=list(question.attributes), limit=LARGEST)
    having, _ = answers.with_values(question, variants, rows)
    return answers.another_version(question, having, answer) if having else answer


def _cheaper(question: Question, lexicon: Lexicon, subjects: Sequence[str], fetch: Fetch) -> Answer:
    rows = fetch(asks="cheaper", skus=subjects)
    if not rows:
        # The catalogue is complete as to its own prices: that nothing costs less is an answer where there is something
        # to compare with.
        alone = next((s for s in subjects if not fetch(asks="dearer", skus=[s], limit=1)), None)
        if alone is None:
            return Answer(
                question.text, question.asks, answers.NO, "No, nothing on its shelf costs less and can be had now."
            )
        name = answers.title_of(lexicon, alone)
        if not any(r["says"] == "price" for r in fetch(asks="offer", skus=[alone])):
            return answers.unknown(question, f"The price of {name} is not known, so nothing can be compared with it.")
        return answers.unknown(
            question,
            f"Nothing else on the shelf of {name} can be had now and has a price in the same currency to compare with.",
        )
    shown = rows[: answers.SHOWN]
    listed = answers.joined([f"{r['title']} ({r['object']})" for r in shown])
    return Answer(question.text, question.asks, answers.YES, f"Yes: {listed}.", answers.facts_of(shown))


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
        return answers.unknown(question, "I need two products to compare: name them, or pass their skus.")
    rows = extremes(attribute=bound.of, most=bound.side > 0, skus=[*ones, *others], limit=LARGEST)
    return answers.more(question, bound, lexicon, rows, ones=ones, others=others)


def _compare(question: Question, lexicon: Lexicon, fetch: Fetch, subjects: Sequence[str]) -> Answer:
    """How they differ; ``product/compare`` has all of it."""
    if len(subjects) < 2:
        return answers.unknown(question, "I need two products to compare: name them, or pass their skus.")
    said = fetch(asks="compared", skus=subjects, targets=subjects)
    rows = [r for r in fetch(asks="offer", skus=subjects) if r["says"] == "price"]
    rows += fetch(asks="value", skus=subjects, about=list(question.attributes), limit=500)
    return answers.differences(question, lexicon, subjects, said=said, rows=rows)
