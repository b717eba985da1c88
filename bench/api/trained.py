"""A trained model with what it needs to be used: imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageOps
import torch

from bench.api.images import ImageLike
from bench.errors import BenchError
from bench.inference.images import Image, ImageReader, labels_of
from bench.inference.trained import score, trained_parts
from bench.record.trial_files import TrialFiles
from bench.tasks.classification import Classification
from bench.train.trial_parts import TrialParts, to_network_input


class Trained:
    """A trial's model with its best weights.

    Raises:
        BenchError: there are none, or its code is not trusted.
    """

    def __init__(self, files: TrialFiles, device: str, *, trust_code: bool) -> None:
        self.files = files
        self.parts: TrialParts = trained_parts(files, device, trust_code=trust_code)
        self._reader = ImageReader(self.parts)

    def network_input(self, image: ImageLike) -> torch.Tensor:
        """(1, C, H, W), as the model takes it."""
        read = self.read(image)
        return to_network_input(self.parts, read.values, read.window)

    def predict(self, image: ImageLike) -> Any:
        """Class numbers (H, W) at the image's size, or probabilities by class."""
        read, task = self.read(image), self.parts.task
        if not isinstance(task, Classification):
            return labels_of(self.parts, read)
        self.parts.model.eval()
        with torch.inference_mode(), self.parts.precision().autocast():
            batch = to_network_input(self.parts, read.values, read.window)
            found = task.probabilities(self.parts.model, batch)[0].cpu().numpy()
        return pd.Series(found, index=list(task.classes), name="probability")

    def score(self, split: str) -> dict[str, float | None]:
        """The metrics on one split."""
        if split not in ("train", "val", "test"):
            raise BenchError(f"split {split!r}: use train, val or test")
        if split not in self.parts.data.splits:
            raise BenchError(f"split {split!r}: there is none with data.folds.of: all")
        return score(self.files, self.parts, split)

    def read(self, image: ImageLike) -> Image:
        """An image as the trial's own were read."""
        if isinstance(image, str | Path):
            return self._reader.read(Path(image))
        if isinstance(image, PIL.Image.Image):
            image = np.array(PIL.ImageOps.exif_transpose(image).convert("RGB"))
        return self._reader.of_values(np.array(image))  # a copy, which may be written to
