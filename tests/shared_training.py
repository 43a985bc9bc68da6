"""What two processes of torchrun do in a test: train whole, train and be cut off, go on; say what came of it."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

from memory_bench.readers.training.ranks import joined
from tests.test_training import CPU, train

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with joined(CPU) as ranks:
        models = {"whole": train(folder / "whole", ranks=ranks)}
        train(folder / "cut", rows=3, ranks=ranks)
        ranks.wait()
        models["resumed"] = train(folder / "cut", ranks=ranks)
    digests = {}
    for name, model in models.items():
        state = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
        digests[name] = hashlib.sha256(state).hexdigest()
    (folder / f"rank{ranks.rank}.json").write_text(json.dumps(digests))
    if ranks.first:
        torch.save(models["whole"].state_dict(), folder / "whole.pt")
