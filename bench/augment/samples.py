"""Transforms that see one image and its mask at a time, on the CPU: those of other libraries."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.augment.threads import run_jobs
from bench.errors import SpecError, describe_exception
from bench.labels import IGNORE_LABEL

Array = npt.NDArray[Any]
TOLERANCE = 0.5
"""By so much float images may leave 0–1, as bicubic interpolation does; a normalised one does so
by more."""


class Sample(NamedTuple):
    """What a transform is given, and what it gives.

    Attributes:
        image: given: (H, W, C) uint8, or float32 0–1 where images have more than 8 bits. Back comes
            the like, (C, H, W) as a tensor, or a Pillow image.
        mask: (H, W) uint8 labels, or None. Back may come any integers, or floats that are whole.
    """

    image: Any
    mask: Any


class SampleTransform(ABC):
    """A transform of one sample.

    Attributes:
        p: probability that it applies, drawn per sample.
        name: how messages call it.
        in_threads: whether several samples may be worked on at a time: it draws from no generator
            that threads share.
        left_out: whether a Normalize at its end is left out.
    """

    p: float
    name: str
    in_threads: bool = False
    left_out: bool = False

    @abstractmethod
    def change(self, sample: Sample, seed: int) -> Sample:
        """What becomes of the sample; all draws follow from `seed`, and from nothing before it."""


class SampleBatch(NamedTuple):
    """Samples on the CPU.

    Attributes:
        images: (B, C, H, W) uint8, or float 0–255.
        masks: (B, H, W) uint8; or None.
    """

    images: Tensor
    masks: Tensor | None


def change_samples(
    transform: SampleTransform,
    batch: SampleBatch,
    rows: Sequence[int],
    seeds: Sequence[int],
    *,
    classes: int,
) -> SampleBatch:
    """The batch with the samples `rows` transformed, each by its own seed; others as they are.

    Images become float32 where the transform gives floats, else they keep their type. The global
    generators of Python, NumPy and torch are afterwards as they were before.

    Raises:
        SpecError: the transform fails, or gives what is no image or mask of this size.
    """
    found: dict[int, SampleBatch] = {}

    def change(row: int, seed: int) -> None:
        given = _given(batch, row)
        try:
            changed = transform.change(given, seed)
        except SpecError:
            raise
        except Exception as error:  # code of others may raise anything
            what = " and its mask" if given.mask is not None else ""
            shape = "×".join(map(str, given.image.shape))
            raise SpecError(
                f"{transform.name} fails on an image {shape} {given.image.dtype}{what}: "
                f"{describe_exception(error)}"
            ) from error
        found[row] = _checked(changed, batch, transform.name, classes)

    jobs = [partial(change, row, seed) for row, seed in zip(rows, seeds, strict=True)]
    if transform.in_threads:
        run_jobs(jobs)
    else:
        with global_generators_kept():
            for job, seed in zip(jobs, seeds, strict=True):
                seed_global_generators(seed)
                job()
    return _put_together(batch, found)


def _given(batch: SampleBatch, row: int) -> Sample:
    image = batch.images[row].permute(1, 2, 0).numpy()
    image = np.array(image) if image.dtype == np.uint8 else image.astype(np.float32) / 255
    mask = None if batch.masks is None else np.array(batch.masks[row].numpy())
    return Sample(np.ascontiguousarray(image), mask)


def _put_together(batch: SampleBatch, found: dict[int, SampleBatch]) -> SampleBatch:
    images = batch.images
    if any(changed.images.is_floating_point() for changed in found.values()):
        images = images.float()
    images = images.clone(memory_format=torch.preserve_format) if found else images
    masks = batch.masks.clone() if found and batch.masks is not None else batch.masks
    for row, changed in found.items():
        images[row] = changed.images
        if masks is not None and changed.masks is not None:
            masks[row] = changed.masks
    return SampleBatch(images, masks)


def _checked(changed: Sample, batch: SampleBatch, name: str, classes: int) -> SampleBatch:
    """A transformed sample as (C, H, W) uint8 or float 0–255, and (H, W) labels."""
    shape = tuple(batch.images.shape[1:])
    image = _levels(_channels_first(changed.image, name), name)
    if image.shape[1:] != shape[1:]:
        height, width = shape[1:]
        raise SpecError(
            f"{name} gives images of {image.shape[1]}×{image.shape[2]} pixels, not {height}×"
            f"{width}: end it with a resize or a crop to data.image_size"
        )
    if image.shape[0] != shape[0]:
        raise SpecError(f"{name} gives {image.shape[0]} channels, not {shape[0]}")
    if batch.masks is None:
        return SampleBatch(image, None)
    return SampleBatch(image, _labels(changed.mask, shape[1:], name, classes))


def _channels_first(image: Any, name: str) -> Tensor:
    if isinstance(image, Tensor):
        found = image
    else:
        array = np.asarray(image)
        if array.dtype.kind not in "uif" or array.ndim not in (2, 3):
            raise SpecError(f"{name} gives {_text(image)} for an image, which is none")
        found = torch.from_numpy(np.array(array))
        found = found.unsqueeze(0) if found.dim() == 2 else found.permute(2, 0, 1)
    if found.dim() != 3:
        raise SpecError(f"{name} gives {_text(image)} for an image, not (C, H, W)")
    return found.detach().as_subclass(Tensor)


def _levels(image: Tensor, name: str) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise SpecError(f"{name} gives images of {kind}: uint8, or floats from 0 to 1, are needed")
    low, high = (float(value) for value in image.aminmax())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise SpecError(
            f"{name} gives values from {low:.3g} to {high:.3g}: images of floats must stay within "
            "0 and 1; leave out Normalize, which data.normalize does afterwards"
        )
    return image.float().mul(255).clamp_(0, 255)


def _labels(mask: Any, size: tuple[int, ...], name: str, classes: int) -> Tensor:
    if mask is None:
        raise SpecError(f"{name} gives no mask back: it must return image and mask")
    found = mask.as_subclass(Tensor) if isinstance(mask, Tensor) else torch.from_numpy(
        np.array(mask)
    )  # fmt: skip
    if found.dim() == 3 and 1 in (found.shape[0], found.shape[2]):
        found = found.squeeze(0 if found.shape[0] == 1 else 2)
    if found.shape != size:
        raise SpecError(f"{name} gives {_text(mask)} for a mask of {size[0]}×{size[1]} pixels")
    if found.dtype == torch.uint8:
        labels = found
    else:
        labels = found.to(torch.uint8)
        if not torch.equal(labels.to(found.dtype), found):
            raise SpecError(f"{name} gives masks with values that are no labels: {_NEAREST}")
    if int(labels.max()) >= classes:
        strange = labels[(labels >= classes) & (labels != IGNORE_LABEL)]
        if len(strange):
            raise SpecError(
                f"{name} gives masks with the label {int(strange[0])}, but classes are 0 to "
                f"{classes - 1} and {IGNORE_LABEL} is ignored: {_NEAREST}"
            )
    return labels


_NEAREST = "masks take the nearest pixel's label, and borders are filled with a class or 255"


def _text(found: object) -> str:
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape is None:
        return f"a {type(found).__name__}"
    return f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Whatever is drawn in between, the CPU's global generators are afterwards as before."""
    python, numpy, torchs = (
        random.getstate(),
        np.random.get_state(),  # noqa: NPY002 - other libraries draw from it
        torch.default_generator.get_state(),
    )
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as above
        torch.default_generator.set_state(torchs)


def seed_global_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators of the CPU; a GPU's stay as they are."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
    torch.default_generator.manual_seed(seed)
