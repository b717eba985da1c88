"""What all trials of a run share, made once before the first: caches of data, costs of models.

It happens in a worker process, so that the parent never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bench.data.base import Splits
from bench.data.survey import Survey
from bench.durations import format_duration
from bench.errors import BenchError, DataError, WorkerStartError
from bench.measure.oom_kills import oom_kills
from bench.plan.data_sets import data_key
from bench.plan.trial import Trial, digest
from bench.run.processes import asked_process, send_answer

if TYPE_CHECKING:  # it imports torch
    from bench.augment.check_custom import SampleCost

Costs = Mapping[str, int | None]
SPLITS = ("train", "val", "test")
ATTEMPTS = 3
"""Starts of the process that prepares, where somebody kills it."""
Report = Callable[[str, int, int], None]
"""Called with what is being prepared, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Prepared:
    """What the preparation found.

    Attributes:
        costs: `params`, `trainable_params` and `macs` by trial id.
        fingerprints: of the data's content, by trial id.
        notes: what a reader of the results should know of the data.
        placements: where each data set will rest, for whoever runs it.
        surveys: what each data set is like, by `data_key`; none where they were not asked for.
    """

    costs: Mapping[str, Costs]
    fingerprints: Mapping[str, str]
    notes: tuple[str, ...]
    placements: tuple[str, ...]
    surveys: Mapping[str, Survey] = field(default_factory=dict)


class PreparationError(BenchError):
    """A foreseen error on the other side, to be raised on this one."""


def prepare(
    trials: Sequence[Trial], report: Report, trials_per_device: int = 1, *, survey: bool = True
) -> Prepared:
    """Fill every cache the trials need and measure each distinct model.

    Args:
        trials: all that are to be run.
        report: called with what is being done.
        trials_per_device: how many trials a device will have at a time.
        survey: whether to look at the data sets, which takes a second for some thousand images.

    Raises:
        BenchError: data is missing, a model cannot be built, …
        WorkerStartError: the process that prepares was killed again and again.
    """
    killed_before = oom_kills()
    for _ in range(ATTEMPTS):
        try:
            return _prepare_once((list(trials), trials_per_device, survey), report)
        except EOFError:
            if oom_kills() != killed_before:
                why = "preparing the trials: the system ran out of memory and killed the process"
                raise PreparationError(why) from None
    raise WorkerStartError(
        f"preparing the trials: the process was ended from outside, {ATTEMPTS} times; the same "
        "command goes on from here"
    )


def _prepare_once(arguments: tuple[list[Trial], int, bool], report: Report) -> Prepared:
    """Prepare in a process of its own; EOFError where that is killed."""
    with asked_process(_prepare, arguments, "prepare", patience=5.0) as connection:
        while True:
            match connection.recv():
                case Prepared() as prepared:
                    return prepared
                case BenchError() as error:
                    raise PreparationError(str(error))
                case (str() as what, int() as done, int() as total):
                    report(what, done, total)


def _prepare(
    trials: list[Trial], trials_per_device: int, survey: bool, connection: Connection
) -> None:
    def work() -> Prepared:
        return _prepare_all(
            trials, trials_per_device, lambda *event: connection.send(event), survey=survey
        )

    send_answer(connection, work, PreparationError, "preparing the trials")


