"""Small checkpoints of real families of models, each with a real tokenizer, saved as `transformers` saves them.

llama   two heads share their keys; a first token before each text; words with a mark for the space; no token that pads
qwen2   no first token; a chat template; a token that pads
gpt2    learned positions; one token that begins, ends and is no padding
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from memory_bench.readers import attention
from memory_bench.readers.hf import HfReader

WINDOW, VOCABULARY = 1024, 340
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": WINDOW}
LINES = ["The access code of gate 17 is 4411", "What is the access code of gate 23?", "Lunch is served at noon\n"] * 4
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS: dict[str, dict[str, Any]] = {
    "llama": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "qwen2": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>"]},
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
}
FAMILIES = tuple(MARKS)
OPTIONS = {
    "prompt": "cloze",
    "device": "cpu",
    "dtype": "float32",
    "window_tokens": None,
    "max_new_tokens": 8,
    "batch_size": 3,
    "download": False,
    "trust_remote_code": False,
}
PROMPTS = ["The access code of gate 17 is", "What is", "Lunch is served at noon\n" * 4 + "Lunch is", "gate 23? Lunch"]


def save(
    folder: Path,
    family: str,
    *,
    chain: str | None = None,
    lines: Sequence[str] = LINES,
    vocabulary: int = VOCABULARY,
    **sizes: int,
) -> Path:
    """Return the folder, with a model of random weights in it; of a `chain`, with one that writes that text and
    nothing else, from whichever of its tokens on the prompt ends with. The tokenizer was trained on the lines."""
    tokenizer = saved_tokenizer(folder, family, lines, vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_model(family, tokenizer, **sizes)
        for parameter in model.parameters():
            if parameter.ndim > 1:  # larger than at the start of a training: answers differ from prompt to prompt
                torch.nn.init.normal_(parameter, std=2 / math.sqrt(parameter.shape[-1]))
    if chain is not None:
        tie(model, tokenizer.encode(chain, add_special_tokens=False))
    model.save_pretrained(folder)
    return folder


def new_model(family: str, tokenizer: Any, **others: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    sizes: dict[str, Any] = SIZES | {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **others,
    }
    if family == "gpt2":
        return GPT2LMHeadModel(GPT2Config(**sizes))
    sizes |= {"intermediate_size": 64, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes)) if family == "llama" else Qwen2ForCausalLM(Qwen2Config(**sizes))


def tie(model: Any, tokens: list[int]) -> None:
    """Make each token follow the one before it: layers add nothing, and the head knows the embedding of that one."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for before, after in itertools.pairwise(tokens):
            row = model.model.embed_tokens.weight[before]
            model.lm_head.weight[after] += 8 * row / row.norm()


def saved_tokenizer(folder: Path, family: str, lines: Sequence[str] = LINES, vocabulary: int = VOCABULARY) -> Any:
    """Return a tokenizer that was trained on a few lines, and save it."""
    from transformers import PreTrainedTokenizerFast

    trained = _of_words(lines, vocabulary) if family == "llama" else _of_bytes(family, lines, vocabulary)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=trained, **MARKS[family])  # type: ignore[no-untyped-call]
    if family == "qwen2":
        wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)
    return wrapped


def _of_bytes(family: str, lines: Sequence[str], vocabulary: int) -> Tokenizer:
    """Pairs of bytes, as in GPT-2, Qwen and Llama 3."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(lines, _trainer(family, vocabulary, initial_alphabet=alphabet))
    return trained


def _of_words(lines: Sequence[str], vocabulary: int) -> Tokenizer:
    """Pairs of characters behind a mark for a space, bytes for all else, as in Llama 2: a line break is a byte."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trained.train_from_iterator([line.strip() for line in lines], _trainer("llama", vocabulary))
    held = json.loads(trained.to_str())["model"]
    for byte in range(256):
        held["vocab"][f"<0x{byte:02X}>"] = len(held["vocab"])
    merges = [tuple(pair) for pair in held["merges"]]
    first = MARKS["llama"]["bos_token"]
    trained.model = models.BPE(held["vocab"], merges, byte_fallback=True, unk_token="<unk>")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    trained.decoder = decoders.Sequence(parts)
    trained.post_processor = processors.TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, trained.token_to_id(first))]
    )
    return trained


def _trainer(family: str, vocabulary: int, **options: Any) -> trainers.BpeTrainer:
    several = ([mark] if isinstance(mark, str) else mark for mark in MARKS[family].values())
    special = list(dict.fromkeys(mark for marks in several for mark in marks))
    return trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False, **options)


def made(model: Path | str | None, **options: Any) -> HfReader:
    """Return the reader of a model by its folder or its name."""
    chosen = attention.choose(options.pop("attention", "auto"))
    named = None if model is None else str(model)
    return HfReader(named, **{**OPTIONS, "attention": chosen, **options})
