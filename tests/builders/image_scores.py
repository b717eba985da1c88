"""Finished trials with made-up scores of single images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.image_scores import ImageScores, SelectedAndLast, SplitImages, TrialScores
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store
from tests.builders.experiments import finish, planned

Dice = Callable[[Trial], npt.ArrayLike]
"""(images,) of a trial."""


def scores_of(
    dice: npt.ArrayLike,
    names: Sequence[str] = (),
    groups: Sequence[str] = (),
    epochs: npt.ArrayLike | None = None,
) -> TrialScores:
    """The same Dice at both epochs and, but for the names, on both splits."""
    values = np.asarray(dice, dtype=np.float32)[:, None]
    each = ImageScores(("dice",), values, frozenset(("dice",)))
    both = SelectedAndLast(each, each)
    names = tuple(names) or tuple(f"image{index:02}" for index in range(len(values)))
    images = {
        "val": SplitImages(tuple(f"val_{name}" for name in names), tuple(groups)),
        "test": SplitImages(names, tuple(groups)),
    }
    by_epoch = None if epochs is None else np.asarray(epochs, dtype=np.float16)
    return TrialScores("dice", 3, 4, {"val": both, "test": both}, images, by_epoch)


def build_scored(
    folder: Path,
    text: str,
    scores: Callable[[Trial], TrialScores | None],
) -> tuple[Store, Plan]:
    """Plan the spec, and record every trial as done, its figures being the means of its scores."""
    plan = planned(folder, text)
    store = Store(folder / "results")
    for trial in plan.trials:
        record(store, plan, trial, scores(trial))
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    return store, plan


def record(store: Store, plan: Plan, trial: Trial, scores: TrialScores | None) -> None:
    """Record a trial as done."""
    if scores is None:
        finish(store, plan, trial)
        return
    mean = float(np.nanmean(scores.splits["test"].selected.values))
    rows = [{"epoch": n, "train/loss": 0.5, "val/loss": 0.5, "val/dice": mean, "val/iou": 0.5,
             "lr": 1e-3, "epoch_seconds": 2.0, "val_seconds": 0.5, "images_per_second": 6.0,
             "peak_memory_mb": 99.0}
            for n in range(1, trial.settings.train.epochs + 1)]  # fmt: skip
    finish(store, plan, trial, {"test_dice": mean}, rows, scores)
