"""Sentences of descriptions and reviews, and what they say goes with what."""

from __future__ import annotations

import pytest

from tests.extraction.conftest import Read, facts, reasons

RELATIONS = ("ACCESSORY_OF", "COMPATIBLE_WITH")
BATTERY = "Ashdown AB-1 battery"
TRIPOD = "Birch tripod TR-2"


@pytest.mark.parametrize(
    ("title", "description", "expected"),
    [
        # The cue tells the relation: what is made for another thing is its accessory.
        (BATTERY, "Fits the Lumo X100.", {("ACCESSORY_OF", "X100")}),
        (BATTERY, "It fits the X100.", {("ACCESSORY_OF", "X100")}),
        (BATTERY, "Designed specifically for the Lumo X100.", {("ACCESSORY_OF", "X100")}),
        (
            BATTERY,
            "A replacement battery for the X100 and the X200.",
            {("ACCESSORY_OF", "X100"), ("ACCESSORY_OF", "X200")},
        ),
        (
            "Lumo printer",
            "Compatible with the X100, X200 and S-200.",
            {("COMPATIBLE_WITH", "X100"), ("COMPATIBLE_WITH", "X200"), ("COMPATIBLE_WITH", "G1")},
        ),
        ("Lumo printer", "Works perfectly with the Lumo X100.", {("COMPATIBLE_WITH", "X100")}),
        # The title says it too.
        ("Ashdown battery for Lumo X100", "", {("ACCESSORY_OF", "X100")}),
        # A model number is enough, so is a name of the line where it is written as one.
        (BATTERY, "It also fits the Spark amplifier.", {("ACCESSORY_OF", "SPK")}),
        (BATTERY, "It fits wherever a spark is needed.", set()),
        # The words around a name tell which of two is meant.
        ("Birch plate", "Made for the Ridge 3 carbon.", {("ACCESSORY_OF", "R3C")}),
        ("Birch plate", "Made for the aluminium Ridge 3.", {("ACCESSORY_OF", "R3A")}),
        # A name that no product has leaves the brand.
        (BATTERY, "Fits Lumo cameras.", {("ACCESSORY_OF", "lumo")}),
        # Without a cue the encoder decides.
        ("Birch rain cover", "It straps around the body of the X100 in seconds.", {("ACCESSORY_OF", "X100")}),
        # "Not only" affirms.
        (
            "Lumo printer",
            "Compatible not only with the X100 but also with the X200.",
            {("COMPATIBLE_WITH", "X100"), ("COMPATIBLE_WITH", "X200")},
        ),
        # The negation ends with its clause.
        ("Lumo printer", "It needs no battery and works with the X100.", {("COMPATIBLE_WITH", "X100")}),
        ("Lumo printer", "No cables. Works with the X100.", {("COMPATIBLE_WITH", "X100")}),
    ],
)
def test_what_goes_together_is_found(read_product: Read, title: str, description: str, expected: set) -> None:
    assert facts(read_product(title, description), *RELATIONS) == expected


@pytest.mark.parametrize(
    "description",
    [
        "Does not fit the X100.",
        "It doesn't work with the X100.",
        "Not compatible with the Lumo X100.",
        "Incompatible with the X100.",
        "This will not fit on the X100.",
        "It cannot be used with the X100.",
        "It never fits the X100.",
        "Fits neither the X100 nor anything like it.",
        "Fits all cameras except the X100.",
        "Too small for the X100.",
        "Pointless with the X100.",
    ],
)
def test_what_is_denied_is_no_relation_and_asserted_as_a_denial(read_product: Read, description: str) -> None:
    extraction = read_product(BATTERY, description)
    assert not {f for f in facts(extraction, *RELATIONS) if f[1] == "X100"}
    assert "negated" in {reason for reason, _ in reasons(extraction)}
    assert facts(extraction, "DOES_NOT_FIT") == {("DOES_NOT_FIT", "X100")}


def test_an_exception_is_denied_and_the_rest_asserted(read_product: Read) -> None:
    extraction = read_product(BATTERY, "Fits the X100 but not the X200.")
    assert facts(extraction, *RELATIONS) == {("ACCESSORY_OF", "X100")}
    assert ("negated", "ACCESSORY_OF: X200") in reasons(extraction)
    assert facts(extraction, "DOES_NOT_FIT") == {("DOES_NOT_FIT", "X200")}


