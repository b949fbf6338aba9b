"""The vocabulary that people edit: attributes, aspects and opinion words, read from ``vocabulary.yaml``.

The file beside this module ships with kg; ``KG_VOCABULARY`` names another one.
Whatever the file says that this module does not know is refused with its place
in the file: a key that is silently ignored is a mistake that nobody finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import yaml

from kg.errors import SettingsError

DEFAULT_PATH: Final = Path(__file__).with_name("vocabulary.yaml")


class Kind(StrEnum):
    """What the values of an attribute are."""

    CHOICE = "choice"
    """One of a list of values."""
    QUANTITY = "quantity"
    """A number with a unit."""
    COUNT = "count"
    """A whole number of things."""
    TEXT = "text"
    """Whatever stands behind the attribute's name and a colon."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a choice, and other ways in which it is written."""

    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """A property that products may have."""

    name: str
    description: str
    kind: Kind
    unit: str | None = None
    """Unit in which a quantity is kept; ``None`` for the other kinds."""
    synonyms: tuple[str, ...] = ()
    """Other names, and words beside a quantity that tell what it measures."""
    values: tuple[Value, ...] = ()
    bare: bool = False
    """Whether a quantity of this dimension with no word beside it is this attribute."""
    hints: tuple[str, ...] = ()
    """Words of a title which make a bare quantity this attribute."""
    least: float | None = None
    """Smallest quantity, in ``unit``, that ``hints`` may make this attribute."""
    prose: bool = True
    """Whether running text states its values; otherwise only a title or a label does."""
    behind: tuple[str, ...] = ()
    """Words behind one of which alone running text states its values: "for hiking". Without any: anywhere."""
    ask: bool = False
    """Whether a trained head is asked for it in every product's text, though nothing was marked with it."""


@dataclass(frozen=True, slots=True)
class AspectEntry:
    """Something that reviewers speak of."""

    name: str
    synonyms: tuple[str, ...] = ()
    praise: tuple[str, ...] = ()
    """Words that praise this aspect without naming it ("comfortable")."""
    blame: tuple[str, ...] = ()
    """Words that criticise this aspect without naming it ("flimsy")."""
    verbs: tuple[str, ...] = ()
    """Verbs, as lemmas, whose adverb or complement judges it: "looks great"."""
    good: tuple[str, ...] = ()
    """Sentences that praise it in other words; the encoder likens what the words do not cover to them."""
    bad: tuple[str, ...] = ()
    """Sentences that criticise it in other words."""
    defect: bool = False
    """Whether its mere presence is a fault ("hum") and its absence a merit."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that one vocabulary file says."""

    attributes: tuple[Attribute, ...]
    aspects: tuple[AspectEntry, ...]
    accessories: frozenset[str]
    """Nouns for things that are made to be used with another thing, lower case."""
    positive: frozenset[str]
    negative: frozenset[str]
    good: tuple[str, ...]
    """Sentences that praise whatever they are about."""
    bad: tuple[str, ...]
    """Sentences that criticise whatever they are about."""
    neutral: tuple[str, ...]
    """Sentences of reviews that judge nothing."""
    digest: str
    """First 12 hex digits of the file's SHA-256: part of the extractor's version."""

    def words(self) -> frozenset[str]:
        """Every single word of a value or a synonym, lower case: none of them is a brand by itself."""
        forms = (f for a in self.attributes for v in a.values for f in (v.name, *v.synonyms))
        return frozenset(word for form in forms for word in form.casefold().replace("-", " ").split())


def load(path: Path | None = None) -> Vocabulary:
    """Read a vocabulary file, by default the one that ships with kg.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or says something unknown or malformed.
    """
    path = path or DEFAULT_PATH
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"Cannot read the vocabulary {path} ({error.strerror}). Check KG_VOCABULARY.") from error
    return parse(content, str(path))


def parse(content: bytes, source: str) -> Vocabulary:
    """Validate the content of a vocabulary file; ``source`` names it in errors."""
    try:
        tree = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source} is not valid YAML: {' '.join(str(error).split())}.") from error
    at = _Place(source, "")
    root = at.mapping(tree, {"attributes", "aspects", "accessories", "opinions"})
    attributes = tuple(
        _attribute(at / "attributes" / name, name, body) for name, body in (at / "attributes").items(root)
    )
    aspects = tuple(_aspect(at / "aspects" / name, name, body) for name, body in (at / "aspects").items(root))
    if not attributes or not aspects:
        raise SettingsError(f"{source}: `attributes` and `aspects` must each have at least one entry.")
    judged = (at / "opinions").mapping(root.get("opinions") or {}, {"positive", "negative", "good", "bad", "neutral"})
    positive = frozenset(w.casefold() for w in (at / "opinions" / "positive").words(judged.get("positive")))
    negative = frozenset(w.casefold() for w in (at / "opinions" / "negative").words(judged.get("negative")))
    if both := sorted(positive & negative):
        raise SettingsError(f"{source}: opinions: {', '.join(both)} stand under both positive and negative.")
    accessories = frozenset(w.casefold() for w in (at / "accessories").words(root.get("accessories")))
    return Vocabulary(
        attributes=attributes,
        aspects=aspects,
        accessories=accessories,
        positive=positive,
        negative=negative,
        good=(at / "opinions" / "good").words(judged.get("good")),
        bad=(at / "opinions" / "bad").words(judged.get("bad")),
        neutral=(at / "opinions" / "neutral").words(judged.get("neutral")),
        digest=hashlib.sha256(content).hexdigest()[:12],
    )


