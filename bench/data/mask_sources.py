"""What an image's mask is made of: a file, several files, or outlines that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.coco import AnnotatedMask


@dataclass(frozen=True)
class MergedMasks:
    """Masks of single objects of one image: a pixel has the greatest of their values."""

    files: tuple[Path, ...]

    @property
    def file(self) -> Path:
        """One of them, for errors."""
        return self.files[0]


MaskSource = Path | AnnotatedMask | MergedMasks


def files_of(source: MaskSource) -> tuple[Path, ...]:
    """The files of a mask that have its values; of outlines none."""
    if isinstance(source, Path):
        return (source,)
    return source.files if isinstance(source, MergedMasks) else ()
