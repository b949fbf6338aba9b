"""What of a quantity a question asks: how much it is, who has the most of it, or whether it is more than something.

"How heavy", "the heaviest", "heavier than the X200" and "under 2 kg" all ask for
the weight; "the longest battery life" asks for no length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extraction.mentions import words
from extraction.normalise import convert, quantities, singular, unit_of, unit_spelled
from extraction.polarity import denied_right_before
from kg.vocabulary import Kind, Vocabulary

_WHICH: Final = re.compile(r"\b(?:which|what)\b", re.IGNORECASE)
_THAN: Final = re.compile(r"\bthan\b", re.IGNORECASE)
# "The heaviest", "most expensive"; and "lighter", of several products without "than", which asks for the lightest.
_DEGREE: Final = re.compile(
    r"\b(?:(?P<sense>most|least|more|less) (?P<adjective>\w+)|(?P<ending>\w{2,}e(?P<degree>st|r)))\b", re.IGNORECASE
)
_LIMIT: Final = re.compile(
    r"\b(?:(?P<most>at most|(?:no|not) more than|up to|within)|(?P<under>under|below)|"
    r"(?P<least>at least|(?:no|not) less than)|(?P<over>over|above)|"
    # "Heavier than", "a longer battery life than", "more power than".
    r"(?:(?P<sense>more|less)(?: (?P<adjective>\w+))?(?: \w+)?|(?P<ending>\w{2,}er)(?: (?!\w+er\b)\w+){0,2}) than)\b"
    r"(?:\s(?:a(?:bout|round)? )?)?",
    re.IGNORECASE,
)
_AMOUNT: Final = r"\d[\d,]{0,11}(?:\.\d{1,4})?"


def _end_of_range(name: str) -> str:
    """Pattern of one end, its parts named after it."""
    amount = rf"(?P<{name}_sign>(?:US\$|[$€£¥])\s?)?(?P<{name}>(?<![\w.,]){_AMOUNT})"
    return rf"{amount}(?:\s?(?P<{name}_unit>[a-z$€£¥]{{1,12}}))?"


_MONEY: Final = re.compile(
    rf"(?:(?P<sign>US\$|[$€£¥])\s?(?P<signed>{_AMOUNT})|(?P<amount>{_AMOUNT})\s?(?P<name>[a-z]+\b|[$€£¥]))",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(
    r"(?:\b(?P<word>between|from)\s)?"
    + _end_of_range("low")
    + r"\s?(?P<joint>-|–|\b(?:and|to)\b)\s?"
    + _end_of_range("high"),
    re.IGNORECASE,
)
_IN_UNIT: Final = re.compile(r"\bin (?P<unit>fl oz|fluid ounces|[a-z]{1,12})\b", re.IGNORECASE)
_BARE_AMOUNT: Final = re.compile(rf"(?P<amount>{_AMOUNT})(?=\s*(?:[?!;,]|\.(?:\s|$)|$))")
_OF_PRICE: Final = re.compile(r"\b(?:costs?|prices?d?|cheap\w*|expensive|pay|spend|money|budget)\b", re.IGNORECASE)
# "Is it under 300", "anything below 20"; "children under 12" have no price.
_MAY_BE_PRICE: Final = re.compile(
    rf"{_OF_PRICE.pattern}|\b(?:is|are|it|anything|something|ones?)\s(?:under|below|over|above|between)\s\Z",
    re.IGNORECASE,
)
DOLLARS: Final = frozenset({"USD", "CAD", "AUD", "NZD", "HKD", "SGD"})
_CURRENCIES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("$", "dollar", "dollars", "buck", "bucks"), DOLLARS),
    **dict.fromkeys(("us$", "usd"), frozenset({"USD"})),
    **dict.fromkeys(("€", "euro", "euros", "eur"), frozenset({"EUR"})),
    **dict.fromkeys(("£", "pound", "pounds", "quid", "gbp"), frozenset({"GBP"})),
    "¥": frozenset({"JPY", "CNY"}),
    **dict.fromkeys(("yen", "jpy"), frozenset({"JPY"})),
    **dict.fromkeys(("yuan", "rmb", "cny"), frozenset({"CNY"})),
}
"""Currencies that are meant by how people call them; a product says which of them its price is in."""

# What an adjective asks of, where the vocabulary's own names do not say it; and which end of it the superlative is.
ADJECTIVES: Final[Mapping[str, tuple[str, int]]] = {
    "heavy": ("weight", 1),
    "light": ("weight", -1),
    "lightweight": ("weight", -1),
    "long": ("length", 1),
    "short": ("length", -1),
    "wide": ("width", 1),
    "narrow": ("width", -1),
    "tall": ("height", 1),
    "high": ("height", 1),
    "low": ("height", -1),
    "deep": ("depth", 1),
    "thick": ("thickness", 1),
    "thin": ("thickness", -1),
    "big": ("size", 1),
    "large": ("size", 1),
    "small": ("size", -1),
    "warm": ("temperature rating", -1),
    "bright": ("brightness", 1),
    "cheap": ("price", -1),
    "expensive": ("price", 1),
}
OF_NAMED: Final[Mapping[str, frozenset[str]]] = {
    "length": frozenset({"battery life", "charging time", "warranty", "focal length"}),
    "height": frozenset(
        {
            *("resolution", "voltage", "power", "current", "frequency", "impedance", "brightness", "load capacity"),
            *("weight", "temperature rating", "storage capacity", "working memory", "battery capacity", "battery life"),
        }
    ),
    "size": frozenset(
        {"screen size", "storage capacity", "working memory", "capacity", "battery capacity", "diameter"}
    ),
}
"""What an adjective measures where the question names it: a long warranty is no length, a high voltage no height."""
PHRASES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), attribute)
    for pattern, attribute in (
        (r"\bweigh(?:s|t)?\b", "weight"),
        (r"\bmade (?:of|from|out of)\b|\bwhat is it of\b", "material"),
        (r"\bhow long\b.*\bto (?:fully |completely )?(?:re)?charge\b", "charging time"),
        (r"\b(?:battery|charge)\b.*\blast\b|\bhow long does .* (?:last|run)\b", "battery life"),
        (r"\bhow (?:much|many li\w+) (?:does|can|will|do) .*\b(?:hold|contain)\b", "capacity"),
        (r"\bhow many (?:people|persons)\b|\bsleeps?\b", "capacity in people"),
        (r"\bhow many\b.*\b(?:in|come|are|pieces)\b", "number of pieces"),
        (r"\bmegapixels?\b", "resolution"),
    )
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a quantity is asked to be more or less than."""

    of: str
    """Name of the attribute, or ``price``."""
    side: int
    """1 where more is asked for, -1 where less."""
    number: float | None = None
    """``None``: as much as the product has that is named behind it."""
    units: frozenset[str] = frozenset()
    """Currencies that may be meant, or the unit of the number."""
    reached: bool = False
    """Whether exactly as much will do: "at most"."""
    high: float | None = None
    """The other end, where it is asked for what lies between; ``number`` is the lower one then, and ``side`` 1."""
    before: int = 0
    """How many of the products that the question names stand before it."""

    def holds(self, number: float, limit: float) -> bool:
        """Whether a number lies on the side that is asked for."""
        if self.high is not None and number > self.high:
            return False
        return self.side * (number - limit) > 0.0 or (self.reached and number == limit)


