"""A training in two processes is the training of one, and goes on where it was cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from memory_bench.errors import BadInput
from memory_bench.readers.training.ranks import ALONE, Ranks, joined
from tests.test_training import CPU, batches, digest, new_model, rows_of, train

ROOT = Path(__file__).parent.parent


def test_the_shares_of_a_batch_are_the_batch() -> None:
    made = batches()
    seen = set()
    for step in range(6):
        batch = made[step]
        shares = [Ranks(rank, 2).share(batch) for rank in range(2)]
        seen.add(len(batch.tokens_BT))
        for name, counted_BQ in (("targets_BQ", batch.real_BQ), ("positions_BQ", batch.answer_BQ)):
            key = "real_BQ" if name == "targets_BQ" else "answer_BQ"
            parts = [vars(share)[name][vars(share)[key]] for share in shares]
            whole = vars(batch)[name][counted_BQ]
            assert sorted(torch.cat(parts).tolist()) == sorted(whole.tolist())
        assert digest(ALONE.share(batch)) == digest(batch)
    assert seen == {1, 2}, "one prompt for two processes is a case of its own"


def test_two_processes_take_the_steps_of_one_and_go_on_where_they_were_cut_off(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "-m", "tests.shared_training", str(tmp_path),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert first == second, "the processes hold different weights"
    assert first["whole"] == first["resumed"]
    alone = train(tmp_path / "alone").state_dict()
    shared = torch.load(tmp_path / "whole.pt", weights_only=True)
    begun = new_model().state_dict()
    weights = [torch.cat([one[name].flatten() for name in begun]) for one in (begun, alone, shared)]
    moved, apart = (weights[1] - weights[0]).norm(), (weights[2] - weights[1]).norm()
    # .03 of the way: sums of bfloat16 products are rounded in another order, and where a gradient is next to nothing,
    # AdamW makes a whole step of it. With the mean of the processes' own losses instead of theirs in common, it is .19
    assert apart < 0.06 * moved
    for folder in ("whole", "cut"):
        assert [row["step"] for row in rows_of(tmp_path / folder)] == [2, 4, 6]
        for row, alone_row in zip(rows_of(tmp_path / folder), rows_of(tmp_path / "alone"), strict=True):
            assert row["tokens"] == alone_row["tokens"]
            assert row["answer_nll"] == pytest.approx(alone_row["answer_nll"], abs=0.02)


def test_a_gpu_under_torchrun_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "0")
    line = r"^device=cuda: under torchrun the processes are those of CPUs; type device=cpu$"
    with pytest.raises(BadInput, match=line), joined(torch.device("cuda")):
        pass
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    with joined(CPU) as ranks:
        assert ranks == ALONE
