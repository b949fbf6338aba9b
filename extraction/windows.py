"""A document cut into windows, each of which spaCy parses as one: its title, then pieces of its body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kg.graph import Document

MAX_WINDOW: Final = 2000
"""Characters that spaCy parses at once; the parser's memory grows with it."""
MAX_TEXT: Final = 200_000
"""Characters of a document that are read: nobody writes more, but a scraper's mistake may be endless."""
MAX_RUN: Final = 200
"""Longest run without a space that is left whole: tokenizers take long over endless words."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENDLESS = re.compile(rf"\S{{{MAX_RUN},}}")
_BREAKS: Final = (re.compile(r"\n+"), re.compile(r"[.!?;]\s+"), re.compile(r"\s+"))


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a document's text that is read as one."""

    offset: int
    text: str
    is_title: bool


def windows(document: Document) -> list[Window]:
    """Cut a document into its title and pieces of its body of at most :data:`MAX_WINDOW` characters.

    Cuts fall between paragraphs, sentences or words, and in endless words anywhere.
    """
    # Half a surrogate pair is no character that spaCy could encode; its stand-in has the same length.
    text = _SURROGATE.sub("\ufffd", document.text[:MAX_TEXT])
    title_end = min(document.title_end, len(text))
    pieces = [Window(o, t, True) for o, t in _pieces(text[:title_end], 0)]
    return pieces + [Window(o, t, False) for o, t in _pieces(text[title_end:], title_end)]


def _pieces(text: str, offset: int) -> Iterator[tuple[int, str]]:
    """Pieces of ``text`` with their offsets, without blank ones."""
    start = 0
    while start < len(text):
        end = min(len(text), start + MAX_WINDOW)
        endless = _ENDLESS.search(text, start, end)
        if endless and endless.start() == start:
            end = min(endless.end(), start + MAX_RUN)
        elif endless:
            end = endless.start()
        elif end < len(text):
            end = _last_break(text, start, end)
        piece = text[start:end]
        if piece.strip():
            yield start + offset, piece
        start = end


def _last_break(text: str, start: int, end: int) -> int:
    """The best place to cut within the second half of ``[start, end)``."""
    half = start + (end - start) // 2
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, half, end)]
        if ends:
            return ends[-1]
    return end
