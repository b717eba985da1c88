"""Out-of-fold predictions: of each image, by the model that was not trained on it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from bench.data.base import Split
from bench.data.fitting import Region
from bench.errors import BenchError, StoreError
from bench.inference.ensemble import Predictor, fold_members
from bench.inference.images import Image
from bench.inference.predict import SEPARATOR, Predicted, label_cells, write_mask
from bench.inference.trained import trained_parts
from bench.record.files import write_text
from bench.record.store import Store, TrialFiles
from bench.tasks.base import LabelsImages
from bench.texts import formula_caution
from bench.train.trial_parts import TrialParts, to_network_input

TABLE = "out_of_fold.csv"


def predict_out_of_fold(
    store: Store, name: str, out: Path, device: str, *, trust_code: bool = False
) -> Predicted:
    """Write what the folds of an arm predict for the images that they were not trained on.

    Segmentation writes `s<seed>/<image>.png`, a mask at the size of the image's file (of data
    without files, of the network's images) whose pixel values are the class numbers. Every task
    writes `out_of_fold.csv`: image, seed, fold and trial; of classification also the label, the
    predicted one and its probability; of several labels all of them and the predicted ones.

    Raises:
        BenchError: the trial is of no fold, folds are missing, the data have changed, …
    """
    members = fold_members(store, name)
    if members[0].config().get("fold") is None:
        raise BenchError(f"--out-of-fold: {members[0].folder}: is no trial of cross-validation")
    written: list[Path] = []
    rows: list[tuple[str, ...]] = []
    for files in members:
        parts = trained_parts(files, device, trust_code=trust_code)
        _refuse_changed_data(files, parts)
        rows += _predicted(files, parts, out, written)
    labels = {_FIXED: (), _FIXED + 2: _OF_SEVERAL, _FIXED + 3: _OF_LABELS}[len(rows[0])]
    header = ("image", "seed", "fold", "trial", *labels)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(out / TABLE, text.getvalue())
    return Predicted([out / TABLE, *written], [], formula_caution(row[0] for row in rows))


_FIXED = 4
_OF_LABELS = ("label", "prediction", "probability")
_OF_SEVERAL = ("labels", "predictions")


def _refuse_changed_data(files: TrialFiles, parts: TrialParts) -> None:
    if files.summary().get("data_fingerprint") not in (None, parts.data.fingerprint):
        raise StoreError(
            f"{files.folder}: was trained on other data than data.root holds now, of which it may "
            "have seen any: put the data back"
        )


def _predicted(
    files: TrialFiles, parts: TrialParts, out: Path, written: list[Path]
) -> Iterator[tuple[str, ...]]:
    """A row for each image of the trial's fold; masks are written on the way."""
    val, trial = parts.data.splits["val"], parts.trial
    parts.model.eval()
    for place, name in enumerate(val.names):
        row = (name, str(trial.seed), str(trial.fold), files.id)
        images = val.images[place : place + 1]
        if isinstance(parts.task, LabelsImages):
            with torch.inference_mode(), parts.precision().autocast():
                batch = to_network_input(parts, images, parts.data.window)
                (chances,) = parts.task.probabilities(parts.model, batch)
            cells = label_cells(parts.task, trial.settings.task, chances)
            yield (*row, _truth(val, place, parts.task.classes), *cells)
            continue
        path = out / f"s{trial.seed}" / _file_name(name)
        write_mask(Predictor([parts]).labels([_seen(parts, val, place)]), path)
        written.append(path)
        yield row


def _truth(split: Split, place: int, classes: Sequence[str]) -> str:
    """The name of an image's label, or those of its labels."""
    if split.labels is None:
        return ""
    own = split.labels[place]
    if own.ndim == 0:
        return classes[int(own)]
    return SEPARATOR.join(name for name, label in zip(classes, own, strict=True) if label == 1)


def _seen(parts: TrialParts, split: Split, place: int) -> Image:
    """An image of the data set as the network sees it, which is shown to nobody."""
    values, data = split.images[place : place + 1], parts.trial.settings.data
    if parts.sees_all and parts.data.originals is not None:
        values = parts.data.originals.image(split.names[place])
    height, width = values.shape[1:3]
    size, region = (height, width), Region(0, 0, height, width)
    if split.facts:  # else it has no file, hence no other size
        size = split.facts[place].size(getattr(data, "exif", "apply"))
        region = region if parts.sees_all else data.fitting.region(*size)
    return Image(values, parts.data.window, np.broadcast_to(np.uint8(0), (*size, 3)), region)


def _file_name(name: str) -> str:
    """The image's name as that of a file inside the folder; `class/name` is in a folder."""
    parts: Sequence[str] = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise BenchError(f"the image {name!r} names no file inside a folder")
    return f"{'/'.join(parts)}.png"
