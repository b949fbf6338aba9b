"""An encoder of another shape than MiniLM's, made by chance."""

from __future__ import annotations

from pathlib import Path

import torch

from extraction.encoder import Encoder


def tiny_bert(folder: Path, like: Encoder) -> Encoder:
    """A BERT of 16 numbers, two layers and 32 positions, saved in ``folder``, with another encoder's word pieces."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (like.folder / name).is_file():
            (folder / name).write_bytes((like.folder / name).read_bytes())
    return Encoder(folder, device="cpu")
