"""The graph's vocabulary as data: labels, relationship types, properties, constraints and indexes.

Structural names are spelled only here (and in ``cypher/*.cypher``, which users
read). :mod:`kg.migrations` makes the constraints and indexes, :mod:`kg.writer`
refuses what does not fit, and ``docs/schema.md`` is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
"""Counts breaking changes of the vocabulary; checkpoints and graphs carry it."""

TEXT_DIMENSIONS: Final = 384
"""Width of the encoder's vectors (MiniLM-L6) until texts are encoded by one of another width."""
SLOTS: Final = ("blue", "green")
"""The two places for a model's vectors: one live, one dark."""

CATALOGUE: Final = "catalogue"
"""``source`` of what a product file says."""
EXTRACTION: Final = "extraction"
"""``source`` of what was read out of a text; every such relationship has a ``fact`` id and evidence."""
CURATOR: Final = "curator"
"""``source`` of what a person asserted; never touched by a later run."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its Cypher type, whether a node or relationship must have it, and what it means."""

    name: str
    type: str
    """``STRING``, ``INTEGER``, ``FLOAT``, ``BOOLEAN``, ``ZONED DATETIME`` or ``LIST<…>`` of one."""
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A kind of node, its business key and its properties (the key among them)."""

    name: str
    key: str
    doc: str
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class RelationshipType:
    """A kind of relationship and the pairs of labels between which it may stand."""

    name: str
    doc: str
    between: tuple[tuple[str, str], ...]
    properties: tuple[Property, ...] = ()
    identity: tuple[str, ...] = ("source",)
    """Properties that, with both ends, tell two relationships of this type apart."""
    extractable: bool = False
    """Whether the extraction package may assert it; such types have an index on ``fact``."""


@dataclass(frozen=True, slots=True)
class RangeIndex:
    """An ordinary index on a label or a relationship type."""

    name: str
    target: str
    properties: tuple[str, ...]
    relationship: bool = False


@dataclass(frozen=True, slots=True)
class FullTextIndex:
    """A Lucene index over some string properties of a label."""

    name: str
    label: str
    properties: tuple[str, ...]
    analyzer: str = "english"


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """An approximate nearest-neighbour index (HNSW).

    The defaults are chosen by measurement: with Neo4j's own (BINARY
    quantisation, expansion 3.0) recall@20 was 0.42 on 50,000 random 64-d
    vectors; unquantised with a wider search it was 0.96, and 0.998 on trained
    unit vectors.
    """

    name: str
    label: str
    property: str
    dimensions: int
    filters: tuple[str, ...] = ()
    """Further properties kept in the index, so that a search can be narrowed inside it."""
    similarity: str = "COSINE"
    quantization: str = "NONE"
    m: int = 16
    ef_construction: int = 100
    search_expansion: float = 5.0


_FACT = (
    Property("source", "STRING", "Who asserts it: catalogue, extraction, curator, or a feed's name.", required=True),
    Property("fact", "STRING", "Id under which the evidence is found (extracted relationships only)."),
    Property("confidence", "FLOAT", "Greatest confidence of the evidence, in (0, 1]."),
    Property("count", "INTEGER", "How many texts say so."),
)
_INTERACTION = (
    Property("at", "ZONED DATETIME", "Time of the latest event; absent when the events had none."),
    Property("first_at", "ZONED DATETIME", "Time of the earliest event."),
    Property("count", "INTEGER", "Number of events (units, for bought).", required=True),
    Property("strength", "FLOAT", "Interest that the events show, before any decay with time.", required=True),
    Property("events", "LIST<INTEGER>", "Identities of the events already counted: the same event twice is one."),
    Property("times", "LIST<INTEGER>", "Unix seconds of each event in `events`; -1 where unknown."),
    Property("values", "LIST<FLOAT>", "Value of each event in `events`: quantity, rating, seconds; NaN where unknown."),
    Property(
        "sessions",
        "LIST<STRING>",
        "Session of each event in `events`, '' where unknown; absent where no event has one.",
    ),
)

PRODUCT_FILTERS: Final = ("price", "active", "shelf")
"""Properties by which a vector search may be narrowed inside the index."""

LABELS: Final[tuple[Label, ...]] = (
    Label(
        "Product",
        "sku",
        "Something that the shop sells.",
        (
            Property("sku", "STRING", "The shop's own number for it.", required=True),
            Property("title", "STRING", "Its name as customers see it.", required=True),
            Property("description", "STRING", "Its description, cleaned of mark-up."),
            Property("price", "FLOAT", "Price in `currency`."),
            Property(
                "prices",
                "LIST<FLOAT>",
                "Prices that files gave in `currency`, in order, one where it changed.",
            ),
            Property("price_times", "LIST<INTEGER>", "Unix seconds when each came in; 0 for the first, of old."),
            Property("currency", "STRING", "ISO 4217 code."),
            Property("active", "BOOLEAN", "Whether it is on sale.", required=True),
            Property("stock", "INTEGER", "Units in stock."),
            Property("consumable", "BOOLEAN", "Whether people buy it again and again."),
            Property("gtin", "STRING", "Global trade item number."),
            Property("released_at", "ZONED DATETIME", "When it came on sale."),
            Property("popularity", "FLOAT", "Logarithm of how many users met it, as a share of the most popular's."),
            Property("shelf", "STRING", "Path of its shelf and ` > `: what begins with a category's stands in it."),
            Property("also_on", "STRING", "The same of the second shelf, in the order of their paths, if it has two."),
            Property("text_embedding", "LIST<FLOAT>", "Encoder's vector of title and description, unit length."),
            Property("embedding_blue", "LIST<FLOAT>", "The blue model's vector, unit length."),
            Property("embedding_green", "LIST<FLOAT>", "The green model's vector, unit length."),
            Property("learned_by", "STRING", "Id of the ModelVersion that learned it after its training."),
            Property("learned_print", "INTEGER", "Fingerprint of what that model then knew of it."),
            Property("learned_met", "INTEGER", "Users who had then met it."),
            Property("learned_free", "LIST<FLOAT>", "Its free vector in the network of that model."),
        ),
    ),
    Label(
        "User",
        "id",
        "A customer, known by a pseudonym.",
        (
            Property("id", "STRING", "The pseudonym.", required=True),
            Property("language", "STRING", "BCP 47 tag."),
            Property("interests", "LIST<STRING>", "Interests as the user stated them."),
            Property(
                "last_at",
                "ZONED DATETIME",
                "Time of the user's latest event; what the shop showed (`EXPOSED`) is none.",
            ),
            Property(
                "waiting", "STRING", "Names the piece of a stream, or removal, after which the vector is made anew."
            ),
            Property("embedding_blue", "LIST<FLOAT>", "The blue model's vector, unit length."),
            Property("embedding_green", "LIST<FLOAT>", "The green model's vector, unit length."),
            Property("learned_by", "STRING", "Id of the ModelVersion that learned it after its training."),
            Property("learned_print", "INTEGER", "Fingerprint of what that model then knew of it."),
            Property("learned_free", "LIST<FLOAT>", "Its free vector in the network of that model."),
        ),
    ),
    Label(
        "Brand",
        "key",
        "Who makes it.",
        (
            Property("key", "STRING", "The name, normalised.", required=True),
            Property("name", "STRING", "The name as most often written.", required=True),
        ),
    ),
    Label(
        "Category",
        "path",
        "A shelf; its path from the root names it.",
        (
            Property("path", "STRING", "Names from the root, joined by ' > '.", required=True),
            Property("name", "STRING", "The last name of the path.", required=True),
        ),
    ),
    Label(
        "AttributeValue",
        "key",
        "A value of an attribute, such as colour = black.",
        (
            Property("key", "STRING", "Attribute and normalised value, joined by '='.", required=True),
            Property("attribute", "STRING", "Name of the attribute, as in vocabulary.yaml.", required=True),
            Property("value", "STRING", "The normalised value; codes and names as printed.", required=True),
            Property("unit", "STRING", "Unit of the normalised value."),
            Property("number", "FLOAT", "The value as a number in `unit`, where it is one."),
        ),
    ),
    Label(
        "Aspect",
        "key",
        "What reviewers speak of: sound, battery, strap.",
        (
            Property("key", "STRING", "The aspect, normalised.", required=True),
            Property("name", "STRING", "The aspect as shown.", required=True),
        ),
    ),
    Label(
        "Review",
        "id",
        "What a user wrote about a product.",
        (
            Property("id", "STRING", "The shop's id for it.", required=True),
            Property("rating", "FLOAT", "Stars, 1 to 5."),
            Property("title", "STRING", "Its headline."),
            Property("at", "ZONED DATETIME", "When it was written."),
            Property(
                "event",
                "INTEGER",
                "Identity of the `rated` event that the review is as well (Amazon's format), which goes with it.",
            ),
        ),
    ),
    Label(
        "Query",
        "text",
        "What users searched for.",
        (Property("text", "STRING", "The query in lower case, spaces folded.", required=True),),
    ),
    Label(
        "Document",
        "id",
        "A text that facts were, or will be, read from.",
        (
            Property("id", "STRING", "'product:<sku>' or 'review:<id>'.", required=True),
            Property("kind", "STRING", "product or review.", required=True),
            Property("sku", "STRING", "The product that it is about.", required=True),
            Property("text", "STRING", "The cleaned text in which offsets count.", required=True),
            Property("title_end", "INTEGER", "Offset where the title ends.", required=True),
            Property("sha256", "STRING", "Digest of the text.", required=True),
            Property("extracted", "STRING", "sha256 and extractor version of the last extraction."),
            Property("encoded", "STRING", "sha256 and encoder of the product's text_embedding."),
            Property("waiting", "STRING", "Names the piece of a stream that brought it, until its facts are served."),
        ),
    ),
    Label(
        "Evidence",
        "id",
        "One place in one text that supports a fact.",
        (
            Property("id", "STRING", "Stable id.", required=True),
            Property("start", "INTEGER", "First code point of the quote in the document's text.", required=True),
            Property("end", "INTEGER", "One past its last code point.", required=True),
            Property("quote", "STRING", "The text between them.", required=True),
            Property("confidence", "FLOAT", "In (0, 1].", required=True),
            Property("extractor", "STRING", "Which extractor found it.", required=True),
            Property("version", "STRING", "Version of that extractor.", required=True),
            Property("at", "ZONED DATETIME", "When it was found.", required=True),
            Property("fact", "STRING", "The relationship that it supports; absent for a bare mention."),
        ),
    ),
    Label(
        "ExtractionRun",
        "id",
        "One run of the extractor.",
        (
            Property("id", "STRING", "Random id.", required=True),
            Property("extractor", "STRING", "Which extractor.", required=True),
            Property("version", "STRING", "Its version.", required=True),
            Property("at", "ZONED DATETIME", "When it began.", required=True),
            Property("ended", "ZONED DATETIME", "When it ended; absent while it runs or when it was cut off."),
            Property("documents", "INTEGER", "Texts read."),
            Property("facts", "INTEGER", "Relationships asserted."),
            Property("rejected", "INTEGER", "Candidates dropped."),
        ),
    ),
    Label(
        "Serving",
        "name",
        "What queries read: the node named model says which ModelVersion is live.",
        (
            Property("name", "STRING", "model.", required=True),
            Property("version", "STRING", "Id of the live ModelVersion. Alone, so that a switch is one change."),
        ),
    ),
    Label(
        "ModelVersion",
        "id",
        "A trained model whose vectors stand, or stood, in a slot.",
        (
            Property("id", "STRING", "Version, sortable by time.", required=True),
            Property("slot", "STRING", "blue or green."),
            Property(
                "status",
                "STRING",
                "writing, ready, live or retired; refused: the gate let it not be written.",
                required=True,
            ),
            Property("at", "ZONED DATETIME", "When it was written.", required=True),
            Property(
                "claim", "STRING", "Names the write-back that fills, or filled, its slot; no other may write there."
            ),
            Property("dimensions", "INTEGER", "Width of its vectors."),
            Property("promoted_at", "ZONED DATETIME", "When it last became live."),
            Property("previous", "STRING", "The version that was live before it: where a rollback leads."),
            Property("learned", "STRING", "Names the change that it learned last in its slot, by kg learn."),
            Property("learned_at", "ZONED DATETIME", "When."),
            Property("gate", "STRING", "What the gate said of it: passed, refused or forced, and why."),
            Property("gate_at", "ZONED DATETIME", "When."),
            Property("gate_against", "STRING", "The live version with which it was compared."),
            Property("gate_users", "INTEGER", "Users by whom."),
            Property("gate_value", "FLOAT", "Its HR@10 + 2 · NDCG@10 on validation."),
            Property("gate_difference", "FLOAT", "That less the live version's."),
            Property("gate_error", "FLOAT", "Standard error of the difference, paired by user."),
            Property("rolled_back_at", "ZONED DATETIME", "When the version before took its place again, if it did."),
            Property("rolled_back_because", "STRING", "Why."),
            Property("half_life_days", "FLOAT", "Days after which a user's interest counts half."),
            Property("w_embedding", "FLOAT", "Weight of the vectors' cosine in the score."),
            Property("w_similar", "FLOAT", "Weight of SIMILAR_TO from the user's history."),
            Property("w_popularity", "FLOAT", "Weight of the product's popularity."),
            Property("w_next", "FLOAT", "Weight of SIMILAR_TO's next from what the user met last."),
            Property("recency", "FLOAT", "What a product counts in that sequence, relative to the one after it."),
            Property("lift", "FLOAT", "How far relations onto products that hardly anyone has met are raised."),
            Property(
                "f_text", "FLOAT", "Factor of the texts' squared cosine in SIMILAR_TO, for products not trained on."
            ),
            *(
                Property(f"f_{name}", "FLOAT", f"Factor of a shared {name.upper()} in SIMILAR_TO, for the same.")
                for name in ("made_by", "in_category", "has_attribute", "praised_for")
            ),
            *(
                Property(f"w_{name}", "FLOAT", f"Weight of {name.upper()} from the user's history.")
                for name in (
                    "bought_with",
                    "viewed_with",
                    "compatible_with",
                    "accessory_of",
                    "substitute_for",
                    "variant_of",
                )
            ),
        ),
    ),
    Label(
        "Segment",
        "id",
        "A kind of customers, found among them by the job insight.",
        (
            Property("id", "STRING", "Stays with the community as long as most of its members do.", required=True),
            Property("name", "STRING", "What sets it apart.", required=True),
            Property("users", "INTEGER", "How many belong to it.", required=True),
            Property("traits", "LIST<STRING>", "Shelves, makers and values that its members meet more than others do."),
            Property("inside", "LIST<FLOAT>", "Share of each trait in the interest of its kind inside."),
            Property("outside", "LIST<FLOAT>", "The same outside."),
            Property("z", "LIST<FLOAT>", "By how many standard deviations the log odds differ."),
            Property("at", "ZONED DATETIME", "When it was found.", required=True),
        ),
    ),
    Label(
        "IntentModel",
        "id",
        "How purchases follow from what was done before, fitted by the job insight.",
        (
            Property("id", "STRING", "'purchase'.", required=True),
            Property("at", "ZONED DATETIME", "When it was fitted.", required=True),
            Property("until", "INTEGER", "Unix seconds of the latest event that the fit saw.", required=True),
            Property("rate", "FLOAT", "Mean rate of a user's own purchases, a day."),
            Property("shape", "FLOAT", "Shape of the Gamma distribution of users' own rates."),
            Property("own", "FLOAT", "Share of purchases that no earlier event explains."),
            Property("level", "FLOAT", "How busy the shop was at the end, relative to its median week."),
            Property("share_total", "FLOAT", "Sum of (buyers + 0.5) over the products: what a product's share is of."),
            *(
                Property(f"{name}{suffix}", "FLOAT", doc)
                for name in ("viewed", "carted", "again", "related", "shelf_viewed", "shelf_bought")
                for suffix, doc in (
                    ("", f"Purchases that follow one event, by the wave {name.upper()}."),
                    ("_days", "Half-life of that wave."),
                )
            ),
            Property("visit_viewed", "FLOAT", "Share of looks that end in a purchase within the hour."),
            Property("visit_carted", "FLOAT", "The same of carts."),
            Property("intercept", "FLOAT", "Calibration: complementary log-log of the probability at one expected."),
            Property("slope", "FLOAT", "Calibration: what the logarithm of the expected number is multiplied by."),
        ),
    ),
    Label(
        "JobRun",
        "id",
        "One run of a scheduled job, kept for 90 days; the latest of each outcome for longer.",
        (
            Property("id", "STRING", "Random id.", required=True),
            Property("job", "STRING", "Name of the job.", required=True),
            Property("outcome", "STRING", "running, succeeded, failed, abandoned or skipped.", required=True),
            Property("at", "ZONED DATETIME", "When it began.", required=True),
            Property("seconds", "FLOAT", "How long it took."),
            Property("error", "STRING", "Why it failed."),
            Property("detail", "STRING", "What it reported."),
            Property("trigger", "STRING", "schedule, manual or chain."),
            Property("process", "STRING", "Host and process id of who runs it."),
            Property("slot", "ZONED DATETIME", "The moment for which the clock started it; absent by hand."),
            Property("attempt", "INTEGER", "Counts the runs of that slot."),
            Property("token", "INTEGER", "The lease's token while it ran."),
            Property("stage", "STRING", "What it was last heard to do; absent where it succeeded."),
            Property("done", "INTEGER", "How much of that stage was done."),
            Property("of", "INTEGER", "Of how much; absent where that is not known."),
        ),
    ),
    Label(
        "Lease",
        "name",
        "The right to run a job, which one process has at a time, and how far the job is.",
        (
            Property("name", "STRING", "Name of the job.", required=True),
            Property("token", "INTEGER", "Counts who had it; what an earlier holder writes is refused.", required=True),
            Property("since", "ZONED DATETIME", "When the job became known.", required=True),
            Property("holder", "STRING", "Id of the JobRun that has it; absent when it is free."),
            Property("until", "ZONED DATETIME", "When it may be given to another, unless it is renewed."),
            Property("ttl", "FLOAT", "Seconds for which its holder asked: `until` is no farther off."),
            Property(
                "former", "STRING", "From whom it was taken, until what that one left open in the server is ended."
            ),
            Property("lock", "BOOLEAN", "Of no meaning: set to take the node's lock."),
            Property("slot", "ZONED DATETIME", "The moment for which the job was last started by the clock."),
            Property("attempt", "INTEGER", "Runs begun for that moment."),
            Property("failures", "INTEGER", "Those of them that failed, and were not lost with their process."),
            Property("again_at", "ZONED DATETIME", "When that moment is to be tried again; absent when it is not."),
            Property("done", "ZONED DATETIME", "The latest such moment for which the job succeeded."),
            Property("retimed", "ZONED DATETIME", "When its trigger was changed last."),
            Property("paused", "BOOLEAN", "Whether the clock leaves the job alone."),
            # What `kg schedule set` has set; what is absent is as the job has it.
            Property("cron", "STRING", "Cron fields that start the job, where they were set."),
            Property("every", "FLOAT", "Seconds between two starts, where an interval was set."),
            Property("timezone", "STRING", "In which the cron fields count, where it was set."),
            Property("retries", "INTEGER", "Times that a slot is tried again, where it was set."),
            Property("backoff", "FLOAT", "Seconds before the first retry, where it was set."),
            Property("timeout", "FLOAT", "Seconds that a run may take, where it was set."),
            Property("grace", "FLOAT", "Seconds by which a slot may be late, where it was set."),
        ),
    ),
    Label(
        "Offset",
        "source",
        "How far a source that is followed has been read; changed in the transaction that loads what was read.",
        (
            Property("source", "STRING", "Kind and path of the file.", required=True),
            Property("bytes", "INTEGER", "Bytes read.", required=True),
            Property("lines", "INTEGER", "Lines read.", required=True),
            Property("rejected", "INTEGER", "How many of them were rejected."),
            Property(
                "behind", "INTEGER", "Bytes, or messages of a topic, that were there then and are still to be read."
            ),
            Property("head", "STRING", "Digests of what was read, by which a replaced file is known.", required=True),
            Property("at", "ZONED DATETIME", "When that was.", required=True),
        ),
    ),
    Label(
        "Migration",
        "id",
        "A change of the schema that was applied to this graph.",
        (
            Property("id", "STRING", "Number and name.", required=True),
            Property("at", "ZONED DATETIME", "When it was applied.", required=True),
        ),
    ),
)

_PRODUCT_PAIR = (("Product", "Product"),)
_COMPARED = (("Product", "Product"), ("Product", "Brand"))
_INTERACTED = (("User", "Product"),)

RELATIONSHIP_TYPES: Final[tuple[RelationshipType, ...]] = (
    RelationshipType("MADE_BY", "Who makes the product.", (("Product", "Brand"),), _FACT, extractable=True),
    RelationshipType("IN_CATEGORY", "The shelf it stands on.", (("Product", "Category"),), _FACT, extractable=True),
    RelationshipType("SUBCATEGORY_OF", "A shelf within a shelf.", (("Category", "Category"),), _FACT),
    RelationshipType(
        "HAS_ATTRIBUTE", "A property of the product.", (("Product", "AttributeValue"),), _FACT, extractable=True
    ),
    RelationshipType("VARIANT_OF", "The same thing in another colour or size.", _PRODUCT_PAIR, _FACT),
    RelationshipType(
        "COMPATIBLE_WITH",
        "Works together with; the product names the other, or its brand.",
        (("Product", "Product"), ("Product", "Brand"), ("Product", "Category")),
        _FACT,
        extractable=True,
    ),
    RelationshipType(
        "ACCESSORY_OF",
        "Is made to be used with.",
        (("Product", "Product"), ("Product", "Brand"), ("Product", "Category")),
        _FACT,
        extractable=True,
    ),
    RelationshipType(
        "DOES_NOT_FIT",
        "Does not fit or work with, as a text says in so many words.",
        (("Product", "Product"), ("Product", "Brand"), ("Product", "Category")),
        _FACT,
        extractable=True,
    ),
    RelationshipType("SUBSTITUTE_FOR", "Can take its place.", _PRODUCT_PAIR, _FACT),
    RelationshipType("BOUGHT_WITH", "Bought by the same people.", _PRODUCT_PAIR, _FACT),
    RelationshipType("VIEWED_WITH", "Looked at by the same people.", _PRODUCT_PAIR, _FACT),
    RelationshipType(
        "SIMILAR_TO",
        "Learned: who likes the first tends to like the second.",
        _PRODUCT_PAIR,
        (
            Property("model", "STRING", "Id of the ModelVersion that learned it.", required=True),
            Property("weight", "FLOAT", "How strongly.", required=True),
            Property("next", "FLOAT", "How strongly the second is expected right after the first; absent for not."),
        ),
        identity=("model",),
    ),
    RelationshipType("PRAISED_FOR", "Reviewers like this about it.", (("Product", "Aspect"),), _FACT, extractable=True),
    RelationshipType(
        "CRITICISED_FOR", "Reviewers dislike this about it.", (("Product", "Aspect"),), _FACT, extractable=True
    ),
    RelationshipType(
        "BETTER_THAN",
        "A text prefers the product to the other one, or to that brand.",
        _COMPARED,
        _FACT,
        extractable=True,
    ),
    RelationshipType(
        "WORSE_THAN", "A text prefers the other one, or that brand, to the product.", _COMPARED, _FACT, extractable=True
    ),
    RelationshipType(
        "COMPARED_WITH", "A text names the two side by side; neither wins.", _COMPARED, _FACT, extractable=True
    ),
    RelationshipType("WROTE", "Who wrote the review.", (("User", "Review"),), _FACT),
    RelationshipType("ABOUT", "What the review is about.", (("Review", "Product"),), _FACT),
    RelationshipType(
        "HAS_TEXT", "The text of a product or a review.", (("Product", "Document"), ("Review", "Document")), identity=()
    ),
    RelationshipType("FROM", "The text in which the evidence stands.", (("Evidence", "Document"),), identity=()),
    RelationshipType(
        "MENTIONS",
        "The entity that the quote names.",
        (
            ("Evidence", "Brand"),
            ("Evidence", "Category"),
            ("Evidence", "AttributeValue"),
            ("Evidence", "Aspect"),
            ("Evidence", "Product"),
        ),
        identity=(),
    ),
    RelationshipType("FRIEND_OF", "A friend, as the user said.", (("User", "User"),), _FACT),
    RelationshipType(
        "IN_SEGMENT",
        "The kind of customers that the user belongs to.",
        (("User", "Segment"),),
        (Property("strength", "FLOAT", "Cosine of the user's interests and the segment's mean.", required=True),),
        identity=(),
    ),
    RelationshipType("SEARCHED", "What the user searched for.", (("User", "Query"),), _INTERACTION, identity=()),
    RelationshipType("VIEWED", "Looked at.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType("CARTED", "Put into the cart.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType("BOUGHT", "Bought.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType(
        "RATED",
        "Gave stars to.",
        _INTERACTED,
        (*_INTERACTION, Property("rating", "FLOAT", "The latest rating.")),
        identity=(),
    ),
    RelationshipType("DISLIKED", "Said not to like.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType("RETURNED", "Sent back.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType("HIDDEN", "Asked not to see again.", _INTERACTED, _INTERACTION, identity=()),
    RelationshipType(
        "EXPOSED",
        "Was shown, by which model and arm.",
        _INTERACTED,
        (
            *_INTERACTION,
            Property("model", "STRING", "Model version that chose it, or ''."),
            Property("arm", "STRING", "Arm of the experiment, or ''."),
        ),
        identity=("model", "arm"),
    ),
    RelationshipType(
        "CLICKED",
        "Clicked on when shown.",
        _INTERACTED,
        (
            *_INTERACTION,
            Property("model", "STRING", "Model version that chose it, or ''."),
            Property("arm", "STRING", "Arm of the experiment, or ''."),
        ),
        identity=("model", "arm"),
    ),
)

RANGE_INDEXES: Final[tuple[RangeIndex, ...]] = (
    RangeIndex("evidence_fact", "Evidence", ("fact",)),
    RangeIndex("document_sku", "Document", ("sku",)),
    RangeIndex("document_extracted", "Document", ("extracted",)),
    # Few are waiting at a time, and they are asked for after every piece of a stream.
    RangeIndex("document_waiting", "Document", ("waiting",)),
    RangeIndex("user_waiting", "User", ("waiting",)),
    RangeIndex("product_popularity", "Product", ("popularity",)),
    RangeIndex("product_price", "Product", ("price",)),
    RangeIndex("attribute_name", "AttributeValue", ("attribute",)),
    RangeIndex("job_run_at", "JobRun", ("at",)),
    RangeIndex("product_gtin", "Product", ("gtin",)),
    RangeIndex("product_also_on", "Product", ("also_on",)),
    RangeIndex("product_shelf", "Product", ("shelf", "popularity")),
    # How the arms of an experiment did is asked by model, over all users and products.
    RangeIndex("exposed_model", "EXPOSED", ("model",), relationship=True),
    RangeIndex("clicked_model", "CLICKED", ("model",), relationship=True),
    *(
        RangeIndex(f"fact_{t.name.lower()}", t.name, ("fact",), relationship=True)
        for t in RELATIONSHIP_TYPES
        if t.extractable
    ),
)
FULLTEXT_INDEXES: Final = (
    # Stems of English words: "straps" finds "strap".
    FullTextIndex("product_fulltext", "Product", ("title", "description")),
    # Whole words, among which a misspelt one is looked for, and pairs of neighbouring Chinese, Japanese and Korean
    # characters, which have no spaces between words.
    # Neo4j allows one full-text index on the same properties; with the sku among them this is another one, and a number
    # typed into the search box finds its product.
    FullTextIndex("product_words", "Product", ("title", "description", "sku"), "cjk"),
)
DEFAULT_DIMENSIONS: Final = 64
"""Width of the model's vectors until a model of another width is written."""


def embedding_index(slot: str, dimensions: int = DEFAULT_DIMENSIONS) -> VectorIndex:
    """The index over the product vectors of one slot."""
    return VectorIndex(f"product_embedding_{slot}", "Product", f"embedding_{slot}", dimensions, PRODUCT_FILTERS)


def text_index(dimensions: int = TEXT_DIMENSIONS) -> VectorIndex:
    """The index over the encoder's vectors of the products' texts."""
    return VectorIndex("product_text", "Product", "text_embedding", dimensions)


VECTOR_INDEXES: Final = (
    text_index(),
    *(embedding_index(slot) for slot in SLOTS),
)

LABEL: Final = {label.name: label for label in LABELS}
RELATIONSHIP_TYPE: Final = {t.name: t for t in RELATIONSHIP_TYPES}
EXTRACTABLE: Final = frozenset(t.name for t in RELATIONSHIP_TYPES if t.extractable)
