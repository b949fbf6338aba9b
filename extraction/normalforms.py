"""From what a text says to the form in which a file wants it: normal forms, learned for each attribute.

A marked value that its text does not contain has been normalised: ``24"`` became
``61.0``, ``HP`` became ``Hewlett-Packard``, ``300GB`` became ``300 Gigabytes``.
:meth:`NormalForms.learn` finds the run of words that was meant and the rule that
leads from it to the value, and gives the examples back with the run in the
value's place. The extractor learns to find such runs; :meth:`NormalForms.apply`
then turns what it found into the value.

Rules, the surest first:

``known``   this run of words stood for this value before
``number``  number × factor, between a prefix and a suffix; one rule for each way of writing (``{}"``, ``{} oz``)
``part``    certain digits of a number (a company's part of a UPC)
``form``    capitals, or without marks, where most values of the attribute have that form
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from extraction.benchmarks import MarkedProduct
from extraction.spans import Text, cut, fold

MIN_SUPPORT: Final = 2
"""Texts in which a rule about numbers must hold."""
MIN_SHARE: Final = 0.35
"""Share of the texts with a way of writing in which a rule about numbers must hold. A text often has several numbers
written alike (width, depth and height), of which one is meant."""
MAX_KEY_WORDS: Final = 4
"""Words of the longest run that may stand for a value of another wording."""
_FACTORS: Final = (
    *(1.0, 2.54, 25.4, 0.0254, 30.48, 304.8, 0.3048, 91.44, 0.9144),  # lengths: inches, feet, yards
    *(28.349523125, 0.028349523125, 453.59237, 0.45359237, 16.0, 0.0625),  # weights: ounces, pounds
    *(29.5735295625, 0.0295735295625, 3.785411784, 3785.411784),  # volumes: fluid ounces, gallons
    *(10.0, 100.0, 1000.0, 0.1, 0.01, 0.001, 1024.0, 1 / 1024, 12.0, 60.0, 500.0),  # prefixes, dozens, reams
)
_NUMBER = re.compile(r"\d+(?:,\s?\d{3})*(?:\.\d+)?(?:[\s-]+\d+/\d+)?|\d+/\d+|\.\d+")
_AMOUNT = re.compile(rf"[^\W\d_]{{0,4}}(?:{_NUMBER.pattern})(?:[\s-]?[^\W\d_]{{1,10}}|[\"'″”%])?\.?")
"""A folded run that says an amount: ``24"``, ``12 oz``, ``4-core``, ``G5``, ``10k``."""
_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "capital": lambda s: s[:1].upper() + s[1:].lower(),
    "unmarked": lambda s: re.sub(r"[^\w]|_", "", s),
}


@dataclass(frozen=True, slots=True)
class NumberRule:
    """``value = prefix + number × factor + suffix``."""

    factor: float
    decimals: int
    """Digits after the point; -1 for as many as there are."""
    prefix: str
    suffix: str

    def __call__(self, number: float) -> str:
        """The value for a number."""
        return f"{self.prefix}{_show(number * self.factor, self.decimals)}{self.suffix}"


@dataclass(frozen=True, slots=True)
class _OfAttribute:
    """What is known of one attribute."""

    known: dict[str, str | None] = field(default_factory=dict)
    """Folded run → value; ``None`` for "as it stands"."""
    numbers: dict[str, NumberRule] = field(default_factory=dict)
    """Way of writing → rule."""
    part: tuple[int, int] | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True)
class NormalForms:
    """Rules by attribute; attributes without one are answered as the text has it."""

    rules: Mapping[str, _OfAttribute] = field(default_factory=dict)

    @classmethod
    def learn(cls, products: Sequence[MarkedProduct]) -> tuple[NormalForms, list[MarkedProduct]]:
        """Rules from marked products, and the products with runs of their texts in place of normalised values."""
        spelled, other = _explain(products)
        by_attribute = _grouped(other)
        rules = {a: _of_numbers(pairs) for a, pairs in by_attribute.items()}
        forms = cls(rules)
        counted = [
            replace(p, runs=tuple(run for run in p.runs if forms.apply(p.attribute, run) == p.value)) for p in other
        ]
        spoken, gone = _associate(products, [p for p in counted if not p.runs])
        pairs = [*spelled, *(p for p in counted if p.runs), *spoken]
        rules = {a: _with_known(rules.get(a, _OfAttribute()), own) for a, own in _grouped(pairs).items()}
        forms = cls({a: r for a, r in rules.items() if r.known or r.numbers or r.part or r.form})
        found: dict[tuple[int, str], list[str]] = defaultdict(list)
        for pair in pairs:
            # A value may have been said in several ways; those that lead back to it are what is looked for.
            back = [run for run in pair.runs if forms.apply(pair.attribute, run) == pair.value]
            found[pair.product, pair.attribute] += back or [pair.value]
        for pair in gone:
            found[pair.product, pair.attribute].append(pair.value)
        surfaced = [
            replace(p, targets={a: tuple(dict.fromkeys(found[n, a])) for a in p.targets})
            for n, p in enumerate(products)
        ]
        return forms, surfaced

    def apply(self, attribute: str, run: str) -> str:
        """The value that a run of words stands for."""
        rules = self.rules.get(attribute)
        if rules is None:
            return run
        key = fold(run)
        if key in rules.known:
            return rules.known[key] or run
        way, number = _way(run)
        if number is not None and way in rules.numbers:
            return rules.numbers[way](number)
        if rules.part and run.isdigit() and len(run) >= rules.part[1]:
            return run[slice(*rules.part)]
        return _FORMS[rules.form](run) if rules.form else run

    def as_dict(self) -> dict[str, Any]:
        """For saving."""
        return {
            a: {
                "known": r.known,
                "numbers": {w: [n.factor, n.decimals, n.prefix, n.suffix] for w, n in r.numbers.items()},
                "part": r.part,
                "form": r.form,
            }
            for a, r in self.rules.items()
        }

    @classmethod
    def of_dict(cls, saved: Mapping[str, Any]) -> NormalForms:
        """What :meth:`as_dict` gave."""
        return cls(
            {
                a: _OfAttribute(
                    r["known"],
                    {w: NumberRule(*n) for w, n in r["numbers"].items()},
                    tuple(r["part"]) if r["part"] else None,
                    r["form"],
                )
                for a, r in saved.items()
            }
        )


