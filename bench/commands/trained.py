"""`bench evaluate` and `bench predict`: using what a trial has learnt."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from bench.atomic_files import replacing
from bench.data.base import Images
from bench.data.decode import resized
from bench.data.names import is_image, what_is_there
from bench.data.pages import AS_SEEN, Opening, UnreadableError
from bench.data.pixels import Pixels, read_pixels
from bench.data.settings import FilesSettings
from bench.data.window import DEPTH, EIGHT_BITS, FULL, Kind, Window, encode, from_record
from bench.errors import BenchError, DataError, StoreError
from bench.plan.earlier import LOST_BEST
from bench.plan.expand import load_trial, refuse_foreign_code
from bench.plan.recorded import is_imported
from bench.record.confirm import checked_config, recorded_window
from bench.record.files import write_text
from bench.record.store import Store, TrialFiles
from bench.states import Status, how_to_finish
from bench.tasks.base import Picture
from bench.tasks.classification import Classification
from bench.tasks.palette import PALETTE
from bench.tasks.pictures import overlay
from bench.texts import formula_caution
from bench.train.trial_parts import TrialParts, build, predict, to_network_input


def evaluate(
    store: Store, trial: str, split: str, device: str, *, trust_code: bool = False
) -> dict[str, float | None]:
    """The metrics of the trial's best checkpoint on `train`, `val` or `test`; None: no score.

    Parts that are code of somebody's own (`target:`) are built with `trust_code` only.
    """
    if split not in ("train", "val", "test"):
        raise BenchError(f"--split {split}: use train, val or test")
    files = store.find(trial)
    return score(files, trained_parts(files, device, trust_code=trust_code), split)


def score(files: TrialFiles, parts: TrialParts, split: str) -> dict[str, float | None]:
    """The metrics of the model as it is; says so where the data are not those of the record."""
    if files.summary().get("data_fingerprint") not in (None, parts.data.fingerprint):
        note = (
            "was trained on other data than data.root holds now, or an earlier version read them "
            "otherwise: these scores do not compare with its recorded ones"
        )
        print(f"{files.folder}: {note}", file=sys.stderr, flush=True)
    return parts.score(split).metrics


@dataclass(frozen=True)
class Predicted:
    """What `predict_files` did.

    Attributes:
        written: the files that were written.
        failed: a line for each image that could not be read.
        caution: what to know before a spreadsheet opens them.
    """

    written: list[Path]
    failed: list[str]
    caution: str | None = None


def predict_files(
    store: Store,
    trial: str,
    images: Sequence[Path],
    out: Path,
    device: str,
    *,
    trust_code: bool = False,
) -> Predicted:
    """Write what the trial's best checkpoint makes of each image; of a folder, of its images.

    Classification writes `predictions.csv` (file, label, probability). Segmentation writes
    `<name>_mask.png` and `<name>_overlay.png` at the image's own size, turned as its EXIF
    orientation says; a mask's pixel values are the class numbers, its palette shows them in colour.
    An image that cannot be read does not keep the others from being predicted.

    Raises:
        BenchError: the task has nothing to say of an image; there are none; results would overwrite
            each other.
    """
    names = _result_names(_files(images))
    parts = trained_parts(store.find(trial), device, trust_code=trust_code)
    reader = ImageReader(parts)
    failed: list[str] = []

    def readable() -> Iterator[tuple[Path, Image]]:
        for path in names:
            try:
                yield path, reader.read(path)
            except DataError as error:
                failed.append(str(error))

    if isinstance(parts.task, Classification):
        rows = list(_labels(parts, parts.task, readable()))
        if not rows:
            return Predicted([], failed)
        _write_rows(rows, out / "predictions.csv")
        caution = formula_caution(cell for file, label, _ in rows for cell in (file, label))
        return Predicted([out / "predictions.csv"], failed, caution)
    written = [
        file for path, image in readable() for file in _segment(parts, image, out / names[path])
    ]
    return Predicted(written, failed)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The image files, those in a folder for the folder."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if is_image(file.name) and file.is_file())
        if not inside:
            raise DataError(f"{path}: has no images{what_is_there(path)}: name image files")
        found += inside
    return list(dict.fromkeys(found))


def _result_names(images: Sequence[Path]) -> dict[Path, str]:
    """What each image's results are called: its name, with its ending where two differ by it only.

    Raises:
        BenchError: two images have the same name in two folders.
    """
    stems = Counter(path.stem for path in images)
    names = {p: p.stem if stems[p.stem] == 1 else p.name.replace(".", "_") for p in images}
    seen: dict[str, Path] = {}
    for path, name in names.items():
        if (first := seen.setdefault(name, path)) is not path:
            raise BenchError(f"{first} and {path} would have the same results: predict one by one")
    return names


class Image(NamedTuple):
    """An image to be predicted.

    Attributes:
        entering: (1, size, size, 3) as the trial's data set stores images, at its size.
        window: which of these values are 0 and 1.
        shown: (H, W, 3) uint8, as a viewer shows it.
    """

    to_network_input: Images
    window: Window
    shown: Picture


Pixels8 = npt.NDArray[np.uint8]


class ImageReader:
    """Reads images as the trial's own were read."""

    def __init__(self, parts: TrialParts) -> None:
        data = parts.trial.settings.data
        self._size = data.image_size
        self._opening = AS_SEEN
        if isinstance(data, FilesSettings):
            self._opening = Opening(data.exif, data.page)
        self._window = parts.window or EIGHT_BITS

    def of_values(self, values: Pixels8) -> Image:
        """An image that is in memory, (H, W, 3) uint8.

        Raises:
            DataError: it is something else, or the trial was trained on deeper images.
        """
        if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3 or not values.size:
            found = f"{values.dtype} {values.shape}"
            raise DataError(f"an image in memory has (H, W, 3) uint8 values, not {found}")
        if self._window.kind != "uint8":
            raise DataError(
                f"the trial was trained on {self._window.kind} values: predict from files, whose "
                "depth is known"
            )
        return Image(resized(values, self._size)[None], self._window, values)

    def read(self, path: Path) -> Image:
        """The image of a file.

        Raises:
            DataError: it cannot be read, or stores its values in a way that says nothing of those
                that the trial was trained on.
        """
        pixels = read_pixels(path, self._opening)
        window = self._window_for(pixels, path)
        if pixels.facts.kind == "uint8" and self._window.kind == "uint8":
            return Image(resized(pixels.values, self._size)[None], window, pixels.values)
        kind: Kind = "uint8" if self._window.kind == "uint8" else "uint16"
        values = pixels.values.astype(np.float64)
        small, whole = (
            np.broadcast_to(stored, (*stored.shape[:2], 3))
            for stored in (
                encode(resized(values, self._size), kind, window),
                encode(values, kind, window),
            )
        )
        return Image(small[None], self._window, self._window.picture(whole))

    def _window_for(self, pixels: Pixels, path: Path) -> Window:
        """How the file's values become those of the trial's arrays."""
        facts, trained = pixels.facts, self._window
        if facts.kind == trained.kind or (facts.kind == "int32" and trained.kind == "uint16"):
            return trained
        if facts.kind in FULL and (trained.kind == "uint8" or trained.origin == "full"):
            # each type's whole range stands for the other's
            least, most = FULL[facts.kind]
            low, high = trained.limits if trained.kind == "uint8" else (0, DEPTH)
            scale = 255 if trained.kind == "uint8" else DEPTH
            return Window(low, high, facts.kind, "full", least, (most - least) / scale)
        raise UnreadableError(
            path,
            f"stores {facts.kind} values ({facts.low:g} to {facts.high:g}), the trial was trained "
            f"on {trained.kind} ones from {trained.low:g} to {trained.high:g}",
            "predict images of the same kind",
        )


