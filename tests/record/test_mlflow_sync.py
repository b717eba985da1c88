"""What comes first; what a bad trial or an artifact store that is away keeps out, and what not."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.record.files import read_json, write_json
from bench.record.live import LiveMirror
from bench.record.mlflow import Mirror, MirrorError, SyncCounts
from bench.record.mlflow_artifacts import Artifacts
from bench.record.mlflow_errors import failure, reason
from bench.record.mlflow_record import LACKING, is_behind
from bench.record.store import Store
from tests.builders.trials import begin, config, finish, plan
from tests.record.seen_in_mlflow import children, client, losses, steps

EIGHT = [f"t{i}" for i in range(8)]


def away(*_: object, **__: object) -> None:
    raise ConnectionError("Failed to establish a new connection: [Errno 111] Connection refused")


def states(store: Store) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in children(store)}


def artifacts(store: Store, name: str) -> set[str]:
    run_id = (read_json(store.trial("pets", name).mlflow_path) or {})["run_id"]
    return {found.path for found in client(store).list_artifacts(run_id)}


def test_an_artifact_store_that_is_away_keeps_no_figures_out(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow_store.write_plan("pets", plan(*EIGHT))
    for name in EIGHT:
        finish(begin(mlflow_store, name))
    with monkeypatch.context() as patch:
        patch.setattr(Artifacts, "put", away)
        patch.setattr(Artifacts, "put_text", away)
        counts = Mirror(mlflow_store).sync()
    assert (counts.trials, counts.pushed) == (8, 8)
    assert states(mlflow_store) == dict.fromkeys(EIGHT, "FINISHED")
    assert all(run.data.metrics["test/dice"] == 0.75 for run in children(mlflow_store))
    assert len(counts.problems) == 4  # three, and how many more
    assert "its figures are in MLflow, but config.yaml and 3 more files" in counts.problems[0]
    assert "(Connection refused)" in counts.problems[0]
    assert "the figures of 5 more trials, but not their files" in counts.problems[-1]
    memory = read_json(mlflow_store.trial("pets", "t7").mlflow_path) or {}
    assert sorted(memory[LACKING]) == [
        "best.pt",
        "config.yaml",
        "environment.json",
        "samples/cat_1_2.png",
    ]

    counts = Mirror(mlflow_store).sync()
    assert counts == SyncCounts(trials=8, pushed=8)
    for name in EIGHT:
        assert artifacts(mlflow_store, name) == {
            "best.pt",
            "config.yaml",
            "environment.json",
            "samples",
        }
    assert Mirror(mlflow_store).sync() == SyncCounts(trials=8, pushed=0)
    parent = children(mlflow_store)[0].data.tags["mlflow.parentRunId"]
    assert [found.path for found in client(mlflow_store).list_artifacts(parent)] == ["spec.yaml"]


def test_each_file_by_itself_and_only_what_lacks_again(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = finish(begin(mlflow_store))
    real, sent = Artifacts.put, list[str]()

    def put(self: Artifacts, run: Any, experiment: str, path: Path, folder: str) -> None:
        sent.append(path.name)
        if path.name == "best.pt":
            raise OSError(27, "File too large")
        real(self, run, experiment, path, folder)

    monkeypatch.setattr(Artifacts, "put", put)
    (problem,) = Mirror(mlflow_store).sync().problems
    assert "but best.pt could not be stored there (File too large)" in problem
    assert artifacts(mlflow_store, files.id) == {"config.yaml", "environment.json", "samples"}
    assert len(sent) == 4
    Mirror(mlflow_store).sync()
    assert sent[4:] == ["best.pt"]
    monkeypatch.setattr(Artifacts, "put", real)
    assert Mirror(mlflow_store).sync() == SyncCounts(1, 1)
    assert "best.pt" in artifacts(mlflow_store, files.id)


def test_killed_between_figures_and_files(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = finish(begin(mlflow_store))
    Mirror(mlflow_store).push(files)
    assert states(mlflow_store) == {files.id: "FINISHED"}
    assert artifacts(mlflow_store, files.id) == set()
    assert is_behind(files)
    assert Mirror(mlflow_store).sync() == SyncCounts(1, 1)
    assert not is_behind(files)
    assert steps(mlflow_store) == losses(1, 2)


def test_a_live_mirror_pushes_figures_while_the_artifact_store_is_away(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Artifacts, "put", away)
    warnings: list[str] = []
    mirror = LiveMirror(Mirror(mlflow_store), warnings.append, interval=0.02)
    for name in EIGHT[:4]:
        mirror.changed(finish(begin(mlflow_store, name)))
    assert mirror.close() == EIGHT[:4]
    assert states(mlflow_store) == dict.fromkeys(EIGHT[:4], "FINISHED")
    assert len(warnings) == 1
    assert warnings[0].startswith("MLflow has the figures, but not all files (`python -m bench")


BAD = {
    "axes that are no mapping": ("config.yaml", "axes: [1, 2]\n"),
    "time out of range": ("status.json", '{"status": "done", "started": "0001-01-01T00:00:00Z"}'),
    "no time": ("status.json", '{"status": "done", "started": "soon"}'),
    "step beyond 64 bits": ("history.csv", f"epoch,train/loss\n{10**17},1\n{10**17 + 1},0.5\n"),
    "quote": ("config.yaml", 'id: bad\nexperiment: pets\ncommon: "a\'b"\nseed: 0\n'),
    "no file": ("config.yaml", None),
    "no text": ("summary.json", "{"),
}


@pytest.mark.parametrize("what", BAD)
def test_one_bad_record_does_not_stop_the_others(mlflow_store: Store, what: str) -> None:
    name, content = BAD[what]
    for trial in ("a", "bad", "z"):
        files = finish(begin(mlflow_store, trial))
        if trial == "bad":
            path = files.folder / name
            path.unlink()
            if content is not None:
                path.write_text(content)
    counts = Mirror(mlflow_store).sync()
    assert set(states(mlflow_store)) >= {"a", "z"}
    assert states(mlflow_store)["a"] == states(mlflow_store)["z"] == "FINISHED"
    assert len(counts.problems) <= 1
    assert all("bad" in problem and "\n" not in problem for problem in counts.problems)


def test_what_one_trial_made_mlflow_say(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that may be MLflow's own: while it answers, the others go on; three end the sync."""
    for name in EIGHT:
        finish(begin(mlflow_store, name))
    real = Mirror._push
    bad = {"t1", "t4"}

    def push(self: Mirror, run: Any, record: Any, parent: str, after: int) -> None:
        if record.files.id in bad:
            raise OSError("internal error of the server")
        real(self, run, record, parent, after)

    monkeypatch.setattr(Mirror, "_push", push)
    counts = Mirror(mlflow_store).sync()
    assert (counts.pushed, len(counts.problems)) == (6, 2)
    bad |= {"t2", "t3"}
    for name in ("t2", "t3"):
        write_json(mlflow_store.trial("pets", name).mlflow_path, {})
    with pytest.raises(MirrorError, match="internal error"):
        Mirror(mlflow_store).sync()


