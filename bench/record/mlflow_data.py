"""The data set of a trial as MLflow's own dataset input: its name, fingerprint and splits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.record.files import read_json
from bench.record.mlflow_record import Record
from bench.record.store import Store

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_CONTEXT = "mlflow.data.context"
_LONGEST_DIGEST = 36


def data_set_input(store: Store, record: Record) -> DatasetInput | None:
    """What MLflow shows in a run's column *Dataset*; None where no data were read.

    The digest is the fingerprint of images and targets. The context names the splits with their
    numbers of images, as far as `data.json` knows them.
    """
    fingerprint = record.summary.get("data_fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        return None
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sizes = split_sizes(_data_file(store, record.files.experiment), fingerprint)
    context = ", ".join(f"{split} {count}" for split, count in sizes.items())
    name = data_set_name(record.config)
    data_set = Dataset(
        name=name,
        digest=fingerprint[:_LONGEST_DIGEST],
        source_type="bench",
        source=json.dumps({"data": name}),  # no path: it is the machine's
        profile=json.dumps(sizes),
    )
    return DatasetInput(data_set, [InputTag(_CONTEXT, context)] if context else [])


def data_set_name(config: Mapping[str, Any]) -> str:
    """`oxford_pet`, or the target of a data set of one's own."""
    data = (config.get("settings") or {}).get("data") or {}
    return str(data.get("name") or data.get("target") or "data")


def split_sizes(data_file: Mapping[str, Any], fingerprint: str) -> dict[str, int]:
    """Images by split of the data set with this fingerprint in `data.json`; empty if none has."""
    for entry in data_file.get("datasets") or ():
        survey = entry.get("survey") or {}
        if survey.get("fingerprint") == fingerprint:
            splits = (survey.get("splits") or {}).items()
            return {name: int(split["images"]) for name, split in splits if "images" in split}
    return {}


def _data_file(store: Store, experiment: str) -> Mapping[str, Any]:
    """`data.json` as it is; empty where it is missing or damaged: no figure hangs on it."""
    with contextlib.suppress(StoreError):
        return read_json(store.data_path(experiment)) or {}
    return {}
