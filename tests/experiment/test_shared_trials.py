"""One run's trials while other runs have some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.commands.inspect import status_rows
from bench.errors import BenchError
from bench.experiment import renamed_trials
from bench.experiment.shared_trials import SharedTrials, refuse_force
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.leases import Lease, Leases, LostLeaseError
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.run.events import Ended
from bench.states import Failure, Status
from tests.builders.training import make_trial

ROW = {"epoch": 1, "train/loss": 1.0, "val/dice": 0.5}


@dataclass
class Run:
    """A `run` of one trial, `trial`, in a store."""

    leases: Leases
    recorder: TrialRecorder
    claims: SharedTrials


def recorder_of(files: TrialFiles) -> TrialRecorder:
    return TrialRecorder(files, "val/dice", {"dice": "max"})


def enter(store: Store, trial: Trial, *, unwritten: bool = False) -> Run:
    leases = store.leases("shared").__enter__()
    recorder = recorder_of(store.trial("shared", trial.id))
    before = {trial.id: verified_status(recorder.files)}
    theirs = {trial.id: trial} if unwritten else {}
    return Run(leases, recorder, SharedTrials(leases, {trial.id: recorder}, before, theirs))


@pytest.fixture
def trial() -> Trial:
    return replace(make_trial(train={"epochs": 1}), experiment="shared")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def runs(store: Store, trial: Trial) -> Iterator[tuple[Run, Run]]:
    store.trial("shared", trial.id).write_config(trial_config(trial))
    both = enter(store, trial), enter(store, trial, unwritten=True)
    yield both
    for one in both:
        one.leases.__exit__(None, None, None)


def train(run: Run, trial: Trial) -> None:
    assert run.claims.claim(trial.id) is None
    run.recorder.begin({})
    run.recorder.record_epoch(ROW)
    run.recorder.finish({})
    run.claims.release(trial.id)


def test_done_by_another_run_meanwhile(runs: tuple[Run, Run], trial: Trial) -> None:
    ours, theirs = runs
    assert theirs.claims.claim(trial.id) is None
    assert ours.claims.claim(trial.id) == str(theirs.leases.owner)
    theirs.recorder.begin({})
    theirs.recorder.record_epoch(ROW)
    theirs.recorder.finish({})
    theirs.claims.release(trial.id)
    assert ours.claims.claim(trial.id) == Ended(trial.id, Status.DONE, elsewhere=True)
    assert isinstance(ours.leases.claim(trial.id), Lease)  # it was given back


def test_given_up_by_another_run(runs: tuple[Run, Run], trial: Trial) -> None:
    ours, theirs = runs
    assert theirs.claims.claim(trial.id) is None
    theirs.recorder.begin({})
    theirs.recorder.stop("interrupted", None, None)
    theirs.claims.release(trial.id)
    train(ours, trial)


def test_each_failure_is_retried_by_one_run(store: Store, trial: Trial) -> None:
    files = store.trial("shared", trial.id)
    files.write_config(trial_config(trial))
    recorder_of(files).stop("failed", "crash", "first")
    ours, theirs = enter(store, trial), enter(store, trial)  # both with --retry-failed
    assert theirs.claims.claim(trial.id) is None
    theirs.recorder.stop("failed", "crash", "again")
    theirs.claims.release(trial.id)
    failure = Ended(trial.id, Status.FAILED, Failure.CRASH, "again", elsewhere=True)
    assert ours.claims.claim(trial.id) == failure
    for run in (ours, theirs):
        run.leases.__exit__(None, None, None)


def test_a_trial_that_starts_again_by_itself_is_still_ours(
    runs: tuple[Run, Run], trial: Trial
) -> None:
    ours, theirs = runs
    assert ours.claims.claim(trial.id) is None
    ours.recorder.begin({})
    ours.recorder.retry("killed")
    assert ours.claims.claim(trial.id) is None
    assert theirs.claims.claim(trial.id) == str(ours.leases.owner)
    assert ours.claims.keeps(trial.id)


def test_config_is_written_by_who_runs_the_trial(runs: tuple[Run, Run], trial: Trial) -> None:
    ours, theirs = runs
    files = ours.recorder.files
    files.write_config(trial_config(trial) | {"search": {"point": 7}})  # of whoever had it before
    train(theirs, trial)
    assert files.config() == trial_config(trial)


def test_after_a_takeover_nothing_more_is_written(runs: tuple[Run, Run], trial: Trial) -> None:
    """As a worker that was stopped, and is woken while another run has the trial."""
    ours, theirs = runs
    assert ours.claims.claim(trial.id) is None
    ours.recorder.begin({})
    ours.recorder.record_epoch(ROW)
    lease = ours.recorder.lease
    assert lease is not None
    (lease.folder / str(lease.generation + 1)).write_text("{}\nreleased\n")
    train(theirs, trial)
    files = ours.recorder.files
    said = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    image = ROW  # never looked at
    for write in (
        lambda: ours.recorder.begin({}),
        lambda: ours.recorder.resume([]),
        lambda: ours.recorder.record_epoch(ROW),
        lambda: ours.recorder.picture("x", image),  # type: ignore[arg-type]
        lambda: ours.recorder.finish({}),
        ours.recorder.check,
    ):
        with pytest.raises(LostLeaseError, match="another process has taken over"):
            write()
    ours.recorder.stop("failed", "crash", "late")
    assert not ours.claims.keeps(trial.id)
    ours.claims.release(trial.id)
    assert {p: p.read_bytes() for p in files.folder.rglob("*") if p.is_file()} == said


def test_status_tells_running_from_interrupted(
    store: Store, runs: tuple[Run, Run], trial: Trial
) -> None:
    ours, _ = runs
    assert ours.claims.claim(trial.id) is None
    ours.recorder.begin({})
    assert [row["status"] for row in status_rows(store, "shared")] == ["running"]
    ours.claims.release(trial.id)
    assert [row["status"] for row in status_rows(store, "shared")] == ["interrupted"]


def test_new_labels_wait_until_nobody_runs_the_old_ones(store: Store, trial: Trial) -> None:
    plan: Any = SimpleNamespace(experiment="shared", trials=[trial], further=[])
    before = replace(trial, axes={"model": "old"})
    old = store.trial("shared", before.id)
    old.write_config(trial_config(before))
    with pytest.raises(BenchError, match=f"{old.id} is called {trial.id} now, but somebody"):
        renamed_trials.adopt(plan, store, ["somebody"])
    assert renamed_trials.adopt(plan, store) == [(old.id, trial.id)]


def test_force_is_refused_while_others_run(store: Store) -> None:
    said: list[str] = []
    with store.leases("shared") as ours:
        refuse_force("shared", ours, said.append)
        with store.leases("shared") as theirs:
            with pytest.raises(BenchError, match="'shared' is being run by process") as error:
                refuse_force("shared", ours, said.append)
            assert str(theirs.owner) in str(error.value)
        refuse_force("shared", ours, said.append)
    assert said == []
