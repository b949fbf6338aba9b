"""Whether the parse of a sentence asserts a judgement, or denies, supposes, wishes for or surpasses it.

The status of an assertion, as clinical language processing calls it (Harkema et
al. 2009, ConText), read from the dependency parse: reviews are sentences. What
titles and lists deny is read from their words alone (:mod:`extraction.polarity`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from extraction.polarity import NEGATORS

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_WISHES: Final = frozenset({"could", "should", "would", "might"})
_STATED_WITH_WOULD: Final = frozenset({"recommend", "buy", "purchase", "order", "love", "say", "give", "highly"})
_DENYING: Final = (
    *(("by", "no", "means"), ("in", "no", "way"), ("far", "from"), ("anything", "but"), ("less", "than")),
    *(("nowhere", "near"), ("nothing",), ("not",), ("hardly",), ("scarcely",), ("never",)),
)
"""What denies a judgement right behind it: "far from a great screen", "nothing great about it"."""
_BETWEEN: Final = frozenset({"a", "an", "the", "that", "so", "very", "really", "particularly", "especially", "all"})
"""What may stand between these and the judgement."""
_NOBODY: Final = frozenset({"nothing", "nobody", "none", "neither"})
_SUPPOSES: Final = frozenset(
    {
        *("worry", "worried", "fear", "afraid", "expect", "hope", "hop", "want", "look", "search", "need", "promise"),
        *("advertise", "claim", "suppose", "assume", "wonder", "doubt", "pretend"),
    }
)
"""Lemmas of what is not stated by its clause, or by its object: "I was worried that", "they promise"."""
_SEEKS: Final = frozenset({"look", "search", "hope", "wish", "ask"})
"""Verbs that suppose what they are for: "look for a sturdy strap", but "worry about the flimsy strap"."""
_SUPPOSEDLY: Final = frozenset({"supposedly", "allegedly", "hopefully", "so-called"})
_CONDITIONS: Final = frozenset({"if", "unless", "whether"})
_FINDS: Final = frozenset({"find", "ask", "imagine", "want", "wish", "get", "buy", "hope"})
"""Verbs that praise what they cannot: "couldn't ask for a better strap"."""


def is_negated(token: Token) -> bool:
    """Whether a judgement is denied: by itself, by its verb, or by "I don't think that …" above it."""
    if _beyond_words(token):
        return False
    if _denied_right_before(token):
        return True
    current = token
    for _ in range(6):
        if any(_denies(c) for c in current.children):
            return True
        subjects = [c for c in current.children if c.dep_ == "nsubj"]
        if any(c.lower_ in _NOBODY or any(g.lower_ == "neither" for g in c.children) for c in subjects):
            return True
        head = current.head
        if head is current:
            return False
        if (
            (current.dep_ in ("acomp", "attr", "oprd", "advmod", "xcomp") and head.pos_ in ("VERB", "AUX", "ADJ"))
            or (
                current.dep_ == "ccomp" and head.lemma_ in ("think", "believe", "feel", "say", "find", "expect", "call")
            )
            or _is_alternative(current)
        ):
            current = head
        else:
            return False
    return False


def is_negated_before(doc: Doc, index: int) -> bool:
    """Whether a negator stands within three words before a phrase: "not at all easy to use"."""
    for i in range(index - 1, max(-1, index - 4), -1):
        if i and (doc[i - 1].lower_, doc[i].lower_) in (("anything", "but"), ("far", "from")):
            return True
        if doc[i].is_punct or doc[i].lower_ in ("but", "and"):
            return False
        if doc[i].lower_ in NEGATORS:
            return _denies(doc[i]) or doc[i].lower_ not in ("not", "n't")
    return False


def _is_alternative(token: Token) -> bool:
    """Whether a denial of what a word is joined to denies it as well: "not good, clear or warm"."""
    head = token.head
    if token.dep_ != "conj" or any(c.lower_ == "but" for c in head.children):
        return False
    if any(c.lower_ in ("or", "nor") for c in head.children):
        return True
    if any(c.dep_ in ("nsubj", "nsubjpass") for c in token.children):
        return False
    # The "or" stands before the last of them alone, each of which hangs on the one before it.
    current: Token | None = token
    while current is not None:
        if any(c.dep_ == "cc" and c.lower_ in ("or", "nor") for c in current.children):
            return True
        current = next((c for c in current.children if c.dep_ == "conj"), None)
    return False


def _denied_right_before(token: Token) -> bool:
    """Whether a judgement follows a word or phrase that denies it: "by no means a great screen"."""
    doc, start = token.doc, token.sent.start
    at = token.i
    while at > start and doc[at - 1].lower_ in _BETWEEN:
        at -= 1
    before = tuple(t.lower_ for t in doc[max(start, at - 3) : at])
    return any(before[-len(phrase) :] == phrase for phrase in _DENYING)


def _beyond_words(token: Token) -> bool:
    """Whether a verb is denied to say that it is too weak: "can't recommend it enough"."""
    if token.pos_ != "VERB" or not any(c.dep_ == "aux" and c.lemma_ in ("can", "could", "ca") for c in token.children):
        return False
    return any(t.lower_ == "enough" and t.head.pos_ not in ("ADJ", "ADV") for t in token.subtree if t.i > token.i)


def is_unsurpassed(token: Token) -> bool:
    """Whether a denial makes a judgement stronger: "never heard better sound", "couldn't find a worse screen"."""
    if _beyond_words(token):
        return True
    if token.tag_ not in ("JJR", "RBR") and not any(c.lower_ == "more" and c.i < token.i for c in token.children):
        return False
    current = token
    for _ in range(5):
        children = list(current.children)
        if any(c.lower_ == "never" or (c.dep_ == "nsubj" and c.lower_ in _NOBODY) for c in children):
            return True
        if any(c.dep_ == "expl" for c in children) and any(c.lower_ == "no" for c in token.head.children):
            return True  # "there is no better strap"
        if any(_denies(c) for c in children):
            auxiliaries = [c for c in children if c.dep_ == "aux"]
            perfect = any(c.lemma_ in ("have", "'ve") for c in auxiliaries)
            return (perfect or (bool(auxiliaries) and current.lemma_ in _FINDS)) and current.lemma_ != "be"
        if current.dep_ not in ("amod", "dobj", "pobj", "prep", "acomp", "advmod", "attr", "xcomp"):
            return False
        current = current.head
    return False


def is_supposed(token: Token) -> bool:
    """Whether a judgement is a condition, a fear, a hope or a promise, and not stated."""
    current = token
    for _ in range(10):
        if any(_is_condition(c) or c.lower_ in _SUPPOSEDLY for c in current.children):
            return True
        head = current.head
        if head == current or current.dep_ in ("advcl", "parataxis"):
            return False
        if current.dep_ == "conj":
            # "I thought it would be flimsy, but it is sturdy" states the latter.
            if any(c.lower_ == "but" for c in head.children) and _has_subject(current):
                return False
        elif _supposes(head, current, token):
            return True
        current = head
    return False


def _is_condition(token: Token) -> bool:
    """Whether a word makes what it hangs on a condition, or what somebody merely calls it: "if", "so-called"."""
    if token.dep_ == "mark" and token.lower_ in _CONDITIONS:
        return token.i == 0 or token.nbor(-1).lower_ not in ("as", "even")
    return token.lower_ == "called" and token.doc[max(0, token.i - 2) : token.i].text.casefold() == "so-"


def _supposes(head: Token, part: Token, judged: Token) -> bool:
    """Whether a word only supposes what its clause or its object says."""
    lemma = head.lemma_.casefold()
    if lemma == "think" and part.dep_ == "ccomp":
        return any(c.dep_ == "aux" and c.lower_ in ("would", "might", "'d") for c in part.children) or any(
            c.lower_ == "but" for c in head.children
        )
    if lemma not in _SUPPOSES or any(_denies(c) or c.lower_ == "no" for c in head.children):
        return False
    if lemma == "need" and part.dep_ == "ccomp":
        return False
    if part.dep_ == "prep":
        return (lemma in _SEEKS and part.lower_ == "for") or (lemma == "advertise" and part.lower_ == "as")
    if judged.tag_ == "JJR" and lemma == "hope":
        return False  # a wish for more than there is
    if lemma == "look":
        return False
    return part.dep_ in ("ccomp", "xcomp", "dobj", "nsubjpass", "oprd", "advcl") or (
        part.dep_ == "acomp" and lemma == "advertise"
    )


def _has_subject(verb: Token) -> bool:
    return any(c.dep_ in ("nsubj", "nsubjpass", "expl") for c in verb.children)


def is_wished(token: Token) -> bool:
    """Whether a judgement is wished for and not stated: "could be louder", "I wish it were better"."""
    current = token
    for _ in range(3):
        if any(c.dep_ == "aux" and c.lower_ in _WISHES for c in current.children):
            return current.lemma_ not in _STATED_WITH_WOULD
        head = current.head
        if head is current:
            return False
        if head.lemma_ in ("wish", "hope") and current.dep_ in ("ccomp", "xcomp"):
            return True
        if current.dep_ not in ("acomp", "attr", "oprd", "advmod", "amod", "dobj", "xcomp"):
            return False
        current = head
    return False


def is_denied(noun: Token) -> bool:
    """Whether a noun is said not to be there: "no hum", "without hum", "doesn't have hum"."""
    if denier(noun):
        return True
    head = noun.head
    return noun.dep_ in ("dobj", "attr") and any(_denies(c) for c in head.children)


def is_of_denied(word: Token) -> bool:
    """Whether a word describes what is not there: "no comfortable, sturdy or light strap"."""
    while word.dep_ == "conj" and word.head.pos_ == "ADJ":
        word = word.head
    return word.dep_ == "amod" and is_denied(word.head)


def denier(noun: Token) -> list[Token]:
    """The word that denies a noun directly, as a list of none or one."""
    for child in noun.children:
        if child.lower_ in ("no", "zero") or (child.lower_ == "any" and child.dep_ == "det"):
            return [child] if child.lower_ != "any" or any(_denies(c) for c in noun.head.children) else []
        if child.i < noun.i and child.dep_ != "amod" and _denies(child):
            return [child]  # "not a great screen"
    if (
        noun.dep_ == "pobj"
        and noun.head.lower_ in ("without", "of")
        and (noun.head.lower_ == "without" or noun.head.head.lower_ in ("free", "absence", "lack"))
    ):
        return [noun.head]
    return []


def is_excessive(token: Token) -> bool:
    """ "Too heavy", not "heavy too"."""
    return any(c.lower_ in ("too", "overly") and c.i < token.i and c.dep_ == "advmod" for c in token.children)


def _denies(token: Token) -> bool:
    if token.lower_ in ("less", "least") and token.dep_ == "advmod" and token.head.pos_ in ("ADJ", "ADV"):
        return True  # "less comfortable", "least comfortable"
    if token.lower_ in ("hardly", "scarcely", "never", "nowhere") or (
        token.lower_ == "neither" and token.dep_ in ("preconj", "cc")
    ):
        return True
    if token.dep_ != "neg" and token.lower_ not in ("not", "n't"):
        return False
    after = token.doc[token.i + 1].lower_ if token.i + 1 < len(token.doc) else ""
    return after not in ("only", "just", "merely")
