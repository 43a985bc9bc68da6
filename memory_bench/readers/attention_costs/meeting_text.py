"""What memories save beside a kernel, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memory_bench.readers.attention_costs.memories import BUDGET, FULL, LAYERS, RECORDS, TASK, Meeting
from memory_bench.reporting.numbers import grid

HEADS = (
    "memory", "answers right", "prompt tokens", "off, s", "on, s", "the memory alone saves", "flash alone saves",
    "both save", "the memory's part", "beats reading from, off", "on", "a write is repaid after, off", "on",
)  # fmt: skip


def meeting(met: Sequence[Meeting], whole: float | None) -> Iterator[str]:
    """Yield the table of what memories save. `whole`: all layers measured, over what is derived from a few."""
    if not met:
        yield "Not measured: no length of the network reaches the prompt that holds everything."
        return
    checked = f", which at the length that has both is {1 / whole:.2f} of what all took" if whole else ""
    yield (
        f"Tokens, answers and the memories' own seconds are medians of `{TASK}` in `{RECORDS}` (budget {BUDGET}, "
        f"`{FULL}` everything). Seconds of an answer are those of `reader=shape` on this CPU, {LAYERS} layers, "
        f"derived layer by layer from the network above{checked}. With everything in the prompt an answer takes "
        f"{met[0].full_off:.1f} s off and {met[0].full_on:.1f} s on. The memory's part is its share of what both save, "
        "the mean of coming first and of coming second. *Beats reading from*: the length of a context from which the "
        "memory's question (looking up, embedding, reading its prompt) costs less than reading all. *Repaid after*: "
        "how many questions about one context pay for having written it. A memory whose answers are not right saves "
        "nothing; what one adds inside the model is not here."
    )
    yield grid(HEADS, [_line(one) for one in met])


def _line(one: Meeting) -> list[str]:
    return [
        f"`{one.memory.name}`", f"{one.memory.right:.2f}", f"{one.memory.prompt_tokens:,.0f}",
        f"{one.off:.2f}", f"{one.on:.2f}",
        f"{one.memory_alone:.0%}", f"{one.flash_alone:.0%}", f"{one.both:.0%}", f"{one.memorys_share:.0%}",
        _tokens(one.even_off), _tokens(one.even_on), _questions(one.questions(on=False)),
        _questions(one.questions(on=True)),
    ]  # fmt: skip


def _tokens(length: float | None) -> str:
    return "beyond what was measured" if length is None else f"{length:,.0f} tokens"


def _questions(count: float | None) -> str:
    if count is None:
        return "never"
    return "< 0.1" if count < 0.1 else f"{count:.1f}"
