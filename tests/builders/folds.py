"""Recorded studies with cross-validation, and scores of images as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.data.folds import fold_numbers
from bench.image_scores import ImageScores, SelectedAndLast, SplitImages, TrialScores
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store
from tests.builders.experiments import finish, planned

SPEC = """\
experiment: {name}
task: segmentation
data: {{name: shapes, image_size: 16, train: 20, val: 10, test: 6, folds: {{k: {k}{more}}}}}
train: {{epochs: 2, batch_size: 4}}
grid:
  model: {{a: {{name: unet, width: 0.05}}, b: {{name: unet, width: 0.1}}}}
seeds: {seeds}
hypotheses:
  - {{id: h, claim: "a is better than b", metric: {metric}, a: {{model: a}}, b: {{model: b}},
     expect: higher}}
"""
NAMES = tuple(f"image{i:03}" for i in range(30))

Scores = Callable[[str, int], npt.ArrayLike]
"""(30,) out-of-fold Dice of an arm and seed, by image."""


def crossed(
    folder: Path,
    out_of_fold: Scores,
    *,
    k: int = 3,
    seeds: int = 3,
    metric: str = "final_val_dice",
    name: str = "crossed",
    more: str = "",
    lost: Callable[[Trial], bool] = lambda _: False,
) -> tuple[Store, Plan]:
    """A study recorded as done: every image of a fold has the score that `out_of_fold` says.

    Test images score the mean of these of the trial's fold.

    Args:
        folder: where spec and results are written.
        out_of_fold: the scores.
        k, seeds, metric, name: of the spec.
        more: further settings of `data.folds`, after a comma.
        lost: trials that have no record.
    """
    plan = planned(folder, SPEC.format(name=name, k=k, seeds=seeds, metric=metric, more=more))
    store = Store(folder / "results")
    for trial in plan.trials:
        if not lost(trial):
            _record(store, plan, trial, np.asarray(out_of_fold(trial.axes["model"], trial.seed)))
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    return store, plan


def fold_of(trial: Trial) -> npt.NDArray[np.bool_]:
    """(30,), whether an image validates the trial."""
    folds = trial.settings.data.folds
    partition = trial.seed if folds.repartition else None
    return np.asarray(fold_numbers(NAMES, folds.k, partition=partition) == trial.fold)


def _record(store: Store, plan: Plan, trial: Trial, dice: npt.NDArray[np.float64]) -> None:
    chosen = fold_of(trial)
    mean = float(dice[chosen].astype(np.float32).mean(dtype=np.float64))
    test = np.full(6, mean, np.float32)
    splits = {"val": _both(dice[chosen]), "test": _both(test)}
    images = {
        "val": SplitImages(tuple(np.array(NAMES)[chosen].tolist())),
        "test": SplitImages(tuple(f"test{i}" for i in range(6))),
    }
    by_epoch = np.stack([dice[chosen], dice[chosen]]).astype(np.float16)
    scores = TrialScores("dice", 1, 2, splits, images, by_epoch)
    rows = [{"epoch": n, "train/loss": 0.5, "val/loss": 0.5, "val/dice": mean, "val/iou": 0.5,
             "lr": 1e-3, "epoch_seconds": 2.0, "val_seconds": 0.5, "images_per_second": 6.0,
             "peak_memory_mb": 99.0} for n in (1, 2)]  # fmt: skip
    facts = {"test_dice": float(test.mean()), "val_scored_images": int(chosen.sum())}
    finish(store, plan, trial, facts, rows, scores)


def _both(values: npt.ArrayLike) -> SelectedAndLast:
    each = ImageScores(
        ("dice",), np.asarray(values, dtype=np.float32)[:, None], frozenset(("dice",))
    )
    return SelectedAndLast(each, each)
