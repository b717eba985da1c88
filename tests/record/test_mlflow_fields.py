from __future__ import annotations

import pytest

from bench.record import mlflow_fields as fields
from bench.record.columns import Failure, Status
from bench.record.trial_files import TrialStatus
from tests.builders.trials import config, row


def test_params_are_the_axes_and_the_flattened_settings() -> None:
    assert fields.params(config("unet-s0", seed=3)) == {
        "model": "unet",
        "train.lr": "1e-3",  # the axis's label, not the setting 0.001
        "seed": "3",
        "model.name": "unet",
        "model.width": "0.5",
        "train.epochs": "3",
        "augment.transforms": '[{"name": "elastic", "p": 0.2}]',
    }


def test_a_fold_is_a_param_and_a_tag() -> None:
    recorded = {"id": "unet-s0-f2-1a2b3c4d", "seed": 0, "fold": 2, "axes": {}}
    assert fields.params(recorded) == {"seed": "0", "fold": "2"}
    assert fields.trial_tags(recorded, TrialStatus(Status.DONE))["bench.fold"] == "2"
    assert "fold" not in fields.params({"seed": 0})


def test_params_keep_within_mlflows_limits() -> None:
    found = fields.params({"axes": {"a%b (c)": "x" * 501}, "seed": 0, "settings": {}})
    assert list(found) == ["a_b _c_", "seed"]
    assert found["a_b _c_"] == "x" * 499 + "…"


def test_tags_tell_how_the_trial_stands() -> None:
    tags = fields.trial_tags(
        config("unet-s0"), TrialStatus(Status.FAILED, Failure.CRASH, "boom", "bench")
    )
    assert tags == {
        "bench.kind": "trial", "bench.id": "unet-s0", "bench.experiment": "pets", "bench.seed": "0",
        "bench.common": "c0ffee00", "bench.arm": "0badcafe", "bench.status": "failed",
        "bench.failure": "crash", "bench.message": "boom", "bench.source": "bench",
    }  # fmt: skip


def test_epoch_metrics_leave_out_what_is_missing() -> None:
    assert fields.epoch_metrics(dict(row(1)) | {"val/loss": None}) == {
        "train/loss": 1 / 3,
        "val/dice": 0.9,
        "train/lr": 1e-3,
        "system/epoch_seconds": 2.0,
        "system/val_seconds": 0.5,
        "system/between_seconds": 0.25,
        "system/images_per_second": 100 / 3,
        "system/peak_memory_mb": 1234.5,
    }


def test_summary_is_figures_and_tags() -> None:
    summary = {"test_dice": 0.5, "macs": 12, "device": "cpu", "deterministic": True, "x": None}
    assert fields.summary_metrics(summary) == {"test/dice": 0.5, "values/macs": 12.0}
    assert fields.summary_tags(summary) == {"bench.device": "cpu", "bench.deterministic": "true"}


def test_times_follow_from_the_files() -> None:
    start = fields.milliseconds("1970-01-01T00:00:10.500Z")
    assert start == 10_500
    assert fields.milliseconds(None) is None
    assert fields.epoch_times([row(1), row(2)], start) == [13_000, 15_500]
    assert fields.epoch_times([{"epoch": 1}, {"epoch": 2}], 7) == [7, 7]


@pytest.mark.parametrize(
    ("column", "plain"),
    [("val/loss", True), ("lr", False), ("epoch", False), ("epoch_seconds", False), ("a%", False)],
)
def test_plain_metrics(column: str, plain: bool) -> None:
    assert fields.is_plain_metric(column) is plain