@dataclass(frozen=True, slots=True)
class Limited:
    """A bound, and where it stands."""

    bound: Bound
    span: tuple[int, int]


class Measures:
    """Reads what a question asks of a quantity; built once from the vocabulary, then pure."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.phrases = phrases_of(
            (form, a.name)
            for a in vocabulary.attributes
            for form in (a.name, *(s for s in a.synonyms if a.kind is not Kind.CHOICE or s != "size"))
        )
        """Name or synonym of an attribute, lower case → the attribute."""
        self._known = frozenset(a.name for a in vocabulary.attributes)
        self._units = {a.name: unit_of(a.unit) for a in vocabulary.attributes if a.unit}

    def named(self, text: str, values: Sequence[str]) -> tuple[str, ...]:
        """The attributes that a question asks of: those of the values in it, or whatever else tells them."""
        phrases = [attribute for pattern, attribute in PHRASES if pattern.search(text)]
        names = [value.partition("=")[0] for value in values] + phrases
        how = re.search(r"\bhow (\w+)\b", text, re.IGNORECASE)
        # "How long does the battery last" has said what it measures.
        if not phrases and how and how[1].casefold() in ADJECTIVES:
            names.append(self.of(ADJECTIVES[how[1].casefold()][0], text))
        if not names:
            names = [name for *_, name in phrases_in(self.phrases, text)]
        return tuple(n for n in dict.fromkeys(names) if n in self._known)

    def of(self, attribute: str, text: str) -> str:
        """What an adjective measures in a question: "long" a length, or the battery life that it names."""
        named = [name for *_, name in phrases_in(self.phrases, text) if name in OF_NAMED.get(attribute, ())]
        if not named and attribute == "height" and _OF_PRICE.search(text):
            return "price"
        return named[0] if named else attribute

    def most(self, text: str, *, several: bool) -> tuple[int, str | None]:
        """Whether the greatest (1) or the least (-1) of which attribute is asked for.

        Args:
            several: whether several products are spoken of, so that a comparative asks for one of them.
        """
        which = _WHICH.search(text)
        if which is None:
            return 0, None
        for match in _DEGREE.finditer(text, which.end()):
            compares = match["degree"] == "r" or (match["sense"] or "").casefold() in ("more", "less")
            if compares and (not several or _THAN.search(text)):
                continue
            if (measured := _degree(match["sense"], match["adjective"], match["ending"])) is not None:
                attribute, end = measured
                return end, self.of(attribute, text)
        return 0, None

    def bound(self, text: str, names: Sequence[tuple[int, int]], *, subject: int, refers: bool) -> Limited | None:
        """With what a quantity is compared: with a number, with two, or with that of another product."""
        if (between := self._between(text)) is not None:
            return between
        for match in _LIMIT.finditer(text):
            groups = match.groupdict()
            measured = _degree(groups["sense"], groups["adjective"], groups["ending"])
            if groups["ending"] and measured is None:
                continue  # "better than", "rather than"
            if measured is not None:
                attribute, side = self.of(measured[0], text), measured[1]
            else:
                attribute = None
                upwards = groups["least"] or groups["over"] or (groups["sense"] or "").casefold() == "more"
                side = 1 if upwards else -1
            reached = bool(groups["most"] or groups["least"])
            if denied_right_before(text, match.start()):
                side, reached = -side, not reached  # "which do not weigh more than 2 kg"
            number = self._number(text, match.end(), attribute)
            if number is not None:
                of, amount, units, end = number
                if of != "price" and match.group().rstrip().casefold() in ("up to", "within"):
                    continue  # what supports up to 20 kg must bear as much
                return Limited(Bound(of, side, amount, units, reached), (match.start(), end))
            if attribute is None and groups["sense"]:
                attribute = "price" if _OF_PRICE.search(text) else next(iter(self.named(text, ())), None)
            before = sum(end <= match.start() for _, end in names)
            # Two are needed: two names, or a name and what was shown, which is the first or stands behind.
            shown = subject < match.start() or (refers and before > 0 and subject >= match.end())
            if (
                attribute
                and match.group().rstrip().casefold().endswith("than")
                and ((before and len(names) > before) or (len(names) and shown))
            ):
                return Limited(Bound(attribute, side, reached=reached, before=before), match.span())
        return None

    def _between(self, text: str) -> Limited | None:
        """The range in which a quantity should lie: "between 200 and 300 dollars", "from 2 to 3 kg", "$200-300"."""
        for match in _BETWEEN.finditer(text):
            if match["joint"].casefold() == "and" and (match["word"] or "").casefold() != "between":
                continue
            # The unit often stands at one of the ends alone.
            units = [u for u in (match["low_unit"], match["high_unit"]) if u and _is_unit(u)]
            sign = match["low_sign"] or match["high_sign"] or ""
            begin = match.start("low_sign") if match["low_sign"] else match.start("low")
            end = match.end() if match["high_unit"] in units else match.end("high")
            ends = []
            for amount, unit in ((match["low"], units[:1]), (match["high"], units[-1:])):
                alone = f"{text[:begin]}{' '.join([sign + amount, *unit])}{text[end:]}"
                ends.append(self._number(alone, begin, None))
            low, high = ends
            if low is None or high is None or low[0] != high[0] or (low[0] != "price" and match["word"] is None):
                continue  # a zoom of "24-70 mm" is a value, and no range in which one should lie
            bound = Bound(low[0], 1, low[1], low[2] | high[2], reached=True, high=high[1])
            return Limited(bound, (match.start(), end))
        return None

    def unit_asked(self, text: str, attributes: Sequence[str]) -> str | None:
        """Symbol of the unit in which a question wants to be told a quantity: "how heavy is it in pounds"."""
        dimensions = {unit.dimension for name in attributes if (unit := self._units.get(name)) is not None}
        for match in _IN_UNIT.finditer(text):
            unit = unit_spelled(match["unit"])
            if unit is not None and unit.dimension in dimensions:
                return unit.symbol
        return None

    def _number(self, text: str, start: int, attribute: str | None) -> tuple[str, float, frozenset[str], int] | None:
        """The number that stands at ``start``: what it measures, how much, in which units, and where it ends."""
        quantity = next((q for q in quantities(text[start : start + _LONGEST_NUMBER]) if q.start == 0), None)
        if quantity is not None:
            names = [attribute] if attribute else self.named(text, ())
            for name in names:
                unit = self._units.get(name)
                if unit is not None and unit.dimension == quantity.unit.dimension:
                    amount = convert(quantity.number, quantity.unit, unit)
                    return name, amount, frozenset({unit.symbol}), start + quantity.end
        money = _MONEY.match(text, start)
        if money is not None:
            currencies = _CURRENCIES.get((money["sign"] or money["name"]).casefold())
            if currencies is not None and attribute in (None, "price"):
                return "price", _amount(money["signed"] or money["amount"]), currencies, money.end()
        bare = _BARE_AMOUNT.match(text, start)
        if bare is not None and attribute in (None, "price") and _MAY_BE_PRICE.search(text, 0, start):
            return "price", _amount(bare["amount"]), frozenset(), bare.end()
        return None


_LONGEST_NUMBER: Final = 40
"""Characters of a number with its unit."""


def _amount(written: str) -> float:
    return float(written.replace(",", ""))


def _is_unit(word: str) -> bool:
    return word.casefold() in _CURRENCIES or unit_spelled(word) is not None


def _degree(sense: str | None, adjective: str | None, ending: str | None) -> tuple[str, int] | None:
    """Of what "lightest", "lighter" or "less heavy" asks for more (1) or less (-1)."""
    word = (ending or adjective or "").casefold()
    forms = [word]
    if ending:
        stem = word.removesuffix("est") if word.endswith("est") else word.removesuffix("er")
        forms = [stem, stem[:-1], f"{stem}e", f"{stem[:-1]}y" if stem.endswith("i") else stem]
    for form in forms:
        if form in ADJECTIVES:
            attribute, end = ADJECTIVES[form]
            return attribute, -end if (sense or "").casefold() in ("least", "less") else end
    return None


def phrases_of(forms: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Form, lower case → what it names; the first wins."""
    phrases: dict[str, str] = {}
    for form, name in forms:
        phrases.setdefault(form.casefold(), name)
    return phrases


def phrases_in(phrases: Mapping[str, str], text: str) -> list[tuple[int, int, str]]:
    """Phrases that stand in a text, the longest at each place: where they begin and end, and what they name."""
    tokens = words(text.casefold())
    places: list[tuple[int, int, str]] = []
    first = 0
    while first < len(tokens):
        for last in range(min(len(tokens), first + 4), first, -1):
            shown = " ".join(t.text for t in tokens[first:last])
            name = phrases.get(shown) or phrases.get(
                " ".join([*(t.text for t in tokens[first : last - 1]), singular(tokens[last - 1].text)])
            )
            if name is not None:
                places.append((tokens[first].start, tokens[last - 1].end, name))
                first = last - 1
                break
        first += 1
    return places
