"""How what a text says becomes a value that meets itself: quantities, numbers, keys.

``256GB``, ``256 GB`` and ``0.25 TB`` are one value; so are ``10 in`` and
``25.4 cm``. Quantities are converted in fractions, which are exact, and the
normal form is told by the quantity alone: equal ones meet, whatever their units.
Pure functions; offsets are those of the text that was given.
Names of brands and categories are normalised in :mod:`kg.normalise`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from kg.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: what it measures and how many base units it is."""

    symbol: str
    dimension: str
    factor: Fraction
    """Base units in one of this unit: metres, grams, litres, bytes … Every one is exact, by definition."""
    spellings: tuple[str, ...]
    offset: Fraction = Fraction(0)
    """Added after multiplying; only temperatures have one."""


WHOLE: Final = Fraction(1)
PRINTED: Final = 6
"""Significant digits of a number as shops print it; more are made by a conversion (2 lb are 907.18474 g)."""
CONVERTED: Final = 4
"""Significant digits that are kept of more than :data:`PRINTED`, and all whole ones: 2 lb are 907.2 g."""


# Data are counted in powers of 1024, as shops do: 0.25 TB is 256 GB.
UNITS: Final = (
    Unit("mm", "length", Fraction("0.001"), ("mm", "millimeter", "millimetre", "millimeters", "millimetres")),
    Unit("cm", "length", Fraction("0.01"), ("cm", "centimeter", "centimetre", "centimeters", "centimetres")),
    Unit("m", "length", WHOLE, ("m", "meter", "metre", "meters", "metres")),
    Unit("in", "length", Fraction("0.0254"), ("inch", "inches", "in.", "in", '"', "”", "''")),
    Unit("ft", "length", Fraction("0.3048"), ("ft", "ft.", "foot", "feet", "'", "’")),
    Unit("yd", "length", Fraction("0.9144"), ("yd", "yard", "yards")),
    Unit("mg", "mass", Fraction("0.001"), ("mg", "milligram", "milligrams")),
    Unit("g", "mass", WHOLE, ("g", "gr", "gram", "grams", "gramme", "grammes")),
    Unit("kg", "mass", Fraction(1000), ("kg", "kgs", "kilogram", "kilograms", "kilo", "kilos")),
    Unit("oz", "mass", Fraction("28.349523125"), ("oz", "oz.", "ounce", "ounces")),
    Unit("lb", "mass", Fraction("453.59237"), ("lb", "lb.", "lbs", "lbs.", "pound", "pounds")),
    Unit("ml", "volume", Fraction("0.001"), ("ml", "millilitre", "milliliter", "millilitres", "milliliters")),
    Unit("cl", "volume", Fraction("0.01"), ("cl",)),
    Unit("l", "volume", WHOLE, ("l", "litre", "liter", "litres", "liters", "ltr")),
    Unit("fl oz", "volume", Fraction("0.0295735295625"), ("fl oz", "fl. oz.", "fl. oz", "fluid ounce", "fluid ounces")),
    Unit("gal", "volume", Fraction("3.785411784"), ("gal", "gallon", "gallons")),
    Unit("MB", "data", Fraction(1024**2), ("mb", "megabyte", "megabytes")),
    Unit("GB", "data", Fraction(1024**3), ("gb", "gigabyte", "gigabytes")),
    Unit("TB", "data", Fraction(1024**4), ("tb", "terabyte", "terabytes")),
    Unit("mV", "voltage", Fraction("0.001"), ("mv",)),
    Unit("V", "voltage", WHOLE, ("v", "volt", "volts", "vdc", "vac")),
    Unit("kV", "voltage", Fraction(1000), ("kv",)),
    Unit("mW", "power", Fraction("0.001"), ("mw", "milliwatt", "milliwatts")),
    Unit("W", "power", WHOLE, ("w", "watt", "watts", "watt rms")),
    Unit("kW", "power", Fraction(1000), ("kw", "kilowatt", "kilowatts")),
    Unit("mA", "current", Fraction("0.001"), ("ma", "milliamp", "milliamps")),
    Unit("A", "current", WHOLE, ("a", "amp", "amps", "ampere", "amperes")),
    Unit("mAh", "charge", WHOLE, ("mah",)),
    Unit("Ah", "charge", Fraction(1000), ("ah", "amp hours", "amp-hours")),
    Unit("Hz", "frequency", WHOLE, ("hz", "hertz")),
    Unit("kHz", "frequency", Fraction(10**3), ("khz", "kilohertz")),
    Unit("MHz", "frequency", Fraction(10**6), ("mhz", "megahertz")),
    Unit("GHz", "frequency", Fraction(10**9), ("ghz", "gigahertz")),
    Unit("ohm", "impedance", WHOLE, ("ohm", "ohms", "Ω", "ω")),
    Unit("lm", "luminous flux", WHOLE, ("lm", "lumen", "lumens")),
    Unit("MP", "pixels", WHOLE, ("mp", "megapixel", "megapixels", "mpix")),
    Unit("min", "duration", Fraction(1, 60), ("min", "mins", "minute", "minutes")),
    Unit("h", "duration", WHOLE, ("h", "hr", "hrs", "hour", "hours")),
    Unit("month", "period", WHOLE, ("month", "months")),
    Unit("year", "period", Fraction(12), ("year", "years", "yr", "yrs")),
    Unit("°C", "temperature", WHOLE, ("°c", "° c", "degrees celsius", "celsius")),
    Unit(
        "°F", "temperature", Fraction(5, 9), ("°f", "° f", "degrees fahrenheit", "fahrenheit"), offset=Fraction(-160, 9)
    ),
)
_BY_SYMBOL: Final = {unit.symbol: unit for unit in UNITS}
_BY_SPELLING: Final = {spelling: unit for unit in UNITS for spelling in unit.spellings}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit as it stands in a text; ``high`` and ``more`` make it a range or a product."""

    start: int
    end: int
    number: float
    unit: Unit
    high: float | None = None
    """Upper end of a range (``24-70 mm``)."""
    more: tuple[float, ...] = ()
    """Further extents (``10 x 20 x 5 cm``)."""


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number of things as it stands in a text, with the word for the things."""

    start: int
    end: int
    number: int
    thing: str


