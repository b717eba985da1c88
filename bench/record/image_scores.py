"""The files of a trial's scores by image, and what is checked before they count.

`scores/index.json` says what the arrays in its folder are; `val.npy` and `test.npy` are (2, images,
metrics) float32, with the weights of the selected and of the last epoch; `val_epochs.npy` is
(epochs, images) float16. Names and groups of images lie once in the experiment's folder, in a file
whose name has their hash: images of equal hashes are the same ones, in the same order.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.atomic_files import replacing
from bench.errors import DamagedError, StoreError
from bench.image_scores import ImageScores, SelectedAndLast, SplitImages, TrialScores
from bench.metric_columns import final_val, on_test
from bench.plan.recorded import identity_hash
from bench.record.columns import IMAGES_HASH, SCORES_DIGEST
from bench.record.files import damaged, read_json, remove_leftovers, write_json
from bench.record.score_files import BYTES, SPLITS, VAL_EPOCHS, read_index
from bench.record.trial_files import TrialFiles
from bench.safe_files import open_plain, refuse_link_out

Array = npt.NDArray[Any]

BY_TRAINING, BY_EVALUATE = "training", "evaluate"
"""Who wrote the scores: the trial itself, or `bench evaluate --scores` from its best weights."""
TOLERANCE = {BY_TRAINING: 1e-5, BY_EVALUATE: 2e-3}
"""By how much the mean over images may differ from the recorded figure: another machine's sums, and
a pixel at the border of two classes, come out otherwise.
"""
_MOST_BYTES = 1 << 31  # an array as large has been made up
_HASH_DIGITS = 16


def write_scores(
    files: TrialFiles, scores: TrialScores, made_by: str = BY_TRAINING
) -> dict[str, str]:
    """Write a trial's scores; what its summary says of them: `images_hash`, `scores_digest`.

    Killed in between, some files are old and some new: the index is written last, and its digest is
    that of all arrays.

    Raises:
        UnwritableError: the folder is read-only, the disk is full, …
        StoreError: the folder is a link out of the trial's.
    """
    refuse_link_out(files.scores, files.folder)
    arrays = {name: _stacked(split) for name, split in scores.splits.items()}
    if scores.val_epochs is not None:
        arrays[VAL_EPOCHS] = scores.val_epochs
    images = write_images(files, scores.images)
    for name, array in arrays.items():
        _write_array(files.scores / f"{name}.npy", array)
    for name in {*SPLITS, VAL_EPOCHS} - set(arrays):
        (files.scores / f"{name}.npy").unlink(missing_ok=True)
    index = {
        "made_by": made_by,
        "metric": scores.metric,
        "epochs": {"selected": scores.selected_epoch, "last": scores.last_epoch},
        IMAGES_HASH: images,
        "splits": {name: _described(split) for name, split in scores.splits.items()},
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
    }
    digest = _digest(files, index, arrays)
    write_json(files.scores / "index.json", index | {"digest": digest})
    remove_leftovers(files.scores)
    return {IMAGES_HASH: images, SCORES_DIGEST: digest}


def read_scores(files: TrialFiles, summary: Mapping[str, Any]) -> TrialScores | None:
    """A trial's scores by image, without the images' names (`read_images`); None: it has none.

    Args:
        files: the trial's.
        summary: of its record, confirmed.

    Raises:
        StoreError: they are not those that the trial or `evaluate` wrote, or do not fit its record.
    """
    index = read_index(files)
    if index is None:
        if SCORES_DIGEST in summary:
            raise _damaged_scores(files.scores / "index.json", "there is no such file")
        return None
    try:
        arrays = {
            name: _read_array(files.scores / f"{name}.npy", tuple(shape), _dtype(name))
            for name, shape in index["shapes"].items()
        }
        found = TrialScores(
            str(index["metric"]),
            int(index["epochs"]["selected"]),
            int(index["epochs"]["last"]),
            {
                name: _unstacked(arrays[name], described)
                for name, described in index["splits"].items()
            },
            {},
            arrays.get(VAL_EPOCHS),
            str(index[IMAGES_HASH]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_scores(files.scores / "index.json", error) from error
    _check(files, index, arrays, found, summary)
    return found


def images_hash(images: Mapping[str, SplitImages]) -> str:
    """Of the names and groups of all splits' images, in their order."""
    text = json.dumps(_plain(images), sort_keys=True, ensure_ascii=True)
    return sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def write_images(files: TrialFiles, images: Mapping[str, SplitImages]) -> str:
    """Keep the names of an experiment's images, once for all its trials; their hash."""
    found = images_hash(images)
    path = files.images_path(found)
    try:
        known = read_images(files, found)
    except StoreError:
        known = None  # damaged: it is written anew
    if known is None:
        write_json(path, {"splits": _plain(images)})
    return found


def read_images(files: TrialFiles, hashed: str) -> dict[str, SplitImages] | None:
    """The images that a trial's scores are of, by split; None where there is no such file.

    Raises:
        StoreError: the file is not what its name says, or is a link.
    """
    if not (len(hashed) == _HASH_DIGITS and hashed.isalnum()):
        raise StoreError(f"{files.folder}: {hashed!r} names no images")
    path = files.images_path(hashed)
    record = read_json(path)
    if record is None:
        return None
    try:
        found = {
            str(split): SplitImages(tuple(entry["names"]), tuple(entry.get("groups", ())))
            for split, entry in record["splits"].items()
        }
        same = images_hash(found) == hashed
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_scores(path, error) from error
    if not same:
        raise _damaged_scores(path, "its images are not those that its name has the hash of")
    return found