@pytest.mark.parametrize(
    "description",
    ["Lighter than the X100.", "Unlike the X100 it has a screen.", "The smaller sister of the X100."],
)
def test_a_comparison_is_no_relation(read_product: Read, description: str) -> None:
    assert facts(read_product(TRIPOD, description), *RELATIONS) == set()


@pytest.mark.parametrize(
    ("description", "denied"),
    [
        # An exception says the contrary of what is said of all others.
        ("Fits all Lumo cameras apart from the X100.", {"X100"}),
        ("Fits everything but the X100.", {"X100"}),
        ("Fits all Lumo cameras but the X100.", {"X100"}),
        ("Compatible with all Lumo cameras with the exception of the X100.", {"X100"}),
        # What is denied behind its name.
        ("Works with the X200 (the X100 is not supported).", {"X100"}),
        ("Compatible with X200, X100 not supported.", {"X100"}),
        ("Compatible with X200, X100 and S-200 not supported.", {"X100", "G1"}),
        ("Compatible with X200 (X100, S-200 unsupported).", {"X100", "G1"}),
        ("Compatible with the X200 but the X100 won't work.", {"X100"}),
        # Denials without a "not" before the cue.
        ("It is far from compatible with the X100.", {"X100"}),
        ("It is anything but compatible with the X100.", {"X100"}),
        ("It stopped working with the X100.", {"X100"}),
        ("It ceased to be compatible with the X100.", {"X100"}),
        ("Nobody has got it to work with the X100.", {"X100"}),
        # What is only told apart is neither said nor denied.
        ("It fits the X200 rather than the X100.", set()),
        ("It fits the X200 instead of the X100.", set()),
        ("It fits the X200, unlike the X100.", set()),
        ("Works with the X200 better than the X100.", set()),
        ("Nothing fits the X100 like this.", set()),
        ("Works with the X200, and the X100 is a bargain.", set()),
    ],
)
def test_what_is_excepted_contrasted_or_denied_behind_is_no_relation(
    read_product: Read, read_review: Read, description: str, denied: set[str]
) -> None:
    described, reviewed = read_product(BATTERY, description), read_review(description, sku="S1")
    assert {key for _, key in facts(described, "DOES_NOT_FIT")} == denied
    for extraction in (described, reviewed):
        assert {key for _, key in facts(extraction, *RELATIONS)} <= {"X200", "lumo"}
        assert ("X200" in {key for _, key in facts(extraction, *RELATIONS)}) == ("X200" in description)


@pytest.mark.parametrize(
    "description",
    [
        # The contrary of a denial.
        "Fits nothing but the X100.",
        "Does not fit any camera except the X100.",
        "Works with no camera other than the X100.",
        "Fits the X100 no matter what.",
        "Compatible with more than just the X100.",
        "Compatible with any version of the X100.",
        "Compatible with the X100 (battery not included).",
        "It is used to connect to the X100.",
    ],
)
def test_what_only_sounds_like_a_denial_is_a_relation(read_product: Read, description: str) -> None:
    extraction = read_product(BATTERY, description)
    assert {key for _, key in facts(extraction, *RELATIONS)} == {"X100"}
    assert not {key for _, key in facts(extraction, "DOES_NOT_FIT") if key == "X100"}


def test_what_is_only_told_apart_is_rejected_with_its_reason(read_product: Read) -> None:
    assert ("compared", "ACCESSORY_OF: X100") in reasons(read_product(BATTERY, "It fits the X200, unlike the X100."))


def test_a_product_is_not_its_own_accessory(read_product: Read) -> None:
    extraction = read_product(
        "Lumo LB-7 battery for X100", "The LB-7 fits the X100. Works with any LB-7 charger.", sku="LB7"
    )
    assert facts(extraction, *RELATIONS) == {("ACCESSORY_OF", "X100")}
    assert ("self_reference", "COMPATIBLE_WITH: LB-7") in reasons(extraction)


def test_a_name_that_two_different_things_share_names_neither(read_product: Read) -> None:
    extraction = read_product("Lumo printer", "It fits the Ridge 3.")
    assert facts(extraction, *RELATIONS) == set()
    assert ("ambiguous", "COMPATIBLE_WITH: Ridge 3") in reasons(extraction)


