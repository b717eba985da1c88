"""Two runs of one experiment; the long form is `python -m tests.faults.two_runs`."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from bench.plan.expand import make_plan, trial_config
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.builders.training import Silent
from tests.faults.two_runs import STARTED, Workspace, check, running

TRIALS = 8


def train_here(workspace: Workspace) -> None:
    """The same trials without a `run`, nor another process."""
    from bench.train.session import train_trial

    plan = make_plan(load_spec(workspace.folder / "spec.yaml"))
    for trial in plan.trials:
        files = Store(workspace.folder / "results").trial(plan.experiment, trial.id)
        files.write_config(trial_config(trial))
        train_trial(trial, TrialRecorder(files, plan.select.metric, plan.metrics), Silent())


@pytest.mark.slow
def test_two_runs_share_the_trials_and_one_goes_on_where_the_other_is_killed(
    tmp_path: Path,
) -> None:
    """Without locks; with the bits of trials that nobody disturbed."""
    alone, workspace = Workspace(tmp_path / "alone"), Workspace(tmp_path / "shared", locks=False)
    for one in (alone, workspace):
        one.write(epochs=3, seeds=TRIALS // 2)
    with running(workspace.start(), workspace.start()) as runs:
        train_here(alone)
        limit = time.monotonic() + 200
        while workspace.count(STARTED).total() < TRIALS // 2:
            assert time.monotonic() < limit
            time.sleep(0.02)
        victim = random.Random(0).choice(runs)
        victim.send_signal(signal.SIGKILL)
        (other,) = (run for run in runs if run is not victim)
        assert other.wait(200) == 0, workspace.said
    check(workspace, alone.results())
    starts = workspace.count(STARTED)
    assert len(starts) == TRIALS
    assert TRIALS <= starts.total() <= TRIALS + 1  # the one that was cut short
    assert "8 of 8 trials done, 0 failed." in workspace.said[runs.index(other)].read_text()