_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d{1,6})?|\d{1,9}(?:\.\d{1,6})?(?:[ -]\d{1,2}/\d{1,3})?|\.\d{1,6}|[½¼¾])"
_FRACTION = r"(?:\d{1,3}/\d{1,3})"
_VALUE = rf"(?:{_FRACTION}|{_NUMBER})"
_WRITTEN_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"
_SMALL: Final = {word: n for n, word in enumerate(_WRITTEN_NUMBERS.split(), start=1)} | {
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "hundred": 100,
}
_SPELLINGS = "|".join(
    re.escape(s) for s in sorted(_BY_SPELLING, key=len, reverse=True) if s[0].isalpha() or s[0] == "°"
)
_WORDY = "|".join(re.escape(s) for s in sorted(_BY_SPELLING, key=len, reverse=True) if s.isalpha() and len(s) > 3)
_MARKS = "|".join(re.escape(s) for s in _BY_SPELLING if not (s[0].isalpha() or s[0] == "°") and s != "Ω")
_FEET = r"['’](?=\d{1,2}(?:\.\d{1,2})?[\"”])"
"""A foot mark with its inches right behind it: 6'2"."""
_UNIT = rf"(?:[ \u00a0]?-?(?P<word>{_SPELLINGS}|Ω)(?![A-Za-z0-9])|(?P<mark>(?:{_MARKS})(?!\w)|{_FEET}))"
_GAP = r"(?:[ ]?(?:\"|”|'|in\.?|inch(?:es)?|cm|mm)?(?:[ ]?[x×X*][ ]?|[ ]by[ ]))"
_QUANTITY = re.compile(
    rf"(?<![\w.,/$€£])(?<![A-Za-z\d]-)(?P<sign>[-−](?=\d))?(?P<number>{_VALUE})"
    rf"(?:{_GAP}(?P<second>{_VALUE}))?(?:{_GAP}(?P<third>{_VALUE}))?"
    rf"(?:[ ]?(?:-|–|to)[ ]?(?P<high>{_VALUE}))?{_UNIT}",
    re.IGNORECASE,
)
# "Six hours", "two litres": numbers in words stand with units in words alone.
_WRITTEN = re.compile(rf"\b(?P<number>{'|'.join(_SMALL)})[ -](?P<word>{_WORDY})\b", re.IGNORECASE)
# "3 in 1", "2 in the box": a bare "in" is the unit only where the text goes on as after a unit.
_AFTER_IN = re.compile(r"\s*(?:$|[.,;:)x×]|(?:long|wide|high|tall|deep|thick|diameter|in)\b)", re.IGNORECASE)
# "100 MB/s", "150 g/m²", "12 W per metre": a rate or a density is no amount; "5 hours per charge" are.
_RATE = re.compile(
    r"\s?/\s?(?:s|secs?|second|min|minute|h|hr|hour|day|week|month|year|m|cm|mm|km|m2|m²|m3|m³|sq|kg|g|l|ml|ft|yd|inch|"
    r"serving|person|use|cycle)(?!\w)|"
    r"\s(?:[a-z]+\s|of\s[a-z]+\s)?per\s(?!(?:full |single )?(?:charge|fill|filling|tank|battery)\b)",
    re.IGNORECASE,
)
# "1/4 in" is a fraction, "50/60 Hz" and "128/256 GB" are two values.
_HALVED: Final = frozenset({2, 3, 4, 8, 16, 32, 64})
_IN_PARTS: Final = frozenset({"length", "mass", "volume"})
_JOINING: Final = re.compile(r"\s?(?P<word>to|and|-|–)\s?")
_BETWEEN: Final = re.compile(r"\bbetween\s\Z", re.IGNORECASE)
MAX_PACK: Final = 100
"""Greatest number before an "x" that counts packs, where it cannot be an extent: "2 x 500 ml"."""
# "the 1970's": a quote mark after such a number is no foot mark.
_DECADE = re.compile(r"(?:19|20)\d0")

