"""Document in, graph out: runs the stages over windows of text and puts what they found into schema and evidence.

A document is cut into windows (title, then pieces of the body), all windows of
a batch go through spaCy together, the rules read them, and the encoder answers
the questions that the rules left open, once for the whole batch. Time is
linear in the text: no stage looks at more than one window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from extraction import language
from extraction.assembly import assemble
from extraction.beliefs import Answer
from extraction.benchmarks import MarkedProduct
from extraction.clauses import Clause, ClauseReader, Reading, clauses
from extraction.comparisons import ComparisonRules
from extraction.encoder import Encoder
from extraction.foreign import foreign_places
from extraction.linking import GOES_WITH, PARTED, Judge, Likeness, Linker
from extraction.mentions import Claim, Lexicon, Mention, Question, Reason, words
from extraction.ner import BrandFinder
from extraction.opinions import Opinion, OpinionRules, aspect_node, resolve
from extraction.products import CategoryFinder, ProductFinder, head_words, model_number
from extraction.relations import RelationRules, bare_mentions, is_free, settle
from extraction.rules import AttributeRules
from extraction.sentences import PlainReader, ReadSentence, SentenceReader, mean_of, pieces, vectors_of
from extraction.shelves import ShelfRules
from extraction.stated import is_stated
from extraction.training import Heads
from extraction.windows import MAX_TEXT, Window, windows
from kg.graph import (
    Document,
    DocumentKind,
    Extraction,
    Rejected,
)
from kg.normalise import PATH_SEPARATOR
from kg.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

NAME: Final = "shopgraph"
CODE_VERSION: Final = "9"
"""Raise it with every change of the rules that changes what they find: documents are then read again."""

MODEL_NUMBER: Final = "model number"
"""The attribute, if the vocabulary has it, whose value a title says without a label."""
MODEL_CONFIDENCE: Final = 0.75
"""Of a model number so read: that of an open value behind a label."""
REVIEW_TRUST: Final = 0.8
"""Factor on what a review says of compatibility and attributes: reviewers err more often than descriptions."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Extractor:
    """Reads documents of one shop.

    Args:
        vocabulary: attributes, aspects and opinion words.
        lexicon: what the graph knows: brands, categories, products, values, aspects.
        encoder: answers what rules cannot see.
        heads: what this home has learned from marked files, see :mod:`extraction.training`.
        clock: gives the time that evidence carries.

    ``version`` names code, vocabulary, encoder and heads. It does not change when only
    the lexicon grows: else each new product would have every document of the
    shop read again. A document that should profit from new names is read again
    when its text changes, or by ``kg extract`` with the option to read all.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        lexicon: Lexicon,
        encoder: Encoder,
        *,
        heads: Heads | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._nlp = language.load()
        self._clock = clock
        self._vocabulary = vocabulary
        self.name: str = NAME
        self.encoder = encoder
        self._heads = heads or Heads()
        self.version: str = extractor_version(vocabulary, encoder.fingerprint, self._heads.version)
        self._judge = Judge(encoder.encode, vocabulary)
        self._reader: SentenceReader = self._heads.triplets or PlainReader(encoder)
        self._clauses = ClauseReader(partial(vectors_of, reader=self._reader), vocabulary)
        self._kinship = Likeness(encoder.encode, GOES_WITH, PARTED)
        self._know(lexicon)

    def _know(self, lexicon: Lexicon) -> None:
        """Build all that names come into."""
        vocabulary = self._vocabulary
        common = language.lemma_index() | vocabulary.words()
        self._brands = BrandFinder(lexicon, common)
        self._products = ProductFinder(lexicon, common, vocabulary.accessories)
        self._categories = CategoryFinder(lexicon, parts=False), CategoryFinder(lexicon, parts=True)
        shelves, parts = self._categories
        self._attributes = AttributeRules(vocabulary, lexicon, self._nlp)
        self._relations = RelationRules(vocabulary.accessories, self._brands, self._products, shelves)
        self._shelves = ShelfRules(lexicon, parts)
        self._opinions = OpinionRules(vocabulary, lexicon, self._nlp)
        self._comparisons = ComparisonRules(vocabulary)
        names = {form: a.name for a in vocabulary.aspects for form in (a.name, *a.synonyms)}
        names |= {name: key for key, name in lexicon.aspects.items() if name not in names}
        self._linker = Linker(self.encoder.encode, names, threshold=ASPECT_THRESHOLD)

    def knowing(self, lexicon: Lexicon) -> Extractor:
        """One that knows other names; models, and what they were asked before, are shared with this one."""
        other = copy(self)
        other._know(lexicon)
        return other

    def learn(self, lexicon: Lexicon) -> tuple[str, ...]:
        """Know these products, brands and categories too, in a time that does not depend on how many it knows.

        What is counted over all titles stays as it is until :meth:`knowing`: which words open titles, and which shelf
        the neighbours of a title have. So do the values and aspects that it knows.

        Returns:
            The products that it did not know by these titles.
        """
        self._brands.learn(lexicon.brands)
        for finder in self._categories:
            finder.learn(lexicon.categories)
        return self._products.learn(lexicon)

    def knows(self, sku: str) -> bool:
        """Whether it knows the names of a product."""
        return self._products.entry(sku) is not None

    def sure_names(self, sku: str) -> list[str]:
        """Names by which a text that means a product calls it; it may call others by them as well."""
        return self._products.sure_names(sku)

    def named_in(self, text: str) -> frozenset[str]:
        """The products that a text names."""
        return frozenset(sku for name in self._products.find(text, words(text)) for sku in name.skus)

    def extract(self, document: Document) -> Extraction:
        """What one document says; see :meth:`extract_all` for many."""
        return next(self.extract_all([document]))

    def extract_all(self, documents: Iterable[Document], batch_size: int = 64) -> Iterator[Extraction]:
        """What each document says, in order. Batches share one pass of spaCy and one of the encoder."""
        remaining = iter(documents)
        while batch := list(islice(remaining, batch_size)):
            yield from self._batch(batch)

    def _batch(self, batch: Sequence[Document]) -> Iterator[Extraction]:
        cut = [windows(document) for document in batch]
        parsed = self._nlp.pipe((w.text for pieces in cut for w in pieces), batch_size=64)
        drafts = [self._draft(d, [(w, next(parsed)) for w in pieces]) for d, pieces in zip(batch, cut, strict=True)]
        self._ask_heads(drafts)
        self._read_reviews(drafts)
        # Ask the encoder once for the whole batch; afterwards `resolve` finds every answer remembered.
        open_questions = [o for draft in drafts for o in draft.opinions]
        self._linker.links(o.noun.casefold() for o in open_questions if o.aspect is None)
        self._judge.judge(o.word for o in open_questions if o.positive is None)
        self._kinship([q.text for draft in drafts for q in draft.questions])
        for draft in drafts:
            yield self._finish(draft)

    def _draft(self, document: Document, pieces: Sequence[tuple[Window, Doc]]) -> _Draft:
        """Everything that the rules find in one document."""
        draft = _Draft(document)
        if len(document.text) > MAX_TEXT:
            draft.rejected.append(
                Rejected(Reason.TOO_LONG, "the rest was not read", document.id, MAX_TEXT, len(document.text))
            )
        is_product = document.kind is DocumentKind.PRODUCT
        known = self._products.entry(document.sku)
        title = document.text[: document.title_end] if is_product else known.title if known else ""
        if is_product:
            self._read_title(document, title, draft)
            if self._heads.values is not None:
                draft.product += pieces
        for window, doc in pieces:
            found = self._relations.find(
                doc,
                window.offset,
                document=document.id,
                sku=document.sku,
                title=title,
                trust=1.0 if is_product else REVIEW_TRUST,
                questions=is_product and not window.is_title,
            )
            draft.claims += found.claims
            draft.rejected += found.rejected
            draft.questions += found.questions
            named = list(bare_mentions(window.text, window.offset, document.sku, self._brands, self._products))
            draft.mentions += named
            if is_product:
                found = self._attributes.find(
                    doc,
                    window.offset,
                    document=document.id,
                    title=title,
                    is_title=window.is_title,
                    names=[(m.start - window.offset, m.end - window.offset) for m in named],
                )
                draft.claims += found.claims
                draft.rejected += found.rejected
                if named:
                    others = self._others(named, title, document.sku)
                    self._compare(draft, window, doc, named, others, self._opinions.aspects(doc))
            else:
                aspects = self._opinions.aspects(doc)
                others = self._others(named, title, document.sku)
                itself = frozenset(head_words(title)[-1:])
                foreign = (
                    *self._compare(draft, window, doc, named, others, aspects),
                    *foreign_places(
                        doc,
                        brands=[_within(m, window) for m in others if m.node.label == "Brand"],
                        products=[_within(m, window) for m in others if m.node.label != "Brand"],
                        itself=itself,
                        aspects=aspects,
                    ),
                )
                self._read_stated(draft, window, doc, title, itself, named, foreign)
                opinions = self._opinions.find(doc, 0, title=title)
                for o in opinions:
                    if not is_free(foreign, o.start, o.end):
                        place = o.start + window.offset, o.end + window.offset
                        draft.rejected.append(Rejected(Reason.COMPARED, f"opinion: {o.word}", document.id, *place))
                own = [o for o in opinions if is_free(foreign, o.start, o.end)]
                draft.reviews.append(_Review(window, doc, title, aspects, foreign, own))
        return draft

    def _read_stated(
        self,
        draft: _Draft,
        window: Window,
        doc: Doc,
        title: str,
        itself: frozenset[str],
        named: Sequence[Mention],
        foreign: Sequence[tuple[int, int]],
    ) -> None:
        """Attribute values that a review states of its own product."""

        def is_own(attribute: str, start: int, end: int) -> bool:
            names, purpose = self._attributes.names(attribute), self._attributes.is_purpose(attribute)
            return is_free(foreign, start, end) and is_stated(
                doc, window.text, start, end, itself=itself, names=names, purpose=purpose
            )

        found = self._attributes.find(
            doc,
            window.offset,
            document=draft.document.id,
            title=title,
            is_title=False,
            names=[_within(m, window) for m in named],
            own=is_own,
        )
        draft.claims += [replace(c, confidence=c.confidence * REVIEW_TRUST) for c in found.claims]
        draft.rejected += found.rejected

    def _others(self, named: Sequence[Mention], title: str, sku: str) -> list[Mention]:
        """What of the things that are named is neither the product itself nor its brand."""
        if not named:
            return []
        known = self._products.entry(sku)
        # Whose product it is the catalogue may not say, but the title does.
        makers = {m.node.key for m in self._brands.mentions(title, words(title))} | {known.brand if known else None}
        return [m for m in named if m.node.label != "Brand" or m.node.key not in makers]

    def _compare(
        self,
        draft: _Draft,
        window: Window,
        doc: Doc,
        named: Sequence[Mention],
        others: Sequence[Mention],
        aspects: Sequence[tuple[int, int, str]],
    ) -> tuple[tuple[int, int], ...]:
        """Read what the product is compared with; places of the window that judge the other one."""
        if not named and " than " not in window.text:
            return ()
        sku = draft.document.sku
        own = [_within(m, window) for m in named if m not in others]
        own += [(n.start, n.end) for n in self._products.find(window.text, words(window.text)) if sku in n.skus]
        found = self._comparisons.find(
            doc, window.offset, document=draft.document.id, named=others, itself=own, aspects=aspects
        )
        draft.claims += found.claims
        draft.rejected += found.rejected
        return found.foreign

    def _read_title(self, document: Document, title: str, draft: _Draft) -> None:
        maker = self._brands.maker(document.text[:MAX_TEXT], document.title_end)
        if maker is not None:
            draft.claims.append(Claim("MADE_BY", maker.node, maker.start, maker.end, maker.confidence))
        code = model_number(title, (maker.start, maker.end) if maker and maker.end <= len(title) else None)
        attribute = self._attributes.attribute_named(MODEL_NUMBER)
        if code is not None and attribute is not None:
            claim = self._attributes.claim(attribute, title[slice(*code)], code[0], MODEL_CONFIDENCE)
            draft.claims += [claim] if claim is not None else []
        found = self._shelves.find(title, document=document.id, sku=document.sku)
        draft.claims += found.claims
        draft.rejected += found.rejected

    def _read_reviews(self, drafts: Sequence[_Draft]) -> None:
        """What the encoder reads in reviews beyond the rules: one pass over the sentences that these left open.

        A trained head reads triplets off it; clauses in which neither it nor the rules find opinions are likened to
        examples.
        """
        owned = [(draft, review) for draft in drafts for review in draft.reviews]
        cut = [self._open_pieces(review, list(self._open_clauses(review))) for _, review in owned]
        read = iter(self._reader.read([[t.text for t in tokens] for some in cut for tokens in some]))
        asked: list[tuple[_Draft, int, Clause]] = []
        vectors: list[NDArray[np.float32]] = []
        for (draft, review), some in zip(owned, cut, strict=True):
            sentences = [(tokens, next(read)) for tokens in some]
            learned = self._opinions.learned([(t, one.triplets) for t, one in sentences], review.opinions)
            review.opinions += [o for o in learned if is_free(review.foreign, o.start, o.end)]
            offset = review.window.offset
            draft.opinions += [replace(o, start=o.start + offset, end=o.end + offset) for o in review.opinions]
            still_open = list(self._open_clauses(review)) if sentences else []
            asked += [(draft, offset, clause) for clause in still_open]
            vectors += _clause_vectors(still_open, sentences)
        readings = self._clauses.read([clause for _, _, clause in asked], np.array(vectors))
        for (draft, offset, clause), some_readings in zip(asked, readings, strict=True):
            place = replace(clause, start=clause.start + offset, end=clause.end + offset)
            draft.readings += [(place, reading) for reading in some_readings]

    @staticmethod
    def _open_pieces(review: _Review, open_clauses: Sequence[Clause]) -> list[list[Token]]:
        """The sentences that hold any of these clauses: others have been read altogether."""
        found = []
        for tokens in pieces(review.doc) if open_clauses else ():
            begin, end = tokens[0].idx, tokens[-1].idx + len(tokens[-1])
            if any(c.start < end and begin < c.end for c in open_clauses):
                found.append(tokens)
        return found

    def _open_clauses(self, review: _Review) -> Iterator[Clause]:
        """The clauses of a window of a review in which no opinion is known yet."""
        return clauses(
            review.window.text,
            covered=[*((o.start, o.end) for o in review.opinions if o.aspect is not None), *review.foreign],
            aspects=review.aspects,
            nouns=list(head_words(review.title)[-2:]),
        )

    def _ask_heads(self, drafts: Sequence[_Draft]) -> None:
        """Add the attribute values that the trained head reads.

        It is asked what its training marked in texts of the category, and what the vocabulary wants asked of all.
        """
        model = self._heads.values
        if model is None:
            return
        asked: list[tuple[_Draft, MarkedProduct]] = []
        always = frozenset(a.name for a in self._vocabulary.attributes if a.ask)
        for draft in drafts:
            if draft.document.kind is not DocumentKind.PRODUCT:
                continue
            known = self._products.entry(draft.document.sku)
            path = (known.category if known else None) or ""
            # A head knows a shelf by its path or by its name alone.
            names = (path, path.rpartition(PATH_SEPARATOR)[2])
            category = next((name for name in names if model.attributes(name)), names[-1])
            trained = model.attributes(category)
            attributes = sorted(trained | (always - {self._attributes.attribute_named(a) for a in trained}))
            if attributes:
                text, end = draft.document.text, draft.document.title_end
                product = MarkedProduct(text[:end], text[end:].strip(), category, dict.fromkeys(attributes, ()))
                asked.append((draft, product))
        for (draft, _), answers in zip(asked, model.answer([p for _, p in asked]), strict=True):
            for name, answer in sorted(answers.items()):
                self._add_learned(draft, name, answer)

    def _add_learned(self, draft: _Draft, name: str, answer: Answer) -> None:
        """A value that the trained head read: a claim, or a reject where the text denies it or the schema lacks it."""
        if answer.value is None or answer.quote is None:
            return
        text = draft.document.text
        place = answer.place(text)
        attribute = self._attributes.attribute_named(name)
        claim = None
        if place is not None and attribute is not None:
            claim = self._attributes.claim(attribute, text[slice(*place)], place[0], answer.probability)
        if claim is None:
            reason = Reason.LOW_CONFIDENCE if place is None else Reason.NOT_IN_SCHEMA
            draft.rejected.append(Rejected(reason, f"{name}: {answer.value}"[:200], draft.document.id))
            return
        objection = self._objection_to(draft, claim)
        if objection is None:
            draft.claims.append(claim)
        else:
            detail = f"{name}: {answer.value}"[:200]
            draft.rejected.append(Rejected(objection, detail, draft.document.id, claim.start, claim.end))

    def _objection_to(self, draft: _Draft, claim: Claim) -> Reason | None:
        """Why the text does not state what a head read in it, by the rules that hold for what they read themselves."""
        for window, doc in draft.product:
            start, end = claim.start - window.offset, claim.end - window.offset
            if start >= 0 and end <= len(window.text):
                return self._attributes.objection(doc, window.text, start, end)
        return None

    def _finish(self, draft: _Draft) -> Extraction:
        document = draft.document
        settled, rejected = resolve(draft.opinions, self._linker, self._judge, document=document.id)
        related = settle(draft.questions, self._kinship)
        claims = [
            *draft.claims,
            *related.claims,
            *(
                Claim(
                    "PRAISED_FOR" if o.positive else "CRITICISED_FOR",
                    aspect_node(o.aspect),
                    o.start,
                    o.end,
                    o.confidence,
                )
                for o in settled
                if o.aspect is not None
            ),
            *(
                Claim(
                    "PRAISED_FOR" if r.positive else "CRITICISED_FOR",
                    aspect_node(r.aspect),
                    c.start,
                    c.end,
                    r.confidence,
                )
                for c, r in draft.readings
            ),
        ]
        return assemble(
            document,
            claims,
            draft.mentions,
            [*draft.rejected, *rejected, *related.rejected],
            extractor=self.name,
            version=self.version,
            at=self._clock(),
        )


def extractor_version(vocabulary: Vocabulary, fingerprint: str, heads: str) -> str:
    """Name of what code, vocabulary, encoder (its fingerprint) and heads (their version) make together."""
    return ".".join(part for part in (CODE_VERSION, vocabulary.digest[:6], fingerprint[:6], heads) if part)


ASPECT_THRESHOLD: Final = 0.6
"""Least cosine at which a noun is taken for a known aspect."""


@dataclass(slots=True)
class _Review:
    """A window of a review, and the opinions found in it so far, by offsets within the window."""

    window: Window
    doc: Doc
    title: str
    aspects: Sequence[tuple[int, int, str]]
    foreign: Sequence[tuple[int, int]]
    """Places that judge another product, or anything else that is not the review's."""
    opinions: list[Opinion]


