"""A trial's scores by image: exact after any interruption, and what its figures are means of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.image_scores import TrialScores
from bench.record.image_scores import mean_figures, read_scores
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.train import checkpoint
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial

STEPS = 3  # an epoch's
TRAIN = {"epochs": 4, "lr": 1e-2}
FIRST_IS_BEST: dict[str, Any] = {"train": {"lr": 1e-12}}


def trained(folder: Path, stop_after: int | None = None, **changes: Any) -> TrialFiles:
    changes["train"] = TRAIN | changes.get("train", {})
    changes.setdefault("select", {"metric": "val/loss", "mode": "min"})  # better epoch by epoch
    trial = make_trial(**changes)
    files = Store(folder).trial("made", trial.id)
    metrics = trial.settings.metrics
    recorder = TrialRecorder(files, changes["select"]["metric"], dict(metrics))
    train_trial(trial, recorder, Silent(stop_after))
    return files


def cut(folder: Path, epochs: int, **changes: Any) -> None:
    with pytest.raises(Interrupted):
        trained(folder, stop_after=epochs * STEPS + 1, **changes)


def content(files: TrialFiles) -> dict[str, bytes]:
    paths = [*files.scores.iterdir(), *files.folder.parent.glob("images-*.json")]
    return {path.name: path.read_bytes() for path in paths}


def scores(files: TrialFiles) -> TrialScores:
    found = read_scores(files, files.summary())
    assert found is not None
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        FIRST_IS_BEST,
        {"train": {"ema": 0.9}},
        {
            "task": {"name": "classification"},
            "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4,
                     "kinds": 3},
            "model": {"name": "resnet", "depth": 18, "width": 0.1},
        },
    ],
    ids=["last is best", "first is best", "average", "classification"],
)  # fmt: skip
def test_interrupted_damaged_and_made_again_they_are_the_same_bytes(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    files = trained(tmp_path / "whole", **changes)
    whole = content(files)
    cut(tmp_path / "cut", 3, **changes)
    assert content(trained(tmp_path / "cut", **changes)) == whole
    cut(tmp_path / "damaged", 3, **changes)
    found = Store(tmp_path / "damaged").trial("made", files.id)
    found.last.write_bytes(b"")
    assert content(trained(tmp_path / "damaged", **changes)) == whole
    assert not files.last.exists()
    for path in files.scores.iterdir():
        path.unlink()
    assert content(trained(tmp_path / "whole", **changes)) == whole, "from finished.pt"
    assert not files.last.exists(), "no epoch was trained"


@pytest.mark.parametrize("changes", [{}, FIRST_IS_BEST], ids=["last is best", "first is best"])
def test_figures_are_their_means(tmp_path: Path, changes: dict[str, Any]) -> None:
    files = trained(tmp_path, **changes)
    found, summary, history = scores(files), files.summary(), files.history()
    figures = mean_figures(found)
    assert set(figures) == {f"{kind}_{m}" for kind in ("test", "final_val")
                            for m in ("loss", "dice", "iou")}  # fmt: skip
    for column, value in figures.items():
        assert value == pytest.approx(summary[column], abs=1e-6), column
    best = history[found.selected_epoch - 1]
    for metric in found.splits["val"].selected.metrics:
        values = found.splits["val"].selected.column(metric)
        assert values is not None
        assert values.mean() == pytest.approx(best[f"val/{metric}"], abs=1e-6)
    assert found.val_epochs is not None
    curve = [row["val/loss"] for row in history]
    assert found.val_epochs.mean(1, dtype=float).tolist() == pytest.approx(curve, rel=1e-3)
    assert (found.selected_epoch, found.last_epoch) == (1 if changes else 4, 4)


def test_the_last_epoch_s_test_scores_are_those_of_its_weights(tmp_path: Path) -> None:
    """A trial that ends where this one's last epoch is the best one has the same there."""
    files = trained(tmp_path / "a", select={"metric": "val/dice", "mode": "max"}, **FIRST_IS_BEST)
    assert scores(files).selected_epoch == 1
    test = scores(files).splits["test"]
    assert test.last is not None
    assert not np.array_equal(test.selected.values, test.last.values)


def test_without_the_test_split_there_are_none_of_it(tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path)
    train_trial(make_trial(), recorder, Silent(), test=False)
    assert recorder.scores is not None
    assert set(recorder.scores.splits) == set(recorder.scores.images) == {"val"}


def test_epochs_of_an_earlier_version_are_missing(tmp_path: Path) -> None:
    whole = scores(trained(tmp_path / "whole"))
    cut(tmp_path / "old", 2)
    files = next(Store(tmp_path / "old").experiment("made").glob("*/last.pt"))
    state = checkpoint.load(files)
    del state["image_scores"]
    checkpoint.save(files, state)
    found = scores(trained(tmp_path / "old"))
    assert found.val_epochs is not None
    assert whole.val_epochs is not None
    assert np.isnan(found.val_epochs[:2]).all()
    assert np.array_equal(found.val_epochs[2:], whole.val_epochs[2:])
    for split in ("val", "test"):
        assert np.array_equal(
            found.splits[split].selected.values, whole.splits[split].selected.values
        )


def test_a_best_epoch_of_an_earlier_version_is_scored_again(tmp_path: Path) -> None:
    whole = scores(trained(tmp_path / "whole", **FIRST_IS_BEST))
    cut(tmp_path / "old", 3, **FIRST_IS_BEST)
    path = next(Store(tmp_path / "old").experiment("made").glob("*/last.pt"))
    state = checkpoint.load(path)
    del state["image_scores"]
    checkpoint.save(path, state)
    found = scores(trained(tmp_path / "old", **FIRST_IS_BEST))
    assert np.array_equal(found.splits["val"].selected.values, whole.splits["val"].selected.values)
