"""The sentence under a table, from what was recorded."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from bench.analysis import score_definitions
from bench.analysis.combine import combine_experiments
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.analysis.score_definitions import scores_sentence
from bench.data.setting_types import Background
from bench.plan.scoring import SCORE_DEFINING_SETTINGS
from bench.record.columns import RUNS
from bench.record.store import Store
from bench.report.narrative import definitions
from bench.report.narrative.definitions import (
    constant_prediction,
    definition,
    definition_of,
    support,
)
from bench.tasks.settings import SUPPORT, TASKS, EmptyMask, ScoreAverage, TaskSettings
from tests.builders.records import MadeTrial, study, write_experiment

BINARY = {
    "average": "image",
    "empty_mask": "one",
    "background": "background",
    "classes": ["foreground"],
}
SEVERAL = BINARY | {"empty_mask": "missing", "classes": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("scoring", "sentence"),
    [
        (
            BINARY,
            "Dice and IoU are computed for each image and averaged over images; an empty mask "
            "predicted empty scores 1; the background has no score of its own",
        ),
        (
            BINARY | {"empty_mask": "missing"},
            "Dice and IoU are computed for each image and averaged over images; an image whose "
            "mask and prediction are both empty has no score; the background has no score of its "
            "own",
        ),
        (
            SEVERAL | {"background": None},
            "Dice and IoU are computed for each image and class, averaged over the classes of an "
            "image, then over images; a class in neither mask nor prediction of an image has no "
            "score there; a class that the split lacks has no score; no class is background",
        ),
        (
            SEVERAL | {"average": "split", "background": "sky"},
            "Dice and IoU are computed for each class from the pixels of the whole split and "
            "averaged over classes; a class that the split lacks has no score; the background "
            "has no score of its own (sky)",
        ),
        (
            SEVERAL | {"average": "split", "background": None, "evaluate_at": "original"},
            "Dice and IoU are computed for each class from the pixels of the whole split and "
            "averaged over classes; a class that the split lacks has no score; no class is "
            "background; test scores are of predictions at the size of each image's own mask, "
            "validation scores of those at data.image_size",
        ),
    ],
)
def test_each_definition_has_its_own_sentence(scoring: dict[str, Any], sentence: str) -> None:
    assert scores_sentence(scoring) == sentence


def made(
    root: Path,
    *,
    scoring: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    name: str = "exp",
    **changes: Any,
) -> Records:
    trials = study(models=("unet",), augments=("none",), seeds=2, epochs=2)
    trials = [replace(trial, summary=trial.summary | (facts or {})) for trial in trials]
    write_experiment(root, name, trials, **changes)
    return replace(load(Store(root), name), scoring=scoring)


def test_records_of_the_first_release_say_how_it_scored(tmp_path: Path) -> None:
    assert "scores 1, which flatters" in definition(made(tmp_path))


def test_how_many_images_and_pairs_are_behind_the_scores(tmp_path: Path) -> None:
    facts = {"test_scored_images": 48, "test_scored_pairs": 1612, "val_scored_images": 50}
    text = definition(made(tmp_path, scoring=SEVERAL, facts=facts))
    assert "; test: 48 images, 1,612 pairs with a score; validation: 50 images with a score" in text
    records = made(tmp_path, scoring=SEVERAL, facts=facts, name="other")
    records.runs.loc[0, "test_scored_pairs"] = 1600  # predictions decide which pairs have one
    assert "test: 48 images, 1,600 to 1,612 pairs with a score" in definition(records)


def test_a_class_that_a_split_lacks_is_named(tmp_path: Path) -> None:
    facts = {"best_val_dice_cat": 0.5, "best_val_dice_dog": None, "test_dice": 0.5}
    facts |= {"test_dice_cat": None, "test_dice_dog": 0.5}
    metrics = {"loss": "min", "dice": "max", "dice_cat": "max", "dice_dog": "max"}
    text = definition(made(tmp_path, scoring=SEVERAL, facts=facts, metrics=metrics))
    assert text.endswith("; the test split lacks cat; the validation split lacks dog.")


def test_images_without_a_value_are_counted(tmp_path: Path) -> None:
    facts = {"test_hd95": 3.0, "test_hd95_missing": 4, "best_val_hd95_missing": 0}
    metrics = {"loss": "min", "dice": "max", "hd95": "min", "hd95_missing": "min"}
    text = definition(made(tmp_path, scoring=SEVERAL, facts=facts, metrics=metrics))
    assert text.endswith("; HD95 has no value in 4 test pairs of image and class.")


def test_scores_that_were_logged_elsewhere_are_not_known(tmp_path: Path) -> None:
    write_experiment(tmp_path, "exp", [MadeTrial(source="paper", seed=None)])
    assert definition(load(Store(tmp_path), "exp")).startswith("Scores were logged elsewhere")


@pytest.mark.parametrize(
    ("task", "part"), [("classification", "without label smoothing"), ("diffusion", "noise")]
)
def test_other_tasks_have_a_sentence_too(tmp_path: Path, task: str, part: str) -> None:
    assert part in definition(replace(made(tmp_path), task=task))


@pytest.mark.parametrize(
    ("task", "column", "said"),
    [
        ("segmentation", "best_val_dice", True), ("segmentation", "test_iou_cat", True),
        ("segmentation", "final_val_loss", False), ("segmentation", "overfit_gap", False),
        ("segmentation", "epoch_seconds", False), ("segmentation", "epochs_to_95pct", False),
        ("classification", "final_val_loss", True), ("classification", "epoch_seconds", False),
    ],
)  # fmt: skip
def test_under_a_table_of_one_figure_is_what_is_said_of_it(
    tmp_path: Path, task: str, column: str, said: bool
) -> None:
    """No table of seconds says how Dice is computed."""
    records = made(tmp_path, task=task)
    assert definition_of(records, column) == (definition(records) if said else "")


def test_experiments_that_are_scored_otherwise_are_reported(tmp_path: Path) -> None:
    alike = [made(tmp_path, name=name, scoring=BINARY) for name in ("a", "b")]
    assert definition(combine_experiments(alike, "c")).startswith(
        "Dice and IoU are computed for each image"
    )
    other = [alike[0], replace(alike[1], scoring=BINARY | {"average": "split"})]
    found = combine_experiments(other, "c")
    assert definition(found) == "Experiments do not define scores alike (see above)."
    (caution,) = [c for c in found.cautions if "not defined alike" in c]
    assert "a: Dice and IoU are computed for each image" in caution
    assert "b: Dice and IoU are computed for each class from the pixels" in caution


def test_what_the_baseline_predicts(tmp_path: Path) -> None:
    facts = {"constant_dice": "background", "constant_val_dice": "foreground"}
    records = made(tmp_path, facts=facts)
    assert constant_prediction(records, "test_dice") == "background"
    assert constant_prediction(records, "best_val_dice") == "foreground"
    assert constant_prediction(records, "test_iou") is None
    assert records.closing == ()  # no results of the task's own


NOT_SENTENCES = ("BENCH_SOURCE", "FIGURES", "SPLIT", "SUPPORT")
DOCUMENTATION = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_what_the_page_says_stands_in_the_documentation() -> None:
    clauses = [
        text
        for name, value in (vars(definitions) | vars(score_definitions)).items()
        if name.isupper()
        and not name.startswith("_")
        and name not in ("BENCH_SOURCE", "FIGURES", "SPLIT", "SUPPORT")
        for text in (value.values() if isinstance(value, dict) else [value])
    ]
    assert len(clauses) > 12
    assert [text for text in clauses if text not in DOCUMENTATION] == []


def test_every_measure_and_every_setting_of_the_scores_is_documented() -> None:
    names = {name for task in TASKS.names() for name in _settings(task).metric_modes(("a", "b"))}
    names |= set(SUPPORT) | set(SCORE_DEFINING_SETTINGS) | {"split_dice", "split_iou", "top5"}
    names |= {column for column in RUNS if column in MEASURES}
    names |= {f"train.{name}" for name in ("ema", "micro_batch", "focal_gamma", "val_batch_size")}
    format_duration = DOCUMENTATION.replace("`loss_t1` … ", "`loss_t1` `loss_t2` `loss_t3` ")
    format_duration = format_duration.replace("`ap_<label>`", "`ap_a` `ap_b`")
    missing = [n for n in sorted(names) if not re.search(rf"\b{re.escape(n)}\b", format_duration)]
    assert missing == []


MEASURES = {
    *("macs", "best_epoch", "final_train_loss", "overfit_gap", "epochs_to_95pct"),
    *("seconds_to_95pct", "epoch_seconds", "train_seconds", "peak_memory_mb"),
}


def _settings(task: str) -> TaskSettings:
    return TASKS.entry(task).settings()


def test_the_values_that_settings_take_are_documented() -> None:
    for kind in (ScoreAverage, EmptyMask, Background):
        for value in get_args(kind):
            assert f"`{value}`" in DOCUMENTATION


def test_one_of_a_kind_is_in_the_singular() -> None:
    done = pd.DataFrame({"test_scored_images": [1, 1], "test_scored_classes": [1, 2]})
    assert support(done) == ["test: 1 image, 1 to 2 classes with a score"]
