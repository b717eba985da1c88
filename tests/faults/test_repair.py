"""What is damaged is told, and made again by the next `run`; what is not damaged stays."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.analysis.load import load
from bench.commands.inspect import status_rows
from bench.exit_codes import ExitCode
from bench.record.mlflow import Mirror
from bench.record.store import Store
from tests.faults.tiny import SPEC, facts, run, trials
from tests.faults.workspace import ROOT


def test_damaged_records_are_reported_and_made_again(done: Path, copy: Path) -> None:
    before = facts(copy / "results")
    status, summary, config, row = trials(copy / "results")
    status.status_path.write_text('{"status": "do')
    summary.summary_path.write_text("")
    config.config_path.write_text("axes: [")
    row.history_path.write_text(row.history_path.read_text()[:-20])  # half of the last row
    store = Store(copy / "results")
    store.plan_path("tiny").write_text("{}")

    with pytest.raises(Exception, match=r"plan\.json: cannot be read"):
        status_rows(store, "tiny")
    shutil.copy(done / "results/tiny/plan.json", store.plan_path("tiny"))
    rows = {line["id"]: line for line in status_rows(store, "tiny")}
    assert "status.json: cannot be read" in rows[status.id]["message"]
    assert rows[row.id]["epoch"] == 2
    messages = load(store, "tiny").runs.set_index("id")["message"]
    assert "summary.json: cannot be read" in messages[summary.id]
    problems = Mirror(store).sync("tiny").problems
    assert [p.split(":")[0] for p in problems] == [
        str(p) for p in (status.status_path, summary.summary_path, config.config_path)
    ]

    store.plan_path("tiny").write_text("{}")
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert f"{status.id} goes on" in said
    assert f"{summary.id} goes on" in said
    assert f"{row.id} goes on; before: history.csv has 2 of 3 epochs" in said
    assert "3 of 4 trials to run, 1 done before." in said
    assert facts(copy / "results") == before
    assert Mirror(store).sync("tiny").problems == ()


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(True)))) and None


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (edited(lambda lines: [*lines[:2], lines[3]]), "history.csv has 2 of 3 epochs"),
        (edited(lambda lines: [*lines[:3], lines[3].replace("3,", "3,9", 1)]), "final_train_loss"),
        (edited(lambda lines: [lines[0], *reversed(lines[1:])]), "epoch 2 after 3"),
        (Path.unlink, "history.csv is missing"),
    ],
    ids=["deleted row", "changed figure", "turned round", "no file"],
)
def test_a_history_edited_by_hand(copy: Path, edit: Callable[[Path], None], reason: str) -> None:
    """It is told, and the next run makes it again from the last epoch's state."""
    files = trials(copy / "results")[0]
    before = facts(copy / "results")
    edit(files.history_path)
    store = Store(copy / "results")
    assert len(status_rows(store, "tiny")) == 4
    message = load(store, "tiny").runs.set_index("id")["message"][files.id]
    assert reason in message
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert f"{files.id} goes on; before: " in said
    assert reason in said
    assert "1 of 4 trials to run, 3 done before." in said
    assert facts(copy / "results") == before
    assert load(store, "tiny").runs["message"].isna().all()


def test_an_older_version_s_records_are_read(copy: Path) -> None:
    """Fewer columns and keys, and some that nobody knows any more."""
    store = Store(copy / "results")
    plan = json.loads(store.plan_path("tiny").read_text())
    for key in ("notes", "cautions", "incomparable", "hypotheses", "experiment", "source"):
        plan.pop(key, None)
    store.plan_path("tiny").write_text(json.dumps(plan | {"format": 0}))
    for files in trials(copy / "results"):
        lines = [line.split(",") for line in files.history_path.read_text().splitlines()]
        keep = [i for i, name in enumerate(lines[0]) if name not in ("lr", "val_seconds")]
        lines = [[line[i] for i in keep] + ["1"] for line in lines]
        lines[0][-1] = "gpu_hours"
        files.history_path.write_text("".join(",".join(line) + "\n" for line in lines))
        summary = files.summary()
        for key in (
            "history_digest",
            "summary_digest",
            "compile_seconds",
            "data_fingerprint",
            "baseline_dice",
            "memory_kind",
        ):
            summary.pop(key, None)
        files.summary_path.write_text(json.dumps(summary | {"speed": 3.0}))
        files.status_path.write_text('{"status": "done", "worker": 3}')
        files.environment_path.unlink()
    assert {row["status"] for row in status_rows(store, "tiny")} == {"done"}
    assert set(load(store, "tiny").runs["status"]) == {"done"}
    assert Mirror(store).sync("tiny").problems == ()
    code, said = run(copy)
    assert code is ExitCode.OK
    assert "Nothing to run: 4 of 4 trials are done." in said


@pytest.mark.slow
def test_on_a_full_disk_the_run_stops_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """Full for every file, MLflow's database too: by the process's limit of a file's size."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("seeds: 4", "seeds: 2"))
    full = subprocess.run(
        [sys.executable, "-m", "bench", "run", "spec.yaml", "-j", "1"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False, timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        capture_output=True, text=True,
    )  # fmt: skip
    assert full.returncode == ExitCode.INTERRUPTED, full.stderr
    assert "Traceback" not in full.stderr
    assert "Nothing can be recorded any more: " in full.stderr
    assert "last.pt: cannot be written (File too large): free space" in full.stderr
    assert "Interrupted with 2 trials left" in full.stderr
    assert not list((tmp_path / "results").rglob(".*.pt.*"))
    code, said = run(tmp_path)
    assert code is ExitCode.OK, said
    assert "2 of 2 trials done, 0 failed." in said
    assert Mirror(Store(tmp_path / "results")).sync("tiny").problems == ()
