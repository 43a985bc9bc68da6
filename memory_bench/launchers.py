"""A sweep spread over processes or machines by a launcher of Hydra: joblib, submitit (Slurm) or ray.

    python -m memory_bench -m +experiment=needle hydra/launcher=joblib hydra.launcher.n_jobs=2

A launcher gets the numbers of the cells and no more: what a cell is, whether it is finished, and where its rows go is
decided as in any sweep, in one folder of results that all of them see.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from functools import partial

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from memory_bench import config
from memory_bench.errors import BadInput, Unavailable

KEY = "hydra/launcher"
REQUIRED = {
    "joblib": "hydra-joblib-launcher>=1.2",
    "submitit_local": "hydra-submitit-launcher>=1.2",
    "submitit_slurm": "hydra-submitit-launcher>=1.2",
    "ray": "hydra-ray-launcher>=1.2.2",
}
"""Launcher -> what has to be installed for it."""


def parted(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides of a sweep, and those of its launcher."""
    own = [one for one in overrides if one.lstrip("+").startswith((f"{KEY}=", "hydra.launcher."))]
    return [one for one in overrides if one not in own], own


def lines_of(cells: Sequence[tuple[str, ...]], launching: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Return cell -> its line, as `sweep.line_of` does, from wherever the launcher had it measured.

    Raises Unavailable where the launcher is not installed, or where it broke, and BadInput for options that it does not
    have. What is finished by then is kept.
    """
    _check(launching)
    # an array of jobs, each with one cell
    numbers = ",".join(map(str, range(len(cells))))
    with initialize_config_module("memory_bench.conf", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None, "initialised above"
        try:
            returned = hydra.multirun("launch", partial(_line, cells), [*launching, f"cell={numbers}"], False)
        except (HydraException, OmegaConfBaseException) as error:
            raise BadInput(config.one_line(error)) from None
        except Exception as error:  # of the launcher's own library, or of a job of which nothing came back
            raise Unavailable(
                f"the launcher stopped: {type(error).__name__}: {str(error).partition(chr(10))[0]}; what is finished "
                "is kept, so type the same again; isolate=true keeps a cell that crashes from the others"
            ) from error
    return dict(zip(cells, (job.return_value for batch in returned for job in batch), strict=True))


def _line(cells: Sequence[tuple[str, ...]], chosen: DictConfig) -> str:
    from memory_bench import sweep  # who launches needs nothing of it, and a dry run waits for nothing heavy

    GlobalHydra.instance().clear()  # a job is handed that of the launch, and a cell is composed by one of its own
    multiprocessing.set_start_method(None, force=True)  # joblib's own is unknown to all that its workers start
    return sweep.line_in_the_end(cells[chosen.cell])


def _check(launching: Sequence[str]) -> None:
    named = [value for key, _, value in (one.partition("=") for one in launching) if key.lstrip("+") == KEY]
    if len(named) != 1:
        raise BadInput(f"{' '.join(launching)}: name one launcher, as in {KEY}=joblib; there are {', '.join(REQUIRED)}")
    if named[0] not in REQUIRED:
        raise BadInput(f"there is no {KEY} {named[0]!r}; choose one of: {', '.join(REQUIRED)}")
    if missing := config.missing_requirement(REQUIRED[named[0]]):
        raise Unavailable(f"{KEY}={named[0]} cannot run here: {missing}")
