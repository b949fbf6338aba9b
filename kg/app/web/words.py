"""From rows to words: what a term of a score, a relation or a price is called on a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TERMS: Final[Mapping[str, str]] = {
    "WORDS": "words",
    "MEANING": "meaning",
    "TASTE": "taste",
    "EMBEDDING": "taste",
    "TEXT": "like wording",
    "SIMILAR_TO": "taken by the same people",
    "NEXT": "often next",
    "POPULARITY": "popular",
    "ACCESSORY_OF": "made for it",
    "COMPATIBLE_WITH": "fits it",
    "DOES_NOT_FIT": "does not fit",
    "BETTER_THAN": "preferred to",
    "WORSE_THAN": "not preferred to",
    "COMPARED_WITH": "compared with",
    "SUBSTITUTE_FOR": "takes its place",
    "VARIANT_OF": "variant",
    "BOUGHT_WITH": "bought together",
    "VIEWED_WITH": "viewed together",
    "MADE_BY": "made by",
    "IN_CATEGORY": "on shelf",
    "HAS_ATTRIBUTE": "has",
    "FRIEND_OF": "liked by a friend",
    "PRAISED_FOR": "praised for",
    "CRITICISED_FOR": "criticised for",
    "TAKEN_BY_BOTH": "taken by others, too",
    "PINNED": "pinned",
    "BOOST": "boosted",
    "INTEREST": "a stated interest",
    "BOTH_MET": "met by people of like mind",
}
"""Terms of scores and types of relationships, as a shopkeeper would say them."""

STATED: Final[Mapping[str, str]] = {
    "ACCESSORY_OF": "made for",
    "COMPATIBLE_WITH": "fits",
    "SUBSTITUTE_FOR": "takes the place of",
    "VARIANT_OF": "a variant of",
}
"""Types of relationships from a product to another. As terms they are said of the other."""

BESIDE: Final[Mapping[str, str]] = {
    "ACCESSORY_OF": "one is made for the other",
    "SUBSTITUTE_FOR": "one takes the other's place",
}
"""Terms of two products that stand beside each other, where a query does not say which way a relationship leads."""

VERBS: Final[Mapping[str, str]] = {
    "BOUGHT": "bought",
    "RATED": "rated",
    "CARTED": "put into the cart",
    "CLICKED": "clicked",
    "VIEWED": "looked at",
}
"""What a user did with a product."""

OPINIONS: Final = ("PRAISED_FOR", "CRITICISED_FOR", "BETTER_THAN", "WORSE_THAN", "COMPARED_WITH")
"""Facts that are opinions: a page shows them where reviewers speak."""

KINDS: Final[Mapping[str, str]] = {
    "category": "Shelves",
    "brand": "Brands",
    "attribute": "Features",
    "aspect": "What matters",
    "price": "Prices",
    "search": "Searches",
    "stated": "Stated interests",
    "segment": "Segment",
}
"""Kinds of interests, in the order in which ``insight/user_profile`` gives them."""

SOURCES: Final[Mapping[str, str]] = {
    "catalogue": "the catalogue",
    "curator": "a person",
    "extraction": "a text",
}
"""Who says so."""


def stated(name: str) -> str:
    """What a fact says of the product before what it goes to: "made for" the guitar."""
    return STATED.get(name) or term(name)


def term(name: str) -> str:
    """The name of a term; one that is not known is at least written small."""
    return TERMS.get(name, name.replace("_", " ").lower())


def beside(name: str) -> str:
    """The name of a term that is said of two products alike."""
    return BESIDE.get(name) or term(name)


def verb(name: str) -> str:
    """What somebody did."""
    return VERBS.get(name, name.replace("_", " ").lower())


def money(price: float | None, currency: str | None) -> str:
    """A price with its currency: ``24.50 USD``; a dash where it is not known."""
    if price is None:
        return "–"
    return f"{price:,.2f} {currency or ''}".strip()


def begun(text: str) -> str:
    """With a capital, where it has none: ``Not known``. ``15.0 USD`` and ``iPhone case`` are written as they stand."""
    return text[:1].upper() + text[1:] if text.islower() else text


def stars(rating: float) -> str:
    """A rating as it was given: ``1 star``, ``4.5 stars``."""
    shown = f"{rating:.2f}".rstrip("0").rstrip(".")
    return f"{shown} star" if shown == "1" else f"{shown} stars"


def percent(share: float | None) -> str:
    """A share in whole percents; a small one is not called nothing."""
    if share is None:
        return "–"
    # A blank that does not break: number and sign stay on one line.
    return "<1\N{NO-BREAK SPACE}%" if 0 < share < 0.005 else f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def day(moment: str | None) -> str:
    """The day of an ISO 8601 moment."""
    return (moment or "")[:10]


def shelf(path: str) -> str:
    """The last step of a category's path."""
    return path.rpartition(" > ")[2]


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence in three pieces, the middle one the words that were read."""

    before: str
    quote: str
    after: str


def marked(sentence: str | None, quote: str | None) -> Marked:
    """Where ``quote`` stands in ``sentence``: its first place, or no place where it goes beyond the sentence."""
    sentence, quote = sentence or quote or "", quote or ""
    before, found, after = sentence.partition(quote) if quote else (sentence, "", "")
    return Marked(before, found, after)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that texts say about a product, and where."""

    id: str
    type: str
    object: str
    confidence: float
    """That of its surest place."""
    places: tuple[Mapping[str, Any], ...]
    """Rows of ``product/why``, the surest first."""


def facts_of(rows: Iterable[Mapping[str, Any]]) -> list[Fact]:
    """Rows of ``product/why``, one a place, as facts with their places; in the rows' order."""
    places: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        places.setdefault(row["fact"], []).append(row)
    return [
        Fact(fact, found[0]["type"], found[0]["object"], max(r["confidence"] or 0.0 for r in found), tuple(found))
        for fact, found in places.items()
    ]


def grouped(rows: Iterable[Mapping[str, Any]], by: str) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by the value of one column, both in the rows' order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(row)
    return groups


@dataclass(frozen=True, slots=True)
class Share:
    """One term's share of a score, where it begins and how wide it is, in percents of the bar."""

    term: str
    share: float
    begins: float
    because: str | None


def shares(reasons: Sequence[Mapping[str, Any]]) -> list[Share]:
    """Shares side by side, those of one term together, the greatest first.

    ``reasons`` have ``term`` and ``share``, or ``part`` where the shares are still to be made.
    """
    total = sum(r.get("part") or 0.0 for r in reasons)
    sums: dict[str, float] = {}
    because: dict[str, str | None] = {}
    for reason in reasons:
        value = reason["share"] if "share" in reason else (reason["part"] / total if total else 0.0)
        sums[reason["term"]] = sums.get(reason["term"], 0.0) + max(value or 0.0, 0.0)
        because[reason["term"]] = because.get(reason["term"]) or reason.get("because")
    found, begins = [], 0.0
    for name, share in sorted(sums.items(), key=lambda item: (-item[1], item[0])):
        found.append(Share(name, share, 100 * begins, because[name]))
        begins += share
    return found
