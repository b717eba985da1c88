"""Surveys on disk, next to the cached samples: what was counted once is not counted again.

A survey is found by the fingerprint of the content and everything else it follows from. A data set
of the user's own says its fingerprint itself, and may be wrong, so it is counted each time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from bench.atomic_files import write_bytes
from bench.data.base import Splits
from bench.data.cache import cache_root
from bench.data.settings import CustomData, DataSettings
from bench.data.survey import Survey, data_set_name, read_survey, survey_of
from bench.errors import StoreError, UnwritableError

FORMAT = 1
"""Of what is counted and how: raise it when either changes."""


def look(data: Splits, settings: DataSettings) -> Survey:
    """The survey of what was decoded with these settings, from the disk where it is there."""
    if (found := kept_survey(data, settings)) is not None:
        return found
    found = survey_of(data, settings)
    if not isinstance(settings, CustomData):
        with suppress(UnwritableError):  # read-only, full: it is counted again next time
            write_bytes(_path(data, settings), json.dumps(found.record()).encode())
    return found


def kept_survey(data: Splits, settings: DataSettings) -> Survey | None:
    """The survey on disk, or None where there is none that can be used."""
    if isinstance(settings, CustomData):
        return None
    try:
        return read_survey(json.loads(_path(data, settings).read_text("utf-8")))
    except (OSError, ValueError, TypeError, StoreError):
        return None


def _path(data: Splits, settings: DataSettings) -> Path:
    """Named after what the survey follows from: the files may change where the content does not."""
    digest = hashlib.sha256(f"{FORMAT} {data.fingerprint} {data_set_name(settings)}".encode())
    digest.update(repr((settings.identity(), data.window, data.notes)).encode())
    for split in data.splits.values():
        digest.update(repr((split.facts, split.mask_facts, split.groups)).encode())
    return cache_root() / "surveys" / f"{digest.hexdigest()[:24]}.json"
