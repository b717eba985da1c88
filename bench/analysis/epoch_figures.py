"""Figures of a trial that follow from all its epochs and stand in no summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bench.analysis.epoch_selection import last_epochs_mean
from bench.analysis.frames import Curves
from bench.analysis.score_reader import CROSS_FITTED, ImageFigure, ScoreReader
from bench.metric_columns import cross_val, last_ten, val_curve
from bench.record.directions import Mode
from bench.record.trial_files import TrialFiles

Figures = dict[str, dict[str, Any]]
"""By trial's id and column of runs.csv."""


def last_ten_figures(histories: Mapping[str, Curves], metrics: Iterable[str]) -> Figures:
    """The mean of the last ten epochs of every metric; of trials with fewer there is none."""
    names = list(metrics)
    return {
        trial: {
            last_ten(metric): value
            for metric in names
            if np.isfinite(value := last_epochs_mean(curves.get(val_curve(metric), ())))
        }
        for trial, curves in histories.items()
    }


def cross_fitted_figures(
    reader: ScoreReader,
    trials: Mapping[str, TrialFiles],
    metric: str,
    mode: Mode,
    others: Iterable[ImageFigure] = (),
) -> Figures:
    """The selected metric's cross-fitted figure, of trials whose images have scores by epoch.

    Args:
        reader: keeps what is read, that none is read twice.
        trials: finished ones, by id.
        metric, mode: which metric chooses the best epoch, and in which direction.
        others: figures that will be asked for later.
    """
    figure = ImageFigure("val", metric, CROSS_FITTED)
    found = reader.read(trials, {figure, *others}, mode).columns[figure]
    known = {trial: scores[~np.isnan(scores)] for trial, scores in found.items()}
    return {
        trial: {cross_val(metric): float(scores.mean(dtype=np.float64))}
        for trial, scores in known.items()
        if len(scores)
    }
