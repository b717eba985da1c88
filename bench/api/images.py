"""What is taken for an image: a file's path, a PIL image, or (H, W, 3) uint8 values."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

ImageLike: TypeAlias = str | Path | npt.NDArray[np.uint8] | PIL.Image.Image
