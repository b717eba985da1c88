"""What a model costs: parameters, and multiply-adds as fvcore counts them."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass

import torch
from torch import nn

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


def model_cost(model: nn.Module, shape: tuple[int, ...]) -> Cost:
    """Count `model`'s parameters, and its MACs for an input of `shape` (N, C, H, W).

    The model is left as it is: MACs are counted on a copy, with its own device and precision. A
    model on the meta device has no MACs (None), because fvcore's tracing fails there.

    Raises:
        BenchError: the model itself refuses an input of this shape.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Cost(
        params=sum(size for size, _ in sizes),
        trainable_params=sum(size for size, trainable in sizes if trainable),
        macs=_macs(model, shape),
    )


def _macs(model: nn.Module, shape: tuple[int, ...]) -> int | None:
    like = next(model.parameters(), torch.empty(0))
    if like.is_meta:
        return None
    with warnings.catch_warnings(), torch.no_grad():
        # fvcore uses torch.jit, which newer versions of torch call deprecated.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is (deprecated|not supported)")
        from fvcore.nn import FlopCountAnalysis

        try:
            # A copy, because fvcore leaves its hooks in a model that it fails to trace.
            twin = copy.deepcopy(model).eval()
            image = torch.zeros(shape, device=like.device, dtype=like.dtype)
            analysis = FlopCountAnalysis(twin, image)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            return int(analysis.total())
        except BenchError:
            raise
        except Exception as error:  # a model of the user's own may do anything; training goes on
            name = type(model).__name__
            _log.warning("MACs of %s cannot be counted: %s", name, first_line(error))
            return None
