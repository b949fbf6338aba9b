"""What an answer of ``kg ask`` says: which rows of ``search/answer`` answer a question, and the words for them.

Pure functions, one or two for each kind of question: here it is decided what counts as yes, as no, and as nothing
known, and here stand the sentences. What is looked up, and of which products, is :mod:`kg.app.ask`'s to say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from extraction.implied import rules_out, says
from extraction.measures import Bound
from extraction.mentions import Lexicon
from extraction.normalise import quantities, show_quantity, unit_of
from extraction.questions import Asks, Question

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "not known"

SHOWN: Final = 5
"""Facts of an answer."""


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


def alternatives(question: Question) -> list[list[str]]:
    """The values asked for, those together of which one will do: "red or black"."""
    asked: dict[str, list[str]] = defaultdict(list)
    for value in question.values:
        asked[value.partition("=")[0] if question.either else value].append(value)
    return list(asked.values())


def with_values(
    question: Question, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[Mapping[str, Any]]], list[Mapping[str, Any]]]:
    """The products that are as asked for, each with the rows that say so; and rows by which others are not.

    Who asks for what is not black is shown what has another colour; of what no colour is known, nothing is.
    """
    asked = alternatives(question)
    having: dict[str, list[Mapping[str, Any]]] = {}
    lacking: list[Mapping[str, Any]] = []
    by_sku = defaultdict(list)
    for row in rows:
        by_sku[row["sku"]].append(row)
    for sku in dict.fromkeys(subjects):
        mine = by_sku[sku]
        proofs = [next((r for r in mine if any(says(r["key"], v) for v in some)), None) for some in asked]
        has = [r for r in mine if any(says(r["key"], v) for v in question.without)]
        free = [next((r for r in mine if rules_out(r["key"], v)), None) for v in question.without]
        if all(proofs) and all(free) and not has:
            having[sku] = list({id(p): p for p in (*proofs, *free) if p}.values())
            continue
        lacking += has
        for some, proof in zip(asked, proofs, strict=True):
            if proof is None:
                lacking += [r for r in mine if all(rules_out(r["key"], v) for v in some)]
    return having, lacking


@dataclass(frozen=True, slots=True)
class Pairing:
    """What is known of whether some products go with one that is named; rows with the surest and nearest first."""

    target: str
    rows: Sequence[Mapping[str, Any]]

    def surest(self, subjects: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        """The heaviest fact of each of the products; of all of them where none is given."""
        first: dict[str, Mapping[str, Any]] = {}
        for row in self.rows:
            if not subjects or row["sku"] in subjects:
                first.setdefault(row["sku"], row)
        return list(first.values())


def _fits(row: Mapping[str, Any]) -> bool:
    return str(row["says"]) != "DOES_NOT_FIT"


def goes_with(question: Question, rows: Sequence[Mapping[str, Any]], *, several: bool) -> Answer:
    """Whether, or which of several, go with something: by the heaviest fact of each, of which there is one or more."""
    surest = Pairing("", rows).surest()
    fitting, misfits = [r for r in surest if _fits(r)], [r for r in surest if not _fits(r)]
    if question.misfits and misfits:
        return Answer(question.text, question.asks, YES, f"Yes: {_pairs(misfits[:SHOWN])}.", facts_of(misfits[:SHOWN]))
    if question.misfits:
        return Answer(question.text, question.asks, NO, f"No: {_pairs(fitting[:SHOWN])}.", facts_of(fitting[:SHOWN]))
    if fitting:
        shown = fitting[:SHOWN] if several else fitting[:1]
        listed = joined([f"{r['title']} ({r['object']})" for r in shown])
        text = f"Yes: {listed}." if several else f"Yes, {shown[0]['title']} goes with {shown[0]['object']}."
        return Answer(question.text, question.asks, YES, text, facts_of([*shown, *misfits][:SHOWN]))
    text = f"No, {joined([r['title'] for r in misfits[:SHOWN]])} does not go with {misfits[0]['object']}."
    return Answer(question.text, question.asks, NO, text, facts_of(misfits[:SHOWN]))


def goes_with_all(
    question: Question,
    lexicon: Lexicon,
    subjects: Sequence[Sequence[str]],
    pairings: Sequence[Pairing],
    *,
    kind: Sequence[str] = (),
) -> Answer:
    """Whether each name of the question goes with each of the others: else which does, and which does not.

    Args:
        subjects: skus that each name may mean, or those of which one that goes with everything is looked for; empty
            where that may be any product, of a ``kind``.
    """
    shown: list[Mapping[str, Any]] = []
    verdict = YES
    for group in subjects:
        surest = [pairing.surest(group) for pairing in pairings]
        fitting = [{row["sku"]: row for row in rows if _fits(row)} for rows in surest]
        together = [sku for sku in fitting[0] if all(sku in rows for rows in fitting)]
        if together:
            shown += [rows[sku] for sku in together[:SHOWN] for rows in fitting]
            continue
        shown += [row for rows in surest for row in [r for r in rows if _fits(r)][:SHOWN] or rows[:SHOWN]]
        denied = any(rows and not fits for rows, fits in zip(surest, fitting, strict=True))
        verdict = NO if denied or verdict == NO else UNKNOWN
    said = [_pairs(shown)] if shown else []
    said += [
        f"nothing is known of whether {these(group, kind, lexicon)} {'goes' if len(group) == 1 else 'go'} "
        f"with {pairing.target}"
        for group in subjects
        for pairing in pairings
        if not pairing.surest(group)
    ]
    text = "; ".join(said)
    if verdict == UNKNOWN:
        return Answer(question.text, question.asks, UNKNOWN, f"Not known. {_begun(text)}.", facts_of(shown))
    return Answer(question.text, question.asks, verdict, f"{_begun(verdict)}: {text}.", facts_of(shown))


def _pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{r['title']} {'goes' if _fits(r) else 'does not go'} with {r['object']}" for r in rows)


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def is_it(question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Whether products have the values asked for, and not those that they should not have; of several, which."""
    having, lacking = with_values(question, subjects, rows)
    wanted = joined([*(_word(v) for v in question.values), *(f"not {_word(v)}" for v in question.without)])
    if having:
        shown = [proof for proofs in having.values() for proof in proofs]
        has = joined(distinct(shown)) if question.either or question.without else wanted
        text = f"Yes: {joined([title_of(lexicon, sku) for sku in list(having)[:SHOWN]])} ({has})."
        known = {*having, *(row["sku"] for row in lacking)}
        if question.without and (open_ := [sku for sku in subjects if sku not in known]):
            text += f" Nothing says whether {titles_of(open_, lexicon)} is {wanted}."
        return Answer(question.text, question.asks, YES, text, facts_of(shown[:SHOWN]))
    if lacking:
        stated = joined([f"{r['title']} is {r['object']}" for r in lacking[:SHOWN]])
        return Answer(question.text, question.asks, NO, f"No: {stated}.", facts_of(lacking[:SHOWN]))
    return unknown(question, f"Nothing says whether {titles_of(subjects, lexicon)} is {wanted}.", rows)