def test_what_is_behind(mlflow_store: Store) -> None:
    recorder = begin(mlflow_store)
    files = recorder.files
    assert not is_behind(files)  # it runs: whoever runs it pushes it
    Mirror(mlflow_store).sync()
    finish(recorder)
    assert is_behind(files)
    Mirror(mlflow_store).sync()
    assert not is_behind(files)
    record = files.status_path.read_bytes()
    files.status_path.write_bytes(record)  # a copy: another time, the same content
    assert not is_behind(files)
    Mirror(mlflow_store).sync()
    files.summary_path.write_text("{}")
    files.status_path.write_bytes(record)
    assert is_behind(files)
    Mirror(mlflow_store).sync()
    files.mlflow_path.unlink()
    assert is_behind(files)
    assert not is_behind(mlflow_store.trial("pets", "not-there"))
    planned = mlflow_store.trial("pets", "planned")
    planned.write_config(config("planned"))
    assert not is_behind(planned)


def test_a_sync_keeps_nothing_of_ended_trials(mlflow_store: Store) -> None:
    for name in EIGHT[:3]:
        finish(begin(mlflow_store, name))
    begin(mlflow_store, "running")
    mirror = Mirror(mlflow_store)
    mirror.sync()
    assert [files.id for files in mirror._known] == ["running"]


@pytest.mark.parametrize(
    ("said", "meaning", "doubtful"),
    [
        ("database is locked", "is locked by another program (database is locked)", False),
        ("[Errno 111] Connection refused", "cannot be reached (Connection refused)", False),
        ("Read timed out. (read timeout=1)", "does not answer (Read timed out)", False),
        ("attempt to write a readonly database", "cannot be written (attempt to", False),
        ("Broken pipe", "cannot be reached (Broken pipe)", False),
        ("key not found", "failed (key not found)", True),
    ],
)
def test_errors_say_first_what_they_mean(said: str, meaning: str, doubtful: bool) -> None:
    error = failure("x", sqlite3.OperationalError(said))
    assert str(error).startswith(f"MLflow at x {meaning}")
    assert error.doubtful == doubtful


def test_reasons_are_short_and_have_no_password() -> None:
    long = ValueError(f"https://me:s3/cret@host/x {'word ' * 200}")
    assert reason(long).startswith("https://***@host/x word")
    assert len(reason(long)) <= 200
    assert reason(long).endswith("word …")
    assert reason(ValueError("")) == "ValueError"
    assert reason(ValueError("one\ntwo")) == "one"


RUN = """
import sys
from pathlib import Path
from bench.experiment import mirroring
from bench.record.store import Store
mirroring.holds = lambda *_: True  # synthetic trials have no hashes as ids
mirroring.finish_mirror(Store(Path(sys.argv[1])), "pets", print)
print("mlflow" in sys.modules)
"""


def test_nothing_to_do_but_to_finish_the_mirror(mlflow_store: Store) -> None:
    finish(begin(mlflow_store, "there"))
    Mirror(mlflow_store).sync()
    files = finish(begin(mlflow_store, "killed-before-mlflow"))

    def finishing() -> list[str]:
        command = [sys.executable, "-c", RUN, str(mlflow_store.root)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    said, *_, imported = finishing()  # between them: how long MLflow is waited for
    assert (said, imported) == ("MLflow does not have all of 1 trials: pushing them.", "True")
    assert states(mlflow_store) == {"there": "FINISHED", files.id: "FINISHED"}
    assert "best.pt" in artifacts(mlflow_store, files.id)
    assert json.loads(files.mlflow_path.read_text())[LACKING] == []
    assert finishing() == ["False"]  # MLflow is not even imported
