from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.record.files import read_json, write_json
from bench.record.mlflow import Mirror, RefusedError, SyncCounts
from bench.record.mlflow_artifacts import local_path
from bench.record.store import Store
from tests.builders.trials import begin, config, finish, plan, recorder_of, row
from tests.record.seen_in_mlflow import children, client, losses, steps


def test_a_finished_trial_is_all_there(mlflow_store: Store) -> None:
    store = mlflow_store
    store.write_plan("pets", plan())
    files = finish(begin(store, epochs=3))
    assert Mirror(store).sync() == SyncCounts(trials=1, pushed=1)

    (run,) = children(store)
    assert run.info.run_name == files.id
    assert run.info.status == "FINISHED"
    assert run.data.params["model"] == "unet"
    assert run.data.params["train.lr"] == "1e-3"
    assert run.data.tags["bench.status"] == "done"
    assert run.data.tags["bench.device"] == "cpu"
    assert run.data.metrics["val/dice"] == row(3)["val/dice"]
    assert run.data.metrics["system/peak_memory_mb"] == 1234.5
    assert run.data.metrics["test/dice"] == 0.75
    assert run.data.metrics["values/best_epoch"] == 3
    assert steps(store) == losses(1, 2, 3)

    parent = client(store).get_run(run.data.tags["mlflow.parentRunId"])
    assert (parent.info.run_name, parent.info.status) == ("pets", "FINISHED")
    assert parent.data.tags["bench.common"] == "c0ffee00"
    spec = local_path(parent.info.artifact_uri) / "spec.yaml"  # type: ignore[operator]
    assert spec.read_text() == "experiment: pets\n"

    listed = {a.path for a in client(store).list_artifacts(run.info.run_id)}
    assert listed == {"config.yaml", "environment.json", "best.pt", "samples"}
    artifacts = local_path(run.info.artifact_uri)
    assert artifacts is not None
    assert artifacts.is_relative_to(store.artifacts.resolve())
    assert (artifacts / "best.pt").samefile(files.best)  # no second copy of the weights
    assert (artifacts / "samples" / "cat_1_2.png").is_file()
    memory = read_json(files.mlflow_path)
    assert memory is not None
    assert (memory["run_id"], memory["epochs_logged"], memory["finished"], memory["uri"]) == (
        run.info.run_id, 3, True, "sqlite:///mlflow.db",
    )  # fmt: skip


