"""What a review praises and criticises: pairs of an aspect and an opinion, with the sentiment.

The dependency parse ties opinion words to the nouns that they judge ("great
sound", "the strap is comfortable", "love the case", "works perfectly"); some
words judge an aspect without naming it ("flimsy"); some aspects are faults by
themselves ("hum"). Negation, "too", and wishes ("could be louder") turn the
sentiment. Nouns and opinion words outside the vocabulary come back as open
questions, which the encoder answers by likeness (:mod:`extraction.linking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from extraction.assertion import (
    denier,
    is_denied,
    is_excessive,
    is_negated,
    is_negated_before,
    is_of_denied,
    is_supposed,
    is_unsurpassed,
    is_wished,
)
from extraction.linking import Judge, Linker
from extraction.mentions import Lexicon, Reason, word_set
from extraction.normalise import aspect_key, singular
from extraction.polarity import NEGATORS
from extraction.products import head_words
from extraction.relations import sentences
from kg.graph import Node, Rejected
from kg.vocabulary import Vocabulary

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span, Token

    from extraction.triplets import ReadTriplet

T = TypeVar("T")

MAX_QUOTE: Final = 160
"""Longest quote of an opinion, in characters."""

# Nouns that stand for the product, a person or nothing in particular: no aspects.
_GENERAL: Final = word_set(
    """
    thing things product products item items everything purchase unit units piece pieces stuff lot lots bit kind way
    ways time times day days problem problems issue issues reason person people guy guys year years month months
    week weeks one ones review reviews star stars part parts example idea job work hand hands side end top choice
    addition experience friend wife husband son daughter kid kids money buy rest world life thanks point fact course
    hour hours minute minutes number
    """
)
_NEUTRAL: Final = word_set(
    """
    other same first second third last next only whole entire extra additional various different similar several
    many more most much less few own able available used using such certain electric acoustic digital analog main
    original usual normal regular standard typical actual current recent previous final total full half double
    single sure ready due aware black white blue green brown yellow purple silver empty open closed possible
    necessary personal local foreign large small little long short high wide deep thick young older worried curious
    willing afraid used
    """
)
# Adjectives of the lexicon that judge nothing as verbs: "clean the strings", "straps to secure it".
_VERBS_OF_DOING: Final = word_set(
    "clean clear smooth secure warm cool balance sharp full tough neat light quiet perfect time last free"
)
_LACK: Final = frozenset({"lack", "absence", "loss"})
_ABSENCE: Final = frozenset(
    {"no", "without", "zero", "free", "eliminates", "eliminate", "eliminated", "removes", "reduces", "less"}
)
# "No problem with the sound": trouble is no aspect.
_TROUBLE: Final = word_set(
    """
    problem problems issue issues complaint complaints trouble troubles fault faults
    """
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """An opinion at a place in a document; what is ``None`` is an open question for the encoder."""

    start: int
    end: int
    aspect: str | None
    """Name of the aspect, or ``None``: then ``noun`` is to be linked."""
    noun: str
    positive: bool | None
    """Sentiment, or ``None``: then ``word`` is to be judged (and ``flipped`` to be applied)."""
    word: str
    confidence: float
    flipped: bool = False


class OpinionRules:
    """Reads opinions from parsed reviews. Built once; :meth:`find` is pure."""

    def __init__(self, vocabulary: Vocabulary, lexicon: Lexicon, nlp: Language) -> None:
        from spacy.matcher import PhraseMatcher

        self._positive, self._negative = vocabulary.positive, vocabulary.negative
        self._defects = {a.name for a in vocabulary.aspects if a.defect}
        self._aspects: dict[str, str] = {}
        for key, name in lexicon.aspects.items():
            self._aspects.setdefault(name.casefold(), key)
        implied: dict[str, tuple[str, bool]] = {}
        for aspect in vocabulary.aspects:
            for form in (aspect.name, *aspect.synonyms):
                self._aspects[form.casefold()] = aspect.name
            for form in aspect.praise:
                implied[form.casefold()] = (aspect.name, True)
            for form in aspect.blame:
                implied[form.casefold()] = (aspect.name, False)
        self._implied = implied
        self._verbs = {verb: a.name for a in vocabulary.aspects for verb in a.verbs}
        self._aspect_matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
        self._implied_matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
        for form in self._aspects:
            self._aspect_matcher.add(form, [nlp.make_doc(s) for s in {form, form.replace("-", " ")}])
        for form in implied:
            self._implied_matcher.add(form, [nlp.make_doc(s) for s in {form, form.replace("-", " ")}])

    def find(self, doc: Doc, offset: int, *, title: str = "") -> list[Opinion]:
        """Opinions of one parsed window.

        Args:
            offset: where ``doc`` begins in the document.
            title: title of the product: the noun that it ends with stands for the product itself.
        """
        itself = frozenset(head_words(title)[-1:])
        opinions: list[Opinion] = []
        for sentence in sentences(doc):
            if sentence.text.rstrip().endswith("?"):
                continue
            opinions += self._in_sentence(doc, sentence, itself)
        unique = {(o.aspect or o.noun, o.word, o.start): o for o in sorted(opinions, key=lambda o: o.confidence)}
        return [
            Opinion(o.start + offset, o.end + offset, o.aspect, o.noun, o.positive, o.word, o.confidence, o.flipped)
            for o in sorted(unique.values(), key=lambda o: o.start)
        ]

    def learned(
        self, read: Iterable[tuple[Sequence[Token], Sequence[ReadTriplet]]], taken: Iterable[Opinion]
    ) -> list[Opinion]:
        """What a trained model reads in the sentences of a window, where the rules say nothing.

        Neutral triplets are no opinion; nor is praise by a word that the sentence denies, wishes for or asks about,
        nor what it only supposes.

        Args:
            read: the tokens of each sentence, and what the model reads in them.
            taken: what the rules found in this window.
        """
        taken = list(taken)
        found: list[Opinion] = []
        for tokens, triplets in read:
            if tokens and tokens[-1].lower_ == "?":
                continue
            for one in triplets:
                noun = [tokens[i] for i in one.triplet.aspect]
                judged = [tokens[i] for i in one.triplet.opinion]
                positive = one.triplet.sentiment == "POS"
                if one.triplet.sentiment == "NEU" or any(map(is_supposed, judged)):
                    continue
                if positive and any(map(self._not_meant, judged)):
                    continue
                name = _text(noun)
                opinion = _opinion(
                    [*noun, *judged],
                    self._aspects.get(name.casefold()),
                    name,
                    positive,
                    _text(judged),
                    one.fact_confidence,
                )
                if not any(o.start < opinion.end and opinion.start < o.end for o in taken):
                    found.append(opinion)
        return found

    def judged(self, doc: Doc) -> Iterator[tuple[Token, Token, bool]]:
        """Nouns, known as aspects or not, and words of the lexicon that judge them by the parse: noun, word, praise.

        What :meth:`find` says of known aspects, without them: to compare the rules with marked sentences.
        """
        for token in doc:
            sentiment = self._sentiment(token)
            too = is_excessive(token)
            if sentiment is None and not too:
                continue
            for target, _ in _targets(token):
                if target.pos_ in ("NOUN", "PROPN") and target is not token:
                    turned = not is_unsurpassed(token) and (is_negated(token) or is_denied(target) or is_wished(token))
                    yield target, token, bool(sentiment) != turned and not (too and not turned)

    def _not_meant(self, token: Token) -> bool:
        """Whether a word that praises is denied or only wished for."""
        return self._sentiment(token) is True and not is_unsurpassed(token) and (is_negated(token) or is_wished(token))

    def aspects(self, doc: Doc) -> list[tuple[int, int, str]]:
        """Places of a window that name an aspect: start, end and name."""
        found = self._mentions(self._aspect_matcher, doc, self._aspects)
        # "A light stove" does not speak of its light.
        return [(s.start_char, s.end_char, name) for s, name in found if s.root.pos_ not in ("ADJ", "VERB", "AUX")]

    def _in_sentence(self, doc: Doc, sentence: Span, itself: frozenset[str]) -> Iterator[Opinion]:
        aspects = self._mentions(self._aspect_matcher, sentence, self._aspects)
        nouns: dict[int, tuple[Span, str | None]] = {}
        for span, aspect in aspects:
            if span.root.pos_ not in ("VERB", "AUX"):
                nouns.update(dict.fromkeys(range(span.start, span.end), (span, aspect)))
        used: set[int] = set()
        for span, (name, praise) in self._mentions(self._implied_matcher, sentence, self._implied):
            if len(span) == 1:
                if not _stands_alone(span.root, nouns, itself) and not self._is_specific(span.root, nouns, name):
                    continue
                if not any(t.i in nouns for t, _ in _targets(span.root)):
                    used.add(span.start)
            else:
                used.update(t.i for t in span)
            if is_supposed(span.root):
                continue
            inside = any(t.lower_ in NEGATORS for t in span)
            flipped = is_negated_before(doc, span.start) or (
                not inside and (is_negated(span.root) or is_of_denied(span.root))
            )
            if any(map(is_unsurpassed, span)):
                positive = praise
            elif is_excessive(span.root) and len(span) == 1:
                positive = flipped
            elif praise and not flipped and is_wished(span.root):
                positive = False
            else:
                positive = praise != flipped
            yield _opinion([*span], name, span.text, positive, span.text.casefold(), 0.8)
        for token in sentence:
            if token.i in used or token.i in nouns:
                continue
            sentiment = self._sentiment(token)
            unsurpassed = is_unsurpassed(token)
            wished, too = is_wished(token) and not unsurpassed, is_excessive(token)
            if sentiment is None and not too and not (wished and token.tag_ == "JJR") and not _may_judge(token):
                continue
            if token.dep_ == "advmod" and token.head.pos_ == "VERB" and self._sentiment(token.head) is not None:
                continue  # "easily damaged": the verb judges
            if is_supposed(token):
                continue
            done = self._done(token, nouns)
            if done is not None and sentiment is not None and not wished:
                positive = sentiment != ((is_negated(token) and not unsurpassed) or too)
                yield _opinion([token.head, token], done, token.head.text, positive, token.lower_, 0.75)
            for target, strength in _targets(token):
                if target.lower_ in _TROUBLE or target.i in used:
                    continue
                known = nouns.get(target.i)
                if known is None and not _may_be_aspect(target, itself):
                    continue
                span, aspect_name = known or (doc[target.i : target.i + 1], None)
                flipped = not unsurpassed and (is_negated(token) or is_denied(target))
                place = [*span, token]
                strength *= 0.85 if aspect_name else 0.7
                if wished:
                    # "Could be louder" blames, "could not be better" praises.
                    implied = self._implied.get(token.lemma_.casefold())
                    if implied is not None and token.tag_ == "JJR":
                        place, aspect_name, strength = [token], implied[0], 0.85
                    elif aspect_name is None and token.tag_ == "JJR" and sentiment is None:
                        place, span, strength = [token], doc[token.i : token.i + 1], 0.85
                    # "Could be worse" is faint praise, "could not be worse" none.
                    positive = flipped != (sentiment is False and token.tag_ in ("JJR", "RBR"))
                    yield _opinion(place, aspect_name, span.text, positive, token.lower_, strength)
                elif too:
                    positive = flipped and sentiment is not True
                    yield _opinion(place, aspect_name, span.text, positive, token.lower_, strength)
                elif sentiment is None:
                    yield _opinion(place, aspect_name, span.text, None, token.lower_, 0.8 * strength, flipped=flipped)
                else:
                    positive = sentiment != flipped
                    if aspect_name in self._defects:
                        positive = _of_defect(token, target, positive)
                    yield _opinion(place, aspect_name, span.text, positive, token.lower_, strength)
        yield from self._defect_mentions(doc, sentence, aspects)
        yield from self._lacks(aspects)

    def _defect_mentions(self, doc: Doc, sentence: Span, aspects: Iterable[tuple[Span, str]]) -> Iterator[Opinion]:
        """A fault that is merely said to be there, or not to be there."""
        for span, name in aspects:
            if name not in self._defects:
                continue
            root = span.root
            if root.pos_ not in ("NOUN", "PROPN", "VERB"):
                continue
            after = doc[span.end : span.end + 2].text.lstrip("- ").casefold()
            absent = (
                is_denied(root)
                or after.startswith("free")
                or any(t.lower_ in _ABSENCE for t in doc[max(sentence.start, span.start - 3) : span.start])
            )
            if absent:
                yield _opinion([*span, *denier(root)], name, span.text, True, span.text, 0.75)
            elif not any(self._sentiment(t) is not None for t in (*root.children, root.head)):
                yield _opinion([*span], name, span.text, False, span.text, 0.6)

    def _lacks(self, aspects: Iterable[tuple[Span, str]]) -> Iterator[Opinion]:
        """ "Lack of bass", "needs more bass", "could use a better strap"."""
        for span, name in aspects:
            if name in self._defects:
                continue
            root = span.root
            head = root.head
            if root.dep_ == "pobj" and head.lower_ == "of" and head.head.lower_ in _LACK:
                yield _opinion([*span, head.head], name, span.text, False, head.head.lower_, 0.8)
            elif (
                root.dep_ == "dobj"
                and any(c.lower_ in ("more", "better", "longer") for c in root.children)
                and (head.lemma_ == "need" or (head.lemma_ in ("use", "want", "have") and is_wished(head)))
            ):
                yield _opinion([*span, head], name, span.text, False, head.lower_, 0.75)

    def _is_specific(self, token: Token, aspects: Mapping[int, tuple[Span, str | None]], name: str) -> bool:
        """Whether a word says the same of its aspect whatever it judges: "comfortable strap", but not "warm tone"."""
        if token.pos_ not in ("ADJ", "VERB") or token.lower_ in self._positive or token.lower_ in self._negative:
            return False
        return all(t.i in aspects and aspects[t.i][1] != name for t, _ in _targets(token))

    def _done(self, token: Token, aspects: Mapping[int, tuple[Span, str | None]]) -> str | None:
        """The aspect of the verb that a word goes with, unless a noun that is an aspect does it: "it looks great"."""
        if token.dep_ not in ("acomp", "advmod", "oprd") or token.head.pos_ != "VERB":
            return None
        subjects = [c for c in token.head.children if c.dep_ in ("nsubj", "nsubjpass")]
        if any(c.i in aspects for c in subjects):
            return None
        return self._verbs.get(token.head.lemma_.casefold())

    def _sentiment(self, token: Token) -> bool | None:
        """What the lexicon says of a word, in the form in which it stands or as a lemma."""
        if token.pos_ == "VERB" and token.lemma_.casefold() in _VERBS_OF_DOING:
            return None
        for form in (token.lower_, token.lemma_.casefold()):
            if form in self._implied:
                return self._implied[form][1]
            if form in self._positive:
                # "like" is a preposition more often than praise, "well" an interjection.
                if form in ("like", "well", "pretty", "kind") and not _is_judgement(token, form):
                    return None
                return True
            if form in self._negative:
                return False
        return None

    @staticmethod
    def _mentions(matcher: Any, sentence: Doc | Span, names: Mapping[str, T]) -> list[tuple[Span, T]]:
        from spacy.util import filter_spans

        spans = filter_spans(matcher(sentence, as_spans=True))
        return [(span, names[span.label_]) for span in spans]


def resolve(
    opinions: Iterable[Opinion], linker: Linker, judge: Judge, *, document: str
) -> tuple[list[Opinion], list[Rejected]]:
    """Let the encoder answer the open questions; what stays open is rejected."""
    opinions = list(opinions)
    links = linker.links(o.noun.casefold() for o in opinions if o.aspect is None)
    judged = judge.judge(o.word for o in opinions if o.positive is None)
    settled: list[Opinion] = []
    rejected: list[Rejected] = []
    for o in opinions:
        aspect, positive, confidence = o.aspect, o.positive, o.confidence
        if aspect is None:
            link = links[o.noun.casefold()]
            if link is None:
                rejected.append(Rejected(Reason.NOT_IN_SCHEMA, f"aspect: {o.noun}", document, o.start, o.end))
                continue
            aspect, confidence = link.key, confidence * link.score
        if positive is None:
            answer = judged[o.word]
            if answer is None:
                rejected.append(Rejected(Reason.LOW_CONFIDENCE, f"opinion: {o.word}", document, o.start, o.end))
                continue
            positive = answer != o.flipped
        settled.append(Opinion(o.start, o.end, aspect, o.noun, positive, o.word, confidence))
    return settled, rejected


def aspect_node(name: str) -> Node:
    """The node of an aspect."""
    return Node("Aspect", aspect_key(name), {"name": name})


def _text(tokens: Sequence[Token]) -> str:
    """The words of a run of tokens, with single spaces where the text has any."""
    return "".join(t.text + (" " if t.whitespace_ else "") for t in tokens).strip()


def _opinion(
    place: Iterable[Token],
    aspect: str | None,
    noun: str,
    positive: bool | None,
    word: str,
    confidence: float,
    *,
    flipped: bool = False,
) -> Opinion:
    """An opinion whose quote runs over all tokens of ``place``; over the last one alone when that would be long."""
    tokens = sorted(place, key=lambda t: t.i)
    start, end = tokens[0].idx, tokens[-1].idx + len(tokens[-1])
    if end - start > MAX_QUOTE:
        start = tokens[-1].idx
    return Opinion(start, end, aspect, noun, positive, word, round(confidence, 4), flipped)


def _targets(token: Token, depth: int = 0) -> Iterator[tuple[Token, float]]:
    """Nouns that a word judges, each with how surely, by the dependency parse."""
    if depth > 3:
        return
    head = token.head
    if token.dep_ == "amod" and head.pos_ in ("NOUN", "PROPN"):
        yield from _with_conjuncts(head, 1.0, only_bare=True)
    elif token.dep_ in ("acomp", "oprd", "attr"):
        yield from _subjects(head)
    elif token.dep_ == "advmod" and head.pos_ in ("VERB", "AUX"):
        yield from _subjects(head, 0.9)
        yield from ((c, 0.8) for c in head.children if c.dep_ == "dobj")
    elif token.dep_ == "conj" and head.pos_ in (token.pos_, "ADJ", "VERB", "ADV"):
        # "Love the sound but hate the case": a verb with an object of its own judges that one alone.
        own = [c for c in token.children if c.dep_ in ("nsubj", "nsubjpass", "dobj")]
        if not own:
            yield from _targets(head, depth + 1)
    elif token.dep_ == "pobj" and token.pos_ == "ADJ" and head.lower_ == "from" and head.head.lower_ == "far":
        yield from _subjects(head.head.head)
    elif token.dep_ == "nsubj" and token.pos_ == "NOUN":
        return
    if token.pos_ in ("VERB", "ADJ"):
        if token.pos_ == "VERB":
            objects = [c for c in token.children if c.dep_ in ("dobj", "nsubjpass")]
            for noun in objects:
                yield from _with_conjuncts(noun, 1.0)
            if not objects:
                yield from _subjects(token)
        elif token.dep_ not in ("acomp", "amod"):
            yield from _subjects(token)
        for child in token.children:
            if child.dep_ == "prep" and child.lower_ in ("with", "in", "by", "about", "at", "of"):
                yield from (pair for c in child.children if c.dep_ == "pobj" for pair in _with_conjuncts(c, 0.9))
            elif child.dep_ == "xcomp" and token.pos_ == "ADJ":
                yield from ((c, 0.7) for c in child.children if c.dep_ == "dobj")


def _subjects(verb: Token, strength: float = 1.0) -> Iterator[tuple[Token, float]]:
    for child in verb.children:
        if child.dep_ in ("nsubj", "nsubjpass"):
            yield from _with_conjuncts(child, strength)


def _with_conjuncts(noun: Token, strength: float, *, only_bare: bool = False) -> Iterator[tuple[Token, float]]:
    """A noun, those joined to it by "and", and what it is the quality of.

    Args:
        only_bare: whether a noun with an adjective of its own keeps to it: "great sound but terrible looks".
    """
    for one in (noun, *noun.conjuncts):
        if one.pos_ not in ("NOUN", "PROPN"):
            continue
        if only_bare and one is not noun and (one.i < noun.i or any(c.dep_ == "amod" for c in one.children)):
            continue
        yield one, strength if one is noun else 0.9 * strength
        for child in one.children:
            if child.dep_ == "prep" and child.lower_ == "of":
                yield from ((c, 0.85 * strength) for c in child.children if c.dep_ == "pobj" and c.pos_ == "NOUN")


def _of_defect(token: Token, target: Token, positive: bool) -> bool:
    """Whether a judged fault is praise: "low hum" and "no hum" are, "awful hum" and "nice hum" are not."""
    return positive and (is_denied(target) or token.dep_ != "amod")


def _may_judge(token: Token) -> bool:
    """Whether a word outside the lexicon stands where judgements stand."""
    if token.pos_ != "ADJ" or not token.is_alpha or len(token) < 4 or token.lower_ in _NEUTRAL:
        return False
    if token.dep_ == "acomp":
        return True
    return token.dep_ == "amod" and any(c.lower_ in ("very", "so", "really", "extremely") for c in token.children)


def _may_be_aspect(noun: Token, itself: frozenset[str]) -> bool:
    """Whether a noun outside the vocabulary may be an aspect: it is not the product itself, nor anything general."""
    if noun.pos_ != "NOUN" or not noun.is_alpha or len(noun) < 3:
        return False
    return noun.lower_ not in _GENERAL and singular(noun.text) not in itself


def _stands_alone(token: Token, aspects: Mapping[int, object], itself: frozenset[str]) -> bool:
    """Whether a word that implies its aspect judges the product itself and not another noun beside it."""
    if token.pos_ == "VERB":
        subjects = [c for c in token.children if c.dep_ in ("nsubj", "nsubjpass")]
        return not any(c.lower_ in ("i", "you", "we", "he", "she") or c.i in aspects for c in subjects)
    if token.pos_ != "ADJ" and not (token.pos_ == "ADV" and token.lower_.endswith("ly")):
        return False
    if token.dep_ == "amod":
        return not _may_be_aspect(token.head, itself) and token.head.i not in aspects
    return not any(target.i in aspects or _may_be_aspect(target, itself) for target, _ in _targets(token))


def _is_judgement(token: Token, form: str) -> bool:
    """Whether a word that has another common use judges here."""
    if form == "like":
        return token.pos_ == "VERB" and not is_wished(token)
    if form == "well":
        return token.dep_ == "advmod" and token.head.pos_ in ("VERB", "ADJ")
    return token.dep_ in ("acomp", "amod")
