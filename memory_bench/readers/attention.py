"""Which kernel computes attention: one that is named, can run here and is proved to run, or the one torch chooses.

The choice changes what attention costs, never what it computes beyond rounding (`attention_equivalence` measures that).
It imports torch alone, so that a bare machine with a GPU can use it.

Not offered: FlashAttention-3 and -4 through torch (`activate_flash_attention_impl`), which change what every call of
the process runs, and not of this reader alone; and FlexAttention, which without a compiler is the plain formula.

Shape legend: B batch, H heads, Q queries, T keys, C head width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memory_bench.errors import Unavailable
from memory_bench.readers import attention_proof
from memory_bench.readers.attention_packages import Package
from memory_bench.readers.attention_proof import Observed, Proof, observe

Attend = Callable[..., Tensor]
"""query_BHQC, key_BHTC, value_BHTC, attn_mask=, is_causal= -> mixed_BHQC, as `scaled_dot_product_attention` does."""

REFUSALS = (RuntimeError, AssertionError, ValueError)
"""How libraries say that they cannot: packages assert what they expect of a GPU."""
HALVES = (torch.float16, torch.bfloat16)
ALL = (torch.float32, torch.float64, *HALVES)


class Engine(Protocol):
    """What computes attention."""

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor: ...

    def missing(self) -> str | None:
        """Return what is not installed as it should be, with the line that mends it."""

    def alone(self) -> AbstractContextManager[object]:
        """Return a context in which torch's own attention, called by somebody else, takes no other kernel."""