def test_what_is_said_of_a_line_is_said_of_each_version_on_the_shelf(read_product: Read) -> None:
    extraction = read_product("Birch charger", "It works with Lumo LB batteries.")
    assert facts(extraction, *RELATIONS) == {("COMPATIBLE_WITH", "LB7"), ("COMPATIBLE_WITH", "LB9")}


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("Works great with my X200.", {("COMPATIBLE_WITH", "X200")}, None),
        ("It does not fit my X200.", set(), "negated"),
        ("Does it fit the X200?", set(), "hypothetical"),
        ("I thought it would fit my X200.", set(), "hypothetical"),
        ("I wish it worked with the X200.", set(), "hypothetical"),
    ],
)
def test_reviewers_say_what_works_and_what_does_not(
    read_review: Read, text: str, expected: set, reason: str | None
) -> None:
    extraction = read_review(text, sku="S1")
    assert {(("COMPATIBLE_WITH"), key) for _, key in facts(extraction, *RELATIONS)} == expected
    assert reason is None or reason in {r for r, _ in reasons(extraction)}
    # Who only asks or wishes denies nothing.
    assert bool(facts(extraction, "DOES_NOT_FIT")) == (reason == "negated")


def test_reviewers_are_believed_less_than_descriptions(read_product: Read, read_review: Read) -> None:
    (described,) = [
        r for r in read_product("Lumo printer", "Works with the X200.").graph.relationships if r.end.key == "X200"
    ]
    (reviewed,) = [r for r in read_review("Works with the X200.").graph.relationships if r.end.key == "X200"]
    assert reviewed.properties["confidence"] < described.properties["confidence"]


A, C, N = "ACCESSORY_OF", "COMPATIBLE_WITH", "DOES_NOT_FIT"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # What a line denies it denies of nothing above it.
        ("Fits X100\nDoes not fit X200", {(A, "X100"), (N, "X200")}),
        ("Compatible with X100, X200\nNot compatible with S-200", {(C, "X100"), (C, "X200"), (N, "G1")}),
        ("Fits X100\nX200 does not fit", {(A, "X100"), (N, "X200")}),
        ("Works with Lumo X100\nDoes not work with bicycles", {(C, "X100")}),
        # The head of a list governs its items, with marks before them or without, until another head comes.
        ("Fits:\n- X100\n- X200\nDoes not fit:\n- S-200\n- LB-9", {(A, "X100"), (A, "X200"), (N, "G1"), (N, "LB9")}),
        ("Fits:\nX100\nX200\nDoes not fit:\nS-200", {(A, "X100"), (A, "X200"), (N, "G1")}),
        ("Not compatible models:\n* X100\n* X200", {(N, "X100"), (N, "X200")}),
        ("Compatible: X100, X200\nNot compatible: S-200", {(C, "X100"), (C, "X200"), (N, "G1")}),
        ("Compatible models:\n\n- X100\n- Q77\n- X200\nIn the box:\nS-200", {(C, "X100"), (C, "X200")}),
        ("Compatible with:\nX100\nX200 is our bestseller", {(C, "X100")}),
        ("Compatible with:\nX100\n\nThe strap is of leather. Our X200 is a bestseller.", {(C, "X100")}),
        # A long line that is only wrapped goes on.
        ("We are sorry to have to tell you that this battery does not\nfit the X100.", {(N, "X100")}),
    ],
)
def test_a_statement_ends_with_its_line_and_a_head_governs_its_list(
    read_product: Read, description: str, expected: set[tuple[str, str]]
) -> None:
    assert facts(read_product(BATTERY, description), *RELATIONS, "DOES_NOT_FIT") == expected


