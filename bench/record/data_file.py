"""data.json: the data sets of an experiment as they were when its trials were prepared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data.survey import Survey, read_survey
from bench.data.survey_warnings import DataWarning, Target, data_warnings
from bench.errors import DamagedError, StoreError
from bench.record.files import damaged, read_json, write_json

_TARGETS = ("mask", "label", "none")


@dataclass(frozen=True)
class DataSetRecord:
    """One data set of an experiment.

    Attributes:
        label: what tells it from the experiment's others; empty where there is one.
        target: what of its samples is learnt.
        trials: ids of the trials that use it; none: all of the experiment's.
        survey: what was counted.
    """

    label: str
    target: Target
    trials: tuple[str, ...]
    survey: Survey

    @property
    def title(self) -> str:
        """A heading for it."""
        return f"{self.survey.name} ({self.label})" if self.label else self.survey.name

    def warnings(self) -> list[DataWarning]:
        """Everything suspicious in it, the serious things first."""
        return data_warnings(self.survey, self.target)

    def record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "label": self.label,
            "target": self.target,
            "trials": list(self.trials),
            "warnings": [warning.record() for warning in self.warnings()],
            "survey": self.survey.record(),
        }


@dataclass(frozen=True)
class SharedWarning:
    """A warning about some of an experiment's data sets.

    Attributes:
        warning: what is said.
        where: the titles of the data sets; empty where all have it.
    """

    warning: DataWarning
    where: str


def shared_warnings(data: Sequence[DataSetRecord]) -> list[SharedWarning]:
    """The warnings about all data sets; one that several have stands there once."""
    users: dict[DataWarning, list[str]] = {}
    for entry in data:
        for warning in entry.warnings():
            users.setdefault(warning, []).append(entry.title)
    return [
        SharedWarning(warning, "" if len(titles) == len(data) else ", ".join(titles))
        for warning, titles in users.items()
    ]


def read_data(path: Path) -> tuple[DataSetRecord, ...]:
    """What data.json describes; nothing where there is no such file.

    Raises:
        DamagedError: it is no JSON, or describes no data sets.
        StoreError: the system does not let it be read.
    """
    record = read_json(path)
    if record is None:
        return ()
    entries = record.get("datasets")
    if not isinstance(entries, list):
        raise damaged(path, "it lists no data sets")
    return tuple(_entry(path, entry) for entry in entries)


def update_data(path: Path, found: Sequence[DataSetRecord], planned: Collection[str]) -> None:
    """Put data sets on record, with those on record before whose trials are still planned.

    Args:
        path: of data.json; one that cannot be used is replaced.
        found: what was looked at now.
        planned: ids of the trials of the latest plan.
    """
    try:
        before = read_data(path)
    except DamagedError:
        before = ()
    now = {trial for entry in found for trial in entry.trials}
    kept = [
        replace(entry, trials=trials)
        for entry in before
        if (trials := tuple(t for t in entry.trials if t in planned and t not in now))
    ]
    after = [*kept, *found]
    if not before or _by_trial(before) != _by_trial(after):  # else reports stay up to date
        write_json(path, {"datasets": [entry.record() for entry in after]})


def _by_trial(entries: Sequence[DataSetRecord]) -> dict[object, dict[str, Any]]:
    """What each trial's data set is like; those of no trials, a search's, by their numbers."""
    return {
        trial: entry.record() | {"trials": ()}
        for number, entry in enumerate(entries)
        for trial in entry.trials or (number,)
    }


def _entry(path: Path, entry: Any) -> DataSetRecord:
    try:
        if entry["target"] not in _TARGETS:
            raise ValueError(f"its target is {entry['target']!r}")
        trials = tuple(map(str, entry["trials"]))
        survey = read_survey(entry["survey"])
        return DataSetRecord(str(entry["label"]), entry["target"], trials, survey)
    except (KeyError, TypeError, ValueError, StoreError) as error:
        raise damaged(path, error) from error
