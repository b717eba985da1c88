"""From recorded scores of single images to tables of seeds × images, for the sides of a hypothesis.

Images pair only where they are the same ones: the hash of their names and groups is compared, never
their number. A seed counts with all its trials in every compared stratum, as in `pairing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bench.analysis.fold_scores import joined_images, joined_scores
from bench.analysis.pairing import pairs_of
from bench.analysis.records import Records
from bench.analysis.score_reader import CROSS_FITTED, LAST_TEN, ImageFigure, ScoreTable
from bench.analysis.stats import Floats
from bench.analysis.strata import Pairs, Seed
from bench.image_scores import Scores32, SplitImages
from bench.metric_columns import FIGURES, MetricColumn, MetricKind
from bench.record.image_scores import images_hash
from bench.record.trial_files import TrialFiles
from bench.spec.hypotheses import Hypothesis, MetricTerm, figures

_OF_SELECTED = {
    MetricKind.BEST: "selected",
    MetricKind.LAST_TEN: LAST_TEN,
    MetricKind.CROSS_FITTED: CROSS_FITTED,
}
NO_SCORES = "has no scores of single images"
OTHER_IMAGES = "was scored on other images"


def image_figure(term: MetricTerm, selected: str) -> ImageFigure | None:
    """Which scores of images a figure is the mean of; None: it is none of them.

    `selected` is the metric that chooses the best epoch: of others no image's best epoch is known,
    and only of it every epoch is.
    """
    column = MetricColumn.parse(term.column)
    if column is None:
        return None
    metric = column.metric
    if column.kind is MetricKind.CURVE and term.epoch is not None:
        return ImageFigure("val", metric, term.epoch) if metric == selected else None
    if term.epoch is not None:
        return None
    if column.kind is MetricKind.TEST:
        return ImageFigure("test", metric, "selected")
    if column.kind is MetricKind.FINAL:
        return ImageFigure("val", metric, "last")
    epoch = _OF_SELECTED.get(column.kind) if metric == selected else None
    return None if epoch is None else ImageFigure("val", metric, epoch)


def usual_figures(selected: str, hypotheses: Iterable[Hypothesis]) -> set[ImageFigure]:
    """What a report asks for: read at once, each trial's files are opened once."""
    columns = [kind.column(selected) for kind in FIGURES]
    terms = [MetricTerm(column, None) for column in (*columns, "final_val_loss")]
    found = {figure for term in terms if (figure := image_figure(term, selected)) is not None}
    return found.union(*(figures_of(each, selected) or () for each in hypotheses))


def read_image_scores(records: Records, wanted: Collection[ImageFigure]) -> ScoreTable:
    """The scores of finished trials behind some figures."""
    if records.fold_records is not None:
        of_trials = read_image_scores(records.fold_records, wanted)
        return over_folds_of_scores(of_trials, records.trials_of)
    files = {
        trial: TrialFiles(records.folders[trial])
        for trial in records.done["id"]
        if trial in records.folders
    }
    return records.scores.read(files, wanted, records.select.mode)


def over_folds_of_scores(table: ScoreTable, trials_of: Mapping[str, Sequence[str]]) -> ScoreTable:
    """Scores of every seed over its folds: each image has that of the model that never saw it.

    Args:
        table: scores of the trials.
        trials_of: see `Records`. One that lacks a fold's scores, or whose folds share images, has
            none.
    """
    of_folds = {trial for trials in trials_of.values() for trial in trials}
    columns: dict[ImageFigure, dict[str, Scores32]] = {
        figure: {trial: scores for trial, scores in by_trial.items() if trial not in of_folds}
        for figure, by_trial in table.columns.items()
    }
    hashes, problems = (
        {trial: text for trial, text in found.items() if trial not in of_folds}
        for found in (table.images_hash, table.problems)
    )
    images = dict(table.images)
    for name, trials in trials_of.items():
        if damaged := [table.problems[trial] for trial in trials if trial in table.problems]:
            problems[name] = damaged[0]
        if damaged or any(trial not in table.images_hash for trial in trials):
            continue
        validated = [table.images[table.images_hash[trial]] for trial in trials]
        if (joined := joined_images(validated)) is None:
            problems[name] = f"{name}: its folds share validation images"
            continue
        hashes[name] = images_hash(joined)
        images.setdefault(hashes[name], joined)
        for figure, by_trial in table.columns.items():
            if all(trial in by_trial for trial in trials):
                found = [by_trial[trial] for trial in trials]
                columns[figure][name] = joined_scores(figure.split, found, validated)
    return ScoreTable(columns, hashes, images, problems)


