"""The manifest and the batch script of docs/cluster.md; other blocks are tried as all pages'."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from bench.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()


def block(kind: str) -> str:
    found = re.search(rf"^```{re.escape(kind)}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_kuberay_s_manifest_has_a_head_without_trials_and_workers() -> None:
    spec: Any = yaml.safe_load(block("{code-block} yaml"))["spec"]
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    (workers,) = spec["workerGroupSpecs"]
    assert 1 <= workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    images = {
        group["template"]["spec"]["containers"][0]["image"]
        for group in (spec["headGroupSpec"], workers)
    }
    assert len(images) == 1, "one installation on all nodes"


def test_the_batch_script_is_shell_and_its_commands_exist(tmp_path: Path) -> None:
    scripts = pytest.importorskip(
        "ray.scripts.scripts", reason="needs Ray: pip install 'bench[ray]'"
    )
    script = tmp_path / "job.sh"
    script.write_text(block("text"))
    subprocess.run(["bash", "-n", str(script)], check=True)
    starts = re.findall(r"ray start ([^&\n]*)&", script.read_text())
    assert len(starts) == 2
    for options in starts:
        words = options.replace("$head", "head").split()
        scripts.cli.commands["start"].make_context("start", words)
    (run,) = re.findall(r"^bench run (.*)$", script.read_text(), re.MULTILINE)
    group: Any = typer.main.get_command(app)
    context = group.commands["run"].make_context("run", run.replace("$head", "head").split())
    assert context.params["executor"] == "ray"
    assert context.params["address"] == "head:6379"
