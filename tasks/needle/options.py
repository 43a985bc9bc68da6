"""What of the task's options does not go together. Raises BadInput: one line with the values and what to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memory_bench.errors import BadInput
from memory_bench.task_options import check_choices, check_share
from tasks.needle.facts import DISTRACTORS

OPTION_OF_KIND = {"absent": "unanswerable", "forgotten": "forget"}  # the kinds that can have a share of their own


def check_distractor_types(types: object) -> None:
    """One that is named twice is wanted twice as often."""
    different = list(dict.fromkeys(types)) if isinstance(types, Sequence) and not isinstance(types, str) else types
    check_choices("distractor_types", different, DISTRACTORS)


def check_kinds(kinds: Sequence[str], *, questions: int, updates: int) -> None:
    if "multi" in kinds and questions == 1:
        raise BadInput(
            "task.questions=1: multi asks for several needles: task.questions=2, or leave it out of task.kinds"
        )
    if "updated" in kinds and updates == 0:
        raise BadInput(
            "task.updates=0: updated asks for the newest of several values: type task.updates=1, "
            "or leave it out of task.kinds"
        )


def checked_shares(kinds: Sequence[str], *, unanswerable: float | None, forget: float | None) -> Mapping[str, float]:
    """Return kind -> share for the kinds that do not come as often as the others."""
    shares = {}
    for kind, share in (("absent", unanswerable), ("forgotten", forget)):
        option = OPTION_OF_KIND[kind]
        if share is None:
            continue
        check_share(option, share)
        if kind not in kinds:
            raise BadInput(f"task.{option}={share}: add {kind} to task.kinds, or type task.{option}=null")
        shares[kind] = share
    named = " ".join(f"task.{OPTION_OF_KIND[kind]}={share}" for kind, share in shares.items())
    others = [kind for kind in kinds if kind not in shares]
    if shares and not others:
        raise BadInput(f"{named}: a share beside nothing; add another kind to task.kinds, or type null")
    if shares and sum(shares.values()) >= 1:
        raise BadInput(f"{named}: leaves no question for {', '.join(others)}; lower it, or take them out of task.kinds")
    return shares
