"""Scores by image on the disk: what is written is read, and nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import StoreError
from bench.image_scores import ImageScores, SelectedAndLast, SplitImages, TrialScores
from bench.record.columns import Status
from bench.record.confirm import verified_status
from bench.record.image_scores import read_images, read_scores
from bench.record.store import Store, TrialFiles
from tests.builders.experiments import build

METRICS = ("loss", "dice")
FACTS = {"test_dice": 0.5, "test_loss": 0.25}


def image_scores(dice: list[float], loss: float = 0.25) -> ImageScores:
    values = np.array([[loss, each] for each in dice], np.float32)
    return ImageScores(METRICS, values, frozenset(METRICS))


def trial_scores(shift: float = 0.0) -> TrialScores:
    val = image_scores([0.25, 0.75, np.nan])
    test = image_scores([0.5 + shift, 0.5 - shift])
    images = {
        "val": SplitImages(("a", "ü\udcff", "c")),
        "test": SplitImages(("x", "y"), ("p1", "p2")),
    }
    epochs = np.array([[0.1, 0.2, np.nan], [0.25, 0.75, np.nan]], np.float16)
    splits = {"val": SelectedAndLast(val, None), "test": SelectedAndLast(test, test)}
    return TrialScores("dice", 2, 2, splits, images, epochs)


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    return written(tmp_path)[0]


def written(folder: Path) -> list[TrialFiles]:
    """Finished trials with scores."""
    from bench.record.recorder import TrialRecorder
    from tests.builders import experiments

    plan = experiments.planned(folder)
    store = Store(folder / "results")
    found = []
    for number, trial in enumerate(plan.trials[:2]):
        files = experiments.finish(store, plan, trial, FACTS)
        recorder = TrialRecorder(files, plan.select.metric, plan.metrics)
        recorder._history = files.history()
        facts = {k: v for k, v in files.summary().items() if "digest" not in k}
        recorder.finish(facts, trial_scores(number * 0.125))
        found.append(files)
    return found


def test_scores_go_round(files: TrialFiles) -> None:
    found, expected = read_scores(files, files.summary()), trial_scores()
    assert found is not None
    assert (found.metric, found.selected_epoch, found.last_epoch) == ("dice", 2, 2)
    for split, both in expected.splits.items():
        assert np.array_equal(
            found.splits[split].selected.values, both.selected.values, equal_nan=True
        )
        assert found.splits[split].selected.metrics == METRICS
        assert found.splits[split].selected.means == set(METRICS)
    assert found.splits["val"].last is None
    assert found.splits["test"].last is not None
    assert found.val_epochs is not None
    assert found.val_epochs.dtype == np.float16
    assert np.array_equal(found.val_epochs, expected.val_epochs, equal_nan=True)  # type: ignore[arg-type]
    assert np.load(files.scores / "val.npy", allow_pickle=False).shape == (2, 3, 2)


def test_images_are_kept_once_for_all_trials(tmp_path: Path) -> None:
    a, b = written(tmp_path)
    hashed = a.summary()["images_hash"]
    assert b.summary()["images_hash"] == hashed
    assert [path.name for path in a.folder.parent.glob("images-*")] == [f"images-{hashed}.json"]
    images = read_images(a, hashed)
    assert images is not None
    assert images["test"] == SplitImages(("x", "y"), ("p1", "p2"))
    assert len(images["val"].names) == 3


def test_a_trial_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    store, plan = build(tmp_path)
    files = store.trial(plan.experiment, plan.trials[0].id)
    assert read_scores(files, files.summary()) is None
    assert verified_status(files).status is Status.DONE


def test_the_same_scores_are_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        files = written(tmp_path / name)[0]
        found.append({path.name: path.read_bytes() for path in files.scores.iterdir()})
    assert found[0] == found[1]
    assert sorted(found[0]) == ["index.json", "test.npy", "val.npy", "val_epochs.npy"]


def altered(files: TrialFiles) -> None:
    array = np.load(files.scores / "test.npy")
    array[0, 0, 1] += 0.125
    array[0, 1, 1] -= 0.125
    np.save(files.scores / "test.npy", array)


def pickled(files: TrialFiles) -> None:
    np.save(files.scores / "val.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def of_another_shape(files: TrialFiles) -> None:
    np.save(files.scores / "val.npy", np.zeros((2, 4, 2), np.float32))


def of_another_type(files: TrialFiles) -> None:
    np.save(files.scores / "val.npy", np.zeros((2, 3, 2), np.float64))


def huge(files: TrialFiles) -> None:
    index = json.loads((files.scores / "index.json").read_text())
    index["shapes"]["val"] = [2, 10**9, 10**9]
    (files.scores / "index.json").write_text(json.dumps(index))


def negative(files: TrialFiles) -> None:
    index = json.loads((files.scores / "index.json").read_text())
    index["shapes"]["val"] = [2, -3, -2]
    (files.scores / "index.json").write_text(json.dumps(index))


def elsewhere(files: TrialFiles) -> None:
    index = json.loads((files.scores / "index.json").read_text())
    index["shapes"]["../../x"] = [1]
    (files.scores / "index.json").write_text(json.dumps(index))


def cut_short(files: TrialFiles) -> None:
    path = files.scores / "val.npy"
    path.write_bytes(path.read_bytes()[:-8])


def linked(files: TrialFiles) -> None:
    path = files.scores / "val.npy"
    target = files.folder.parent / "target.npy"
    shutil.move(path, target)
    path.symlink_to(target)


def without_index(files: TrialFiles) -> None:
    (files.scores / "index.json").unlink()


def broken_index(files: TrialFiles) -> None:
    (files.scores / "index.json").write_text('{"splits": 3}')


def of_another_epoch(files: TrialFiles) -> None:
    index = json.loads((files.scores / "index.json").read_text())
    index["epochs"]["selected"] = 1
    (files.scores / "index.json").write_text(json.dumps(index))


DAMAGE: list[Callable[[TrialFiles], None]] = [
    altered, pickled, of_another_shape, of_another_type, huge, negative, elsewhere, cut_short,
    linked, without_index, broken_index, of_another_epoch,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_other_scores_are_refused_in_a_line(
    files: TrialFiles, damage: Callable[[TrialFiles], None]
) -> None:
    damage(files)
    with pytest.raises(StoreError, match="scores") as caught:
        read_scores(files, files.summary())
    assert "\n" not in str(caught.value)


def test_another_trial_s_scores_are_refused(tmp_path: Path) -> None:
    a, b = written(tmp_path)
    shutil.rmtree(a.scores)
    shutil.copytree(b.scores, a.scores)
    with pytest.raises(StoreError, match="another trial's"):
        read_scores(a, a.summary())


def test_a_folder_of_scores_is_not_followed_out(files: TrialFiles, tmp_path: Path) -> None:
    shutil.move(files.scores, tmp_path / "outside")
    files.scores.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="is a link"):
        read_scores(files, files.summary())


@pytest.mark.parametrize("text", ["{}", '{"splits": {"val": {"names": ["a"]}}}', "no JSON"])
def test_changed_names_are_refused(files: TrialFiles, text: str) -> None:
    hashed = files.summary()["images_hash"]
    files.images_path(hashed).write_text(text)
    with pytest.raises(StoreError, match=f"images-{hashed}"):
        read_images(files, hashed)


def test_names_are_no_way_out_of_the_folder(files: TrialFiles) -> None:
    with pytest.raises(StoreError, match="names no images"):
        read_images(files, "../../../../x.y")


def test_lost_scores_are_made_again_where_there_is_a_state(files: TrialFiles) -> None:
    assert verified_status(files).status is Status.DONE
    cut_short(files)
    assert verified_status(files).status is Status.DONE, (
        "without finished.pt the trial counts as it is"
    )
    files.finished.write_bytes(b"state")
    found = verified_status(files)
    assert found.status is Status.INTERRUPTED
    assert "val.npy: was cut short" in (found.message or "")
