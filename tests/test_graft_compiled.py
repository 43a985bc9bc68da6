"""A grafted model that is compiled, and one whose attention is computed by a named kernel, answer as it does without.

What a hook could break is the capture of the graph, so nothing is made of what was captured: the fused kernels of
`inductor` take minutes on a busy core.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adapters.engram.write import write_rows
from tests import checkpoints
from tests.checkpoints import PROMPTS
from tests.grafts import graft_of, grafted, table_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save(tmp_path_factory.mktemp("models") / "llama", "llama", num_hidden_layers=1)


def test_a_compiled_model_is_captured_whole_and_rows_enter_it_all_the_same(folder: Path) -> None:
    one = grafted(folder, slot={"layers": [0]})
    table, tokens_BT = table_of(one, filled=True), torch.tensor([one.encode(PROMPTS[0])])
    compiled = torch.compile(one.model, backend="eager", fullgraph=True)  # raises where the graph breaks

    def logits(model: Callable[..., Any], *, rows: bool) -> Tensor:
        with torch.no_grad(), graft_of(one).entering(table(tokens_BT) if rows else {}):
            found: Tensor = model(input_ids=tokens_BT, use_cache=False).logits
        return found

    bare, entered = logits(one.model, rows=False), logits(one.model, rows=True)
    assert not torch.equal(bare, entered)
    for rows, expected in ((False, bare), (True, entered), (False, bare)):
        torch.testing.assert_close(logits(compiled, rows=rows), expected)


@pytest.mark.parametrize("name", ["cpu_flash", "off_math"])
def test_rows_are_written_and_read_by_a_named_kernel_as_by_the_one_that_torch_chooses(name: str, folder: Path) -> None:
    """Rows of one length have no mask, which a flash kernel of a GPU does not take."""
    tables, answers = [], []
    for attention in (name, "auto"):
        one = grafted(folder, attention=attention)
        texts = [one.tokens("The access code of gate 17 is 4411"), one.tokens("Lunch is served at noon")]
        tables.append(table_of(one))
        write_rows(graft_of(one), tables[-1], texts, steps=2, rate=0.1, recency=0.0)
        answers.append(one.with_look_up(tables[-1]).generate(PROMPTS))
    for layer, rows_RC in tables[0].rows.items():
        torch.testing.assert_close(rows_RC, tables[1].rows[layer], rtol=0, atol=2e-2)
        assert rows_RC.any()
    for one_answer, other in zip(*answers, strict=True):
        assert one_answer.logprob == pytest.approx(other.logprob, abs=0.05)
