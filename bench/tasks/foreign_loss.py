"""Losses of the user's own and of other packages, given what they want to be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.errors import SpecError, describe_exception
from bench.labels import IGNORE_LABEL
from bench.registry import accepted, build_custom, load_target
from bench.tasks.loss_settings import CustomLoss
from bench.tasks.losses import Measured
from bench.tasks.outputs import as_classes, as_logit

KEY = "train.loss"
CERTAIN = 20.0
"""Scores of an ignored pixel: its first class is as good as certain, exp(-40), without overflow."""
_ACTIVATIONS = ("sigmoid", "softmax", "other_act")
Targets = Literal["labels", "channel", "one_hot"]


class ForeignLoss:
    """A loss called as `loss(predictions, targets)`, which gives the batch's loss, ().

    Predictions are float32 scores, (B, K, H, W) or (B, K); `predictions` and `targets` of its
    settings say in which form. Ignored pixels: a loss with an argument `ignore_index` is given the
    ignore label, 255, and labels that have it. To any other they are pixels of the first class
    predicted with certainty, from which no gradient comes.

    The loss of a split is the mean over its images of the loss of each by itself: it depends on no
    batch size, whatever the loss. An image of which no pixel counts has none.

    Attributes:
        function: the loss.
    """

    def __init__(self, settings: CustomLoss, *, pixels: bool = True) -> None:
        """Raises SpecError where it is not there or refuses its arguments.

        Of images' labels, with `pixels` false, none is ignored: 255 is a class like others.
        """
        self._settings = settings
        self.function = _build(settings, pixels=pixels)
        given = _has_ignore_index(settings) or _given(settings, "ignore_index")
        self._sees_ignored = given or not pixels

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        """See `Loss`."""
        predictions, wanted = self.inputs(scores, target)
        found: Tensor = self.function(predictions, wanted)
        return found

    def amount(self, _target: Tensor) -> None:
        """See `Loss`: nothing is known of it."""

    def measure(self, scores: Tensor, target: Tensor) -> Measured:
        """(2,): the sum of the images' losses, and how many images have one."""
        each = [self(scores[i : i + 1], target[i : i + 1]) for i in range(len(scores))]
        losses = torch.stack(each).double().view(len(scores))
        counted = (target.view(len(target), -1) != IGNORE_LABEL).any(1)
        if target.dim() == 1:
            counted = torch.ones_like(counted)  # of labels none is ignored
        sums = torch.stack([torch.where(counted, losses, 0.0).sum(), counted.sum().double()])
        return Measured(sums, torch.where(counted, losses, torch.nan))

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        return sums[0] / sums[1]

    def inputs(self, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss is called with; shares of classes (B, K) as they are."""
        if target.is_floating_point():
            predictions = self.predictions(scores)
            return predictions, target[:, 1:] if predictions.shape[1] == 1 else target
        if not self._sees_ignored and target.dim() > 1:
            scores, target = _without_ignored(scores, target)
        predictions = self.predictions(scores)
        kind = self.targets_for(predictions)
        if kind == "labels":
            return predictions, target.long()
        if kind == "channel":
            channel = target.unsqueeze(1)
            return predictions, channel.float() if predictions.shape[1] == 1 else channel.long()
        return predictions, _one_hot(target, predictions.shape[1]).to(predictions.dtype)

    def predictions(self, scores: Tensor) -> Tensor:
        """The model's scores in the form that the loss wants."""
        match self._settings.predictions:
            case "auto":
                return scores
            case "scores":
                return as_classes(scores)
            case "probabilities":
                return as_classes(scores).softmax(1)
            case "logit":
                return as_logit(scores)

    def targets_for(self, predictions: Tensor) -> Targets:
        """In which form the loss is given its targets."""
        wanted = self._settings.targets
        if wanted != "auto":
            return wanted
        if predictions.shape[1] == 1:
            return "channel"
        if _is_of_monai(self.function):
            return "channel" if _any(self.function, "to_onehot_y") else "one_hot"
        return "labels"


def check_loss(
    settings: CustomLoss,
    classes: int,
    *,
    masks: bool,
    one_logit: bool = False,
    shares: bool = False,
) -> None:
    """Try a loss on two small images before hours are spent on it.

    Args:
        settings: which loss.
        classes: of the data.
        masks: whether they are of pixels; else of images.
        one_logit: whether the model gives one logit for two classes.
        shares: whether labels are shares of classes, samples being mixed.

    Raises:
        SpecError: it fails, gives no number or has no gradient; says which argument would help.
    """
    loss = ForeignLoss(settings, pixels=masks)
    noise = torch.Generator().manual_seed(0)
    size = (8, 8) if masks else ()
    scores = torch.randn(2, 1 if one_logit else classes, *size, generator=noise)
    target = torch.randint(classes, (2, *size), generator=noise)
    target = target.to(torch.uint8) if masks else target
    if shares:
        target = (
            torch.nn.functional.one_hot(target, classes)
            .float()
            .lerp(torch.tensor(1 / classes), 0.3)
        )
    _check_activation(settings, loss, scores)
    found = _tried(loss, scores.requires_grad_(), target)
    if isinstance(found, Exception):
        predictions, wanted = loss.inputs(scores, target)
        remedy = "; leave out mixup and cutmix, which give it shares of classes for labels"
        remedy = remedy if shares else _what_works(settings, scores, target)
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


def _what_works(settings: CustomLoss, scores: Tensor, target: Tensor) -> str:
    """Which other form the loss takes, as the end of an error."""
    works = []
    for predictions in (settings.predictions, "scores", "logit"):
        for targets in ("labels", "channel", "one_hot"):
            changes = {"predictions": predictions, "targets": targets}
            other = settings.model_copy(update=changes)
            pixels = target.dim() > 1
            found = _tried(ForeignLoss(other, pixels=pixels), scores, target)
            if isinstance(found, Tensor) and found.requires_grad:
                named = [f"targets: {targets}"]
                if predictions != settings.predictions:
                    named.append(f"predictions: {predictions}")
                works.append(" and ".join(named))
    # the fewest changes come first
    return f"; set {works[0]}, with which it works" if works else ""


def _build(settings: CustomLoss, *, pixels: bool) -> Callable[[Tensor, Tensor], Tensor]:
    context: dict[str, Any] = {"ignore_index": IGNORE_LABEL} if pixels else {}
    if isinstance(settings.weight, tuple):
        context["weight"] = torch.tensor(settings.weight)
    try:
        found: Any = build_custom(settings, **context)
    except SpecError as error:
        raise SpecError(str(error), key=KEY) from error
    if not callable(found):
        kind = type(found).__name__
        raise SpecError(f"{settings.target!r} gives a {kind}, which cannot be called", key=KEY)
    loss: Callable[[Tensor, Tensor], Tensor] = found
    return loss


def _has_ignore_index(settings: CustomLoss) -> bool:
    return bool(accepted(load_target(settings.target), {"ignore_index": IGNORE_LABEL}))


def _given(settings: CustomLoss, name: str) -> bool:
    return name in (settings.model_extra or {})


def _without_ignored(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Ignored pixels as ones of the first class that are predicted so; nothing is read back."""
    ignored = (target == IGNORE_LABEL).unsqueeze(1)
    certain = torch.full_like(scores[:1, :, :1, :1], -CERTAIN)
    if scores.shape[1] > 1:  # one logit is that of the second class
        certain[:, 0] = CERTAIN
    return torch.where(ignored, certain, scores), target.where(~ignored[:, 0], 0)


def _one_hot(target: Tensor, classes: int) -> Tensor:
    """(B, K, …) bool; an ignored pixel is of no class."""
    numbers = torch.arange(max(2, classes), device=target.device)
    found = target.unsqueeze(1) == numbers.view(1, -1, *[1] * (target.dim() - 1))
    return found if classes > 1 else found[:, 1:]


def _is_of_monai(function: Any) -> bool:
    return any(base.__module__.startswith("monai.") for base in type(function).__mro__)


def _any(function: Any, name: str) -> bool:
    """Whether a module or one inside it has something switched on."""
    modules = function.modules() if isinstance(function, nn.Module) else [function]
    return any(bool(getattr(module, name, False)) for module in modules)


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
