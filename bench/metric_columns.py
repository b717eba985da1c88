"""Names of the columns that hold a metric: what each part says, made and read in one place.

history.csv has `val/dice` for every epoch; summary.json and runs.csv have `best_val_dice`,
`final_val_dice`, `test_dice`, and of the best constant prediction `baseline_val_dice`,
`baseline_dice` and, what it predicts, `constant_val_dice`, `constant_dice`. runs.csv alone has
`last10_val_dice`, the mean of the last ten epochs, and of the selected metric `cross_val_dice`,
whose epoch was chosen on other images than it is scored on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

LAST_EPOCHS = 10
"""Of which `last10_val_dice` is the mean."""
SPLIT = "split_"
"""Before a score's name where it is that of a whole split, and one per image is recorded too."""


def class_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """What columns of these classes' metrics are called after them: `traffic_light`.

    Whatever is no letter, digit or `_` becomes `_`; of classes that would have the same name the
    later ones are numbered (`a_b`, `a_b_2`).
    """
    found: list[str] = []
    for name in classes:
        plain = re.sub(r"\W+", "_", name).strip("_") if re.search(r"\W", name) else name
        plain, number = plain or "class", 2
        unique = plain
        while unique in found or (unique != name and unique in classes):
            unique, number = f"{plain}_{number}", number + 1
        found.append(unique)
    return tuple(found)


class MetricKind(StrEnum):
    """Which figure of a metric a column holds; the value is what the column's name begins with."""

    # in the order in which names are read: `baseline_val_dice` begins with `baseline_`, too
    CURVE = "val/"
    TRAIN_CURVE = "train/"
    BEST = "best_val_"
    FINAL = "final_val_"
    LAST_TEN = "last10_val_"
    CROSS_FITTED = "cross_val_"
    TEST = "test_"
    BASELINE_VAL = "baseline_val_"
    BASELINE_TEST = "baseline_"
    CONSTANT_VAL = "constant_val_"
    CONSTANT_TEST = "constant_"

    def column(self, metric: str) -> str:
        """The column's name: `best_val_dice` for `dice`."""
        return f"{self}{metric}"

    def metric_of(self, column: str) -> str:
        """The metric of a column of this kind: `dice` for `best_val_dice`; other names stay."""
        return column.removeprefix(self)


SCORES = (MetricKind.BEST, MetricKind.FINAL, MetricKind.TEST)
"""What summary.json has of every metric."""
FIGURES = (*SCORES, MetricKind.LAST_TEN, MetricKind.CROSS_FITTED)
"""What runs.csv has of metrics."""
BASELINES = (MetricKind.BASELINE_VAL, MetricKind.BASELINE_TEST)
CONSTANTS = (MetricKind.CONSTANT_VAL, MetricKind.CONSTANT_TEST)


def val_curve(metric: str) -> str:
    """`val/dice`, the column of history.csv and the name that `select.metric` has."""
    return MetricKind.CURVE.column(metric)


def curve_metric(column: str) -> str:
    """The metric of a validation curve: `dice` for `val/dice`; other names stay."""
    return MetricKind.CURVE.metric_of(column)


def best_val(metric: str) -> str:
    """`best_val_dice`."""
    return MetricKind.BEST.column(metric)


def final_val(metric: str) -> str:
    """`final_val_dice`."""
    return MetricKind.FINAL.column(metric)


def on_test(metric: str) -> str:
    """`test_dice`."""
    return MetricKind.TEST.column(metric)


def last_ten(metric: str) -> str:
    """`last10_val_dice`."""
    return MetricKind.LAST_TEN.column(metric)


def cross_val(metric: str) -> str:
    """`cross_val_dice`."""
    return MetricKind.CROSS_FITTED.column(metric)


@dataclass(frozen=True)
class MetricColumn:
    """A column of a metric.

    Attributes:
        kind: which figure of the metric.
        metric: as plans and histories name it: `dice`, `split_iou`, `loss`; `dice_cat` of one class
            (a task of a user's own may have a metric of such a name, too).
    """

    kind: MetricKind
    metric: str

    @classmethod
    def parse(cls, name: str) -> MetricColumn | None:
        """What a column's name says; None where it is not that of a metric's column."""
        kind = next((kind for kind in MetricKind if name.startswith(kind)), None)
        return None if kind is None else cls(kind, kind.metric_of(name))

    @property
    def on_test_split(self) -> bool:
        """Whether the figure is of the test split; else it is of validation or training."""
        return self.kind in (MetricKind.TEST, MetricKind.BASELINE_TEST, MetricKind.CONSTANT_TEST)

    @property
    def baseline(self) -> MetricColumn:
        """The best constant prediction's figure on the same split."""
        test = self.on_test_split
        return replace(self, kind=MetricKind.BASELINE_TEST if test else MetricKind.BASELINE_VAL)

    @property
    def constant(self) -> MetricColumn:
        """What the best constant prediction predicts on the same split."""
        test = self.on_test_split
        return replace(self, kind=MetricKind.CONSTANT_TEST if test else MetricKind.CONSTANT_VAL)

    def __str__(self) -> str:
        return self.kind.column(self.metric)
