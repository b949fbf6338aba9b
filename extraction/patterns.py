"""What shops write for attributes whose values are neither quantities nor in the vocabulary: names, and a pattern.

General knowledge of shops, written by hand, by which attributes are read that no
marked text shows (:mod:`extraction.kinds`): who says *Closure* means a zip, a
button or a clasp. The vocabulary is what the rules claim on their own; these are
weaker: a pattern only tells what is plausible for a name like one of its names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pattern:
    """A kind of values."""

    names: tuple[str, ...]
    """Names of attributes that have such values."""
    form: re.Pattern[str]


def _words(names: str, forms: str) -> Pattern:
    """Names, parted by commas, and what stands as whole words, whatever its case."""
    return Pattern(tuple(names.split(", ")), re.compile(rf"(?<![\w-])(?:{forms})(?!\w)", re.IGNORECASE))


PATTERNS: Final = (
    _words(
        "gender, sex, department",
        r"(?:wo)?men(?:'?s)?|lad(?:y|ies)(?:'s|')?|gent(?:leman|lemen)?s?(?:'s)?|(?:boy|girl)(?:'?s)?|"
        r"(?:fe)?males?|unisex",
    ),
    _words("age group, age", r"adults?|kids?'?|child(?:ren)?(?:'s)?|toddlers?|bab(?:y|ies)|infants?|youth"),
    _words(
        "metal type, metal, metal stamp",
        r"(?:\d{1,2}\s?-?k(?:t|arat)?\.?\s)?(?:(?:yellow|white|rose|pink|two[- ]tone)\s)?gold(?:[- ](?:plated|"
        r"filled|tone))?|platinum|palladium|(?:sterling )?silver(?: ?\(?925\)?)?(?:[- ]plated)?|titanium|"
        r"tungsten(?: carbide)?|cobalt(?: chrome)?|stainless steel|brass|copper|alloy",
    ),
    _words(
        "stone type, gemstone, gem, main stone",
        r"(?:diamond|rub(?:y|ie)|emerald|sapphire|pearl|opal|topaz|garnet|amethyst|turquoise|aquamarine|onyx|"
        r"peridot|citrine|zircon(?:ia)?|moissanite|crystal|rhinestone|agate|jade)s?|cubic zirconia",
    ),
    _words(
        "stone shape, stone cut, shape, cut",
        r"(?:round|princess|cushion|emerald|oval|pear|marquise|radiant|asscher|heart|baguette|trillion|square|"
        r"rectangular|rectangle|triangular|triangle|circular|cylindrical|hexagonal|octagonal|l|u|v)(?:[- ](?:cut|"
        r"shaped?|brilliant))?",
    ),
    _words(
        "stone setting, setting, setting type",
        r"(?:prong|bezel|channel|pav[eé]|flush|tension|bar|halo|burnished|claw|invisible)(?:[- ]set)?",
    ),
    _words(
        "interface, connection, interface type, connectivity",
        r"(?:serial attached scsi|serial ata|fib(?:re|er) channel|ultra ?\d* scsi|"
        r"wide ultra\d? scsi)(?: ?\(\w+\))?|sas|scsi|sata?|e?ide|p?ata|fc|nvme|pci(?:e|-e|-x| express)?|agp|"
        r"usb(?: ?-?(?:c|\d(?:\.\d)?))?|firewire|thunderbolt|hdmi|displayport|dvi|vga|ethernet|bluetooth|wi-?fi|"
        r"wireless|rj-?45|parallel|serial",
    ),
    _words("ports, port type", r"(?:single|dual|quad|\d+)[- ]ports?(?: ?\(\w+\))?|\d+x? (?:usb|hdmi|ethernet) ports?"),
    _words(
        "form factor",
        r"[235]\.\d{1,2}(?:[- ]?inch(?:es)?|\")?|[ls]ff|(?:micro|mini|e)?-?(?:atx|itx)|tower|desktop|"
        r"rack(?:mount)?|blade|\du",
    ),
    _words("rotational speed, spindle speed, speed", r"[\d.,]+\s?k(?:[- ]?rpm)?|[\d.,]+[- ]?(?:rpm|r/min)"),
    _words(
        "generation, series, version",
        r"g\d{1,2}|gen(?:eration)?\.? ?\d+|\d(?:st|nd|rd|th)[- ]gen(?:eration)?|mk ?\d|mark [ivx]+",
    ),
    _words(
        "processor type, processor, CPU, chipset",
        r"(?:(?:intel|amd) )?(?:xeon|opteron|pentium(?: \w+)?|celeron|athlon|core i\d|ryzen(?: \d)?|itanium|"
        r"snapdragon)",
    ),
    _words(
        "processor core, number of cores, cores",
        r"(?:single|dual|quad|hexa|six|octa|eight|ten|twelve|\d{1,2})[- ]cores?",
    ),
    _words("bus speed, transfer rate, data rate", r"[\d.]+\s?g(?:b/s|bps|bit/s)?|[\d.]+\s?(?:mhz|mb/s|mbps|mt/s)"),
    _words(
        "closure, closure type",
        r"(?:hook[- ]and[- ]loop|velcro|zip(?:per)?|button|snap|buckle|magnet(?:ic)?|drawstring|"
        r"string(?: & button)?|clasp|lobster|toggle|lace[- ]?(?:up)?|slip[- ]on|elastic|adhesive|self[- ]adhesive|"
        r"peel[- ]and[- ]seal|gummed|tuck|flap|twist|screw|hasp|clip|tie|open)(?:[- ](?:closure|clasp|seal|flap|"
        r"top|cap))?",
    ),
    _words(
        "binding, binding type",
        r"(?:wire|spiral|perfect|permanent|case|saddle|tape|comb|twin[- ]wire|side|glue|stitch)[- ]?(?:bound|"
        r"binding|stitched)?|hard(?:cover|back)|(?:paper|soft)(?:back|cover)",
    ),
    _words(
        "mounting, mount type, mounting type, installation",
        r"(?:wall|floor|ceiling|desk|surface|rack|counter(?:top)?|panel|pole|under[- ]?counter|table|flush|"
        r"free)[- ]?(?:mount(?:ed|ing|able)?|standing|model)?|stick-?on|clamp(?:-on)?|drop-in|"
        r"hot[- ](?:plug|swap)(?:pable)?|magnetic",
    ),
    _words(
        "packing type, packaging, container, package type",
        r"(?:bag|bottle|box|can|canister|carton|case|jar|jug|packet|pouch|tin|tub|tube|tray|cup|sachet|blister|"
        r"drum|roll|envelope|tea ?bag|k-cup|pod)s?",
    ),
    _words(
        "heat, heat source, fuel, fuel type, power source",
        r"(?:natural |lp |propane )?gas|electric(?:al|ity)?|propane|ng|lp|diesel|petrol|gasoline|wood|charcoal|"
        r"solar|induction|steam|batter(?:y|ies)|infrared",
    ),
    _words(
        "flavor, flavour, taste, scent, fragrance",
        r"(?:(?:sweet|wild|dark|french|mixed|honey|red|green|black|white|natural|fresh) )?(?:vanilla|chocolate|"
        r"strawberr(?:y|ies)|cherry|lemon|lime|orange|grape|apple|mint|peppermint|spearmint|cinnamon|berry|"
        r"raspberry|blueberry|peach|mango|coconut|caramel|hazelnut|butter|cheese|barbecue|bbq|sour cream|honey|"
        r"ginger|jasmine|lavender|rose|citrus|banana|pineapple|watermelon|coffee|mocha|earl gr[ae]y|chamomile|"
        r"original|unflavou?red|unscented|fragrance[- ]free|salt(?:ed)?|sugar|garlic|onion|tomato|nuts?|almonds?|"
        r"peanut(?: butter)?)",
    ),
    _words("page yield, yield, pages", r"[\d.,]+k?(?:[- ]?pages?| page[- ]yield)?(?= page| yield)|[\d.,]+k?[- ]pages?"),
    _words("paper weight, basis weight", r"\d{1,3}[- ]?(?:lbs?\.?|gsm|g/m2|#)|\d{1,2}[- ]?(?:pt|mil)\.?"),
    _words("gauge, steel gauge, thickness", r"\d{1,2}[- ]?(?:gauge|ga\.?|awg)|[\d./-]+[- ]?mils?"),
    _words("stainless steel series, steel series, steel grade", r"(?:18/\d{1,2}|[1-4]\d\d)(?:[- ]series)?"),
    _words(
        "pattern, pattern type, print",
        r"solid|stripe[ds]?|plaid|floral|print(?:ed)?|polka dots?|dot|checked|geometric|paisley|leopard|"
        r"camo(?:uflage)?|animal|letter|patchwork|cartoon|embroidered",
    ),
    _words("season", r"spring|summer|autumn|fall|winter|(?:all|four) seasons?"),
    _words(
        "sleeve length, sleeve, sleeve style", r"(?:short|long|half|full|three quarter|3/4)[- ]?sleeved?|sleeveless"
    ),
    _words(
        "neckline, collar",
        r"(?:o|v|crew|round|scoop|turtle|halter|boat|square)[- ]?neck(?:line)?|hooded|stand collar|"
        r"turn-down collar|mandarin collar",
    ),
    _words("style", r"casual|vintage|classic|modern|retro|formal|sport(?:y|s)?|fashion|business|punk|bohemian|novelty"),
    _words("certification, standard", r"ce|fcc|rohs|ul|nsf|iso ?\d*|gs|etl|energy star"),
)
"""All patterns. Their names were written with the training parts of AE-110K and WDC PAVE in sight."""
