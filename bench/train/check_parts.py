"""Parts of the user's own that training needs, tried once before hours are spent on them."""

from __future__ import annotations

import torch
from torch import nn

from bench.data.base import Split
from bench.errors import SpecError
from bench.plan.trial import Trial
from bench.registry import accepted, load_target
from bench.spec.train_parts import CustomSampler
from bench.tasks.check_loss import check_loss
from bench.tasks.check_task import check_task
from bench.tasks.custom_settings import CustomTask
from bench.tasks.loss_settings import OWN_LOSS, CustomLoss, loss_terms
from bench.tasks.metric_set import require
from bench.train.custom_optimizer import check_optimizer
from bench.train.optim import make_optimizer
from bench.train.samplers import EpochSampler
from bench.train.schedules import make_schedule
from bench.train.trial_parts import build_task


def check_parts(trial: Trial, *, one_logit: bool = False) -> None:
    """Try the trial's loss, optimizer and schedule where they are the user's own.

    Args:
        trial: whose settings they are in.
        one_logit: whether its model gives one logit for two classes.

    Raises:
        SpecError: one of them does not work; says which argument would help.
    """
    settings = trial.settings
    for metric in getattr(settings.task, "metrics", ()):
        require(metric)
    for term in loss_terms(settings.train.loss):
        if isinstance(term, CustomLoss):
            check_loss(
                term,
                len(settings.classes),
                settings.task.target_form,
                one_logit=one_logit,
                shares=bool(settings.augment.mixing) and settings.task.target_form == "label",
            )
    _check_own_task(trial)
    check_optimizer(settings.train)
    if not isinstance(settings.train.schedule, str):
        weight = nn.Parameter(torch.zeros(1))
        groups = [{"params": [weight], "peak": settings.train.lr}]
        make_schedule(make_optimizer(groups, settings.train), settings.train, settings.select)


def check_sampler(trial: Trial, train: Split) -> None:
    """Draw an epoch by a sampler of the user's own.

    Args:
        trial: whose settings it is in.
        train: the training split.

    Raises:
        SpecError: it fails, or gives places that are none.
    """
    settings = trial.settings
    chosen = settings.train.sampler
    if isinstance(chosen, CustomSampler):
        count, form = build_task(settings).count_classes, settings.task.target_form
        EpochSampler(chosen, train, form, count, trial.seed).draw(1)


def _check_own_task(trial: Trial) -> None:
    """Try a task of the user's own on a few images."""
    settings = trial.settings
    chosen = settings.task
    if not isinstance(chosen, CustomTask):
        return
    takes_loss = accepted(load_target(chosen.target), {"loss": None})
    if settings.train.loss != OWN_LOSS and not takes_loss:
        raise SpecError(
            f"{chosen.target!r} has its own and takes no argument `loss`: remove train.loss",
            key="train.loss",
        )
    data = settings.data
    task, classes = build_task(settings), len(settings.classes)
    check_task(chosen, task, classes, data.network_size, data.channel_count)
