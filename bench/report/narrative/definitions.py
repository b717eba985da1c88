"""What the scores in a table are, in a sentence; docs/metrics.md has the formulas.

The sentences are made of what the plan and the trials recorded, not of today's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.records import Records
from bench.analysis.score_definitions import scores_sentence
from bench.metric_columns import FIGURES, SPLIT, MetricColumn, class_columns
from bench.report.format.display_names import display_name
from bench.states import BENCH_SOURCE
from bench.tasks.metric_settings import missing_column
from bench.tasks.settings import SUPPORT

ELSEWHERE = "Scores were logged elsewhere: how they were computed is not recorded"
OTHER_TASKS = {
    "classification": "Accuracies are shares of the split's images; the validation loss is "
    "without label smoothing and class weights",
    "multi_label": "mAP is the mean of the labels' average precision, F1 that of their F1; micro "
    "F1 is of all labels together, samples F1 a mean over images; a label that the split lacks "
    "has no score; the validation loss is without label smoothing and class weights",
    "diffusion": "The validation loss is the mean squared error of the predicted noise, with noise "
    "and step fixed for each image of the split",
}
SEVERAL = "Experiments do not define scores alike (see above)"
_SHOWN = 3
_MISSING = missing_column("")


def definition(records: Records) -> str:
    """The sentence under a table that shows scores; empty where nothing is to be said."""
    if not (records.runs["source"] == BENCH_SOURCE).any():
        return f"{ELSEWHERE}."
    if records.task in OTHER_TASKS:
        return f"{'; '.join([OTHER_TASKS[records.task], *support(records.done)])}."
    if "dice" not in records.metrics:
        return ""
    if records.scoring is None and records.combined_from:
        return f"{SEVERAL}."
    parts = [
        scores_sentence(records.scoring), *support(records.done), *_lacking(records),
        *without_value(records),
    ]  # fmt: skip
    return f"{'; '.join(parts)}."


def definition_of(records: Records, column: str) -> str:
    """The sentence under a table of one figure, a column of runs.csv; empty for times and costs."""
    scored = column.startswith(FIGURES) or column == "overfit_gap"
    is_loss = column.endswith("_loss") or column == "overfit_gap"
    if not scored or (is_loss and records.task == "segmentation"):
        return ""  # only the sentences of other tasks say what a loss is
    return definition(records)


_ONE = {"scored_images": "image", "scored_pairs": "pair", "scored_classes": "class"}


def support(done: pd.DataFrame) -> list[str]:
    """How much the scores of finished trials are means of, split by split."""
    found = []
    for split, name in (("test", "test"), ("val", "validation")):
        counts = []
        for column in SUPPORT:
            values = done.get(f"{split}_{column}", pd.Series(dtype="float64")).dropna()
            if len(values):
                low, high = (f"{int(value):,}" for value in (values.min(), values.max()))
                unit = _ONE[column] if high == "1" else column.removeprefix("scored_")
                counts.append(f"{low if low == high else f'{low} to {high}'} {unit}")
        if counts:
            found.append(f"{name}: {', '.join(counts)} with a score")
    return found


def without_value(records: Records) -> list[str]:
    """Metrics that some images have no value of though mask or prediction is there: how many."""
    found = []
    for name in records.metrics:
        metric = name.removesuffix(_MISSING)
        if metric == name or metric not in records.metrics:
            continue
        for split, column in (("test", f"test_{name}"), ("validation", f"best_val_{name}")):
            values = records.done.get(column, pd.Series(dtype="float64")).dropna()
            if len(values) and values.max() > 0:
                low, high = (f"{int(value):,}" for value in (values.min(), values.max()))
                count = low if low == high else f"{low} to {high}"
                several = len((records.scoring or {}).get("classes", ())) > 1
                where = "pairs of image and class" if several else "images"
                found.append(f"{display_name(metric)} has no value in {count} {split} {where}")
    return found


def constant_prediction(records: Records, column: str) -> str | None:
    """What the baseline of `test_dice` or `best_val_dice` predicts everywhere, such as a class.

    None where it is not recorded, as by earlier versions, or where finished trials differ in it.
    """
    parsed = MetricColumn.parse(column)
    if parsed is None:
        return None
    values = records.done.get(str(parsed.constant), pd.Series(dtype="object")).dropna().unique()
    return str(values[0]) if len(values) == 1 else None


def _lacking(records: Records) -> list[str]:
    """The classes that no finished trial has a score of, split by split."""
    done, scoring = records.done, records.scoring or {}
    prefix = SPLIT if f"{SPLIT}dice" in records.metrics else ""
    found = []
    for column, split in (("test", "test"), ("best_val", "validation")):
        classes = scoring.get("classes", ())
        names = {
            name: f"{column}_{prefix}dice_{own}"
            for name, own in zip(classes, class_columns(classes), strict=True)
        }
        if not done.get(f"{column}_dice", pd.Series(dtype="float64")).notna().any():
            continue  # not evaluated
        lacking = [n for n, at in names.items() if at in done and done[at].isna().all()]
        if lacking:
            found.append(f"the {split} split lacks {_listed(lacking)}")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
