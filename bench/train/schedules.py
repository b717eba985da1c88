"""Learning-rate schedules as they act in training: formulas, plateaus, and others' schedulers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bench.errors import SpecError, first_line
from bench.history_row import HistoryRow
from bench.registry import accepted, build_custom, load_target
from bench.spec.schema import SelectSettings
from bench.spec.train_parts import CustomSchedule, Plateau
from bench.spec.train_settings import TrainSettings
from bench.train.optim import set_learning_rates, warmed_up

KEY = "train.schedule"
Factor = Callable[[float], float]
"""From the epochs that are done, fractions included, to a factor of each group's peak."""


class Schedule(Protocol):
    """Sets the learning rates of an optimizer's groups."""

    def before_step(self, done: float) -> None:
        """A step is about to be taken, in the middle of which so many epochs are done."""
        ...

    def after_step(self) -> None:
        """A step was taken."""
        ...

    def after_epoch(self, history: Sequence[HistoryRow]) -> None:
        """An epoch is over, the last of `history`."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from; empty where it follows from the history."""
        ...

    def load_state_dict(self, state: Mapping[str, Any], history: Sequence[HistoryRow]) -> None:
        """Go on after these epochs."""
        ...


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: TrainSettings, select: SelectSettings
) -> Schedule:
    """The schedule of the spec.

    Raises:
        SpecError: one of one's own is not there, or is neither a function nor a scheduler.
    """
    chosen = settings.schedule
    if isinstance(chosen, Plateau):
        return PlateauSchedule(optimizer, settings, chosen, select)
    if not isinstance(chosen, CustomSchedule):
        return FormulaSchedule(optimizer, settings)
    target = load_target(chosen.target)
    is_scheduler = inspect.isclass(target) and issubclass(target, LRScheduler)
    if is_scheduler or accepted(target, {"optimizer": optimizer}):
        return TorchSchedule(optimizer, settings, chosen, select)
    return FormulaSchedule(optimizer, settings, custom_factor(settings, chosen))


def custom_factor(settings: TrainSettings, chosen: CustomSchedule) -> Factor:
    """A function of one's own from the epochs that are done to a factor.

    Raises:
        SpecError: it is none, or gives something else than a number.
    """
    target = load_target(chosen.target)
    try:
        direct = "done" in inspect.signature(target).parameters
    except ValueError:
        direct = False
    try:
        found = build_custom(chosen, epochs=settings.epochs, part_lacks=1 if direct else 2)
        values = [float(found(settings.epochs * share)) for share in (0.0, 0.25, 0.5, 0.99)]
    except Exception as error:  # code of others may raise anything
        raise SpecError(
            f"{chosen.target!r} must be, or give, a function of the epochs that are done, or be a "
            f"scheduler of torch: {first_line(error)}",
            key=KEY,
        ) from error
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise SpecError(f"{chosen.target!r} gives {min(values)} as a factor of train.lr", key=KEY)
    factor: Factor = found
    return factor


class FormulaSchedule:
    """A function of the epochs that are done."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        factor: Factor | None = None,
    ) -> None:
        self._optimizer, self._settings, self._factor = optimizer, settings, factor

    def before_step(self, done: float) -> None:
        """See `Schedule`."""
        if self._factor is None:
            set_learning_rates(self._optimizer, self._settings, done)
            return
        factor = float(self._factor(done))
        for group in self._optimizer.param_groups:
            group["lr"] = warmed_up(self._settings, done, group["peak"] * factor)

    def after_step(self) -> None:
        """See `Schedule`."""

    def after_epoch(self, history: Sequence[HistoryRow]) -> None:
        """See `Schedule`."""

    def state_dict(self) -> dict[str, Any]:
        """See `Schedule`."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], history: Sequence[HistoryRow]) -> None:
        """See `Schedule`."""


