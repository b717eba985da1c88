"""A moving average of a model's weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """A moving average of the weights, and of BatchNorm's statistics: exponential, or their mean.

    torch's `AveragedModel` keeps its count on the CPU and copies it to the device in every update,
    which waits for all work queued there; nothing is read back or copied across here.

    Attributes:
        module: a model like the one that is averaged, with the average as its weights.
        steps: how many updates there were. The first one copies.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        """`decay` is the weight of the average in each update, the new weights having the rest.

        None: all updates have equal weights (stochastic weight averaging).
        """
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.steps = 0
        self._decay = decay
        self._averages = _Tensors(self.module)
        self._weights = _Tensors(model)

    @torch.no_grad()
    def update(self) -> None:
        """Move by one step towards the model's weights; counts, which are whole, are copied."""
        ours, theirs = self._averages(), self._weights()
        # the first update copies: an average of the initial weights would lag for 1/(1-decay) steps
        moving = [tensor.is_floating_point() and self.steps > 0 for tensor in ours]
        averages = [tensor for tensor, moves in zip(ours, moving, strict=True) if moves]
        targets = [tensor for tensor, moves in zip(theirs, moving, strict=True) if moves]
        if averages:
            new_weight = 1 / (self.steps + 1) if self._decay is None else 1 - self._decay
            torch._foreach_lerp_(averages, targets, new_weight)
        copies = [tensor for tensor, moves in zip(ours, moving, strict=True) if not moves]
        if copies:
            sources = [tensor for tensor, moves in zip(theirs, moving, strict=True) if not moves]
            torch._foreach_copy_(copies, sources)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"module": self.module.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was."""
        self.module.load_state_dict(state["module"])
        self.steps = state["steps"]


class _Tensors:
    """Parameters and buffers of a model, those included that no checkpoint has.

    Its modules are gone through once. Optimizers hold on to parameters; a model may put new tensors
    in the place of buffers, which are looked up each time.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = list(model.parameters())
        owners = dict(model.named_modules())
        paths = [name.rpartition(".") for name, _ in model.named_buffers()]
        self._buffers = [(owners[owner]._buffers, name) for owner, _, name in paths]

    def __call__(self) -> list[Tensor]:
        buffers = (buffers[name] for buffers, name in self._buffers)
        return [*self._parameters, *(buffer for buffer in buffers if buffer is not None)]