def _grouped(pairs: Sequence[_Pair]) -> dict[str, list[_Pair]]:
    groups: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.attribute].append(pair)
    return groups


@dataclass(frozen=True, slots=True)
class _Pair:
    """A value and the runs of words of its text that may have been meant."""

    product: int
    attribute: str
    value: str
    runs: tuple[str, ...]


def _explain(products: Sequence[MarkedProduct]) -> tuple[list[_Pair], list[_Pair]]:
    """Each marked value with the runs that are it as they stand or in other letters; and, of the other values, the
    numbers of their texts that may have been meant."""
    spelled: list[_Pair] = []
    other: list[_Pair] = []
    for n, product in enumerate(products):
        text = cut(product)
        for attribute, values in product.targets.items():
            for value in values:
                runs = (value,) if _stands(text.raw, value) else tuple(_spelled(text, value))
                if runs:
                    spelled.append(_Pair(n, attribute, value, runs))
                else:
                    amounts = _amounts(text) if any(c.isdigit() for c in value) else ()
                    other.append(_Pair(n, attribute, value, amounts))
    return spelled, other


def _stands(raw: str, value: str) -> bool:
    """Whether a text contains a value; digits within a longer number are another number."""
    if not value.isdigit():
        return value in raw
    return re.search(rf"(?<!\d){value}(?!\d)", raw) is not None


def _spelled(text: Text, value: str) -> Iterator[str]:
    """Runs that are a value in other letters or with other marks; the first of each spelling."""
    bare = _bare(value)
    if bare:
        found = (text.value(n) for n, key in enumerate(text.keys) if text.plain[n] and _bare(key) == bare)
        yield from dict.fromkeys(found)


@lru_cache(maxsize=512)
def _amounts(text: Text) -> tuple[str, ...]:
    """Runs that are a number with a mark or a short word: of those that begin with the same word the longest."""
    found: dict[int, str] = {}
    for n, key in enumerate(text.keys):
        if text.plain[n] and _AMOUNT.fullmatch(key):
            found[int(text.first[n])] = text.value(n)
    return tuple(dict.fromkeys(found.values()))


def _associate(products: Sequence[MarkedProduct], absent: Sequence[_Pair]) -> tuple[list[_Pair], list[_Pair]]:
    """For values of another wording, the run that goes with each best: the highest F1 of run and value over texts.

    Gives also the values for which no run is good enough.
    """
    attributes = {p.attribute for p in absent}
    together: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    times: dict[str, Counter[str]] = defaultdict(Counter)
    values_of: dict[tuple[int, str], list[str]] = defaultdict(list)
    for pair in absent:
        values_of[pair.product, pair.attribute].append(pair.value)
        times[pair.attribute][pair.value] += 1
    for n, product in enumerate(products):
        mine = attributes & product.targets.keys()
        if not mine:
            continue
        keys = _keys(cut(product))
        for attribute in mine:
            texts[attribute].update(keys.keys())
            for value in values_of.get((n, attribute), ()):
                together[attribute].update((key, value) for key in keys)
    pairs: list[_Pair] = []
    gone: list[_Pair] = []
    for pair in absent:
        both, seen = together[pair.attribute], texts[pair.attribute]
        best, fit = "", (0.0, 0)
        for key, run in _keys(cut(products[pair.product])).items():
            count = both[key, pair.value]
            if count >= MIN_SUPPORT and 2 * count > seen[key]:
                f1 = 2 * count / (seen[key] + times[pair.attribute][pair.value])
                if (f1, len(key)) > fit:
                    best, fit = run, (f1, len(key))
        if best:
            pairs.append(replace(pair, runs=(best,)))
        else:
            gone.append(pair)
    return pairs, gone


