"""Brands in titles and descriptions, and products by the names that people give them."""

from __future__ import annotations

import pytest

from extraction.language import lemma_index
from extraction.mentions import Lexicon, ProductEntry, words
from extraction.ner import BrandFinder, Gazetteer
from extraction.products import CategoryFinder, NameKind, ProductFinder, is_accessory, title_head
from tests.extraction.conftest import CAMERAS

MUSIC = Lexicon(
    brands={
        "daddario": "D'Addario",
        "on stage": "On-Stage",
        "jim dunmore": "Jim Dunmore",
        "orange": "Orange",
        "mighty bright": "Mighty Bright",
    },
    products={
        "1": ProductEntry("D'Addario light strings", "daddario"),
        "2": ProductEntry("On-Stage microphone stand", "on stage"),
        "3": ProductEntry("Dunmore nylon picks", "jim dunmore"),
        "4": ProductEntry("Dunmore thumb picks", "jim dunmore"),
        "5": ProductEntry("Dunmore wah pedal", "jim dunmore"),
        "6": ProductEntry("Mighty Bright music light", "mighty bright"),
        "7": ProductEntry("Mighty Bright clip light", "mighty bright"),
        "8": ProductEntry("Guitar strap with clip", None),
        "9": ProductEntry("Classical guitar strings", None),
    },
)


@pytest.fixture(scope="module")
def music() -> BrandFinder:
    return BrandFinder(MUSIC, lemma_index())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D'Addario strings", ["daddario"]),
        ("DADDARIO strings", ["daddario"]),
        ("D’Addario® strings", ["daddario"]),
        ("my On Stage stand", ["on stage"]),
        ("my OnStage stand", ["on stage"]),
        ("On-Stage's best stand", ["on stage"]),
        # An ordinary word is a brand only where it is written as a name.
        ("we played on stage", []),
        ("an orange strap", []),
        ("an Orange amplifier", ["orange"]),
        ("nothing here", []),
    ],
)
def test_known_brands_are_found_in_any_spelling(music: BrandFinder, text: str, expected: list[str]) -> None:
    assert [m.node.key for m in music.mentions(text, words(text))] == expected


@pytest.mark.parametrize(
    ("title", "body", "expected"),
    [
        # Known, at the start of the title, or signed.
        ("D'Addario nickel strings", "", "daddario"),
        ("Nickel strings by D'Addario", "", "daddario"),
        # What a strap is for did not make it.
        ("Strap for D'Addario", "", None),
        # A title that opens like those of a known brand.
        ("Dunmore guitar slide", "", "jim dunmore"),
        # "Mighty" alone is not Mighty Bright, whose titles always go on.
        ("Mighty Mite strap buttons", "Mighty Mite makes buttons.", "mighty mite"),
        # Never seen before.
        ("Kessler G-40 bass amplifier", "", "kessler"),
        ("Housweety white capo", "", "housweety"),
        ("K&L guitar hook", "", "k&l"),
        ("String cleaner by ToneGear", "", "tonegear"),
        # What it is tells nobody who made it.
        ("Guitar hook", "", None),
        ("Classical guitar strap", "", None),
        ("RC-1 cable release", "", None),
        # The description says so.
        ("Leather guitar strap", "On-Stage stitched it by hand.", "on stage"),
        ("Leather guitar strap", "A strap by D'Addario, for any guitar.", "daddario"),
        # What a description denies, tells apart or only mentions as another's.
        ("Leather guitar strap", "Not made by D'Addario.", None),
        ("Leather guitar strap", "This strap is not endorsed by D'Addario.", None),
        ("Leather guitar strap", "Better than anything D'Addario makes.", None),
        ("Leather guitar strap", "D'Addario is a registered trademark.", None),
        ("Leather guitar strap", "Not only made by D'Addario, but tested there.", "daddario"),
        # What it is like, or goes with.
        ("D'Addario-style strap", "", None),
        ("D'Addario compatible winder", "", None),
        # Who signs outranks the name that opens, unless that is a line of the signer.
        ("D'Addario string winder by On-Stage", "", "on stage"),
        ("D'Addario strings, signed by Jim Dunmore", "", "daddario"),
        ("D'Addario by On-Stage strings", "", "daddario"),
        ("", "", None),
    ],
)
def test_the_maker_is_named(music: BrandFinder, title: str, body: str, expected: str | None) -> None:
    mention = music.maker(f"{title}\n\n{body}", len(title))
    assert (mention.node.key if mention else None) == expected


