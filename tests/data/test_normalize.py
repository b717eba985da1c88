from __future__ import annotations

import pytest

from bench.data.normalize import scale_and_offset


def test_none_leaves_pixels_as_they_are():
    assert scale_and_offset("none") == ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])


def test_unit_maps_255_to_1():
    scale, offset = scale_and_offset("unit")
    assert [255 * s + o for s, o in zip(scale, offset, strict=True)] == [1.0, 1.0, 1.0]


def test_imagenet_maps_the_mean_to_0_and_a_deviation_above_it_to_1():
    scale, offset = scale_and_offset("imagenet")
    mean = [123.675, 116.28, 103.53]  # 255 × (0.485, 0.456, 0.406)
    above = [182.07, 173.4, 160.905]  # + 255 × (0.229, 0.224, 0.225)
    for s, o, m, a in zip(scale, offset, mean, above, strict=True):
        assert m * s + o == pytest.approx(0, abs=1e-12)
        assert a * s + o == pytest.approx(1)
