"""What every arm came to: scores, convergence, overfitting, throughput, equal budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bench.analysis.arm_summary import baseline_column
from bench.report.figures import data
from bench.report.figures.look import Drawing
from bench.report.figures.rows import MOST_PAGES, Panel, by_arm, row_pages
from bench.report.figures.study import Study
from bench.report.format import numbers
from bench.report.format.display_names import apart, nice, title

POINTS = "Each point is one seed; the bar is the mean's 95% t-interval over seeds"
UNEQUAL = " Times are left out: they were not all measured on equal terms."


def scores(study: Study) -> Drawing | None:
    """The selected metric by arm: best and final on validation, and on the test split."""
    columns = [f"{kind}_{study.metric}" for kind in ("best_val", "final_val", "test")]
    shown = [Panel(column, title(column), baseline=True) for column in columns]
    caption = POINTS
    if any(baseline_column(column) in study.summary for column in columns):
        caption += "; dotted, or told above the frame: the trivial prediction"
    caption += "." + two_seeds(study, columns) + apart(study.records.incomparable, [study.metric])
    values = data.seed_data(study, columns)
    heading = f"{title(study.metric)} by arm"
    return by_arm(study, "scores", heading, values, shown, caption, all_pages=True)


def convergence(study: Study) -> Drawing | None:
    """Epochs and seconds to 95% of the best."""
    columns = ["epochs_to_95pct", "seconds_to_95pct"]
    shown = [
        Panel("epochs_to_95pct", "Epochs to 95% of the best", from_zero=True, integer=True),
        Panel("seconds_to_95pct", "Seconds to 95% of the best", from_zero=True),
    ]
    caption = (
        f"When each trial’s validation {nice(study.metric)} first reaches 95% of its own best: an "
        f"arm that stops low converges early. {POINTS}."
    )
    shown, note = equal_terms(study, shown)
    values = data.seed_data(study, columns)
    return by_arm(study, "convergence", "Convergence", values, shown, caption + note)


def overfitting(study: Study) -> Drawing | None:
    """The overfitting gap, and the losses at the end."""
    shown = [
        Panel("overfit_gap", "Final − lowest val loss", from_zero=True),
        Panel("final_val_loss", "Final val loss"),
        Panel("final_train_loss", "Final train loss"),
    ]
    caption = f"How far the validation loss has risen from its lowest point by the end. {POINTS}."
    caption += apart(study.records.incomparable, ["loss"])
    values = data.seed_data(study, [panel.column for panel in shown])
    if not (values["column"] == "overfit_gap").any():
        return None
    return by_arm(study, "overfitting", "Overfitting", values, shown, caption)


def throughput(study: Study) -> Drawing | None:
    """Training images per second, apart for every kind of terms they were measured on."""
    values = data.throughput_data(study)
    if values.empty:
        return None
    caption = "Training images per second, each trial’s median after its first epoch. " + POINTS
    groups = [group for _, group in values.groupby("terms", sort=False)]
    names = differing([str(group["terms"].iloc[0]) for group in groups])
    shown = [Panel("images_per_second", "Training images per second", from_zero=True)]
    drawn = [row_pages(study, group, shown) for group in groups[:MOST_PAGES]]
    if len(groups) > 1:
        caption += ". One picture for each kind of conditions, which cannot be compared: "
        caption += "; ".join(names[: len(drawn)])
    note = "".join(dict.fromkeys(note for _, note in drawn)) if len(groups) == 1 else ""
    pages = tuple(page for pictures, _ in drawn for page in pictures)
    return Drawing("throughput", "Training throughput", f"{caption}.{note}", pages)


def equal_budgets(study: Study) -> Drawing | None:
    """The best of the selected metric at equal epochs, equal seconds and equal multiply-adds."""
    running = data.running_best(study)
    labels = {"epochs": "{:.0f} epochs", "seconds": "{}", "macs": "{}"}
    parts, shown, notes = [], [], ""
    for cost in data.BUDGETS:
        budget = data.common_budget(running, cost)
        if not math.isfinite(budget):
            continue
        if cost == "seconds" and not study.same_clock(set(running["id"])):
            notes += UNEQUAL
            continue
        told = {"epochs": budget, "seconds": numbers.seconds(budget),
                "macs": numbers.scaled(budget, "MACs")}[cost]  # fmt: skip
        parts.append(data.at_budget(running, cost, budget))
        shown.append(Panel(cost, "Within " + labels[cost].format(told)))
    if not parts or len(study.arms) < 2:
        return None
    caption = (
        f"Best validation {nice(study.metric)} that each arm reaches within what every trial has "
        f"spent: epochs, time of training and validation, forward multiply-adds on training "
        f"images. {POINTS}."
    )
    caption += apart(study.records.incomparable, [study.metric]) + notes
    heading = f"{title(study.metric)} at equal budgets"
    return by_arm(study, "equal_budgets", heading, pd.concat(parts), shown, caption)


def equal_terms(study: Study, shown: Sequence[Panel]) -> tuple[list[Panel], str]:
    """The panels whose figures were measured on equal terms, and a remark on the others."""
    kept = [panel for panel in shown if study.comparable(panel.column)]
    return kept, "" if len(kept) == len(shown) else UNEQUAL


def differing(terms: Sequence[str]) -> list[str]:
    """Of several terms (`device cuda; threads 8; …`) what tells them apart."""
    parts = [text.split("; ") for text in terms]
    shared = set.intersection(*map(set, parts)) if parts else set()
    return [", ".join(part for part in each if part and part not in shared) for each in parts]


def two_seeds(study: Study, columns: Sequence[str]) -> str:
    """A remark where intervals are too long for the frame."""
    found = [f"{column}_n" for column in columns if f"{column}_n" in study.summary]
    two = any((study.summary[name] == 2).any() for name in found)
    return " Intervals of two seeds may leave the frame." if two else ""
