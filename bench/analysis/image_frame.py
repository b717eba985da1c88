"""Scores of single images as one table, a row per trial and image: for a spreadsheet or pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.records import Records
from bench.errors import StoreError
from bench.image_scores import Scores32, SplitImages
from bench.record.image_scores import read_images, read_scores
from bench.record.trial_files import TrialFiles

MOST_ROWS = 200_000
"""Rows of a table with every metric; a longer one has the selected metric alone."""
COLUMNS = ("id", "split", "image", "group", "epoch")


class _Part(NamedTuple):
    """A trial's scores of a split.

    Attributes:
        trial, split, epoch: whose, of which, with the weights of which epoch.
        images: what was scored.
        columns: (images,) float32 by metric.
    """

    trial: str
    split: str
    epoch: int
    images: SplitImages
    columns: Mapping[str, Scores32]


def image_frame(records: Records, most_rows: int = MOST_ROWS) -> pd.DataFrame:
    """What each validation and test image scores with each finished trial's selected weights.

    Columns: `COLUMNS` (group: NA where images have none), then metrics as float32, NaN where an
    image has no score. Trials without scores, or with damaged ones, have no rows; nor has an
    experiment without any.
    """
    parts: list[_Part] = []
    rows, every_metric = 0, True
    for part in _parts(records):
        rows += len(part.images.names)
        if every_metric and rows > most_rows:
            every_metric = False
            parts = [_selected(each, records) for each in parts]
        parts.append(part if every_metric else _selected(part, records))
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return _joined(parts)


def out_of_fold_frame(records: Records, most_rows: int = MOST_ROWS) -> pd.DataFrame:
    """What each image scores with the model of its arm and seed that did not train on its fold.

    Columns: `axis.<name>`, `seed`, `fold`, `image`, `group`, `id` (of the trial), `epoch` (the
    selected one), then metrics as in `image_frame`. A row per arm, seed and image, in the order of
    runs.csv; of folds that are not finished there are none. Empty without cross-validation.
    """
    trials = records.trial_records
    if trials.folds is None:
        return pd.DataFrame()
    frame = image_frame(trials, most_rows)
    frame = frame[(frame["split"] == "val").to_numpy(dtype=bool)]
    facts = [*(f"axis.{axis}" for axis in trials.axes), "seed", "fold"]
    runs = trials.runs[trials.runs["fold"].notna()].set_index("id")
    frame = frame[frame["id"].isin(runs.index)]
    metrics = [name for name in map(str, frame.columns) if name not in COLUMNS]
    found = frame.assign(**{name: runs[name].reindex(frame["id"]).to_numpy() for name in facts})
    kinds = {name: runs[name].dtype for name in facts}
    return found.astype(kinds)[[*facts, "image", "group", "id", "epoch", *metrics]].reset_index(
        drop=True
    )


def _parts(records: Records) -> Iterator[_Part]:
    known: dict[str, Mapping[str, SplitImages]] = {}
    for trial in records.done["id"]:
        if trial not in records.folders:
            continue
        files = TrialFiles(records.folders[trial])
        try:
            scores = read_scores(files, files.summary())
            if scores is None:
                continue
            if (images := known.get(scores.images_hash)) is None:
                images = known[scores.images_hash] = read_images(files, scores.images_hash) or {}
        except StoreError:
            continue  # `read_image_scores` says why
        for split, both in scores.splits.items():
            values = both.selected.values
            if split in images and len(images[split].names) == len(values):
                columns = dict(zip(both.selected.metrics, values.T, strict=True))
                yield _Part(trial, split, scores.selected_epoch, images[split], columns)


def _selected(part: _Part, records: Records) -> _Part:
    """With the selected metric alone; a copy, that the others leave memory."""
    metric = records.select.metric
    kept = {metric: part.columns[metric].copy()} if metric in part.columns else {}
    return part._replace(columns=kept)


def _joined(parts: Sequence[_Part]) -> pd.DataFrame:
    """All rows. A text that many rows have is held once: thousands of trials name one image."""
    lengths = [len(part.images.names) for part in parts]
    metrics = dict.fromkeys(metric for part in parts for metric in part.columns)
    found: dict[str, Any] = {
        "id": _repeated([part.trial for part in parts], lengths),
        "split": _repeated([part.split for part in parts], lengths),
        "image": _named([part.images.names for part in parts]),
        "group": _named(
            [part.images.groups or (None,) * n for part, n in zip(parts, lengths, strict=True)]
        ),
        "epoch": np.repeat(np.array([part.epoch for part in parts], np.int32), lengths),
    }
    for metric in metrics:
        missing = (np.full(n, np.nan, np.float32) for n in lengths)
        values = [part.columns.get(metric, no) for part, no in zip(parts, missing, strict=True)]
        found[metric] = np.concatenate(values)
    return pd.DataFrame(found)


def _repeated(texts: Sequence[str], lengths: Sequence[int]) -> pd.Categorical[str]:
    codes, names = pd.factorize(np.array(texts, dtype=object))
    return pd.Categorical.from_codes(np.repeat(codes, lengths), pd.Index(names, dtype="str"))


def _named(lists: Sequence[tuple[str | None, ...]]) -> pd.Categorical[str]:
    """One after the other; lists that several trials share are looked through once."""
    numbers: dict[str, int] = {}
    codes: dict[tuple[str | None, ...], npt.NDArray[np.int32]] = {}
    for names in lists:
        if names not in codes:
            found = [-1 if n is None else numbers.setdefault(n, len(numbers)) for n in names]
            codes[names] = np.array(found, np.int32)
    every = np.concatenate([codes[names] for names in lists])
    return pd.Categorical.from_codes(every, pd.Index(list(numbers), dtype="str"))
