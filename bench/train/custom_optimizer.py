"""Optimizers of the user's own and of other packages."""

from __future__ import annotations

import inspect
import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.errors import SpecError, describe_exception, first_line
from bench.registry import accepted, load_target
from bench.spec.train_parts import CustomOptimizer
from bench.spec.train_settings import TrainSettings

KEY = "train.optimizer"


def custom_optimizer(
    groups: Sequence[dict[str, Any]], chosen: CustomOptimizer, settings: TrainSettings
) -> torch.optim.Optimizer:
    """The optimizer of the parameter groups; `lr` and `weight_decay` are those of `train`.

    Raises:
        SpecError: it is none of torch's kind, refuses its arguments, or cannot do what is asked of
            it.
    """
    builder, arguments = load_target(chosen.target), dict(chosen.model_extra or {})
    context = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    try:
        found: Any = builder(groups, **(accepted(builder, context) | arguments))
    except Exception as error:  # code of others may raise anything
        raise SpecError(
            f"{chosen.target!r} cannot be built: {first_line(error)}", key=KEY
        ) from error
    if not isinstance(found, torch.optim.Optimizer):
        kind = type(found).__name__
        raise SpecError(f"{chosen.target!r} gives a {kind}, not a torch.optim.Optimizer", key=KEY)
    if any("lr" not in group for group in found.param_groups):
        raise SpecError(f"{chosen.target!r} has no learning rate `lr` to be scheduled", key=KEY)
    closure = inspect.signature(found.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise SpecError(
            f"{chosen.target!r} wants the loss computed several times a step (`closure`), which "
            "training here does not: use another",
            key=KEY,
        )
    if settings.bad_steps and not getattr(found, "_step_supports_amp_scaling", False):
        raise SpecError(
            f"must be 0 with {chosen.target!r}, which cannot pass over a step on the device; of "
            "torch's own those can that have `fused: true`",
            key="train.bad_steps",
        )
    return found


def check_optimizer(settings: TrainSettings) -> None:
    """Try an optimizer of one's own on a small layer: three steps, and going on from its state.

    Raises:
        SpecError: it fails, moves nothing, or a trial would go on otherwise than it stopped.
    """
    chosen = settings.optimizer
    if not isinstance(chosen, CustomOptimizer):
        return
    layer, copy = _layer(), _layer()
    optimizer = custom_optimizer(_groups(layer, settings), chosen, settings)
    try:
        before = [weight.detach().clone() for weight in layer.parameters()]
        _steps(layer, optimizer, 2)
        moved = any(
            not torch.equal(old, new) for old, new in zip(before, layer.parameters(), strict=True)
        )
        copy.load_state_dict(layer.state_dict())
        resumed = custom_optimizer(_groups(copy, settings), chosen, settings)
        resumed.load_state_dict(through_a_file(optimizer.state_dict()))
        _steps(layer, optimizer, 1)
        _steps(copy, resumed, 1)
    except SpecError:
        raise
    except Exception as error:  # code of others may raise anything
        raise SpecError(
            f"{chosen.target!r} fails in a few steps on a small layer, or in going on from its "
            f"`state_dict` of plain data and tensors: {describe_exception(error)}",
            key=KEY,
        ) from error
    if not moved:
        raise SpecError(f"{chosen.target!r} moves no weight in two steps", key=KEY)
    if not all(map(torch.equal, layer.parameters(), copy.parameters())):
        raise SpecError(
            f"{chosen.target!r} goes on otherwise after its `state_dict` was saved and loaded: "
            "state that is not in it is lost when a trial is interrupted",
            key=KEY,
        )


def _layer() -> nn.Module:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.linspace(-1, 1, weight.numel()).view_as(weight))
    return layer


def _groups(layer: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    return [{"params": list(layer.parameters()), "peak": settings.lr}]


def _steps(layer: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        layer(torch.linspace(-1, 2, 12).view(4, 3)).square().sum().backward()
        optimizer.step()


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As a checkpoint takes it: plain data and tensors only."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found