@pytest.mark.parametrize(
    ("description", "denied"),
    [
        # What is not in the box may fit all the same.
        ("Fits the X100 (X100 not included).", False),
        ("Compatible with Lumo X100 (X100 camera not included).", False),
        ("The X100 does not include a battery, so buy this one.", False),
        # What does not work without it works with it, and what it does not do may be another thing.
        ("The X100 will not work without it.", False),
        ("Your X100 won't work without this battery.", False),
        ("Your X100 does not support fast charging without it.", False),
        ("The X100 does not support this battery.", True),
        ("The X100 won't work with it.", True),
        ("The X100 is not suitable for it.", True),
        ("The X100 does not fit.", True),
        # Refusals of any tense.
        ("It refused to work with the X100.", True),
        ("It failed to fit the X100.", True),
        ("It is impossible to fit it on the X100.", True),
        ("Avoid using it with the X100.", True),
        ("The lug prevents it from fitting the X100.", True),
        ("Use with the X100 is not recommended.", True),
        ("Support for the X100 has been dropped.", True),
        ("No doubt it fits the X100.", False),
    ],
)
def test_only_what_is_denied_is_asserted_as_a_denial(read_product: Read, description: str, denied: bool) -> None:
    extraction = read_product(BATTERY, description)
    assert facts(extraction, "DOES_NOT_FIT") == ({("DOES_NOT_FIT", "X100")} if denied else set())
    assert bool(facts(extraction, *RELATIONS)) != denied


@pytest.mark.parametrize(
    "text",
    [
        # Neither a fact nor a denial.
        "It is unlikely to fit the X200.",
        "Rarely works with the X200.",
        "Seldom fits the X200.",
        "Compatibility with the X200 is not guaranteed.",
        "Compatibility with the X200 has not been tested.",
        "Not tested with the X200.",
        "Using it with the X200 voids your warranty.",
        "Use with the X200 may damage it.",
        "Support for the X200 is coming soon.",
        # Doubt and hearsay.
        "It might fit the X200.",
        "May not fit the X200.",
        "We doubt that it fits the X200.",
        "Supposedly works with the X200.",
        "Perhaps it fits the X200.",
        "Advertised as compatible with the X200. A lie!",
        "I tried to use it with my X200, but it failed.",
        # Questions that have lost their mark.
        "Does it work with X200",
        "will this fit x200",
        "is it compatible with the x200",
        "can i use it with the x200",
        "I love it, but does it fit the X200",
        # What is said of another thing.
        "My friend's strap fits the X200.",
        "My other battery works with the X200.",
        "The original battery does not fit the X200.",
        "No other strap fits the X200 so well.",
        "The LB-9 works with the X200.",
        # A clause between, or people.
        "It goes on where the X200 stops.",
        "Perfect for those who loved the X200.",
    ],
)
def test_doubt_questions_and_other_things_make_no_fact(read_product: Read, read_review: Read, text: str) -> None:
    described = read_product(BATTERY, text)
    for extraction in (described, read_review(text, sku="S1")):
        assert not {f for f in facts(extraction, *RELATIONS, "DOES_NOT_FIT") if f[1] == "X200"}
    assert {"negated", "hypothetical", "compared", "low_confidence"} & {reason for reason, _ in reasons(described)}


@pytest.mark.parametrize(
    "text",
    [
        "Will fit the X200.",
        "Is compatible with the X200.",
        "It may be used with the X200.",
        "You may use it with the X200.",
        "It might be small, but it fits the X200.",
        "I bought it in May and it fits my X200.",
        "Is light and works with the X200.",
        "Unlike other straps, it fits the X200.",
        "It works with my old X200.",
        "It's made for the X200.",
        "Fits my wife's X200.",
        "The first strap that fits the X200.",
        "Made for owners of the X200.",
        "This replaces the battery of my X200.",
    ],
)
def test_what_only_sounds_like_doubt_is_a_relation(read_product: Read, read_review: Read, text: str) -> None:
    for extraction in (read_product(BATTERY, text), read_review(text, sku="S1")):
        assert "X200" in {key for _, key in facts(extraction, *RELATIONS)}
        assert not facts(extraction, "DOES_NOT_FIT")


@pytest.mark.parametrize(
    "text",
    [
        "The X100 replaces the X200.",
        "This replaces my X200.",
        "Designed for those who loved the X200.",
        "Made for owners of the X200 who want more.",
    ],
)
def test_what_succeeds_another_is_no_accessory_of_it(read_product: Read, read_review: Read, text: str) -> None:
    described = read_product("Lumo X100 mirrorless camera", text, sku="X100")
    for extraction in (described, read_review(text, sku="X100")):
        assert not facts(extraction, *RELATIONS, "DOES_NOT_FIT")
