"""Training steps replayed as one CUDA graph, where launching them one by one would take longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import DeviceError, first_line
from bench.models.settings import ModelSettings
from bench.plan.trial import Trial
from bench.registry import Custom
from bench.tasks.base import Batch
from bench.tasks.loss_settings import NamedLoss, loss_terms

WARM_UP_STEPS = 3
"""Steps before recording: in them cuDNN chooses its algorithms, the optimizer makes its state."""


@dataclass(frozen=True)
class GraphSettings:
    """That steps are to be replayed.

    Attributes:
        share: part of the device's free memory that is this trial's.
    """

    memory_share: float = 1.0


def graphs_for(
    trial: Trial, device: torch.device, trials_per_device: int = 1
) -> GraphSettings | None:
    """Settings for replaying this trial's whole batches, with `trials_per_device` on the device.

    A graph repeats what was launched once: what a model decides anew in Python at every step would
    stay as it was, and one that reads back from the device cannot be recorded. Some models of
    `bench` are known to do neither; of others, `machine.cuda_graphs: on` says it.
    """
    choice, train = trial.settings.machine.cuda_graphs, trial.settings.train
    if device.type != "cuda" or choice == "off":
        return None
    if train.compile != "none" or train.micro_batch != "none":
        return None
    model = trial.settings.model
    ours = isinstance(model, ModelSettings) and model.replayable
    # a loss or task of one's own may read back, or decide anew in Python, as a model may
    named = all(isinstance(term, NamedLoss) for term in loss_terms(train.loss))
    known = ours and named and not isinstance(trial.settings.task, Custom)
    return GraphSettings(1 / trials_per_device) if known or choice == "on" else None


class StepGraph:
    """Forward and backward pass of batches of one shape.

    After a few steps launched one by one, the next is recorded and from then on replayed. The
    kernels and random numbers are the same, so the results are too, to the bit where the kernels
    themselves repeat theirs. The optimizer's step is not part of it: the learning rate changes.

    A graph holds the memory of a whole step between steps as well. It is not recorded where there
    is not that much left on the device, in this trial's `memory_share` of it.
    """

    def __init__(
        self, model: nn.Module, forward_backward: Callable[[Batch], Tensor], graphs: GraphSettings
    ) -> None:
        """`forward_backward` leaves the gradient of a batch's loss in the parameters; the loss."""
        self._model, self._forward_backward, self._settings = model, forward_backward, graphs
        self._seen, self._usable = 0, True
        self._captured_state: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None
        self._loss: Tensor | None = None
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []

    def begin(self) -> None:
        """To be called before an epoch: forgets the graph where the model is no longer the same."""
        now = (
            [module.training for module in self._model.modules()],
            [(weight.requires_grad, weight.data_ptr()) for weight in self._model.parameters()],
        )
        if now != self._captured_state:
            self._captured_state, self._seen = now, 0
            self._graph, self._batch, self._loss, self._gradients = None, None, None, []

    def __call__(self, batch: Batch) -> Tensor:
        """As `forward_backward`."""
        if self._graph is None and self._usable and self._seen >= WARM_UP_STEPS:
            self._capture(batch)
        if self._graph is None or not self._matches(batch):
            self._seen += 1
            return self._forward_backward(batch)
        assert self._loss is not None  # there with the graph
        # a graph reads from fixed addresses: the batch is copied there
        for mine, other in zip(_tensors(self._batch), _tensors(batch), strict=True):
            mine.copy_(other)
        for weight, gradient in self._gradients:
            weight.grad = gradient
        self._graph.replay()
        return self._loss.clone()  # the next replay writes over it

    def _capture(self, batch: Batch) -> None:
        """Record a step on this batch without taking it."""
        if not self._has_memory():
            self._usable = False
            return
        self._batch = Batch(*(None if field is None else field.clone() for field in batch))  # type: ignore[arg-type]  # None is a target
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._loss = self._forward_backward(self._batch)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # CUDA cannot go on in this process
            raise DeviceError(
                f"a training step cannot be recorded as a CUDA graph ({first_line(error)}): "
                "machine.cuda_graphs: off launches it anew each time"
            ) from error
        weights = self._model.parameters()
        self._gradients = [(each, each.grad) for each in weights if each.grad is not None]
        self._graph = graph

    def _has_memory(self) -> bool:
        """Whether a step fits once more: for validation and the last batch, besides the graph."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated()
        step = torch.cuda.max_memory_allocated() - held
        return 2 * step <= self._settings.memory_share * torch.cuda.mem_get_info()[0]

    def _matches(self, batch: Batch) -> bool:
        """Whether the graph is one of batches like this."""
        pairs = zip(_tensors(self._batch), _tensors(batch), strict=True)
        return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def _tensors(batch: Batch | None) -> list[Tensor]:
    return [] if batch is None else [field for field in batch if field is not None]
