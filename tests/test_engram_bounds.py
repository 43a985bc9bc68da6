"""What the page on Engram says of its bounds: from a file of benchmarks alone, and null where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.engram.twins import bounds

RATIO = {"median": 1.02, "low": 0.99, "high": 1.05}


def timed(name: str, params: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"name": f"{name}[x]", "params": params, "extra_info": extra}


def written(folder: Path) -> Path:
    file = folder / "bounds.json"
    benchmarks = [
        timed("test_one_layer", {"batch": 1, "length": 2048, "conv": "off", "row_width": 16}, added_share=0.0861),
        timed("test_forward_by_rows", {"rows": 10**8}, ratio=RATIO, null_ratio=None, arm_ms=3.0),
        timed(
            "test_forward_from_a_file", {"rows": 10**6, "how": "map"}, ratio=RATIO, null_ratio=RATIO,
            cold_ms_1_threads=61.2, cold_ms_16_threads=20.9,
        ),
        timed("test_one_shot_writing", {"count": 1024}, us_a_fact=3.31),
        timed("test_one_shot_writing", {"count": 64}),  # with --benchmark-disable
    ]  # fmt: skip
    file.write_text(json.dumps({
        "benchmarks": benchmarks, "datetime": "2026-01-02T03:04:05", "machine_info": {"cpu": {"brand_raw": "a CPU"}},
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
    }))  # fmt: skip
    return file


def test_each_bound_stands_with_its_figure_and_where_it_was_measured(tmp_path: Path) -> None:
    said = "\n".join(bounds.section(written(tmp_path)))
    assert "| 1 x 2,048 | 16 | off | 8.6% |" in said
    ratio = "1.020 [0.990, 1.050]"
    assert f"| 100,000,000 rows in memory | 10^5 rows in memory | {ratio} | null | 1.5 | no file |" in said
    cold = "61 (1 thread), 21 (16 threads)"
    assert (
        f"| 1,000,000 rows in a file, map | as many in memory | {ratio} | {ratio} | 1.05, once warm | {cold} |" in said
    )
    assert "(bound: 20 us): 3.3 us (1,024 facts)." in said
    assert "on a CPU, 2026-01-02, revision 0123456789ab with changes." in said


def test_without_a_file_the_bounds_are_null_and_the_command_stands_there(tmp_path: Path) -> None:
    said = "\n".join(bounds.section(tmp_path / "bounds.json"))
    assert "null, not measured" in said
    assert f"`{bounds.COMMAND}`" in said
