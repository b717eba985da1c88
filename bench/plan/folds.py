"""Cross-validation in a plan: every arm has the same folds, and nothing can name one."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.fold_settings import FoldSettings
from bench.metric_columns import MetricColumn
from bench.spec.hypotheses import Hypothesis, figures
from bench.spec.load import Spec
from bench.spec.schema import TrialSettings
from bench.spec.yaml12 import KeyPath

SETTING = "data.folds"
FEWEST_FOLDS, FEWEST_SEEDS = 5, 3
"""Folds that one or two seeds are tested over; seeds from which images are counted."""
NO_AXIS = (
    "is no axis: every arm and seed is trained in all folds, and its figures are over all of them"
)


def names_folds(axis: str) -> bool:
    """Whether what is asked for as an axis is the fold, or a setting of the folds."""
    return axis in ("fold", "folds") or f"{axis}.".startswith(f"{SETTING}.")


def folds_of_arms(spec: Spec, arms: Sequence[TrialSettings]) -> Sequence[int | None]:
    """The folds that each seed of each arm is trained in; None where there are none.

    Raises:
        SpecError: arms have other folds than the others.
    """
    found: list[FoldSettings | None] = []
    for settings in arms:
        if settings.data.folds not in found:
            found.append(settings.data.folds)
    if len(found) > 1:
        where: KeyPath = ("data", "folds")
        raise spec.document.error(where, "must be the same in all arms: write it in all of them")
    return (None,) if found[0] is None else range(found[0].k)


def tested_over_folds(
    hypotheses: Sequence[Hypothesis], folds: FoldSettings | None, seeds: int
) -> dict[str, str]:
    """By id, what so few seeds can say of hypotheses on figures that folds have of their own."""
    if folds is None or seeds >= FEWEST_SEEDS or folds.k < FEWEST_FOLDS:
        return {}
    if folds.repartition and seeds > 1:
        return {}
    planned = f"{seeds} {'seed' if seeds == 1 else 'seeds'} × {folds.k} folds"
    text = f"{planned} are tested over folds; from {FEWEST_SEEDS} seeds on images count, too"
    return {
        each.id: f"{each.id}: {text}"
        for each in hypotheses
        if isinstance(each.b, dict) and not each.exact and not _is_of_test_split(each)
    }


def _is_of_test_split(hypothesis: Hypothesis) -> bool:
    parsed = [MetricColumn.parse(figure.column) for figure in figures(hypothesis.metric)]
    return any(column is not None and column.on_test_split for column in parsed)
