"""Where the decoder layers of a causal model stand, whatever its family calls them.

LlamaForCausalLM    model.layers        Qwen2ForCausalLM    model.layers        GPT2LMHeadModel    transformer.h
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from memory_bench.errors import BadInput

OPTION = "reader.slot.layers_path"


def find_layers(model: nn.Module, path: str | None) -> nn.ModuleList:
    """Return the decoder layers: the list of modules at `path`, or the one that has as many as the config says.

    Raises BadInput where there is none, or more than one, with the class of the model and what to type.
    """
    lists = {name: part for name, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    kind, known = type(model).__name__, ", ".join(lists) or "none"
    if path is not None:
        if path not in lists:
            raise BadInput(f"{OPTION}={path}: {kind} has no list of modules there; its lists are {known}")
        return lists[path]
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)  # type: ignore[operator, union-attr]
    fitting = [name for name, part in lists.items() if len(part) == count]
    # experts of a layer may be as many as there are layers
    outer = [name for name in fitting if not any(name.startswith(f"{other}.") for other in fitting)]
    if len(outer) != 1:
        found = f"{len(outer)} lists of {count} modules are" if outer else f"no list of {count} modules is"
        raise BadInput(
            f"the decoder layers of {kind} were not found: {found} in it; type {OPTION}=NAME, one of its lists: {known}"
        )
    return lists[outer[0]]


def chosen(asked: Sequence[int] | None, count: int) -> list[int]:
    """Return the layers before which rows enter, as asked for, or the second and the one in the middle, as in the paper
    (of one layer: that one). Raises BadInput on one that is not there, or is named twice."""
    if asked is None:
        return sorted({min(1, count - 1), count // 2})
    if not asked or len(set(asked)) < len(asked) or not set(asked) <= set(range(count)):
        raise BadInput(
            f"reader.slot.layers=[{','.join(map(str, asked))}]: expected distinct numbers from 0 to {count - 1}, such "
            f"as reader.slot.layers=[{','.join(map(str, chosen(None, count)))}]"
        )
    return sorted(asked)
