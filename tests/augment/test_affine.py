import math

import pytest
import torch

from bench.augment.affine import Crop, Rotate, Scale, Shear, Translate, rotation
from tests.augment.conformance import pipeline, ramps, run, seeded

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


def test_translations_are_uniform_shares_of_each_side():
    shift = Translate(1, 0.25).matrices(4000, SIZE, seeded())
    assert torch.equal(shift[:, :, :2], torch.eye(2).double().expand(4000, 2, 2))
    for axis, length in ((0, 60), (1, 40)):
        assert shift[:, axis, 2].abs().max() <= length / 4
        assert shift[:, axis, 2].std().item() == pytest.approx(length / 4 / math.sqrt(3), rel=0.04)
    assert abs(torch.corrcoef(shift[:, :, 2].T)[0, 1]) < 0.06


def test_a_translation_shows_the_part_it_should():
    images = ramps(64, *SIZE)
    moved = run(pipeline({"translate": {"p": 1, "by": 0.25}}), images)[0]
    shift = (moved - images)[:, :2, 20, 30]
    for axis, length in ((0, 60), (1, 40)):
        assert length / 8 < shift[:, axis].abs().max() <= length / 4 + 1e-3
    inside = (moved - images)[:, :2, 15:25, 20:40]
    assert torch.allclose(inside, shift[:, :, None, None].expand_as(inside), atol=1e-3)


def test_shears_keep_each_axis_coordinate_apart_from_the_slant():
    matrices = Shear(1, 20).matrices(4000, SIZE, seeded())
    assert torch.equal(matrices[:, [0, 1], [0, 1]], torch.ones(4000, 2).double())
    assert matrices[:, :, 2].abs().max() == 0
    angles = torch.rad2deg(torch.stack([matrices[:, 0, 1], matrices[:, 1, 0]]).atan())
    assert angles.abs().max() <= 20
    assert angles.std(1).tolist() == pytest.approx([20 / math.sqrt(3)] * 2, rel=0.04)
    assert abs(torch.corrcoef(angles)[0, 1]) < 0.06


def test_factors_of_scale_are_log_uniform_and_above_1_enlarge():
    matrices = Scale(1, (0.5, 2)).matrices(4000, SIZE, seeded())
    assert torch.equal(matrices[:, 0, 0], matrices[:, 1, 1])
    logarithm = -matrices[:, 0, 0].log2()
    assert logarithm.abs().max() <= 1
    assert logarithm.mean().item() == pytest.approx(0, abs=0.04)
    assert logarithm.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.04)
    # twice as large: neighbouring pixels look half a pixel apart
    moved = run(pipeline({"scale": {"p": 1, "factor": [2, 2]}}), ramps(1, *SIZE))[0]
    assert torch.allclose(moved[0, 0, 0, 1:] - moved[0, 0, 0, :-1], torch.tensor(0.5), atol=1e-3)
    assert moved[0, 0, 0, 0].item() == pytest.approx(29.5 - 59 / 4, abs=1e-3)
