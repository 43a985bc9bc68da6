"""What was measured, as lines for the terminal and as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from scipy import stats

from memory_bench.guards.durability.damage import KINDS

Found = Mapping[str, Any]
AMISS = ("lost", "ghosts", "duplicates", "altered")
OPENING = """A process writes, replaces, forgets and settles, and says each call that has returned. It is killed
(SIGKILL) within a call that a seed chooses, and another process opens what it left, asks for every text that was told,
and tells one more. *Lost* events were acknowledged and are missing, *ghosts* were forgotten or replaced and are back,
*duplicates* come twice in one answer, *altered* ones were never told. The call in flight may have happened, or not, or
(*half done*) in part. What a power cut would lose is not measured: the system's cache survives the process.

Then each file of an index is cut to half, and single bits of it are flipped: of one that was closed, and of one whose
process was killed, which nobody could seal. No file may grow beyond 4 KiB from the middle of a life on, as on a full
disk; and nothing may be written. *As before*: all answers are those of the sound index.
*Refused*: one line says so, and no file is changed. *Overwrote*: one line says so, and files had been changed by then.
*Raised*: an error of the engine's own. *Ended*: the process died or fell silent. *Wrong*: other answers, without a
word.

Expected before it was measured: no acknowledged event is lost."""


def summary(found: Found) -> list[str]:
    """Return what one memory did, in a few lines."""
    killed = found["kills"]
    amiss = ", ".join(f"{_sum(killed, name)} {name}" for name in AMISS)
    half_done, going = (sum(kill[key] for kill in killed) for key in ("half_done", "goes_on"))
    return [
        f"memory {found['memory']}, embedder {found['embedder']}, seed {found['seed']}",
        f"killed       {len(killed)} times with {sum(kill['held'] for kill in killed):,} events held: {amiss}; "
        f"{half_done} calls half done; {going} go on",
        f"opened again {_milliseconds(killed, 'recovery_seconds')} ms, "
        f"{_milliseconds(killed, 'recovery_cpu_seconds')} ms of CPU (median)",
        *(f"{kind:<25}{_outcomes(found, kind)}" for kind in KINDS),
        *(f"    seed {kill['seed']}: {kill['why']}" for kill in killed if kill["why"]),
    ]


def render(measured: Sequence[Found]) -> str:
    """Return the page."""
    parts = [
        "# Durability",
        OPENING,
        _grid(
            [
                "memory",
                "kills",
                "events held",
                *AMISS,
                "calls half done",
                "with any fault [95 %]",
                "opened again, ms (CPU)",
            ],
            map(_killed, measured),
        ),
        _grid(
            ["memory", *KINDS], ([f"`{one['memory']}`", *(_outcomes(one, kind) for kind in KINDS)] for one in measured)
        ),
        *(["Every wrong answer:", "\n".join(wrong)] if (wrong := [*_wrong(measured)]) else []),
        *map(_measured, measured),
    ]
    return "\n\n".join(parts) + "\n"


def _killed(found: Found) -> list[str]:
    killed = found["kills"]
    faulty = sum(_is_faulty(kill) for kill in killed)
    interval = stats.binomtest(faulty, len(killed)).proportion_ci(method="exact")
    spent = _milliseconds(killed, "recovery_seconds"), _milliseconds(killed, "recovery_cpu_seconds")
    return [
        f"`{found['memory']}`",
        str(len(killed)),
        f"{sum(kill['held'] for kill in killed):,}",
        *(str(_sum(killed, name)) for name in AMISS),
        str(sum(kill["half_done"] for kill in killed)),
        f"{faulty} [{interval.low:.2f}, {interval.high:.2f}]",
        f"{spent[0]} ({spent[1]})",
    ]


def _is_faulty(kill: Found) -> bool:
    return any(kill["amiss"].values()) or not kill["goes_on"] or bool(kill["why"])


def _outcomes(found: Found, kind: str) -> str:
    counts = Counter(trouble["outcome"] for trouble in found["troubles"] if trouble["kind"] == kind)
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "null: not tried"


def _wrong(measured: Sequence[Found]) -> Iterable[str]:
    for found in measured:
        for one in found["troubles"]:
            if one["outcome"] == "wrong":
                where = f", `{one['file'].removeprefix('kept/')}`" if one["file"] else ""
                yield f"- `{found['memory']}`, {one['kind']}{where}: {one['detail']}."


def _sum(killed: Iterable[Found], name: str) -> int:
    return sum(kill["amiss"][name] for kill in killed)


def _milliseconds(killed: Iterable[Found], name: str) -> str:
    taken = [kill[name] for kill in killed if kill[name] is not None]
    return f"{median(taken) * 1e3:.1f}" if taken else "null: never opened"


def _measured(found: Found) -> str:
    engines = ", ".join(f"{name} {version}" for name, version in found["engines"].items()) or "nothing but Python"
    revision, machine = found["revision"], found["machine"]
    commit = (
        "not known" if revision["commit"] is None else revision["commit"][:12] + " with changes" * revision["dirty"]
    )
    return (
        f"`{found['memory']}`: {engines}, embedder {found['embedder']}, seed {found['seed']}. Measured by "
        f"`{found['command']}`. CPU: {machine['cpu']}, {machine['cores']} cores, load {found['load']['before'][0]:.1f} "
        f"to {found['load']['after'][0]:.1f}, system: {machine['platform']}, Python: {machine['python']}, revision: "
        f"{commit}, day: {found['started'][:10]}."
    )


def _grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    every = [heads, [":--", *["--:"] * (len(heads) - 1)], *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in every)
