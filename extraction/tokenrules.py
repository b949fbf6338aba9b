"""spaCy's attribute ruler, remembered.

The English model corrects its tags by 179 patterns (``am`` is a form of ``be``; ``VBZ`` is a verb of the third
person), which spaCy matches at each token anew: a fifth of the time that it needs for a review. All but a few look at
a single token's tag, word and place in the parse. What those say is asked once for each such token and kept; a text in
which a pattern of several tokens matches goes through the ruler itself. The outcome is the same, token by token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spacy.language import Language
from spacy.matcher import Matcher
from spacy.pipeline import AttributeRuler
from spacy.tokens import Doc

if TYPE_CHECKING:
    from spacy.vocab import Vocab

NAME: Final = "remembered_attribute_ruler"
MAX_REMEMBERED: Final = 100_000
"""Kinds of tokens that are kept: hostile texts have words without end."""


def quicken(nlp: Language) -> None:
    """Put the remembered ruler in the place of a pipeline's own, if it has one."""
    if "attribute_ruler" in nlp.pipe_names:
        nlp.add_pipe(NAME, after="attribute_ruler")
        nlp.disable_pipe("attribute_ruler")


@Language.factory(NAME)
def _remembered(nlp: Language, name: str) -> RememberedRuler:  # noqa: ARG001  # spaCy gives the name
    ruler = nlp.get_pipe("attribute_ruler")
    assert isinstance(ruler, AttributeRuler)
    return RememberedRuler(nlp.vocab, ruler)


class RememberedRuler:
    """Does what an attribute ruler does, faster."""

    def __init__(self, vocab: Vocab, ruler: AttributeRuler) -> None:
        self._vocab = vocab
        self._ruler = ruler
        self._single = AttributeRuler(vocab, validate=False)
        self._several = Matcher(vocab, validate=False)
        rules: list[Any] = ruler.patterns
        for number, rule in enumerate(rules):
            single = [pattern for pattern in rule["patterns"] if len(pattern) == 1]
            several = [pattern for pattern in rule["patterns"] if len(pattern) > 1]
            if single:
                self._single.add(single, rule["attrs"], rule["index"])
            if several:
                self._several.add(str(number), several)
        self._said: dict[tuple[int, int, int], tuple[int, int, int, int, int]] = {}

    def __call__(self, doc: Doc) -> Doc:
        """Correct the tags of a text, in place."""
        if len(self._several) and self._several(doc):
            return self._ruler(doc)
        if len(self._said) > MAX_REMEMBERED:
            self._said.clear()
        token: Any  # spaCy's stubs know no set_morph
        for token in doc:
            key = (token.orth, token.tag, token.dep)
            said = self._said.get(key)
            if said is None:
                said = self._said[key] = self._ask(token.text, token.tag_, token.dep_)
            token.pos, token.tag, token.dep, morph, lemma = said
            token.set_morph(morph)
            if lemma:
                token.lemma = lemma
        return doc

    def _ask(self, word: str, tag: str, dep: str) -> tuple[int, int, int, int, int]:
        """Part of speech, tag, place in the parse, morphology and lemma of a token by itself."""
        token: Any = self._single(Doc(self._vocab, words=[word], tags=[tag], deps=[dep], heads=[0]))[0]
        return token.pos, token.tag, token.dep, token.morph.key, token.lemma
