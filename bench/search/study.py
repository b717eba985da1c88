"""A study that several processes share: joining it, taking a trial, giving one back, ending it.

A trial is a number from 0 on, made as WAITING and taken by turning it into RUNNING, which a storage
lets exactly one process do. One whose process died becomes WAITING again, with all that is known of
it, so that it goes on instead of being lost or tried twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.errors import BenchError
from bench.plan.objectives import Objective
from bench.plan.trial import canonical_json
from bench.record.owners import Owner
from bench.search.presence import StudyPresence, may_be_alive
from bench.search.storages import StudyStorage, silence_optuna

OWNER = "bench:owner"
DEFINITION = "bench:terms"
CHOSEN = "bench:chosen"
REAP_SECONDS = 1.0  # each look at the other processes is a query

_MODES: Mapping[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


@dataclass(frozen=True)
class StudyDefinition:
    """What has to be the same for everything in one study.

    Attributes:
        space: as `Space.record` gives it.
        objectives: metrics and modes.
        seeds: how many a point has.
        settings: those that no dimension touches.
    """

    space: Mapping[str, Any]
    objectives: Sequence[Objective]
    seeds: int
    settings: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        objectives = {objective.metric: objective.mode for objective in self.objectives}
        return {
            "space": dict(self.space),
            "objectives": objectives,
            "seeds_per_trial": self.seeds,
            "settings": dict(self.settings),
        }


def join_study(
    study_storage: StudyStorage,
    name: str,
    definition: StudyDefinition,
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
) -> optuna.Study:
    """The study of this name, made where it is not there.

    Raises:
        BenchError: it is there on other terms, or of somebody else; says what differs.
    """
    directions = [_MODES[objective.mode] for objective in definition.objectives]
    silence_optuna()
    _remove_abandoned(study_storage, name, definition, directions)
    try:
        study = optuna.create_study(
            storage=study_storage.storage,
            study_name=name,
            directions=directions,
            sampler=sampler,
            pruner=pruner,
        )
        study.set_metric_names([objective.metric for objective in definition.objectives])
    except DuplicatedStudyError:
        study = optuna.load_study(
            study_name=name, storage=study_storage.storage, sampler=sampler, pruner=pruner
        )
    found = study.user_attrs.get(DEFINITION)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(
            DEFINITION, definition.record()
        )  # made just now, perhaps by who died right then
        found = study.user_attrs[DEFINITION]
    there = [direction.name.lower() for direction in study.directions]
    where = f"study {name!r} in {study_storage.name}"
    remedy = "give this experiment another name (experiment=…), or delete that study"
    if found is None:
        raise BenchError(f"{where} was not made by bench: {remedy}")
    if there != directions or (other := _first_difference(found, definition.record(), "")):
        what = "the directions of its objectives" if there != directions else other
        raise BenchError(f"{where} was begun with another search: {what}: {remedy}")
    return study


def _remove_abandoned(
    study_storage: StudyStorage, name: str, definition: StudyDefinition, directions: Sequence[str]
) -> None:
    """Remove a study on other terms that has no point, and nobody in it: it was refused.

    A spec whose data is missing, for one, is found out only after it has joined.
    """
    try:
        number = study_storage.storage.get_study_id_from_name(name)
    except KeyError:
        return
    found = study_storage.storage.get_study_user_attrs(number)
    there = [
        direction.name.lower() for direction in study_storage.storage.get_study_directions(number)
    ]
    same = there == list(directions) and not _first_difference(
        found.get(DEFINITION), definition.record(), ""
    )
    if (
        DEFINITION not in found
        or same
        or study_storage.storage.get_all_trials(number, deepcopy=False)
    ):
        return
    if not any(may_be_alive(found)):
        study_storage.storage.delete_study(number)


def _first_difference(there: Any, here: Any, path: str) -> str | None:
    """The first key at which two records differ, and how."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            inside = f"{path}.{key}".lstrip(".")
            if (key in there) != (key in here):
                return f"{inside} is {'new' if key in here else 'gone'}"
            if found := _first_difference(there[key], here[key], inside):
                return found
        return None
    if canonical_json(there) == canonical_json(here):
        return None
    return f"{path} was {canonical_json(there)[:80]}, now {canonical_json(here)[:80]}"


