"""More epochs for trials on record with fewer: gone on with where that gives the same bits.

An earlier trial that differs in `train.epochs` only, and whose last state is there, becomes the
first epochs of the longer one. What stands against it is said.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import StoreError
from bench.measure.devices import visible_gpus
from bench.plan.expand import load_trial
from bench.plan.longer import key_without_epochs, why_not_longer
from bench.plan.trial import Trial
from bench.record.store import Store, TrialFiles
from bench.run.take_over import TakeOver, take_over_states
from bench.states import BENCH_SOURCE, Status

MOST_EARLIER = 1_000
"""Trials on record that are not planned and are looked at: reading one takes some milliseconds."""
DELETED = "their last states were deleted when they were done: --keep-last keeps those of a run"


@dataclass(frozen=True)
class Shorter:
    """An earlier trial with fewer epochs.

    Attributes:
        trial: as it was recorded.
        files: its files.
        epochs: how many it has done.
    """

    trial: Trial
    files: TrialFiles
    epochs: int


@dataclass(frozen=True)
class LongerTrials:
    """What becomes of planned trials of which shorter versions are on record.

    Attributes:
        continued: by trial id what it goes on from.
        epochs: of these, how many are done.
        anew: by trial id why it is trained from the first epoch all the same.
    """

    continued: Mapping[str, TakeOver]
    epochs: Mapping[str, int]
    anew: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """What to say of them, a sentence for each number of epochs and each reason."""
        for done, count in sorted(Counter(self.epochs.values()).items()):
            yield (
                f"More epochs: {_trials(count)} go{'es' * (count == 1)} on after epoch {done} of "
                "what is trained already; the bits are those of a training from the first epoch."
            )
        for why, count in Counter(self.anew.values()).items():
            yield f"More epochs: {_trials(count)} from the first epoch, since {why}."


def take_over(longer: LongerTrials, fingerprints: Mapping[str, str]) -> LongerTrials:
    """Let the trials begin with the states of shorter ones; what became of each.

    `fingerprints` are of the trials' data as it is now.
    """
    if not longer.continued:
        return longer
    found = take_over_states(list(longer.continued.values()), fingerprints)
    done = {name: epochs for name, epochs in found.items() if isinstance(epochs, int)}
    refused = {name: why for name, why in found.items() if isinstance(why, str)}
    continued = {name: one for name, one in longer.continued.items() if name in done}
    return LongerTrials(continued, done, {**longer.anew, **refused})


def longer_trials(planned: Sequence[Trial], store: Store) -> LongerTrials:
    """Which of these trials have a shorter version on record, and what becomes of them.

    Trials of which anything is recorded are left out.
    """
    new = [trial for trial in planned if not _has_begun(store.trial(trial.experiment, trial.id))]
    if not new:
        return LongerTrials({}, {}, {})
    known = _shorter_trials(new, store)
    continued, epochs, anew = {}, {}, {}
    for trial in new:
        own = store.trial(trial.experiment, trial.id)
        shorter = [
            one
            for one in known.get(key_without_epochs(trial), ())
            if one.trial.settings.train.epochs < trial.settings.train.epochs
        ]
        if not shorter:
            continue
        best = max(shorter, key=lambda one: (one.files.last.exists(), one.epochs))
        if (why := why_not_longer(trial.settings.train) or _why_not(best, trial)) is not None:
            anew[trial.id] = why
        else:
            continued[trial.id] = TakeOver(trial, own.folder, best.trial, best.files.folder)
            epochs[trial.id] = best.epochs
    return LongerTrials(continued, epochs, anew)


def _has_begun(files: TrialFiles) -> bool:
    return files.status_path.exists() or any(path.exists() for path in files.states)


def _shorter_trials(new: Sequence[Trial], store: Store) -> dict[str, list[Shorter]]:
    """Trials on record that were finished or interrupted, by what they are without their epochs."""
    experiment = new[0].experiment
    seeds = {trial.seed for trial in new}
    wanted = {key_without_epochs(trial) for trial in new}
    running = store.running(experiment)
    found: dict[str, list[Shorter]] = {}
    for files in store.trials(experiment)[:MOST_EARLIER]:
        if files.id in running:
            continue
        try:
            status = files.status()
            if status.status not in (Status.DONE, Status.INTERRUPTED):
                continue
            config = files.config()
            if status.source != BENCH_SOURCE or config.get("seed") not in seeds:
                continue
            trial = load_trial(config)
            epochs = len(files.history())
        except StoreError:
            continue  # it is reported where trials are confirmed
        if epochs and (key := key_without_epochs(trial)) in wanted:
            found.setdefault(key, []).append(Shorter(trial, files, epochs))
    return found


def _why_not(shorter: Shorter, trial: Trial) -> str | None:
    """What keeps a trial's state from being gone on with by the longer `trial`, if anything."""
    if not shorter.files.last.exists():
        return DELETED
    try:
        environment = shorter.files.environment()
    except StoreError:
        return "environment.json of the earlier trials cannot be read"
    before = str(environment.get("torch", "")).partition("+")[0]
    now = importlib.metadata.version("torch").partition("+")[0]
    if before != now:
        return f"they were trained by torch {before}, and this is {now}"
    device = environment.get("device")
    wanted = trial.settings.machine.device
    if (device == "cuda") != (wanted != "cpu" and bool(visible_gpus())):
        return f"they were trained on another device ({device})"
    if (count := environment.get("devices", 1)) != trial.settings.train.devices:
        return f"they were trained on another number of devices ({count})"
    return None


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
