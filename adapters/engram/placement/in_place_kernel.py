"""The Triton kernel that gathers rows: in a module of its own, since Triton is there only where a GPU is.

Its source is read by Triton's own compiler, which takes a small part of Python and no annotations but its own.
"""
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def gather_rows(table, asked, found, count, width: tl.constexpr, block: tl.constexpr, rows: tl.constexpr):
    """found[i, :] = table[asked[i], :] for `rows` of the i a program; columns beyond `width` are masked."""
    first = tl.program_id(0).to(tl.int64) * rows
    i = first + tl.arange(0, rows)
    columns = tl.arange(0, block)
    row = tl.load(asked + i, mask=i < count, other=0)
    inside = (i < count)[:, None] & (columns < width)[None, :]
    values = tl.load(table + row[:, None] * width + columns[None, :], mask=inside)
    tl.store(found + i[:, None] * width + columns[None, :], values, mask=inside)