class PlateauSchedule(FormulaSchedule):
    """Falls when the selected metric has not improved; as torch's ReduceLROnPlateau."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        plateau: Plateau,
        select: SelectSettings,
    ) -> None:
        super().__init__(optimizer, settings)
        self._plateau, self._select = plateau, select
        self._falls = 0

    def before_step(self, done: float) -> None:
        """See `Schedule`."""
        factor = self._plateau.factor**self._falls
        for group in self._optimizer.param_groups:
            rate = warmed_up(self._settings, done, group["peak"] * factor)
            group["lr"] = max(rate, min(self._plateau.min_lr, group["peak"]))

    def after_epoch(self, history: Sequence[HistoryRow]) -> None:
        """See `Schedule`."""
        self._falls = falls([row.get(self._select.metric) for row in history], self)

    def load_state_dict(
        self,
        state: Mapping[str, Any],  # noqa: ARG002 - it follows from the history
        history: Sequence[HistoryRow],
    ) -> None:
        """See `Schedule`."""
        self.after_epoch(history)

    def improves(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far by `min_delta`."""
        if best is None:
            return True
        sign = 1 if self._select.mode == "max" else -1
        return sign * (value - best) > self._plateau.min_delta

    @property
    def patience(self) -> int:
        """Epochs without improvement that are waited for."""
        return self._plateau.patience


def falls(values: Sequence[float | None], plateau: PlateauSchedule) -> int:
    """How often the learning rate has fallen after epochs with these values."""
    best: float | None = None
    waited = count = 0
    for value in values:
        if value is not None and math.isfinite(value) and plateau.improves(value, best):
            best, waited = value, 0
            continue
        waited += 1
        if waited > plateau.patience:
            count, waited = count + 1, 0
    return count


def _check_scheduler(chosen: CustomSchedule, scheduler: Any, select: SelectSettings) -> bool:
    """Whether a scheduler's `step` needs the selected metric.

    Raises:
        SpecError: it is no scheduler, waits for the metric to go the wrong way, or is to take a
            step where no metric is known.
    """
    lacking = [n for n in ("step", "state_dict", "load_state_dict") if not hasattr(scheduler, n)]
    if lacking:
        raise SpecError(
            f"{chosen.target!r} gives a {type(scheduler).__name__} without {lacking[0]}: give a "
            "scheduler of torch's kind, or a function of `done`",
            key=KEY,
        )
    if isinstance(scheduler, ReduceLROnPlateau) and scheduler.mode != select.mode:
        raise SpecError(
            f"{chosen.target!r} has mode {scheduler.mode}, and of {select.metric} "
            f"{'more' if select.mode == 'max' else 'less'} is better: set mode: {select.mode}",
            key=KEY,
        )
    parameters = inspect.signature(scheduler.step).parameters.values()
    needs = any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )
    if needs and chosen.per == "step":
        raise SpecError(
            f"{chosen.target!r} needs a metric, which is known after an epoch: remove per: step",
            key=KEY,
        )
    return needs


class TorchSchedule:
    """A scheduler of torch's kind, or what a function of the optimizer makes.

    It changes the optimizer's groups itself. One whose `step` needs a value is given the selected
    metric after each epoch.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        chosen: CustomSchedule,
        select: SelectSettings,
    ) -> None:
        for name, default in (("warmup_epochs", 0.0), ("unfreeze_epoch", None)):
            if getattr(settings, name) != default:
                raise SpecError(
                    f"cannot be combined with the scheduler {chosen.target!r}", key=f"train.{name}"
                )
        target, arguments = load_target(chosen.target), dict(chosen.model_extra or {})
        if inspect.isclass(target) and issubclass(target, ReduceLROnPlateau):
            arguments = {"mode": select.mode} | arguments
        try:
            self._scheduler: Any = target(optimizer, **arguments)
        except Exception as error:  # code of others may raise anything
            raise SpecError(
                f"{chosen.target!r} cannot be built: {first_line(error)}", key=KEY
            ) from error
        self._per_step, self._metric = chosen.per == "step", select.metric
        self._needs_metric = _check_scheduler(chosen, self._scheduler, select)

    def before_step(self, done: float) -> None:
        """See `Schedule`."""

    def after_step(self) -> None:
        """See `Schedule`."""
        if self._per_step:
            self._scheduler.step()

    def after_epoch(self, history: Sequence[HistoryRow]) -> None:
        """See `Schedule`."""
        if self._needs_metric:
            value = history[-1].get(self._metric)
            self._scheduler.step(math.nan if value is None else value)
        elif not self._per_step:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """See `Schedule`."""
        found: dict[str, Any] = self._scheduler.state_dict()
        return found

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        history: Sequence[HistoryRow],  # noqa: ARG002 - its state says it all
    ) -> None:
        """See `Schedule`."""
        self._scheduler.load_state_dict(dict(state))
