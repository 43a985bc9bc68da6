"""The shape of a run: from what the user types to plain values, and from those to plug-ins.

The folders of `conf/` are the only registry. `task` and `memory` have no default, so they are typed with a plus:

    python -m memory_bench +task=needle +memory=bm25 seed=1 task.length_tokens=4096
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from packaging.requirements import Requirement

from memory_bench import outside, provenance
from memory_bench.errors import BadInput, Unavailable

PARTS = ("task", "memory", "reader", "embedder", "control")
WITHOUT_DEFAULT = ("task", "memory")
SHARED = "shared"  # stands in a YAML for a plug-in of the run that a constructor is handed
RUN_OPTIONS = ("seed", "budget_tokens", "limit", "write_batch")


@dataclass
class Schema:
    """The types of a run's options. Their defaults live in `conf/config.yaml`."""

    task: Any = MISSING
    memory: Any = MISSING
    reader: Any = MISSING
    embedder: Any = MISSING
    control: Any = MISSING
    attention: Any = MISSING
    seed: int = MISSING
    budget_tokens: int | None = MISSING
    limit: int | None = MISSING
    write_batch: int = MISSING
    results: str = MISSING
    isolate: bool = MISSING
    isolate_seconds: float | None = MISSING
    isolate_bytes: int | None = MISSING
    dry_run: bool = MISSING
    cells: list[dict[str, list[Any]]] = MISSING


ConfigStore.instance().store(name="run", node=Schema)
outside.register()


@dataclass(frozen=True)
class Isolation:
    """That a cell has a process of its own, and how long that may last and what it may hold in RAM; None: no limit."""

    seconds: float | None
    size_bytes: int | None


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison. `config` decides every number that comes out; `results` only says where it lies.

    `isolation` is None where it runs in the process that asks for it. `claims` and `task_claims` are what the YAML of
    the memory and that of the task promise, and `check` holds the two to them. None of these moves a score.
    """

    config: dict[str, Any]
    requires: Mapping[str, tuple[str, ...]]
    results: Path
    claims: Mapping[str, Any]
    task_claims: Mapping[str, Any]
    isolation: Isolation | None = None

    def engines(self) -> dict[str, str]:
        """Return distribution -> installed version of what its plug-ins require."""
        used = [part for part in PARTS if self.config[part]]
        named = (self.requires.get(part, ()) for part in (*used, "attention"))
        return provenance.engines(itertools.chain.from_iterable(named))


def choices(group: str) -> list[str]:
    """Return the names that a group of `conf/` offers, sorted; none for what is not a group."""
    with initialize_config_module("memory_bench.conf", version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return sorted(loader.get_group_options(group))


def expand(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the overrides of every cell of a sweep: first what was typed (`seed=0,1`), then the experiment's `cells`.

    Raises BadInput where an override cannot be swept.
    """
    typed = [_values(override) for override in _parse(overrides)]
    return [cell for combination in itertools.product(*typed) for cell in _experiment_cells(combination)]


def compose(overrides: Sequence[str]) -> Cell:
    """Return the cell that these overrides name.

    Raises BadInput with one line for a missing or misspelt choice, an unknown option and a value of the wrong type.
    """
    parsed = _parse(overrides)
    _check_named(parsed)
    composed = _compose([override.input_line for override in parsed if _is_choice(override)])
    options = [override for override in parsed if not _is_choice(override)]
    for override in options:
        _check_option(composed, override)
    composed = _with(composed, options) or _compose(overrides)
    if composed.cells:
        raise BadInput(f"this experiment holds {len(composed.cells)} lists of cells: put -m before the overrides")
    return _cell(composed)


def is_dry_run(overrides: Sequence[str]) -> bool:
    """Whether the cells are to be shown and not run. `compose` says it where the value is neither true nor false."""
    return any(override.key_or_group == "dry_run" and override.value() is True for override in _parse(overrides))


def build(cell: Cell, part: str, **given: object) -> Any:
    """Return the plug-in that a cell names as its `part`; `given` are constructor arguments that YAML cannot hold.

    Raises Unavailable where a distribution that it needs is not installed, BadInput where it refuses its arguments.
    """
    check_installed(cell, part)
    try:
        return instantiate(OmegaConf.create(cell.config[part]), _convert_="all", **_shared(cell.config[part], given))
    except InstantiationException as error:
        # Hydra folds what the constructor raised into its own error: ours are one line for the user, a bug stays a bug
        raise _root(error) from None


def check_installed(cell: Cell, part: str) -> None:
    """Raise Unavailable where a distribution that a part of the cell needs is not installed."""
    for requirement in cell.requires.get(part, ()):
        if reason := missing_requirement(requirement):
            raise Unavailable(f"{part}={cell.config['choices'][part]} cannot run here: {reason}")


