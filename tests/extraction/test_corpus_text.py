"""Cleaning: what a person would have read, and nothing else."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.corpus import clean_line, clean_text
from extraction.corpus.fields import MAX_TEXT

PIECES = st.sampled_from(
    ["<", ">", "&", "]", "]]>", "[if mso]", "[endif]", "<b>", "</b>", "<br", "<a href=", "/>", "amp;", "&lt;",
     "&#", "38;", "<!--", "-->", "<script>", "</script>", "\n", "\t", "\u00a0", "\u2028", "\u0344", "\u0301",
     "\ud800", "é", "x", "'"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("21&#39; cable, 1/4&quot; plugs", "21' cable, 1/4\" plugs"),
        ("Salt &amp;amp; pepper &amp;lt;3", "Salt & pepper <3"),
        ("&#x2019;tis &#146;quoted&#146;", "’tis ’quoted’"),
        ("AT&T &notit; &copy=1 L&M;", "AT&T &notit; &copy=1 L&M;"),
        ("I <3 it, 5 < 6 and 7 > 3, under <$20", "I <3 it, 5 < 6 and 7 > 3, under <$20"),
        ("x <y and y> z, a <b and c> d", "x <y and y> z, a <b and c> d"),
        ("<grin> see <http://example.org> or <me@example.org>", "<grin> see <http://example.org> or <me@example.org>"),
        ("one<br>two<BR/>three<p class='a>b'>four</p>", "one\ntwo\nthree\nfour"),
        ("H<sub>2</sub>O is <b>wet</b>", "H2O is wet"),
        ("<td>a</td><td>b</td>", "a b"),
        ("<p title=don't>unbalanced</p>", "unbalanced"),
        ('cut off <a href="http://example.org/a', "cut off"),
        ("&lt;b&gt;escaped&lt;/b&gt; mark-up", "escaped mark-up"),
        ("a<script>if (x < 3) go();</script>b<STYLE>p {}</STYLE>c", "a b c"),
        ("a <script>never closed", "a never closed"),
        ("a<!-- note -->b <!-- never closed", "a b never closed"),
        ("[if gte mso 9]><xml><w:View>Normal</w:View></xml><![endif]Flute", "Flute"),
        ("as said [if you ask me] <b>fine</b>", "as said [if you ask me] fine"),
        ("<![CDATA[in a feed]]>", "in a feed"),
        ("nul\x00 bell\x07 half\ud800 soft\u00adhyphen\ufeff", "nul bell half softhyphen"),
        (" \u00a0two\t spaces \n\n\n two lines \r\n", "two spaces\ntwo lines"),
        ("Cafe\u0301", "Café"),
        ("", ""),
        ("<br> \n", ""),
    ],
)
def test_text_is_cleaned_of_what_is_not_prose(raw: str, expected: str) -> None:
    assert expected == clean_text(raw)


def test_a_line_has_no_line_breaks() -> None:
    assert clean_line("one<br>two") == "one two"


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
def test_cleaning_a_clean_text_changes_nothing(raw: str) -> None:
    cleaned = clean_text(raw)

    assert cleaned == clean_text(cleaned)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    cleaned.encode()  # no halves of pairs are left


@given(
    st.text(alphabet=st.characters(categories=("L", "N", "P")), max_size=60).filter(lambda t: not set("<&]") & set(t))
)
def test_words_survive(words: str) -> None:
    assert unicodedata.normalize("NFC", words) == clean_text(words)


def test_escapes_beyond_all_reason_end_in_plain_text() -> None:
    raw = "a <b>word</b>"
    for _ in range(50):
        raw = html.escape(raw)

    cleaned = clean_text(raw)

    assert "word" in cleaned
    assert not set("<&") & set(cleaned)
    assert cleaned == clean_text(cleaned)


@pytest.mark.parametrize(
    "unit",
    [
        "a", "<", "<b", "<b '", "<a x=", "<!--", "<script>", "<div>", "amp;", "&amp;", "&#&#49;08;", "]]>", "[if mso",
        "\u0301\u0316", "\u0344", "—", " \n", "<<b>b>",
    ],
)  # fmt: skip
def test_hostile_texts_of_the_greatest_length_are_cleaned(unit: str) -> None:
    """Linear work takes well under a second here; quadratic work would take this test hours."""
    raw = unit * (MAX_TEXT // len(unit))

    cleaned = clean_text(raw)

    assert len(cleaned) <= len(raw)
    assert cleaned == clean_text(cleaned)
