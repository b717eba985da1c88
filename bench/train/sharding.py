"""A model whose forward and backward passes are shared by several processes, each on its device.

The loss is that of the whole batch in every process: all load and augment the batch with the same
draws, each takes its part of the images through the model, and the outputs are gathered. So any
loss works, whether or not it is a mean over images, and so does a smaller last batch. Gradients are
added up by DistributedDataParallel: they are those of one device, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from bench.errors import BenchError
from bench.train.seeding import stream_seed
from bench.train.sync_batchnorm import SyncBatchNorm

T = TypeVar("T")


class ShardedModel(nn.Module):
    """Takes whole batches and gives whole outputs; this process computes its part of them.

    Where there are fewer images than processes, each computes all of them.

    Args:
        model: this process's; its weights become those of the first process.
        rank: this process's number.
        devices: how many processes there are.
        seed: the trial's.
    """

    def __init__(self, model: nn.Module, rank: int, devices: int, seed: int) -> None:
        super().__init__()
        self.model = model  # a loss may ask for its parameters
        self._rank, self._devices, self._seed = rank, devices, seed
        self._norms = [m for m in model.modules() if isinstance(m, SyncBatchNorm)]
        self._parallel: tuple[DistributedDataParallel] | None = None
        self._trained: list[bool] = []
        self._draws: _Draws | None = None

    def begin(self, epoch: int) -> None:
        """An epoch begins: what the model itself draws (dropout) is another stream in each process.

        What is trained may be more than before.
        """
        device = next(self.model.parameters()).device
        self._draws = _Draws(stream_seed(self._seed, "epoch", epoch, "rank", self._rank), device)
        trained = [parameter.requires_grad for parameter in self.model.parameters()]
        if trained != self._trained:
            self._trained, self._parallel = trained, None

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The model's outputs for all images of the batch."""
        images = _batch_size((inputs, named))
        bounds = [images * rank // self._devices for rank in range(self._devices + 1)]
        shared = images >= self._devices
        begin, end = bounds[self._rank : self._rank + 2] if shared else (0, images)

        def part(tensor: Tensor) -> Tensor:
            whole = tensor.dim() == 0 or len(tensor) != images
            return tensor if whole else tensor[begin:end]

        inputs, named = _map_tensors(part, inputs), _map_tensors(part, named)
        assert self._draws is not None, "begin() comes first"
        with self._draws, self._synced(shared):
            found = self._of_all()(*inputs, **named)
        if not shared:
            return found
        return _map_tensors(lambda output: _gather(output, bounds, self._rank), found)

    def average(self, parameters: list[nn.Parameter]) -> None:
        """Let gradients that every process has in full be the same to the bit in all of them."""
        for parameter in parameters:
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self._devices

    @contextmanager
    def _synced(self, shared: bool) -> Iterator[None]:
        """Only here: whatever else the first process does with the model, it does alone."""
        for norm in self._norms:
            norm.synced = shared
        try:
            yield
        finally:
            for norm in self._norms:
                norm.synced = False

    def _of_all(self) -> DistributedDataParallel:
        if self._parallel is None:
            # what a step does not use has no gradient on one device either
            parallel = DistributedDataParallel(self.model, find_unused_parameters=True)
            self._parallel = (parallel,)  # in a tuple: it is no second part of this module
        return self._parallel[0]


class _Draws:
    """A random state of its own for the block; outside it, what was drawn in it leaves no trace."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        with _kept_random_state(cuda=self._cuda):
            torch.manual_seed(seed)
            self._own = _random_state(cuda=self._cuda)

    def __enter__(self) -> None:
        self._outside = _random_state(cuda=self._cuda)
        _set_random_state(self._own)

    def __exit__(self, *_: object) -> None:
        self._own = _random_state(cuda=self._cuda)
        _set_random_state(self._outside)


def _random_state(*, cuda: bool) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if cuda else [])]


def _set_random_state(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])


@contextmanager
def _kept_random_state(*, cuda: bool) -> Iterator[None]:
    before = _random_state(cuda=cuda)
    try:
        yield
    finally:
        _set_random_state(before)


class _Gather(torch.autograd.Function):
    """The outputs of all processes, of which this one's take a gradient."""

    @staticmethod
    def forward(context: Any, own: Tensor, bounds: list[int], rank: int) -> Tensor:
        context.bounds, context.rank = bounds, rank
        sizes = [end - begin for begin, end in pairwise(bounds)]
        # of equal sizes: not every backend takes others
        padded = own.new_zeros((max(sizes), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        begin, end = context.bounds[context.rank : context.rank + 2]
        # DistributedDataParallel takes the mean over processes, and this is a part of a sum
        return gradient[begin:end] * (len(context.bounds) - 1), None, None


def _gather(output: Tensor, bounds: list[int], rank: int) -> Tensor:
    if output.dim() == 0 or len(output) != bounds[rank + 1] - bounds[rank]:
        raise BenchError(
            "train.devices: the model's output has no dimension of images first "
            f"({tuple(output.shape)}), so that the parts of several devices cannot be joined: use "
            "one device"
        )
    found: Tensor = _Gather.apply(output, bounds, rank)
    return found


def _batch_size(inputs: object) -> int:
    sizes: list[int] = []
    _map_tensors(lambda t: sizes.append(len(t)) if t.dim() else None, inputs)
    if not sizes:
        raise BenchError("train.devices: the model takes no tensor of images: use one device")
    return sizes[0]


def _map_tensors(change: Callable[[Tensor], Any], value: T) -> T:
    """The same tuples, lists and dicts with every tensor changed."""
    found: Any = value
    if isinstance(value, Tensor):
        found = change(value)
    elif isinstance(value, dict):
        found = type(value)((key, _map_tensors(change, item)) for key, item in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        found = type(value)(*(_map_tensors(change, item) for item in value))
    elif isinstance(value, list | tuple):
        found = type(value)(_map_tensors(change, item) for item in value)
    return found  # type: ignore[no-any-return]  # of the same kind