def _word(key: str) -> str:
    return key.partition("=")[2]


_VERSIONS: Final = re.compile(r"\b(comes?|available|sold|sell|(get|have|buy) (it|this|that|one)) in\b", re.IGNORECASE)
"""Asks for any version of a product: "does it come in red"."""


def another_version(question: Question, having: Mapping[str, Sequence[Mapping[str, Any]]], answer: Answer) -> Answer:
    """Who asks for the red one is told that there is one, where the product asked about is black."""
    shown = [proof for proofs in having.values() for proof in proofs]
    named = joined([f"{proofs[0]['title']} ({joined(distinct(proofs))})" for proofs in [*having.values()][:SHOWN]])
    if _VERSIONS.search(question.text):
        return Answer(question.text, question.asks, YES, f"Yes: {named}.", facts_of(shown[:SHOWN]))
    text = f"{answer.text.rstrip('.')}. Another version is: {named}."
    return Answer(question.text, question.asks, NO, text, (*answer.facts, *facts_of(shown[:SHOWN])))


def value(question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """What is known of the attributes asked for, the surest of each product."""
    if not rows or not question.attributes:
        names = titles_of(subjects, lexicon)
        if not question.attributes:
            return unknown(question, f"I do not understand what of {names} is asked.")
        return unknown(question, f"Nothing is known of the {joined(question.attributes)} of {names}.")
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        best.setdefault((row["sku"], row["key"]), row)
    shown = list(best.values())[:SHOWN]
    told = [{**row, "object": told_in(row["object"], question.unit)} for row in shown]
    return Answer(question.text, question.asks, joined(distinct(told)), f"{in_words(told)}.", facts_of(shown))


def told_in(stated: str, symbol: str | None) -> str:
    """A quantity in the unit with this symbol and as it is stated; what cannot be converted as it is stated alone.

    >>> told_in("3600 g", "lb"), told_in("3600 g", "cm"), told_in("heavy", "lb")
    ('7.937 lb (3600 g)', '3600 g', 'heavy')
    """
    found = list(quantities(stated)) if symbol is not None else []
    if symbol is None or len(found) != 1 or (found[0].start, found[0].end) != (0, len(stated)):
        return stated
    unit = unit_of(symbol)
    if found[0].unit is unit or found[0].unit.dimension != unit.dimension:
        return stated
    return f"{show_quantity(found[0], unit)[0]} ({stated})"


def _comparable(bound: Bound, row: Mapping[str, Any]) -> bool:
    """Whether a number is in a unit or a currency that the bound may be in; a price without one is in any."""
    return not bound.units or row["unit"] is None or row["unit"].upper() in {unit.upper() for unit in bound.units}


def holds(bound: Bound, row: Mapping[str, Any]) -> bool:
    """Whether a row's number lies within the bound."""
    return bound.number is not None and _comparable(bound, row) and bound.holds(row["number"], bound.number)


def within(question: Question, bound: Bound, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Whether any of several products has more, or less, than so much; rows come in the order of the quantity."""
    if not rows:
        return unknown(question, f"Nothing is known of the {bound.of} of these.")
    comparable = [row for row in rows if _comparable(bound, row)]
    if not comparable:
        unit = "currency" if bound.of == "price" else "unit"
        return unknown(question, f"The {bound.of} is known in another {unit} alone: {in_words(rows[:SHOWN])}.", rows)
    holding = [row for row in comparable if holds(bound, row)][:SHOWN]
    # What lies nearest to a range may be below it or above; else the first is the nearest.
    verdict, shown = (YES, holding) if holding else (NO, [min(comparable, key=lambda row: _misses_by(bound, row))])
    text = f"{verdict.capitalize()}: {in_words(shown)}."
    return Answer(question.text, question.asks, verdict, text, facts_of(shown))


def _misses_by(bound: Bound, row: Mapping[str, Any]) -> float:
    if bound.number is None or bound.high is None:
        return 0.0
    return max(bound.number - float(row["number"]), float(row["number"]) - bound.high)


def more(
    question: Question,
    bound: Bound,
    lexicon: Lexicon,
    rows: Sequence[Mapping[str, Any]],
    *,
    ones: Sequence[str],
    others: Sequence[str],
) -> Answer:
    """Whether one of some products has more of a quantity than each of the others."""
    for side in (ones, others):
        if not any(row["sku"] in side for row in rows):
            return unknown(question, f"Nothing is known of the {bound.of} of {titles_of(side, lexicon)}.")
    limits = defaultdict(list)
    for row in rows:
        if row["sku"] in others:
            limits[row["unit"]].append(row)
    compared = [row for row in rows if row["sku"] in ones and row["unit"] in limits]
    if not compared:
        unit = "currencies" if bound.of == "price" else "units"
        return unknown(question, f"What is stated in different {unit} is not compared: {in_words(rows[:SHOWN])}.", rows)
    more = [r for r in compared if all(bound.holds(r["number"], o["number"]) for o in limits[r["unit"]])]
    first = (more or compared)[:SHOWN]
    facts = [*first, *(o for unit in dict.fromkeys(r["unit"] for r in first) for o in limits[unit])][:SHOWN]
    verdict = YES if more else NO
    return Answer(question.text, question.asks, verdict, f"{verdict.capitalize()}: {in_words(facts)}.", facts_of(facts))


def extreme(question: Question, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Of several products, the one with the greatest or the least of a quantity, or those that have equally much.

    Rows come in the order of the quantity. What is stated in another currency or unit has an answer of its own.
    """
    if not rows:
        return unknown(question, f"Nothing is known of the {joined(question.attributes)} of these.")
    by_unit: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_unit[row["unit"]].append(row)
    best = [r for of_unit in by_unit.values() for r in of_unit if r["number"] == of_unit[0]["number"]]
    text = in_words(best)
    if len(by_unit) > 1:
        units = "currencies" if best[0]["says"] == "price" else "units"
        text += f". What is stated in different {units} is not compared"
    shown = [*best, *(r for r in rows if r not in best)][:SHOWN]
    return Answer(question.text, question.asks, joined([r["title"] for r in best]), f"{text}.", facts_of(shown))


def opinion(question: Question, lexicon: Lexicon, subjects: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """How many texts praise, and how many criticise, each aspect."""
    if not rows:
        asked = f"the {joined(question.aspects)} of " if question.aspects else ""
        return unknown(question, f"No review says anything of {asked}{titles_of(subjects, lexicon)}.")
    counts: dict[str, list[int]] = {}
    for row in rows:
        counts.setdefault(row["object"], [0, 0])[row["says"] == "CRITICISED_FOR"] += row["texts"]
    praised, criticised = (sum(c[side] for c in counts.values()) for side in (0, 1))
    verdict = "praised" if praised > criticised else "criticised" if criticised > praised else "mixed"
    said = "; ".join(
        f"{aspect}: {good} for and {bad} against it" for aspect, (good, bad) in list(counts.items())[:SHOWN]
    )
    text = f"Reviews of {titles_of(subjects, lexicon)}: {said}."
    return Answer(question.text, question.asks, verdict, text, facts_of(rows[:SHOWN]))


def offer(question: Question, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """What products cost, or how many are in stock."""
    wanted = "price" if question.asks is Asks.PRICE else "stock"
    shown = [r for r in rows if r["says"] == wanted]
    if wanted == "stock":
        shown.sort(key=lambda row: row["number"] <= 0)  # of many, what there is comes first
    shown = shown[:SHOWN]
    if not shown:
        return unknown(question, f"The {wanted} is not known.")
    if wanted == "price":
        text = "; ".join(f"{r['title']} costs {r['object']}" for r in shown)
        return Answer(question.text, question.asks, joined(distinct(shown)), f"{text}.", facts_of(shown))
    there = any(r["number"] > 0 for r in shown)
    text = "; ".join(f"{r['title']}: {r['object']} in stock" for r in shown)
    return Answer(question.text, question.asks, YES if there else NO, f"{text}.", facts_of(shown))


def differences(
    question: Question,
    lexicon: Lexicon,
    subjects: Sequence[str],
    *,
    said: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
) -> Answer:
    """Which of them texts prefer (``said``), then price and attributes of which they differ (``rows``)."""
    preferred = dict.fromkeys(subjects, 0)
    for row in said:
        if row["says"] in _WINNER:
            preferred[row[_WINNER[row["says"]]]] += row["texts"]
    liked = [
        f"{count} of the texts that compare them prefer {title_of(lexicon, sku)}"
        for sku, count in preferred.items()
        if count
    ]
    table: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        table[row["says"]].setdefault(row["sku"], row)
    differing = {name: by for name, by in table.items() if len({r["object"] for r in by.values()}) > 1}
    if not differing and not liked:
        return unknown(question, f"Nothing is known in which {titles_of(subjects, lexicon)} differ.")
    lines = [
        f"{name}: " + ", ".join(f"{by[s]['title']} {by[s]['object']}" for s in subjects if s in by)
        for name, by in differing.items()
    ]
    shown = [*said[:SHOWN], *(r for by in differing.values() for r in by.values())]
    verdict = joined([*(["preference"] if liked else []), *differing])
    return Answer(question.text, question.asks, verdict, f"{'; '.join([*liked, *lines])}.", facts_of(shown))


_WINNER: Final = {"BETTER_THAN": "sku", "WORSE_THAN": "key"}
"""Which of a row's products a text prefers."""


# --- words ----------------------------------------------------------------------------------------------------


def unknown(question: Question, text: str, rows: Sequence[Mapping[str, Any]] = ()) -> Answer:
    """ "Not known", and why; ``rows`` are what is known instead."""
    return Answer(question.text, question.asks, UNKNOWN, f"Not known. {text}", facts_of(rows[:SHOWN]))


def facts_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Rows as the facts of an answer."""
    kept = ("sku", "title", "says", "object", "texts", "confidence", "source", "quote", "sentence", "document", "start")
    return tuple(Fact(**{name: row[name] for name in (*kept, "end")}) for row in rows)


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each row as product, attribute and value."""
    return "; ".join(f"{r['title']}: {r['says']} {r['object']}" for r in rows)


def distinct(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The objects of rows, each once."""
    return list(dict.fromkeys(row["object"] for row in rows))


def title_of(lexicon: Lexicon, sku: str) -> str:
    """The title of a product, or its sku where the lexicon does not have it."""
    return lexicon.products[sku].title if sku in lexicon.products else sku


def titles_of(skus: Sequence[str], lexicon: Lexicon) -> str:
    """Titles of the first products, and how many more there are."""
    more = f" and {len(skus) - SHOWN} more" if len(skus) > SHOWN else ""
    return joined([title_of(lexicon, s) for s in skus[:SHOWN]]) + more


def these(subjects: Sequence[str], kind: Sequence[str], lexicon: Lexicon) -> str:
    """The products asked about, or the kind of thing."""
    return titles_of(subjects, lexicon) if subjects else f"any {' or '.join(kind)}" if kind else "anything"


def joined(items: Sequence[str]) -> str:
    """Items one after another, in the order given."""
    return ", ".join(items)
