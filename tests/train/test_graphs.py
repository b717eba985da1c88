from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import DeviceError
from bench.tasks.base import Batch
from bench.train import graphs
from bench.train.graphs import WARM_UP_STEPS, GraphSettings, StepGraph, graphs_for
from tests.builders.training import make_trial

CUDA = torch.device("cuda")


class PretendGraph:
    """Records which step is replayed; replaying it calls the step again on the recorded batch."""

    replay: Any = None


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """torch.cuda with a graph that is none, and with so much free memory."""
    state: dict[str, Any] = {"recording": False, "free": 100, "fails": None, "recorded": 0}

    @contextlib.contextmanager
    def record(_graph: PretendGraph, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"  # other threads copy batches meanwhile
        if state["fails"]:
            raise state["fails"]
        state["recording"] = True
        state["recorded"] += 1
        yield
        state["recording"] = False

    for name, value in {
        "CUDAGraph": PretendGraph,
        "graph": record,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "memory_allocated": lambda: 10,
        "max_memory_allocated": lambda: 30,
        "mem_get_info": lambda: (state["free"], 1000),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return state


class Passes:
    """The mean of a linear model's output as the loss, and how it was called."""

    def __init__(self, model: nn.Module, state: dict[str, Any]) -> None:
        self.model, self.state, self.launched = model, state, 0

    def __call__(self, batch: Batch) -> Tensor:
        self.launched += not self.state["recording"]
        self.model.zero_grad()
        loss = self.model(batch.images).mean()
        loss.backward()
        return loss.detach()


def batch(size: int = 4, value: float = 1.0) -> Batch:
    return Batch(torch.full((size, 3), value), None, torch.arange(size))


def made(state: dict[str, Any], settings: GraphSettings | None = None) -> tuple[StepGraph, Passes]:
    model = nn.Linear(3, 1)
    passes = Passes(model, state)
    graph = StepGraph(model, passes, settings or GraphSettings())
    graph.begin()
    PretendGraph.replay = lambda _self: replayed(graph)
    return graph, passes


def replayed(graph: StepGraph) -> None:
    """What a replay does: new values in the tensors of the recording."""
    assert graph._batch is not None
    assert graph._loss is not None
    loss = graph._model(graph._batch.images).mean()
    weights = [weight for weight, _ in graph._gradients]
    for (_, kept), new in zip(graph._gradients, torch.autograd.grad(loss, weights), strict=True):
        kept.copy_(new)
    graph._loss.copy_(loss.detach())


def test_steps_are_replayed_after_a_few_were_launched(pretended: dict[str, Any]) -> None:
    graph, passes = made(pretended)
    losses = []
    for step in range(WARM_UP_STEPS + 3):
        losses.append(graph(batch(value=float(step))))
        weight = passes.model.weight
        assert weight.grad is not None
        assert torch.allclose(weight.grad, torch.full((1, 3), float(step)))
        passes.model.zero_grad()  # as other code may do in between
    assert (passes.launched, pretended["recorded"]) == (WARM_UP_STEPS, 1)
    wanted = [
        float(passes.model(batch(value=float(step)).images).mean().detach()) for step in range(6)
    ]
    assert [float(loss) for loss in losses] == pytest.approx(wanted)  # each loss is its own


def test_smaller_batches_are_launched(pretended: dict[str, Any]) -> None:
    graph, passes = made(pretended)
    for _ in range(WARM_UP_STEPS + 1):
        graph(batch())
    graph(batch(size=2))
    assert passes.launched == WARM_UP_STEPS + 1


def test_a_changed_model_is_recorded_anew(pretended: dict[str, Any]) -> None:
    graph, passes = made(pretended)
    for _ in range(WARM_UP_STEPS + 1):
        graph(batch())
    graph.begin()
    graph(batch())
    assert (passes.launched, pretended["recorded"]) == (WARM_UP_STEPS, 1)
    passes.model.bias.requires_grad_(requires_grad=False)
    graph.begin()
    for _ in range(WARM_UP_STEPS + 1):
        graph(batch())
    assert (passes.launched, pretended["recorded"]) == (2 * WARM_UP_STEPS, 2)
    passes.model.eval()
    graph.begin()
    graph(batch())
    assert passes.launched == 2 * WARM_UP_STEPS + 1


@pytest.mark.parametrize(
    ("free", "memory_share", "recorded"), [(40, 1.0, 1), (39, 1.0, 0), (79, 0.5, 0)]
)
def test_a_graph_needs_memory_for_another_step(
    pretended: dict[str, Any], free: int, memory_share: float, recorded: int
) -> None:
    pretended["free"] = free
    graph, passes = made(pretended, GraphSettings(memory_share))
    for _ in range(WARM_UP_STEPS + 3):
        graph(batch())
    assert pretended["recorded"] == recorded
    assert passes.launched == (WARM_UP_STEPS if recorded else WARM_UP_STEPS + 3)


@pytest.mark.parametrize(
    ("error", "wanted", "words"),
    [
        (RuntimeError("operation not permitted\nwhen"), DeviceError, "(operation not permitted)"),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
    ],
)
def test_what_cannot_be_recorded(
    pretended: dict[str, Any], error: Exception, wanted: type[Exception], words: str
) -> None:
    pretended["fails"] = error
    graph, _ = made(pretended)
    for _ in range(WARM_UP_STEPS):
        graph(batch())
    with pytest.raises(wanted) as raised:
        graph(batch())
    assert words in str(raised.value)
    assert (wanted is DeviceError) == ("machine.cuda_graphs: off" in str(raised.value))


def test_which_trials_have_graphs() -> None:
    foreign = {"target": "torch.nn:Conv2d", "kernel_size": 1}
    for changes, wanted in (
        ({}, GraphSettings(0.5)),
        ({"machine": {"cuda_graphs": "off"}}, None),
        ({"machine": {"cuda_graphs": "on"}}, GraphSettings(0.5)),
        ({"train": {"micro_batch": 2}}, None),
        ({"train": {"micro_batch": "auto"}}, None),
        ({"train": {"compile": "default"}}, None),
        ({"model": foreign}, None),
        ({"model": {"name": "resnet34_unet"}}, GraphSettings(0.5)),
        ({"model": {"name": "encoder_unet", "encoder": "swin_t"}}, None),
        ({"model": foreign, "machine": {"cuda_graphs": "on"}}, GraphSettings(0.5)),
    ):
        assert graphs.graphs_for(make_trial(**changes), CUDA, 2) == wanted, changes
    assert graphs_for(make_trial(), torch.device("cpu")) is None


def test_graphs_are_not_part_of_a_trials_identity() -> None:
    trials = [make_trial(machine={"cuda_graphs": choice}) for choice in ("auto", "on", "off")]
    assert len({trial.id for trial in trials}) == 1
