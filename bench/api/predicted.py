"""What models make of an image, as a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.inference.ensemble import Predictor
from bench.inference.images import Image
from bench.tasks.base import LabelsImages


def predicted(model: Predictor, image: Sequence[Image]) -> Any:
    """Class numbers (H, W) at the image's size, or the probabilities of labels by name."""
    if not isinstance(model.task, LabelsImages):
        return model.labels(image)
    shares = model.probabilities(image).cpu().numpy()
    return pd.Series(shares, index=list(model.task.classes), name="probability")
