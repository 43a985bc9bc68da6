"""The GPU command: attention on and off, then the place of Engram's table, in one JSON with the hardware's name.

    make gpu                                                    every setting, in 8 minutes at most
    python -m benchmarks.gpu --minutes 3 --out /tmp/gpu.json    quicker, and elsewhere

Needs a Python from 3.11 on, torch from 2.6 on, NumPy, and nothing else that is not in this repository.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from adapters.engram.placement.arms import ARMS
from benchmarks.gpu import attention, facts
from benchmarks.gpu.offload import PHASES, Bench, Plan, Setting, sweep
from memory_bench.errors import BadInput
from memory_bench.readers.random_weights import DTYPES

PUBLISHED = facts.ROOT / "results" / "published"


def main(argv: list[str] | None = None) -> int:
    begun = time.perf_counter()
    options = _options(argv)
    try:
        device = _device(options.device)
        if device.type == "cpu" and options.out is None:
            raise BadInput("--device cpu needs --out FILE: what is published was measured on a GPU")
        report = _measured(options, device, begun)
    except BadInput as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    out = options.out or PUBLISHED / f"gpu_{report['hardware']['gpu']['name'].lower().replace(' ', '_')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(report['attention']) + len(report['settings'])} settings in {report['seconds']:.0f} s: {out}")
    return 0


def _measured(options: argparse.Namespace, device: torch.device, begun: float) -> dict[str, Any]:
    dtype = DTYPES[options.dtype or ("bfloat16" if device.type == "cuda" else "float32")]
    chosen = attention.settings(
        str(dtype).removeprefix("torch."), options.lengths, layers=options.layers, heads=options.heads,
        width=options.width,
    )  # fmt: skip
    kernels = options.kernels or attention.KERNELS[device.type]
    seconds = options.minutes * 60 * options.attention_share
    found = []
    for row in attention.sweep(chosen if options.attention_share else [], kernels, device, seconds=seconds):
        found.append(row)
        print(attention.line(row), flush=True)
    plan = Plan(
        width=options.width, layers=options.layers, heads=options.heads, vocabulary=options.vocabulary,
        insertions=tuple(options.insertions), hash_heads=options.hash_heads, row_width=options.row_width,
        rows=options.rows, threads=options.threads, dtype=dtype, folder=options.folder,
    )  # fmt: skip
    bench = Bench(plan, tuple(options.arms), device)
    settings = [
        Setting(batch, prompt, ids, attention, phase)
        for phase, batch, prompt, attention, ids in itertools.product(
            options.phases, options.batches, options.prompts, options.attention, options.ids
        )
    ]
    left = options.minutes * 60 - (time.perf_counter() - begun)
    measured = []
    for setting in sweep(bench, settings, seconds=left, rounds=options.rounds):
        measured.append(setting)
        print(_line(setting), flush=True)
    bench.close()
    return {
        "format": 1,
        "command": facts.command(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": facts.hardware(device),
        "versions": facts.versions(),
        "model": {"parameters": sum(p.numel() for p in bench.model.parameters()), **_sizes(plan)},
        "table": {
            "rows": sum(len(rows) for rows in bench.table.values()),
            "bytes": sum(rows.nbytes for rows in bench.table.values()),
        },
        "attention": found,
        "settings": measured,
        "seconds": time.perf_counter() - begun,
    }


def _sizes(plan: Plan) -> dict[str, Any]:
    return {key: value if isinstance(value, int) else str(value) for key, value in vars(plan).items()}


def _line(setting: dict[str, Any]) -> str:
    size = f"{setting['phase']}, batch {setting['batch']}, {setting['prompt_tokens']} tokens"
    title = f"{size}, {setting['ids']}, {setting['attention']}: "
    if setting["why"]:
        return f"{title}{setting['why']}"
    cost = setting["engram_cost"]
    parts = [f"B/A {cost['median']:.3f}"] if cost else []
    for arm, found in setting["arms"].items():
        if found.get("offload_penalty"):
            parts.append(f"{arm} {found['offload_penalty']['shown']}")
    return title + ", ".join([*parts, f"{setting['rounds']} rounds"])


def _device(name: str) -> torch.device:
    if name == "mps" and not torch.backends.mps.is_available():
        raise BadInput("--device mps: this torch sees no Apple GPU; type --device cpu --out FILE")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: this torch sees no GPU; type --device cpu --out FILE for what a CPU can measure")
    return torch.device(name)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--device", choices=["cuda", "mps", "cpu"], default="cuda")
    add("--minutes", type=float, default=7.0, help="for everything; what has no time left says so")
    add("--rounds", type=int, help="of each setting, whatever time they need; default: what --minutes allow")
    add("--out", type=Path, help="the JSON; default: results/published/gpu_HARDWARE.json")
    add("--arms", nargs="+", choices=ARMS, default=[arm for arm in ARMS if arm != "D"])
    add("--batches", nargs="+", type=int, default=[1, 32, 512])
    add("--prompts", nargs="+", type=int, default=[64, 512])
    add("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    add("--ids", nargs="+", choices=["uniform", "zipf"], default=["uniform", "zipf"])
    add("--attention", nargs="+", default=["fa2_sdpa", "off_math"], help="in the network over the table")
    add("--attention-share", type=float, default=0.35, help="of the time, for attention on and off; 0 leaves it out")
    add("--kernels", nargs="+", help="of attention on and off, the first one off; default: all of the device")
    add("--lengths", nargs="+", type=int, default=[256, 1024, 4096, 16384, 65536], help="of attention on and off")
    add("--dtype", choices=sorted(DTYPES), help="default: bfloat16 on a GPU, float32 elsewhere")
    add("--width", type=int, default=1024)
    add("--layers", type=int, default=24)
    add("--heads", type=int, default=16)
    add("--vocabulary", type=int, default=32768)
    add("--insertions", nargs="+", type=int, default=[1, 12], help="blocks before which Engram stands")
    add("--hash-heads", type=int, default=8)
    add("--row-width", type=int, default=64)
    add("--rows", type=int, default=1_000_000, help="of a hash head")
    add("--threads", type=int, default=4, help="that gather in arms C3 and D")
    add("--folder", type=Path, help="of the table file of arm D; written where there is none")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
