"""Settings that change nothing, given the others of their arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.augment.settings import (
    AUGMENTATIONS,
    CustomTransform,
    OneOfSettings,
    TransformSettings,
)
from bench.settings import Settings
from bench.spec.schema import TrialSettings
from bench.spec.train_parts import part_text
from bench.spec.train_settings import FreezeUpTo
from bench.tasks.loss_settings import loss_terms, loss_text

_MOVES_NOTHING = tuple(
    f"bench.augment.{module}:" for module in ("auto", "color", "jpeg", "mixing", "texture")
)
"""Where the transforms are that move no pixel, or not by `interpolation`."""


@dataclass(frozen=True)
class UnusedSetting:
    """A setting without effect.

    Attributes:
        setting: its dotted path, `train.momentum`.
        reason: the end of the sentence `… has no effect`.
        because_of: dotted paths of the settings that make it so, as far as axes can vary them.
        item: which item, where only one of a list is meant.
    """

    setting: str
    reason: str
    because_of: tuple[str, ...]
    item: str = ""

    @property
    def message(self) -> str:
        """The whole sentence."""
        return f"{self.item} has no effect {self.reason}".lstrip()


def unused_settings(settings: TrialSettings) -> Iterator[UnusedSetting]:
    """What one arm sets otherwise than by default, and what yet changes nothing there."""
    yield from _of_folds(settings)
    yield from _of_scores(settings)
    yield from _of_training(settings)
    yield from _of_augmentation(settings)
    yield from _mistakes(settings)


def _of_folds(settings: TrialSettings) -> Iterator[UnusedSetting]:
    folds = settings.data.folds
    if folds is not None and folds.of == "all" and getattr(settings.task, "frechet", None):
        reason = "without a test split (data.folds.of: all)"
        yield UnusedSetting("task.frechet", reason, ("data",))


def _of_scores(settings: TrialSettings) -> Iterator[UnusedSetting]:
    task, data = settings.task, settings.data
    if task.target_form != "mask":
        if _is_set(data, "background"):
            yield UnusedSetting("data.background", f"in {task.name}: there are no masks", ())
        return
    # what is fixed has no effect either way: also where the default is written out
    if len(settings.scored_classes) > 1 and "empty_mask" in task.model_fields_set:
        why = "with several scored classes: an empty mask predicted empty is always missing"
        yield UnusedSetting("task.empty_mask", why, ("data",))


def _of_training(settings: TrialSettings) -> Iterator[UnusedSetting]:
    train, task = settings.train, settings.task
    freeze = train.freeze
    stages: tuple[str, ...] = getattr(settings.model, "stages", ())  # of one's own: not known
    up_to_last = isinstance(freeze, FreezeUpTo) and stages[-1:] == (freeze.up_to,)
    stays_frozen = (freeze == "encoder" or up_to_last) and train.unfreeze_epoch is None
    rules: tuple[tuple[str, bool, str, tuple[str, ...]], ...] = (
        (
            "focal_gamma",
            not any(getattr(term, "name", None) == "focal" for term in loss_terms(train.loss)),
            f"with loss: {loss_text(train.loss)}",
            ("train.loss",),
        ),
        (
            "label_smoothing",
            task.target_form not in ("label", "labels"),
            f"in {task.name}: images have no labels",
            (),
        ),
        (
            "micro_batch",
            isinstance(train.micro_batch, int) and train.micro_batch >= train.batch_size,
            f"with batch_size: {train.batch_size}, which is no larger",
            ("train.batch_size",),
        ),
        ("sync_batch_norm", train.devices == 1, "on one device", ("train.devices",)),
        (
            "momentum",
            train.optimizer != "sgd",
            f"with optimizer: {part_text(train.optimizer)}",
            ("train.optimizer",),
        ),
        (
            "warmup_epochs",
            train.schedule == "one_cycle",
            "with schedule: one_cycle, which has a warm-up of its own",
            ("train.schedule",),
        ),
        ("unfreeze_epoch", freeze == "none", "where nothing is frozen", ("train.freeze",)),
        (
            "encoder_lr",
            stays_frozen,
            "where the whole encoder stays frozen",
            ("train.freeze", "train.unfreeze_epoch", *(["model"] if up_to_last else [])),
        ),
    )
    for name, idle, why, because_of in rules:
        if idle and _is_set(train, name):
            yield UnusedSetting(f"train.{name}", why, because_of)


def _of_augmentation(settings: TrialSettings) -> Iterator[UnusedSetting]:
    augment, because_of = settings.augment, ("augment.transforms",)
    if not augment.transforms and augment.pipeline is None and _is_set(augment, "mode"):
        yield UnusedSetting("augment.mode", "without transforms", because_of)
    if not _moves(augment.transforms) and _is_set(augment, "interpolation"):
        yield UnusedSetting("augment.interpolation", "where no transform moves a pixel", because_of)


def _mistakes(settings: TrialSettings) -> Iterator[UnusedSetting]:
    task, mistakes = settings.task, settings.mistakes
    if "unpaired_masks" in mistakes:
        if task.target_form != "mask":
            yield UnusedSetting(
                "mistakes", f"in {task.name}: there are no masks", (), "unpaired_masks"
            )
        elif settings.augment.pipeline is None and not _moves(settings.augment.transforms):
            why = "where no transform moves a pixel"
            yield UnusedSetting("mistakes", why, ("augment.transforms",), "unpaired_masks")
    if "eval_mode_leak" in mistakes and settings.train.epochs == 1:
        why = "in one epoch: it begins with the second"
        yield UnusedSetting("mistakes", why, ("train.epochs",), "eval_mode_leak")


def _moves(transforms: Iterable[TransformSettings]) -> bool:
    """Whether any of them may be geometric; of one's own it is not known."""
    for part in transforms:
        if isinstance(part, OneOfSettings):
            found = _moves(part.of)
        elif isinstance(part, CustomTransform):
            found = True
        else:
            name = str(part.name)  # type: ignore[attr-defined]  # every registered one has it
            found = not AUGMENTATIONS.entry(name).target.startswith(_MOVES_NOTHING)
        if found:
            return True
    return False


def _is_set(part: Settings, name: str) -> bool:
    """Whether a setting is another than its default, however it is written."""
    return bool(getattr(part, name) != type(part).model_fields[name].default)