def _labels(
    parts: TrialParts, task: Classification, images: Iterable[tuple[Path, Image]]
) -> Iterator[tuple[str, str, str]]:
    """File, most probable label and its probability of each image."""
    parts.model.eval()
    for path, image in images:
        with torch.inference_mode(), parts.precision().autocast():
            batch = to_network_input(parts, image.to_network_input, image.window)
            probability, label = task.probabilities(parts.model, batch).max(1)
        yield str(path), task.classes[int(label)], f"{float(probability):.6f}"


def _write_rows(rows: Sequence[tuple[str, str, str]], path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "label", "probability"), *rows])
    write_text(path, text.getvalue())


def _segment(parts: TrialParts, image: Image, results: Path) -> tuple[Path, Path]:
    """Write an image's mask and overlay."""
    height, width = image.shown.shape[:2]
    labels = predict(parts, image.to_network_input, (height, width), image.window)[0]
    mask, tinted = (results.with_name(f"{results.name}_{kind}.png") for kind in ("mask", "overlay"))
    _write_mask(labels, mask)
    _write(PIL.Image.fromarray(overlay(image.shown, labels)), tinted)
    return mask, tinted


def trained_parts(files: TrialFiles, device: str, *, trust_code: bool) -> TrialParts:
    """The trial's parts with its best weights, wherever it was trained.

    Raises:
        StoreError: there are none, or they are another trial's; or parts are code of somebody's
            own (`target:`), and it is not trusted.
    """
    if is_imported(config := checked_config(files)):
        raise StoreError(
            f"{files.folder}: was imported from {config['source']} and has a history only, no "
            "model: `bench run` a spec that trains it"
        )
    if not files.best.exists():
        status = files.status().status
        raise StoreError(
            f"{files.folder}: {LOST_BEST}"
            if status is Status.DONE
            else f"{files.folder}: has no best.pt and is {status}: {how_to_finish(status)}"
        )
    trial = load_trial(config)
    if not trust_code:
        refuse_foreign_code(str(files.folder), trial.settings)
    machine = trial.settings.machine.model_copy(update={"device": device, "placement": "auto"})
    settings = trial.settings.model_copy(update={"machine": machine})
    window = from_record(recorded_window(files))
    parts = replace(build(replace(trial, settings=settings)), window=window)
    parts.load(files.best)
    return parts


def _write_mask(labels: Picture, path: Path) -> None:
    mask = PIL.Image.fromarray(labels)
    mask.putpalette(PALETTE.flatten().tolist())
    _write(mask, path)


def _write(image: PIL.Image.Image, path: Path) -> None:
    with replacing(path) as temporary:
        image.save(temporary, "PNG")
