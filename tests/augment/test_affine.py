import math

import pytest
import torch

from bench.augment.affine import Crop, Rotate, rotation

from .conformance import pipeline, ramps, run, seeded

SIZE = (40, 60)


def test_rotation_by_30_degrees_looks_where_geometry_says():
    matrix = rotation(torch.tensor([math.radians(30)], dtype=torch.float64))[0]
    # turning the picture counter-clockwise, the point right of the centre comes from below it
    right = torch.tensor([10.0, 0, 1], dtype=torch.float64)
    assert (matrix @ right).tolist() == pytest.approx([10 * math.sqrt(0.75), 5.0])


def test_angles_are_uniform_up_to_the_limit():
    angles = Rotate(1, 20).matrices(4000, SIZE, seeded())
    degrees = torch.rad2deg(torch.atan2(angles[:, 1, 0], angles[:, 0, 0]))
    assert degrees.abs().max() <= 20
    assert degrees.mean().item() == pytest.approx(0, abs=0.6)
    assert degrees.std().item() == pytest.approx(20 / math.sqrt(3), rel=0.04)


def test_crops_lie_within_the_image_and_reach_its_edges():
    matrices = Crop(1, (0.25, 1)).matrices(4000, SIZE, seeded())
    side, shift = matrices[:, 0, 0], matrices[:, :, 2]
    assert torch.equal(side, matrices[:, 1, 1])
    assert side.min() >= 0.25
    assert side.max() <= 1
    assert side.mean().item() == pytest.approx(0.625, abs=0.015)
    for axis, length in ((0, 60), (1, 40)):
        overhang = shift[:, axis].abs() + side * length / 2 - length / 2
        assert overhang.max() <= 1e-9
        assert overhang.max() > -0.05


def test_a_crop_shows_the_part_it_should():
    # side 1/2: output columns 0…59 look at 30 columns, half a pixel apart
    moved, _ = run(pipeline({"crop": {"p": 1, "scale": [0.5, 0.5]}}), ramps(3, *SIZE))
    steps = moved[:, 0, 0, 1:] - moved[:, 0, 0, :-1]
    assert torch.allclose(steps[:, 2:-2], torch.tensor(0.5), atol=1e-3)
