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
from bench.search.presence import Presence, is_there
from bench.search.storages import Place, quiet

OWNER = "bench:owner"
TERMS = "bench:terms"
CHOSEN = "bench:chosen"
REAP_SECONDS = 1.0

_MODES: Mapping[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


@dataclass(frozen=True)
class Terms:
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


def join(
    place: Place,
    name: str,
    terms: Terms,
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
) -> optuna.Study:
    """The study of this name, made where it is not there.

    Raises:
        BenchError: it is there on other terms, or of somebody else; says what differs.
    """
    directions = [_MODES[objective.mode] for objective in terms.objectives]
    quiet()
    _remove_refused(place, name, terms, directions)
    try:
        study = optuna.create_study(
            storage=place.storage,
            study_name=name,
            directions=directions,
            sampler=sampler,
            pruner=pruner,
        )
        study.set_metric_names([objective.metric for objective in terms.objectives])
    except DuplicatedStudyError:
        study = optuna.load_study(
            study_name=name, storage=place.storage, sampler=sampler, pruner=pruner
        )
    found = study.user_attrs.get(TERMS)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(TERMS, terms.record())  # made just now, perhaps by who died right then
        found = study.user_attrs[TERMS]
    there = [direction.name.lower() for direction in study.directions]
    where = f"study {name!r} in {place.name}"
    remedy = "give this experiment another name (experiment=…), or delete that study"
    if found is None:
        raise BenchError(f"{where} was not made by bench: {remedy}")
    if there != directions or (other := _difference(found, terms.record(), "")):
        what = "the directions of its objectives" if there != directions else other
        raise BenchError(f"{where} was begun with another search: {what}: {remedy}")
    return study


def _remove_refused(place: Place, name: str, terms: Terms, directions: Sequence[str]) -> None:
    """Remove a study on other terms that has no point, and nobody in it: it was refused.

    A spec whose data is missing, for one, is found out only after it has joined.
    """
    try:
        number = place.storage.get_study_id_from_name(name)
    except KeyError:
        return
    found = place.storage.get_study_user_attrs(number)
    there = [direction.name.lower() for direction in place.storage.get_study_directions(number)]
    same = there == list(directions) and not _difference(found.get(TERMS), terms.record(), "")
    if TERMS not in found or same or place.storage.get_all_trials(number, deepcopy=False):
        return
    if not any(is_there(found)):
        place.storage.delete_study(number)


def _difference(there: Any, here: Any, path: str) -> str | None:
    """The first place at which two records differ, and how."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            inside = f"{path}.{key}".lstrip(".")
            if (key in there) != (key in here):
                return f"{inside} is {'new' if key in here else 'gone'}"
            if found := _difference(there[key], here[key], inside):
                return found
        return None
    if canonical_json(there) == canonical_json(here):
        return None
    return f"{path} was {canonical_json(there)[:80]}, now {canonical_json(here)[:80]}"


class Study:
    """This process's part in a study.

    Args:
        place: where it is kept.
        study: Optuna's.
        presence: who else is there.
        target: how many trials there are to be.
        guard: held while a trial is made, by one process at a time where they share a folder.
        say: takes a line for a person.
    """

    def __init__(
        self,
        place: Place,
        study: optuna.Study,
        presence: Presence,
        *,
        target: int,
        guard: Callable[[], AbstractContextManager[object]],
        say: Callable[[str], None],
    ) -> None:
        self.place, self.optuna, self.target = place, study, target
        self._storage, self._presence = place.storage, presence
        self._id = place.storage.get_study_id_from_name(study.study_name)
        self._guard, self._say = guard, say
        self._mine: set[int] = set()
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
                if self._seize(trial):
                    return self._taken(trial)
            if len(trials) >= self.target:
                return None
            with self._guard():
                if len(self.trials()) < self.target:
                    made = create_trial(state=TrialState.WAITING)
                    self._storage.create_new_trial(self._id, template_trial=made)

    def keeps(self, trial: optuna.Trial) -> bool:
        """Whether a trial that was taken is still ours: who is silent is taken for dead."""
        found = self._storage.get_trial(self._key(trial.number))
        owner = Owner.read(found.user_attrs.get(OWNER))
        ours = owner is not None and owner.token == self._presence.owner.token
        return found.state is TrialState.RUNNING and ours

    def end(
        self, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Say how a trial ended; False where others have taken it over meanwhile."""
        self._mine.discard(trial.number)
        if not self.keeps(trial):
            return False
        try:
            self.optuna.tell(trial, None if values is None else list(values), state)
        except (UpdateFinishedTrialError, ValueError):
            return False
        return True

    def give_back(self, trial: optuna.Trial) -> None:
        """Let others, or us another time, go on with it."""
        self._mine.discard(trial.number)
        if self.keeps(trial):
            self._storage.set_trial_state_values(self._key(trial.number), TrialState.WAITING)

    def _key(self, number: int) -> int:
        key: int = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return key

    def _seize(self, trial: FrozenTrial) -> bool:
        try:
            key = self._key(trial.number)
            return self._storage.set_trial_state_values(key, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _taken(self, trial: FrozenTrial) -> optuna.Trial:
        key = self._key(trial.number)
        self._mine.add(trial.number)
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
        theirs = [trial for trial in running if trial.number not in self._mine]
        signs = self._storage.get_study_user_attrs(self._id) if theirs else {}
        for trial in theirs:
            owner = Owner.read(trial.user_attrs.get(OWNER))
            if not self._is_orphan(trial.number, owner, signs):
                continue
            key = self._key(trial.number)
            now = self._storage.get_trial(key)
            if now.state is TrialState.RUNNING and now.user_attrs == trial.user_attrs:
                self._storage.set_trial_state_values(key, TrialState.WAITING)
                self._say(f"point {trial.number} goes on: {owner or 'its process'} is gone")

    def _is_orphan(self, number: int, owner: Owner | None, signs: Mapping[str, Any]) -> bool:
        if not self.place.shared:
            return True  # nobody else can be there
        if owner is not None:
            return self._presence.is_dead(owner, signs)
        # taken a moment ago, or by a process that died right then
        return self._presence.silence(f"trial {number}", None) >= self._presence.owner.expiry
