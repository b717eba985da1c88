"""What a process does to prepare trials: their data, checks before anything is spent, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from bench.augment.check_custom import SampleCost, check_custom_transforms
from bench.data.base import Splits
from bench.data.cache import verified_caches
from bench.data.check_splits import check_splits
from bench.data.folds import first_fold, in_folds
from bench.data.settings import DATASETS
from bench.data.survey import Survey, data_set_name
from bench.data.survey_cache import look
from bench.durations import format_duration
from bench.plan.cost import model_costs
from bench.plan.data_sets import data_key
from bench.plan.trial import Trial, digest
from bench.run.prepared import Prepared, Report
from bench.train.check_parts import check_parts, check_sampler
from bench.train.compiling import check_batches
from bench.train.placement import check_placement, choose_placement
from bench.train.session import check_machine
from bench.train.trial_parts import cuda_or_cpu


class Preparation:
    """Prepares trials one after the other; what they share once.

    Args:
        trials_per_device: how many trials a device will have at a time.
        report: called with what is being done.
        survey: whether to look at the data sets.
    """

    def __init__(self, trials_per_device: int, report: Report, *, survey: bool) -> None:
        self._trials_per_device, self._report, self._survey = trials_per_device, report, survey
        self._ready: dict[str, Splits] = {}  # by `data_key`
        self._surveys: dict[str, Survey] = {}
        self._placements: list[str] = []
        self._notes: dict[str, None] = {}
        self._tried: set[str] = set()

    def prepared(self, trials: Sequence[Trial]) -> Prepared:
        """Everything that the trials need, and what their models cost.

        Raises:
            BenchError: data is missing, a part cannot be used, …
        """
        for trial in trials:
            check_machine(trial)
        fingerprints = {trial.id: self._check(trial).fingerprint for trial in trials}
        costs = model_costs(trials, lambda what: self._report(f"cost of {what}", 0, 0))
        measured = {key: asdict(cost) for key, cost in costs.items()}
        notes, placements = tuple(self._notes), tuple(self._placements)
        return Prepared(measured, fingerprints, notes, placements, self._surveys)

    def _check(self, trial: Trial) -> Splits:
        """Try a trial's parts, unless some like them were tried; its data."""
        splits = self._data(trial)
        images = len(splits.splits["train"])
        check_batches(trial.settings.train, images)
        self._notes |= dict.fromkeys(self._augmentation_notes(trial, images))
        if (parts := _parts_key(trial)) not in self._tried:
            self._tried.add(parts)
            check_parts(trial)
            check_sampler(trial, splits.splits["train"])
        return splits

    def _data(self, trial: Trial) -> Splits:
        """A trial's data set, decoded and placed where it was not yet."""
        data, machine = trial.settings.data, trial.settings.machine
        device = cuda_or_cpu(machine.device)
        check_placement(machine.placement, device)
        key = data_key(trial)
        if key in self._ready:
            return self._ready[key]
        what = f"data {data_set_name(data)}"
        with verified_caches():
            whole = DATASETS.build(data).prepare(partial(self._report, what))
        check_splits(whole, data.size, data.channel_count)
        found = self._ready[key] = in_folds(whole, data, trial.fold, trial.seed)
        target = trial.settings.task.target_form
        choice = choose_placement(machine, found.splits, target, device, self._trials_per_device)
        self._placements.append(f"{what}: {choice}")
        self._notes |= dict.fromkeys(found.notes)
        if self._survey:
            self._report(f"survey of {what}", 0, 0)
            self._surveys[key] = look(first_fold(whole, data, trial.seed), data)
        return found

    def _augmentation_notes(self, trial: Trial, images: int) -> list[str]:
        """Try a trial's augmentation, unless one like it was tried; what takes time in it."""
        settings = trial.settings
        size, channels = settings.data.network_size, settings.data.channel_count
        classes, masks = len(settings.classes), settings.task.target_form == "mask"
        key = digest([settings.augment.identity(), size, channels, classes, masks, images])
        if key in self._tried:
            return []
        self._tried.add(key)
        costs = check_custom_transforms(
            settings.augment, size, channels, classes=classes, masks=masks
        )
        return [_augmentation_note(cost, images) for cost in costs]


def _augmentation_note(cost: SampleCost, images: int) -> str:
    seconds = cost.seconds * images
    whole = format_duration(seconds) if seconds >= 60 else f"{seconds:.1f} s"
    note = (
        f"augmentation by {cost.name} takes {1000 * cost.seconds:.1f} ms of CPU time per image, "
        f"{whole} in an epoch of {images} images"
    )
    return f"{note}; left out: {cost.left_out}" if cost.left_out else note


def _parts_key(trial: Trial) -> str:
    """What decides whether a trial's parts of the user's own work: the same for all its seeds."""
    settings = trial.settings
    mixing = list(settings.augment.mixing)  # the loss is of shares of classes then
    parts = [settings.train.identity(), settings.task.identity(), list(settings.classes), mixing]
    return digest(parts)
