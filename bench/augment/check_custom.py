"""Transforms of the user's own, tried once before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.augment.base import Affine, Displacement, Photometric, Size
from bench.augment.pipeline import Pipeline
from bench.augment.settings import (
    AUGMENTATIONS,
    AugmentSettings,
    CustomTransform,
    OneOfSettings,
    TransformSettings,
)
from bench.errors import SpecError, describe_exception

_SAMPLES = 2


def check_custom_transforms(settings: AugmentSettings, size: Size, channels: int = 3) -> None:
    """Try each transform named by `target:` on two grey images of `size`.

    A shape that is wrong only for some batches would end a trial in the middle of an epoch; one
    that torch stretches to fit would train, on something else.

    Raises:
        SpecError: it is no transform at all; or the target, the method and what came back instead.
    """
    Pipeline(settings)
    for own in _custom_transforms(settings.transforms):
        transform = AUGMENTATIONS.build(own)
        try:
            _try(transform, own.target, size, channels)
        except SpecError:
            raise
        except Exception as error:  # code of the user's own may raise anything
            raise SpecError(
                f"{own.target!r} fails on {_SAMPLES} images: {describe_exception(error)}"
            ) from error


def _custom_transforms(transforms: Sequence[TransformSettings]) -> Iterator[CustomTransform]:
    for transform in transforms:
        if isinstance(transform, OneOfSettings):
            yield from _custom_transforms(transform.of)
        elif isinstance(transform, CustomTransform):
            yield transform


def _try(
    transform: Affine | Displacement | Photometric, target: str, size: Size, channels: int
) -> None:
    height, width = size
    generator = torch.Generator().manual_seed(0)
    if isinstance(transform, Affine):
        found = transform.matrices(_SAMPLES, size, generator)
        _check(found, target, "matrices", (_SAMPLES, 2, 3), torch.float64)
        return
    drawn = transform.draw(_SAMPLES, size, generator)
    if isinstance(transform, Displacement):
        if drawn is None:
            return
        rows = _draws(drawn, target)
        found = transform.displacement(rows, size)
        _check(found, target, "displacement", (_SAMPLES, 2, height, width), torch.float32)
    else:
        images = torch.full((_SAMPLES, channels, height, width), 128.0)
        found = transform.adjust(images, _draws(drawn, target))
        _check(found, target, "adjust", (_SAMPLES, channels, height, width), torch.float32)


def _draws(drawn: object, target: str) -> Tensor:
    if not isinstance(drawn, Tensor):
        raise SpecError(f"{target!r}: `draw` must return a tensor, not {type(drawn).__name__}")
    if drawn.dim() == 0 or len(drawn) != _SAMPLES or drawn.device.type != "cpu":
        raise SpecError(
            f"{target!r}: `draw` must return one row per sample, on the CPU, but for {_SAMPLES} "
            f"samples it returned {_describe_tensor(drawn)}"
        )
    return drawn


def _check(
    found: object, target: str, method: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    if not isinstance(found, Tensor):
        kind = type(found).__name__
        raise SpecError(f"{target!r}: `{method}` must return a tensor, not {kind}")
    if found.shape != shape or found.dtype != dtype:
        wanted = f"{shape} {str(dtype).removeprefix('torch.')}"
        raise SpecError(
            f"{target!r}: `{method}` must return {wanted}, but for {_SAMPLES} samples it returned "
            f"{_describe_tensor(found)}"
        )


def _describe_tensor(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{tuple(tensor.shape)} {kind} on {tensor.device.type}"
