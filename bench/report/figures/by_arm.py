"""What every arm came to: scores, convergence, overfitting, throughput, equal budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.analysis.arm_summary import baseline_column
from bench.metric_columns import SCORES
from bench.report.figures import plot_data
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import Drawing
from bench.report.figures.rows import MOST_PAGES, Panel, by_arm, row_pages
from bench.report.format import numbers
from bench.report.format.display_names import display_name, incomparable_note, title

POINTS = "Each point is one seed; the bar is the mean's 95% t-interval over seeds"
UNEQUAL = " Times are left out: they were not all measured under the same conditions."


def scores(experiment: ExperimentData) -> Drawing | None:
    """The selected metric by arm: best and final on validation, and on the test split."""
    columns = [kind.column(experiment.metric) for kind in SCORES]
    shown = [Panel(column, title(column), baseline=True) for column in columns]
    caption = POINTS
    if any(baseline_column(column) in experiment.summary for column in columns):
        caption += "; dotted, or written above the frame: the trivial prediction"
    caption += (
        "."
        + two_seeds(experiment, columns)
        + incomparable_note(experiment.records.incomparable, [experiment.metric])
    )
    values = plot_data.seed_data(experiment, columns)
    heading = f"{title(experiment.metric)} by arm"
    return by_arm(experiment, "scores", heading, values, shown, caption, all_pages=True)


def convergence(experiment: ExperimentData) -> Drawing | None:
    """Epochs and seconds to 95% of the best."""
    columns = ["epochs_to_95pct", "seconds_to_95pct"]
    shown = [
        Panel("epochs_to_95pct", "Epochs to 95% of the best", from_zero=True, integer=True),
        Panel("seconds_to_95pct", "Seconds to 95% of the best", from_zero=True),
    ]
    caption = (
        f"When each trial’s validation {display_name(experiment.metric)} first reaches 95% of "
        f"its own best: an arm that stops low converges early. {POINTS}."
    )
    shown, note = same_conditions_only(experiment, shown)
    values = plot_data.seed_data(experiment, columns)
    return by_arm(experiment, "convergence", "Convergence", values, shown, caption + note)


def overfitting(experiment: ExperimentData) -> Drawing | None:
    """The overfitting gap, and the losses at the end."""
    shown = [
        Panel("overfit_gap", "Final − lowest val loss", from_zero=True),
        Panel("final_val_loss", "Final val loss"),
        Panel("final_train_loss", "Final train loss"),
    ]
    caption = f"How far the validation loss has risen from its lowest point by the end. {POINTS}."
    caption += incomparable_note(experiment.records.incomparable, ["loss"])
    values = plot_data.seed_data(experiment, [panel.column for panel in shown])
    if not (values["column"] == "overfit_gap").any():
        return None
    return by_arm(experiment, "overfitting", "Overfitting", values, shown, caption)


def throughput(experiment: ExperimentData) -> Drawing | None:
    """Training images per second, apart for every kind of conditions they were measured under."""
    values = plot_data.throughput_data(experiment)
    if values.empty:
        return None
    caption = "Training images per second, each trial’s median after its first epoch. " + POINTS
    groups = [group for _, group in values.groupby("conditions", sort=False)]
    names = differing([str(group["conditions"].iloc[0]) for group in groups])
    shown = [Panel("images_per_second", "Training images per second", from_zero=True)]
    drawn = [row_pages(experiment, group, shown) for group in groups[:MOST_PAGES]]
    if len(groups) > 1:
        caption += ". One picture for each kind of conditions, which cannot be compared: "
        caption += "; ".join(names[: len(drawn)])
    note = "".join(dict.fromkeys(note for _, note in drawn)) if len(groups) == 1 else ""
    pages = tuple(page for pictures, _ in drawn for page in pictures)
    return Drawing("throughput", "Training throughput", f"{caption}.{note}", pages)


def equal_budgets(experiment: ExperimentData) -> Drawing | None:
    """The best of the selected metric at equal epochs, equal seconds and equal multiply-adds."""
    running = plot_data.running_best(experiment)
    labels = {"epochs": "{:.0f} epochs", "seconds": "{}", "macs": "{}"}
    parts, shown, notes = [], [], ""
    for cost in plot_data.BUDGETS:
        budget = plot_data.common_budget(running, cost)
        if not math.isfinite(budget):
            continue
        if cost == "seconds" and not experiment.same_timing_conditions(set(running["id"])):
            notes += UNEQUAL
            continue
        limit = {"epochs": budget, "seconds": numbers.seconds(budget),
                "macs": numbers.scaled(budget, "MACs")}[cost]  # fmt: skip
        parts.append(plot_data.at_budget(running, cost, budget))
        shown.append(Panel(cost, "Within " + labels[cost].format(limit)))
    if not parts or len(experiment.arms) < 2:
        return None
    caption = (
        f"Best validation {display_name(experiment.metric)} that each arm reaches within what "
        "every trial has spent: epochs, time of training and validation, forward multiply-adds on "
        f"training images. {POINTS}."
    )
    caption += incomparable_note(experiment.records.incomparable, [experiment.metric]) + notes
    heading = f"{title(experiment.metric)} at equal budgets"
    return by_arm(experiment, "equal_budgets", heading, pd.concat(parts), shown, caption)


def same_conditions_only(
    experiment: ExperimentData, shown: Sequence[Panel]
) -> tuple[list[Panel], str]:
    """The panels whose figures were measured under the same conditions, and a note"""
    kept = [panel for panel in shown if experiment.comparable(panel.column)]
    return kept, "" if len(kept) == len(shown) else UNEQUAL


def differing(conditions: Sequence[str]) -> list[str]:
    """Of several conditions (`device cuda; threads 8; …`) what tells them apart."""
    parts = [text.split("; ") for text in conditions]
    shared = set.intersection(*map(set, parts)) if parts else set()
    return [", ".join(part for part in each if part and part not in shared) for each in parts]


def two_seeds(experiment: ExperimentData, columns: Sequence[str]) -> str:
    """A remark where intervals are too long for the frame."""
    found = [f"{column}_n" for column in columns if f"{column}_n" in experiment.summary]
    two = any((experiment.summary[name] == 2).any() for name in found)
    return " Intervals of two seeds may leave the frame." if two else ""