_COUNTED = r"(?:packs?|pieces?|pcs?|strings?|pockets?|compartments|persons?|people|man|count|ct|sets?)"
_COUNT = re.compile(
    rf"(?<![\w.,/-])(?P<number>\d{{1,4}}|{'|'.join(_SMALL)})[ -]?(?P<thing>{_COUNTED})(?![\w'’])", re.IGNORECASE
)
_COUNT_OF = re.compile(rf"\b(?P<thing>pack|set|box|pair) of (?P<number>\d{{1,4}}|{'|'.join(_SMALL)})\b", re.IGNORECASE)


def quantities(text: str) -> Iterator[Quantity]:
    """Every number with a known unit, from left to right; time is linear in the text.

    >>> [(q.number, q.unit.symbol) for q in quantities("a 0.25 TB drive, 10-foot cable")]
    [(0.25, 'TB'), (10.0, 'ft')]
    """
    held: Quantity | None = None
    for quantity in sorted((*_single_quantities(text), *_written_quantities(text)), key=lambda q: q.start):
        if held is not None and (joined := _joined(held, quantity, text)) is not None:
            held = joined
            continue
        if held is not None:
            yield held
        held = quantity
    if held is not None:
        yield held


def _joined(first: Quantity, second: Quantity, text: str) -> Quantity | None:
    """``3 ft 3 in`` and ``2 lbs 4 oz`` as one quantity in the smaller unit; ``50 cm to 150 cm`` as one range."""
    if first.high or second.high or first.more or second.more:
        return None
    between = text[first.end : second.start]
    if first.unit is second.unit and (match := _JOINING.fullmatch(between)):
        # "2 m and 3 m" are two lengths; "between 2 m and 3 m" is one range.
        is_range = match["word"] != "and" or _BETWEEN.search(text, max(0, first.start - 10), first.start)
        if is_range and first.number < second.number:
            return Quantity(first.start, second.end, first.number, first.unit, second.number)
        return None
    pair = (first.unit.symbol, second.unit.symbol)
    if pair not in (("ft", "in"), ("lb", "oz")) or between.strip() or len(between) > 2:
        return None
    number = _exact(second.number) + _exact(first.number) * first.unit.factor / second.unit.factor
    return Quantity(first.start, second.end, float(number), second.unit)


