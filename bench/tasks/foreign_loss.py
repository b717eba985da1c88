"""Losses of the user's own and of other packages, given what they want to be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.errors import SpecError
from bench.labels import IGNORE_LABEL
from bench.registry import accepted, build_custom, load_target
from bench.tasks.loss_settings import CustomLoss
from bench.tasks.losses import Measured
from bench.tasks.outputs import as_classes, as_logit

KEY = "train.loss"
CERTAIN = 20.0
"""Scores of an ignored pixel: its first class is as good as certain, exp(-40), without overflow."""
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
        ignored: the target that does not count, which a loss is given; None: it is given none.
        settings: which loss.
        function: the loss.
    """

    ignored: ClassVar[int | None] = IGNORE_LABEL
    adds_up = False

    def __init__(self, settings: CustomLoss) -> None:
        """Raises SpecError where it is not there or refuses its arguments."""
        self.settings = settings
        self.function = _build(settings, self.ignored)
        given = _has_ignore_index(settings) or _given(settings, "ignore_index")
        self._sees_ignored = given or self.ignored is None

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
        counted = self.counted(target)
        sums = torch.stack([torch.where(counted, losses, 0.0).sum(), counted.sum().double()])
        return Measured(sums, torch.where(counted, losses, torch.nan))

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        return sums[0] / sums[1]

    def counted(self, target: Tensor) -> Tensor:
        """(B,) whether anything of an image counts: of single labels none is ignored."""
        if target.dim() == 1:
            return torch.ones_like(target, dtype=torch.bool)
        return (target.flatten(1) != IGNORE_LABEL).any(1)

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
        match self.settings.predictions:
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
        wanted = self.settings.targets
        if wanted != "auto":
            return wanted
        if predictions.shape[1] == 1:
            return "channel"
        if _is_of_monai(self.function):
            return "channel" if _any(self.function, "to_onehot_y") else "one_hot"
        return "labels"


def _build(settings: CustomLoss, ignored: int | None) -> Callable[[Tensor, Tensor], Tensor]:
    context: dict[str, Any] = {} if ignored is None else {"ignore_index": ignored}
    if isinstance(settings.weight, tuple):
        context["weight"] = torch.tensor(settings.weight)
    try:
        found: Any = build_custom(settings, **context)
    except SpecError as error:
        raise SpecError(str(error), key=KEY) from error
    if not callable(found):
        kind = type(found).__name__
        raise SpecError(f"{settings.target!r} gives a {kind}, which cannot be called", key=KEY)
    _refuse_unseen_parameters(settings, found)
    loss: Callable[[Tensor, Tensor], Tensor] = found
    return loss


def _refuse_unseen_parameters(settings: CustomLoss, loss: Any) -> None:
    """A loss's parameters are trained and kept where it is a module that has them.

    Raises:
        SpecError: it has others, which no optimizer would move and no checkpoint would hold.
    """
    own = getattr(loss, "__dict__", {})
    unseen = [
        name
        for name, value in own.items()
        if (isinstance(value, Tensor) and value.requires_grad)
        or (isinstance(value, nn.Module) and any(True for _ in value.parameters()))
    ]
    if unseen:
        raise SpecError(
            f"{settings.target!r} keeps {unseen[0]!r}, which would not be trained: make the loss "
            "an nn.Module, and its tensors nn.Parameter",
            key=KEY,
        )


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
