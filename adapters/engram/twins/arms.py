"""The arms: the same backbone with Engram, without it, and with Engram that lacks one thing.

    dense          the backbone alone
    engram         rows of n-grams of 2 and 3 tokens enter before blocks 1 and 2
    iso_parameter  no table: a wider backbone with as many parameters
    iso_flop       Engram in a backbone whose feed-forward part gave up what keys and values cost
    capacity_1     each head has one row: is the table a memory at all?
    salted         every sequence has rows of its own: the noise of a table without its content
    order_1        rows of single tokens: is it more than a larger token embedding?
    additive       one learned number a layer for a gate
    input_only     all rows enter before the first block

and those of the probes: `orders_2` and `orders_2_to_4`, with as many heads in all, and `rows_N`, tables of other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.engram.twins.backbone import Size
from adapters.engram.twins.twin import Twin
from memory_bench.errors import BadInput

ENGRAM: Mapping[str, Any] = {"layers": [1, 2], "max_order": 3, "heads": 8, "row_width": 16, "rows": 8192}
HEAD_WIDTH = 32


@dataclass(frozen=True)
class Arm:
    """What is built: the dense part, the arguments of Engram (None: none), and whether its addresses are salted."""

    size: Size
    engram: Mapping[str, Any] | None = None
    salted: bool = False

    def twin(self, *, seed: int) -> Twin:
        return Twin(self.size, self.engram, seed=seed, salted=self.salted)


def arm(name: str, vocabulary: int) -> Arm:
    """Return an arm for a vocabulary. Raises BadInput where there is none of that name."""
    if name.startswith("rows_") and name.removeprefix("rows_").isdecimal():
        return _engram(vocabulary, rows=int(name.removeprefix("rows_")))
    if name not in ARMS:
        raise BadInput(f"arm {name!r}: expected one of {', '.join(ARMS)}, or rows_N such as rows_1024")
    return ARMS[name](vocabulary)


def _engram(vocabulary: int, **changed: Any) -> Arm:
    return Arm(Size(vocabulary), {**ENGRAM, **changed})


def _iso_parameter(vocabulary: int) -> Arm:
    """The width whose feed-forward part, filled up to as many parameters as Engram has, comes nearest to 4 widths."""
    wanted = _engram(vocabulary).twin(seed=0).sizes()["parameters"]
    widths = range(HEAD_WIDTH, 32 * HEAD_WIDTH, HEAD_WIDTH)
    sizes = [_filled(Size(vocabulary, width=width, heads=width // HEAD_WIDTH), wanted) for width in widths]
    return Arm(min(sizes, key=lambda size: abs(size.hidden - 4 * size.width)))


def _filled(size: Size, parameters: int) -> Size:
    rest = parameters - replace(size, hidden=0).parameters
    return replace(size, hidden=max(1, round(rest / (2 * size.width * size.layers))))


def _iso_flop(vocabulary: int) -> Arm:
    dense, engram = Size(vocabulary), _engram(vocabulary)
    spent = engram.twin(seed=0).forward_flops(1, read=1) - dense.forward_flops(1, read=1)
    return replace(engram, size=replace(dense, hidden=dense.hidden - round(spent / (4 * dense.width * dense.layers))))


ARMS: Mapping[str, Callable[[int], Arm]] = {
    "dense": lambda vocabulary: Arm(Size(vocabulary)),
    "engram": _engram,
    "iso_parameter": _iso_parameter,
    "iso_flop": _iso_flop,
    "capacity_1": lambda vocabulary: _engram(vocabulary, rows=1),
    "salted": lambda vocabulary: replace(_engram(vocabulary), salted=True),
    "order_1": lambda vocabulary: _engram(vocabulary, min_order=1, max_order=1, heads=16),
    "additive": lambda vocabulary: _engram(vocabulary, gate="constant"),
    "input_only": lambda vocabulary: _engram(vocabulary, layers=[0], rows=16384),
    "orders_2": lambda vocabulary: _engram(vocabulary, max_order=2, heads=16),
    "orders_2_to_4": lambda vocabulary: _engram(vocabulary, max_order=4, heads=5, row_width=17),
}
