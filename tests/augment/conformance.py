"""What every augmentation must do. Two lines test a new one:

from tests.augment.conformance import conforms
test_shear = conforms({"shear": {"degrees": 10}})

or, if it changes values and moves nothing, `conforms({"noise": {}}, moves=False)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.augment.pipeline import Pipeline
from bench.augment.settings import AugmentSettings

H, W = 40, 56
LABELS = (0, 1, 7, 255)


def pipeline(
    *transforms: Any,
    paired: bool = True,
    classes: int = 256,
    masks: bool = True,
    **options: Any,
) -> Pipeline:
    settings = AugmentSettings.model_validate({"transforms": list(transforms), **options})
    return Pipeline(settings, paired=paired, classes=classes, masks=masks)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(
    pipe: Pipeline, images: Tensor, masks: Tensor | None = None, seed: int = 0
) -> tuple[Tensor, Tensor | None]:
    draws = seeded(seed)
    return pipe.apply(images, masks, pipe.choose(len(images), draws), draws)


def noise(n: int, height: int = H, width: int = W) -> tuple[Tensor, Tensor]:
    """Random images and masks."""
    draws = seeded(99)
    images = torch.randint(0, 256, (n, 3, height, width), generator=draws, dtype=torch.uint8)
    labels = torch.randint(0, len(LABELS), (n, height, width), generator=draws)
    return images, torch.tensor(LABELS, dtype=torch.uint8)[labels]


def ramps(n: int, height: int = H, width: int = W) -> Tensor:
    """(n, 3, H, W) float: channel 0 tells the column, channel 1 the row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, x]).float().expand(n, 3, height, width)


def at(spec: dict[str, Any], p: float) -> dict[str, Any]:
    if "target" in spec:
        return {**spec, "p": p}
    ((name, body),) = spec.items()
    return {name: {**body, "p": p}}


def p_zero_changes_no_bit(spec: dict[str, Any]) -> None:
    images, masks = noise(4)
    moved, moved_masks = run(pipeline(at(spec, 0)), images, masks)
    assert torch.equal(moved, images.float())
    assert torch.equal(moved_masks, masks)


def p_one_changes_every_image(spec: dict[str, Any]) -> None:
    images = noise(6)[0]
    moved, _ = run(pipeline(at(spec, 1)), images)
    assert (moved != images).flatten(1).any(1).all()


def p_one_changes_every_mask(spec: dict[str, Any]) -> None:
    images, masks = noise(6)
    _, moved_masks = run(pipeline(at(spec, 1)), images, masks)
    assert (moved_masks != masks).flatten(1).any(1).all()


def masks_stay(spec: dict[str, Any]) -> None:
    images, masks = noise(6)
    for paired in (True, False):
        assert torch.equal(run(pipeline(at(spec, 1), paired=paired), images, masks)[1], masks)


def shapes_and_types_are_kept(spec: dict[str, Any]) -> None:
    images, masks = noise(3)
    for image_type in (torch.uint8, torch.float32, torch.float16):
        for mask_type in (torch.uint8, torch.int64):
            given = masks.to(mask_type)
            moved, moved_masks = run(pipeline(at(spec, 1)), images.to(image_type), given)
            assert (moved.shape, moved.dtype) == (images.shape, torch.float32)
            assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, mask_type)
    assert run(pipeline(at(spec, 1)), images)[1] is None


def what_is_given_stays(spec: dict[str, Any]) -> None:
    images, masks = noise(8)
    given, given_masks = images.float(), masks.clone()
    run(pipeline(at(spec, 0.5)), given, given_masks)
    assert torch.equal(given, images.float())
    assert torch.equal(given_masks, masks)


def values_stay_in_range(spec: dict[str, Any]) -> None:
    images, masks = noise(6)
    for interpolation in ("bilinear", "bicubic"):
        pipe = pipeline(at(spec, 1), interpolation=interpolation)
        moved, moved_masks = run(pipe, images, masks)
        assert moved.min() >= 0
        assert moved.max() <= 255
        assert set(moved_masks.unique().tolist()) <= set(LABELS)


