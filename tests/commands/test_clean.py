"""`bench clean`: what it frees, what it leaves alone, and that nothing else changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.analysis.load import load
from bench.cli.app import app
from bench.commands.clean import clean_lines
from bench.commands.disk import size_text
from bench.errors import BenchError, SpecError, StoreError
from bench.experiment.earlier_experiments import lookup
from bench.inference.evaluate import evaluate
from bench.inference.predict import predict_files
from bench.plan.earlier import best_trial, trial_of_seed
from bench.record import clean as module
from bench.record.clean import CleanOptions, clean, freed
from bench.record.columns import Failure, Status
from bench.record.confirm import verified_status
from bench.record.store import Store, TrialFiles, TrialStatus
from tests.builders.experiments import SPEC, build

ONE_ARM = SPEC.replace(
    "  model: {unet: {name: unet, width: 0.05}, resnet: {name: resnet34_unet, width: 0.1}}\n", ""
).replace("grid:", "model: {name: unet, width: 0.05}\ngrid:")
SIZES = {"last.pt": 3000, "previous.pt": 3000, "best.pt": 1000, "finished.pt": 10}


def with_checkpoints(store: Store, experiment: str = "built") -> list[TrialFiles]:
    """The trials, with what an earlier version, or `--keep-last`, leaves of each."""
    trials = store.trials(experiment)
    for files in trials:
        for name, size in SIZES.items():
            (files.folder / name).write_bytes(bytes(size))
    return trials


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found, _ = build(tmp_path, ONE_ARM)
    with_checkpoints(found)
    return found


def there(files: TrialFiles) -> set[str]:
    return {path.name for path in files.folder.glob("*.pt")}


def end(files: TrialFiles, status: Status, failure: Failure | None = None) -> None:
    files.write_status(TrialStatus(status, failure=failure))
    if status is not Status.DONE:
        summary = {k: v for k, v in files.summary().items() if not k.startswith("test_")}
        files.summary_path.write_text(json.dumps(summary))


def test_it_frees_what_training_goes_on_from(store: Store) -> None:
    runs, history = load(store, "built").runs, load(store, "built").history
    (found,) = clean(store, [], CleanOptions())
    assert (found.experiment, found.total, found.trials, found.left) == ("built", 6, 6, [])
    assert found.size == 6 * 6000
    for files in store.trials("built"):
        assert there(files) == {"best.pt", "finished.pt"}
        assert verified_status(files).status is Status.DONE
    assert load(store, "built").runs.equals(runs)
    assert load(store, "built").history.equals(history)
    assert clean(store, [], CleanOptions())[0].size == 0


def test_keep_none_also_frees_the_best_weights(store: Store) -> None:
    before = load(store, "built").runs
    (found,) = clean(store, ["built"], CleanOptions(keep="none"))
    assert found.size == 6 * 7010
    assert {name for files in store.trials("built") for name in there(files)} == set()
    assert load(store, "built").runs.equals(before)
    files = store.trials("built")[0]
    for act in (
        lambda: evaluate(store, files.id, "test", "cpu"),
        lambda: predict_files(store, files.id, [files.log], files.folder, "cpu"),
    ):
        with pytest.raises(StoreError) as error:
            act()
        assert str(error.value) == (
            f"{files.folder}: its best.pt is missing (`bench clean --keep none` deletes it): "
            "delete this folder, and `bench run` its spec trains the trial anew"
        )


def test_scores_of_images_stay(store: Store) -> None:
    files = store.trials("built")[0]
    files.scores.mkdir()
    kept = [files.scores / "val.npy", files.images_path("0123456789abcdef")]
    for path in kept:
        path.write_bytes(b"scores")
    clean(store, ["built"], CleanOptions(keep="none"))
    assert [path.read_bytes() for path in kept] == [b"scores"] * 2


def test_a_dry_run_deletes_and_writes_nothing(store: Store) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}

    before = files()
    (found,) = clean(store, [], CleanOptions(keep="none", dry_run=True))
    assert (found.trials, found.size) == (6, 6 * 7010)
    assert files() == before
    lines = list(clean_lines([found], dry_run=True))
    assert lines == ["built: 42.1 kB would be freed, of 6 of 6 trials"]


def test_one_trial_by_its_id_or_folder(store: Store) -> None:
    first, second, third, *rest = store.trials("built")
    clean(store, [first.id, f"built/{second.id}", str(third.folder)], CleanOptions())
    for files in (first, second, third):
        assert there(files) == {"best.pt", "finished.pt"}
    for files in rest:
        assert there(files) == set(SIZES)


@pytest.mark.parametrize("keep", ["best", "none"])
@pytest.mark.parametrize("status", [Status.INTERRUPTED, Status.RUNNING, Status.PLANNED])
def test_what_can_go_on_is_not_touched(store: Store, status: Status, keep: module.Keep) -> None:
    files = store.trials("built")[0]
    end(files, status)
    (found,) = clean(store, [], CleanOptions(keep, failed=True))
    assert there(files) == set(SIZES)
    assert found.trials == 5
    assert found.left == [f"{files.id} is not finished, and goes on from its checkpoint"]


def test_failed_trials_only_where_they_are_asked_for(store: Store) -> None:
    files = store.trials("built")[0]
    end(files, Status.FAILED, Failure.KILLED)
    (found,) = clean(store, [files.id], CleanOptions())
    assert there(files) == set(SIZES)
    assert found.left == [f"{files.id} failed, and can go on (--failed deletes its checkpoints)"]
    clean(store, [files.id], CleanOptions(failed=True))
    assert there(files) == {"best.pt", "finished.pt"}


def test_a_pruned_trial_is_finished(store: Store) -> None:
    files = store.trials("built")[0]
    end(files, Status.PRUNED)
    clean(store, [files.id], CleanOptions())
    assert there(files) == {"best.pt", "finished.pt"}


def test_a_trial_whose_record_is_damaged_keeps_what_mends_it(store: Store) -> None:
    files = store.trials("built")[0]
    files.summary_path.write_text("{}")
    clean(store, [], CleanOptions("none"))
    assert there(files) == set(SIZES)


def test_a_trial_that_somebody_runs_is_not_touched(store: Store) -> None:
    """It is done, but `run --force` has taken it and is about to clear it."""
    files = store.trials("built")[0]
    with store.leases("built") as theirs:
        theirs.claim(files.id)
        (dry,) = clean(store, [files.id], CleanOptions("none", dry_run=True))
        (found,) = clean(store, [files.id], CleanOptions("none"))
        assert there(files) == set(SIZES)
    assert dry.left == [f"{files.id} is running"]
    assert found.left[0].startswith(f"{files.id} is being run by ")
    assert (found.trials, found.size) == (0, 0)
    clean(store, [files.id], CleanOptions("none"))
    assert there(files) == set()


@pytest.mark.parametrize("survives", range(5))
def test_killed_at_any_deletion_every_trial_is_as_before(
    store: Store, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    before, files = load(store, "built").runs, store.trials("built")[0]
    deleted: list[Path] = []

    def delete(path: Path) -> None:
        if len(deleted) == survives:
            raise KeyboardInterrupt
        deleted.append(path)
        path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(module, "_delete", delete)
        with pytest.raises(KeyboardInterrupt):
            clean(store, [], CleanOptions("none"))
    assert load(store, "built").runs.equals(before)
    assert verified_status(files).status is Status.DONE
    if survives < 4:
        assert files.best.exists()  # it goes last
    clean(store, [], CleanOptions("none"))
    assert {name for each in store.trials("built") for name in there(each)} == set()


def test_mlflow_s_name_of_the_best_weights_goes_too(store: Store) -> None:
    files = store.trials("built")[0]
    mirrored = store.artifacts / "built" / "c0ffee" / "artifacts" / "best.pt"
    mirrored.parent.mkdir(parents=True)
    os.link(files.best, mirrored)
    files.mlflow_path.write_text(json.dumps({"run_id": "c0ffee"}))
    assert clean(store, [files.id], CleanOptions())[0].size == 6000
    assert mirrored.exists()
    assert clean(store, [files.id], CleanOptions("none"))[0].size == 1010
    assert not mirrored.exists()


def test_a_run_id_that_leads_elsewhere_deletes_nothing(store: Store, tmp_path: Path) -> None:
    files = store.trials("built")[0]
    other = tmp_path / "elsewhere" / "artifacts" / "best.pt"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"mine")
    files.mlflow_path.write_text(json.dumps({"run_id": "../../../elsewhere"}))
    clean(store, [files.id], CleanOptions("none"))
    assert other.read_bytes() == b"mine"


def test_a_file_with_another_name_that_stays_frees_nothing(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    first.write_bytes(bytes(100))
    os.link(first, second)
    third.write_bytes(bytes(7))
    assert freed([first]) == 0
    assert freed([first, second, third]) == 107


def test_weights_of_a_cleaned_trial_are_one_line(store: Store, tmp_path: Path) -> None:
    """And no other trial takes its place."""
    plan = store.plan("built")
    assert plan is not None
    earlier = lookup(store, tmp_path)("built")
    chosen = best_trial(earlier, earlier.trials)
    clean(store, [chosen.id], CleanOptions("none"))
    after = lookup(store, tmp_path)("built")
    with pytest.raises(SpecError, match=rf"{chosen.id}: its best\.pt is missing \(`bench clean"):
        best_trial(after, after.trials)
    arm = [trial for trial in after.trials if trial.arm == chosen.arm]
    with pytest.raises(SpecError, match=r"its best\.pt is missing"):
        trial_of_seed(after, arm, chosen.seed or 0)
    others = [trial for trial in after.trials if trial.id != chosen.id]
    assert best_trial(after, others).kept


def test_a_name_that_is_neither_deletes_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no experiment or trial 'bulit' \(did you mean 'built'"):
        clean(store, ["built", "bulit"], CleanOptions())
    assert all(there(files) == set(SIZES) for files in store.trials("built"))


def test_the_command(store: Store) -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["clean", "built", "--dry-run", "--results", str(store.root)])
    assert result.exit_code == 0
    assert result.stdout == "built: 36 kB would be freed, of 6 of 6 trials\n"
    assert runner.invoke(app, ["clean", "--results", str(store.root)]).stdout == (
        "built: 36 kB freed, of 6 of 6 trials\n"
    )
    wrong = runner.invoke(app, ["clean", "--keep", "all", "--results", str(store.root)])
    assert isinstance(wrong.exception, BenchError)
    assert str(wrong.exception) == "--keep all: use best or none"


def test_sizes() -> None:
    sizes = [0, 999, 1000, 123_456, 9.9996e5, 1.5e9, 2e12]
    assert [size_text(size) for size in sizes] == [
        "0 B", "999 B", "1 kB", "123 kB", "1 MB", "1.5 GB", "2 TB",
    ]  # fmt: skip
