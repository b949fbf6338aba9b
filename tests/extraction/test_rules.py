"""Attributes that titles and descriptions state."""

from __future__ import annotations

import pytest

from tests.extraction.conftest import Read, facts, quotes, reasons


def values(extraction: object) -> set[str]:
    return {key for _, key in facts(extraction, "HAS_ATTRIBUTE")}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "description", "expected"),
    [
        # Words of a list, in the title and in the text, in any spelling.
        ("Lumo bag, Black", "", {"colour=black"}),
        ("Lumo bag", "Made of full-grain leather.", {"material=leather"}),
        ("Lumo bag", "Water resistant nylon.", {"waterproof rating=water-resistant", "material=nylon"}),
        ("Lumo charger with USB-C", "", {"connector=usb-c"}),
        ("Lumo charger", "The plug is USB-C.", {"connector=usb-c"}),
        ("Lumo camera", "It films in 4K.", {"video resolution=4k"}),
        # Labels.
        ("Lumo bag", "Colour: Deep Ocean\nMaterial: canvas", {"colour=deep ocean", "material=canvas"}),
        ("Lumo bag", "Weight: 1.2 kg; Color: red.", {"weight=1200 g", "colour=red"}),
        # Numbers: the neighbour tells what is measured, else the title, else the unit.
        ("Lumo tripod", "It weighs just 1.2 kg and is 150 cm high.", {"weight=1200 g", "height=150 cm"}),
        ("Lumo tripod", "Holds up to 5 kg.", {"load capacity=5 kg"}),
        ("Lumo cable 18 ft", "", {"length=548.64 cm"}),
        ("Lumo memory card 0.25 TB", "", {"storage capacity=256 GB"}),
        ("Lumo memory card 256GB", "", {"storage capacity=256 GB"}),
        ("Lumo laptop, 8GB RAM, 256GB SSD", "", {"working memory=8 GB", "storage capacity=256 GB"}),
        ("Lumo laptop", "RAM: 16 GB DDR4; Storage: 1 TB", {"working memory=16 GB", "storage capacity=1024 GB"}),
        (
            "Lumo laptop",
            "It has 16GB of DDR4 memory and a 512GB drive.",
            {"working memory=16 GB", "storage capacity=512 GB"},
        ),
        ("Lumo battery 7.2 V, 1200mAh", "", {"voltage=7.2 V", "battery capacity=1200 mAh"}),
        ("Lumo lantern", "Six hours of use on one charge.", {"battery life=6 h"}),
        ("Lumo polariser filter 67 mm", "", {"diameter=67 mm"}),
        ("Lumo picks, pack of 12", "", {"number of pieces=12"}),
        ("Lumo strap, 2 year warranty", "", {"warranty=24 month"}),
        # A plug is a plug and not a length.
        ('Lumo adapter with 1/4" plug', "", {"connector=6.35 mm jack"}),
        # Words that mean too much else in running text count in a title alone.
        ("Lumo classic camera", "", {"style=classic"}),
        ("Lumo camera", "A classic among cameras.", set()),
        # What it is for: in a title, behind a label, or behind "for" and its like.
        ("Lumo hiking pole", "", {"use=hiking"}),
        ("Lumo pole", "Ideal for: wildlife photography", {"use=wildlife"}),
        (
            "Lumo pole",
            "Great for long days of hiking, camping and travel.",
            {"use=hiking", "use=camping", "use=travel"},
        ),
        ("Lumo pole", "We were camping when it rained.", set()),
        ("Lumo pole", "A stand for running your lamp.", set()),
        # What only sounds like a value.
        ("Lumo camera", "I felt good.", set()),
        ("Lumo filter", "Water like silk.", set()),
        ("Lumo camera", "High quality and long lasting.", set()),
    ],
)
def test_attributes_are_read(read_product: Read, title: str, description: str, expected: set[str]) -> None:
    assert values(read_product(title, description)) == expected


