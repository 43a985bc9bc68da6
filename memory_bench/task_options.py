"""What tasks check of what the user typed. Raises BadInput: one line with the value and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from memory_bench.errors import BadInput


def check_whole(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise BadInput(f"task.{name}={value}: expected a whole number >= {least}")


def check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput(f"task.{name}={value}: expected a number from 0 to 1")


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise BadInput(f"task.{name}={value}: expected true or false")


def check_choices(name: str, value: object, choices: Sequence[str]) -> None:
    chosen = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if not chosen or not all(one in choices for one in chosen) or len(set(chosen)) < len(chosen):
        raise BadInput(f"task.{name}={value}: expected a list of some of {', '.join(choices)}, such as [{choices[0]}]")


def check_one(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadInput(f"task.{name}={value}: expected one of {', '.join(choices)}")


def check_path(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise BadInput(f"task.{name}={value}: expected a path, or null")


def check_seed(seed: int) -> None:
    if seed < 0:
        raise BadInput(f"seed={seed}: expected a whole number >= 0")