def test_the_quote_is_the_name_alone(music: BrandFinder) -> None:
    text = "Dunmore guitar slide"
    mention = music.maker(text, len(text))
    assert mention is not None
    assert text[mention.start : mention.end] == "Dunmore"
    assert mention.node.properties == {"name": "Jim Dunmore"}


def test_the_longest_name_wins_and_names_do_not_overlap() -> None:
    gazetteer = Gazetteer({"lumo": "brand", "lumox100": "camera", "x100": "camera"})
    text = "Lumo X100, Lumo and X 100"
    assert [(text[n.start : n.end], n.key) for n in gazetteer.find(text, words(text))] == [
        ("Lumo X100", "camera"),
        ("Lumo", "brand"),
        ("X 100", "camera"),
    ]


@pytest.fixture(scope="module")
def products() -> ProductFinder:
    return ProductFinder(CAMERAS, lemma_index(), frozenset({"battery", "strap"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the Lumo X100 mirrorless camera", [("Lumo X100 mirrorless camera", ("X100",))]),
        ("my Lumo X100", [("Lumo X100", ("X100",))]),
        ("an X100 and an x200", [("X100", ("X100",)), ("x200", ("X200",))]),
        ("the LB 7", [("LB 7", ("LB7",))]),
        ("the X100's screen", [("X100", ("X100",))]),
        # A name of a line, where it is written as one.
        ("on the Spark it", [("Spark", ("SPK",))]),
        ("a spark of hope", []),
        ("Spark of hope", []),
        # Words nearby tell one from the other.
        ("the carbon Ridge 3 here", [("Ridge 3", ("R3C",))]),
        ("the Ridge 3 here", [("Ridge 3", ("R3C", "R3A"))]),
        ("any leather camera strap", []),
    ],
)
def test_products_are_found_by_the_names_that_people_use(
    products: ProductFinder, text: str, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert [(text[n.start : n.end], n.skus) for n in products.find(text, words(text))] == expected


def test_how_sure_a_name_is(products: ProductFinder) -> None:
    text = "an X100, a Lumo X100 and on the Spark it"
    assert [n.kind for n in products.find(text, words(text))] == [NameKind.WHOLE, NameKind.BRANDED, NameKind.WORD]


def test_titles_without_words_have_no_names() -> None:
    titles = {"1": "", "2": "***, with strap", "3": "- X100"}
    lexicon = Lexicon(products={sku: ProductEntry(title) for sku, title in titles.items()})
    finder = ProductFinder(lexicon, lemma_index(), frozenset())
    assert [n.skus for n in finder.find("the X100", words("the X100"))] == [("3",)]


@pytest.mark.parametrize(
    ("title", "head"),
    [
        ("Lumo LB-7 battery for X100, black", "Lumo LB-7 battery"),
        ("Lumo camera with lens", "Lumo camera"),
        ("Lumo camera - black", "Lumo camera"),
        ("Lumo camera (black)", "Lumo camera"),
        ("Lumo", "Lumo"),
        ("", ""),
    ],
)
def test_the_head_of_a_title_names_the_product_itself(title: str, head: str) -> None:
    assert title_head(title) == head


def test_accessories_are_told_by_their_noun() -> None:
    nouns = frozenset({"battery", "lens cap", "strap"})
    assert is_accessory("Lumo LB-7 battery for X100", nouns)
    assert is_accessory("Lens caps, set of 2", nouns)
    assert is_accessory("Camera strap LS-2", nouns)
    assert not is_accessory("Lumo X100 camera with strap", nouns)
    assert not is_accessory("", nouns)


def test_categories_are_found_in_singular_and_plural() -> None:
    finder = CategoryFinder(Lexicon(categories=("A > Bags & Cases", "A > Straps", "B > Straps")), parts=True)
    text = "a case and two straps"
    assert [(text[n.start : n.end], paths) for n, paths in finder.find(text, words(text))] == [
        ("case", ("A > Bags & Cases",)),
        ("straps", ("A > Straps", "B > Straps")),
    ]