def _shared(node: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """Return `given` where a node, or one that it holds, asks for it: `embedder: shared`."""
    own = {key: given[key] for key, value in node.items() if value == SHARED and key in given}
    inner = {key: _shared(value, given) for key, value in node.items() if isinstance(value, dict)}
    return own | {key: value for key, value in inner.items() if value}


def missing_requirement(requirement: str) -> str | None:
    """Return what is wrong with a requirement such as `bm25s>=0.2`, with the line that mends it; None if it is met.

    Asks metadata only: nothing is imported.
    """
    wanted = Requirement(requirement)
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is not installed: pip install '{requirement}'"
    if wanted.specifier.contains(found, prereleases=True):
        return None
    return f"{wanted.name} {found} is installed: pip install '{requirement}'"


def _parse(overrides: Sequence[str]) -> list[Override]:
    try:
        parsed: list[Override] = _parser().parse_overrides(list(overrides))
    except HydraException as error:
        raise BadInput(one_line(error)) from None
    for override in parsed:
        if override.key_or_group.split(".")[0].split("/")[0] == "hydra":
            raise BadInput(
                f"{override.input_line}: Hydra's own settings have no effect here, but for those of a launcher "
                "after -m; leave it out"
            )
    return parsed


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        raise BadInput(f"{override.input_line} is not a list of values; write them out, as in seed=0,1,2")
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _experiment_cells(overrides: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not any(override.key_or_group == "experiment" for override in _parse(overrides)):
        yield overrides
        return
    _check_named(_parse(overrides))
    for lists in _compose(overrides).cells:
        keys = [f"+{key}" if key in WITHOUT_DEFAULT else key for key in lists]
        for values in itertools.product(*lists.values()):
            # an experiment's cells are cells of their own: composed anew, they equal the same cell typed by hand
            yield (*overrides, *(f"{key}={_text(value)}" for key, value in zip(keys, values, strict=True)), "cells=[]")


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def training(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the options of a training run, with the reader of the same name.

    Raises BadInput with one line for a choice or option that is not there.
    """
    parsed = _parse(overrides)
    _check_named(parsed)
    chosen = _compose([override.input_line for override in parsed if _is_choice(override)], "training")
    for override in parsed:
        if not _is_choice(override):
            _check_option(chosen, override)
    composed = _compose([*overrides, f"reader={chosen.hydra.runtime.choices.train}"], "training")
    kept = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    options = cast(dict[str, Any], OmegaConf.to_container(kept, resolve=True))
    options["reader"].pop("attention", None)  # a choice of runs: what is trained computes it as torch chooses
    return options


def build_training(node: Mapping[str, Any], **given: object) -> Any:
    """Return what a part of a training names by its `_target_`."""
    made = instantiate(OmegaConf.create(dict(node)), _convert_="all")
    return made(**given) if given else made


def _compose(overrides: Sequence[str | None], name: str = "config") -> DictConfig:
    with initialize_config_module("memory_bench.conf", version_base="1.3"):
        try:
            composed = hydra_compose(name, [o for o in overrides if o], return_hydra_config=True)
        except (ConfigCompositionException, OmegaConfBaseException) as error:
            # the option is named by the error, what is wrong with its value by the cause's first line
            cause = str(error.__cause__ or "").partition("\n")[0]
            raise BadInput(one_line(f"{error}: {cause}" if cause else error)) from None
    return composed


def _with(composed: DictConfig, options: Sequence[Override]) -> DictConfig | None:
    """Set options as Hydra does once it has composed the choices, which takes it a hundred times as long as this.

    None where one is refused: Hydra says why.
    """
    try:
        for override in options:
            if override.is_add():
                return None
            OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)
    except OmegaConfBaseException:
        return None
    return composed


def _cell(composed: DictConfig) -> Cell:
    for part in WITHOUT_DEFAULT:
        if OmegaConf.is_missing(composed, part):
            raise BadInput(f"no {part} was chosen; type +{part}=NAME with one of: {', '.join(choices(part))}")
    named = dict(composed.hydra.runtime.choices)
    kept = OmegaConf.masked_copy(composed, [*PARTS, *RUN_OPTIONS, "results"])
    plain = cast(dict[str, Any], OmegaConf.to_container(kept, resolve=True))
    _check_values(plain)
    parts, nodes = list(PARTS), {part: plain[part] for part in PARTS}
    if plain["reader"].get("attention") == SHARED:
        parts.append("attention")  # a part of its reader: cells of a reader that takes none do not differ in it
        nodes["attention"] = OmegaConf.to_container(composed.attention, resolve=True)
    requires = {part: tuple(itertools.chain.from_iterable(_taken(node, "requires"))) for part, node in nodes.items()}
    if "attention" in nodes:  # what it requires is not the reader's: it says itself what it lacks, and what can run
        plain["reader"]["attention"] = nodes["attention"]
    _check_control(named, plain["control"].pop("memory", None))
    claims, task_claims = (plain[part].get("claims", {}) for part in ("memory", "task"))
    for part in PARTS:
        _taken(plain[part], "needs")  # of the user's surroundings: `list` says it, and the plug-in where it is missing
        _taken(plain[part], "claims")  # what a plug-in promises moves no number
    if not _shared(plain["memory"], {"embedder": None}):
        plain["embedder"] = named["embedder"] = None  # not used: cells that differ in it only are one cell
    results = Path(plain.pop("results"))
    options = {"choices": {part: named[part] for part in parts}, **plain}
    return Cell(options, requires, results, claims, task_claims, _isolation(composed))


def _isolation(composed: DictConfig) -> Isolation | None:
    limits = {key: composed[key] for key in ("isolate_seconds", "isolate_bytes")}
    for key, most in limits.items():
        if most is not None and not composed.isolate:
            raise BadInput(f"{key}={most} limits a process of its own: type isolate=true too")
        if most is not None and most <= 0:
            raise BadInput(f"{key}={most}: expected a number above 0, or null for no limit")
    return Isolation(*limits.values()) if composed.isolate else None


def _taken(node: dict[str, Any], key: str) -> list[Any]:
    """Take a key out of a node and out of all that it holds; return what stood there."""
    own = [node.pop(key)] if key in node else []
    return own + [taken for value in node.values() if isinstance(value, dict) for taken in _taken(value, key)]


def _check_control(named: Mapping[str, str], memory: str | None) -> None:
    if memory is not None and named["memory"] != memory:
        raise BadInput(
            f"control={named['control']} is about the reader alone and runs with memory={memory} only, got "
            f"memory={named['memory']}; type +memory={memory}, or control=none to measure {named['memory']}"
        )


def _check_values(options: Mapping[str, Any]) -> None:
    for key, least in (("seed", 0), ("limit", 1), ("budget_tokens", 1), ("write_batch", 1)):
        if options[key] is not None and options[key] < least:
            raise BadInput(f"{key}={options[key]}: expected a whole number >= {least}, such as {key}={max(least, 1)}")


def _is_choice(override: Override) -> bool:
    # by folder: to ask Hydra for the names in each would be most of the time that a cell takes to compose
    return override.key_or_group in _groups()


@cache
def _groups() -> frozenset[str]:
    return frozenset(entry.name for entry in files("memory_bench.conf").iterdir() if entry.is_dir())


def _check_named(overrides: Sequence[Override]) -> None:
    """Hydra says these over several lines, or not at all; a user wants the names that exist."""
    for override in overrides:
        group, name = override.key_or_group, override.value()
        if _is_choice(override) and override.is_sweep_override():
            raise BadInput(f"{override.input_line} names several choices: put -m before the overrides to run them all")
        if _is_choice(override) and isinstance(name, str) and name not in choices(group):
            raise BadInput(f"there is no {group} {name!r}; choose one of: {', '.join(choices(group))}")
        if group in WITHOUT_DEFAULT and not override.is_add():
            raise BadInput(f"{override.input_line}: {group} has no default, so type +{override.input_line}")


def _check_option(chosen: DictConfig, override: Override) -> None:
    """An option exists where a YAML names it, and takes values of the kind that stands there."""
    key, value = override.key_or_group, override.value()
    if override.is_sweep_override():
        raise BadInput(f"{override.input_line} names several values: put -m before the overrides to run them all")
    if override.is_delete():
        raise BadInput(f"{override.input_line}: an option cannot be taken away; set it, as in {key}=VALUE")
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(chosen, parent) if parent else chosen
    known = sorted(set(map(str, node)) - {"hydra"}) if isinstance(node, DictConfig) else []
    if leaf not in known:
        near = difflib.get_close_matches(leaf, known, n=1)
        raise BadInput(f"there is no option {key!r}; {f'did you mean {near[0]}? ' if near else ''}known: {known}")
    if not OmegaConf.is_missing(node, leaf):
        _check_kind(key, value, node[leaf])


def _check_kind(key: str, value: object, default: object) -> None:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", ListConfig: "a list [A,B]"}
    if default is None or value is None or type(default) not in kinds:
        return  # the constructor knows what null stands for
    given = ListConfig if isinstance(value, list) else type(value)
    if given is not type(default) and (given, type(default)) != (int, float):
        shown = OmegaConf.to_container(default) if isinstance(default, ListConfig) else default
        raise BadInput(f"{key}={value}: expected {kinds[type(default)]}, such as the default {key}={shown}")


def one_line(error: object) -> str:
    """Return an error's text without its line breaks."""
    return " ".join(str(error).split())


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None and not isinstance(error, BadInput | Unavailable):
        error = error.__cause__
    return error
