"""The adapted encoder: what it codes, that training moves the adapter alone, and that it is saved whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from extraction.adapters import AdaptedEncoder
from extraction.encoder import Encoder
from kg.errors import ExtractionError

TEXTS = (("SEAFOX", "lure", "40mm", "red"), ("a",), (), ("\u200b", "🎸", "x" * 10_000, "\ud800"))


@pytest.fixture(scope="module")
def adapted() -> AdaptedEncoder:
    torch.set_num_threads(1)
    return AdaptedEncoder(device="cpu", rank=4, first_layer=4, seed=3)


def moved(encoder: AdaptedEncoder) -> None:
    """Give the adapter weights that are not those it began with (LoRA begins as no change at all)."""
    generator = torch.Generator().manual_seed(5)
    state = {n: 0.05 * torch.randn(w.shape, generator=generator) for n, w in encoder.state_dict().items()}
    encoder.load_state_dict(state)


def test_each_word_has_its_pieces(adapted: AdaptedEncoder) -> None:
    coded = adapted.code(TEXTS, before=[("Fishing", "Lure")] * len(TEXTS))
    assert [len(c.first) for c in coded] == [4, 1, 1, 4]
    for c in coded:
        assert all(one <= other < len(c.pieces) for one, other in zip(c.first, c.last, strict=True))
        # [CLS] Fishing Lure [SEP] come before the text, which is the second segment.
        assert c.types[: c.first[0]] == (0, 0, 0, 0)
        assert set(c.types[c.first[0] :]) == {1}


def test_a_new_adapter_changes_nothing(adapted: AdaptedEncoder) -> None:
    fresh = AdaptedEncoder(device="cpu", rank=4)
    plain = AdaptedEncoder(device="cpu", rank=0)
    assert plain.parameters() == []
    coded = plain.code(TEXTS)
    with torch.inference_mode():
        assert torch.allclose(fresh.states(coded).last, plain.states(coded).last, atol=1e-5)
    # A word of one piece: the encoder's words are means of their pieces.
    (vectors, *_) = Encoder(device="cpu", exact=True).encode_words(TEXTS[1:2])
    with torch.inference_mode():
        assert torch.allclose(plain.states(coded[1:2]).first[0], torch.tensor(vectors), atol=1e-5)


def test_upper_layers_continue_where_the_lower_ended(adapted: AdaptedEncoder) -> None:
    moved(adapted)
    coded = adapted.code(TEXTS)
    with torch.inference_mode():
        whole, continued = adapted.states(coded), adapted.states(coded, adapted.lower(coded))
    for one, other in ((whole.first, continued.first), (whole.last, continued.last)):
        assert torch.allclose(one[whole.present], other[whole.present], atol=1e-4)


def test_padding_changes_nothing(adapted: AdaptedEncoder) -> None:
    coded = adapted.code(TEXTS)
    with torch.inference_mode():
        alone, together = adapted.states(coded[1:2]), adapted.states(coded)
    assert torch.allclose(alone.first[0, 0], together.first[1, 0], atol=1e-4)


def test_training_moves_the_adapter_and_nothing_else(adapted: AdaptedEncoder) -> None:
    before = {n: p.clone() for n, p in adapted._model.named_parameters()}
    coded = adapted.code(TEXTS[:1])
    with adapted.training():
        adapted.states(coded, adapted.lower(coded)).first.square().sum().backward()
    torch.optim.SGD(adapted.parameters(), lr=0.1).step()
    changed = {n for n, p in adapted._model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert changed <= adapted.state_dict().keys()
    assert all("lora" in n for n in changed)
    assert {n.split(".")[2] for n in changed} == {"4", "5"}


def test_what_is_saved_is_what_is_loaded(adapted: AdaptedEncoder, tmp_path: Path) -> None:
    moved(adapted)
    adapted.save(tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 3_000_000
    copy = AdaptedEncoder.load(tmp_path, device="cpu")
    coded = adapted.code(TEXTS)
    with torch.inference_mode():
        # The copy has its adapter merged into the encoder; that rounds.
        assert torch.allclose(adapted.states(coded).last, copy.states(coded).last, atol=1e-4)
    assert all(torch.equal(w, copy.state_dict()[n]) for n, w in adapted.state_dict().items())


def test_a_settled_adapter_can_be_trained_again(adapted: AdaptedEncoder) -> None:
    moved(adapted)
    coded = adapted.code(TEXTS)
    with torch.inference_mode():
        before = adapted.states(coded).last
    adapted.settle()
    with torch.inference_mode():
        assert torch.allclose(adapted.states(coded).last, before, atol=1e-4)
    with adapted.training():
        adapted.states(coded).first.square().sum().backward()
    assert all(p.grad is not None for p in adapted.parameters())


def test_what_was_merged_to_read_with_is_not_trained(
    adapted: AdaptedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extraction.adapters.computes_bf16", lambda: True)
    moved(adapted)
    adapted.save(tmp_path)
    merged = AdaptedEncoder.load(tmp_path, device="cpu")
    merged.merge()
    coded = adapted.code(TEXTS)
    with torch.inference_mode():
        exact, rounded = adapted.states(coded).last, merged.states(coded).last
    assert torch.nn.functional.cosine_similarity(exact, rounded, dim=-1).min() > 0.99
    with pytest.raises(ExtractionError, match="Load it again"), merged.training():
        pass


def test_seeds_decide_the_first_weights() -> None:
    one, same, other = (AdaptedEncoder(device="cpu", rank=2, first_layer=5, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[n], same[n]) for n in one)
    assert not all(torch.equal(one[n], other[n]) for n in one)


def test_a_damaged_adapter_is_named(adapted: AdaptedEncoder, tmp_path: Path) -> None:
    adapted.save(tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"half")
    with pytest.raises(ExtractionError, match="cannot be read"):
        AdaptedEncoder.load(tmp_path, device="cpu")


def test_another_bert_will_do(tmp_path: Path) -> None:
    """A tiny DistilBERT: other names of modules, no segments."""
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=30522, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    DistilBertModel(config).save_pretrained(tmp_path)
    source = Encoder(device="cpu").folder
    for name in ("tokenizer.json", "vocab.txt"):
        if (source / name).is_file():
            (tmp_path / name).write_bytes((source / name).read_bytes())
    tiny = AdaptedEncoder(tmp_path, device="cpu", rank=2, first_layer=1)
    coded = tiny.code(TEXTS)
    assert max(len(c.pieces) for c in coded) <= 64
    with torch.inference_mode():
        whole, continued = tiny.states(coded), tiny.states(coded, tiny.lower(coded))
    assert whole.first.shape[-1] == 16
    assert torch.allclose(whole.first[whole.present], continued.first[whole.present], atol=1e-4)
