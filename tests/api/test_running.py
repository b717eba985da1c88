"""`bench.plan` and `bench.run`: specs as dicts, overrides as keywords, and how a run ends."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench.api import running
from bench.api.specs import plain, read_spec
from bench.exit_codes import ExitCode
from bench.plan.expand import make_plan
from bench.spec.load import load_spec
from bench.spec.yaml12 import dump


def test_a_dict_plans_the_same_trials_as_its_file(spec: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(dump(spec))
    wanted = [trial.id for trial in make_plan(load_spec(file)).trials]
    assert len(wanted) == 4
    for given in (spec, file, str(file)):
        assert list(bench.plan(given).trials["id"]) == wanted


def test_a_plan_as_a_table(spec: dict[str, Any]) -> None:
    planned = bench.plan(spec)
    assert (planned.experiment, len(planned)) == ("made", 4)
    assert list(planned.trials.columns) == ["id", "axis.model", "seed", "epochs"]
    assert planned.axes == {"model": ("<b>thin</b>", "other")}
    first = planned.config(planned.trials["id"][0])
    assert (first["model"]["width"], first["train"]["optimizer"]) == (0.05, "adam")
    with pytest.raises(KeyError, match="made has no trial 'x'"):
        planned.config("x")
    assert "<b>thin" not in planned._repr_html_()
    assert "&lt;b&gt;thin" in planned._repr_html_()


@pytest.mark.parametrize(
    "overrides",
    [
        {"train__epochs": 5, "seeds": [7]},
        {"train.epochs": 5, "seeds": (7,)},
        {"train": {"epochs": np.int64(5), "batch_size": 6}, "seeds": np.array([7])},
        {"train.epochs": torch.tensor(5), "seeds": range(7, 8)},
    ],
)
def test_overrides(spec: dict[str, Any], overrides: dict[str, Any]) -> None:
    table = bench.plan(spec, **overrides).trials
    assert set(table["epochs"]) == {5}
    assert list(table["seed"]) == [7, 7]
    assert spec["seeds"] == 2, "the caller's dict is left as it is"


def test_texts_stay_texts(spec: dict[str, Any]) -> None:
    """YAML would read some as something else."""
    for text in ("1e-3", "null", "true", "a: b", "[x", "#", ""):
        found = read_spec(spec | {"hypotheses": []}, {"data.name": text})
        assert found.document.tree["data"]["name"] == text


def test_what_is_no_data_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(bench.BenchError, match=r"spec: grid\.model\.other\.name: is a type; use"):
        bench.plan(spec | {"grid": {"model": {"other": {"name": torch.nn.Conv2d}}}})
    with pytest.raises(bench.BenchError, match=r"the key \(1, 2\) is neither text nor a number"):
        plain({"grid": {(1, 2): 3}}, "")


def test_errors_are_the_command_line_s(spec: dict[str, Any]) -> None:
    with pytest.raises(bench.BenchError) as caught:
        bench.run(spec | {"train": {"epoch": 1}})
    assert str(caught.value) == "spec: train.epoch: unknown key (did you mean 'epochs'?)"
    with pytest.raises(bench.BenchError, match=r"train\.epoch: unknown key"):
        bench.plan(spec, train__epoch=1)
    with pytest.raises(bench.BenchError, match=r"nowhere\.yaml: no such file"):
        bench.plan("nowhere.yaml")


def test_packages_stay_packages(spec: dict[str, Any]) -> None:
    """`bench.run` is a package as well; importing from it does not take the function away."""
    import bench.plan.expand
    import bench.run.worker

    assert bench.run.worker.Job
    assert len(bench.plan(spec)) == 4
    assert inspect.signature(bench.run) == inspect.signature(running.run)
    assert "spec" in inspect.signature(bench.plan).parameters
    assert {"run", "plan", "load", "Experiment", "Trial"} <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        bench.runs  # noqa: B018  # type: ignore[attr-defined]


def test_a_second_run_trains_nothing(
    made: bench.Experiment, workspace: Path, spec: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in made.folder.rglob("best.pt")}
    assert len(before) == 4
    again = bench.run(
        spec, results=workspace / "results", reports=workspace / "reports", progress=False
    )
    assert again.runs.equals(made.runs)
    assert {path: path.read_bytes() for path in made.folder.rglob("best.pt")} == before
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_an_interrupted_run_raises(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.experiment.running.run_plan", lambda *_: ExitCode.INTERRUPTED)
    main = sys.modules["__main__"]
    with pytest.raises(KeyboardInterrupt):
        bench.run(spec, results=tmp_path)
    assert sys.modules["__main__"] is main


def test_it_runs_in_a_thread(made: bench.Experiment, workspace: Path, spec: dict[str, Any]) -> None:
    """Where Python lets nobody handle signals: in a server, for example."""
    folders = {"results": workspace / "results", "reports": workspace / "reports"}
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(bench.run, spec, progress=False, **folders).result()
    assert found.runs.equals(made.runs)


def test_a_script_needs_no_guard_and_a_failure_is_a_row(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    """Its lines run once, not again in every worker."""
    spec["hypotheses"] = []
    spec["train"]["lr"] = 1e30  # diverges
    script = tmp_path / "study.py"
    script.write_text(
        "import bench, sys\n"
        "print('begun')\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
        f"made = bench.run({spec!r}, seeds=1, jobs=1)\n"
        "print(sorted(set(made.runs['status'])), made.runs['message'].notna().all())\n"
    )
    found = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["begun", "['failed'] True"]
    assert "2 of 2 trials to run" in found.stderr


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2"])
def test_a_wrong_number_of_jobs_is_refused(spec: dict[str, Any], tmp_path: Path, jobs: Any) -> None:
    with pytest.raises(bench.BenchError, match=r"jobs: .* is no whole number from 1"):
        bench.run(spec, jobs=jobs, results=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_replaced_stream_gets_plain_lines(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, whose kernel asks for colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", written := io.StringIO())
    bench.run(spec, jobs=1, results=tmp_path / "results", reports=tmp_path / "reports")
    assert "4 of 4 trials done" in written.getvalue()
    assert "\x1b" not in written.getvalue()


@pytest.mark.parametrize("spec", [None, 3, ["a.yaml"]])
def test_a_spec_is_a_path_or_a_dict(spec: Any) -> None:
    with pytest.raises(bench.BenchError, match="the path of a YAML file or a dict, not"):
        bench.plan(spec)
