"""One training in several processes: each takes a share of every batch, and all take the same step.

    torchrun --nproc-per-node 2 -m memory_bench train train=tiny threads=1

The loss of a batch is a mean over all its tokens, and stays it: each process divides by the counts of all, and the
gradients are added up. So the step is that of one process, but for the order in which numbers are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from memory_bench.errors import BadInput
from memory_bench.readers.training.batches import Batch


@dataclass(frozen=True)
class Ranks:
    """This process and how many there are. The first one writes what is kept; one alone computes as if it were not."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """Return every `count`-th prompt. Where there are fewer prompts, one of which nothing counts."""
        if self.count == 1:
            return batch
        rows = slice(self.rank, None, self.count)
        if self.rank < len(batch.tokens_BT):
            return Batch(*(tensor[rows] for tensor in vars(batch).values()))
        own = {name: tensor[:1] for name, tensor in vars(batch).items()}
        nothing = {name: torch.zeros_like(tensor) for name, tensor in own.items() if tensor.dtype is torch.bool}
        return Batch(**{**own, **nothing})

    def total(self, own: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.count == 1:
            return own
        everyone = own.clone()
        distributed.all_reduce(everyone)
        return everyone

    def add_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of all processes, in place and in one message."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        summed = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = torch.split(summed, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.count > 1:
            distributed.barrier()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process do what the others then find done."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Yield the processes that torchrun started, or this one alone. Raises BadInput where they are not to use CPUs."""
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    if device.type != "cpu":
        raise BadInput(f"device={device.type}: under torchrun the processes are those of CPUs; type device=cpu")
    distributed.init_process_group("gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