def _check(
    files: TrialFiles,
    index: Mapping[str, Any],
    arrays: Mapping[str, Array],
    found: TrialScores,
    summary: Mapping[str, Any],
) -> None:
    """Refuse scores that were changed, are another trial's, or contradict the trial's figures."""
    path, digest = files.scores / "index.json", _digest(files, index, arrays)
    if index.get("digest") != digest:
        raise _damaged_scores(path, "the scores are not as they were written, or another trial's")
    made_by = index.get("made_by")
    if made_by not in TOLERANCE:
        raise _damaged_scores(path, f"its made_by is {made_by!r}")
    if made_by == BY_TRAINING and summary.get(SCORES_DIGEST) != digest:
        raise _damaged_scores(path, "the scores are not those that summary.json was written with")
    for column, value in mean_figures(found).items():
        recorded = summary.get(column)
        if isinstance(recorded, int | float) and abs(recorded - value) > TOLERANCE[made_by] * (
            1 + abs(recorded)
        ):
            raise _damaged_scores(
                path,
                f"the mean over images gives {column} {value:.6g}, summary.json {recorded:.6g}",
            )


def mean_figures(scores: TrialScores) -> dict[str, float]:
    """Columns of runs.csv that are means over images, from these; undefined ones are left out."""
    found: dict[str, float] = {}
    for split, column, pair in (("test", on_test, 0), ("val", final_val, 1)):
        both = scores.splits.get(split)
        each = None if both is None else (both.selected, both.last)[pair]
        for metric in () if each is None else each.metrics:
            assert each is not None
            if metric in each.means:
                values = each.values[:, each.metrics.index(metric)].astype(np.float64)
                known = values[~np.isnan(values)]
                if len(known) and np.isfinite(known).all():
                    found[column(metric)] = float(known.mean())
    return found


def _described(split: SelectedAndLast) -> dict[str, Any]:
    return {
        "metrics": list(split.selected.metrics),
        "means": sorted(split.selected.means),
        "last_known": split.last is not None,
    }


def _stacked(split: SelectedAndLast) -> Array:
    last = split.selected.missing if split.last is None else split.last
    return np.stack([split.selected.values, last.values])


def _unstacked(array: Array, described: Mapping[str, Any]) -> SelectedAndLast:
    metrics, means = tuple(map(str, described["metrics"])), frozenset(map(str, described["means"]))
    if array.ndim != 3 or len(array) != 2 or array.shape[2] != len(metrics):
        raise ValueError(f"an array of {array.shape} for {len(metrics)} metrics")
    selected, last = (ImageScores(metrics, part, means) for part in array)
    return SelectedAndLast(selected, last if described["last_known"] else None)


def _dtype(name: str) -> np.dtype[Any]:
    if name not in BYTES:
        raise ValueError(f"no scores are called {name!r}")
    return np.dtype(f"<f{BYTES[name]}")


def _digest(files: TrialFiles, index: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Of the index and of the arrays' values, and of the trial that they are of."""
    content = {k: v for k, v in index.items() if k != "digest"}
    found = sha256(json.dumps([identity_hash(files.id), content], sort_keys=True).encode())
    for name in sorted(arrays):
        found.update(np.ascontiguousarray(arrays[name], _dtype(name)).tobytes())
    return found.hexdigest()[:_HASH_DIGITS]


def _write_array(path: Path, array: Array) -> None:
    with replacing(path) as temporary, temporary.open("xb") as file:
        np.lib.format.write_array(
            file, np.ascontiguousarray(array, _dtype(path.stem)), version=(1, 0), allow_pickle=False
        )


def _read_array(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """The array of a `.npy` file, whose size is checked before memory is asked for."""
    size = math.prod(shape) * kind.itemsize
    if not 0 <= size <= _MOST_BYTES:
        raise _damaged_scores(path, f"its index gives it a shape of {shape}")
    try:
        with open_plain(path) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("another version of the format")
            found, by_column, stored = np.lib.format.read_array_header_1_0(file)
            left = os.fstat(file.fileno()).st_size - file.tell()
            if (found, by_column, stored, left) != (shape, False, kind, size):
                raise ValueError(f"{found} of {stored}, not {shape} of {kind}")
            return np.frombuffer(file.read(size), kind).reshape(shape)
    except FileNotFoundError:
        raise _damaged_scores(path, "there is no such file") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}): check its owner") from error
    except (ValueError, EOFError, SyntaxError) as error:
        raise _damaged_scores(path, error) from error


def _plain(images: Mapping[str, SplitImages]) -> dict[str, Any]:
    """As JSON has it: bytes of file names that are no text are escaped."""

    def texts(names: tuple[str, ...]) -> list[str]:
        return [name.encode(errors="backslashreplace").decode() for name in names]

    return {
        split: {"names": texts(each.names)}
        | ({"groups": texts(each.groups)} if each.groups else {})
        for split, each in images.items()
    }


def _damaged_scores(path: Path, reason: object) -> DamagedError:
    return damaged(
        path,
        reason,
        "delete scores/ there, and `bench run` its spec or `bench evaluate --scores` makes it anew",
    )
