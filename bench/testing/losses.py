"""What every loss must do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.labels import IGNORE_LABEL, MISSING_LABEL
from bench.tasks.check_loss import check_loss, loss_of, sample
from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.loss_settings import CustomLoss
from bench.tasks.settings import TargetForm
from bench.testing.cases import Check, as_test, require


def loss_conforms(
    target: str,
    *,
    classes: int = 3,
    masks: bool = True,
    several_labels: bool = False,
    **arguments: Any,
) -> Callable[..., None]:
    """A test of a loss in all its duties.

    Args:
        target: `module:Name`, as in `train.loss`.
        classes: how many it is tried with.
        masks: whether it is of pixels; else of labels of images.
        several_labels: whether it is of images with any number of labels.
        arguments: the others of `train.loss`, such as `targets`.
    """
    settings = CustomLoss.model_validate({"target": target, **arguments})
    form: TargetForm = "labels" if several_labels else "mask" if masks else "label"
    suite = _Suite(settings, classes, form)
    checks: list[Check] = [
        suite.works_as_it_is_called,
        suite.falls_along_its_gradient,
        suite.stays_finite_where_predictions_are_certain,
        suite.changes_nothing_in_evaluation,
        suite.comes_back_from_its_state,
        suite.does_not_wait_for_the_device,
    ]
    if form == "mask":
        checks.append(suite.sends_no_gradient_to_ignored_pixels)
    if form == "labels":
        checks.append(suite.sends_no_gradient_to_missing_labels)
    return as_test(checks)


class _Suite:
    def __init__(self, settings: CustomLoss, classes: int, form: TargetForm) -> None:
        self.settings, self.classes, self.form = settings, classes, form

    def _loss(self) -> ForeignLoss:
        torch.manual_seed(0)
        return loss_of(self.settings, self.form)

    def _sample(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        scores, target = sample(self.classes, self.form, count=4, size=16, seed=1)
        return scores.to(device), target.to(device)

    def works_as_it_is_called(self) -> None:
        check_loss(self.settings, self.classes, self.form)

    def falls_along_its_gradient(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        before = loss(scores.requires_grad_(), target)
        (gradient,) = torch.autograd.grad(before, scores)
        require(gradient.isfinite().all(), "the gradient is finite")
        step = 1e-3 / max(float(gradient.abs().max()), 1e-12)
        after = loss(scores.detach() - step * gradient, target)
        require(after <= before, "a small step against the gradient makes the loss no larger")

    def stays_finite_where_predictions_are_certain(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        for sign in (30.0, -30.0):
            sure = (sign * scores.sign()).requires_grad_()
            value = loss(sure, target)
            (gradient,) = torch.autograd.grad(value, sure)
            require(value.isfinite() and gradient.isfinite().all(), "scores of ±30 give numbers")

    def sends_no_gradient_to_ignored_pixels(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        target[:, 4:8] = IGNORE_LABEL
        (gradient,) = torch.autograd.grad(loss(scores.requires_grad_(), target), scores)
        require(not gradient[:, :, 4:8].any(), "ignored pixels have no gradient")
        require(gradient.any(), "others have one")

    def sends_no_gradient_to_missing_labels(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        target[:, 0] = MISSING_LABEL
        (gradient,) = torch.autograd.grad(loss(scores.requires_grad_(), target), scores)
        require(gradient[:, 0].abs().max() < 1e-6, "missing labels have no gradient")
        require(gradient.any(), "others have one")

    def changes_nothing_in_evaluation(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        if isinstance(loss.function, nn.Module):
            loss.function.eval()
        with torch.inference_mode():
            first, again = (loss(scores, target) for _ in range(2))
        require(torch.equal(first, again), "the same batch has the same loss in evaluation")

    def comes_back_from_its_state(self) -> None:
        loss, (scores, target) = self._loss(), self._sample()
        for shift in (0.0, 0.5):
            loss(scores + shift, target)
        other = self._loss()
        if isinstance(loss.function, nn.Module) and isinstance(other.function, nn.Module):
            other.function.load_state_dict(copy.deepcopy(loss.function.state_dict()))
        require(
            torch.equal(loss(scores, target), other(scores, target)),
            "all that it keeps from step to step is in its state_dict, or a resumed trial differs",
        )

    def does_not_wait_for_the_device(self) -> None:
        loss = self._loss()
        if isinstance(loss.function, nn.Module):
            loss.function.to("meta")
        try:
            loss(*self._sample("meta"))
        except (RuntimeError, NotImplementedError) as error:
            require(
                "meta" not in str(error).lower(),
                f"no value is read back from the device: every step would wait ({error})",
            )
