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
from tests.faults.place import Place, Record

EPOCHS = 20


def trained_here(place: Place) -> dict[str, Record]:
    """The same trials without a `run`, nor another process."""
    from bench.train.session import train_trial

    plan = make_plan(load_spec(place.folder / f"{place.name}.yaml"))
    for trial in plan.trials:
        files = Store(place.folder / "results").trial(plan.experiment, trial.id)
        files.write_config(trial_config(trial))
        train_trial(trial, TrialRecorder(files, plan.select.metric, plan.metrics), Silent())
    return place.records()


@pytest.mark.slow
def test_killed_and_started_again_nothing_is_lost_and_nothing_is_different(tmp_path: Path) -> None:
    alone, place = (Place(tmp_path / name, "seg") for name in ("alone", "killed"))
    for one in (alone, place):
        one.write(EPOCHS, seeds=1)
    expected = trained_here(alone)
    tally, draw, seen = Tally(), random.Random(0), Seen()
    run = place.run()
    try:
        for whom in ("worker", "both"):
            assert strike(place, run, draw, seen, tally, whom, within=1.0) in (whom, None)
            check_on_the_way(place, expected, seen, tally)
        if run.poll() is not None:
            run = place.run()
        assert run.wait(200) == 0, (place.folder / "said.txt").read_text()
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    check_on_the_way(place, expected, seen, tally)
    assert tally.violations == []
    found = place.records()
    assert set(found) == set(expected)
    for trial, record in found.items():
        for part in ("status", "history", "best", "pictures"):
            assert getattr(record, part) == getattr(expected[trial], part), part