def _attribute(at: _Place, name: str, body: object) -> Attribute:
    keys = {"description", "kind", "unit", "synonyms", "values", "bare", "hints", "least", "prose", "behind", "ask"}
    fields = at.mapping(body, keys)
    try:
        kind = Kind(str(fields.get("kind")))
    except ValueError as error:
        raise at.wrong(f"`kind` must be one of {', '.join(Kind)}, found {fields.get('kind')!r}") from error
    description = fields.get("description")
    if not isinstance(description, str) or not description.strip():
        raise at.wrong("`description` must be a sentence that says what the values are")
    if (kind is Kind.QUANTITY) != ("unit" in fields):
        raise at.wrong("a quantity needs a `unit`, and only a quantity may have one")
    if (kind is Kind.CHOICE) != ("values" in fields):
        raise at.wrong("a choice needs `values`, and only a choice may have them")
    unit = fields.get("unit")
    if unit is not None and not isinstance(unit, str):
        raise at.wrong(f"`unit` must be text, found {unit!r}")
    least = fields.get("least")
    if least is not None and (isinstance(least, bool) or not isinstance(least, int | float)):
        raise at.wrong(f"`least` must be a number, found {least!r}")
    values = (at / "values").items(fields)
    return Attribute(
        name=name,
        description=description.strip(),
        kind=kind,
        unit=unit,
        synonyms=(at / "synonyms").words(fields.get("synonyms")),
        values=tuple(Value(v, (at / "values" / v).words(synonyms)) for v, synonyms in values),
        bare=at.flag(fields, "bare", default=False),
        hints=(at / "hints").words(fields.get("hints")),
        least=least,
        prose=at.flag(fields, "prose", default=True),
        behind=(at / "behind").words(fields.get("behind")),
        ask=at.flag(fields, "ask", default=False),
    )


def _aspect(at: _Place, name: str, body: object) -> AspectEntry:
    fields = at.mapping(body or {}, {"synonyms", "praise", "blame", "verbs", "good", "bad", "defect"})
    return AspectEntry(
        name=name,
        synonyms=(at / "synonyms").words(fields.get("synonyms")),
        praise=(at / "praise").words(fields.get("praise")),
        blame=(at / "blame").words(fields.get("blame")),
        verbs=(at / "verbs").words(fields.get("verbs")),
        good=(at / "good").words(fields.get("good")),
        bad=(at / "bad").words(fields.get("bad")),
        defect=at.flag(fields, "defect", default=False),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which file we are: every complaint begins with it."""

    source: str
    key: str

    def __truediv__(self, key: str) -> _Place:
        return _Place(self.source, f"{self.key}.{key}" if self.key else key)

    def wrong(self, what: str) -> SettingsError:
        return SettingsError(f"{self.source}: {self.key or 'the file'}: {what}.")

    def mapping(self, found: object, allowed: set[str]) -> Mapping[str, Any]:
        """``found`` as a mapping whose keys are all allowed."""
        if not isinstance(found, dict):
            raise self.wrong(f"expected a mapping with {', '.join(sorted(allowed))}, found {type(found).__name__}")
        if unknown := sorted(str(k) for k in found if k not in allowed):
            raise self.wrong(f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(allowed))}")
        return found

    def items(self, parent: Mapping[str, Any]) -> list[tuple[str, object]]:
        """The entries of the mapping that stands here in ``parent``, names checked to be text."""
        found = parent.get(self.key.rpartition(".")[2]) or {}
        if not isinstance(found, dict):
            raise self.wrong(f"expected a mapping, found {type(found).__name__}")
        for name in found:
            # YAML reads an unquoted yes or 10 as something other than text.
            if not isinstance(name, str) or not name.strip():
                raise self.wrong(f"names must be text, found {name!r}; put it in quotes")
        return list(found.items())

    def flag(self, fields: Mapping[str, Any], key: str, *, default: bool) -> bool:
        """The truth value that stands under ``key``."""
        found = fields.get(key, default)
        if not isinstance(found, bool):
            raise self.wrong(f"`{key}` must be true or false, found {found!r}")
        return found

    def words(self, found: object) -> tuple[str, ...]:
        """``found`` as a tuple of texts; a missing list is an empty one."""
        if found is None:
            return ()
        if not isinstance(found, list):
            raise self.wrong(f"expected a list, found {type(found).__name__}")
        for word in found:
            if not isinstance(word, str) or not word.strip():
                raise self.wrong(f"expected text in the list, found {word!r}; put it in quotes")
        return tuple(found)
