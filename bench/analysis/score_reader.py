"""Reads the scores of single images behind figures, each trial's files once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bench.analysis.epoch_selection import cross_fitted
from bench.errors import StoreError
from bench.image_scores import ImageScores, Scores32, SplitImages, TrialScores
from bench.metric_columns import LAST_EPOCHS
from bench.record.directions import Mode
from bench.record.image_scores import read_images, read_scores
from bench.record.trial_files import TrialFiles

CROSS_FITTED, LAST_TEN = "cross-fitted", "last ten"


class ImageFigure(NamedTuple):
    """A figure of runs.csv or history.csv that is a mean over images.

    Attributes:
        split: `val` or `test`.
        metric: without a prefix.
        epoch: counted from 1; or `selected`, `last`, `last ten` (their mean), `cross-fitted`.
    """

    split: str
    metric: str
    epoch: int | str


@dataclass(frozen=True)
class ScoreTable:
    """Scores of single images of an experiment's finished trials, by figure and trial.

    Attributes:
        columns: (images,) float32 of each figure and trial's id; NaN: the image has no score.
        images_hash: by trial.
        images: by hash and split.
        problems: by trial, why none of its scores are used.
    """

    columns: Mapping[ImageFigure, Mapping[str, Scores32]]
    images_hash: Mapping[str, str]
    images: Mapping[str, Mapping[str, SplitImages]]
    problems: Mapping[str, str] = field(default_factory=dict)


class ScoreReader:
    """Keeps what it has read: the report asks for the same figures again and again."""

    def __init__(self) -> None:
        self._columns: dict[ImageFigure, dict[str, Scores32 | None]] = {}
        self._hashes: dict[str, str] = {}
        self._images: dict[str, dict[str, SplitImages]] = {}
        self._problems: dict[str, str] = {}

    def read(
        self, trials: Mapping[str, TrialFiles], wanted: Collection[ImageFigure], mode: Mode
    ) -> ScoreTable:
        """The scores behind some figures, where the recorded figure is the mean of these.

        Args:
            trials: finished ones, by id.
            wanted: figures; those that a trial has no scores of are left out.
            mode: whether less or more of the selected metric is better.
        """
        for trial, files in trials.items() if wanted else ():
            self._read_trial(trial, files, wanted, mode)
        return ScoreTable(
            {figure: self._known(figure, trials) for figure in wanted},
            {trial: self._hashes[trial] for trial in trials if trial in self._hashes},
            self._images,
            {trial: self._problems[trial] for trial in trials if trial in self._problems},
        )

    def _known(self, figure: ImageFigure, trials: Iterable[str]) -> dict[str, Scores32]:
        columns = self._columns.get(figure, {})
        found = {trial: columns.get(trial) for trial in trials}
        return {trial: scores for trial, scores in found.items() if scores is not None}

    def _read_trial(
        self, trial: str, files: TrialFiles, wanted: Collection[ImageFigure], mode: Mode
    ) -> None:
        """Remember the figures of a trial that are not known yet."""
        new = [f for f in wanted if trial not in self._columns.setdefault(f, {})]
        if not new or trial in self._problems:
            return
        try:
            scores = read_scores(files, files.summary())
            if scores is not None:
                self._check(files, scores)
                self._hashes[trial] = scores.images_hash
        except StoreError as error:
            self._problems[trial] = str(error)
            return
        for figure in new:
            groups = self._groups(scores, figure.split)
            column = None if scores is None else _column(scores, figure, mode, groups)
            self._columns[figure][trial] = column

    def _check(self, files: TrialFiles, scores: TrialScores) -> None:
        """A StoreError where its images are not known, or not as many as scores."""
        if scores.images_hash not in self._images:
            known = read_images(files, scores.images_hash)
            if known is None:
                path = files.images_path(scores.images_hash)
                raise StoreError(f"{path}: there is no such file")
            self._images[scores.images_hash] = known
        images = self._images[scores.images_hash]
        for split, both in scores.splits.items():
            named = len(images[split].names) if split in images else 0
            if len(both.selected.values) != named:
                raise StoreError(
                    f"{files.scores}: scores of {len(both.selected.values)} {split} images, but "
                    f"{named} are named: delete the folder, and `bench evaluate --scores` makes "
                    "it anew"
                )

    def _groups(self, scores: TrialScores | None, split: str) -> tuple[str, ...] | None:
        images = None if scores is None else self._images[scores.images_hash].get(split)
        return None if images is None else images.groups or None


def _column(
    scores: TrialScores, figure: ImageFigure, mode: Mode, groups: Sequence[str] | None
) -> Scores32 | None:
    both = scores.splits.get(figure.split)
    if both is None or figure.metric not in both.selected.means:
        return None
    if isinstance(figure.epoch, int) or figure.epoch in (CROSS_FITTED, LAST_TEN):
        return _of_epochs(scores, figure, mode, groups)
    chosen: ImageScores | None = both.selected if figure.epoch == "selected" else both.last
    found = None if chosen is None else chosen.column(figure.metric)
    return None if found is None else found.copy()  # not a view that keeps all metrics in memory


def _of_epochs(
    scores: TrialScores, figure: ImageFigure, mode: Mode, groups: Sequence[str] | None
) -> Scores32 | None:
    """From the selected metric's scores at every epoch."""
    by_epoch = scores.val_epochs
    if by_epoch is None or figure.metric != scores.metric:
        return None
    if figure.epoch == CROSS_FITTED:
        return cross_fitted(by_epoch, mode, groups).by_image.astype(np.float32)
    if figure.epoch == LAST_TEN:
        if len(by_epoch) < LAST_EPOCHS:
            return None
        return np.asarray(by_epoch[-LAST_EPOCHS:].mean(axis=0, dtype=np.float32))
    assert isinstance(figure.epoch, int)
    if figure.epoch > len(by_epoch):
        return None
    return np.asarray(by_epoch[figure.epoch - 1].astype(np.float32))
