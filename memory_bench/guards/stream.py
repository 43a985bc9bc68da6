"""A stream of episodes as one sha256: every text, id, time, scope, tag and answer of it, in order.

As a command it makes the task that stands as JSON on its standard input, and prints the digest: what `check` asks of
another process with another hash seed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from memory_bench.types import Episode


def digest(episodes: Iterable[Episode]) -> str:
    """Return the sha256 over one line of JSON an episode; sets count as sorted lists, mappings by sorted keys."""
    sha256 = hashlib.sha256()
    for episode in episodes:
        line = json.dumps(_plain(episode), ensure_ascii=True, sort_keys=True, allow_nan=False)
        sha256.update(f"{line}\n".encode())
    return sha256.hexdigest()


def digest_elsewhere(task: Mapping[str, Any], *, seed: int, episodes: int) -> str:
    """Return the digest of the first episodes as another process has it, in which sets have another order.

    `task` is the resolved YAML. Raises RuntimeError with what the process said where it fails.
    """
    # a process without the variable draws its hash seed: that it draws this one is not to be expected
    other = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    environment = {**os.environ, "PYTHONHASHSEED": other, "PYTHONPATH": os.pathsep.join(map(str, _path()))}
    done = subprocess.run(
        [sys.executable, "-m", "memory_bench.guards.stream"],
        input=json.dumps({"task": dict(task), "seed": seed, "episodes": episodes}),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the task fails in another process: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


def _path() -> list[Path]:
    # what is found from this folder is found from there too, such as the tasks of the tests
    return [Path(entry or os.curdir).resolve() for entry in sys.path]


def _plain(value: object) -> Any:
    if is_dataclass(value):
        kind = type(value).__name__  # an event and an order to forget must not look alike
        return {"is": kind, **{field.name: _plain(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _main() -> None:
    from memory_bench import config  # a digest alone needs neither Hydra nor a registry

    asked = json.load(sys.stdin)
    named = {"choices": {"task": asked["task"]["_target_"]}, "task": asked["task"]}
    task = config.build(config.Cell(named, {}, Path(), {}, {}), "task")
    print(digest(islice(task.episodes(asked["seed"]), asked["episodes"])))


if __name__ == "__main__":
    _main()
