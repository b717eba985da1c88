from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import pytest

from bench.record.summary import summarise

METRICS = {"loss": "min", "dice": "max"}
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "published" / "dlp_lab3.csv"


def rows(**columns: list[float | None]) -> list[dict[str, float | int | None]]:
    names = {"dice": "val/dice", "loss": "val/loss", "train": "train/loss"}
    length = len(next(iter(columns.values())))
    return [
        {"epoch": i + 1} | {names.get(n, n): values[i] for n, values in columns.items()}
        for i in range(length)
    ]


def test_by_hand() -> None:
    history = rows(
        train=[0.9, 0.5, 0.3, 0.2],
        loss=[0.8, 0.4, 0.5, 0.6],
        dice=[0.5, 0.76, 0.8, 0.8],
        epoch_seconds=[9.0, 2.0, 4.0, 3.0],
        val_seconds=[1.0, 0.5, 0.5, 0.5],
        images_per_second=[10.0, 50.0, 30.0, 40.0],
        peak_memory_mb=[100.0, 130.0, 120.0, 130.0],
    )
    summary = summarise(history, "val/dice", METRICS)
    assert summary.pop("overfit_gap") == pytest.approx(0.2)  # 0.6 - 0.4
    assert summary == {
        "epochs": 4,
        "best_epoch": 3,  # the first of two with 0.8
        "best_val_loss": 0.4,
        "best_val_dice": 0.8,
        "final_val_loss": 0.6,
        "final_val_dice": 0.8,
        "final_train_loss": 0.2,
        "epochs_to_95pct": 2,  # 0.76 = 0.95 × 0.8
        "seconds_to_95pct": 12.5,  # 9 + 1 + 2 + 0.5
        "epoch_seconds": 3.0,  # of 2, 4, 3
        "train_seconds": 20.5,
        "peak_memory_mb": 130.0,
        "images_per_second": 40.0,  # of 50, 30, 40
    }


def test_a_metric_to_minimise() -> None:
    history = rows(loss=[1.0, 0.42, 0.4, 0.5])
    summary = summarise(history, "val/loss", {"loss": "min"})
    assert (summary["best_epoch"], summary["epochs_to_95pct"]) == (3, 2)  # 0.42 ≤ 0.4 / 0.95
    history[1]["val/loss"] = 0.43
    assert summarise(history, "val/loss", {"loss": "min"})["epochs_to_95pct"] == 3


def test_a_negative_best_has_its_threshold_on_the_worse_side() -> None:
    assert summarise(rows(r=[-3.0, -1.05, -1.0]), "r", {"r": "max"})["epochs"] == 3
    history = rows(**{"val/r": [-3.0, -1.05, -1.0]})
    assert summarise(history, "val/r", {"r": "max"})["epochs_to_95pct"] == 2  # ≥ -1 / 0.95
    history = rows(**{"val/r": [3.0, -0.96, -1.0]})
    assert summarise(history, "val/r", {"r": "min"})["epochs_to_95pct"] == 2  # ≤ -0.95


def test_what_is_not_known_is_none() -> None:
    empty = summarise([], "val/dice", METRICS)
    assert empty.pop("epochs") == 0
    assert set(empty.values()) == {None}

    one = summarise(
        rows(dice=[0.5], loss=[1.0], epoch_seconds=[3.0], val_seconds=[1.0]), "val/dice", METRICS
    )
    assert one["epoch_seconds"] is None  # there is no epoch after the first
    assert one["images_per_second"] is None
    assert one["peak_memory_mb"] is None
    assert one["train_seconds"] == one["seconds_to_95pct"] == 4.0

    untimed = summarise(
        rows(dice=[0.5, 0.6], epoch_seconds=[1.0, None], val_seconds=[1.0, 1.0]),
        "val/dice",
        METRICS,
    )
    assert untimed["train_seconds"] is untimed["seconds_to_95pct"] is None
    assert untimed["best_val_loss"] is untimed["overfit_gap"] is None


def test_nan_is_passed_over() -> None:
    history = rows(dice=[math.nan, 0.7, 0.9, math.nan], loss=[math.inf, 0.5, math.nan, None])
    summary = summarise(history, "val/dice", METRICS)
    assert (summary["best_epoch"], summary["best_val_dice"]) == (3, 0.9)
    assert summary["best_val_loss"] == 0.5
    assert summary["final_val_dice"] is summary["final_val_loss"] is summary["overfit_gap"] is None


def test_the_selected_metric_must_be_known() -> None:
    with pytest.raises(KeyError):
        summarise([], "val/accuracy", METRICS)


# SYSTEMS.md, section 1: epochs, best Dice @, lowest loss @, epochs to 95%, final train / val loss
TABLE = {
    ("unet", "none"): (112, 0.883, 37, 0.237, 16, 10, 0.084, 0.489),
    ("unet", "elastic"): (137, 0.891, 52, 0.228, 29, 15, 0.132, 0.428),
    ("unet", "elastic_or_crop"): (108, 0.901, 45, 0.211, 22, 12, 0.014, 0.621),
    ("resnet34_unet", "none"): (112, 0.874, 104, 0.235, 93, 53, 0.137, 0.283),
    ("resnet34_unet", "elastic"): (158, 0.889, 90, 0.226, 46, 33, 0.041, 0.404),
    ("resnet34_unet", "elastic_or_crop"): (300, 0.889, 98, 0.223, 57, 35, 0.044, 0.385),
}


def test_the_published_logs_give_the_published_table() -> None:
    if not PUBLISHED.is_file():
        pytest.skip(f"no published logs at {PUBLISHED}")
    histories = defaultdict(list)
    with PUBLISHED.open() as file:
        for line in csv.DictReader(file):
            arm = line.pop("model"), line.pop("augment")
            histories[arm].append(
                {"epoch": int(line.pop("epoch"))} | {k: float(v) for k, v in line.items()}
            )
    assert set(histories) == set(TABLE)
    for arm, history in histories.items():
        by_dice = summarise(history, "val/dice", METRICS)
        by_loss = summarise(history, "val/loss", METRICS)
        epochs, dice, dice_at, loss, loss_at, reached, train, val = TABLE[arm]
        assert [by_dice["epochs"], by_dice["best_epoch"]] == [epochs, dice_at]
        assert [by_loss["best_epoch"], by_dice["epochs_to_95pct"]] == [loss_at, reached]
        figures = ("best_val_dice", "best_val_loss", "final_train_loss", "final_val_loss")
        # two figures of the table are cut or rounded the wrong way: 0.88952 and 0.22747
        assert [by_dice[name] for name in figures] == pytest.approx(
            [dice, loss, train, val], abs=6e-4
        )
