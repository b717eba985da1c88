"""What the records say of a contrast: differences by seed, by image, and failures that count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.analysis.contrast_tests import Contrast, Observed
from bench.analysis.figure_directions import figure_direction
from bench.analysis.fold_differences import differences_by_fold
from bench.analysis.image_scores import (
    by_trial,
    figures_of,
    image_figure,
    paired_images,
    read_image_scores,
)
from bench.analysis.records import Records
from bench.analysis.score_reader import ImageFigure, ScoreTable
from bench.analysis.stats import Floats
from bench.analysis.strata import RESULTS, SIDES, Pairs, Side, Stratum
from bench.analysis.two_sources import Over, TwoSources, two_sources
from bench.plan.sides import sides
from bench.spec.hypotheses import Hypothesis, MetricTerm
from bench.states import Failure

_RESOURCES = ("device", "gpu", "cpu", "trials_per_device")


@dataclass(frozen=True)
class ImageFigureScores:
    """One figure's scores by trial and image.

    Attributes:
        values: (trials, images).
        rows: by position in `records.runs`, which of them is a trial's; −1: it has no scores.
        groups: of images that depend on each other; None: each is its own.
        n_folds: where these are out-of-fold scores.
    """

    values: Floats
    rows: npt.NDArray[np.int64]
    groups: tuple[str, ...] | None
    n_folds: int | None = None


def read_scores_of(
    records: Records, hypotheses: Iterable[Hypothesis], columns: Iterable[str] = ()
) -> ScoreTable:
    """The scores by image of all figures that hypotheses, or columns of runs.csv, are made of."""
    selected = records.select.metric
    of_columns = (image_figure(MetricTerm(column, None), selected) for column in columns)
    wanted = {figure for figure in of_columns if figure is not None}
    for hypothesis in hypotheses:
        wanted |= set(figures_of(hypothesis, selected) or ())
    return read_image_scores(records, wanted)


def scores_of_column(records: Records, table: ScoreTable, column: str) -> ImageFigureScores | None:
    """The scores of a column of runs.csv; None where there are none."""
    figure = image_figure(MetricTerm(column, None), records.select.metric)
    found = None if figure is None else by_trial(table, figure, records.done["id"])
    if found is None:
        return None
    place = {trial: row for row, trial in enumerate(found.trials)}
    rows = np.array([place.get(trial, -1) for trial in records.runs["id"]], dtype=np.int64)
    assert figure is not None
    n_folds = out_of_folds(records, figure)
    return ImageFigureScores(found.values, rows, found.images.groups or None, n_folds)


def out_of_folds(records: Records, figure: ImageFigure) -> int | None:
    """The number of folds that a figure's scores are out of; None where they are not."""
    return records.folds.k if records.folds and figure.split == "val" else None


def observed(records: Records, hypothesis: Hypothesis, pairs: Pairs, table: ScoreTable) -> Observed:
    """Of a hypothesis; its images count only where all complete seeds have scores of the same."""
    rows = dict(zip(SIDES, _rows(records, hypothesis), strict=True))
    return Observed(
        pairs.by_seed,
        sources=_sources(records, hypothesis, pairs, table),
        by_fold=differences_by_fold(records, hypothesis, pairs),
        failed=failures_that_count(records, rows, pairs),
        mode=figure_direction(records, hypothesis.metric),
        is_exact=hypothesis.exact,
    )


def observed_stratum(
    records: Records, hypothesis: Hypothesis, pairs: Pairs, stratum: Stratum, table: ScoreTable
) -> Observed:
    """The same of one of its strata, whether or not it counts; without failures."""
    alone = replace(pairs, strata=(stratum,), source=stratum.source)
    values = np.array(list(stratum.differences.values()), dtype=float)
    sources = _sources(records, hypothesis, alone, table) if alone.tested else None
    return Observed(values, sources=sources, is_exact=hypothesis.exact)


def contrast_of(
    records: Records, hypothesis: Hypothesis, pairs: Pairs, sources: TwoSources | None
) -> Contrast:
    """What a hypothesis compares; over seeds alone where images have no scores, unless it asks."""
    of_a, of_b = _rows(records, hypothesis)
    given = records.runs["source"] == pairs.source
    a, b = (frozenset(row for row in side if given.iloc[row]) for side in (of_a, of_b))
    default = Over.SEEDS if sources is None else Over.BOTH
    over = default if hypothesis.over is None else Over(hypothesis.over)
    other = b if isinstance(hypothesis.b, dict) else float(hypothesis.b)
    return Contrast(hypothesis.metric, a, other, over)


def failures_that_count(
    records: Records, rows: Mapping[Side, Iterable[int]], pairs: Pairs | None = None
) -> dict[Side, int]:
    """By side, trials whose failure is a result of the arm.

    They diverged; or they ran out of memory or time, and all trials had the same machine.

    Args:
        records: of the experiment.
        rows: by side, positions of its trials.
        pairs: where they are known, only trials of the strata that these compare count.
    """
    ends = records.runs["failure"]
    found: dict[Side, int] = {}
    known = {side: list(of_side) for side, of_side in rows.items()}
    if pairs is None:
        counts = {
            side: ends.iloc[of_side].value_counts().to_dict() for side, of_side in known.items()
        }
    else:
        counts = {
            side: {kind: by_side[side] for kind, by_side in pairs.failures.items()}
            for side in known
        }
    limited = (Failure.OUT_OF_MEMORY, Failure.TIMEOUT)
    kinds = set(RESULTS)
    if any(counts[side].get(kind) for side in counts for kind in limited) and not _equal_machines(
        records, [row for of_side in known.values() for row in of_side]
    ):
        kinds -= set(limited)
    for side, by_kind in counts.items():
        found[side] = sum(int(by_kind.get(kind, 0)) for kind in kinds)
    return found


def _equal_machines(records: Records, rows: Sequence[int]) -> bool:
    """Whether all these trials that tell their machine had the same."""
    found: set[tuple[Any, ...]] = set()
    for trial in records.runs["id"].iloc[list(rows)]:
        environment = records.environments.get(trial, {})
        resources = tuple(environment.get(name) for name in _RESOURCES)
        if any(value is not None for value in resources):
            found.add(resources)
    return len(found) <= 1


def _rows(records: Records, hypothesis: Hypothesis) -> tuple[tuple[int, ...], tuple[int, ...]]:
    found = sides(hypothesis, records.labels, records.design)
    return found.a, found.b


def _sources(
    records: Records, hypothesis: Hypothesis, pairs: Pairs, table: ScoreTable
) -> TwoSources | None:
    """The differences by seed and image; None unless all complete seeds have them."""
    found = paired_images(records, hypothesis, table, pairs)
    if found is None or found.left_out or not np.isfinite(found.differences).all(axis=0).any():
        return None
    wanted = figures_of(hypothesis, records.select.metric)
    n_folds = out_of_folds(records, wanted[0]) if wanted else None
    return two_sources(found.differences, found.groups, n_folds)
