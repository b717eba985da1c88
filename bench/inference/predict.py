"""Predictions of a trained model, written to files: masks and overlays, or labels."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from torch import Tensor

from bench.atomic_files import replacing
from bench.data.endings import is_image
from bench.data.names import what_is_there
from bench.errors import BenchError, DataError
from bench.inference.ensemble import Predictor, predictor
from bench.inference.flips import Flips
from bench.inference.images import Image
from bench.record.files import write_text
from bench.record.store import Store
from bench.tasks.base import LabelsImages, Picture
from bench.tasks.custom_settings import CustomTask
from bench.tasks.palette import PALETTE
from bench.tasks.pictures import overlay
from bench.tasks.settings import TaskSettings
from bench.texts import formula_caution

SEPARATOR = "|"
"""Between the labels of one image."""


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
    probabilities: bool = False,
    flips: Flips = "none",
) -> Predicted:
    """Write what the trial's best checkpoint makes of each image; of a folder, of its images.

    Where `trial` is the beginning of the ids of one arm's folds, it is what these make together:
    the class of the greatest mean of their probabilities.

    Classification writes `predictions.csv` (file, label, probability), multi_label one with all
    predicted labels (file, labels, then the probability of each). Segmentation writes
    `<name>_mask.png` and `<name>_overlay.png` at the image's own size, turned as its EXIF
    orientation says; a mask's pixel values are the class numbers, its palette shows them in colour.
    With `probabilities` it also writes `<name>_probabilities.npy`, (K, H, W) float16, and
    classification has a column for each class. A task of one's own that learns no masks writes
    `<name>.npy`, what its `predict` gives. `flips`: the mean over mirrored images is taken.
    An image that cannot be read does not keep the others from being predicted.

    Raises:
        BenchError: the task has nothing to say of an image; there are none; results would overwrite
            each other.
    """
    names = _result_names(_files(images))
    model = predictor(store, trial, device, trust_code=trust_code, flips=flips)
    failed: list[str] = []

    def readable() -> Iterator[tuple[Path, list[Image]]]:
        for path in names:
            try:
                yield path, model.read(path)
            except DataError as error:
                failed.append(str(error))

    if isinstance(model.task, LabelsImages):
        every = probabilities or model.task_settings.target_form == "labels"
        table = out / "predictions.csv"
        written_labels, caution = _write_labels(model, model.task, readable(), table, every=every)
        return Predicted([table] if written_labels else [], failed, caution)
    custom = isinstance(model.task_settings, CustomTask) and model.task_settings.learns != "mask"
    written: list[Path] = []
    for path, image in readable():
        results = out / names[path]
        if custom:
            array = results.with_name(f"{results.name}.npy")
            written.append(_write_array(model.values(image), array))
            continue
        written += _segment(model, image, results)
        if probabilities:
            written.append(_write_probabilities(model, image, results))
    return Predicted(written, failed)


def _write_labels(
    model: Predictor,
    task: LabelsImages,
    images: Iterable[tuple[Path, list[Image]]],
    table: Path,
    *,
    every: bool,
) -> tuple[bool, str | None]:
    """Write the table of labels; whether there were images, and what to know before it is opened.

    `every`: with a column for each class.
    """
    rows = list(_labels(model, task, images, probabilities=every))
    if not rows:
        return False, None
    classes = task.classes if every else ()
    header = (*label_header(model.task_settings), *classes)
    _write_rows([("file", *header), *rows], table)
    return True, formula_caution([*classes, *(cell for row in rows for cell in row[:2])])


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


def _labels(
    model: Predictor,
    task: LabelsImages,
    images: Iterable[tuple[Path, list[Image]]],
    *,
    probabilities: bool,
) -> Iterator[tuple[str, ...]]:
    """File and predicted labels of each image, then the probabilities of all classes."""
    for path, image in images:
        chances = model.probabilities(image)
        every = [f"{chance:.6f}" for chance in chances.tolist()] if probabilities else []
        yield str(path), *label_cells(task, model.task_settings, chances), *every


def label_header(task: TaskSettings) -> tuple[str, ...]:
    """The columns of `label_cells`."""
    return ("labels",) if task.target_form == "labels" else ("label", "probability")


def label_cells(task: LabelsImages, settings: TaskSettings, chances: Tensor) -> tuple[str, ...]:
    """The label of an image and its probability; or all its labels, joined by `|`."""
    names = task.names_of(chances)
    if settings.target_form == "labels":
        return (SEPARATOR.join(names),)
    return names[0], f"{float(chances.max()):.6f}"


def _write_rows(rows: Sequence[tuple[str, ...]], path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def _segment(model: Predictor, image: Sequence[Image], results: Path) -> tuple[Path, Path]:
    """Write an image's mask and overlay."""
    labels = model.labels(image)
    mask, tinted = (results.with_name(f"{results.name}_{kind}.png") for kind in ("mask", "overlay"))
    write_mask(labels, mask)
    _write(PIL.Image.fromarray(overlay(image[0].shown, labels)), tinted)
    return mask, tinted


def _write_probabilities(model: Predictor, image: Sequence[Image], results: Path) -> Path:
    path = results.with_name(f"{results.name}_probabilities.npy")
    return _write_array(model.class_probabilities(image, np.float16), path)


def _write_array(values: npt.NDArray[Any], path: Path) -> Path:
    with replacing(path) as temporary, temporary.open("xb") as file:
        np.save(file, values, allow_pickle=False)
    return path


def write_mask(labels: Picture, path: Path) -> None:
    """Write (h, w) labels as a PNG whose palette shows them in colour."""
    mask = PIL.Image.fromarray(labels)
    mask.putpalette(PALETTE.flatten().tolist())
    _write(mask, path)


def _write(image: PIL.Image.Image, path: Path) -> None:
    with replacing(path) as temporary:
        image.save(temporary, "PNG")
