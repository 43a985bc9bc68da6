"""Any causal model of `transformers`, read greedily: none of its own settings of generation counts.

Prompts of different lengths are padded on the left, where attention is masked: a prompt is answered among others as
alone. The token that pads is never read, so a tokenizer need have none.

Shape legend: B batch, T tokens, N tokens that are asked for, V vocabulary.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers import checkpoint, hf_files, hf_prefix
from memory_bench.readers.attention import REFUSALS, AttentionKernel
from memory_bench.readers.attention_proof import observe
from memory_bench.readers.device import OnDevice, check_sizes
from memory_bench.readers.hf_prompts import Prompts
from memory_bench.readers.local import Slotted
from memory_bench.readers.model import LookUp, Past
from memory_bench.readers.prefix import PrefixCache
from memory_bench.readers.random_weights import DTYPES
from memory_bench.readers.tiny import choose_device
from memory_bench.types import Completion
from memory_bench.user_data import find_option

VARIABLE = "MEMORY_BENCH_HF_MODEL"
OTHER_THAN_SDPA = {"fa2_pkg": "flash_attention_2", "fa4_pkg": "flash_attention_4"}
"""Choices of attention that `transformers` calls by names of its own (`attn_implementation`)."""
PROBE = "Ready, " * 32
PAD = 0
"""Stands before the shorter of some rows; what Engram takes to stand before a text."""


class Graft(Slotted, Protocol):
    """A slot in a model of `transformers` (see `adapters/engram/grafted`). `look_up`: the rows that came with it."""

    @property
    def look_up(self) -> LookUp | None: ...

    def entering(self, embeddings: Mapping[int, Tensor]) -> AbstractContextManager[None]:
        """Return a context in which layer -> embeddings_BTE of the tokens that are read enter the model."""
        ...


class HfReader(OnDevice):
    """Greedy completion up to the first line break, a token that ends a text, or `max_new_tokens`.

    `model` is a folder or a name, null: what the environment's variable says. `prompt` is cloze or chat. What is put
    around a prompt is taken off the window before anybody counts on it. In an episode that carries its turns, keys and
    values of prompts are kept, up to `prefix_bytes`; not those of a model that cannot be cut (`hf_prefix`), nor with a
    kernel of attention that was named: what follows a prompt that is kept needs a mask, which such a one may not take.
    Raises BadInput where the model or an option is not what it should be, Unavailable where the kernel of attention
    cannot be had, or another one ran.
    """

    def __init__(
        self,
        model: str | None,
        *,
        prompt: str,
        device: str,
        dtype: str,
        window_tokens: int | None,
        max_new_tokens: int,
        batch_size: int,
        download: bool,
        trust_remote_code: bool,
        attention: AttentionKernel,
        prefix_bytes: int = 0,
        slot: Callable[..., Graft] | None = None,
        overlay: str | None = None,
    ) -> None:
        named = find_option("reader.model", model, VARIABLE)
        if batch_size < 1:
            raise BadInput(f"reader.batch_size={batch_size}: expected a whole number >= 1, such as 8")
        if dtype not in DTYPES:
            raise BadInput(f"reader.dtype={dtype}: expected one of {', '.join(DTYPES)}")
        self.device, self.dtype = choose_device(device), DTYPES[dtype]
        self.folder = hf_files.find(named, download=download)
        # a record is of any machine: of a folder it holds the last name
        self.name = self.folder.resolve().name if Path(named).expanduser().is_dir() else named
        self.tokenizer = hf_files.tokenizer(self.folder, named, trust_remote_code=trust_remote_code)
        self.prompts = Prompts(self.tokenizer, prompt, model=named)
        self.style = self.prompts.style
        self.model = loaded = hf_files.load(
            self.folder, named, dtype=self.dtype, device=self.device, trust_remote_code=trust_remote_code
        )
        self.frame_tokens = self.prompts.frame_tokens
        self.window_tokens = hf_files.window(loaded.config, named, window_tokens) - self.frame_tokens
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        check_sizes(self.window_tokens, max_new_tokens)
        self.takes = inspect.signature(loaded.forward).parameters.keys()
        if "past_key_values" not in self.takes:
            raise BadInput(
                f"reader.model={named}: {type(loaded).__name__} takes no past_key_values: give another model"
            )
        self.ends = _ends(loaded, self.tokenizer)
        self.attention = attention
        kept = not attention.named and hf_prefix.can_be_cut(loaded.config)
        self.prefixes = PrefixCache(prefix_bytes if kept else 0)
        self._slot, self.overlay = slot, overlay
        self.look_up: LookUp | None = None
        self._attend()
        if overlay is not None and self.slotted is not None:
            self.look_up = self.slotted.look_up

    @cached_property
    def slotted(self) -> Graft | None:
        """The model with a slot in it: made when it is first asked for, since all of the vocabulary is read for it."""
        if self._slot is None:
            return None
        alone = self.attention.engine.alone
        return self._slot(self.model, self.tokenizer, alone=alone, identity=self._of_model, overlay=self.overlay)

    def with_look_up(self, look_up: LookUp) -> Self:
        """Return a reader with the same weights whose slot reads from `look_up`."""
        other = copy(self)
        other.look_up = look_up
        return other

    def entering(self, tokens_BT: Tensor, new: int) -> AbstractContextManager[None]:
        """Return a context in which the last `new` of the tokens are read, and what the table holds for them enters."""
        if self.look_up is None or self.slotted is None:
            return nullcontext()
        found = self.look_up(tokens_BT)
        return self.slotted.entering({layer: embeddings_BTE[:, -new:] for layer, embeddings_BTE in found.items()})

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        """Return one completion a prompt. Raises BadInput if a prompt leaves no room in the window."""
        rows = [self.encode(prompt) for prompt in prompts]
        return [completion for batch in self._batches(rows) for completion in self._complete(batch)]

    @torch.inference_mode()
    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Return log p(continuation | prompt) in nats, summed over the tokens from where the text with the continuation
        parts from the prompt alone. Raises BadInput where they part at the first token, which nothing foretells."""
        alone = self.encode(prompt)
        rows = [self.encode(prompt, continuation) for continuation in continuations]
        starts = iter([_shared(alone, row) for row in rows])
        if self.prefixes.carries:
            reading = Reading(self, [alone])  # once for all continuations
            reading.log_probs(1)
            self._keep(reading)
        return [score for batch in self._batches(rows) for score in self._scores(batch, starts)]

    def _keep(self, reading: Reading) -> None:
        """Count what was not read of a prompt, since it had been before; keep the prompt that has just been read."""
        self.prefixes.count(reading.head)
        if self.prefixes.carries and reading.rows == 1:
            self.prefixes.keep(reading.past())

    def count_tokens(self, text: str) -> int:
        return self.prompts.count(text)

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text that stands alone. Raises BadInput where the model cannot read as many."""
        tokens = self.prompts.alone(text)
        if len(tokens) > (most := self.window_tokens + self.frame_tokens):
            raise BadInput(f"a text of {len(tokens)} tokens is to be written, {self.name} reads {most} at most")
        return tokens

    def encode(self, prompt: str, continuation: str = "") -> list[int]:
        """Return all tokens that the model is given. Raises BadInput if there are none, or too many."""
        tokens = self.prompts.encode(prompt, continuation)
        most = self.window_tokens + self.frame_tokens - (0 if continuation else self.max_new_tokens)
        if not 0 < len(tokens) <= most:
            raise BadInput(
                f"a prompt of {len(tokens)} tokens was given, between 1 and {most} fit {self.name}: "
                "lower budget_tokens or task.length_tokens"
            )
        return tokens

    def identity(self) -> Mapping[str, str]:
        """Return the sha256 of every file that the model, its tokenizer and its overlay are read from."""
        return {**self._of_model, **self._of_overlay}

    @cached_property
    def _of_overlay(self) -> Mapping[str, str]:
        return {} if self.overlay is None else {f"{self.name}/overlay": checkpoint.sha256(Path(self.overlay))}

    @cached_property
    def _of_model(self) -> Mapping[str, str]:
        return {f"{self.name}/{file.name}": checkpoint.sha256(file) for file in hf_files.files(self.folder)}

    def _batches(self, rows: list[list[int]]) -> Iterator[list[list[int]]]:
        """Yield rows that are read together, in their order."""
        # a kernel that was named may take no mask, and rows of one length need none
        alike = [list(run) for _, run in itertools.groupby(rows, len)] if self.attention.named else [rows]
        for run in alike:
            for start in range(0, len(run), self.batch_size):
                yield run[start : start + self.batch_size]

    def _complete(self, rows: list[list[int]], most: int | None = None) -> list[Completion]:
        """Answer prompts together, each with `most` tokens at most."""
        begun = time.perf_counter()
        reading = Reading(self, rows)
        written: list[list[int]] = [[] for _ in rows]
        logprobs, first_token_seconds = [0.0] * len(rows), None
        waiting = set(range(len(rows)))
        while waiting:
            best = reading.log_probs(1)[:, 0].max(-1)
            if first_token_seconds is None:
                self._keep(reading)
            tokens, values = best.indices.tolist(), best.values.tolist()
            first_token_seconds = first_token_seconds or time.perf_counter() - begun
            for row in waiting:
                written[row].append(tokens[row])
                logprobs[row] += values[row]
            full = len(max(written, key=len)) == (most or self.max_new_tokens)
            waiting = set() if full else {row for row in waiting if not self._ended(tokens[row])}
            reading.append(best.indices)
        return [
            Completion(self._text(tokens), len(row), len(tokens), self.cached_tokens(), logprob, first_token_seconds)
            for row, tokens, logprob in zip(rows, written, logprobs, strict=True)
        ]

    def _ended(self, token: int) -> bool:
        return token in self.ends or "\n" in self.tokenizer.decode([token])

    def _text(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.partition("\n")[0].strip()

    def _scores(self, rows: list[list[int]], starts: Iterator[int]) -> Iterator[float]:
        asked = [len(row) - next(starts) for row in rows]
        first = min(len(row) - length for length, row in zip(asked, rows, strict=True))
        if not first:
            raise BadInput("nothing stands before what is to be scored: give a longer prompt")
        log_probs_BNV = Reading(self, rows, most=first - 1).log_probs(max(asked) + 1)[:, :-1]
        for row, length, log_probs_NV in zip(rows, asked, log_probs_BNV, strict=True):
            targets_N = torch.tensor(row[len(row) - length :], device=self.device)
            yield log_probs_NV[len(log_probs_NV) - length :].gather(1, targets_N[:, None]).sum().item()

    def _attend(self) -> None:
        """Have attention computed as was asked for. Raises Unavailable where that is not what one answer ran."""
        if not self.attention.named:
            return
        config, wanted = self.model.config, OTHER_THAN_SDPA.get(self.attention.name, "sdpa")
        text = config.get_text_config()
        head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.attention.ready(self.device, self.dtype, head_width=head_width)
        try:
            self.model.set_attn_implementation(wanted)
            if config._attn_implementation != wanted:
                raise ValueError(f"transformers computes {config._attn_implementation} in its place")
            probe = self.prompts.encode(PROBE)[: self.window_tokens - 2]
            with torch.inference_mode():
                seen = observe(partial(self._complete, [probe], 2), self.device)
        except (*REFUSALS, ImportError) as error:
            raise Unavailable(
                f"attention={self.attention.name}: {type(self.model).__name__} does not compute it by {wanted} "
                f"({' '.join(str(error).split())}): type attention=auto"
            ) from error
        self.attention.proves(seen, self.device)


class Reading:
    """What was read of some rows, padded on the left to one length, and its keys and values.

    What all of them begin with, and a prompt that is kept began with, is not read again: `head`, of `most` tokens at
    most. The padding stands behind it.
    """

    def __init__(self, reader: HfReader, rows: list[list[int]], most: int | None = None) -> None:
        self._reader, self.rows = reader, len(rows)
        self.head = self._head(rows, min(map(len, rows)) - 1 if most is None else most)
        length, begun = max(map(len, rows)), self.head.length
        padded = [[*row[:begun], *[PAD] * (length - len(row)), *row[begun:]] for row in rows]
        self._all_BT = torch.tensor(padded, device=reader.device)
        self._new_BT = self._all_BT[:, begun:]
        places_T, padding_B1 = torch.arange(length), torch.tensor([[length - len(row)] for row in rows])
        mask_BT = ((places_T < begun) | (places_T >= begun + padding_B1)).long().to(reader.device)
        self._mask_BT = None if bool(mask_BT.all()) else mask_BT
        self._past = hf_prefix.cache_of(self.head, reader.model.config, rows=len(rows)) if begun else None

    def _head(self, rows: list[list[int]], most: int) -> Past:
        # with padding amid a row, what a table holds for its n-grams would be another
        if len({len(row) for row in rows}) > 1 and self._reader.look_up is not None:
            return Past()
        common = rows[0][
            : min(most, *(_shared(rows[0], row) for row in rows)) + 1
        ]  # what follows the last is asked for
        return self._reader.prefixes.head(torch.tensor([common], device=self._reader.device), self._reader.look_up)

    def past(self) -> Past:
        """Return what is kept of the one row that was read."""
        return hf_prefix.past_of(self._past, self._all_BT, self._reader.look_up)

    def log_probs(self, last: int) -> Tensor:
        """Read what is new and return the log-probabilities of what follows its last tokens: float32 [B, last, V]."""
        options: dict[str, Any] = {"use_cache": True, "past_key_values": self._past}
        if self._mask_BT is not None:
            options["attention_mask"] = self._mask_BT
            if "position_ids" in self._reader.takes:
                places_BT = (self._mask_BT.cumsum(-1) - 1).clamp(min=0)
                options["position_ids"] = places_BT[:, -self._new_BT.shape[1] :]
        if "logits_to_keep" in self._reader.takes:
            options["logits_to_keep"] = last
        entering = self._reader.entering(self._all_BT, self._new_BT.shape[1])
        with self._reader.attention.engine.alone(), entering:
            out = self._reader.model(input_ids=self._new_BT, **options)
        self._past = out.past_key_values
        log_probs_BNV: Tensor = out.logits[:, -last:].float().log_softmax(-1)
        return log_probs_BNV

    def append(self, tokens_B: Tensor) -> None:
        """Let a token follow each row."""
        self._new_BT = tokens_B[:, None]
        self._all_BT = torch.cat([self._all_BT, self._new_BT], dim=1)
        if self._mask_BT is not None:
            self._mask_BT = torch.cat([self._mask_BT, self._mask_BT.new_ones(len(tokens_B), 1)], dim=1)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a text, by the model's settings and by the tokenizer's."""
    settings = getattr(model, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    several = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens from the first on are the same."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
