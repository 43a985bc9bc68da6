"""A sentence encoder made from nothing: the mean of random vectors of words, saved as sentence-transformers does."""

from __future__ import annotations

from pathlib import Path

DIMENSIONS = 48
WORDS = "the access code of gate is 17 4411 what lunch at noon in hall".split()


def save(folder: Path) -> Path:
    """Return the folder, with the model in it. Texts that share words are near; one of no words has no direction."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["?", *WORDS])}, unk_token="?"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    words = StaticEmbedding(tokenizer, embedding_dim=DIMENSIONS)
    SentenceTransformer(modules=[words], device="cpu").save(str(folder), create_model_card=False)
    return folder
