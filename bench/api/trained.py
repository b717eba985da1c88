"""A trained model with what it needs to be used: imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch

from bench.api.images import ImageLike
from bench.api.predicted import predicted
from bench.errors import BenchError
from bench.inference.ensemble import Predictor
from bench.inference.images import Image, ImageReader
from bench.inference.trained import score, trained_parts
from bench.record.trial_files import TrialFiles
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
        return predicted(Predictor([self.parts]), [self.read(image)])

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
