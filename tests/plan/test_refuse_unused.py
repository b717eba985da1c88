"""Settings without effect are refused where they are written, arms that they make by their name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.plan import Plan
from bench.spec.load import load_spec

HEAD = """\
experiment: e
task: segmentation
data: {name: shapes}
model: {name: resnet18_unet}
"""


def planned(folder: Path, text: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(HEAD + text)
    return make_plan(load_spec(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train: {momentum: 0.5}\n",
            "5: train.momentum: has no effect with optimizer: adam; leave it out",
        ),
        (
            "train: {momentum: 0.5}\ngrid: {train.optimizer: [adam, adamw]}\n",
            "5: train.momentum: has no effect with optimizer: adam; leave it out",
        ),
        (
            "grid: {train.momentum: [0.9, 0.5]}\n",
            "5: grid.train.momentum.1: has no effect with optimizer: adam; leave it out",
        ),
        (
            "grid:\n  train.freeze: {frozen: encoder, trained: none}\n"
            "  train.encoder_lr: {slow: 1e-4, same: null}\n  train.lr: [1, 2]\n",
            "7: grid.train.encoder_lr.slow: has no effect where the whole encoder stays frozen; "
            "exclude the arms {train.freeze: frozen, train.encoder_lr: slow}",
        ),
        (
            "grid:\n  augment: {none: [], flip: [hflip]}\n"
            "  mistakes: {none: [], unpaired: [unpaired_masks]}\n",
            "7: grid.mistakes.unpaired: unpaired_masks has no effect where no transform moves "
            "a pixel; exclude the arms {augment: none, mistakes: unpaired}",
        ),
        (
            "grid:\n  train:\n    a: {epochs: 3}\n    b: {epochs: 3, focal_gamma: 1}\n",
            "8: grid.train.b.focal_gamma: has no effect with loss: cross_entropy; leave it out",
        ),
        (
            "grid: {train.optimizer: [sgd]}\ninclude:\n  - {train.optimizer: adam}\n"
            "zip: {train.momentum: [0.5]}\n",
            "7: include.0: names no level for train.momentum",
        ),
        (
            "grid: {train.optimizer: [sgd], train.momentum: [0.5]}\n"
            "include:\n  - {train.optimizer: adam, train.momentum: 0.5}\n",
            "7: include.0.train.momentum: has no effect with optimizer: adam; fix it",
        ),
    ],
)
def test_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'spec.yaml'}:{message}")


@pytest.mark.parametrize(
    ("text", "arms"),
    [
        # shared by all arms, and meant for some of them
        ("train: {momentum: 0.5}\ngrid: {train.optimizer: [adam, sgd]}\n", 2),
        ("train: {unfreeze_epoch: 3}\ngrid: {train.freeze: [none, encoder]}\n", 2),
        ("mistakes: [unpaired_masks]\ngrid: {augment: {none: [], flip: [hflip]}}\n", 2),
        # a default on an axis says nothing
        ("grid: {train.freeze: [none], train.freeze_statistics: [true]}\n", 1),
        ("zip: {train.optimizer: [adam, sgd], train.momentum: [0.9, 0.5]}\n", 2),
        (
            "grid: {train.freeze: [none, encoder], train.freeze_statistics: [true, false]}\n"
            "exclude: [{train.freeze: none, train.freeze_statistics: false}]\n",
            3,
        ),
        (
            "grid: {train.freeze: [none, encoder], train.freeze_statistics: [true, false]}\n"
            "exclude: [{train.freeze: none, train.freeze_statistics: true}]\n",
            3,
        ),
    ],
)
def test_allowed(text: str, arms: int, tmp_path: Path) -> None:
    found = planned(tmp_path, text)
    assert len(found.trials) == arms
    # also where one arm has a setting for the others: it comes back from its record
    assert [load_trial(trial_config(trial)) for trial in found.trials] == list(found.trials)


def test_where_nothing_is_frozen_held_and_moving_are_one_arm(tmp_path: Path) -> None:
    text = "grid: {train.freeze_statistics: [true, false]}\n"
    with pytest.raises(SpecError, match="same settings"):
        planned(tmp_path, text)
