"""What `bench plan --memory` shows."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from bench.commands.inspect import memory_lines, plan_rows, plan_table
from bench.measure.footprint import Footprint
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.spec.load import load_spec

SPEC = """\
experiment: tiny
task: segmentation
data: {name: shapes}
model: {name: unet, width: 0.05}
grid:
  train.batch_size: [4, 8, 16, 32, 64, 128]
  train.micro_batch: [none, auto]
seeds: 2
"""
FOUND = {
    "4": Footprint(500.4, "allocated", 1000.0, parts_fit=True),
    "8": Footprint(900.0, "allocated", 1000.0, micro_batch=4, parts_fit=True),
    "16": Footprint(2000.0, "resident", 1000.0, parts_fit=True),
    "32": Footprint(None, "allocated", 1000.0),
    "64": Footprint(3000.0, "resident", 1000.0, parts_fit=False),
    "128": Footprint(None, None, None, problem="measuring the memory of x: it broke"),
}


def planned(folder: Path) -> tuple[Plan, dict[str, Footprint]]:
    (folder / "spec.yaml").write_text(SPEC)
    plan = make_plan(load_spec(folder / "spec.yaml"))
    return plan, {trial.id: FOUND[trial.axes["train.batch_size"]] for trial in plan.trials}


def test_rows_and_table(tmp_path: Path) -> None:
    plan, found = planned(tmp_path)
    rows = plan_rows(plan, cost=False, memory=found)
    assert rows[0]["memory"] == {
        "peak_mb": 500.4, "kind": "allocated", "free_mb": 1000.0, "micro_batch": None,
        "parts_fit": True, "problem": None, "fits": True,
    }  # fmt: skip
    assert rows[-1]["memory"]["fits"] is None
    assert "memory" not in plan_rows(plan, cost=False)[0]
    printed = io.StringIO()
    Console(file=printed, width=120).print(plan_table(rows, list(plan.axes), cost=False))
    header, first, *others = printed.getvalue().splitlines()
    assert header.split()[-4:] == ["peak", "MB", "free", "MB"]
    assert first.split()[-2:] == ["500", "1,000"]
    assert others[-3].split()[-2:] == ["3,000", "1,000"]
    assert others[-1].split()[-2:] == ["–", "–"]


def test_a_line_for_each_arm_that_does_not_fit(tmp_path: Path) -> None:
    assert memory_lines(*planned(tmp_path)) == [
        "8, none: only 4 of 8 images fit at once.",
        "8, auto: only 4 of 8 images fit at once.",
        "16, none takes about 2,000 MB (2,200 with a margin), and 1,000 MB are free: "
        "train.micro_batch: auto helps.",
        "16, auto takes about 2,000 MB (2,200 with a margin), and 1,000 MB are free: its "
        "batches will be cut into parts.",
        "32, none takes more than there is, and 1,000 MB are free: train.micro_batch: auto may "
        "help.",
        "32, auto takes more than there is, and 1,000 MB are free: its batches will be cut into "
        "parts.",
        *(
            f"64, {micro} takes about 3,000 MB (3,300 with a margin), and 1,000 MB are free: not "
            "even the smallest part "
            "of a batch fits; smaller images or a smaller model help."
            for micro in ("none", "auto")
        ),
        "128, none: not known: measuring the memory of x: it broke.",
        "128, auto: not known: measuring the memory of x: it broke.",
    ]
