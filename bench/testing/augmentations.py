"""What every augmentation must do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.augment.check_custom import check_custom_transforms, example_samples
from bench.augment.pipeline import Pipeline
from bench.augment.samples import SampleBatch
from bench.augment.settings import AugmentSettings
from bench.registry import load_target
from bench.testing.cases import Check, as_test, require

SAMPLES = 24
SIZE = (48, 64)
_METHODS = ("matrices", "displacement", "adjust")
"""Of transforms in a list; anything else is a pipeline."""


def augmentation_conforms(
    target: str,
    *,
    masks: bool = True,
    classes: int = 3,
    size: tuple[int, int] = SIZE,
    channels: int = 3,
    **arguments: Any,
) -> Callable[..., None]:
    """A test of an augmentation in all its duties.

    Args:
        target: `module:Name`, as in `augment`: of a pipeline, or of a transform in a list.
        masks: whether images have masks; else labels.
        classes: how many there are.
        size: height and width of the images that it is tried with.
        channels: of these images.
        arguments: the others of `augment`.
    """
    part = {"target": target, **arguments}
    builder = load_target(target)
    is_transform = inspect.isclass(builder) and any(hasattr(builder, name) for name in _METHODS)
    settings = AugmentSettings.model_validate([{"p": 1.0, **part}] if is_transform else part)
    suite = _Suite(settings, masks, classes, size, channels)
    checks: list[Check] = [
        suite.works_as_it_is_called,
        suite.follows_from_its_seed,
        suite.leaves_what_it_is_given,
        suite.is_the_same_with_any_threads,
        suite.is_the_same_after_other_batches,
    ]
    if masks:
        checks.append(suite.moves_image_and_mask_together)
    if is_transform:
        checks += [suite.does_nothing_with_p_0, suite.does_not_wait_for_the_device]
    else:
        checks.append(suite.takes_each_sample_by_itself)
    return as_test(checks)


class _Suite:
    def __init__(
        self,
        settings: AugmentSettings,
        masks: bool,
        classes: int,
        size: tuple[int, int],
        channels: int,
    ) -> None:
        self.settings, self.masks, self.classes = settings, masks, classes
        self.size, self.channels = size, channels

    def _pipeline(self) -> Pipeline:
        return Pipeline(self.settings, classes=self.classes, size=self.size, masks=self.masks)

    def _batch(self, count: int = SAMPLES) -> SampleBatch:
        classes = self.classes if self.masks else None
        return example_samples(count, self.size, self.channels, classes)

    def _run(self, pipeline: Pipeline, batch: SampleBatch, seed: int = 0) -> SampleBatch:
        draws = torch.Generator().manual_seed(seed)
        chosen = pipeline.choose(len(batch.images), draws)
        if pipeline.sample_transforms:
            batch = pipeline.change_samples(batch, chosen, draws)
        return SampleBatch(*pipeline.apply(*batch, chosen, draws))

    def works_as_it_is_called(self) -> None:
        check_custom_transforms(
            self.settings, self.size, self.channels, classes=self.classes, masks=self.masks
        )
        batch = self._batch()
        found = self._run(self._pipeline(), batch)
        require(found.images.shape == batch.images.shape, "images keep their shape")
        require(found.images.isfinite().all(), "all values are numbers")

    def follows_from_its_seed(self) -> None:
        batch, state = self._batch(), torch.get_rng_state()
        one, again = (self._run(self._pipeline(), batch, 1) for _ in range(2))
        require(_same(one, again), "the same seed gives the same images and masks")
        others = [self._run(self._pipeline(), batch, seed) for seed in range(2, 8)]
        drawn = any(not _same(one, other) for other in others)
        fixed = _same(one, SampleBatch(batch.images.float(), batch.masks))
        require(drawn or not fixed, "it changes something, or another seed does")
        require(torch.equal(torch.get_rng_state(), state), "it draws from its own generator only")

    def leaves_what_it_is_given(self) -> None:
        batch, untouched = self._batch(), self._batch()
        self._run(self._pipeline(), batch)
        require(_same(batch, untouched), "it does not write into what it is given")

    def is_the_same_with_any_threads(self) -> None:
        before, found = torch.get_num_threads(), []
        try:
            for threads in (1, 3):
                torch.set_num_threads(threads)
                found.append(self._run(self._pipeline(), self._batch()))
        finally:
            torch.set_num_threads(before)
        require(_same(*found), "it gives the same bits with any number of threads")

    def is_the_same_after_other_batches(self) -> None:
        pipeline, batch = self._pipeline(), self._batch()
        self._run(pipeline, batch, seed=1)
        require(
            _same(self._run(pipeline, batch), self._run(self._pipeline(), batch)),
            "it keeps nothing from batch to batch, or a resumed trial differs",
        )

    def moves_image_and_mask_together(self) -> None:
        """A bright shape on dark ground, the mask being the shape, far from the middle."""
        height, width = self.size
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        inside = (y < height * 0.45) & (x < width * 0.3) | (y < height * 0.2) & (x < width * 0.6)
        masks = inside.to(torch.uint8).expand(SAMPLES, -1, -1).contiguous()
        images = torch.where(inside, 225, 30).to(torch.uint8)
        images = images.expand(SAMPLES, self.channels, -1, -1).contiguous()
        found = self._run(self._pipeline(), SampleBatch(images, masks))
        assert found.masks is not None  # as they were given
        agreement = [
            _agreement(image.float().mean(0), mask)
            for image, mask in zip(found.images, found.masks, strict=True)
        ]
        apart = [value for value in agreement if value < 0.5]
        require(
            len(apart) <= SAMPLES // 10,
            f"the mask goes where the image goes: in {len(apart)} of {SAMPLES} samples it did not",
        )

    def takes_each_sample_by_itself(self) -> None:
        batch = self._batch()
        whole = self._run(self._pipeline(), batch)
        few = SampleBatch(batch.images[:1], None if batch.masks is None else batch.masks[:1])
        # the first draws decide which samples it applies to; the first seed comes right after
        draws, pipeline = torch.Generator().manual_seed(0), self._pipeline()
        pipeline.choose(SAMPLES, draws)
        alone = pipeline.change_samples(few, pipeline.choose(1, torch.Generator()), draws)
        first = SampleBatch(whole.images[:1], None if whole.masks is None else whole.masks[:1])
        require(
            _same(SampleBatch(alone.images.float(), alone.masks), first),
            "what becomes of a sample does not depend on the others",
        )

    def does_nothing_with_p_0(self) -> None:
        (transform,) = self.settings.transforms
        never = transform.model_copy(update={"p": 0.0})
        settings = self.settings.model_copy(update={"transforms": (never,)})
        batch = self._batch()
        found = self._run(Pipeline(settings), batch)
        require(
            _same(found, SampleBatch(batch.images.float(), batch.masks)),
            "with p: 0 no bit changes: it takes `p` and keeps it",
        )

    def does_not_wait_for_the_device(self) -> None:
        batch = self._batch()
        there = SampleBatch(
            batch.images.to("meta"), None if batch.masks is None else batch.masks.to("meta")
        )
        try:
            self._run(self._pipeline(), there)
        except (RuntimeError, NotImplementedError) as error:
            require(
                "meta" not in str(error).lower(),
                f"no value is read back from the device: every step would wait ({error})",
            )


def _same(one: SampleBatch, other: SampleBatch) -> bool:
    return torch.equal(one.images, other.images) and (
        one.masks is None or other.masks is None or torch.equal(one.masks, other.masks)
    )


def _agreement(image: Tensor, mask: Tensor) -> float:
    """|correlation| of brightness and mask; 1 where one is plain, which says nothing."""
    shape = (mask == 1).float()
    if shape.std() < 0.05 or image.std() < 1e-3:
        return 1.0
    pair = torch.stack([image.flatten(), shape.flatten()])
    return abs(float(torch.corrcoef(pair)[0, 1]))
