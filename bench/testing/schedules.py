"""What every schedule must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench.spec.schema import SelectSettings
from bench.spec.train_settings import TrainSettings
from bench.testing.cases import as_test, require
from bench.train.custom_optimizer import through_a_file
from bench.train.schedules import Schedule, make_schedule

EPOCHS, STEPS = 8, 3
SELECT = SelectSettings(metric="val/loss", mode="min")


def schedule_conforms(
    target: str, *, epochs: int = EPOCHS, **arguments: Any
) -> Callable[..., None]:
    """A test of a schedule, or of a scheduler of torch's kind, in all its duties.

    Args:
        target: `module:Name`, as in `train.schedule`.
        epochs: how many it is tried with.
        arguments: the others of `train.schedule`.
    """
    suite = _Suite(target, epochs, arguments)
    return as_test([suite.gives_learning_rates, suite.resumes_to_the_bit])


class _Suite:
    def __init__(self, target: str, epochs: int, arguments: dict[str, Any]) -> None:
        chosen = {"target": target, **arguments}
        self.settings = TrainSettings.model_validate(
            {"schedule": chosen, "epochs": epochs, "lr": 0.1, "optimizer": "sgd"}
        )

    def _made(self) -> tuple[torch.optim.Optimizer, Schedule]:
        weight = nn.Parameter(torch.ones(1))
        weight.grad = torch.zeros(1)
        optimizer = torch.optim.SGD([{"params": [weight], "peak": 0.1}], lr=0.1)
        return optimizer, make_schedule(optimizer, self.settings, SELECT)

    def _epochs(
        self, optimizer: torch.optim.Optimizer, schedule: Schedule, first: int, last: int
    ) -> list[float]:
        """The learning rates of the steps of epochs `first` to `last`, counted from 1."""
        rates: list[float] = []
        for epoch in range(first, last + 1):
            for step in range(STEPS):
                schedule.before_step(epoch - 1 + (step + 0.5) / STEPS)
                rates.append(float(optimizer.param_groups[0]["lr"]))
                optimizer.step()
                schedule.after_step()
            schedule.after_epoch([{"val/loss": 1.0}] * epoch)
        return rates

    def gives_learning_rates(self) -> None:
        rates = self._epochs(*self._made(), 1, self.settings.epochs)
        require(all(0 <= rate < float("inf") for rate in rates), "learning rates are numbers ≥ 0")
        require(any(rates), "not all of them are 0")

    def resumes_to_the_bit(self) -> None:
        half, last = self.settings.epochs // 2, self.settings.epochs
        whole = self._epochs(*self._made(), 1, last)
        optimizer, schedule = self._made()
        begun = self._epochs(optimizer, schedule, 1, half)
        again, resumed = self._made()
        again.load_state_dict(optimizer.state_dict())
        state = through_a_file(schedule.state_dict())
        resumed.load_state_dict(state, [{"val/loss": 1.0}] * half)
        rest = self._epochs(again, resumed, half + 1, last)
        require(begun + rest == whole, "after resumption the learning rates are the same")
