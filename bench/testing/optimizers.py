"""What every optimizer must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench.spec.train_parts import CustomOptimizer
from bench.spec.train_settings import TrainSettings
from bench.testing.cases import as_test, require
from bench.train.custom_optimizer import check_optimizer, custom_optimizer


def optimizer_conforms(target: str, *, lr: float = 1e-2, **arguments: Any) -> Callable[..., None]:
    """A test of an optimizer in all its duties.

    Args:
        target: `module:Name`, as in `train.optimizer`.
        lr: a learning rate that suits it.
        arguments: the others of `train.optimizer`.
    """
    suite = _Suite(target, lr, arguments)
    return as_test(
        [
            suite.moves_weights_and_resumes_to_the_bit,
            suite.makes_a_convex_loss_smaller,
            suite.follows_each_groups_learning_rate,
            suite.leaves_weights_without_gradient_alone,
            suite.takes_further_groups_later,
        ]
    )


class _Suite:
    def __init__(self, target: str, lr: float, arguments: dict[str, Any]) -> None:
        chosen = {"target": target, **arguments}
        self.settings = TrainSettings.model_validate({"optimizer": chosen, "lr": lr})

    def _made(self, *groups: list[nn.Parameter]) -> torch.optim.Optimizer:
        chosen = self.settings.optimizer
        assert isinstance(chosen, CustomOptimizer)
        listed = [{"params": group, "peak": self.settings.lr} for group in groups]
        return custom_optimizer(listed, chosen, self.settings)

    @staticmethod
    def _weights(count: int = 1) -> list[nn.Parameter]:
        return [nn.Parameter(torch.linspace(1, 2, 6).view(2, 3) * (i + 1)) for i in range(count)]

    def moves_weights_and_resumes_to_the_bit(self) -> None:
        check_optimizer(self.settings)

    def makes_a_convex_loss_smaller(self) -> None:
        (weight,) = self._weights()
        optimizer, before = self._made([weight]), float(weight.detach().square().sum())
        for _ in range(50):
            optimizer.zero_grad()
            _backward(weight)
            optimizer.step()
        require(float(weight.detach().square().sum()) < before, "50 steps make a square smaller")

    def follows_each_groups_learning_rate(self) -> None:
        first, second = self._weights(2)
        optimizer, before = self._made([first], [second]), second.detach().clone()
        optimizer.param_groups[1]["lr"] = 0.0  # as schedules set it
        _backward(first, second)
        optimizer.step()
        require(torch.equal(second, before), "a group whose `lr` is 0 stays where it is")

    def leaves_weights_without_gradient_alone(self) -> None:
        first, second = self._weights(2)
        optimizer, before = self._made([first, second]), second.detach().clone()
        _backward(first)
        optimizer.step()
        require(torch.equal(second, before), "a weight without a gradient stays where it is")

    def takes_further_groups_later(self) -> None:
        first, second = self._weights(2)
        optimizer = self._made([first])
        for step in range(2):
            if step == 1:  # as `train.unfreeze_epoch` does
                optimizer.add_param_group({"params": [second], "peak": self.settings.lr})
            optimizer.zero_grad()
            _backward(first, second)
            before = second.detach().clone()
            optimizer.step()
        require(not torch.equal(second, before), "a group that is added later is trained")


def _backward(*weights: nn.Parameter) -> None:
    for weight in weights:
        torch.autograd.backward(weight.square().sum())
