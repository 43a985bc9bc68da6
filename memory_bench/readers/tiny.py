"""The bundled reader: a small transformer that was trained to read, and knows nothing.

Shape legend: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Literal, Self

import torch
from tokenizers import Tokenizer
from torch import Tensor

from memory_bench.errors import BadInput
from memory_bench.readers import checkpoint
from memory_bench.readers.attention import AttentionKernel
from memory_bench.readers.buffers import keep_large_buffers
from memory_bench.readers.device import OnDevice, check_sizes
from memory_bench.readers.local import Bias
from memory_bench.readers.model import LookUp, Past, Slot, TinyModel
from memory_bench.readers.prefix import PrefixCache
from memory_bench.readers.training.tokenizer import PAD
from memory_bench.types import Completion


class TinyReader(OnDevice):
    """Greedy completion of plain text, up to the first newline.

    `weights` names a bundled checkpoint or a folder; `device` is auto, cpu, cuda or mps; `slot` makes the Engram slot
    that the checkpoint was trained with (an empty table is the identity). Keys and values of a prompt are kept while it
    is answered; from one prompt to the next, up to `prefix_bytes` of them, only in an episode that carries its turns.
    """

    style: Literal["cloze", "chat"] = "cloze"

    def __init__(
        self,
        weights: str,
        *,
        device: str,
        window_tokens: int,
        max_new_tokens: int,
        threads: int | None = None,
        slot: Callable[..., Slot] | None = None,
        attention: AttentionKernel | None = None,
        prefix_bytes: int = 0,
    ) -> None:
        check_sizes(window_tokens, max_new_tokens, threads)
        if threads is not None:
            torch.set_num_threads(threads)
        keep_large_buffers()
        self.folder = checkpoint.find(weights)
        self.device = choose_device(device)
        self.dtype = torch.float32
        self.window_tokens = window_tokens
        self.max_new_tokens = max_new_tokens
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(checkpoint.TOKENIZER))
        self.newline = self.tokenizer.encode("\n").ids[0]
        self.pad = self.tokenizer.token_to_id(PAD)
        self.model = checkpoint.load(self.folder, slot).to(self.device)
        if attention is not None:
            head_width = self.model.shape.width // self.model.shape.heads
            self.model.attend_with(attention.ready(self.device, self.dtype, head_width=head_width))
        self.look_up: LookUp | None = None
        self.biases: tuple[Bias, ...] = ()
        self.prefixes = PrefixCache(prefix_bytes)

    @property
    def slotted(self) -> TinyModel:
        return self.model

    def with_look_up(self, look_up: LookUp) -> Self:
        """Return a reader with the same weights whose slot reads from `look_up`."""
        other = copy(self)
        other.look_up = look_up
        return other

    def with_bias(self, bias: Bias) -> Self:
        """Return a reader with the same weights whose logits `bias` is added to, besides what was added before."""
        other = copy(self)
        other.biases = (*self.biases, bias)
        return other

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        """Return one completion a prompt. Raises BadInput if a prompt leaves no room in the window."""
        return [self._complete(tokens) for tokens in [self.encode(prompt) for prompt in prompts]]

    def _complete(self, prompt: list[int]) -> Completion:
        begun = time.perf_counter()
        past = self._read(prompt)
        written: list[int] = []
        logprob, first_token_seconds = 0.0, None
        while len(written) < self.max_new_tokens and written[-1:] != [self.newline]:
            if written:
                self.model(self.batch([written[-1:]]), self.look_up, past)
            best = self._next(past).max(-1)
            first_token_seconds = first_token_seconds or time.perf_counter() - begun
            written.append(int(best.indices))
            logprob += best.values.item()
        return Completion(
            text=self.tokenizer.decode([token for token in written if token != self.newline]).strip(),
            prompt_tokens=len(prompt),
            completion_tokens=len(written),
            cached_tokens=self.cached_tokens(),
            logprob=logprob,
            first_token_seconds=first_token_seconds,
        )

    def _read(self, prompt: list[int]) -> Past:
        """Read a prompt from where it is new on, and count what was not."""
        tokens_BT = self.batch([prompt])
        past = self.prefixes.head(tokens_BT, self.look_up)
        self.prefixes.count(past)
        self.model(tokens_BT[:, past.length :], self.look_up, past)
        self.prefixes.keep(past)
        return past

    @torch.inference_mode()
    def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Return log p(continuation | prompt) in nats, summed over the tokens of each continuation.

        A continuation begins with its space: token boundaries are those of the prompt and it written as one text.
        """
        tokens = self.encode(prompt)
        if self.prefixes.carries:
            self._read(tokens)  # once for all continuations
        return [self._score(self.encode(prompt, continuation), len(tokens)) for continuation in continuations]

    def _score(self, tokens: list[int], start: int) -> float:
        """Return the log-probability of the tokens from `start` on."""
        tokens_BT = self.batch([tokens])
        positions_BQ = torch.arange(start - 1, len(tokens) - 1, device=self.device)[None]
        past = self.prefixes.head(tokens_BT, self.look_up)
        self.model(tokens_BT[:, past.length :], self.look_up, past)
        hidden_BTD = past.hidden_BTD
        assert hidden_BTD is not None
        log_probs_BQ = self.model.target_log_probs(hidden_BTD, tokens_BT, positions_BQ, tokens_BT[:, start:])
        total: float = log_probs_BQ.sum().item()
        if not self.biases:
            return total
        every_QV = self.model.next_log_probs(hidden_BTD, tokens_BT, positions_BQ)[0]
        # what the biases change, on top of the same sum: where they add nothing, not a bit of it moves
        moved: float = sum(
            (self._biased(log_probs_V, tokens[:place]) - log_probs_V)[tokens[place]].item()
            for place, log_probs_V in enumerate(every_QV, start=start)
        )
        return total + moved

    def count_tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text).ids)

    def tokens(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer.encode(text).ids
        return tokens

    def encode(self, prompt: str, continuation: str = "") -> list[int]:
        """Return the token ids of a prompt, which leaves room for an answer, or of a prompt with one that is given.

        Raises BadInput if it is empty or exceeds the window.
        """
        tokens = self.tokens(prompt + continuation)
        most = self.window_tokens - (0 if continuation else self.max_new_tokens)
        if not 0 < len(tokens) <= most:
            raise BadInput(
                f"a prompt of {len(tokens)} tokens was given, between 1 and {most} "
                "fit: lower budget_tokens or task.length_tokens"
            )
        return tokens

    def batch(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Return tokens_BT, padded on the right: causal attention without positions never sees the padding."""
        length = max(len(row) for row in rows)
        return torch.tensor([[*row, *[self.pad] * (length - len(row))] for row in rows], device=self.device)

    def _next(self, past: Past) -> Tensor:
        """Return the log-probabilities of what follows the tokens that were read: [V]."""
        assert past.hidden_BTD is not None
        assert past.tokens_BT is not None
        last_BQ = torch.tensor([[past.length - 1]], device=self.device)
        log_probs_V = self.model.next_log_probs(past.hidden_BTD, past.tokens_BT, last_BQ)[0, 0]
        return self._biased(log_probs_V, past.tokens_BT[0].tolist()) if self.biases else log_probs_V

    def _biased(self, log_probs_V: Tensor, tokens: Sequence[int]) -> Tensor:
        """Return log_probs_V of what follows the tokens with the biases added: the same bits where they add nothing."""
        for added in (bias(tokens) for bias in self.biases):
            if added:
                places = torch.tensor(list(added), device=self.device)
                values = torch.tensor(list(added.values()), dtype=log_probs_V.dtype, device=self.device)
                log_probs_V = log_probs_V.index_add(0, places, values).log_softmax(-1)
        return log_probs_V

    def identity(self) -> Mapping[str, str]:
        """Return the sha256 of the weights, of their configuration and of the tokenizer."""
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {
            f"{self.folder.name}/model.safetensors": config["model_sha256"],
            f"{self.folder.name}/config.json": checkpoint.sha256(self.folder / "config.json"),
            "tokenizer.json": config["tokenizer_sha256"],
        }


def choose_device(name: str) -> torch.device:
    """Return the device. `auto` is the GPU where there is one. Raises BadInput if the device is not here."""
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise BadInput(f"reader.device={name}: expected auto, cpu, cuda or mps")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise BadInput("reader.device=mps: this torch sees no Apple GPU; type reader.device=cpu")
        return torch.device("mps")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("reader.device=cuda: this torch sees no GPU; type reader.device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
