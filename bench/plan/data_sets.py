"""Which data sets the trials of a plan use, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.data.settings import DataSettings
from bench.data.survey_warnings import Target
from bench.plan.trial import Trial, digest
from bench.tasks.settings import TargetForm


@dataclass(frozen=True)
class DataSetUse:
    """One data set and the trials that use it.

    Attributes:
        settings: the data set's.
        target: what of its samples is learnt.
        label: the levels that tell it from the plan's other data sets; empty where it is the only
            one.
        trials: their ids.
    """

    settings: DataSettings
    target: Target
    label: str
    trials: tuple[str, ...]


def data_key(trial: Trial) -> str:
    """Trials of one key read the same data in the same way."""
    return digest(trial.settings.data.model_dump(mode="json"))


def data_set_uses(trials: Sequence[Trial]) -> dict[str, DataSetUse]:
    """The data sets of the trials by `data_key`, in the order of their first trials."""
    users: dict[str, list[Trial]] = {}
    keys: dict[int, str] = {}  # by the settings object, which all seeds of an arm share
    for trial in trials:
        of_arm = id(trial.settings)
        if of_arm not in keys:
            keys[of_arm] = data_key(trial)
        users.setdefault(keys[of_arm], []).append(trial)
    levels: dict[str, dict[str, str]] = {}  # those that all trials of a data set share
    for key, (first, *others) in users.items():
        shared = first.axes.items()
        levels[key] = {k: v for k, v in shared if all(trial.axes[k] == v for trial in others)}
    return {
        key: DataSetUse(
            members[0].settings.data,
            _kind(members[0].settings.task.target_form),
            _label(levels, key),
            tuple(trial.id for trial in members),
        )
        for key, members in users.items()
    }


def _kind(form: TargetForm) -> Target:
    return "label" if form == "labels" else form


def _label(levels: Mapping[str, Mapping[str, str]], key: str) -> str:
    """The fixed levels of one data set which the others do not have."""
    others = [found for other, found in levels.items() if other != key]
    own = [
        f"{axis}: {level}"
        for axis, level in levels[key].items()
        if any(other.get(axis, level) != level for other in others)
    ]
    return ", ".join(own)
