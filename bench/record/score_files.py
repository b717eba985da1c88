"""Which files a trial's scores by image are, without reading them: `status` asks, without numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.errors import StoreError
from bench.record.columns import IMAGES_HASH, SCORES_DIGEST
from bench.record.files import read_json
from bench.record.trial_files import TrialFiles
from bench.safe_files import refuse_link_out

SPLITS = ("val", "test")
VAL_EPOCHS = "val_epochs"
BYTES = {**dict.fromkeys(SPLITS, 4), VAL_EPOCHS: 2}
"""Of one score in each file: float32 and float16."""
_HEADER = 64  # a `.npy` file's header has a multiple of so many bytes


def read_index(files: TrialFiles) -> dict[str, Any] | None:
    """What `scores/index.json` says; None where there is no such file.

    Raises:
        StoreError: it cannot be read, or the folder is a link out of the trial's.
    """
    refuse_link_out(files.scores, files.folder)
    return read_json(files.scores / "index.json")


def why_incomplete(files: TrialFiles, summary: Mapping[str, Any]) -> str | None:
    """Which of the files that the trial's summary tells of is missing or cut short; None: none."""
    if SCORES_DIGEST not in summary:
        return None
    try:
        index = read_index(files)
        if index is None:
            return f"{files.scores / 'index.json'}: there is no such file"
        for name, shape in index["shapes"].items():
            path = files.scores / f"{name}.npy"
            if path.is_symlink() or not path.is_file():
                return f"{path}: there is no such file"
            header = path.stat().st_size - math.prod(shape) * BYTES[name]
            if header <= 0 or header % _HEADER:
                return f"{path}: was cut short"
        names = files.images_path(str(summary.get(IMAGES_HASH)))
        return None if names.is_file() else f"{names}: there is no such file"
    except (StoreError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        return str(error)
