"""Trains what is grafted into a model: `python -m adapters.engram.grafted learn MODEL --out FOLDER`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from adapters.engram.grafted.graft import graft
from adapters.engram.grafted.learn import learn
from adapters.engram.learn_codes import prose
from memory_bench.errors import BadInput, Unavailable
from memory_bench.readers.attention import choose
from memory_bench.readers.hf import HfReader

ABOUT_THE_FILE = ("_target_", "_partial_", "requires", "needs")


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        _learn(given)
    except (BadInput, Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adapters.engram.grafted", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    learns = commands.add_parser("learn", help="a slot and codes of tokens, for engram and engram_one_shot")
    learns.add_argument("--steps", type=int, default=700)
    for command in (learns,):
        command.add_argument("model", metavar="MODEL", help="a folder, or a name in the cache of transformers")
        command.add_argument("--out", type=Path, required=True, help="a folder for what is made")
        command.add_argument("--lora", type=int, default=0, metavar="RANK", help="of LoRA beside it; 0: none")
        command.add_argument("--layers", type=_numbers, help="before which layers rows enter, such as 1,15")
        command.add_argument("--layers-path", help="the name of the model's list of layers, where it is not found")
        command.add_argument("--device", default="auto")
        command.add_argument("--dtype", default="float32")
        command.add_argument("--seed", type=int, default=0)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
