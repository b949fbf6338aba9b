"""What people type, brought nearer to what titles say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.querytext import corrected, halves, is_near, rewritten, slips, tidied, unknown_words


@pytest.mark.parametrize(
    ("typed", "tidy"),
    [
        ('3/4" bit', "3/4 in bit"),
        ("18v drill", "18 volt drill"),
        ("18-volt drill", "18 volt drill"),
        ("6' ladder, 200 lbs", "6 ft ladder, 200 lb"),
        ("12 inches", "12 in"),
        ("10mm socket", "10 mm socket"),
        ("3x5 rug", "3x5 rug"),
        ("4 inch x 4inch", "4 in x 4 in"),
        ("r134a", "r134a"),
        ("2x4in board", "2x4 in board"),
        ("1.5a fuse", "1.5 amp fuse"),
        ("K-7 strap", "K-7 strap"),
    ],
)
def test_quantities_are_written_as_titles_write_them(typed: str, tidy: str) -> None:
    assert tidied(typed) == tidy


@given(st.text())
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    once = tidied(tidied(text))
    assert tidied(once) == once


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("frnch", "french", 1), ("vynal", "vinyl", 2), ("sprkinler", "sprinkler", 2), ("recieve", "receive", 1)],
)
def test_slips_are_counted_and_a_swap_is_one(a: str, b: str, expected: int) -> None:
    assert slips(a, b) == slips(b, a) == expected


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_slips_agree_with_the_definition(a: str, b: str) -> None:
    """The recursive definition of the optimal string alignment distance, slow and plain."""

    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        best = min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            best = min(best, distance(i - 2, j - 2) + 1)
        return best

    assert slips(a, b) == distance(len(a), len(b))


def test_a_short_word_is_near_within_one_slip_and_a_long_one_within_two() -> None:
    assert is_near("frnch", "french")
    assert not is_near("vynal", "vinyl")
    assert is_near("vinylls", "vinyl")
    assert not is_near("same", "same")


def test_the_nearest_and_most_frequent_word_was_meant() -> None:
    assert corrected("vacuumm", {"vacuum": 300, "vacuums": 5}) == "vacuum"
    # Twenty times as frequent is worth one slip, and here it is more.
    assert corrected("sharpper", {"sharper": 10, "shapes": 900}) == "sharper"
    # A word of one product may be a slip itself: believed only right beside what was typed.
    assert corrected("hurdey", {"hurley": 1}) == "hurley"
    assert corrected("hudrleys", {"hurley": 1}) == "hudrleys"
    assert corrected("xyzzy", {}) == "xyzzy"
    # A plural whose singular is known is no slip.
    assert corrected("straps", {"strap": 9, "traps": 90}) == "straps"


def test_two_words_that_lack_a_space_are_parted() -> None:
    assert ("bathroom", "vanity") in set(halves("bathroomvanity"))
    assert corrected("bathroomvanity", {"bathroom": 900, "vanity": 300, "bath": 50}) == "bathroom vanity"
    assert corrected("bathroomvanity", {"bathroom": 900, "vanity": 2}) == "bathroomvanity"


def test_what_is_corrected_is_bounded_in_length_and_number() -> None:
    """Of a word of thousands of letters the halves alone are a hundred megabytes."""
    assert unknown_words(f"strp {'x' * 32} {'y' * 33} {'z' * 10_000}") == ["strp", "x" * 32]
    many = [f"{a}{b}zz" for a in "abcdefgh" for b in "abcdefgh"]
    assert unknown_words(" ".join(many)) == many[:32]


def test_only_words_of_letters_are_corrected_and_the_rest_stays() -> None:
    assert unknown_words("Frnch door 3/4in x200 abc door") == ["frnch", "door"]
    assert rewritten("Frnch 3/4 DOOR!", {"frnch": "french"}) == "french 3/4 DOOR!"
