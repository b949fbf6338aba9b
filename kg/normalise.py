"""How names become business keys: the same brand, shelf or query must always meet itself.

Pure functions without any knowledge of a particular shop. Both the loaders and
the extraction package use them, so that what a file says and what a text says
come together on one node.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

PATH_SEPARATOR = " > "

# Legal forms and trade marks say nothing of who the brand is. They are dropped
# only at the end of a name: "The Company Store" keeps its company.
_LEGAL_FORM = re.compile(
    r"(?:[\s,&]+(?:incorporated|inc|corporation|corp|company|co|limited|ltd|llc|llp|plc|gmbh|ag|kg|sa|srl|bv|oy|ab|as))+$"
)
_TRADE_MARK = re.compile(r"[®™©℠]|\((?:r|tm|c)\)", re.IGNORECASE)
_APOSTROPHE = re.compile(r"['’‘`´]")
_NOT_WORD = re.compile(r"[^\w&+]+", re.UNICODE)
_SPACE = re.compile(r"\s+")


def brand_key(name: str) -> str:
    """Business key of a brand: spellings with and without legal form, mark, accent or apostrophe meet.

    >>> brand_key("D’Addario, Inc."), brand_key("DADDARIO"), brand_key("Fender®")
    ('daddario', 'daddario', 'fender')

    An empty string means that the name holds nothing to go by.
    """
    text = _strip_accents(_TRADE_MARK.sub(" ", name)).casefold()
    text = _APOSTROPHE.sub("", text).replace(".", "")
    text = _SPACE.sub(" ", text).strip(" ,;:-")
    without_form = _LEGAL_FORM.sub("", text)
    return _SPACE.sub(" ", _NOT_WORD.sub(" ", without_form or text)).strip()


def category_path(names: Sequence[str]) -> str:
    """Business key of a category: its names from the root, joined by ``' > '``."""
    return PATH_SEPARATOR.join(_SPACE.sub(" ", name).strip() for name in names)


def query_key(text: str) -> str:
    """Business key of a search: lower case, spaces folded."""
    return _SPACE.sub(" ", text).strip().casefold()


def _strip_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
