"""Which kernel computes attention: one that is named, can run here and is proved to run, or the one torch chooses.

The choice changes what attention costs, never what it computes beyond rounding: `equivalence` measures that against
float64, and timings of a kernel that fails it mean nothing. It imports torch alone, so that a
bare machine with a GPU can use it.

Shape legend: B batch, H heads, Q queries, T keys, C head width.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every PyTorch code uses
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from memory_bench.errors import Unavailable

Attend = Callable[..., Tensor]
"""query_BHQC, key_BHTC, value_BHTC, attn_mask=, is_causal= -> mixed_BHQC, as `scaled_dot_product_attention` does."""

HALVES = (torch.float16, torch.bfloat16)
BOUNDS = {torch.float32: 2e-6, torch.bfloat16: 5e-3, torch.float16: 5e-3}
LONG_KEYS, LONG_BOUND = 16_384, 1e-5
"""Sums over so many keys round more: the bound in float32 from there on."""
WORSE_THAN_MATH = 2.0


@dataclass(frozen=True)
class Proof:
    """What one profiled call ran: the operator, and on a GPU the kernel."""

    operator: str
    kernel: str | None


@dataclass(frozen=True)
class Equivalence:
    """Relative errors against float64, by the Euclidean norm: of a kernel, and of the plain formula in its dtype."""

    error: float
    error_of_math: float
    bound: float

    @property
    def passes(self) -> bool:
        return self.error <= self.bound and self.error <= WORSE_THAN_MATH * self.error_of_math


@dataclass(frozen=True)
class AttentionKernel:
    """One choice. `backend` None: torch chooses. `operator` and `kernel` are (parts of) the names that prove it."""

    name: str
    text: str
    backend: SDPBackend | None
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
        with self._alone():
            return F.scaled_dot_product_attention(query_BHQC, key_BHTC, value_BHTC, attn_mask, is_causal=is_causal)

    def ready(self, device: torch.device, dtype: torch.dtype, *, head_width: int) -> Attend:
        """Return what computes attention here. Raises Unavailable where the kernel cannot, or something else ran."""
        if self.backend is None:
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
        with warnings.catch_warnings(record=True) as said:  # torch warns of each condition that is not met
            warnings.simplefilter("always")
            try:
                self(*_example(device, dtype, keys=32, head_width=head_width), is_causal=True)
            except RuntimeError as error:
                return " ".join(f"{error} {'; '.join(str(one.message) for one in said)}".split())
        return None

    def proved(self, device: torch.device, dtype: torch.dtype, *, head_width: int = 64) -> Proof:
        """Return what one profiled call ran. Raises Unavailable where it is not what the name says."""
        inputs = _example(device, dtype, keys=128, head_width=head_width)
        on_gpu = device.type == "cuda"
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler writes to stderr that it starts and stops
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiled:
            self(*inputs, is_causal=True)
            if on_gpu:
                torch.cuda.synchronize(device)
        ran = [event.key for event in profiled.key_averages()]
        operators = [name for name in ran if name.startswith("aten::_scaled_dot_product") and self.operator in name]
        kernels = [name for name in ran if "::" not in name[:6] and self.kernel in name] if on_gpu else []
        if not operators or (on_gpu and self.kernel and not kernels):
            missing = self.kernel if operators else self.operator
            raise Unavailable(f"attention={self.name}: {missing} did not run, but {', '.join(ran)}; choose another one")
        return Proof(operators[0], kernels[0] if self.kernel and kernels else None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let torch have this backend and no other: of two it would silently take the one that it likes."""
        if self.backend is None:
            yield
            return
        with sdpa_kernel(self.backend):
            yield


CHOICES = (
    AttentionKernel("auto", "what torch chooses", None, ("cpu", "cuda"), (torch.float32, torch.float64, *HALVES)),
    AttentionKernel(
        "off_math",
        "off: the plain formula",
        SDPBackend.MATH,
        ("cpu", "cuda"),
        (torch.float32, torch.float64, *HALVES),
        "aten::_scaled_dot_product_attention_math",
    ),
    AttentionKernel(
        "cpu_flash",
        "on: torch's flash kernel for the CPU",
        SDPBackend.FLASH_ATTENTION,
        ("cpu",),
        (torch.float32, torch.float64, *HALVES),
        "aten::_scaled_dot_product_flash_attention_for_cpu",
    ),
    AttentionKernel(
        "fa2_sdpa",
        "on: FlashAttention-2 as bundled by torch",
        SDPBackend.FLASH_ATTENTION,
        ("cuda",),
        HALVES,
        "aten::_scaled_dot_product_flash_attention",
        "flash_fwd",
    ),
)
"""Every choice of `conf/attention/`, and what proves it."""


def choose(name: str) -> AttentionKernel:
    """Return a choice by its name."""
    return {kernel.name: kernel for kernel in CHOICES}[name]


def equivalence(
    kernel: AttentionKernel, device: torch.device, dtype: torch.dtype, *, keys: int, head_width: int = 64
) -> Equivalence:
    """Compare a kernel and the plain formula with causal attention in float64, all over the same rounded inputs."""
    inputs = _example(device, dtype, keys=keys, head_width=head_width)
    exact = _plain(*(tensor.double() for tensor in inputs))
    error, error_of_math = (_relative(one(*inputs, is_causal=True), exact) for one in (kernel, choose("off_math")))
    bound = LONG_BOUND if dtype == torch.float32 and keys >= LONG_KEYS else BOUNDS[dtype]
    return Equivalence(error, error_of_math, bound)


def _plain(query_BHQC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor) -> Tensor:
    scores_BHQT = query_BHQC @ key_BHTC.transpose(-1, -2) / math.sqrt(query_BHQC.shape[-1])
    later_QT = torch.ones(scores_BHQT.shape[-2:], dtype=torch.bool, device=scores_BHQT.device).triu(1)
    return scores_BHQT.masked_fill(later_QT, -math.inf).softmax(-1) @ value_BHTC


def _relative(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def _example(device: torch.device, dtype: torch.dtype, *, keys: int, head_width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)  # of the CPU: the same inputs on every device
    drawn = torch.randn(3, 1, 2, keys, head_width, generator=generator).to(device, dtype)
    return drawn[0], drawn[1], drawn[2]


def _shown(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def lower_right(queries: int, keys: int) -> Tensor:
    """Return the mask of the last tokens of many: each sees all keys up to itself.

    `is_causal` would be aligned at the upper left. Told by its shape, since a flash kernel of a GPU takes no mask.
    """
    from torch.nn.attention.bias import causal_lower_right  # with torch's compiler: a second, and few prompts need it

    return causal_lower_right(queries, keys)
