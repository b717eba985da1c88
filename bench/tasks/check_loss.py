"""A loss of the user's own is tried once, and an error says which argument would help."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import SpecError, describe_exception
from bench.registry import accepted, load_target
from bench.tasks.classification_loss import ForeignLabelLoss
from bench.tasks.foreign_loss import KEY, ForeignLoss
from bench.tasks.loss_settings import CustomLoss
from bench.tasks.multi_label_loss import ForeignMultiLabelLoss
from bench.tasks.settings import TargetForm

_ACTIVATIONS = ("sigmoid", "softmax", "other_act")


def loss_of(settings: CustomLoss, form: TargetForm) -> ForeignLoss:
    """The loss as the tasks with targets of this form make it."""
    kinds = {"label": ForeignLabelLoss, "labels": ForeignMultiLabelLoss}
    return kinds.get(form, ForeignLoss)(settings)


def sample(
    classes: int, form: TargetForm, *, count: int, size: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Random scores and targets of a few images; those of masks are `size` pixels wide."""
    noise = torch.Generator().manual_seed(seed)
    shape = (size, size) if form == "mask" else ()
    scores = torch.randn(count, classes, *shape, generator=noise)
    if form == "labels":
        return scores, torch.randint(2, (count, classes), generator=noise)
    target = torch.randint(classes, (count, *shape), generator=noise)
    return scores, target.to(torch.uint8) if form == "mask" else target


def check_loss(
    settings: CustomLoss,
    classes: int,
    form: TargetForm,
    *,
    one_logit: bool = False,
    shares: bool = False,
) -> None:
    """Try a loss on two small images before hours are spent on it.

    Args:
        settings: which loss.
        classes: of the data.
        form: of the targets.
        one_logit: whether the model gives one logit for two classes.
        shares: whether labels are shares of classes, samples being mixed.

    Raises:
        SpecError: it fails, gives no number or has no gradient; says which argument would help.
    """
    loss = loss_of(settings, form)
    scores, target = sample(classes, form, count=2, size=8, seed=0)
    scores = scores[:, :1] if one_logit else scores
    if shares:
        one_hot = torch.nn.functional.one_hot(target, classes).float()
        target = one_hot.lerp(torch.tensor(1 / classes), 0.3)
    _check_activation(settings, loss, scores)
    found = _tried(loss, scores.requires_grad_(), target)
    if isinstance(found, Exception):
        predictions, wanted = loss.inputs(scores, target)
        remedy = "; leave out mixup and cutmix, which give it shares of classes for labels"
        remedy = remedy if shares else _what_works(settings, form, scores, target)
        raise SpecError(
            f"{settings.target!r} fails on predictions {_shape(predictions)} and targets "
            f"{_shape(wanted)}: {describe_exception(found)}{remedy}",
            key=KEY,
        ) from found
    _check_value(settings, found)


def _tried(loss: ForeignLoss, scores: Tensor, target: Tensor) -> Any:
    try:
        return loss(scores, target)
    except Exception as error:  # code of others may raise anything
        return error


def _check_value(settings: CustomLoss, found: Any) -> None:
    builder, target = load_target(settings.target), settings.target
    if not isinstance(found, Tensor):
        raise SpecError(f"{target!r} must give a tensor, not a {type(found).__name__}", key=KEY)
    if found.numel() != 1 or found.dim() > 1:
        hint = "set reduction: mean" if accepted(builder, {"reduction": 0}) else "give their mean"
        raise SpecError(f"{target!r} gives {_shape(found)}, not one number: {hint}", key=KEY)
    if not found.requires_grad:
        raise SpecError(f"{target!r} gives a number without a gradient", key=KEY)
    if not found.isfinite():
        raise SpecError(f"{target!r} gives {float(found)} for random scores", key=KEY)


def _check_activation(settings: CustomLoss, loss: ForeignLoss, scores: Tensor) -> None:
    """MONAI's losses take scores for probabilities unless they are told, without a word."""
    if settings.predictions == "probabilities" or not isinstance(loss.function, nn.Module):
        return
    one_channel = loss.predictions(scores).shape[1] == 1
    for module in loss.function.modules():
        if not all(hasattr(module, name) for name in _ACTIVATIONS):
            continue
        if not any(getattr(module, name) for name in _ACTIVATIONS):
            remedy = "sigmoid: true" if one_channel else "softmax: true"
            raise SpecError(
                f"{settings.target!r} takes the model's scores for probabilities: set {remedy}",
                key=KEY,
            )
        if one_channel and getattr(module, "softmax", False):
            raise SpecError(
                f"{settings.target!r} gets one logit, of which softmax is always 1: set "
                "sigmoid: true instead of softmax, or predictions: scores",
                key=KEY,
            )


def _what_works(settings: CustomLoss, form: TargetForm, scores: Tensor, target: Tensor) -> str:
    """Which other form the loss takes, as the end of an error."""
    works = []
    for predictions in (settings.predictions, "scores", "logit"):
        for targets in ("labels", "channel", "one_hot"):
            changes = {"predictions": predictions, "targets": targets}
            other = settings.model_copy(update=changes)
            found = _tried(loss_of(other, form), scores, target)
            if isinstance(found, Tensor) and found.requires_grad:
                named = [f"targets: {targets}"]
                if predictions != settings.predictions:
                    named.append(f"predictions: {predictions}")
                works.append(" and ".join(named))
    # the fewest changes come first
    return f"; set {works[0]}, with which it works" if works else ""


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
