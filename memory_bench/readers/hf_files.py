"""A causal model of `transformers` from a folder, or from the cache of its downloads: whole and as asked for, or not.

The library makes up weights that a checkpoint lacks, and reads a model of another kind as a causal one: it warns of
both at most. Here both are refused.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from memory_bench.errors import BadInput
from memory_bench.readers.room import check_memory

READ = (".json", ".safetensors", ".model", ".txt", ".jinja", ".py")
"""The endings of the files that are fetched and read: no weights but safetensors, which hold no code."""
MOST_CHARACTERS = 300
"""Of what a library says in many lines."""


def find(model: str, *, download: bool, option: str = "reader.model", fetch: str = "type reader.download=true") -> Path:
    """Return the folder of a model, or of a tokenizer, that was named by an option.

    Raises BadInput where there is none, or may be none fetched: `fetch` is what fetches it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError

    if (folder := Path(model).expanduser()).is_dir():
        return folder
    wanted = [f"*{ending}" for ending in READ]
    try:
        return Path(
            snapshot_download(model, local_files_only=not download, allow_patterns=wanted, ignore_patterns=["*/*"])
        )
    except GatedRepoError as error:
        raise BadInput(
            f"reader.model={model} is gated: accept its terms on its page, then type: hf auth login"
        ) from error
    except (OSError, ValueError) as error:
        mend = "check the name and the network" if download else f"give a folder, or {fetch}"
        raise BadInput(
            f"{option}={model} is no folder and is not in the cache of transformers: {mend} ({_said(error)})"
        ) from error


def files(folder: Path) -> Iterator[Path]:
    """Yield what a model is read from, sorted."""
    yield from sorted(file for file in folder.iterdir() if file.suffix in READ and not file.name.startswith("."))


def tokenizer(folder: Path, model: str, *, trust_remote_code: bool, option: str = "reader.model") -> Any:
    """Return the tokenizer. Raises BadInput where it cannot be loaded; `option` named it."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # whatever the library stumbles over in somebody's folder
        raise _refusal(f"{option}={model}", "tokenizer", error) from error


def load(folder: Path, model: str, *, dtype: torch.dtype, device: torch.device, trust_remote_code: bool) -> Any:
    """Return the model on the device, frozen. Raises BadInput where it has no room there, cannot be loaded, or is not
    what was saved."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    _check_room(folder, model, dtype, device)
    given: Any  # the library's types know no pair
    try:
        given = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the library stumbles over in somebody's folder
        raise _refusal(f"reader.model={model}", "model", error) from error
    loaded, told = given
    if missing := sorted(told["missing_keys"]):
        raise BadInput(
            f"reader.model={model} lacks {len(missing)} weights, such as {missing[0]}, which would be drawn at random: "
            "save the model whole, adapters merged"
        )
    saved, kind = loaded.config.architectures or [], type(loaded).__name__
    if saved and kind not in saved:
        raise BadInput(f"reader.model={model} was saved as {saved[0]} and would be read as {kind}: give a causal model")
    return loaded.eval().requires_grad_(False).to(device)


def window(config: Any, model: str, asked: int | None) -> int:
    """Return how many tokens the model reads at most, or fewer if asked. Raises BadInput where that is not known."""
    most: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    if asked is None:
        if most is None:
            raise BadInput(f"the config of {model} names no max_position_embeddings: type reader.window_tokens=N")
        return most
    if most is not None and asked > most:
        raise BadInput(f"reader.window_tokens={asked}: {model} reads {most} tokens at most")
    return asked


def _check_room(folder: Path, model: str, dtype: torch.dtype, device: torch.device) -> None:
    """Raise BadInput where the weights have no room on the device, going by what their files say that they hold."""
    numbers = 0
    for file in folder.glob("*.safetensors"):
        with suppress(SafetensorError), safe_open(file, framework="pt") as opened:  # who loads it will say it
            numbers += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    check_memory(
        f"reader.model={model} with {numbers / 1e6:,.1f} M parameters",
        numbers * dtype.itemsize,
        device,
        mend="type reader.dtype=bfloat16, or give a smaller model",
    )


def _refusal(typed: str, part: str, error: Exception) -> BadInput:
    if "trust_remote_code" in str(error):
        return BadInput(
            f"{typed} brings code of its own, which would be run to load its {part}: read it, then type "
            "reader.trust_remote_code=true"
        )
    return BadInput(
        f"{typed}: its {part} cannot be loaded ({_said(error)}): give a folder with a causal model in "
        "safetensors and its tokenizer, or fetch it anew with reader.download=true"
    )


def _said(error: Exception) -> str:
    return textwrap.shorten(str(error), MOST_CHARACTERS, placeholder=" ...")
