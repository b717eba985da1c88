"""A classifier that an earlier trial has trained, for its features."""

from __future__ import annotations

from pathlib import Path

import torch
from ruamel.yaml import YAML
from torch import nn

from bench.data.normalize import scale_and_offset
from bench.errors import DataError
from bench.models.settings import MODELS
from bench.plan.expand import load_trial
from bench.tasks.frechet import AsTrained
from bench.train import checkpoint


def load_classifier(folder: str) -> nn.Module:
    """The best network of the classification trial in `folder`, taking images in 0…1.

    Raises:
        DataError: there is no such trial, or it learnt something else.
        StoreError: its configuration or checkpoint cannot be read.
    """
    config = Path(folder) / "config.yaml"
    if not config.is_file():
        raise DataError(f"task.frechet.classifier: {folder} is not the folder of a trial")
    settings = load_trial(YAML(typ="safe").load(config)).settings
    if settings.task.name != "classification":
        raise DataError(
            f"task.frechet.classifier: {folder} learnt {settings.task.name}, not classification"
        )
    outputs = settings.task.out_channels(settings.classes)
    model: nn.Module = MODELS.build(settings.model, in_channels=3, out_channels=outputs)
    weights = checkpoint.load(Path(folder) / "best.pt", torch.device("cpu"))["model"]
    model.load_state_dict(weights)
    scale, offset = scale_and_offset(settings.data.normalize)
    return AsTrained(model, settings.data.image_size, [255 * factor for factor in scale], offset)
