"""Job arrays on a stand-in for Slurm: jobs that are killed, preempted, or meet their time limit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.workspace import ROOT, Record, record
from tests.slurm import stand_in

SPEC = """\
experiment: shared
task: segmentation
data: {name: shapes, image_size: 32, train: 24, val: 4, test: 4}
train: {epochs: EPOCHS, batch_size: 6}
model: {name: unet, width: 0.05}
grid: {train.lr: [1e-3, 1e-4]}
seeds: 3
machine: {threads: 1, device: cpu}
"""
DONE = re.compile(r"^\[\d+/\d+\] (\S+): done(?! by another run)", re.MULTILINE)


@dataclass
class Cluster:
    """A folder in which arrays are submitted to the stand-in."""

    folder: Path
    slurm: dict[str, str] = field(default_factory=dict)

    def write(self, epochs: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "spec.yaml").write_text(SPEC.replace("EPOCHS", str(epochs)))

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self.slurm | {
            "PYTHONPATH": str(ROOT), "BENCH_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "bench", *words], cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip

    @property
    def tasks(self) -> dict[str, dict[str, object]]:
        return stand_in.tasks(Path(self.slurm[stand_in.STATE]))

    def said(self) -> str:
        logs = sorted((self.folder / "results/shared/slurm").glob("*.log"))
        return "\n".join(path.read_text() for path in logs)

    def records(self) -> dict[str, Record]:
        found = (self.folder / "results/shared").glob("*/status.json")
        return {path.parent.name: record(path.parent) for path in sorted(found)}

    def wait(self, condition: Callable[[], bool], seconds: float = 600) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, (self.tasks, self.said())
            time.sleep(0.05)

    def is_over(self) -> bool:
        return all(task["state"] not in ("PENDING", "RUNNING") for task in self.tasks.values())

    def reports_made(self) -> int:
        """Who found a report that is up to date names it, too."""
        named = self.said().count("reports/shared/report.html")
        found = re.findall(r"Another run has made the report|Nothing to run:", self.said())
        return named - len(found)

    def kill(self) -> None:
        for task in self.tasks.values():
            if task["state"] == "RUNNING":
                stand_in.kill(int(str(task["pid"])))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path / "shared", stand_in.install(tmp_path / "slurm"))
    yield found
    found.kill()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_of_four_jobs_are_killed_and_one_is_preempted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trial once, with the bits of a run that nobody disturbed, and one report."""
    alone = Cluster(cluster.folder.parent / "alone")
    for one in (alone, cluster):
        one.write(epochs=5)
    assert alone.call("run", "spec.yaml", "-j", "2").returncode == 0
    done = cluster.call("submit", "spec.yaml", "--array", "4", "--gpus", "0", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert "Submitted batch job 1000 (4 jobs)" in done.stdout
    names = [f"1000_{number}" for number in range(4)]
    started = re.compile(r"started$", re.MULTILINE)
    cluster.wait(lambda: len(started.findall(cluster.said())) >= 4)
    monkeypatch.setenv(stand_in.STATE, cluster.slurm[stand_in.STATE])
    busy = [name for name in names if cluster.tasks[name]["state"] == "RUNNING"]
    rows = cluster.call("status", "shared").stdout
    assert "Slurm job 1000_" in " ".join(rows.split()), rows
    for name in busy[:2]:
        stand_in.kill(int(str(cluster.tasks[name]["pid"])))
    stand_in.signal_step(busy[2], signal.SIGTERM)
    cluster.wait(cluster.is_over)
    tasks = cluster.tasks
    assert tasks[busy[2]]["restarts"] == 1, cluster.said()
    states = sorted(str(task["state"]) for task in tasks.values())
    assert states == ["COMPLETED"] * 2 + ["FAILED"] * 2
    assert cluster.records() == alone.records()
    ended = DONE.findall(cluster.said())
    assert sorted(ended) == sorted(set(ended)) == sorted(alone.records())
    assert cluster.reports_made() == 1
    assert f"Job {busy[2]} goes back into the queue" in cluster.said()


@pytest.mark.long
def test_a_job_stops_before_its_time_limit_and_goes_on_when_it_is_back(cluster: Cluster) -> None:
    cluster.write(epochs=12)
    words = ["--array", "1", "--gpus", "0", "-j", "1", "--time", "1h"]
    assert cluster.call("submit", "spec.yaml", "seeds=1", *words).returncode == 0
    cluster.wait(lambda: "epoch 2/12" in cluster.said())
    (Path(cluster.slurm[stand_in.STATE]) / "1000_0.late").touch()
    cluster.wait(lambda: cluster.tasks["1000_0"]["restarts"] == 1)
    cluster.wait(cluster.is_over)
    assert cluster.tasks["1000_0"]["state"] == "COMPLETED", cluster.said()
    assert [found.status for found in cluster.records().values()] == ["done"] * 2
    assert "Interrupted with 2 trials left" in cluster.said()
    assert cluster.said().count("epoch 1/12") == 2  # neither trial began anew
    assert cluster.reports_made() == 1
