"""What a model costs: parameters, and multiply-adds as fvcore counts them."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, first_line

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cost:
    """A model's size.

    Attributes:
        params: number of parameters.
        trainable_params: those that take a gradient.
        macs: fvcore's count for one input in evaluation mode, one multiply-add = 1; None where
            fvcore cannot trace the model.
    """

    params: int
    trainable_params: int
    macs: int | None


def model_cost(model: nn.Module, shape: tuple[int, ...], *, takes_time: bool = False) -> Cost:
    """Count `model`'s parameters, and its MACs for an input of `shape` (N, C, H, W).

    With `takes_time` the model is called with time steps (N,) too. Its own state is left as it is:
    MACs are counted on a copy, with its own device and precision. A model on the meta device has no
    MACs (None), because fvcore's tracing fails there.

    Raises:
        BenchError: the model itself refuses an input of this shape.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    like = next(model.parameters(), torch.empty(0))
    return Cost(
        params=sum(size for size, _ in sizes),
        trainable_params=sum(size for size, trainable in sizes if trainable),
        macs=None if like.is_meta else _macs(model, example_inputs(shape, takes_time, like)),
    )


def example_inputs(shape: tuple[int, ...], takes_time: bool, like: Tensor) -> tuple[Tensor, ...]:
    """What a model is called with: images (N, C, H, W) of zeros, and time steps (N,) if asked for.

    They are on `like`'s device, the images in its precision.
    """
    images = torch.zeros(shape, device=like.device, dtype=like.dtype)
    steps = torch.zeros(shape[0], device=like.device, dtype=torch.int64)
    return (images, steps) if takes_time else (images,)


def _macs(model: nn.Module, inputs: tuple[Tensor, ...]) -> int | None:
    with warnings.catch_warnings(), torch.no_grad(), _attention_in_parts():
        # fvcore uses torch.jit, which newer versions of torch call deprecated.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is (deprecated|not supported)")
        from fvcore.nn import FlopCountAnalysis

        try:
            # A copy, because fvcore leaves its hooks in a model that it fails to trace.
            analysis = FlopCountAnalysis(copy.deepcopy(model).eval(), inputs)
            analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            return int(analysis.total())
        except BenchError:
            raise
        except Exception as error:  # a model of the user's own may do anything; training goes on
            name = type(model).__name__
            _log.warning("MACs of %s cannot be counted: %s", name, first_line(error))
            return None


@contextmanager
def _attention_in_parts() -> Iterator[None]:
    """Keep `nn.MultiheadAttention` from one operator that takes in its linear maps as well."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:  # noqa: ARG001 - fvcore's form
    """Both products, queries · keys and weights · values, of fused attention.

    Its inputs are queries (…, L, E), keys (…, S, E) and values (…, S, V).
    """
    from fvcore.nn.jit_handles import get_shape

    *batch, queries, features = get_shape(inputs[0])
    *_, keys, values = get_shape(inputs[2])
    return int(math.prod(batch) * queries * keys * (features + values))
