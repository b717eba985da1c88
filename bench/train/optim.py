"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.spec.train_parts import Polynomial, Step
from bench.spec.train_settings import TrainSettings
from bench.train.custom_optimizer import custom_optimizer

ParameterGroup = dict[str, Any]
"""A parameter group of an optimizer: `params`, and `peak`, the learning rate it is scheduled by."""

# the defaults of torch's OneCycleLR: div_factor, final_div_factor and pct_start
ONE_CYCLE_START, ONE_CYCLE_END, ONE_CYCLE_PEAK = 1 / 25, 1 / 25e4, 0.3


def parameter_group(parameters: list[nn.Parameter], peak: float) -> ParameterGroup:
    """A group of its own learning rate, which is scheduled from 0 to `peak`."""
    return {"params": parameters, "peak": peak}


def make_optimizer(
    groups: Sequence[ParameterGroup], settings: TrainSettings
) -> torch.optim.Optimizer:
    """The optimizer of the spec, with a fused step."""
    common: dict[str, Any] = {
        "lr": settings.lr,
        "weight_decay": settings.weight_decay,
        "fused": True,
    }
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(groups, **common)
        case "adamw":
            return torch.optim.AdamW(groups, **common)
        case "sgd":
            optimizer = torch.optim.SGD(groups, momentum=settings.momentum, **common)
            start_momentum(optimizer)
            return optimizer
        case own:
            return custom_optimizer(groups, own, settings)


def start_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Let momentum begin with 0, to be called when parameters were added; the same to the bit.

    torch leaves the first step to fill it: memory as it comes, where that step is not taken. What
    an optimizer of one's own keeps is its own affair.
    """
    if type(optimizer) is not torch.optim.SGD:
        return
    for group in optimizer.param_groups:
        for weight in group["params"] if group.get("momentum") else ():
            optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))


def learning_rate(settings: TrainSettings, done: float, peak: float) -> float:
    """The learning rate after `done` epochs, fractions included, where `peak` is its highest.

    * constant: `peak`; cosine: half a cosine from `peak` to 0 (Loshchilov and Hutter 2017 without
      restarts); both after a linear warm-up of `warmup_epochs`.
    * polynomial: peak · (1 - share)^power, of the share after the warm-up that is done; step: times
      `factor` after every so many epochs, or after those that are listed.
    * one_cycle (Smith and Topin 2018, cosine-shaped): up from peak/25 to `peak` over the first 30%,
      then down to peak/250,000; momentum stays.
    """
    schedule = settings.schedule
    if schedule == "one_cycle":
        return peak * _one_cycle(done / settings.epochs)
    if done < settings.warmup_epochs:
        return peak * done / settings.warmup_epochs
    if schedule == "constant":
        return peak
    if isinstance(schedule, Step):
        return peak * float(schedule.factor ** _falls(schedule, done))
    share = (done - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    if isinstance(schedule, Polynomial):
        return peak * float(max(0.0, 1 - share) ** schedule.power)
    return peak * _between(1.0, 0.0, share)


def warmed_up(settings: TrainSettings, done: float, rate: float) -> float:
    """A learning rate, or a part of it in the epochs of the linear warm-up."""
    return rate * done / settings.warmup_epochs if done < settings.warmup_epochs else rate


def _falls(schedule: Step, done: float) -> int:
    if schedule.every is not None:
        return int(done // schedule.every)
    return sum(done >= epoch for epoch in schedule.at or ())


def set_learning_rates(
    optimizer: torch.optim.Optimizer, settings: TrainSettings, done: float
) -> None:
    """Set every parameter group's for the step after `done` epochs, by the group's own peak."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, done, group["peak"])


def _one_cycle(share: float) -> float:
    if share < ONE_CYCLE_PEAK:
        return _between(ONE_CYCLE_START, 1.0, share / ONE_CYCLE_PEAK)
    return _between(1.0, ONE_CYCLE_END, (share - ONE_CYCLE_PEAK) / (1 - ONE_CYCLE_PEAK))


def _between(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` (share 0) to `end` (share 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
