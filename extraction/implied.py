"""Which attribute values say what a question asks for in other words, and which rule it out.

Whoever asks for "waterproof" is content with IPX8, and IPX4 is a no. A value
that neither says nor rules out what is asked for leaves it unknown:
"waterproof" says nothing of IP67.
"""

from __future__ import annotations

import re
from typing import Final

SINGLE: Final = frozenset({"colour", "waterproof rating"})
"""Attributes of which a product has one value: whoever has another has not the one asked for."""
_SHADES: Final = {"navy": "blue", "olive": "green", "burgundy": "red"}
"""Values of the vocabulary that many call by the other name."""
_OF_MANY: Final = frozenset({"multicolour", "camouflage", "sunburst"})
"""Colours that may hold the one asked for."""
_RATING: Final = re.compile(r"ip(?P<dust>[0-6x])(?P<water>[0-9x])k?", re.IGNORECASE)
_SPLASHES, _JETS, _IMMERSION = 4, 6, 7
"""Second digits of IEC 60529: 4 stands for splashes, 5 and 6 for jets, 7 and 8 for immersion."""
_RATINGS: Final = tuple(f"ip{dust}{water}" for water in "45678" for dust in "x6")


def says(found: str, asked: str) -> bool:
    """Whether a product with the value ``found`` has what is asked for; both are keys, as "colour=navy".

    >>> says("waterproof rating=ip68", "waterproof rating=waterproof"), says("colour=navy", "colour=blue")
    (True, True)
    >>> says("waterproof rating=waterproof", "waterproof rating=ip67")
    False
    """
    attribute, _, has = found.partition("=")
    wanted_attribute, _, wanted = asked.partition("=")
    if attribute != wanted_attribute:
        return False
    if has == wanted:
        return True
    if attribute == "colour":
        return _SHADES.get(has) == wanted
    if attribute != "waterproof rating":
        return False
    water = _water(has)
    if wanted == "waterproof":
        return water in (_IMMERSION, _IMMERSION + 1)
    if wanted == "water-resistant":
        return has in ("waterproof", "weather-sealed") or (water is not None and water >= _SPLASHES)
    least = _water(wanted)
    if water is None or least is None or _dust(has) < _dust(wanted):
        return False
    # What bears immersion need not bear jets.
    return water >= least and (least < _SPLASHES or (water > _JETS) == (least > _JETS))


def rules_out(found: str, asked: str) -> bool:
    """Whether a product with the value ``found`` has not what is asked for.

    >>> rules_out("colour=black", "colour=red"), rules_out("waterproof rating=ipx4", "waterproof rating=waterproof")
    (True, True)
    >>> rules_out("waterproof rating=ip54", "waterproof rating=water-resistant")
    False
    """
    attribute, _, has = found.partition("=")
    wanted_attribute, _, wanted = asked.partition("=")
    if attribute != wanted_attribute or attribute not in SINGLE or says(found, asked):
        return False
    if attribute == "colour":
        return has not in _OF_MANY and _SHADES.get(wanted) != has
    water = _water(has)
    if wanted == "waterproof":
        return has in ("water-resistant", "weather-sealed") or (water is not None and water <= _JETS)
    if wanted == "water-resistant":
        return water is not None and water < _SPLASHES - 1
    least = _water(wanted)
    return water is not None and least is not None and water < least


def ways(asked: str) -> tuple[str, ...]:
    """Keys of the values that say what is asked for, that itself first: by which products are looked up."""
    attribute = asked.partition("=")[0]
    others: tuple[str, ...] = ()
    if attribute == "colour":
        others = tuple(_SHADES)
    elif attribute == "waterproof rating":
        others = ("waterproof", "weather-sealed", *_RATINGS)
    return tuple(dict.fromkeys([asked, *(k for v in others if says(k := f"{attribute}={v}", asked))]))


def _water(value: str) -> int | None:
    match = _RATING.fullmatch(value)
    return int(match["water"]) if match and match["water"].isdigit() else None


def _dust(value: str) -> int:
    match = _RATING.fullmatch(value)
    return int(match["dust"]) if match and match["dust"].isdigit() else 0
