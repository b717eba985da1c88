"""Four tiny trials, run in this process: what faults are tried on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.exit_codes import ExitCode
from bench.experiment.current_run import RunOptions
from bench.experiment.resolving import resolver
from bench.experiment.running import run_plan
from bench.plan.expand import make_plan
from bench.record.store import Store, TrialFiles
from bench.spec.load import load_spec
from tests.faults.workspace import CLOCKS, history

SPEC = """\
experiment: tiny
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 3, batch_size: 6}
model: {name: unet, width: 0.05}
seeds: 4
machine: {threads: 1, device: cpu}
"""


def run(
    folder: Path, *, results: Path | None = None, said: io.StringIO | None = None, **options: Any
) -> tuple[ExitCode, str]:
    """`bench run` of `spec.yaml`, a trial at a time, and what it said."""
    said = said or io.StringIO()
    store = results or folder / "results"
    chosen = RunOptions(store, folder / "reports", jobs=1, **options)
    plan = resolver(store, folder)(make_plan(load_spec(folder / "spec.yaml")))
    return run_plan(plan, chosen, Console(file=said, width=300)), said.getvalue()


def trials(results: Path) -> list[TrialFiles]:
    """Those of the experiment."""
    return Store(results).trials("tiny")


def facts(results: Path) -> dict[str, Any]:
    """All that is known of each finished trial, without what a clock says."""
    return {
        files.id: (
            files.status().status,
            history(files.folder),
            {k: v for k, v in files.summary().items() if k not in CLOCKS},
            files.best.read_bytes(),
        )
        for files in trials(results)
        if files.status().status == "done"
    }
