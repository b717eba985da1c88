from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest

from bench.errors import DamagedError, StoreError, UnconfirmedError
from bench.record.columns import Failure, Status
from bench.record.confirm import verified_status
from bench.record.trial_files import TrialFiles, TrialStatus


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    return TrialFiles(tmp_path / "pets" / "unet-s0")


def test_nothing_there_is_planned_and_empty(files: TrialFiles) -> None:
    assert files.status() == TrialStatus(Status.PLANNED)
    assert files.history() == []
    assert files.summary() == files.environment() == {}
    with pytest.raises(StoreError, match=r"config\.yaml: cannot be read"):
        files.config()


def test_paths_are_the_promised_ones(files: TrialFiles) -> None:
    paths = (
        files.config_path, files.status_path, files.history_path, files.summary_path,
        files.environment_path, files.log, files.best, files.last, files.samples, files.mlflow_path,
    )  # fmt: skip
    assert [path.name for path in paths] == [
        "config.yaml", "status.json", "history.csv", "summary.json", "environment.json",
        "log.txt", "best.pt", "last.pt", "samples", "mlflow.json",
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(files)) == files
    assert (files.experiment, files.id) == ("pets", "unet-s0")


def test_status_round_trip(files: TrialFiles) -> None:
    status = TrialStatus(
        Status.FAILED, Failure.OUT_OF_MEMORY, "CUDA out of memory", "bench", 12, "host",
        "2026-01-01T00:00:00.000Z",
    )  # fmt: skip
    files.write_status(status)
    found = files.status()
    assert found.updated is not None
    assert (found.status, found.failure, found.message) == (
        Status.FAILED, Failure.OUT_OF_MEMORY, "CUDA out of memory",
    )  # fmt: skip
    assert (found.pid, found.started) == (12, status.started)


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "dona"}', "{}", '{"status": "failed", "failure": "bad luck"}', '{"sta', "",
        '{"status": "done", "pid": "7"}', '{"status": "done", "message": ["x"]}',
        '{"status": "done", "updated": "yesterday"}', '{"status": null}',
    ],
)  # fmt: skip
def test_a_damaged_status_is_named(files: TrialFiles, text: str) -> None:
    files.folder.mkdir(parents=True)
    files.status_path.write_text(text)
    with pytest.raises(DamagedError, match=r"status\.json: cannot be read"):
        files.status(strict=True)
    found = files.status()
    assert found.status is Status.INTERRUPTED  # the next run goes on from the last epoch
    assert "status.json: cannot be read" in str(found.message)


def test_a_newer_versions_extra_fields_are_passed_over(files: TrialFiles) -> None:
    files.folder.mkdir(parents=True)
    files.status_path.write_text('{"status": "done", "lease": {}}')
    assert files.status() == TrialStatus(Status.DONE)


def test_history_is_exact(files: TrialFiles) -> None:
    rows = [
        {"epoch": 1, "train/loss": 0.1 + 0.2, "val/loss": None, "tiny": 5e-324},
        {"epoch": 2, "train/loss": 1 / 3, "val/loss": math.inf, "tiny": 1e300},
    ]
    files.write_history(rows, list(rows[0]))
    assert files.history() == rows
    assert files.history_path.read_text().splitlines() == [
        "epoch,train/loss,val/loss,tiny",
        "1,0.30000000000000004,,5e-324",
        "2,0.3333333333333333,inf,1e+300",
    ]
    files.write_history([{"epoch": 1, "train/loss": math.nan}], ["epoch", "train/loss"])
    assert math.isnan(files.history()[0]["train/loss"] or 0)


def test_a_half_written_last_line_is_dropped_at_whatever_byte(files: TrialFiles) -> None:
    rows = [{"epoch": e, "train/loss": e / 7, "val/dice": 0.5} for e in (1, 2)]
    files.write_history(rows, list(rows[0]))
    whole = files.history_path.read_bytes()
    first_ends = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(first_ends, len(whole)):
        files.history_path.write_bytes(whole[:cut])
        assert files.history() == rows[:1]
    for cut in range(first_ends):
        files.history_path.write_bytes(whole[:cut])
        assert files.history() == []


