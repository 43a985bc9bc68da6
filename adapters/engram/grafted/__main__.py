"""Trains what is grafted into a model: `python -m adapters.engram.grafted learn MODEL --out FOLDER`, or `lesson`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from adapters.engram.grafted.figures import NAMES, draw
from adapters.engram.grafted.graft import graft
from adapters.engram.grafted.learn import learn
from adapters.engram.grafted.lesson import Lesson, run
from adapters.engram.learn_codes import prose
from memory_bench.errors import BadInput, Unavailable
from memory_bench.plans import Row
from memory_bench.readers.attention import choose
from memory_bench.readers.hf import HfReader

ABOUT_THE_FILE = ("_target_", "_partial_", "requires", "needs")


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        COMMANDS[given.command](given)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adapters.engram.grafted", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    learns = commands.add_parser("learn", help="a slot and codes of tokens, for engram and engram_one_shot")
    learns.add_argument("--steps", type=int, default=700)
    learns.add_argument("--seed", type=int, default=0)
    learns.add_argument("--lora", type=int, default=0, metavar="RANK", help="of LoRA beside it; 0: none")
    shows = commands.add_parser("lesson", help="facts taught with Engram and without, in three figures")
    shows.add_argument("--facts", type=int, default=256)
    shows.add_argument("--steps", type=int, default=200)
    shows.add_argument("--batch", type=int, default=32)
    shows.add_argument("--rate", type=float, default=0.002)
    shows.add_argument("--every", type=int, default=10, help="so many steps from one measurement to the next")
    shows.add_argument("--lora", type=int, default=8, metavar="RANK", help="of LoRA")
    shows.add_argument("--seeds", type=_numbers, default=[0], help="such as 0,1,2")
    for command in (learns, shows):
        command.add_argument("model", metavar="MODEL", help="a folder, or a name in the cache of transformers")
        command.add_argument("--out", type=Path, required=True, help="a folder for what is made")
        command.add_argument("--layers", type=_numbers, help="before which layers rows enter, such as 1,15")
        command.add_argument("--layers-path", help="the name of the model's list of layers, where it is not found")
        command.add_argument("--device", default="auto")
        command.add_argument("--dtype", default="float32")
        command.add_argument("--download", action="store_true")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def reader_of(given: argparse.Namespace) -> HfReader:
    """Return the reader of `conf/reader/hf.yaml` for what was typed."""
    held = yaml.safe_load((files("memory_bench.conf") / "reader" / "hf.yaml").read_text(encoding="utf-8"))
    options: dict[str, Any] = {name: value for name, value in held.items() if name not in ABOUT_THE_FILE}
    slot = {name: value for name, value in options["slot"].items() if name not in ABOUT_THE_FILE}
    slot |= {"layers": given.layers, "layers_path": given.layers_path}
    typed = {"model": given.model, "device": given.device, "dtype": given.dtype, "download": given.download}
    return HfReader(**{**options, **typed, "attention": choose("auto"), "slot": partial(graft, **slot)})


def _learn(given: argparse.Namespace) -> None:
    overlay, codes, sha256 = learn(
        reader_of(given), prose(), steps=given.steps, rank=given.lora, seed=given.seed, out=given.out
    )
    print(f"reader.overlay={overlay} memory.codes={codes} memory.sha256={sha256}")


def _lesson(given: argparse.Namespace) -> None:
    names = [field.name for field in fields(Lesson)]
    lesson = Lesson(**{name: getattr(given, name) for name in names})
    rows = run(lesson, lambda: reader_of(given), given.out, told=_tell)
    for path in draw(rows, given.out):
        print(f"wrote {path}")


def _tell(row: Row) -> None:
    last, off = row["curve"][-1], row["off"]
    left = "" if off is None else f"  with Engram off {off:.3f}"
    arm = f"{NAMES[row['key']['arm']]}, seed {row['key']['seed']}"
    print(f"{arm}  step {last['step']}  known {last['accuracy']:.3f}{left}", flush=True)


COMMANDS = {"learn": _learn, "lesson": _lesson}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
