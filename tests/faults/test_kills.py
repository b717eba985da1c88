"""The short form; the long one is `python -m tests.faults.kills`."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from bench.plan.expand import make_plan, trial_config
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.builders.training import Silent
from tests.faults.kills import Seen, Tally, check_on_the_way, strike
from tests.faults.workspace import Record, Workspace

EPOCHS = 20


def trained_here(workspace: Workspace) -> dict[str, Record]:
    """The same trials without a `run`, nor another process."""
    from bench.train.session import train_trial

    plan = make_plan(load_spec(workspace.folder / f"{workspace.name}.yaml"))
    for trial in plan.trials:
        files = Store(workspace.folder / "results").trial(plan.experiment, trial.id)
        files.write_config(trial_config(trial))
        train_trial(trial, TrialRecorder(files, plan.select.metric, plan.metrics), Silent())
    return workspace.records()


@pytest.mark.slow
def test_killed_and_started_again_nothing_is_lost_and_nothing_is_different(tmp_path: Path) -> None:
    alone, workspace = (Workspace(tmp_path / name, "seg") for name in ("alone", "killed"))
    for one in (alone, workspace):
        one.write(EPOCHS, seeds=1)
    expected = trained_here(alone)
    tally, draw, seen = Tally(), random.Random(0), Seen()
    run = workspace.run()
    try:
        for whom in ("worker", "both"):
            assert strike(workspace, run, draw, seen, tally, whom, within=1.0) in (whom, None)
            check_on_the_way(workspace, expected, seen, tally)
        if run.poll() is not None:
            run = workspace.run()
        assert run.wait(200) == 0, (workspace.folder / "said.txt").read_text()
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    check_on_the_way(workspace, expected, seen, tally)
    assert tally.violations == []
    found = workspace.records()
    assert set(found) == set(expected)
    for trial, record in found.items():
        for part in ("status", "history", "best", "pictures"):
            assert getattr(record, part) == getattr(expected[trial], part), part
