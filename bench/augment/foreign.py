"""Pipelines of albumentations and torchvision, and functions of one's own, sample by sample."""

from __future__ import annotations

import copy
import inspect
import os
import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.augment.samples import Sample, SampleTransform
from bench.augment.settings import PipelineSettings
from bench.errors import SpecError
from bench.registry import build_custom

_AFTER_NORMALIZE = frozenset({"ToTensorV2", "ToTensor3D", "ToImage", "ToDtype", "ToPureTensor"})
"""Transforms of either library that only change how an image is stored."""


def foreign_pipeline(
    settings: PipelineSettings, *, size: tuple[int, int] | None, classes: int, masks: bool
) -> SampleTransform:
    """What `augment.pipeline` names, built and ready to be called.

    Args:
        settings: `target:` and its arguments.
        size: of the images, for a function that takes `image_size`.
        classes: how many there are, for one that takes `num_classes`.
        masks: whether masks come with the images.

    Raises:
        SpecError: it is not there, refuses its arguments, or cannot be called so.
    """
    # albumentations asks the network for a newer version when it is imported
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    context = {"num_classes": classes} | ({} if size is None else {"image_size": size})
    found = build_custom(settings, 1, **context)
    name = repr(settings.target)
    if _is_of(found, "albumentations"):
        return Albumentations(found, name)
    if masks and _is_of(found, "torchvision") and not _is_of(found, "torchvision.transforms.v2"):
        raise SpecError(
            f"{name} is of torchvision.transforms, which moves images without their masks: "
            "use torchvision.transforms.v2"
        )
    if isinstance(found, nn.Module) or _is_of(found, "torchvision"):
        return TorchvisionV2(found, name)
    if not callable(found):
        raise SpecError(
            f"{name} gives {found!r}, which cannot be called: it must be or give a Compose of "
            "albumentations or torchvision.transforms.v2, or a function of image and mask"
        )
    if hasattr(found, "p") and any(hasattr(found, method) for method in ("matrices", "draw")):
        raise SpecError(f"{name} is a single transform: list it, `augment: [{{target: …}}]`")
    return OwnFunction(found, name, masks=masks)


class Albumentations(SampleTransform):
    """A pipeline of albumentations, or one transform of it.

    Its transforms share two generators, which are seeded anew for each sample.
    `Compose.set_random_seed` would give all of them the same draws: two flips would always go
    together.
    """

    def __init__(self, pipeline: Any, name: str) -> None:
        from albumentations import Compose

        pipeline = pipeline if isinstance(pipeline, Compose) else Compose([pipeline])
        if not hasattr(pipeline, "set_random_state"):
            raise SpecError(
                f"{name}: albumentations 2 or newer is needed: pip install 'albumentations>=2.0.8'"
            )
        self.p, self.name = 1.0, name
        self.left_out = _without_normalize(pipeline)
        # code of the user's own may draw from generators that threads share
        self.in_threads = all(_is_plain(transform) for transform in _all_transforms(pipeline))
        self._pipeline, self._spare = pipeline, deque([pipeline])
        if "cv2" in sys.modules:  # samples are spread over threads already
            sys.modules["cv2"].setNumThreads(0)

    def change(self, sample: Sample, seed: int) -> Sample:
        """See `SampleTransform`."""
        try:
            pipeline = self._spare.popleft()
        except IndexError:  # other threads have them all
            pipeline = copy.deepcopy(self._pipeline)
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 - no secrets
        given = {"image": sample.image}
        if sample.mask is not None:
            given["mask"] = sample.mask
        found = pipeline(**given)
        self._spare.append(pipeline)
        return Sample(found["image"], found.get("mask"))


class TorchvisionV2(SampleTransform):
    """Transforms of torchvision, or modules like them; they draw from torch's global generator.

    They are called with a `tv_tensors.Image` (C, H, W), and a `tv_tensors.Mask` (H, W) after it.
    """

    def __init__(self, transform: Any, name: str, p: float = 1.0) -> None:
        self.p, self.name = p, name
        self.left_out = _without_normalize(transform)
        self._transform = transform

    def change(self, sample: Sample, seed: int) -> Sample:  # noqa: ARG002 - of the global generator
        """See `SampleTransform`."""
        from torchvision import tv_tensors

        image = tv_tensors.Image(torch.from_numpy(sample.image).permute(2, 0, 1).contiguous())
        if sample.mask is None:
            return Sample(self._transform(image), None)
        image, mask = self._transform(image, tv_tensors.Mask(torch.from_numpy(sample.mask)))
        return Sample(image, mask)


class OwnFunction(SampleTransform):
    """A function of image and mask, called by these names, or in this order where it has others.

    It may take `rng`, a `numpy.random.Generator`; the global generators are seeded as well.
    """

    def __init__(self, function: Any, name: str, *, masks: bool) -> None:
        self.p, self.name = 1.0, name
        self._function = function
        try:
            parameters = dict(inspect.signature(function).parameters)
        except ValueError:  # in C, and does not say
            parameters = {}
        self._takes_rng = "rng" in parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self._by_name = "image" in parameters or (takes_any and len(parameters) == 1)
        if masks and self._by_name and not takes_any and "mask" not in parameters:
            raise SpecError(
                f"{name} takes no mask: give it an argument `mask`, and return image and mask"
            )

    def change(self, sample: Sample, seed: int) -> Sample:
        """See `SampleTransform`."""
        given = {"image": sample.image}
        if sample.mask is not None:
            given["mask"] = sample.mask
        more = {"rng": np.random.default_rng(seed)} if self._takes_rng else {}
        if self._by_name:
            found = self._function(**given, **more)
        else:
            found = self._function(*given.values(), **more)
        if isinstance(found, Mapping):
            return Sample(found["image"], found.get("mask"))
        if isinstance(found, tuple | list):
            image, *rest = found
            return Sample(image, rest[0] if rest else None)
        return Sample(found, None)


def is_of_a_library(target: str) -> bool:
    """Whether `package.module:name` is of a library whose transforms see single samples."""
    return target.split(".")[0].split(":")[0] in ("albumentations", "torchvision")


def _is_of(part: object, package: str) -> bool:
    modules = (kind.__module__ for kind in type(part).__mro__)
    return any(f"{module}.".startswith(f"{package}.") for module in modules)


def _all_transforms(pipeline: Any) -> Iterator[Any]:
    for part in getattr(pipeline, "transforms", ()):
        yield part
        yield from _all_transforms(part)


def _is_plain(transform: Any) -> bool:
    """Whether a transform is albumentations' own, and calls no function of the user's."""
    kind = type(transform)
    return kind.__module__.split(".")[0] == "albumentations" and kind.__name__ != "Lambda"


def _without_normalize(pipeline: Any) -> bool:
    """Take Normalize off the end of a pipeline, in place; whether there was one.

    Raises:
        SpecError: there is one elsewhere, where others follow that get its values.
    """
    transforms = getattr(pipeline, "transforms", None)
    if not isinstance(transforms, Iterable):
        return False
    kept = list(transforms)
    at = [i for i, part in enumerate(kept) if type(part).__name__ == "Normalize"]
    if not at:
        return False
    if any(type(part).__name__ not in _AFTER_NORMALIZE for part in kept[at[0] + 1 :]):
        raise SpecError(
            "augment: leave out Normalize, after which other transforms come: data.normalize does "
            "it after all of them"
        )
    del kept[at[0]]
    pipeline.transforms = kept
    return True
