"""What a spec claims: hypotheses about differences between arms, which the report tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Field, Tag, ValidationInfo, WithJsonSchema, field_validator

from bench.metric_columns import FIGURES, MetricKind, cross_val
from bench.settings import Settings

Expect = Literal["higher", "lower", "equivalent", "not_higher", "not_lower"]
WITHIN: frozenset[Expect] = frozenset({"equivalent", "not_higher", "not_lower"})
"""What is expected up to a margin."""

Over = Literal["both", "seeds", "images"]
"""What a verdict generalises over: new seeds and new images, or either alone."""

COLUMNS = (
    "params", "trainable_params", "macs", "epochs", "best_epoch", "final_train_loss",
    "overfit_gap", "epochs_to_95pct", "seconds_to_95pct", "epoch_seconds", "train_seconds",
    "compile_seconds", "peak_memory_mb",
)  # fmt: skip
"""The columns of runs.csv that hold a figure for every task's trials."""
EXACT = frozenset({"params", "trainable_params", "macs"})
"""Those that follow from an arm's model alone: no seed changes them."""

_CURVE = re.compile(r"(?P<column>[^@\s]+)@(?P<epoch>[1-9][0-9]*)")

_SCALARS = ("string", "number", "boolean", "null")
Label = Annotated[Any, WithJsonSchema({"anyOf": [{"type": kind} for kind in _SCALARS]})]
Labels = Annotated[dict[str, Label], Field(min_length=1)]


def _kind_of_side(value: Any) -> str | None:
    if isinstance(value, dict):
        return "mapping"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else None


Side = Annotated[
    Annotated[Labels, Tag("mapping")] | Annotated[float, Tag("number")],
    Discriminator(
        _kind_of_side,
        custom_error_type="side",
        custom_error_message="must be a mapping of axes to labels, or a number",
    ),
]


class Hypothesis(Settings):
    """A claim about the difference a − b of a metric, paired by seed and by every other axis."""

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="a short name, given once"
    )
    claim: str = Field(min_length=1, description="what is claimed, in plain words")
    metric: str = Field(
        "",
        description="a figure of every trial: a numeric column of runs.csv (test_dice, "
        "overfit_gap, epoch_seconds, macs, …), a curve at an epoch (val/loss@20), or one of these "
        "minus another (final_val_dice - best_val_dice); default: the selected metric on the test "
        "split, such as test_dice",
    )
    a: Labels = Field(
        description="axis: label, for one axis or several; every arm that has these labels"
    )
    b: Side = Field(
        description="the other side: labels on the same axes as in a; or a number, to compare a "
        "with a fixed value"
    )
    expect: Expect = Field(
        description="higher, lower: a's figure is, than b's; equivalent: they differ by less than "
        "`margin`; not_higher, not_lower: a's is not, by as much as `margin`"
    )
    margin: float | None = Field(
        None,
        gt=0,
        validate_default=True,
        description="the smallest difference that matters, in the metric's unit; with equivalent, "
        "not_higher and not_lower",
    )

    over: Over | None = Field(
        None,
        description="what the verdict generalises over: both (new seeds and new images), seeds (on "
        "these images) or images (with these trained models); default: both where single images "
        "have scores of the metric, else seeds",
    )

    @field_validator("margin")
    @classmethod
    def _where_it_means_something(cls, value: float | None, info: ValidationInfo) -> float | None:
        expect = info.data.get("expect")
        if expect is None:  # its own error is reported
            return value
        if expect in WITHIN and value is None:
            raise ValueError(f"{expect} needs a `margin`: the smallest difference that matters")
        if expect not in WITHIN and value is not None:
            fitting = ", ".join(sorted(WITHIN))
            raise ValueError(f"has no effect with expect: {expect}; it is for {fitting}")
        return value

    @property
    def exact(self) -> bool:
        """Whether the metric follows from the arms' models alone, so that no seed changes it."""
        return all(figure.column in EXACT for figure in figures(self.metric))

    def record(self) -> dict[str, Any]:
        """The hypothesis as plain data; `over` only where it is asked for."""
        return self.model_dump(mode="json", exclude=None if self.over else {"over"})


class StatisticsSettings(Settings):
    """How the report tests: no trial depends on it."""

    over: Over | None = Field(
        None,
        description="`over` of all hypotheses that do not say themselves, and of the report's "
        "other comparisons",
    )


class MetricTerm(NamedTuple):
    """One figure of a trial: a column of runs.csv, or with an epoch one of history.csv."""

    column: str
    epoch: int | None


def figures(metric: str) -> list[MetricTerm]:
    """The figure that `metric` names, or the two of which it is the difference, in order."""
    return [_figure(part) for part in metric.split(" - ", 1)]


def _figure(text: str) -> MetricTerm:
    curve = _CURVE.fullmatch(text.strip())
    return (
        MetricTerm(curve["column"], int(curve["epoch"]))
        if curve
        else MetricTerm(text.strip(), None)
    )


def columns(metrics: Iterable[str], selected: str, closing: Iterable[str] = ()) -> list[str]:
    """The columns of runs.csv that a hypothesis can be about.

    Args:
        metrics: the task's validation metrics, without `val/`.
        selected: the one that chooses the best epoch.
        closing: what the task finds out of the best model alone (`frechet`).
    """
    kinds = [kind for kind in FIGURES if kind is not MetricKind.CROSS_FITTED]
    of_metrics = [kind.column(metric) for metric in metrics for kind in kinds]
    return [*COLUMNS, *of_metrics, cross_val(selected), *closing]
