"""What is damaged is told, and made again by the next `run`; what is not damaged stays."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.commands.exit_codes import ExitCode
from bench.commands.inspect import status_rows
from bench.commands.run import RunOptions, run_plan
from bench.plan.expand import make_plan
from bench.record.mlflow import Mirror
from bench.record.store import Store, TrialFiles
from bench.report.load import load
from bench.spec.load import load_spec
from tests.faults.kills import CLOCKS, ROOT, history

SPEC = """\
experiment: tiny
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 3, batch_size: 6}
model: {name: unet, width: 0.05}
seeds: 4
machine: {threads: 1, device: cpu}
"""


def run(folder: Path) -> tuple[ExitCode, str]:
    """`bench run` in this process, and what it said."""
    said = io.StringIO()
    options = RunOptions(folder / "results", folder / "reports", jobs=1)
    plan = make_plan(load_spec(folder / "spec.yaml"))
    return run_plan(plan, options, Console(file=said, width=300)), said.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    (folder / "spec.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        code, said = run(folder)
    assert code is ExitCode.OK, said
    return folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return shutil.copytree(done, tmp_path / "copy")


def trials(folder: Path) -> list[TrialFiles]:
    return Store(folder / "results").trials("tiny")


def facts(folder: Path) -> dict[str, Any]:
    """All that is known of each trial, without what a clock says."""
    return {
        files.id: (
            files.status().status,
            history(files.folder),
            {k: v for k, v in files.summary().items() if k not in CLOCKS},
            files.best.read_bytes(),
        )
        for files in trials(folder)
    }


def test_damaged_records_are_told_and_made_again(done: Path, copy: Path) -> None:
    before = facts(copy)
    status, summary, config, row = trials(copy)
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
    told = load(store, "tiny").runs.set_index("id")["message"]
    assert "summary.json: cannot be read" in told[summary.id]
    problems = Mirror(store).sync("tiny").problems
    assert [p.split(":")[0] for p in problems] == [
        str(p) for p in (status.status_path, summary.summary_path, config.config_path)
    ]

    store.plan_path("tiny").write_text("{}")
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert f"{status.id} goes on" in said
    assert f"{summary.id} goes on" in said
    assert f"{row.id} goes on; before: {row.history_path}: cannot be read (it has 2 of 3" in said
    assert "3 of 4 trials to run, 1 done before." in said
    assert facts(copy) == before
    assert Mirror(store).sync("tiny").problems == ()


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(True)))) and None


@pytest.mark.parametrize(
    "edit",
    [
        edited(lambda lines: [*lines[:2], lines[3]]),
        edited(lambda lines: [*lines[:3], lines[3].replace("3,", "3,9", 1)]),
        edited(lambda lines: [lines[0], *reversed(lines[1:])]),
        edited(lambda lines: lines[:1]),
        Path.unlink,
    ],
    ids=["deleted row", "changed figure", "turned round", "no rows", "no file"],
)
def test_a_history_edited_by_hand(copy: Path, edit: Callable[[Path], None]) -> None:
    """It is read as it is, or told; the next run makes it again if it lacks epochs."""
    files = trials(copy)[0]
    before = facts(copy)[files.id]
    edit(files.history_path)
    store = Store(copy / "results")
    assert len(status_rows(store, "tiny")) == 4
    assert len(load(store, "tiny").runs) == 4
    # a trial that is not finished goes by its checkpoint, and the history is written anew
    record = json.loads(files.status_path.read_text())
    files.status_path.write_text(json.dumps(record | {"status": "running"}))
    from bench.plan.expand import load_trial
    from bench.record.recorder import TrialRecorder
    from bench.train.session import train_trial
    from tests.making import Silent

    plan = make_plan(load_spec(copy / "spec.yaml"))
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics)
    train_trial(load_trial(files.config()), recorder, Silent())
    assert facts(copy)[files.id][1] == before[1]
    assert files.best.read_bytes() == before[3]


def test_an_older_version_s_records_are_read(copy: Path) -> None:
    """Fewer columns and keys, and some that nobody knows any more."""
    store = Store(copy / "results")
    plan = json.loads(store.plan_path("tiny").read_text())
    for key in ("notes", "cautions", "incomparable", "hypotheses", "experiment", "source"):
        plan.pop(key, None)
    store.plan_path("tiny").write_text(json.dumps(plan | {"format": 0}))
    for files in trials(copy):
        lines = [line.split(",") for line in files.history_path.read_text().splitlines()]
        keep = [i for i, name in enumerate(lines[0]) if name not in ("lr", "val_seconds")]
        lines = [[line[i] for i in keep] + ["1"] for line in lines]
        lines[0][-1] = "gpu_hours"
        files.history_path.write_text("".join(",".join(line) + "\n" for line in lines))
        summary = files.summary()
        for key in ("compile_seconds", "data_fingerprint", "baseline_dice", "memory_kind"):
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
