"""Oxford-IIIT Pet (Parkhi, Vedaldi, Zisserman, Jawahar 2012), through torchvision's own class."""

from __future__ import annotations

import http.client
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from bench.data.assemble import Labelling, Names, assemble, check_names
from bench.data.base import Progress, Splits
from bench.data.decode import load_pairs
from bench.data.fitting import as_size
from bench.data.locks import alone
from bench.data.masks import Labels, MaskReading
from bench.data.pages import Opening
from bench.data.sample_files import Pair, Reading
from bench.data.setting_types import Border, Exif, Normalize, OnError, WindowSetting
from bench.data.settings import BREEDS
from bench.errors import DataError, NotDownloadedError
from bench.labels import IGNORE_LABEL

FOLDER = "oxford-iiit-pet"
FULL_COUNTS = {"train": 3312, "val": 368, "test": 3669}
_ANIMAL, _BACKGROUND, _BORDER = 1, 2, 3
_BORDER_LABEL = {"foreground": 1, "ignore": IGNORE_LABEL, "background": 0}


@dataclass(frozen=True, kw_only=True)
class OxfordPet:
    """Pets and their trimaps; the settings are described in `OxfordPetSettings`.

    Some of the set's `.jpg` files are PNG (with alpha), GIF or BMP: files are read by content.
    """

    root: str
    download: bool
    image_size: int | tuple[int, int]
    normalize: Normalize
    border: Border
    on_error: OnError
    exif: Exif = "apply"
    page: int | None = None
    window: WindowSetting = "auto"

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Find (or download) the files and decode them once.

        Raises:
            DataError: the data set is not there, not whole, or cannot be downloaded.
        """
        root = Path(self.root).expanduser()
        if self.download and not _is_there(root):
            fetch(root)
        if not _is_there(root):
            raise _missing(root)
        (trainval, breeds), (test, others) = (_listed(root, s) for s in ("trainval", "test"))
        train, val = split_trainval(tuple(trainval))
        names = {"train": train, "val": val, "test": tuple(test)}
        check_names(
            names,
            source=str(root / FOLDER / "annotations"),
            remedy="trainval.txt needs at least two names and test.txt one",
        )
        pairs = trainval | test
        wanted = [pairs[name] for members in names.values() for name in members]
        opening, skip = Opening(self.exif, self.page), self.on_error == "skip"
        reading = Reading(root, as_size(self.image_size), skip, progress, opening, self.window)
        arrays = load_pairs(wanted, self._labels(opening), reading)
        labelling = Labelling(BREEDS, breeds | others)
        notes = _notes(names, labelling)
        return assemble(
            arrays, names, ("background", "foreground"), notes, labelling, self.window, opening
        )

    def _labels(self, opening: Opening) -> Labels:
        classes = {_ANIMAL: 1, _BACKGROUND: 0, _BORDER: _BORDER_LABEL[self.border]}
        remedy = "a trimap has 1 (animal), 2 (background), 3 (border): replace it"
        return Labels(classes, remedy, reading=MaskReading(opening))


def split_trainval(names: Names) -> tuple[Names, Names]:
    """`trainval.txt` in file order → (train, val): every index i with i % 10 == 0 is validation."""
    return tuple(name for i, name in enumerate(names) if i % 10), names[::10]


def fetch(root: Path) -> None:
    """Download the data set (800 MB) into `root`, whole or not at all.

    An archive that has arrived is kept until all have, so a second try goes on from there.

    Raises:
        DataError: no network, no space, or a damaged download.
    """
    from torchvision.datasets import OxfordIIITPet

    part = root / f".{FOLDER}.part"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with alone(root / f".{FOLDER}.lock"):
            if _is_there(root):
                return
            # An interrupted unpacking looks finished to torchvision; archives it checks itself.
            for name in ("images", "annotations"):
                shutil.rmtree(part / FOLDER / name, ignore_errors=True)
            OxfordIIITPet(part, target_types="segmentation", download=True)
            _adopt(part / FOLDER, root / FOLDER)
            shutil.rmtree(part)
    except (
        OSError, EOFError, RuntimeError, http.client.HTTPException, tarfile.TarError, zlib.error
    ) as error:  # fmt: skip
        raise DataError(
            f"{root}: Oxford-IIIT Pet cannot be downloaded ({error}): run the same command again "
            f"to go on, or unpack images.tar.gz and annotations.tar.gz into {root / FOLDER} "
            "yourself and set data.download=false"
        ) from error


def _adopt(source: Path, target: Path) -> None:
    """Move what `target` lacks from `source`."""
    target.mkdir(exist_ok=True)
    for name in ("images", "annotations"):
        if not (target / name).exists():
            (source / name).rename(target / name)


def _is_there(root: Path) -> bool:
    annotations = root / FOLDER / "annotations"
    lists = all((annotations / f"{split}.txt").is_file() for split in ("trainval", "test"))
    return lists and (annotations / "trimaps").is_dir() and (root / FOLDER / "images").is_dir()


def _missing(root: Path) -> NotDownloadedError:
    hint = f" (data.root is the folder that holds {FOLDER}/)" if root.name == FOLDER else ""
    return NotDownloadedError(
        f"{root / FOLDER}: no Oxford-IIIT Pet there: put images/ and annotations/ (with "
        "trainval.txt, test.txt and trimaps/) into it, or set data.root to the folder that "
        f"contains {FOLDER}/{hint}, or data.download=true to fetch it (800 MB)"
    )


def _listed(root: Path, split: str) -> tuple[dict[str, Pair], dict[str, int]]:
    """The files and breeds of `trainval` or `test` by name, in the list's order."""
    # The import takes seconds where torchvision is not loaded yet.
    from torchvision.datasets import OxfordIIITPet

    listed = root / FOLDER / "annotations" / f"{split}.txt"
    try:
        found = OxfordIIITPet(root, split=split, target_types="segmentation", download=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{listed}: cannot be read ({error}): every line is `name class species breed`"
        ) from error
    files = zip(found._images, found._segs, strict=True)
    pairs = [Pair(image.stem, Path(image), Path(mask)) for image, mask in files]
    images = root / FOLDER / "images"
    for pair in pairs:
        if pair.image.parent != images:
            raise DataError(f"{listed}: a name leads to {pair.image}: names have no folders")
    by_name = {pair.name: pair for pair in pairs}
    if len(by_name) < len(pairs):
        raise DataError(f"{listed}: a name appears twice: list it once")
    breeds = dict(zip(by_name, found._labels, strict=True))
    for name, breed in breeds.items():
        if breed not in range(len(BREEDS)):
            raise DataError(
                f"{listed}: {name} is of class {breed + 1}: the second word of a line is the "
                f"breed, 1 to {len(BREEDS)}"
            )
    return by_name, breeds


def _notes(names: dict[str, Names], labelling: Labelling) -> Names:
    notes: Names = ()
    train, val, test = (len(names[split]) for split in FULL_COUNTS)
    if (train, val, test) != tuple(FULL_COUNTS.values()):
        notes += (
            f"a part of the data set: {train:,} training, {val:,} validation, {test:,} test images "
            "of {train:,} / {val:,} / {test:,}".format(**FULL_COUNTS),
        )
    occurring = sorted({labelling.of[name] for name in names["train"]})
    if len(occurring) < len(BREEDS):
        notes += (f"{len(occurring)} of {len(BREEDS)} breeds occur in training",)
    return notes
