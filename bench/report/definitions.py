"""What the scores in a table are, in a sentence; docs/metrics.md has the formulas.

The sentences are made of what the plan and the trials recorded, not of today's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.load import Records
from bench.states import BENCH_SOURCE
from bench.tasks.settings import SPLIT, SUPPORT

PER_IMAGE = "Dice and IoU are computed for each image and averaged over images"
PER_CLASS = (
    "Dice and IoU are computed for each image and class, averaged over the classes of an image, "
    "then over images"
)
PER_SPLIT = (
    "Dice and IoU are computed for each class from the pixels of the whole split and averaged over "
    "classes"
)
AND_SPLIT = "split Dice and split IoU are those of each class from the pixels of the whole split"
EMPTY_IS_ONE = "an empty mask predicted empty scores 1"
EMPTY_IS_MISSING = "an image whose mask and prediction are both empty has no score"
ABSENT_IS_MISSING = "a class in neither mask nor prediction of an image has no score there"
SPLIT_LACKS = "a class that the split lacks has no score"
NOT_SCORED = "the background has no score of its own"
NO_BACKGROUND = "no class is background"
EARLIER_VERSIONS = (
    "Dice and IoU are as earlier versions of bench defined them: averaged over images and "
    "foreground classes; a class in neither mask nor prediction of an image scores 1, which "
    "flatters where images have few of several classes"
)
ELSEWHERE = "Scores were logged elsewhere: how they were computed is not recorded"
OTHER_TASKS = {
    "classification": "Accuracies are shares of the split's images; the validation loss is "
    "cross-entropy without label smoothing",
    "diffusion": "The validation loss is the mean squared error of the predicted noise, with noise "
    "and step fixed for each image of the split",
}
SEVERAL = "Experiments do not define scores alike (see above)"
_SHOWN = 3
_SCORED = ("best_val_", "final_val_", "test_")


def definition(records: Records) -> str:
    """The sentence under a table that shows scores; empty where nothing is to be said."""
    if not (records.runs["source"] == BENCH_SOURCE).any():
        return f"{ELSEWHERE}."
    if records.task in OTHER_TASKS:
        return f"{OTHER_TASKS[records.task]}."
    if "dice" not in records.metrics:
        return ""
    if records.scoring is None and records.parts:
        return f"{SEVERAL}."
    parts = [scores_sentence(records.scoring), *support(records.done), *_lacking(records)]
    return f"{'; '.join(parts)}."


def definition_of(records: Records, column: str) -> str:
    """The sentence under a table of one figure, a column of runs.csv; empty for times and costs."""
    scored = column.startswith(_SCORED) or column == "overfit_gap"
    is_loss = column.endswith("_loss") or column == "overfit_gap"
    if not scored or (is_loss and records.task == "segmentation"):
        return ""  # only the sentences of other tasks say what a loss is
    return definition(records)


def scores_sentence(scoring: Mapping[str, Any] | None) -> str:
    """How masks are scored, without a full stop. `scoring`: as `bench.plan.scoring` records it."""
    if scoring is None:
        return EARLIER_VERSIONS
    several, average = len(scoring["classes"]) > 1, scoring["average"]
    parts = [PER_SPLIT if average == "split" else PER_CLASS if several else PER_IMAGE]
    if average == "both":
        parts.append(AND_SPLIT)
    if several:
        parts += [] if average == "split" else [ABSENT_IS_MISSING]
        parts.append(SPLIT_LACKS)
    else:
        parts.append(EMPTY_IS_ONE if scoring["empty_mask"] == "one" else EMPTY_IS_MISSING)
    background = scoring["background"]
    named = "" if background in (None, "background") else f" ({background})"
    parts.append(NO_BACKGROUND if background is None else f"{NOT_SCORED}{named}")
    return "; ".join(parts)


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


def constant_prediction(records: Records, column: str) -> str | None:
    """What the baseline of `test_dice` or `best_val_dice` predicts everywhere, such as a class.

    None where it is not recorded, as by earlier versions, or where finished trials differ in it.
    """
    split, _, metric = column.partition("_")
    name = f"constant_{metric if split == 'test' else column.removeprefix('best_')}"
    values = records.done.get(name, pd.Series(dtype="object")).dropna().unique()
    return str(values[0]) if len(values) == 1 else None


def _lacking(records: Records) -> list[str]:
    """The classes that no finished trial has a score of, split by split."""
    done, scoring = records.done, records.scoring or {}
    prefix = SPLIT if f"{SPLIT}dice" in records.metrics else ""
    found = []
    for column, split in (("test", "test"), ("best_val", "validation")):
        names = {name: f"{column}_{prefix}dice_{name}" for name in scoring.get("classes", ())}
        if not done.get(f"{column}_dice", pd.Series(dtype="float64")).notna().any():
            continue  # not evaluated
        lacking = [n for n, at in names.items() if at in done and done[at].isna().all()]
        if lacking:
            found.append(f"the {split} split lacks {_listed(lacking)}")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
