"""What has no effect, hand-picked setting by setting: idle with its neighbour, not without it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.spec.schema import TrialSettings
from bench.spec.train_settings import TrainSettings
from bench.spec.unused_settings import unused_settings

ENCODED = {"name": "resnet18_unet"}  # stages stem, layer1 … layer4
FLIP = ["hflip"]


def unused(train: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """The messages that these settings of a segmentation give, each behind its setting."""
    tree = {"task": "segmentation", "data": {"name": "shapes", "kinds": 2}, "model": ENCODED}
    settings = TrialSettings.model_validate(tree | {"train": train or {}} | changes)
    return [f"{found.setting}: {found.message}" for found in unused_settings(settings)]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"focal_gamma": 1.0}, "train.focal_gamma: has no effect with loss: cross_entropy"),
        ({"focal_gamma": 1.0, "loss": "focal"}, None),
        ({"momentum": 0.5}, "train.momentum: has no effect with optimizer: adam"),
        ({"momentum": 0.5, "optimizer": "sgd"}, None),
        (
            {"warmup_epochs": 1, "schedule": "one_cycle"},
            "train.warmup_epochs: has no effect with schedule: one_cycle, which has a warm-up of "
            "its own",
        ),
        ({"warmup_epochs": 1, "schedule": "cosine"}, None),
        (
            {"micro_batch": 20},
            "train.micro_batch: has no effect with batch_size: 20, which is no larger",
        ),
        ({"micro_batch": 20, "batch_size": 21}, None),
        ({"micro_batch": "auto"}, None),
        ({"warmup_epochs": 1}, None),  # before a constant rate too
        ({"freeze_statistics": False}, None),  # they move, as it says
        ({"freeze_statistics": False, "freeze": "encoder"}, None),
        ({"unfreeze_epoch": 3}, "train.unfreeze_epoch: has no effect where nothing is frozen"),
        ({"unfreeze_epoch": 3, "freeze": {"up_to": "stem"}}, None),
        (
            {"encoder_lr": 1e-4, "freeze": "encoder"},
            "train.encoder_lr: has no effect where the whole encoder stays frozen",
        ),
        (
            {"encoder_lr": 1e-4, "freeze": {"up_to": "layer4"}},
            "train.encoder_lr: has no effect where the whole encoder stays frozen",
        ),
        ({"encoder_lr": 1e-4, "freeze": {"up_to": "layer3"}}, None),
        ({"encoder_lr": 1e-4, "freeze": "encoder", "unfreeze_epoch": 3}, None),
        ({"encoder_lr": 1e-4}, None),
        (
            {"label_smoothing": 0.1},
            "train.label_smoothing: has no effect in segmentation: images have no labels",
        ),
    ],
)
def test_training(train: dict[str, Any], message: str | None) -> None:
    assert unused(train) == ([message] if message else [])


def test_labels_can_be_smoothed() -> None:
    classified = {"task": "classification", "model": {"name": "resnet"}}
    assert unused({"label_smoothing": 0.1}, **classified) == []


def test_a_default_is_not_set_even_where_it_is_written() -> None:
    written = {key: kind.default for key, kind in TrainSettings.model_fields.items()}
    assert unused(written) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mistakes": ["unpaired_masks"], "augment": FLIP}, None),
        (
            {"mistakes": ["unpaired_masks"]},
            "mistakes: unpaired_masks has no effect where no transform moves a pixel",
        ),
        (
            {"mistakes": ["unpaired_masks"], "augment": FLIP, "task": "classification",
             "model": {"name": "resnet"}},
            "mistakes: unpaired_masks has no effect in classification: there are no masks",
        ),
        ({"mistakes": ["eval_mode_leak", "grad_in_validation"]}, None),
        ({"augment": {"mode": "append", "transforms": FLIP}}, None),
        ({"mistakes": ["unpaired_masks"], "augment": [{"target": "my.own:Warp"}]}, None),
        ({"mistakes": ["unpaired_masks"], "augment": [{"one_of": [{"vflip": {"p": 0.5}}]}]}, None),
        (
            {"mistakes": ["unpaired_masks"],
             "augment": [{"one_of": [{"brightness": {"p": 0.5}}, {"cutout": {"p": 0.5}}]}]},
            "mistakes: unpaired_masks has no effect where no transform moves a pixel",
        ),
        ({"mistakes": ["unpaired_masks"], "augment": ["brightness", "shear"]}, None),
        ({"augment": {"mode": "append"}}, "augment.mode: has no effect without transforms"),
        (
            {"augment": {"interpolation": "bicubic"}},
            "augment.interpolation: has no effect where no transform moves a pixel",
        ),
    ],
)  # fmt: skip
def test_mistakes_and_augmentation(changes: dict[str, Any], message: str | None) -> None:
    assert unused(**changes) == ([message] if message else [])


def test_a_leak_begins_with_the_second_epoch() -> None:
    leak = {"mistakes": ["eval_mode_leak"]}
    assert unused({"epochs": 2}, **leak) == []
    assert unused({"epochs": 1}, **leak) == [
        "mistakes: eval_mode_leak has no effect in one epoch: it begins with the second"
    ]


def test_of_a_model_of_ones_own_the_last_stage_is_not_known() -> None:
    own = {"model": {"target": "my.nets:Net"}}
    assert unused({"encoder_lr": 1e-4, "freeze": {"up_to": "last"}}, **own) == []
    assert len(unused({"encoder_lr": 1e-4, "freeze": "encoder"}, **own)) == 1
