"""What models make of an image, as a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.inference.ensemble import Predictor
from bench.inference.images import Image
from bench.tasks.base import LabelsImages
from bench.tasks.custom_settings import CustomTask


def predicted(model: Predictor, image: Sequence[Image]) -> Any:
    """Class numbers (H, W) at the image's size, or the probabilities of labels by name.

    Of a task of one's own that learns no masks: what its `predict` gives.
    """
    if isinstance(model.task, LabelsImages):
        shares = model.probabilities(image).cpu().numpy()
        return pd.Series(shares, index=list(model.task.classes), name="probability")
    settings = model.task_settings
    own = isinstance(settings, CustomTask) and settings.learns != "mask"
    return model.values(image) if own else model.labels(image)