@pytest.mark.parametrize(
    ("description", "reason", "detail"),
    [
        ("Comes without leather.", "negated", "material: leather"),
        ("No nylon in it.", "negated", "material: nylon"),
        ("Not for outdoor use.", "negated", "use: outdoor use"),
        ("AA batteries not included.", "negated", "power source: AA batteries"),
        ("Latex-free and rubber-free.", "negated", "material: rubber"),
        ("Available in red, green and blue.", "alternative", "colour: green"),
        ("Ready in 4 hours.", "ambiguous", "attribute: 4 hours"),
        # Behind a label.
        ("Material: no leather", "negated", "material: no leather"),
        ("Colour: not black", "negated", "colour: not black"),
        ("Connectivity: none", "negated", "connectivity: none"),
        ("Waterproof rating: not waterproof", "negated", "waterproof rating: not waterproof"),
        ("Material: leather-free", "negated", "material: leather"),
        ("Weight: not 1.2 kg", "negated", "weight: 1.2 kg"),
        ("Colour: black?", "hypothetical", "colour: black"),
        # The value is the label.
        ("Waterproof: no", "negated", "waterproof rating: Waterproof"),
        ("Wireless (no), battery (yes)", "negated", "connectivity: Wireless"),
        # A question states nothing, whatever the answer, unless that is "yes".
        ("Is it waterproof?", "hypothetical", "waterproof rating: waterproof"),
        ("Waterproof? No.", "hypothetical", "waterproof rating: Waterproof"),
        ("Is it waterproof? Unfortunately it isn't.", "hypothetical", "waterproof rating: waterproof"),
        ("Is it 1.2 kg heavy?", "hypothetical", "weight: 1.2 kg"),
        # Denials in two words, by the subject, and with a remark between.
        ("It is anything but waterproof.", "negated", "waterproof rating: waterproof"),
        ("It is far from waterproof.", "negated", "waterproof rating: waterproof"),
        ("Nobody would call it waterproof.", "negated", "waterproof rating: waterproof"),
        ("This is not, as many believe, waterproof.", "negated", "waterproof rating: waterproof"),
    ],
)
def test_what_is_denied_offered_or_unclear_is_rejected(
    read_product: Read, description: str, reason: str, detail: str
) -> None:
    extraction = read_product("Lumo bag", description)
    assert (reason, detail) in reasons(extraction)
    assert values(extraction) == set()


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Is it waterproof? Yes, to a depth of 3 fathoms.", {"waterproof rating=waterproof"}),
        ("Leather? Yes. Nylon? No.", {"material=leather"}),
        ("Waterproof: yes", {"waterproof rating=waterproof"}),
        ("Material: cotton without leather", {"material=cotton"}),
        ("Material: cotton, no leather", {"material=cotton"}),
        ("Surface finish: non-slip", {"surface finish=non-slip"}),
        ("Model: No 5", {"model number=no 5"}),
        ("Believe it or not, it is light, waterproof and black.", {"waterproof rating=waterproof", "colour=black"}),
        # The words of a label are no statement.
        ("Waterproof rating: IP67", {"waterproof rating=ip67"}),
    ],
)
def test_what_only_sounds_like_a_denial_is_stated(read_product: Read, description: str, expected: set[str]) -> None:
    assert values(read_product("Lumo bag", description)) == expected


def test_a_brand_is_no_colour_and_a_model_no_weight(read_product: Read) -> None:
    extraction = read_product("Ashdown S-200 electric guitar", "The S-200 G weighs 3 kg.", sku="G1")
    assert values(extraction) == {"weight=3000 g", "model number=s-200"}


def test_a_value_carries_attribute_value_unit_and_number(read_product: Read) -> None:
    extraction = read_product("Lumo memory card 0.25 TB")
    (node,) = [n for n in extraction.graph.nodes if n.label == "AttributeValue"]
    assert dict(node.properties) == {"attribute": "storage capacity", "value": "256", "unit": "GB", "number": 256.0}
    assert quotes(extraction, "storage capacity=256 GB") == ["0.25 TB"]


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("Lumo X100 mirrorless camera", "X100"),
        ("Lumo LP-E6N battery for X200", "LP-E6N"),
        ("Lumo M2 camera body", "M2"),
        # The only code of its title.
        ("Lumo rechargeable headlamp H600, black", "H600"),
        ("Lens hood LH-35", "LH-35"),
        ("Lumo 256GB 4K recorder R7-B", "R7-B"),
        # Neither sizes nor standards, nor another product's.
        *((f"Lumo {what}", None) for what in ("card 256GB", "bolt 10mm", "4K screen", "1080p screen", "USB3 hub")),
        *((f"Lumo {what}", None) for what in ("IP67 lamp", "MP3 player", "A4 paper", "8x42 binoculars", "12-pack")),
        *((f"Lumo {what}", None) for what in ("E27 bulb", "GU10 spotlight", "PAR38 lamp")),
        ("Lumo battery for X100", None),
        ("M2 screws", None),
        ("G9 bulb", None),
        ("Lumo G9 camera body", "G9"),
        ("Lumo hub H7/H9", None),
    ],
)
def test_a_title_says_the_model_number_and_its_case_is_kept(read_product: Read, title: str, code: str | None) -> None:
    nodes = [n for n in read_product(title).graph.nodes if n.properties.get("attribute") == "model number"]
    expected = [(f"model number={code.casefold()}", code)] if code else []
    assert [(n.key, n.properties["value"]) for n in nodes] == expected


