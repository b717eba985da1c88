"""Epochs and points without a number: nothing is pruned for them, and none of them is the best."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from bench.plan.objectives import Objective
from bench.search.driver import Driver
from bench.search.points import ActivePoint
from bench.search.pruning import CURVE, curve_of, fails_halving, is_below_median
from bench.spec.search_parts import Asha, Median

BAD = [math.nan, math.inf, -math.inf]


class Handle:
    """An Optuna trial, as far as a point that is noted needs it."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def set_user_attr(self, name: str, value: Any) -> None:
        self.attributes[name] = value


class Named:
    """A trial with an id."""

    id = "t-s0"


@pytest.mark.parametrize("value", [*BAD, None, "0.5"])
def test_a_point_without_a_figure_has_failed(value: Any) -> None:
    handle = Handle()
    active = ActivePoint(handle, (Named(),))  # type: ignore[arg-type]
    objectives = [Objective("best_val_dice", "max"), Objective("macs", "min")]
    output = active.add({"best_val_dice": value, "macs": 3}, objectives)
    assert output == "t-s0 has no best_val_dice"
    assert (active.figures, handle.attributes) == ([], {})
    assert active.add({"best_val_dice": 0.5, "macs": 3}, objectives) is None
    assert active.values(objectives) == [0.5, 3]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_curves_have_no_such_epochs(bad: float, mode: Literal["max", "min"]) -> None:
    objective, sign = Objective("best_val_dice", mode), 1 if mode == "max" else -1
    mine = curve_of({CURVE: {"1": sign * 0.7, "2": bad, "3": sign * 0.6}})
    assert mine == {1: sign * 0.7, 3: sign * 0.6}
    others = [curve_of({CURVE: {"3": value}}) for value in (sign * 0.5, bad, sign * 0.4, bad)]
    median = Median(name="median", warmup_epochs=0, startup_trials=1)
    assert not is_below_median(median, objective, mine, others, 3)
    better = [{3: sign * 0.9}] * 2 + others
    assert is_below_median(median, objective, mine, better[:3], 3)
    asha = Asha(name="asha", min_epochs=3, reduction=2)
    assert not fails_halving(asha, objective, mine, others, 3)


@pytest.mark.parametrize("bad", BAD)
def test_epochs_without_a_number_are_not_judged(bad: float) -> None:
    """The first one would stand for ever: no later value is better than NaN."""
    judged_epoch: list[float] = []

    def epoch(_handle: object, _epoch: int, value: float) -> bool:
        judged_epoch.append(value)
        return False

    objective = Objective("best_val_loss", "min")
    settings = SimpleNamespace(train=SimpleNamespace(epochs=9))
    active = ActivePoint(Handle(), (SimpleNamespace(settings=settings),))  # type: ignore[arg-type]
    driver: Any = SimpleNamespace(
        _goal=SimpleNamespace(curve=objective, policy=SimpleNamespace(epoch=epoch))
    )
    for number, loss in enumerate([bad, 0.5, 0.6, bad, 0.4], start=1):
        Driver._check_pruning(driver, active, {"epoch": number, "val/loss": loss})
    assert judged_epoch == [0.5, 0.5, 0.4]
    assert (active.so_far, active.judged_epoch) == (0.4, 5)