class SharedStudy:
    """This process's part in a study.

    Args:
        study_storage: where it is kept.
        study: Optuna's.
        presence: who else is there.
        target: how many trials there are to be.
        guard: held while a trial is made, by one process at a time where they share a folder.
        say: takes a line for a person.
    """

    def __init__(
        self,
        study_storage: StudyStorage,
        study: optuna.Study,
        presence: StudyPresence,
        *,
        target: int,
        creation_lock: Callable[[], AbstractContextManager[object]],
        say: Callable[[str], None],
    ) -> None:
        self.study_storage, self.optuna, self.target = study_storage, study, target
        self._storage, self._presence = study_storage.storage, presence
        self._id = study_storage.storage.get_study_id_from_name(study.study_name)
        self._creation_lock, self._say = creation_lock, say
        self._our_numbers: set[int] = set()
        self._reaped = -REAP_SECONDS

    def trials(self) -> list[FrozenTrial]:
        """All that count, by number."""
        found = self._storage.get_all_trials(self._id, deepcopy=False)
        return [trial for trial in found if trial.number < self.target]

    def unfinished(self) -> int:
        """How many of them are still to be made or finished."""
        return self.target - sum(trial.state.is_finished() for trial in self.trials())

    def take(self) -> optuna.Trial | None:
        """A trial of ours; None: there is none to be taken now."""
        self._reap()
        while True:
            trials = self.trials()
            waiting = [trial for trial in trials if trial.state is TrialState.WAITING]
            for trial in waiting:
                if self._claim(trial):
                    return self._hand_out(trial)
            if len(trials) >= self.target:
                return None
            with self._creation_lock():
                if len(self.trials()) < self.target:
                    made = create_trial(state=TrialState.WAITING)
                    self._storage.create_new_trial(self._id, template_trial=made)

    def is_ours(self, trial: optuna.Trial) -> bool:
        """Whether a trial that was taken is still ours: who is silent is taken for dead."""
        found = self._storage.get_trial(self._key(trial.number))
        owner = Owner.read(found.user_attrs.get(OWNER))
        ours = owner is not None and owner.token == self._presence.owner.token
        return found.state is TrialState.RUNNING and ours

    def end(
        self, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Say how a trial ended; False where others have taken it over meanwhile."""
        self._our_numbers.discard(trial.number)
        if not self.is_ours(trial):
            return False
        try:
            self.optuna.tell(trial, None if values is None else list(values), state)
        except (UpdateFinishedTrialError, ValueError):
            return False
        return True

    def release(self, trial: optuna.Trial) -> None:
        """Let others, or us another time, go on with it."""
        self._our_numbers.discard(trial.number)
        if self.is_ours(trial):
            self._storage.set_trial_state_values(self._key(trial.number), TrialState.WAITING)

    def _key(self, number: int) -> int:
        key: int = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return key

    def _claim(self, trial: FrozenTrial) -> bool:
        try:
            key = self._key(trial.number)
            return self._storage.set_trial_state_values(key, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _hand_out(self, trial: FrozenTrial) -> optuna.Trial:
        key = self._key(trial.number)
        self._our_numbers.add(trial.number)
        self._storage.set_trial_user_attr(key, OWNER, self._presence.owner.record())
        # a study object of the trial's own: one that is used again has a cache of earlier trials
        study = optuna.load_study(
            study_name=self.optuna.study_name,
            storage=self._storage,
            sampler=self.optuna.sampler,
            pruner=self.optuna.pruner,
        )
        return optuna.Trial(study, key)

    def _reap(self) -> None:
        """Trials of processes that are gone wait for somebody again."""
        if time.monotonic() < self._reaped + REAP_SECONDS:
            return
        self._reaped = time.monotonic()
        running = [trial for trial in self.trials() if trial.state is TrialState.RUNNING]
        foreign = [trial for trial in running if trial.number not in self._our_numbers]
        attributes = self._storage.get_study_user_attrs(self._id) if foreign else {}
        for trial in foreign:
            owner = Owner.read(trial.user_attrs.get(OWNER))
            if not self._is_orphaned(trial.number, owner, attributes):
                continue
            key = self._key(trial.number)
            now = self._storage.get_trial(key)
            if now.state is TrialState.RUNNING and now.user_attrs == trial.user_attrs:
                self._storage.set_trial_state_values(key, TrialState.WAITING)
                self._say(f"point {trial.number} goes on: {owner or 'its process'} is gone")

    def _is_orphaned(self, number: int, owner: Owner | None, attributes: Mapping[str, Any]) -> bool:
        if not self.study_storage.shared:
            return True  # nobody else can be there
        if owner is not None:
            return self._presence.is_dead(owner, attributes)
        # taken a moment ago, or by a process that died right then
        return (
            self._presence.seconds_since_change(f"trial {number}", None)
            >= self._presence.owner.expiry
        )
