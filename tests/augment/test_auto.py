"""RandAugment and TrivialAugment are torchvision's, with each sample's own seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from bench.augment.check_custom import example_samples
from bench.augment.pipeline import Pipeline
from bench.augment.samples import SampleBatch
from tests.augment.conformance import pipeline, seeded

BILINEAR = InterpolationMode.BILINEAR


def run(pipe: Pipeline, batch: SampleBatch) -> tuple[SampleBatch, torch.Tensor]:
    draws = seeded()
    chosen = pipe.choose(len(batch.images), draws)
    return pipe.change_samples(batch, chosen, draws), chosen[:, 0]


@pytest.mark.parametrize(
    ("spec", "theirs"),
    [
        ({"rand_augment": {}}, v2.RandAugment(fill=0)),
        (
            {"rand_augment": {"ops": 3, "magnitude": 5, "bins": 11, "interpolation": "bilinear",
                              "fill": 127}},
            v2.RandAugment(3, 5, 11, interpolation=BILINEAR, fill=127),
        ),
        ({"trivial_augment": {}}, v2.TrivialAugmentWide(fill=0)),
        (
            {"trivial_augment": {"bins": 7, "interpolation": "bilinear"}},
            v2.TrivialAugmentWide(7, interpolation=BILINEAR, fill=0),
        ),
    ],
)  # fmt: skip
def test_each_image_is_what_torchvision_makes_of_it(spec: dict[str, Any], theirs: Any) -> None:
    batch = example_samples(10, (24, 36), 3, None)
    found, _ = run(pipeline(spec, masks=False), batch)
    draws = seeded()
    torch.rand(10, generator=draws)  # which samples it applies to: all of them
    for row, seed in enumerate(torch.randint(2**63 - 1, (10,), generator=draws).tolist()):
        torch.manual_seed(seed)
        expected = theirs(tv_tensors.Image(batch.images[row].contiguous()))
        assert torch.equal(found.images[row], expected)


def test_it_applies_to_a_part_of_the_images_and_within_one_of() -> None:
    spec = {"one_of": [{"rand_augment": {"p": 0.4}}, {"hflip": {"p": 0.6}}]}
    batch = example_samples(200, (8, 8), 3, None)
    found, chosen = run(pipeline(spec, masks=False), batch)
    assert 50 < int(chosen.sum()) < 110
    assert torch.equal(found.images[~chosen], batch.images[~chosen])
