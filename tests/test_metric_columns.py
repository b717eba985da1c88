from __future__ import annotations

import pytest

from bench.metric_columns import MetricColumn, MetricKind


@pytest.mark.parametrize(
    ("name", "kind", "metric"),
    [
        ("val/dice", MetricKind.CURVE, "dice"),
        ("train/loss", MetricKind.TRAIN_CURVE, "loss"),
        ("best_val_dice", MetricKind.BEST, "dice"),
        ("best_val_dice_big_cat", MetricKind.BEST, "dice_big_cat"),
        ("final_val_split_iou_cat", MetricKind.FINAL, "split_iou_cat"),
        ("last10_val_dice", MetricKind.LAST_TEN, "dice"),
        ("cross_val_dice", MetricKind.CROSS_FITTED, "dice"),
        ("test_loss_t1", MetricKind.TEST, "loss_t1"),
        ("baseline_val_top1", MetricKind.BASELINE_VAL, "top1"),
        ("baseline_top1", MetricKind.BASELINE_TEST, "top1"),
        ("constant_val_dice", MetricKind.CONSTANT_VAL, "dice"),
        ("constant_dice_cat", MetricKind.CONSTANT_TEST, "dice_cat"),
    ],
)
def test_a_name_is_read_and_printed_again(name, kind, metric):
    column = MetricColumn.parse(name)
    assert column is not None
    assert (column.kind, column.metric) == (kind, metric)
    assert str(column) == name


@pytest.mark.parametrize("name", ["epoch", "val_seconds", "final_train_loss", "overfit_gap", ""])
def test_a_column_of_no_metric_is_none(name):
    assert MetricColumn.parse(name) is None


@pytest.mark.parametrize(
    ("name", "baseline", "constant"),
    [
        ("test_dice", "baseline_dice", "constant_dice"),
        ("best_val_dice_cat", "baseline_val_dice_cat", "constant_val_dice_cat"),
        ("final_val_loss", "baseline_val_loss", "constant_val_loss"),
    ],
)
def test_a_score_has_the_baseline_of_its_split(name, baseline, constant):
    column = MetricColumn.parse(name)
    assert column is not None
    assert (str(column.baseline), str(column.constant)) == (baseline, constant)
