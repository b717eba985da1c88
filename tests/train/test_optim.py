"""Schedules at their corners."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.spec.train_settings import TrainSettings
from bench.train.optim import learning_rate, make_optimizer, set_learning_rates


def settings(**fields: Any) -> TrainSettings:
    return TrainSettings(epochs=10, lr=0.1, **fields)


def test_constant_stays() -> None:
    assert {learning_rate(settings(), done, 0.1) for done in (0.0, 3.3, 9.9)} == {0.1}


@pytest.mark.parametrize(
    ("done", "expected"), [(0.0, 0.0), (1.0, 0.05), (2.0, 0.1), (6.0, 0.05), (10.0, 0.0)]
)
def test_cosine_after_warm_up(done: float, expected: float) -> None:
    found = learning_rate(settings(schedule="cosine", warmup_epochs=2.0), done, 0.1)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("done", "expected"), [(0.0, 0.1 / 25), (1.5, 0.052), (3.0, 0.1), (10.0, 0.1 / 25e4)]
)
def test_one_cycle_rises_for_three_tenths(done: float, expected: float) -> None:
    assert learning_rate(settings(schedule="one_cycle"), done, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_take_the_settings(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    chosen = settings(optimizer=name, weight_decay=0.01)
    optimizer = make_optimizer([{"params": [parameter], "peak": 0.5}], chosen)
    assert type(optimizer).__name__.lower() == name
    assert optimizer.defaults["weight_decay"] == 0.01
    assert optimizer.defaults["fused"] is True
    set_learning_rates(optimizer, chosen, 0.0)
    parameter.sum().backward()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert (parameter < 0.6).all()


def test_every_group_has_its_own_peak_on_one_schedule() -> None:
    first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    chosen = settings(schedule="cosine")
    groups = [{"params": [first], "peak": 0.1}, {"params": [second], "peak": 0.001}]
    optimizer = make_optimizer(groups, chosen)
    set_learning_rates(optimizer, chosen, 5.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.0005])
