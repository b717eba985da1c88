from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.record.columns import Failure, Status
from bench.record.recorder import history_columns
from bench.record.store import Store, TrialFiles
from tests.builders.trials import begin, finish, recorder_of, row


def test_everything_goes_round(store: Store) -> None:
    recorder = begin(store, epochs=3)
    files = recorder.files
    running = files.status()
    assert (running.status, running.pid, running.source) == (Status.RUNNING, os.getpid(), "bench")
    assert files.history() == [row(1), row(2), row(3)]
    assert files.environment() == {"torch": "2.9"}
    assert files.summary() == {}

    finish(recorder)
    done = files.status()
    assert (done.status, done.failure, done.message) == (Status.DONE, None, None)
    assert done.started == running.started
    assert done.updated is not None
    assert running.updated is not None
    assert done.updated >= running.updated
    summary = files.summary()
    assert summary["best_val_dice"] == row(3)["val/dice"]
    assert (summary["best_epoch"], summary["epoch_seconds"], summary["train_seconds"]) == (
        3,
        2.0,
        7.5,
    )
    assert (summary["test_dice"], summary["deterministic"]) == (0.75, True)
    with Image.open(files.samples / "cat_1_2.png") as picture:
        assert picture.size == (6, 4)
    assert not list(files.folder.glob(".*"))


def test_columns_stand_in_the_promised_order(store: Store) -> None:
    assert begin(store).files.history_path.read_text().splitlines()[0] == (
        "epoch,train/loss,val/loss,val/dice,lr,epoch_seconds,val_seconds,"
        "between_seconds,images_per_second,peak_memory_mb"
    )
    assert history_columns([])[:3] == ["epoch", "train/loss", "lr"]


def test_going_on_keeps_the_start_and_drops_what_came_after_the_checkpoint(store: Store) -> None:
    first = begin(store, epochs=3)
    started = first.files.status().started
    second = recorder_of(first.files)
    second.begin({"torch": "3.0"})
    assert len(first.files.history()) == 3  # until training says where it goes on
    second.resume([row(1), row(2)])
    assert first.files.history() == [row(1), row(2)]
    second.record_epoch(row(3, loss=0.25))
    assert first.files.history() == [row(1), row(2), row(3, loss=0.25)]
    status = first.files.status()
    assert (status.status, status.started) == (Status.RUNNING, started)
    finish(second)
    assert first.files.summary()["final_train_loss"] == 0.25


def test_a_start_without_a_checkpoint_forgets_what_was_there(store: Store) -> None:
    files = finish(begin(store, epochs=3))
    files.last.unlink()
    again = recorder_of(files)
    again.begin({})
    assert files.history() == []
    assert files.summary() == {}
    assert not files.best.exists()
    assert not list(files.samples.glob("*"))
    assert files.config()["id"] == files.id
    again.record_epoch(row(1))
    assert files.history() == [row(1)]


def test_a_finished_trial_keeps_no_state_to_go_on_from(store: Store) -> None:
    recorder = begin(store)
    recorder.previous.write_bytes(b"state")
    recorder.finished.write_bytes(b"without weights")
    files = finish(recorder)
    assert not files.last.exists()
    assert not files.previous.exists()
    assert files.best.exists()
    assert files.finished.exists()


def test_a_finished_trial_keeps_its_states_where_that_is_asked_for(store: Store) -> None:
    recorder = begin(store)
    recorder.finished.write_bytes(b"without weights")
    recorder.keep_last = True
    assert finish(recorder).last.exists()


def test_without_a_finished_state_the_others_stay(store: Store) -> None:
    """For only they can make a damaged record again."""
    assert finish(begin(store)).last.exists()


def test_states_go_only_when_the_trial_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = begin(store)
    recorder.finished.write_bytes(b"without weights")

    def full(*_args: object, **_options: object) -> None:
        raise OSError

    monkeypatch.setattr(TrialFiles, "write_status", full)
    with pytest.raises(OSError):  # noqa: PT011 - any
        finish(recorder)
    assert recorder.last.exists()


def test_stopping(store: Store) -> None:
    recorder = begin(store)
    recorder.stop("interrupted", None, None)
    status = recorder.files.status()
    assert (status.status, status.failure, status.message) == (Status.INTERRUPTED, None, None)

    recorder_of(recorder.files).stop("failed", "killed", "the worker died: signal 9")  # the parent
    after = recorder.files.status()
    assert (after.status, after.failure) == (Status.FAILED, Failure.KILLED)
    assert after.message == "the worker died: signal 9"
    assert after.started == status.started

    recorder_of(recorder.files).begin({})
    assert recorder.files.status().failure is None
    with pytest.raises(ValueError, match="bad luck"):
        recorder.stop("failed", "bad luck", "x")


def test_stopping_before_the_start_or_with_a_damaged_status(store: Store) -> None:
    recorder = recorder_of(store.trial("pets", "x"))
    recorder.stop("failed", "data", "no such file")
    assert recorder.files.status().failure is Failure.DATA
    recorder.files.status_path.write_text("{")
    recorder.stop("failed", "crash", "boom")
    assert recorder.files.status().failure is Failure.CRASH


def test_is_sent_to_the_worker(store: Store) -> None:
    recorder = recorder_of(store.trial("pets", "x"))
    copy = pickle.loads(pickle.dumps(recorder))
    assert copy == recorder
    assert (copy.best, copy.last) == (recorder.files.best, recorder.files.last)


def test_numpy_numbers_and_missing_ones(store: Store) -> None:
    recorder = begin(store, epochs=0)
    recorder.record_epoch(
        dict(row(1)) | {"train/loss": np.float32(0.1), "val/loss": None, "epoch": np.int64(1)}
    )
    (found,) = recorder.files.history()
    assert found["train/loss"] == float(np.float32(0.1))
    assert found["val/loss"] is None
    assert found["epoch"] == 1


WRITE = """
import sys
from pathlib import Path
from tests.builders.trials import *
recorder = begin(Store(Path(sys.argv[1])), epochs=0)
for epoch in range(1, 100_000):
    recorder.record_epoch(row(epoch))
    print(epoch, flush=True)
"""


def test_killed_at_any_instant_every_file_is_whole(store: Store) -> None:
    draw = random.Random(0)
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(store.root)],
            stdout=subprocess.PIPE,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])},
        )
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(6)][-1] == b"6\n"
        time.sleep(0.05 + 0.1 * draw.random())
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        files = store.find("unet-s0")
        history = files.history()
        assert history == [row(epoch) for epoch in range(1, len(history) + 1)]
        assert len(history) > 5
        assert files.status().status is Status.RUNNING
    recorder_of(files).begin({})
    assert not list(files.folder.glob(".*"))  # what the killed ones left beside