class _Draft:
    """What the rules found in one document, before the encoder is asked."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.claims: list[Claim] = []
        self.mentions: list[Mention] = []
        self.opinions: list[Opinion] = []
        self.questions: list[Question] = []
        self.reviews: list[_Review] = []
        self.readings: list[tuple[Clause, Reading]] = []
        self.product: list[tuple[Window, Doc]] = []
        """What a product's text was parsed to, where a head reads it as well."""
        self.rejected: list[Rejected] = []


def _within(mention: Mention, window: Window) -> tuple[int, int]:
    """Where a mention stands in its window."""
    return mention.start - window.offset, mention.end - window.offset


def _clause_vectors(
    asked: Sequence[Clause], sentences: Sequence[tuple[Sequence[Token], ReadSentence]]
) -> list[NDArray[np.float32]]:
    """Vectors of clauses, ``[dimensions]`` each: the means of their words as read."""
    if not asked:
        return []
    states = np.vstack([one.words for _, one in sentences])
    starts = np.array([t.idx for tokens, _ in sentences for t in tokens])  # ascending
    first, last = np.searchsorted(starts, [c.start for c in asked]), np.searchsorted(starts, [c.end for c in asked])
    return [mean_of(states, range(a, b)) for a, b in zip(first, last, strict=True)]
