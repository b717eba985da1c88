"""Which files are taken for images, by how their names end."""

from __future__ import annotations

from pathlib import Path

ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
"""Of files that are taken for images, in any case; what is in them decides how they are read."""
ARRAY_ENDINGS = (".npy", ".nii", ".nii.gz", ".dcm")
READABLE = (*ENDINGS, *ARRAY_ENDINGS)
"""Of files that can be read where a pattern, a table or annotations name them."""


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image: by its ending, hidden ones apart."""
    return Path(name).suffix.lower() in ENDINGS and not name.startswith(".")


def is_readable(name: str) -> bool:
    """Whether a file of this name can hold an image or an array; hidden ones do not count."""
    return name.lower().endswith(READABLE) and not name.startswith(".")