def _written_quantities(text: str) -> Iterator[Quantity]:
    for match in _WRITTEN.finditer(text):
        number = _SMALL[match["number"].casefold()]
        yield Quantity(match.start(), match.end(), float(number), _BY_SPELLING[match["word"].casefold()])


def _single_quantities(text: str) -> Iterator[Quantity]:
    for match in _QUANTITY.finditer(text):
        spelling = match["word"] or match["mark"]
        unit = _BY_SPELLING.get(spelling) or _BY_SPELLING[spelling.casefold()]
        raw = match["number"]
        attached = match.start("word") == match.end("number")
        if spelling.casefold() == "in" and not attached and not _AFTER_IN.match(text, match.end()):
            continue
        # "2A" is a current, "2 a" an article; "5M" and "10G" may be anything, and "2 MW" are not milliwatts.
        if (
            spelling in ("M", "a", "MW", "MV")
            or (spelling == "G" and attached)
            or (spelling == "A" and not attached)
            or (match["mark"] in ("'", "’") and _DECADE.fullmatch(raw))
            or _RATE.match(text, match.end())
        ):
            continue
        if not match["second"] and not match["high"] and (apart := _alternatives(raw, unit)):
            start = match.start("number")
            slash = start + raw.index("/")
            yield Quantity(start, slash, apart[0], unit)
            yield Quantity(slash + 1, match.end(), apart[1], unit)
            continue
        number = parse_number(raw)
        if number is None:
            continue
        if match["sign"] and unit.dimension == "temperature":
            number, start = -number, match.start()
        else:
            start = match.start("number")
        high = parse_number(match["high"]) if match["high"] else None
        more = tuple(n for g in ("second", "third") if match[g] and (n := parse_number(match[g])) is not None)
        if more and unit.dimension != "length" and number.is_integer() and number <= MAX_PACK:
            last = "third" if match["third"] else "second"
            yield Quantity(match.start(last), match.end(), more[-1], unit, high)
            continue
        yield Quantity(start, match.end(), number, unit, high, more)


def _alternatives(raw: str, unit: Unit) -> tuple[float, float] | None:
    """The two numbers of ``50/60``; ``None`` where a slash makes a fraction, or there is none."""
    top, slash, bottom = raw.partition("/")
    if not slash or not top.isdigit() or not int(bottom):
        return None
    if unit.dimension in _IN_PARTS and int(top) < int(bottom) and int(bottom) in _HALVED:
        return None
    return float(top), float(bottom)


def counts(text: str) -> Iterator[Count]:
    """Every whole number of packs, pieces, strings, pockets or persons."""
    for pattern in (_COUNT, _COUNT_OF):
        for match in pattern.finditer(text):
            raw = match["number"].casefold()
            number = _SMALL.get(raw) or int(raw)
            # "One piece of titanium" counts nothing, "1 person" does.
            if number and raw != "one" and match["thing"].casefold() != "pair":
                yield Count(match.start(), match.end(), number, match["thing"].casefold())


def parse_number(raw: str) -> float | None:
    """``1,200``, ``1/4``, ``1-1/2``, ``½`` as a number; ``None`` where there is none (a zero denominator, say)."""
    vulgar = {"½": 0.5, "¼": 0.25, "¾": 0.75}
    if raw in vulgar:
        return vulgar[raw]
    whole, _, fraction = raw.replace(",", "").replace("-", " ").rpartition(" ")
    if "/" in fraction:
        top, _, bottom = fraction.partition("/")
        if not int(bottom):
            return None
        return (float(whole) if whole else 0.0) + int(top) / int(bottom)
    return float(fraction)


