"""The files of samples, how they are read, and what tells whether they have changed."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.base import Progress
from bench.data.fitting import Fit, Fitting, Size
from bench.data.mask_sources import MaskSource, MergedMasks
from bench.data.pages import AS_SEEN, MISSING, OF_THE_MACHINE, Opening, UnreadableError, one_line
from bench.data.window import Setting
from bench.errors import DataError


@dataclass(frozen=True)
class Pair:
    """One sample's files; `bands`: those of channels after the first, where each has its own;
    `plane`: which slice of a volume, from 0."""

    name: str
    image: Path
    mask: MaskSource
    bands: tuple[Path, ...] = ()
    plane: int | None = None

    @property
    def mask_file(self) -> Path:
        """Where the mask is described, for errors."""
        return self.mask if isinstance(self.mask, Path) else self.mask.file


@dataclass(frozen=True)
class Single:
    """One sample's only file, or the files of its channels."""

    name: str
    image: Path
    bands: tuple[Path, ...] = ()
    plane: int | None = None


@dataclass(frozen=True)
class Reading:
    """How the files of a data set are read.

    Attributes:
        root: the folder they are in; links lead nowhere else.
        size: height and width that every image gets, in pixels.
        skip: whether samples that cannot be read are left out, and named in `Arrays.skipped`.
        progress: called with how far it is.
        opening: orientation and pages.
        window: `data.window`: values of 32 bits need one to be stored.
        mixed: whether files of 8 and of 16 bits go together, each over its full range.
        follow_links: whether links may lead out of the root.
        channel_count: how many channels arrays get.
        fit: how images get their size; see `Fitting`.
    """

    root: Path
    size: Size
    skip: bool = False
    progress: Progress | None = None
    opening: Opening = AS_SEEN
    window: Setting = "auto"
    mixed: bool = False
    follow_links: bool = False
    channel_count: int = 3
    fit: Fit = "stretch"

    @property
    def fitting(self) -> Fitting:
        """How images get their size."""
        return Fitting(self.size, self.fit)


def _identity(file: Path, reading: Reading) -> list[str | int | None]:
    """What tells whether a file has changed."""
    try:
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            found = file.stat()
            check_link(file, reading.root, follow_links=reading.follow_links)
    except OSError as error:
        if reading.skip and error.errno not in OF_THE_MACHINE:
            return [file.name, None, None]
        raise UnreadableError(file, f"cannot be read ({error.strerror})", MISSING) from error
    return [file.name, found.st_size, found.st_mtime_ns]


def image_identity(sample: Pair | Single, reading: Reading) -> list[list[str | int | None]]:
    """What tells whether an image's files have changed."""
    return [_identity(file, reading) for file in (sample.image, *sample.bands)]


def mask_identity(pair: Pair, reading: Reading) -> list[Any]:
    """What tells whether a mask has changed."""
    if isinstance(pair.mask, Path):
        return list(_identity(pair.mask, reading))
    if isinstance(pair.mask, MergedMasks):
        return [_identity(file, reading) for file in pair.mask.files]
    return [pair.mask.image, pair.mask.digest]


def check_link(file: Path, root: Path, *, follow_links: bool = False) -> None:
    """Raise a DataError where a link leads neither into the data's root nor into its own folder."""
    if follow_links:
        return
    target = file.resolve()
    if not any(target.is_relative_to(folder.resolve()) for folder in (root, file.parent)):
        raise DataError(
            f"{one_line(file)}: is a link to {one_line(target)}, which is not in {root}: set "
            "`data.follow_links: true` if it is meant, copy the file there, or set data.root to a "
            "folder that holds both"
        )
