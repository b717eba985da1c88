"""Running statistics and averages that lag behind the weights: BatchNorm, EMA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.health import HealthIssue
from bench.spec.schema import SelectSettings
from bench.spec.train_settings import TrainSettings
from bench.train.health_checks import HealthMonitor
from tests.builders.health import findings, net

DICE = SelectSettings(metric="val/dice", mode="max")


def test_statistics_that_cannot_move(tmp_path: Path) -> None:
    found = findings(tmp_path, model=net(momentum=0.0))[HealthIssue.STATISTICS_STOPPED]
    assert "of norm stood still in 4 of 4 epochs, first in epoch 1" in found.text
    assert not found.expected


def test_statistics_that_lag(tmp_path: Path) -> None:
    """20 steps: 0.99^20 = 0.818 is left of the initial values."""
    found = findings(tmp_path, model=net(momentum=0.01))[HealthIssue.STATISTICS_LAG]
    assert "moved by 18.2% of the way from their initial values in 20 steps" in found.text
    assert "momentum 0.01" in found.text


@pytest.mark.parametrize("before", [0.01, 0.1])
@pytest.mark.parametrize("runs", [1, 3])
def test_statistics_lag_in_a_model_that_ran_in_its_constructor(
    tmp_path: Path, before: float, runs: int
) -> None:
    """0.99^(20 + runs) is left, whatever momentum the constructor's passes had."""
    network = net(momentum=0.01, passes=runs, passes_momentum=before)
    found = findings(tmp_path, model=network)[HealthIssue.STATISTICS_LAG]
    moved = 100 * (1 - 0.99 ** (20 + runs))
    assert f"moved by {moved:.3g}% of the way" in found.text
    assert f"in {20 + runs} steps of momentum 0.01" in found.text


@pytest.mark.parametrize("batches", [0, 1, 4])
def test_learnt_statistics_do_not_lag_where_few_batches_are_counted(batches: int) -> None:
    """Published weights often come with a count of 0; one pass later it is 1."""
    norm = nn.BatchNorm2d(2, momentum=0.01)
    norm.running_mean, norm.running_var = torch.tensor([0.1, 0.0]), torch.tensor([0.05, 7.0])
    norm.num_batches_tracked += batches
    health = HealthMonitor(norm, torch.optim.Adam(norm.parameters()), TrainSettings())
    norm(torch.randn(4, 2, 8, 8)).sum().backward()
    health.observe_epoch(1)
    assert health.findings([], DICE, best=None, baseline=None) == []


def test_small_activations_lag_longer(tmp_path: Path) -> None:
    """0.7^15 = 0.0047 of the initial variance is little against 1, and much against 0.001."""
    network = nn.Sequential(nn.BatchNorm2d(1, momentum=0.3), nn.Conv2d(1, 1, 1))
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9)

    def lags(scale: float) -> bool:
        network[0].reset_running_stats()
        health = HealthMonitor(network, optimizer, TrainSettings(optimizer="sgd"))
        for _ in range(15):
            network(scale * torch.randn(4, 1, 8, 8)).sum().backward()
        health.observe_epoch(15)
        found = health.findings([], DICE, best=None, baseline=None)
        return [finding.kind for finding in found] == [HealthIssue.STATISTICS_LAG]

    assert lags(0.03)
    assert not lags(1.0)


@pytest.mark.parametrize(
    ("variance", "eps", "stale"),
    [
        (0.061, 1e-3, True),  # 0.0625 is more than 0.061 + 0.001
        (0.062, 1e-3, False),  # and less than 0.062 + 0.001
        (0.062, 1e-5, True),
        (0.0001, 0.04, False),  # what is left is less than eps, which outweighs it
        (0.0001, 0.02, True),
    ],
)
def test_what_counts_as_stale(variance: float, eps: float, stale: bool) -> None:
    """0.5^5 = 0.03125 of the initial variance is left; eps is added to all of it."""
    norm = nn.BatchNorm1d(2, eps=eps, momentum=0.5)
    health = HealthMonitor(norm, torch.optim.Adam(norm.parameters()), TrainSettings())
    norm.num_batches_tracked += 5
    norm.running_var = torch.tensor([variance, variance])
    health.observe_epoch(5)
    assert health._state.stale_norms == ([""] if stale else [])


def test_learnt_statistics_do_not_lag() -> None:
    norm = nn.BatchNorm2d(1, momentum=0.01)
    norm.running_mean = torch.ones(1)
    health = HealthMonitor(norm, torch.optim.Adam(norm.parameters()), TrainSettings())
    norm(torch.randn(4, 1, 8, 8)).sum().backward()
    health.observe_epoch(1)
    assert health.findings([], DICE, best=None, baseline=None) == []


def test_an_average_that_lags(tmp_path: Path) -> None:
    """20 steps: 0.99^19 = 0.826 of the average is what the first step left."""
    found = findings(tmp_path, train={"ema": 0.99})[HealthIssue.AVERAGE_LAG]
    assert "to 82.6% still those after the first of 20 steps, with train.ema 0.99" in found.text