@dataclass(frozen=True)
class Sdpa:
    """Torch's own attention, by one backend: of two it would silently take the one that it likes. None: any."""

    backend: SDPBackend | None

    def __call__(
        self, query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, attn_mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        if self.backend is None:
            return F.scaled_dot_product_attention(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal=is_causal)
        with sdpa_kernel(self.backend):
            return F.scaled_dot_product_attention(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal=is_causal)

    def missing(self) -> None: ...

    def alone(self) -> AbstractContextManager[object]:
        return nullcontext() if self.backend is None else sdpa_kernel(self.backend)


@dataclass(frozen=True)
class AttentionKernel:
    """One choice. `operator` and `kernel` are parts of the names that prove it; without either torch may choose."""

    name: str
    text: str
    engine: Engine
    devices: tuple[str, ...]
    dtypes: tuple[torch.dtype, ...]
    operator: str = ""
    kernel: str = ""

    def __call__(
        self,
        query_BHQC: Tensor,
        key_BHTC: Tensor,
        value_BHTC: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        return self.engine(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal)

    @property
    def named(self) -> bool:
        return bool(self.operator or self.kernel)

    def ready(self, device: torch.device, dtype: torch.dtype, *, head_width: int) -> Attend:
        """Return what computes attention here. Raises Unavailable where the kernel cannot, or something else ran."""
        if not self.named:
            return F.scaled_dot_product_attention
        if reason := self.lacks(device, dtype, head_width=head_width):
            can = ", ".join(kernel.name for kernel in CHOICES if not kernel.lacks(device, dtype, head_width=head_width))
            raise Unavailable(
                f"attention={self.name} cannot run here: {reason}; with {_shown(dtype)} on {device.type} can run: {can}"
            )
        self.proved(device, dtype, head_width=head_width)
        return self

    def lacks(self, device: torch.device, dtype: torch.dtype, *, head_width: int = 64) -> str | None:
        """Return why the kernel cannot run, as torch says it where one call fails; None where it can."""
        if device.type not in self.devices:
            return f"it runs on {' and '.join(self.devices)}, the device is {device.type}"
        if dtype not in self.dtypes:
            return f"it computes in {', '.join(map(_shown, self.dtypes))}, the reader in {_shown(dtype)}"
        if reason := self.engine.missing() or _without_type(device, dtype):
            return reason
        with warnings.catch_warnings(record=True) as said:  # torch warns of each condition that is not met
            warnings.simplefilter("always")
            try:
                self(*example(device, dtype, keys=32, head_width=head_width), is_causal=True)
            except REFUSALS as error:
                return " ".join(f"{error} {'; '.join(str(one.message) for one in said)}".split())
        return None

    def proved(self, device: torch.device, dtype: torch.dtype, *, head_width: int = 64) -> Proof:
        """Return what one profiled call ran. Raises Unavailable where it is not what the name says."""
        inputs = example(device, dtype, keys=128, head_width=head_width)
        return self.proves(observe(lambda: self(*inputs, is_causal=True), device), device)

    def proves(self, seen: Observed, device: torch.device) -> Proof:
        """Return what ran in a call, a whole network's too. Raises Unavailable where it is not what the name says, or
        where another kernel ran beside it."""
        found = attention_proof.find(seen.ran, self.operator, self.kernel, on_gpu=device.type == "cuda")
        if isinstance(found, str):
            raise Unavailable(f"attention={self.name}: {found}; choose another one")
        return found


CHOICES = (
    AttentionKernel("auto", "what torch chooses", Sdpa(None), ("cpu", "cuda", "mps"), ALL),
    AttentionKernel(
        "off_math", "off: the plain formula", Sdpa(SDPBackend.MATH), ("cpu", "cuda", "mps"), ALL,
        "aten::_scaled_dot_product_attention_math",
    ),
    AttentionKernel(
        "cpu_flash", "on: torch's flash kernel for the CPU", Sdpa(SDPBackend.FLASH_ATTENTION), ("cpu",), ALL,
        "aten::_scaled_dot_product_flash_attention_for_cpu",
    ),
    AttentionKernel(
        "fa2_sdpa", "on: FlashAttention-2 as bundled by torch", Sdpa(SDPBackend.FLASH_ATTENTION), ("cuda",), HALVES,
        "aten::_scaled_dot_product_flash_attention", "flash_fwd",
    ),
    AttentionKernel(
        "cudnn_sdpa", "on: cuDNN's fused attention, through torch", Sdpa(SDPBackend.CUDNN_ATTENTION), ("cuda",), HALVES,
        "aten::_scaled_dot_product_cudnn_attention", "cudnn",
    ),
    AttentionKernel(
        "sdpa_efficient", "on: memory-efficient attention, through torch", Sdpa(SDPBackend.EFFICIENT_ATTENTION),
        ("cuda",), (torch.float32, *HALVES), "aten::_scaled_dot_product_efficient_attention", "fmha",
    ),
    AttentionKernel(
        "fa2_pkg", "on: FlashAttention-2 by its own package",
        Package("flash-attn", "2.7", "flash_attn", "pip install --no-build-isolation 'flash-attn>=2.7'"),
        ("cuda",), HALVES, "_flash_attn_forward", "flash_fwd",
    ),
    AttentionKernel(
        "fa4_pkg", "on: FlashAttention-4 by its own package, of which there are pre-releases only",
        Package("flash-attn-4", "4.0.0b36", "flash_attn.cute", "pip install --pre 'flash-attn-4>=4.0.0b36'"),
        ("cuda",), HALVES, "", "flash_attncute",
    ),
)  # fmt: skip
"""Every choice of `conf/attention/`, and what proves it."""


def choose(name: str) -> AttentionKernel:
    """Return a choice by its name."""
    return {kernel.name: kernel for kernel in CHOICES}[name]


def example(device: torch.device, dtype: torch.dtype, *, keys: int, head_width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return query_BHQC, key_BHTC and value_BHTC of two heads, the same on every device."""
    generator = torch.Generator().manual_seed(0)  # of the CPU
    drawn = torch.randn(3, 1, 2, keys, head_width, generator=generator).to(device, dtype)
    return drawn[0], drawn[1], drawn[2]


def lower_right(queries: int, keys: int) -> Tensor:
    """Return the mask of the last tokens of many: each sees all keys up to itself.

    `is_causal` would be aligned at the upper left. Told by its shape, since a flash kernel of a GPU takes no mask.
    """
    from torch.nn.attention.bias import causal_lower_right  # with torch's compiler: a second, and few prompts need it

    return causal_lower_right(queries, keys)


def _without_type(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return that a GPU has no bfloat16 of its own: torch would compute it in another type."""
    if device.type != "cuda" or dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return f"{torch.cuda.get_device_name(device)} has no bfloat16: type reader.dtype=float16"


def _shown(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
