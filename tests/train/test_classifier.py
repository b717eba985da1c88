"""An earlier trial's network as a feature extractor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import DataError
from bench.plan.expand import trial_config
from bench.record.files import write_yaml
from bench.train.classifier import load_classifier
from bench.train.session import build, train_trial
from tests.making import MemoryRecorder, Silent, make_trial

LEARNS_KINDS: dict[str, Any] = {
    "task": {"name": "classification"},
    "data": {"name": "shapes", "kinds": 2, "image_size": 32, "train": 12, "val": 4, "test": 4},
    "model": {"name": "resnet", "depth": 18, "width": 0.1},
    "train": {"epochs": 1, "batch_size": 6},
    "select": {"metric": "val/top1", "mode": "max"},
}


def test_it_gives_what_it_gave_in_its_trial(tmp_path: Path) -> None:
    trial, recorder = make_trial(**LEARNS_KINDS), MemoryRecorder(tmp_path)
    train_trial(trial, recorder, Silent())
    write_yaml(tmp_path / "config.yaml", trial_config(trial))
    parts = build(trial)
    parts.load(recorder.best)
    (batch,) = parts.batches("test").in_order()
    stored = torch.from_numpy(parts.data.splits["test"].images.copy()).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        found = load_classifier(str(tmp_path)).eval()(stored)
        torch.testing.assert_close(found, parts.model.eval()(batch.images))


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not the folder of a trial"):
        load_classifier(str(tmp_path))
    write_yaml(tmp_path / "config.yaml", trial_config(make_trial()))
    with pytest.raises(DataError, match="learnt segmentation"):
        load_classifier(str(tmp_path))