def samples_draw_apart(spec: dict[str, Any]) -> None:
    images = noise(1)[0].expand(16, -1, -1, -1)
    moved = run(pipeline(at(spec, 0.5)), images)[0]
    same = (moved[:, None] == moved).flatten(2).all(2)
    assert 16 < int(same.sum()) < 16 * 16, "some are left alone, and not all are alike"


def seed_decides(spec: dict[str, Any]) -> None:
    images, masks = noise(8)
    pipe = pipeline(at(spec, 0.5))
    first, again, other = (run(pipe, images, masks, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def memory_format_does_not_matter(spec: dict[str, Any]) -> None:
    images, masks = noise(5)
    pipe = pipeline(at(spec, 0.7))
    usual = run(pipe, images, masks)
    last = run(pipe, images.contiguous(memory_format=torch.channels_last), masks)
    sliced = run(pipe, images.repeat(1, 1, 1, 2)[..., :W], masks)
    for other in (last, sliced):
        assert torch.equal(usual[0], other[0])
        assert torch.equal(usual[1], other[1])


def applies_as_often_as_p_says(spec: dict[str, Any]) -> None:
    n, p = 4000, 0.3
    rate = pipeline(at(spec, p)).choose(n, seeded()).any(1).double().mean().item()
    assert rate == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5)


def mask_follows_image(spec: dict[str, Any]) -> None:
    assert misalignment(pipeline(at(spec, 1))) <= 0.5 + 1e-3


def unpaired_mask_goes_its_own_way(spec: dict[str, Any]) -> None:
    pipe, paired = (pipeline(at(spec, 0.5), paired=how) for how in (False, True))
    assert misalignment(pipe, n=16) > 0.5 + 1e-3
    images, masks = noise(16)
    assert torch.equal(run(pipe, images, masks)[0], run(paired, images, masks)[0])


def misalignment(pipe: Pipeline, n: int = 8, height: int = H, width: int = W) -> float:
    """Largest distance, along an axis, between where image and mask look; in pixels.

    The image's values are its pixels' coordinates, and so are the mask's labels: wherever an edge
    may be, the image's and the mask's are no further apart than this.
    """
    images, worst = ramps(n, height, width), 0.0
    for axis in (0, 1):
        moved, labels = run(pipe, images, images[:, axis].to(torch.int64))
        assert labels is not None
        worst = max(worst, (moved[:, axis] - labels).abs().max().item())
    return worst


def no_device_is_waited_for(spec: dict[str, Any]) -> None:
    """Nothing is read back: the meta device has no values that could be."""
    images, masks = (batch.to("meta") for batch in noise(9))
    for paired in (True, False):
        pipe = pipeline(at(spec, 0.5), at(spec, 0.5), "rotate", paired=paired)
        moved, moved_masks = run(pipe, images, masks)
        assert (moved.is_meta, moved.shape, moved.dtype) == (True, images.shape, torch.float32)
        assert (moved_masks.is_meta, moved_masks.shape) == (True, masks.shape)


CHECKS: tuple[Callable[[dict[str, Any]], None], ...] = (
    p_zero_changes_no_bit,
    p_one_changes_every_image,
    shapes_and_types_are_kept,
    what_is_given_stays,
    values_stay_in_range,
    samples_draw_apart,
    seed_decides,
    memory_format_does_not_matter,
    applies_as_often_as_p_says,
    no_device_is_waited_for,
)
GEOMETRIC = (p_one_changes_every_mask, mask_follows_image, unpaired_mask_goes_its_own_way)
PHOTOMETRIC = (masks_stay,)


def conforms(spec: dict[str, Any], moves: bool = True) -> Callable[..., None]:
    """A test of one augmentation in all its duties.

    Args:
        spec: as in a spec file, without `p`.
        moves: it moves pixels; False: it is photometric, and masks stay.
    """
    checks = (*CHECKS, *(GEOMETRIC if moves else PHOTOMETRIC))

    @pytest.mark.parametrize("check", checks, ids=[check.__name__ for check in checks])
    def test(check: Callable[[dict[str, Any]], None]) -> None:
        check(spec)

    return test
