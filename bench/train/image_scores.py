"""A trial's scores of single images, epoch by epoch: kept with the state that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from bench.image_scores import (
    ImageScores,
    Scores16,
    SelectedAndLast,
    SplitImages,
    TrialScores,
)
from bench.tasks.base import Meter


class ScoreLog:
    """What the validations of a trial gave of each image.

    Attributes:
        metric: the selected one, without `val/`.
        selected: of the best epoch so far; None: none was, or it was trained by an earlier version.
        last: of the newest epoch; None: as above.
        test_last: of the test split with the last epoch's weights; None: not measured.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.selected: ImageScores | None = None
        self.last: ImageScores | None = None
        self.test_last: ImageScores | None = None
        self._epochs: list[Scores16] = []
        self._unknown_epochs = 0  # the first ones, of a version that kept no scores

    def add(self, scores: ImageScores | None) -> None:
        """A new epoch's validation; None where a task of one's own gives none."""
        self.last = scores
        column = None if scores is None else scores.column(self.metric)
        if column is not None:
            with np.errstate(over="ignore"):  # a loss beyond 65504 becomes infinite
                self._epochs.append(column.astype(np.float16))

    def select(self) -> None:
        """The newest epoch is the best one so far."""
        self.selected = self.last

    def val_epochs(self) -> Scores16 | None:
        """(epochs, images) scores by the selected metric; None: there are none.

        NaN in epochs that an earlier version trained.
        """
        if not self._epochs:
            return None
        known = np.stack(self._epochs)
        unknown = np.full((self._unknown_epochs, known.shape[1]), np.nan, np.float16)
        return np.concatenate([unknown, known])

    def state(self) -> dict[str, Any]:
        """What `resume` goes on from: plain data and tensors."""
        known = np.stack(self._epochs) if self._epochs else np.empty((0, 0), np.float16)
        return {
            "epochs": torch.from_numpy(known),
            "unknown_epochs": self._unknown_epochs,
            "selected": _packed(self.selected),
            "last": _packed(self.last),
            "test_last": _packed(self.test_last),
        }

    def resume(self, state: Mapping[str, Any] | None, epochs: int) -> None:
        """Go on from where `state` was, after so many epochs; None: an earlier version's state."""
        if state is None:
            self._unknown_epochs = epochs
            return
        self._epochs = list(state["epochs"].numpy())
        self._unknown_epochs = int(state["unknown_epochs"])
        self.selected = _unpacked(state["selected"])
        self.last = _unpacked(state["last"])
        self.test_last = _unpacked(state["test_last"])


def trial_scores(
    log: ScoreLog,
    images: Mapping[str, SplitImages],
    tested: ImageScores | None,
    *,
    selected_epoch: int,
    last_epoch: int,
) -> TrialScores | None:
    """What a trial records of its images; None where its task gives none.

    Args:
        log: of its validations.
        images: by split.
        tested: of the test split with the selected epoch's weights; None: it was not looked at.
        selected_epoch, last_epoch: counted from 1.
    """
    if log.selected is None:
        return None
    same = selected_epoch == last_epoch
    splits = {"val": SelectedAndLast(log.selected, log.selected if same else log.last)}
    if tested is not None:
        splits["test"] = SelectedAndLast(tested, tested if same else log.test_last)
    return TrialScores(
        log.metric,
        selected_epoch,
        last_epoch,
        splits,
        {name: images[name] for name in splits},
        log.val_epochs(),
    )


def scores_of(meter: Meter) -> ImageScores | None:
    """Of the images that a meter saw; None where it is a task's of one's own that gives none."""
    by_image = getattr(meter, "by_image", None)
    return None if by_image is None else by_image()


def _packed(scores: ImageScores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {
        "metrics": list(scores.metrics),
        "means": sorted(scores.means),
        "values": torch.from_numpy(scores.values),
    }


def _unpacked(state: Mapping[str, Any] | None) -> ImageScores | None:
    if state is None:
        return None
    return ImageScores(tuple(state["metrics"]), state["values"].numpy(), frozenset(state["means"]))
