"""Transforms of the user's own and of other libraries, tried once before any training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.augment.base import Affine, Displacement, Photometric, Size
from bench.augment.foreign import OwnFunction
from bench.augment.pipeline import Pipeline
from bench.augment.samples import SampleBatch, SampleTransform, change_samples
from bench.augment.settings import (
    AUGMENTATIONS,
    AugmentSettings,
    CustomTransform,
    OneOfSettings,
    TransformSettings,
)
from bench.errors import SpecError, describe_exception
from bench.labels import IGNORE_LABEL

_SAMPLES = 2
_TRIES = 8
"""Images that a transform of single samples is tried on: some of its parts apply now and then."""


@dataclass(frozen=True)
class SampleCost:
    """What a transform of single samples takes.

    Attributes:
        name: the transform's.
        seconds: of CPU time for an image.
        left_out: what of it is not done, for people; empty: nothing.
    """

    name: str
    seconds: float
    left_out: str


def check_custom_transforms(
    settings: AugmentSettings,
    size: Size,
    channels: int = 3,
    *,
    classes: int = 2,
    masks: bool = True,
) -> list[SampleCost]:
    """Try each transform named by `target:` on images of `size`; what those of samples cost.

    A shape that is wrong only for some batches would end a trial in the middle of an epoch; one
    that torch stretches to fit would train, on something else.

    Args:
        settings: which transforms.
        size: of the images.
        channels: of the images.
        classes: of masks or labels.
        masks: whether images have masks.

    Raises:
        SpecError: it is no transform at all; or the target, the method and what came back instead.
    """
    pipeline = Pipeline(settings, size=size, classes=classes, masks=masks)
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
    batch = example_samples(_TRIES, size, channels, classes if masks else None)
    transforms = pipeline.sample_transforms.values()
    return [_try_samples(transform, batch, classes) for transform in transforms]


def example_samples(n: int, size: Size, channels: int, classes: int | None) -> SampleBatch:
    """Images of random patches, and masks of random classes and ignored pixels, of patches too."""
    draws = torch.Generator().manual_seed(0)
    height, width = size

    def patches(values: Tensor) -> Tensor:
        """(n, c, 4, 4) values enlarged to `size`."""
        rows = torch.arange(height) * 4 // height
        return values[:, :, rows][:, :, :, torch.arange(width) * 4 // width]

    images = torch.randint(256, (n, channels, 4, 4), generator=draws, dtype=torch.uint8)
    images = patches(images).contiguous(memory_format=torch.channels_last)
    if classes is None:
        return SampleBatch(images, None)
    labels = torch.randint(classes + 1, (n, 1, 4, 4), generator=draws)
    labels = torch.where(labels == classes, IGNORE_LABEL, labels).to(torch.uint8)
    return SampleBatch(images, patches(labels)[:, 0])


def _try_samples(transform: SampleTransform, batch: SampleBatch, classes: int) -> SampleCost:
    """Try it on all samples, and on one of them once more."""
    rows, seeds = range(len(batch.images)), [97 * row + 1 for row in range(len(batch.images))]
    change_samples(transform, batch, rows[:1], seeds[:1], classes=classes)  # what is made once
    began = time.process_time()  # a busy machine says nothing about the transform
    whole = [
        change_samples(transform, batch, [row], [seed], classes=classes)
        for row, seed in zip(rows, seeds, strict=True)
    ]
    seconds = (time.process_time() - began) / len(rows)
    again = change_samples(transform, batch, rows[:1], seeds[:1], classes=classes)
    for one, other in zip(again, whole[0], strict=True):
        if one is not None and other is not None and not torch.equal(one, other):
            raise SpecError(
                f"{transform.name} gives another image for the same seed, so that no trial could "
                f"be repeated or resumed: {_remedy(transform)}"
            )
    left_out = "its Normalize, which data.normalize does" if transform.left_out else ""
    return SampleCost(transform.name, seconds, left_out)


def _remedy(transform: SampleTransform) -> str:
    if isinstance(transform, OwnFunction):
        return "give it an argument `rng` and draw from it, and keep nothing from call to call"
    return "it must draw from its library's own generators, and keep nothing from call to call"


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