@pytest.mark.parametrize(
    "text",
    [
        "epoch,a\n1,x\n2,3\n", "epoch,a\n1\n2,3\n", "a\n1\n", "epoch,a\n2,1\n1,1\n",
        "epoch,a\n1,1\n1,2\n", "epoch,a\n1.5,1\n", "epoch,a\n,1\n", "epoch,a,a\n1,2,3\n",
        "epoch,a\n0,1\n", f"epoch,a\n{10**30},1\n", 'epoch,a\n1,"' + "x" * 200_000 + '"\n',
    ],
)  # fmt: skip
def test_a_damaged_middle_is_named(files: TrialFiles, text: str) -> None:
    files.folder.mkdir(parents=True)
    files.history_path.write_text(text)
    with pytest.raises(StoreError, match=r"history\.csv: cannot be read"):
        files.history()


def test_clear_forgets_results_and_keeps_what_was_asked_for(files: TrialFiles) -> None:
    files.clear()  # nothing there: nothing to do
    files.write_config({"id": "unet-s0"})
    files.samples.mkdir()
    for path in (
        files.best, files.last, files.status_path, files.log, files.samples / "a.png",
        files.mlflow_path,
    ):  # fmt: skip
        path.write_bytes(b"x")
    files.clear()
    assert sorted(path.name for path in files.folder.iterdir()) == [
        "config.yaml", "log.txt", "mlflow.json",
    ]  # fmt: skip
    assert files.status().status is Status.PLANNED


def finished(files: TrialFiles) -> TrialFiles:
    files.write_history([{"epoch": 1, "train/loss": 0.5}], ["epoch", "train/loss"])
    files.summary_path.write_text('{"epochs": 1}')
    files.last.write_bytes(b"state")
    files.write_status(TrialStatus(Status.DONE))
    return files


def test_finished_is_what_is_whole(files: TrialFiles) -> None:
    assert verified_status(finished(files)).status is Status.DONE
    for path, contents in {
        files.summary_path: ["", "{}", '{"epochs": [1]}'],
        files.history_path: ["", "epoch\n1", "epoch\nx\n2\n", "epoch\n1\n2\n"],
    }.items():
        for content in contents:
            path.write_text(content)
            found = verified_status(files)
            assert found.status is Status.INTERRUPTED, content
            assert path.name in str(found.message)
        finished(files)
    files.summary_path.unlink()
    assert verified_status(files).status is Status.INTERRUPTED


def test_what_no_checkpoint_can_make_again_is_refused(files: TrialFiles) -> None:
    finished(files).history_path.write_text("x")
    assert verified_status(files).status is Status.INTERRUPTED
    files.last.rename(files.previous)
    assert verified_status(files).status is Status.INTERRUPTED
    files.previous.unlink()
    with pytest.raises(UnconfirmedError, match=r"history\.csv.*delete it and `bench run`"):
        verified_status(files)


def test_an_edited_history_is_read_as_it_is(files: TrialFiles) -> None:
    rows = [{"epoch": epoch, "train/loss": epoch / 7} for epoch in (1, 2, 3)]
    files.write_history(rows, list(rows[0]))
    lines = files.history_path.read_text().splitlines(keepends=True)
    files.history_path.write_text("".join([lines[0], lines[1], "3,9.5\n"]))
    assert files.history() == [rows[0], {"epoch": 3, "train/loss": 9.5}]


@pytest.mark.parametrize(
    "text", ["axes: [1]", "axes: {1: a}", "settings: x", "arm: 3", "seed: one", "a", ""]
)
def test_a_foreign_config_is_named(files: TrialFiles, text: str) -> None:
    files.folder.mkdir(parents=True)
    files.config_path.write_text(text)
    with pytest.raises(DamagedError, match=r"config\.yaml: cannot be read"):
        files.config()
