"""What sets experiments apart that stand in one report: settings that no axis decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bench.analysis.records import Records
from bench.errors import StoreError
from bench.nested import flatten
from bench.plan.axes import format_label
from bench.record.columns import Status
from bench.record.store import TrialFiles
from bench.spec.schema import TrialSettings
from bench.states import BENCH_SOURCE

_UNKNOWN = "not known"
_NO_SUCH = "–"


def setting_differences(parts: Sequence[Records]) -> dict[str, list[str]]:
    """The settings that neither axes nor components decide and experiments differ in.

    A value for each experiment, as a spec has it.
    """
    known = [_settings(part) for part in parts]
    decided = {setting for part in parts for setting in part.decided_settings}
    names = dict.fromkeys(name for settings in known for name in settings or ())
    found = {}
    for name in names:
        if any(f"{name}.".startswith(f"{setting}.") for setting in decided):
            continue
        values = [
            _UNKNOWN if own is None else as_in_yaml(own[name]) if name in own else _NO_SUCH
            for own in known
        ]
        if len(set(values) - {_UNKNOWN}) > 1:
            found[name] = values
    return found


def as_in_yaml(value: Any) -> str:
    """A value as a spec has it on one line: `null`, `true`, `[0.5, 1]`, `{name: hflip, p: 0.5}`."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_in_yaml(own)}' for key, own in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_in_yaml, value))}]"
    if isinstance(value, str):
        return value or '""'
    return format_label(value)


def _settings(part: Records) -> dict[str, Any] | None:
    """What one of its finished trials was trained with, by dotted names; None: not known."""
    done = part.runs[(part.runs["status"] == Status.DONE) & (part.runs["source"] == BENCH_SOURCE)]
    for name in done["id"]:
        try:
            settings = TrialFiles(part.folders[name]).config().get("settings") or {}
            return dict(flatten(TrialSettings.model_validate(settings).identity(revised=False)))
        except (KeyError, StoreError, ValidationError):
            continue
    return None