@dataclass(frozen=True)
class PairedImages:
    """A hypothesis's two sides by seed and image, each the mean over the compared strata.

    Attributes:
        a, b: (seeds, images); `b` against a number is that number everywhere. NaN where an image
            has no score in one of the strata.
        seeds: the complete ones whose trials all have scores of the same images, in order.
        names: of the images.
        groups: of images that depend on each other; None: each is its own.
        left_out: complete seeds without such scores, and why.
    """

    a: Floats
    b: Floats
    seeds: tuple[Seed, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...] | None
    left_out: Mapping[Seed, str] = field(default_factory=dict)

    @property
    def differences(self) -> Floats:
        """(seeds, images), a − b: what `two_sources` and `contrasts.Observed.by_image` take."""
        return self.a - self.b


def figures_of(hypothesis: Hypothesis, selected: str) -> list[ImageFigure] | None:
    """The scores of images that a hypothesis's metric is made of; None: it is not."""
    found = [image_figure(term, selected) for term in figures(hypothesis.metric)]
    known = [figure for figure in found if figure is not None]
    one_split = len({figure.split for figure in known}) == 1
    return known if len(known) == len(found) and one_split else None


def paired_images(
    records: Records, hypothesis: Hypothesis, table: ScoreTable, pairs: Pairs | None = None
) -> PairedImages | None:
    """The sides of a hypothesis by seed and image; None where it has no scores of images.

    Args:
        records: of the experiment.
        hypothesis: a claim about them.
        table: scores of, at least, `figures_of` the hypothesis.
        pairs: its pairs, where they are known already.
    """
    wanted = figures_of(hypothesis, records.select.metric)
    if wanted is None or any(figure not in table.columns for figure in wanted):
        return None
    pairs = pairs_of(records, hypothesis) if pairs is None else pairs
    by_seed = {seed: [s.trials[seed] for s in pairs.tested] for seed in pairs.complete}
    reasons = {
        seed: _why_not(table, wanted, [trial for both in trials for trial in both])
        for seed, trials in by_seed.items()
    }
    hashes = Counter(
        table.images_hash[trials[0][0]] for seed, trials in by_seed.items() if reasons[seed] is None
    )
    if not hashes:
        return None
    hashed = max(hashes, key=lambda each: hashes[each])
    left_out = {
        seed: reason or OTHER_IMAGES
        for seed, reason in reasons.items()
        if reason is not None or table.images_hash[by_seed[seed][0][0]] != hashed
    }
    seeds = tuple(seed for seed in by_seed if seed not in left_out)
    images = table.images[hashed][wanted[0].split]
    a = np.stack([_side_mean(table, wanted, by_seed[seed], 0) for seed in seeds])
    if isinstance(hypothesis.b, dict):
        b = np.stack([_side_mean(table, wanted, by_seed[seed], 1) for seed in seeds])
    else:
        b = np.full_like(a, float(hypothesis.b))
    return PairedImages(a, b, seeds, images.names, images.groups or None, left_out)


def _why_not(table: ScoreTable, wanted: Sequence[ImageFigure], trials: Sequence[str]) -> str | None:
    """Why the trials of a seed make no pairs by image, if so."""
    for trial in trials:
        if trial in table.problems:
            return table.problems[trial]
        if any(trial not in table.columns[figure] for figure in wanted):
            return f"{trial} {NO_SCORES}"
    same = len({table.images_hash[trial] for trial in trials}) == 1
    return None if same else OTHER_IMAGES


def _side_mean(
    table: ScoreTable,
    wanted: Sequence[ImageFigure],
    strata: Iterable[Sequence[str]],
    side: int,
) -> Floats:
    """(images,) of one seed: the mean over strata of a figure, or of the difference of two."""
    found = []
    for trials in strata:
        terms = [table.columns[figure][trials[side]].astype(np.float64) for figure in wanted]
        found.append(terms[0] if len(terms) == 1 else terms[0] - terms[1])
    mean: Floats = np.mean(found, axis=0)
    return mean


class ScoresByTrial(NamedTuple):
    """Scores of trials on the same images.

    Attributes:
        values: (trials, images).
        trials: their ids.
        images: what they were scored on.
    """

    values: Floats
    trials: tuple[str, ...]
    images: SplitImages


def by_trial(table: ScoreTable, figure: ImageFigure, trials: Iterable[str]) -> ScoresByTrial | None:
    """The scores of some trials on the same images, (trials, images): of those of most of them."""
    known = [trial for trial in trials if trial in table.columns.get(figure, {})]
    hashes = Counter(table.images_hash[trial] for trial in known)
    if not hashes:
        return None
    hashed = max(hashes, key=lambda each: hashes[each])
    kept = [trial for trial in known if table.images_hash[trial] == hashed]
    values = np.stack([table.columns[figure][trial] for trial in kept]).astype(np.float64)
    return ScoresByTrial(values, tuple(kept), table.images[hashed][figure.split])