def test_a_clock_that_was_set_back_gives_no_negative_duration(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    status = read_json(files.status_path)
    assert status is not None
    write_json(files.status_path, status | {"updated": "2001-01-01T00:00:00.000Z"})
    Mirror(mlflow_store).sync()
    (run,) = children(mlflow_store)
    seconds = sum((row(n)["epoch_seconds"] or 0) + (row(n)["val_seconds"] or 0) for n in (1, 2, 3))
    assert run.info.end_time - run.info.start_time == pytest.approx(1000 * seconds, abs=2)


def test_a_second_sync_logs_nothing_and_touches_nothing(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    before = children(mlflow_store)[0].to_dictionary(), files.mlflow_path.read_bytes()
    assert Mirror(mlflow_store).sync() == SyncCounts(trials=1, pushed=0)
    files.mlflow_path.unlink()  # even where we forgot what we pushed
    assert Mirror(mlflow_store).sync() == SyncCounts(trials=1, pushed=1)
    assert (children(mlflow_store)[0].to_dictionary(), files.mlflow_path.read_bytes()) == before
    for metric in ("train/loss", "test/dice"):
        assert len(steps(mlflow_store, metric)) == (3 if metric == "train/loss" else 1)


def test_grows_with_the_trial(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store, epochs=1)
    mirror = Mirror(mlflow_store)
    assert mirror.sync_trial(recorder.files)
    assert not mirror.sync_trial(recorder.files)
    assert children(mlflow_store)[0].info.status == "RUNNING"
    recorder.record_epoch(row(2))
    recorder.record_epoch(row(3))
    assert mirror.sync_trial(recorder.files)
    assert steps(mlflow_store) == losses(1, 2, 3)
    recorder.stop("failed", "diverged", "no finite loss")
    assert mirror.sync_trial(recorder.files)
    (run,) = children(mlflow_store)
    assert (run.info.status, run.data.tags["bench.failure"]) == ("FAILED", "diverged")
    assert run.data.tags["bench.message"] == "no finite loss"


def test_a_run_deleted_while_its_trial_runs_comes_back(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store, epochs=1)
    mirror = Mirror(mlflow_store)
    mirror.sync_trial(recorder.files)
    client(mlflow_store).delete_run(children(mlflow_store)[0].info.run_id)
    recorder.record_epoch(row(2))
    assert mirror.sync_trial(recorder.files)
    assert steps(mlflow_store) == losses(1, 2)
    assert children(mlflow_store)[0].data.params["model"] == "unet"


def test_two_processes_that_push_a_running_trial_log_no_step_twice(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store, epochs=1)
    mirrors = Mirror(mlflow_store), Mirror(mlflow_store)  # `bench run`, and a `bench sync` beside
    for epoch in range(2, 8):
        mirrors[epoch // 2 % 2].sync_trial(recorder.files)
        recorder.record_epoch(row(epoch))
    finish(recorder)
    mirrors[0].sync_trial(recorder.files)
    assert steps(mlflow_store) == losses(1, 2, 3, 4, 5, 6, 7)


def test_a_flush_asks_mlflow_nothing(mlflow_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = begin(mlflow_store, epochs=1)
    mirror = Mirror(mlflow_store)
    mirror.sync_trial(recorder.files)
    monkeypatch.setattr(Mirror, "_find", lambda *_: 1 / 0)
    for epoch in (2, 3):
        recorder.record_epoch(row(epoch))
        assert mirror.sync_trial(recorder.files)
    assert steps(mlflow_store) == losses(1, 2, 3)


def test_killed_between_pushing_and_remembering(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = begin(mlflow_store, epochs=2)
    Mirror(mlflow_store).sync()
    recorder.record_epoch(row(3))
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_remember", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Mirror(mlflow_store).sync()
    recorder.record_epoch(row(4))
    Mirror(mlflow_store).sync()
    assert steps(mlflow_store) == losses(1, 2, 3, 4)


def test_killed_between_creating_the_run_and_anything_else(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = begin(mlflow_store, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_push", lambda *_, **__: 1 / 0)
        with pytest.raises(RefusedError):
            Mirror(mlflow_store).sync_trial(recorder.files)
    assert not recorder.files.mlflow_path.exists()
    Mirror(mlflow_store).sync()
    (run,) = children(mlflow_store)
    assert run.data.params["model"] == "unet"
    assert steps(mlflow_store) == losses(1, 2)


def test_a_resumed_trial_logs_no_step_twice(mlflow_store: Store) -> None:
    files = begin(mlflow_store, epochs=3).files
    recorder_of(files).stop("interrupted", None, None)
    Mirror(mlflow_store).sync()
    assert children(mlflow_store)[0].info.status == "KILLED"
    again = recorder_of(files)
    again.begin({})
    again.resume([row(1), row(2)])  # its checkpoint is an epoch behind
    mirror = Mirror(mlflow_store)
    mirror.sync_trial(files)
    assert children(mlflow_store)[0].info.status == "RUNNING"
    again.record_epoch(row(3))
    mirror.sync_trial(files)
    again.record_epoch(row(4))
    finish(again)
    mirror.sync_trial(files)
    assert steps(mlflow_store) == losses(1, 2, 3, 4)
    assert len(steps(mlflow_store, "val/dice")) == 4
    assert children(mlflow_store)[0].info.status == "FINISHED"


def test_a_history_that_became_another_replaces_the_run(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    (old,) = children(mlflow_store)
    files.last.unlink()
    again = recorder_of(files)  # run --force, with code that has changed
    again.begin({})
    again.record_epoch(row(1, loss=0.5))
    Mirror(mlflow_store).sync()
    assert steps(mlflow_store) == [(1, 0.5)]
    (new,) = children(mlflow_store)
    assert new.info.run_id != old.info.run_id
    assert client(mlflow_store).get_run(old.info.run_id).info.lifecycle_stage == "deleted"


def test_a_shorter_history_of_a_finished_trial_replaces_the_run(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    files.last.unlink()
    again = recorder_of(files)
    again.begin({})
    again.stop("failed", "data", "an unreadable image")
    Mirror(mlflow_store).sync()
    assert steps(mlflow_store) == []


def test_a_results_folder_that_moved_with_a_new_database(
    mlflow_store: Store, fresh_database: Path, tmp_path: Path
) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    moved = Store(tmp_path / "moved")
    mlflow_store.root.rename(moved.root)
    (moved.root / "mlflow.db").write_bytes(fresh_database.read_bytes())
    assert Mirror(moved).sync() == SyncCounts(trials=1, pushed=1)
    assert steps(moved) == losses(1, 2, 3)
    (run,) = children(moved)
    assert (moved.root / "pets" / files.id / "mlflow.json").read_text().count(run.info.run_id) == 1


def test_a_copied_trial_does_not_write_into_the_others_run(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, "a"))
    Mirror(mlflow_store).sync()
    copy = finish(begin(mlflow_store, "b"))
    copy.mlflow_path.write_bytes(files.mlflow_path.read_bytes())
    Mirror(mlflow_store).sync()
    assert sorted(run.info.run_name for run in children(mlflow_store)) == ["a", "b"]


def test_planned_trials_and_damaged_records(mlflow_store: Store) -> None:
    finish(begin(mlflow_store, "good"))
    bad = finish(begin(mlflow_store, "bad"))
    bad.history_path.write_text("epoch,a\nx,1\n1,2\n")
    worse = finish(begin(mlflow_store, "worse"))
    worse.status_path.write_text("{")
    mlflow_store.trial("pets", "planned").write_config(config("planned"))
    counts = Mirror(mlflow_store).sync("pets")
    assert (counts.trials, counts.pushed) == (2, 1)
    assert [problem.split(": ")[0] for problem in counts.problems] == [
        str(bad.history_path), str(worse.status_path),
    ]  # fmt: skip
    assert [run.info.run_name for run in children(mlflow_store)] == ["good"]
    good = mlflow_store.trial("pets", "good")
    good.mlflow_path.write_text('{"run_id": 3')  # only a memory
    Mirror(mlflow_store).sync_trial(good)
    assert len(children(mlflow_store)) == 1


def test_missing_nan_and_infinite_numbers(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store, epochs=0)
    recorder.record_epoch(dict(row(1)) | {"val/loss": float("nan"), "val/dice": None})
    recorder.record_epoch(dict(row(2)) | {"val/loss": float("inf"), "train/loss": float("inf")})
    Mirror(mlflow_store).sync()
    recorder.record_epoch(row(3))
    Mirror(mlflow_store).sync()
    assert [step for step, _ in steps(mlflow_store)] == [1, 2, 3]
    assert [step for step, _ in steps(mlflow_store, "val/dice")] == [2, 3]


def test_more_epochs_than_a_batch_takes(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store, epochs=0)
    for epoch in range(1, 251):
        recorder._history.append(row(epoch))
    recorder._write_history()
    Mirror(mlflow_store).sync()
    for metric in ("train/loss", "system/peak_memory_mb"):
        assert [step for step, _ in steps(mlflow_store, metric)] == list(range(1, 251))


def test_one_sync_of_100_epochs_is_fast(mlflow_store: Store) -> None:
    begin(mlflow_store, "warm-up")
    mirror = Mirror(mlflow_store)
    mirror.sync()
    recorder = begin(mlflow_store, "timed", epochs=0)
    recorder._history = [row(epoch) for epoch in range(1, 101)]
    finish(recorder)
    recorder._write_history()
    start = time.perf_counter()
    mirror.sync_trial(recorder.files)
    seconds = time.perf_counter() - start
    print(f"100 epochs × 8 metrics: {seconds:.3f} s")
    assert seconds < 1.5  # 0.15 s where nothing else runs


def test_a_new_best_checkpoint_replaces_the_artifact(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store))
    Mirror(mlflow_store).sync()
    replacement = files.folder / "replacement"
    replacement.write_bytes(b"better weights")
    replacement.replace(files.best)
    write_json(files.summary_path, files.summary() | {"test_dice": 0.8})
    Mirror(mlflow_store).sync()
    (run,) = children(mlflow_store)
    artifacts = local_path(run.info.artifact_uri)
    assert artifacts is not None
    assert (artifacts / "best.pt").read_bytes() == b"better weights"
    assert run.data.metrics["test/dice"] == 0.8