def unit_of(symbol: str) -> Unit:
    """The unit with this symbol.

    Raises:
        SettingsError: the vocabulary names a unit that is not in :data:`UNITS`.
    """
    try:
        return _BY_SYMBOL[symbol]
    except KeyError as error:
        raise SettingsError(f"Unknown unit {symbol!r}; known are {', '.join(_BY_SYMBOL)}.") from error


def unit_spelled(word: str) -> Unit | None:
    """The unit that a word names, whatever its case: "pounds"."""
    return _BY_SPELLING.get(word.casefold())


def convert(number: float, unit: Unit, to: Unit) -> float:
    """``number`` of ``unit`` in ``to``: exact where that takes no more digits than people print, else rounded.

    What is rounded is told by the quantity and not by the unit in which it was given, so that equal ones stay equal.

    >>> convert(12.345, unit_of("kg"), unit_of("g")), convert(16, unit_of("TB"), unit_of("GB"))
    (12345.0, 16384.0)
    >>> convert(2, unit_of("lb"), unit_of("g")), convert(907.18474, unit_of("g"), unit_of("g"))
    (907.2, 907.2)
    """
    exact = (_exact(number) * unit.factor + unit.offset - to.offset) / to.factor
    return float(exact if _is_printed(exact) else _rounded(exact))


def _exact(number: float) -> Fraction:
    """A number as it was printed: the shortest decimal that is the float."""
    return Fraction(repr(float(number)))


def _is_printed(number: Fraction) -> bool:
    """Whether all digits of a number are whole or among the first :data:`PRINTED` ones."""
    return number == _rounded(number, PRINTED)


def _rounded(number: Fraction, digits: int = CONVERTED) -> Fraction:
    """A number to so many significant digits, whole ones always kept; a tie goes to the even digit."""
    if not number:
        return number
    size = len(str(abs(number.numerator) // number.denominator).lstrip("0"))
    if not size:  # digits behind the point count from the first that is not 0
        size = -(len(str(number.denominator // abs(number.numerator))) - 1)
        size += abs(number) * Fraction(10) ** -size >= 1
    return round(number, max(0, digits - size))


def show_number(number: float) -> str:
    """A number without exponent and without needless zeros."""
    text = f"{number:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def show_quantity(quantity: Quantity, to: Unit) -> tuple[str, float | None]:
    """The normalised value as text, and as a number where it is a single one."""
    numbers = [show_number(convert(n, quantity.unit, to)) for n in (quantity.number, *quantity.more)]
    if quantity.more:
        return f"{' x '.join(numbers)} {to.symbol}", None
    if quantity.high is not None:
        return f"{numbers[0]}-{show_number(convert(quantity.high, quantity.unit, to))} {to.symbol}", None
    return f"{numbers[0]} {to.symbol}", convert(quantity.number, quantity.unit, to)


def attribute_key(attribute: str, value: str) -> str:
    """Business key of an attribute value."""
    return f"{attribute}={value}"


def aspect_key(name: str) -> str:
    """Business key of an aspect: lower case, spaces folded."""
    return " ".join(name.casefold().split())


_NO_PLURALS: Final = frozenset({"lens", "series", "canvas", "chassis", "always", "gas"})
_NOT_ALNUM = re.compile(r"[^0-9a-z\u0080-\U0010ffff]+")


@lru_cache(maxsize=200_000)
def squash(name: str) -> str:
    """A name without case, accents, spaces and punctuation: ``On-Stage``, ``OnStage`` and ``on stage`` meet.

    >>> squash("D’Addario & Co."), squash("Électro-Voice")
    ('daddarioco', 'electrovoice')
    """
    folded = unicodedata.normalize("NFKD", name.casefold())
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    return "".join(c for c in _NOT_ALNUM.sub("", folded) if c.isalnum())


@lru_cache(maxsize=50_000)
def singular(word: str) -> str:
    """A word in the singular, well enough to compare two of them: ``straps`` and ``strap`` meet."""
    word = word.casefold()
    if word in _NO_PLURALS:
        return word
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
