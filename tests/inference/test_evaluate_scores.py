"""`bench evaluate --scores`: of trials of an earlier version, and of lost scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.errors import StoreError
from bench.inference.evaluate_scores import evaluate_scores
from bench.plan.expand import trial_config
from bench.record.confirm import summary_digest
from bench.record.image_scores import read_images, read_scores
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.train.session import train_trial
from tests.builders.experiments import planned
from tests.builders.training import Silent

SPEC = """\
experiment: built
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.05}
train: {epochs: 2, batch_size: 6, lr: 1e-2}
machine: {device: cpu, threads: 1}
seeds: 2
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    plan = planned(folder, SPEC)
    for trial in plan.trials:
        files = Store(folder / "results").trial("built", trial.id)
        files.write_config(trial_config(trial))
        recorder = TrialRecorder(files, plan.select.metric, plan.metrics)
        train_trial(trial, recorder, Silent())
    return folder / "results"


@pytest.fixture
def store(trained: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(trained, tmp_path / "results"))


def edit_summary(files: TrialFiles, **changes: float) -> None:
    """As the trial itself would have written it, of an earlier version: without scores."""
    summary = {
        k: v for k, v in files.summary().items() if k not in ("images_hash", "scores_digest")
    }
    summary |= changes
    summary["summary_digest"] = summary_digest(files.id, summary)
    files.summary_path.write_text(json.dumps(summary))


def make_old(files: TrialFiles) -> None:
    shutil.rmtree(files.scores)
    files.finished.unlink()
    edit_summary(files)


def test_an_earlier_version_s_trial_gets_its_scores(store: Store) -> None:
    files = store.trials("built")[0]
    expected = read_scores(files, files.summary())
    make_old(files)
    before = files.summary_path.read_bytes()
    assert list(evaluate_scores(store, files.id, "cpu")) == [
        (f"{files.id}: scores of 4 val, 4 test images", True)
    ]
    found = read_scores(files, files.summary())
    assert found is not None
    assert expected is not None
    for split in ("val", "test"):
        assert np.allclose(
            found.splits[split].selected.values, expected.splits[split].selected.values, atol=1e-6
        )
    assert found.val_epochs is None
    assert found.images_hash == expected.images_hash
    assert read_images(files, found.images_hash) is not None
    assert files.summary_path.read_bytes() == before
    assert list(evaluate_scores(store, files.id, "cpu")) == [(f"{files.id}: has its scores", True)]


def test_all_trials_of_an_experiment(store: Store) -> None:
    for files in store.trials("built"):
        make_old(files)
    assert [there for _, there in evaluate_scores(store, "built", "cpu")] == [True, True]
    for files in store.trials("built"):
        assert read_scores(files, files.summary()) is not None


def test_lost_scores_come_back_with_their_epochs(store: Store) -> None:
    files = store.trials("built")[0]
    expected = read_scores(files, files.summary())
    (files.scores / "test.npy").write_bytes(b"")
    for path in files.folder.parent.glob("images-*.json"):
        path.unlink()
    assert [there for _, there in evaluate_scores(store, files.id, "cpu")] == [True]
    found = read_scores(files, files.summary())
    assert found is not None
    assert expected is not None
    assert found.val_epochs is not None
    assert np.array_equal(found.val_epochs, expected.val_epochs)  # type: ignore[arg-type]
    assert found.splits["test"].last is not None


def test_scores_that_do_not_give_the_figures_on_record_are_not_written(store: Store) -> None:
    files, other = store.trials("built")
    make_old(files)
    edit_summary(files, test_dice=0.9)
    make_old(other)
    (line, first), (_, second) = evaluate_scores(store, "built", "cpu")
    assert (first, second) == (False, True), "the others are evaluated all the same"
    assert "test_dice" in line
    assert "its record says 0.9" in line
    assert not files.scores.exists()


def test_other_data_is_refused(store: Store) -> None:
    files = store.trials("built")[0]
    make_old(files)
    edit_summary(files, data_fingerprint="other")  # type: ignore[arg-type]
    ((line, there),) = evaluate_scores(store, files.id, "cpu")
    assert not there
    assert "was trained on other data" in line


def test_a_trial_that_somebody_runs_is_not_touched(store: Store) -> None:
    files = store.trials("built")[0]
    make_old(files)
    with store.leases("built") as theirs:
        theirs.claim(files.id)
        ((line, there),) = evaluate_scores(store, files.id, "cpu")
    assert not there
    assert "is being run by" in line


def test_a_folder_of_scores_that_leads_out_is_not_written_to(store: Store, tmp_path: Path) -> None:
    files = store.trials("built")[0]
    make_old(files)
    (tmp_path / "outside").mkdir()
    files.scores.symlink_to(tmp_path / "outside")
    ((line, there),) = evaluate_scores(store, files.id, "cpu")
    assert not there
    assert "is a link" in line
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_experiment_without_finished_trials_is_said(store: Store) -> None:
    for files in store.trials("built"):
        shutil.rmtree(files.folder)
    with pytest.raises(StoreError, match="no trial 'built'"):
        list(evaluate_scores(store, "built", "cpu"))