def _prepare_all(
    trials: list[Trial], trials_per_device: int, report: Report, *, survey: bool = True
) -> Prepared:
    from bench.data.cache import verified_caches
    from bench.data.folds import first_fold, in_folds
    from bench.data.settings import DATASETS
    from bench.data.survey import data_set_name
    from bench.data.survey_cache import look
    from bench.plan.cost import model_costs
    from bench.train.check_parts import check_parts, check_sampler
    from bench.train.compiling import check_batches
    from bench.train.placement import check_placement, choose_placement
    from bench.train.session import check_machine
    from bench.train.trial_parts import cuda_or_cpu

    ready: dict[str, Splits] = {}
    fingerprints: dict[str, str] = {}
    placements: list[str] = []
    notes: dict[str, None] = {}
    surveys: dict[str, Survey] = {}
    tried: set[str] = set()
    for trial in trials:
        check_machine(trial)
    for trial in trials:
        data, machine = trial.settings.data, trial.settings.machine
        device = cuda_or_cpu(machine.device)
        check_placement(machine.placement, device)
        key = data_key(trial)
        if key not in ready:
            what = f"data {data_set_name(data)}"
            with verified_caches():
                whole = DATASETS.build(data).prepare(partial(report, what))
            check_splits(whole, data.size, data.channel_count)
            ready[key] = in_folds(whole, data, trial.fold, trial.seed)
            splits, target = ready[key].splits, trial.settings.task.target_form
            choice = choose_placement(machine, splits, target, device, trials_per_device)
            placements.append(f"{what}: {choice}")
            notes |= dict.fromkeys(ready[key].notes)
            if survey:
                report(f"survey of {what}", 0, 0)
                surveys[key] = look(first_fold(whole, data, trial.seed), data)
        check_batches(trial.settings.train, len(ready[key].splits["train"]))
        augmented = _augmentation_notes(trial, len(ready[key].splits["train"]), tried)
        notes |= dict.fromkeys(augmented)
        if (parts := _own_parts(trial)) not in tried:
            tried.add(parts)
            check_parts(trial)
            check_sampler(trial, ready[key].splits["train"])
        fingerprints[trial.id] = ready[key].fingerprint
    costs = model_costs(trials, lambda what: report(f"cost of {what}", 0, 0))
    measured = {key: asdict(cost) for key, cost in costs.items()}
    return Prepared(measured, fingerprints, tuple(notes), tuple(placements), surveys)


def _augmentation_notes(trial: Trial, images: int, tried: set[str]) -> list[str]:
    """Try a trial's augmentation, unless one like it was tried; what takes time in it."""
    from bench.augment.check_custom import check_custom_transforms

    settings = trial.settings
    size, channels = settings.data.network_size, settings.data.channel_count
    classes, masks = len(settings.classes), settings.task.target_form == "mask"
    key = digest([settings.augment.identity(), size, channels, classes, masks, images])
    if key in tried:
        return []
    tried.add(key)
    costs = check_custom_transforms(settings.augment, size, channels, classes=classes, masks=masks)
    return [_augmentation_note(cost, images) for cost in costs]


def _augmentation_note(cost: SampleCost, images: int) -> str:
    seconds = cost.seconds * images
    whole = format_duration(seconds) if seconds >= 60 else f"{seconds:.1f} s"
    note = (
        f"augmentation by {cost.name} takes {1000 * cost.seconds:.1f} ms of CPU time per image, "
        f"{whole} in an epoch of {images} images"
    )
    return f"{note}; left out: {cost.left_out}" if cost.left_out else note


def _own_parts(trial: Trial) -> str:
    """What decides whether a trial's parts of the user's own work: the same for all its seeds."""
    settings = trial.settings
    mixing = list(settings.augment.mixing)  # the loss is of shares of classes then
    parts = [settings.train.identity(), settings.task.identity(), list(settings.classes), mixing]
    return digest(parts)


def check_splits(splits: Splits, size: tuple[int, int], channels: int) -> None:
    """What a data set of the user's own must keep to; MACs are counted at `size`.

    Raises:
        DataError: a split is missing, or the images are of another size.
    """
    missing = [name for name in SPLITS if name not in splits.splits]
    if missing:
        known = ", ".join(splits.splits) or "none"
        raise DataError(f"data: there is no split {missing[0]!r} (it has {known})")
    *found, there = splits.splits["train"].images.shape[1:]
    if tuple(found) != size:
        wanted = f"{size[0]}×{size[1]}"
        raise DataError(f"data: images are {found[0]}×{found[1]}, but data.image_size is {wanted}")
    if there != channels:
        raise DataError(f"data: images have {there} channels, not {channels}")
