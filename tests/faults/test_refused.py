"""What `run`, `evaluate` and others do with a trial whose record does not hold together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from bench.analysis.load import load
from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.inference.evaluate import evaluate
from bench.record.store import Store, TrialFiles
from bench.train import checkpoint
from tests.faults.tiny import facts, run, trials


def swap(a: Path, b: Path) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


def contents(files: TrialFiles) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files.folder.glob("*") if path.is_file()}


def edit_summary(files: TrialFiles) -> None:
    summary = json.loads(files.summary_path.read_text())
    files.summary_path.write_text(json.dumps(summary | {"best_val_dice": 0.99}))


def test_exchanged_folders_are_left_as_they_are(copy: Path) -> None:
    a, b, *_ = trials(copy / "results")
    swap(a.folder, b.folder)
    were = contents(a), contents(b)
    code, said = run(copy)
    assert code is ExitCode.SOME_FAILED, said
    assert said.count("Not counted, and left as it is: ") == 2
    assert f"{a.folder}: its config.yaml is that of '{b.id}'" in said
    assert "Nothing to run: 2 of 4 trials are done, 2 not counted (see above)." in said
    assert (contents(a), contents(b)) == were
    code, said = run(copy, retry_failed=True)
    assert code is ExitCode.SOME_FAILED, said
    assert (contents(a), contents(b)) == were


def test_the_remedies_work(done: Path, copy: Path) -> None:
    before = facts(copy / "results")
    a, b, *_ = trials(copy / "results")
    swap(a.folder, b.folder)
    shutil.rmtree(a.folder)
    shutil.rmtree(b.folder)
    shutil.copytree(done / "results/tiny" / b.id, b.folder)
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert facts(copy / "results") == before


def test_force_trains_them_anew(copy: Path) -> None:
    before = facts(copy / "results")
    a, b, *_ = trials(copy / "results")
    swap(a.folder, b.folder)
    code, said = run(copy, force=True)
    assert code is ExitCode.OK, said
    assert facts(copy / "results") == before


def test_an_edited_summary_is_made_again_from_the_last_state(copy: Path) -> None:
    before = facts(copy / "results")
    files = trials(copy / "results")[0]
    edit_summary(files)
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert f"{files.id} goes on; before: summary.json says best_val_dice is 0.99" in said
    assert "1 of 4 trials to run, 3 done before." in said
    assert facts(copy / "results") == before


def test_without_a_state_it_is_left_as_it_is(copy: Path) -> None:
    files = trials(copy / "results")[0]
    edit_summary(files)
    assert not files.last.exists()
    assert not files.previous.exists()
    files.finished.unlink()
    were = contents(files)
    code, said = run(copy)
    assert code is ExitCode.SOME_FAILED, said
    assert f"{files.folder}: summary.json says best_val_dice is 0.99" in said
    assert "delete it and `bench run` trains the trial anew" in said
    assert contents(files) == were


def test_a_copied_trial_is_neither_run_nor_counted(copy: Path) -> None:
    files = trials(copy / "results")[0]
    shutil.copytree(files.folder, files.folder.with_name(files.id.replace("s0", "s9")))
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert len(load(Store(copy / "results"), "tiny").done) == 4


def test_best_weights_say_whose_they_are(copy: Path) -> None:
    a, b, *_ = trials(copy / "results")
    assert checkpoint.load(a.best)["identity"] == a.id[-8:]
    store = Store(copy / "results")
    found = evaluate(store, a.id, "val", "cpu")
    assert found["dice"] == pytest.approx(a.summary()["best_val_dice"], abs=1e-6)
    shutil.copy(b.best, a.best)
    with pytest.raises(BenchError, match=r"best\.pt: the checkpoint of another trial.*restore"):
        evaluate(store, a.id, "val", "cpu")


def test_best_weights_of_the_first_release_say_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = trials(copy / "results")[0]
    state = checkpoint.load(files.best)
    del state["identity"]
    torch.save(state, files.best)
    evaluate(Store(copy / "results"), files.id, "val", "cpu")
    assert "does not say which trial's weights it has" in capsys.readouterr().err


def test_evaluate_refuses_the_folder_of_another_trial(copy: Path) -> None:
    a, b, *_ = trials(copy / "results")
    swap(a.folder, b.folder)
    with pytest.raises(BenchError, match=r"its config\.yaml is that of"):
        evaluate(Store(copy / "results"), a.id, "val", "cpu")


def test_the_best_weights_of_another_trial_are_not_gone_on_with(copy: Path) -> None:
    """The best epoch is an earlier one than the state's, whose weights cannot be had any more."""
    before = facts(copy / "results")
    files, other, *_ = trials(copy / "results")
    state = checkpoint.load(files.finished)
    assert state["progress"]["best_epoch"] in (1, 2, 3)
    shutil.copy(other.best, files.best)
    edit_summary(files)
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert facts(copy / "results") == before
