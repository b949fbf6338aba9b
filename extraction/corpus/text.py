"""Cleaning of text, so that what is stored is what a person would have read.

Shops' feeds carry HTML, HTML escaped twice, Word's XML, control characters and
halves of emoji. Evidence keeps offsets into the *cleaned* text, therefore
cleaning happens once, here, and cleaning a cleaned text changes nothing.

Mark-up is recognised by name rather than by a browser's parser: a browser would
take ``x <y and y> z`` for a tag and swallow it, and reviews are full of ``<3``
and ``5 < 6``. Whatever does not look like a tag of HTML stays. Every step is
linear in the length of the text; texts come from strangers.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from html.entities import html5
from typing import Final

ROUNDS: Final = 8
"""How often a text may have been escaped. Two is common and three was seen; nobody escapes eight times
in good faith, and a bound keeps nested escapes from costing quadratic time."""

_MARKS_IN_A_ROW: Final = 30
"""Longest run of combining marks, after Unicode's Stream-Safe Text Format (UAX #15, section 13): sorting
longer runs takes quadratic time."""

_OPENERS: Final = "<&]"
"""Every piece of mark-up and every entity has one of these."""
_NOT_TEXT = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls, except those that are white space
    "\u00ad\u200b\u2060\ufeff"  # invisible: soft hyphen, zero-width space, word joiner, byte order mark
    "\u202a-\u202e\u2066-\u2069"  # overrides of direction
    "\ud800-\udfff]"  # halves of pairs
)
_SUSPECT_MARKS = re.compile(rf"[^\w\s\x00-\u02ff]{{{_MARKS_IN_A_ROW + 1},}}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|([A-Za-z][A-Za-z0-9]{1,30}));")

# The attributes of a tag may hold '>' inside quotes, never '<': each attempt ends at the next '<', so all
# attempts together read the text a fixed number of times.
_MARKUP = re.compile(
    r"""<(?:
        (?P<comment>!--)
      | (?P<marker>!\[CDATA\[ | [!?][A-Za-z\[][^<>]*>)
      | /?(?P<name>[A-Za-z][A-Za-z0-9]{0,15} | (?:[movwx]|st[0-9]):[A-Za-z][\w.-]{0,40})(?=[\s/>])
        (?: (?P<attributes>(?:[^<>"'] | "[^"<]*" | '[^'<]*')*+)>
          | (?P<unbalanced>[^<>]*)>
          | [^<>=]*=[^<>]*\Z  # cut off within its attributes
        )
    )""",
    re.VERBOSE,
)
_DEBRIS = re.compile(r"(?:<!)?\[(?:if [^][<>]{0,40}(?:mso|vml|IE|support)[^][<>]{0,40}|endif)\]>?|\]\]>")
"""Ends of CDATA, and what is left of Word's conditional comments when a feed has lost their dashes."""


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BLOCKS: Final = _names(
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav noframes noscript ol optgroup "
    "option p pre section select summary table tbody tfoot thead title tr ul"
)
_CELLS: Final = _names("area audio button canvas embed iframe img input map object td textarea th video")
_INLINE: Final = _names(
    "a abbr acronym applet b base basefont bdi bdo big cite code col colgroup data datalist del dfn em font frame "
    "frameset i ins kbd label link mark meta meter nobr output param picture progress q rp rt ruby s samp small source "
    "span strike strong sub sup svg template time track tt u var wbr"
)
_DROPPED: Final = {
    name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style", "head", "xml", "noembed")
}
"""Elements that go with all they contain, and how each ends (``xml`` is what Word pastes)."""


def clean_text(raw: str) -> str:
    """The text without mark-up, entities, control characters and needless white space, in Unicode's form NFC.

    Line breaks, and tags that end a line on a page, become ``\\n``; other white
    space folds to one space. ``clean_text(clean_text(raw)) == clean_text(raw)``.

    >>> clean_text("Cable<br>21&#39; &amp;amp; tested &lt;3")
    "Cable\\n21' & tested <3"
    """
    text = raw
    for _ in range(ROUNDS):
        cleaned = _fold(_decode(_strip(text)))
        if cleaned == text or (cleaned.isascii() and not any(c in cleaned for c in _OPENERS)):
            return cleaned
        text = cleaned
    # Without these characters nothing is left to decode or to strip.
    return _fold(_fold(text.translate(dict.fromkeys(map(ord, _OPENERS), " "))))


def clean_line(raw: str) -> str:
    """:func:`clean_text` on one line: for titles and names."""
    cleaned = clean_text(raw)
    return cleaned.replace("\n", " ") if "\n" in cleaned else cleaned


def drop_controls(raw: str) -> str:
    """The text without the characters that no text has: for ids and excerpts, which are kept as they are otherwise."""
    return _NOT_TEXT.sub("", raw)


def _fold(text: str) -> str:
    text = _NOT_TEXT.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SUSPECT_MARKS.sub(_limit_marks, text))
    lines = text.splitlines()
    if len(lines) == 1:
        return " ".join(text.split())
    folded = (" ".join(line.split()) for line in lines)
    return "\n".join(line for line in folded if line)


def _limit_marks(run: re.Match[str]) -> str:
    kept, marks = [], 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(character)
    return "".join(kept)


def _decode(text: str) -> str:
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(entity: re.Match[str]) -> str:
    # html.unescape alone would also read a known name's beginning: "&notit;" as "¬it;".
    name = entity[1]
    return unescape(entity[0]) if name is None else html5.get(f"{name};", entity[0])


def _strip(text: str) -> str:
    if "]" in text:
        text = _DEBRIS.sub(" ", text)
    if "<" not in text:
        return text
    kept: list[str] = []
    unclosed: set[str] = set()
    start = 0
    while (found := _MARKUP.search(text, start)) is not None:
        kept.append(text[start : found.start()])
        name = (found["name"] or "").lower()
        # An element or comment that never ends loses its tag only: losing no words is the safer mistake.
        start = found.end()
        if found["comment"] and "" not in unclosed:
            if (end := text.find("-->", found.end())) >= 0:
                start = end + 3
            else:
                unclosed.add("")
        elif name in _DROPPED and name not in unclosed and text[found.start() + 1] != "/":
            if (closing := _DROPPED[name].search(text, found.end())) is not None:
                start = closing.end()
            else:
                unclosed.add(name)
        kept.append(_in_place_of(found, name))
    kept.append(text[start:])
    return "".join(kept)


def _in_place_of(found: re.Match[str], name: str) -> str:
    if not name:
        return "" if found["marker"] else " "
    attributes = found["attributes"] or found["unbalanced"] or ""
    if len(name) == 1 and "=" not in attributes and attributes.strip(" /\t\r\n"):
        return found[0]  # "a <b and c> d" is no tag
    if name in _BLOCKS:
        return "\n"
    if name in _CELLS or name in _DROPPED:
        return " "
    if name in _INLINE or ":" in name:
        return ""
    return found[0]
