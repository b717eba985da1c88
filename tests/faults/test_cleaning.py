"""`bench clean` that is killed, and that meets a `run` of the same trials."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.record import clean as module
from bench.record.clean import CleanOptions, clean
from bench.record.store import Store
from tests.faults.test_surroundings import Said
from tests.faults.tiny import facts, run, trials
from tests.faults.workspace import ROOT

EVERYTHING = CleanOptions("none")
KILLED = """
import os, pathlib, signal, sys
from bench.record import clean as module
from bench.record.store import Store

left, delete = int(sys.argv[2]), module._delete

def dying(path):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    delete(path)

module._delete = dying
module.clean(Store(pathlib.Path(sys.argv[1])), [], module.CleanOptions("none"))
"""


@pytest.fixture(autouse=True)
def _own_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def checkpoints(results: Path) -> set[Path]:
    return {path.relative_to(results) for path in results.rglob("*.pt")}


def without_weights(results: Path) -> dict[str, tuple[object, ...]]:
    return {trial: found[:-1] for trial, found in facts_of_cleaned(results).items()}


def facts_of_cleaned(results: Path) -> dict[str, tuple[object, ...]]:
    """As `facts`, of trials whose best.pt may be gone."""
    for files in trials(results):
        files.best.touch()
    found = facts(results)
    for files in trials(results):
        if not files.best.stat().st_size:
            files.best.unlink()
    return found


@pytest.mark.parametrize("deletions", [0, 1, 3, 4])
def test_killed_it_leaves_whole_what_it_had_not_reached(copy: Path, deletions: int) -> None:
    results, before = copy / "results", facts(copy / "results")
    there = checkpoints(results)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(results), str(deletions)], check=False, timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    left = checkpoints(results)
    assert len(there - left) == deletions
    touched = {path.parent.name for path in there - left}
    whole = {trial: found for trial, found in before.items() if trial not in touched}
    assert whole
    after = facts_of_cleaned(results)
    assert whole.items() <= after.items()
    assert {trial: found[:-1] for trial, found in after.items()} == {
        trial: found[:-1] for trial, found in before.items()
    }
    (found,) = clean(Store(results), [], EVERYTHING)  # and waits for nobody
    assert found.left == []
    assert checkpoints(results) == set()
    code, said = run(copy)
    assert (code, "Nothing to run: 4 of 4 trials are done" in said) == (ExitCode.OK, True)


def test_a_run_that_forgets_everything_waits_for_it_to_be_over(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, delete = copy / "results", module._delete
    refused: list[str] = []

    def meanwhile(path: Path) -> None:
        if not refused:
            with pytest.raises(BenchError) as caught:
                run(copy, force=True)
            refused.append(str(caught.value))
        delete(path)

    monkeypatch.setattr(module, "_delete", meanwhile)
    before = facts(results)
    (found,) = clean(Store(results), [], EVERYTHING)
    assert found.trials == 4
    assert refused[0].startswith("--force: 'tiny' is being ")
    assert len(without_weights(results)) == 4
    code, said = run(copy, force=True)
    assert code is ExitCode.OK, said
    assert facts(results) == before


def test_it_leaves_alone_what_a_run_has_begun_to_train_again(copy: Path) -> None:
    results, before = copy / "results", facts(copy / "results")
    cleaned: list[module.Cleaned] = []

    def act() -> bool:
        cleaned.extend(clean(Store(results), [], CleanOptions("none", failed=True)))
        return True

    code, said = run(copy, force=True, said=Said(": started", act))
    assert code is ExitCode.OK, said
    assert len(cleaned) == 1
    assert facts(results) == before
