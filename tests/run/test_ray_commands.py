"""`bench run` and `bench search --executor ray`, as a user calls them, on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.record.store import Store
from tests.benchmarks.cluster_kills import differences
from tests.builders.ray_cluster import RayNodes, ray_nodes

pytest.importorskip("ray", reason="needs Ray: pip install 'bench[ray]'")

ROOT = Path(__file__).parents[2]
SPEC = """\
experiment: small
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.05}
train: {epochs: 2, batch_size: 5}
machine: {threads: 1}
"""
GRID = "grid: {train.lr: [1e-3, 1e-2]}\nseeds: 2\n"
SEARCH = """\
search:
  trials: 2
  storage: journal
  confirm_seeds: 1
  space: {train.lr: {float: [1e-4, 1e-1], log: true}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    with ray_nodes(2) as nodes:
        yield nodes


def bench(command: str, spec: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spec.yaml"
    path.write_text(spec)
    where = ["--results", str(folder / "results"), "--out", str(folder / "reports")]
    return subprocess.run(
        [sys.executable, "-m", "bench", command, str(path), *where, *options],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip


def test_a_run_on_nodes_without_a_shared_folder_gives_the_local_executor_s_bits(
    cluster: RayNodes, tmp_path: Path
) -> None:
    bench("run", SPEC + GRID, tmp_path / "local")
    options = ("--executor", "ray", "--address", cluster.address, "--files", "copied")
    done = bench("run", SPEC + GRID, tmp_path / "ray", *options)
    assert done.returncode == 0, done.stderr
    report = tmp_path / "ray" / "reports" / "small" / "report.html"
    assert done.stdout == f"{report}\n"  # nothing of Ray's
    assert "Ray cluster of 3 nodes: 2 trials at a time, each 1 CPU." in done.stderr
    assert "4 of 4 trials done, 0 failed." in done.stderr
    local, copied = (tmp_path / name / "results" for name in ("local", "ray"))
    assert differences(local, copied, "small") == []
    for files in Store(copied).trials("small"):
        assert not files.last.exists()
        assert files.log.stat().st_size
    for folder in cluster.folders.values():
        assert len(list((folder / "cache").glob("*/meta.json"))) <= 1
        assert not list((folder / "tmp").glob("bench-trial-*"))
    again = bench("run", SPEC + GRID, tmp_path / "ray", *options)
    assert "Nothing to run: 4 of 4 trials are done." in again.stderr


@pytest.mark.long
def test_a_search_on_a_cluster(cluster: RayNodes, tmp_path: Path) -> None:
    options = ("--executor", "ray", "--address", cluster.address, "--files", "copied")
    done = bench("search", SPEC + SEARCH, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "results" / "small" / "search.json").read_text())
    assert [trial["state"] for trial in record["trials"]] == ["complete", "complete"]
    assert "Confirming the chosen point" in done.stderr


def test_a_gpu_that_no_node_has_is_refused_before_anything_starts(
    cluster: RayNodes, tmp_path: Path
) -> None:
    options = ("--executor", "ray", "--address", cluster.address, "--device", "cuda")
    refused = bench("run", SPEC, tmp_path, *options)
    assert refused.returncode == 2
    assert "no node of the cluster has 1 CPU, 1 GPU for a trial" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not Store(tmp_path / "results").trials("small")


def test_an_address_where_no_cluster_is(tmp_path: Path) -> None:
    refused = bench("run", SPEC, tmp_path, "--executor", "ray", "--address", "127.0.0.1:1")
    assert refused.returncode == 2
    assert "--address 127.0.0.1:1: no Ray cluster answers" in refused.stderr


def test_doctor_lists_the_nodes(cluster: RayNodes) -> None:
    arguments = ["doctor", "--address", cluster.address]
    found = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
        env={"COLUMNS": "300", "PATH": "/usr/bin:/bin", "HOME": "/tmp"},
    )  # fmt: skip
    lines = [line for line in found.stdout.splitlines() if "ray node" in line]
    assert len(lines) == 3
    assert all(line.startswith("ok") and "torch" in line for line in lines)
