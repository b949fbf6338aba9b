"""The sentence encoder: shapes, meaning, and what is said when its weights are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from extraction import encoder as module
from extraction.encoder import MINILM_SHA256, Encoder
from kg.errors import ExtractionError
from tests.extraction.tiny import tiny_bert


def test_vectors_have_unit_length_whatever_the_text(encoder: Encoder) -> None:
    vectors = encoder.encode(["The sound is great.", "", "x" * 10_000, "声音", "\ud800", "word " * 5000])
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-3)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx512_bf16 amx_bf16 amx_tile", True), ("avx512_bf16 avx512_fp16", False), ("avx2", False)],
)
def test_bf16_is_computed_in_tiles_alone(monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    assert module.computes_bf16.__wrapped__() is expected


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_order_and_batching_do_not_matter(encoder: Encoder) -> None:
    texts = [
        "strap",
        "The strap broke after two weeks of use.",
        "good",
        "It is the best tripod that I ever had, by far.",
    ]
    together = encoder.encode(texts)
    alone = np.vstack([encoder.encode([t]) for t in texts])
    small = Encoder(device="cpu", batch_tokens=8).encode(texts)
    # bf16 sums in another order for another batch.
    assert together == pytest.approx(alone, abs=2e-2)
    assert together == pytest.approx(small, abs=2e-2)


def test_an_encoder_of_few_positions_is_given_no_more_pieces(encoder: Encoder, tmp_path: Path) -> None:
    tiny = tiny_bert(tmp_path, encoder)
    long = ["strap"] * 300
    assert tiny.encode([" ".join(long), "x"]).shape == (2, 16)
    (words,) = tiny.encode_words([long])
    assert words.shape == (300, 16)
    # 32 positions, of which the first and the last are the sentence's marks.
    assert np.flatnonzero(words.any(axis=1)).tolist() == list(range(30))


def test_like_means_like(encoder: Encoder) -> None:
    strap, sling, soup = encoder.encode(["a camera strap", "a sling for a camera", "a bowl of soup"])
    assert strap @ sling > strap @ soup + 0.2


def test_the_fingerprint_is_that_of_the_published_weights(encoder: Encoder) -> None:
    assert encoder.fingerprint == MINILM_SHA256[:12]
    assert encoder.dimensions == 384


def test_other_weights_under_the_name_of_minilm_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    monkeypatch.setattr(module, "_installed_minilm", lambda: tmp_path)
    with pytest.raises(ExtractionError, match="is not the published all-MiniLM-L6-v2"):
        Encoder().encode(["x"])


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"weights .*model\.safetensors cannot be read .*KG_ENCODER"):
        _ = Encoder(tmp_path).fingerprint


def test_a_folder_with_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ExtractionError, match="holds no encoder"):
        Encoder(tmp_path, device="cpu").encode(["x"])
