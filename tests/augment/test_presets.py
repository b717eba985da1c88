"""Pipelines by a word, and the transforms that came with them."""

from __future__ import annotations

import pytest
import torch

from bench.augment.color import Hue, grey
from bench.augment.pipeline import Pipeline
from bench.augment.presets import PRESETS
from bench.augment.settings import AugmentSettings
from bench.augment.texture import Downscale


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_word_is_its_transforms(name: str) -> None:
    settings = AugmentSettings.model_validate(name)
    assert settings == AugmentSettings.model_validate(PRESETS[name])
    appended = AugmentSettings.model_validate({"transforms": name, "mode": "append"})
    assert appended.transforms == settings.transforms
    pipeline = Pipeline(settings)
    images = torch.rand(16, 3, 24, 24) * 255
    masks = torch.randint(2, (16, 24, 24), dtype=torch.uint8)
    chosen = pipeline.choose(16, seeded())
    moved, moved_masks = pipeline.apply(images, masks, chosen, seeded())
    assert moved.shape == images.shape
    assert moved_masks is not None
    assert torch.equal(moved, images) == (name == "none")


def test_heavier_ones_change_more() -> None:
    counts = [len(PRESETS[name]) for name in ("none", "light", "medium", "heavy")]
    assert counts == sorted(counts)
    assert len(set(counts)) == 4


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'heavy'"):
        AugmentSettings.model_validate("heavyy")


def test_hue_keeps_grey_and_brightness() -> None:
    images = torch.rand(4, 3, 6, 6) * 200
    turned = Hue(1.0, 90.0).adjust(images, Hue(1.0, 90.0).draw(4, (6, 6), seeded()))
    torch.testing.assert_close(grey(turned), grey(images), rtol=0, atol=0.05)
    plain = torch.full((1, 3, 2, 2), 77.0)
    found = Hue(1.0, 90.0).adjust(plain, Hue(1.0, 90.0).draw(1, (2, 2), seeded()))
    torch.testing.assert_close(found, plain, rtol=0, atol=0.1)
    assert (turned - images).abs().max() > 5


def test_a_turn_of_nothing_is_nothing() -> None:
    images = torch.rand(2, 3, 4, 4) * 255
    same = Hue(1.0, 0.0)
    torch.testing.assert_close(same.adjust(images, same.draw(2, (4, 4), seeded())), images)


@pytest.mark.parametrize(("factor", "blocks"), [(1.0, 8), (0.5, 4), (0.25, 2)])
def test_downscaling_leaves_so_many_values_in_a_line(factor: float, blocks: int) -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    lower = Downscale(1.0, (factor, factor))
    found = lower.adjust(ramp, lower.draw(1, (8, 8), seeded()))
    assert len(found[0, 0, 0].unique()) == blocks
    size = 8 // blocks
    middles = [size * block + size // 2 for block in range(blocks) for _ in range(size)]
    assert found[0, 0, 0].tolist() == middles
