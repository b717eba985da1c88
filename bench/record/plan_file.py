"""plan.json as it is read back: whole, or reported as damaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.record.files import Kinds, check, damaged, read_json

_MODES = ("min", "max")
_KINDS: dict[str, Kinds] = {
    "common": str,
    "task": str,
    "spec": (str, type(None)),
    "axes": dict,
    "select": dict,
    "metrics": dict,
    "trials": list,
}
_OPTIONAL: dict[str, Kinds] = {
    "notes": list,
    "stopped": str,
    "cautions": list,
    "incomparable": dict,
    "hypotheses": list,
    "search": dict,
    "scoring": (dict, type(None)),
    "statistics": dict,
    "design": dict,
    "repeats": dict,
    "folds": dict,
}
_TRIAL: dict[str, Kinds] = {"id": str, "seed": (int, type(None)), "axes": dict, "arm": str}
_OF_TRIAL: dict[str, Kinds] = {"fold": (int, type(None))}


def read_plan(path: Path) -> dict[str, Any] | None:
    """The plan, or None where there is none; one of an older version may lack what came later.

    Raises:
        DamagedError: it is no JSON, or not a plan.
        StoreError: the system does not let it be read.
    """
    record = read_json(path)
    if record is None:
        return None
    check(path, record, _KINDS | _OPTIONAL)
    _have(path, record, _KINDS)
    for key in ("notes", "cautions"):
        if not all(isinstance(text, str) for text in record.get(key, ())):
            raise damaged(path, f"one of its {key} is no text")
    select = record["select"]
    for metric, mode in [*record["metrics"].items(), (select.get("metric"), select.get("mode"))]:
        if not isinstance(metric, str) or mode not in _MODES:
            raise damaged(path, f"{metric!r} is better {mode!r}")
    lists = [*record["axes"].values(), *record.get("incomparable", {}).values()]
    if not all(isinstance(levels, list) for levels in lists):
        raise damaged(path, "the levels of an axis are no list")
    for trial in record["trials"]:
        if not isinstance(trial, dict):
            raise damaged(path, "a trial in it is no mapping")
        check(path, trial, _TRIAL | _OF_TRIAL)
        _have(path, trial, _TRIAL)
    return record


def _have(path: Path, record: Mapping[str, Any], keys: Mapping[str, Any]) -> None:
    lacking = [key for key in keys if key not in record]
    if lacking:
        raise damaged(path, f"it lacks {', '.join(lacking)}")