def _keys(text: Text) -> dict[str, str]:
    """Folded short runs of a text, each with its first spelling."""
    found: dict[str, str] = {}
    for run, key in enumerate(text.keys):
        if text.plain[run] and text.last[run] - text.first[run] <= MAX_KEY_WORDS and not text.broken[run]:
            found.setdefault(key, text.value(run))
    return found


def _of_numbers(pairs: Sequence[_Pair]) -> _OfAttribute:
    """The rules about numbers of one attribute, from values that its texts hold in no other way."""
    votes: dict[str, Counter[NumberRule]] = defaultdict(Counter)
    parts: Counter[tuple[int, int]] = Counter()
    seen: Counter[str] = Counter()
    for pair in pairs:
        seen.update({_way(run)[0] for run in pair.runs})
        for way, rule in {(_way(run)[0], rule) for run in pair.runs for rule in _number_rules(run, pair.value)}:
            votes[way][rule] += 1
        parts.update({part for run in pair.runs if (part := _part(run, pair.value))})
    best = {way: min(rules, key=lambda r: (-rules[r], r.decimals, r.factor)) for way, rules in votes.items()}
    # By chance some factor leads from any number to any other: it must do so often where the way of writing is met.
    numbers = {w: rule for w, rule in best.items() if votes[w][rule] >= max(MIN_SUPPORT, MIN_SHARE * seen[w])}
    part = max(parts, key=lambda p: (parts[p], p), default=None)
    return _OfAttribute({}, numbers, part if part and parts[part] >= MIN_SUPPORT else None, None)


def _with_known(rules: _OfAttribute, pairs: Sequence[_Pair]) -> _OfAttribute:
    """The rules of one attribute with its form, and with what its runs stood for where the rules say otherwise."""
    rules = replace(rules, form=_form(pairs))
    known: dict[str, Counter[str | None]] = defaultdict(Counter)
    alone = NormalForms({"": rules})
    wrong: set[str] = set()
    for pair in pairs:
        for run in pair.runs:
            known[fold(run)][None if run == pair.value else pair.value] += 1
            if alone.apply("", run) != pair.value:
                wrong.add(fold(run))
    return replace(rules, known={k: min(v, key=lambda x: (-v[x], x or "")) for k, v in known.items() if k in wrong})


def _number_rules(run: str, value: str) -> Iterator[NumberRule]:
    """Rules that lead from a run to a value."""
    _, number = _way(run)
    found = list(_NUMBER.finditer(value))
    if not number or len(found) != 1:
        return
    goal = found[0].group()
    prefix, suffix = value[: found[0].start()], value[found[0].end() :]
    wanted = _parse(goal)
    for factor in _FACTORS:
        if abs(number * factor - wanted) > 0.5 + 1e-6:
            continue
        for decimals in (-1, 0, 1, 2):
            if _show(number * factor, decimals) == goal:
                yield NumberRule(factor, decimals, prefix, suffix)


def _part(run: str, value: str) -> tuple[int, int] | None:
    """Which digits of a number a value is, for numbers long enough that this is no chance."""
    if not (run.isdigit() and value.isdigit() and len(run) >= 8 and 4 <= len(value) < len(run)):
        return None
    at = run.find(value)
    return (at, at + len(value)) if at >= 0 else None


def _form(pairs: Sequence[_Pair]) -> str | None:
    """The form that most values have whose run is written otherwise."""
    for name, form in _FORMS.items():
        changed = [
            (run, p.value) for p in pairs for run in p.runs[:1] if form(run) != run and _bare(run) == _bare(p.value)
        ]
        if len(changed) >= MIN_SUPPORT and 2 * sum(form(r) == v for r, v in changed) > len(changed):
            return name
    return None


@lru_cache(maxsize=200_000)
def _bare(value: str) -> str:
    return re.sub(r"[^\w]|_", "", value.casefold())


@lru_cache(maxsize=200_000)
def _way(run: str) -> tuple[str, float | None]:
    """How a run with one number writes it (``24"`` as ``{}"``), and the number; ``None`` without or with several."""
    found = list(_NUMBER.finditer(run))
    if len(found) != 1:
        return fold(run), None
    (match,) = found
    return fold(f"{run[: match.start()]}{{}}{run[match.end() :]}"), _parse(match.group())


def _parse(number: str) -> float:
    """``8 1/2`` is 8.5, ``10, 000`` is 10000."""
    whole, _, fraction = number.replace(",", "").replace("-", " ").rpartition(" ") if "/" in number else ("", "", "")
    if not fraction:
        return float(re.sub(r"[,\s]", "", number))
    above, _, below = fraction.partition("/")
    part = float(above) / float(below) if float(below) else 0.0
    return float(whole.strip() or 0) + part


def _show(number: float, decimals: int) -> str:
    if decimals >= 0:
        # Half a unit upwards, as people round.
        return f"{int(number * 10**decimals + 0.5 + 1e-9) / 10**decimals:.{decimals}f}"
    return f"{number:.10g}"
