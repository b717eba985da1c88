from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch

import bench
from bench.measure.environment import DEPENDENCIES, cpu_model, environment, git_state


def test_can_be_written_as_json_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    monkeypatch.setenv("PYTORCH_SECRET", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = environment("cpu")
    text = json.dumps(found, allow_nan=False)
    assert "hunter2" not in text
    assert "PASSWORD" not in text
    assert (
        found["variables"].items()
        >= {
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "3",
            "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        }.items()
    )


def test_describes_this_process() -> None:
    found = environment(torch.device("cpu"))
    assert found["bench"] == bench.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == str(torch.__version__)
    assert (found["gpu"], found["gpu_memory_mb"], found["cudnn"]) == (None, None, None)
    assert found["ram_mb"] > 100
    assert found["cores"] >= 1
    assert found["packages"]["torch"]


def test_names_every_direct_dependency() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    needed = project["project"]["dependencies"]
    assert {re.split(r"[<>=]", line)[0] for line in needed} == set(DEPENDENCIES)


def test_cpu_model_is_a_name() -> None:
    assert cpu_model() != ""


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_git_state(tmp_path: Path) -> None:
    nothing = {"git_commit": None, "git_dirty": None}
    assert git_state(tmp_path) == nothing
    git(tmp_path, "init")
    assert git_state(tmp_path) == nothing
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    (tmp_path / "untracked").write_text("results are not changes")
    clean = git_state(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", clean["git_commit"])
    assert clean["git_dirty"] is False
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {"git_commit": clean["git_commit"], "git_dirty": True}


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert git_state(Path.cwd()) == {"git_commit": None, "git_dirty": None}