def test_a_code_behind_a_label_keeps_its_case_and_meets_that_of_the_title(read_product: Read) -> None:
    extraction = read_product("Lumo LP-E6N battery", "Model number: LP-E6N\nCountry of origin: Isle of Man")
    shown = {n.key: n.properties["value"] for n in extraction.graph.nodes if n.label == "AttributeValue"}
    assert shown == {"model number=lp-e6n": "LP-E6N", "country of origin=isle of man": "Isle of Man"}
    assert quotes(extraction, "model number=lp-e6n") == ["LP-E6N", "LP-E6N"]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        # What denies the first of a list denies all that "or" joins, and no more than that.
        ("No leather, wool or silk was used.", set()),
        ("Works without USB, HDMI or Bluetooth.", set()),
        ("Not for hiking, camping or climbing.", set()),
        ("Do not use while swimming or diving.", set()),
        ("It is not heavy, comes in red.", {"colour=red"}),
        ("It is not heavy, waterproof and made of leather.", {"waterproof rating=waterproof", "material=leather"}),
        # Denials in other words.
        ("Free of plastic.", set()),
        ("Zero plastic.", set()),
        ("Leather is not used.", set()),
        ("Leather has not been used.", set()),
        ("Instead of leather we use cotton.", {"material=cotton"}),
        ("Unlike leather, canvas breathes.", {"material=canvas"}),
        ("An alternative to leather.", set()),
        ("Do not expect this light summer bag to be waterproof.", set()),
        ("Waterproof case sold separately.", set()),
        # "Non-" denies its own word alone.
        ("Non-slip rubber feet.", {"material=rubber"}),
        ("Non-toxic silicone.", {"material=silicone"}),
        # Colours and materials of other things, and what only looks like them.
        ("Goes well with black shoes and blue jeans.", set()),
        ("Ships in a brown cardboard box.", set()),
        ("Cuts paper, cardboard and plastic.", set()),
        ("Suitable for wood floors and glass tables.", set()),
        ("Artificial leather", set()),
        ("Leather-look polyester", {"material=polyester"}),
        ("Black Friday deal!", set()),
    ],
)
def test_what_a_text_denies_or_says_of_other_things_is_none_of_it(
    read_product: Read, description: str, expected: set[str]
) -> None:
    assert values(read_product("Lumo thing", description)) == expected


@pytest.mark.parametrize(
    ("title", "description", "expected"),
    [
        # A slash makes a fraction of a length, and two values of what shops offer in two.
        ("Lumo charger", "100-240V, 50/60Hz", {"voltage=100-240 V", "frequency=50 Hz", "frequency=60 Hz"}),
        ("Lumo card 128/256GB", "", {"storage capacity=128 GB", "storage capacity=256 GB"}),
        ("Lumo thing", "It is 3/4 in long.", {"length=1.905 cm"}),
        # Rates and densities are no amounts.
        ("Lumo card", "Reads up to 100 MB/s.", set()),
        ("Lumo thing", "150 g/m²", set()),
        ("Lumo thing", "10 g of sugar per serving.", set()),
        (
            "Lumo lamp",
            "Five hours per charge, on full 1.5 hours per charge.",
            {"battery life=5 h", "battery life=1.5 h"},
        ),
        # What joins things is the product's own, whatever it is joined to.
        ("Lumo microphone", "Pairs with the X100 through a coiled 3.5 mm jack.", {"connector=3.5 mm jack"}),
        ("Lumo collar", "The foot is cut to the Arca-Swiss profile.", {"compatible mount=arca-swiss"}),
        # Packs, sides and ranges.
        ("Lumo bottle", "2 x 500 ml", {"capacity=0.5 l"}),
        ("Lumo box", "Measures 30 cm (L) x 20 cm (W) x 10 cm (H).", {"length=30 cm", "width=20 cm", "height=10 cm"}),
        ("Lumo box", "10 x 20 x 5 cm", {"size=10 x 20 x 5 cm"}),
        ("Lumo pole", "Height adjustable from 50 cm to 150 cm.", {"height=50-150 cm"}),
        ("Lumo strap", "Length between 80 cm and 120 cm.", {"length=80-120 cm"}),
        # Extents, weights and powers of other things.
        ("Lumo watch", "Water resistant to 50 m.", {"waterproof rating=water-resistant"}),
        ("Lumo bag", "Fits laptops up to 15.6 inches.", set()),
        ("Lumo strap", "Ideal for cameras weighing up to 5 kg.", set()),
        ("Lumo strap", "A strap for guitars, 120 cm long.", {"length=120 cm"}),
        ("Lumo lamp", "Replaces a 60 W bulb.", set()),
        # The label of a part, of the box, of what it may bear; the strap of a strap is the product.
        ("Lumo chair", "Max. weight: 120 kg", set()),
        ("Lumo chair", "Weight: 2 kg\nPackage weight: 3 kg", {"weight=2000 g"}),
        ("Ashdown guitar", "Neck width: 43 mm, overall length: 1 m", {"length=100 cm"}),
        ("Lumo desk", "Desk width: 120 cm\nBack width: 40 cm", {"width=120 cm"}),
        ("Lumo bag", "Strap length: 120 cm", set()),
        ("Lumo strap", "Strap length: 120 cm", {"length=120 cm"}),
        ("Lumo bag", "Lining material: silk\nItem weight: 2 kg", {"weight=2000 g"}),
        ("Lumo chair", "Weight limit 120 kg.", set()),
        # Heads of another thing in a title.
        ("Lumo leather cleaner", "", set()),
        ("Lumo third-party battery", "", set()),
    ],
)
def test_quantities_and_labels_are_the_products_own(
    read_product: Read, title: str, description: str, expected: set[str]
) -> None:
    assert values(read_product(title, description)) == expected
