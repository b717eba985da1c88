import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from bench.augment.color import Brightness, Contrast, Gamma, Saturation, grey
from tests.augment.conformance import noise, pipeline, run, seeded

SIZE = (4, 4)


def of(*factors: float) -> torch.Tensor:
    return torch.tensor(factors).view(-1, 1, 1, 1)


@pytest.mark.parametrize("kind", [Brightness, Contrast, Saturation, Gamma])
def test_a_factor_of_one_changes_no_bit(kind: type[Brightness]):
    images = 255 * torch.rand(3, 3, 20, 30, generator=seeded())
    change = kind(1, (1, 1))
    assert torch.equal(change.adjust(images, change.draw(3, SIZE, seeded())), images)


@pytest.mark.parametrize("kind", [Brightness, Contrast, Saturation])
def test_factors_are_uniform_and_each_samples_own(kind: type[Brightness]):
    factors = kind(1, (0.5, 2)).draw(4000, SIZE, seeded()).flatten()
    assert (factors.min() >= 0.5, factors.max() <= 2) == (True, True)
    assert factors.mean().item() == pytest.approx(1.25, abs=0.03)
    assert factors.std().item() == pytest.approx(1.5 / math.sqrt(12), rel=0.04)


def test_exponents_are_log_uniform():
    logarithms = Gamma(1, (0.25, 4)).draw(4000, SIZE, seeded()).log2().flatten()
    assert logarithms.mean().item() == pytest.approx(0, abs=0.08)
    assert logarithms.std().item() == pytest.approx(4 / math.sqrt(12), rel=0.04)


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        (Brightness, tv.adjust_brightness),
        (Contrast, tv.adjust_contrast),
        (Saturation, tv.adjust_saturation),
    ],
)
def test_factors_mean_what_they_mean_in_torchvision(kind: type[Brightness], theirs):
    images = noise(3)[0].float()
    factors = (0.0, 0.6, 1.7)
    ours = kind(1, (0, 2)).adjust(images, of(*factors)).clamp(0, 255)
    for image, factor, found in zip(images, factors, ours, strict=True):
        assert torch.allclose(found / 255, theirs(image / 255, factor), atol=1e-3)


def test_gamma_by_hand():
    images = torch.tensor([0.0, 63.75, 127.5, 255.0]).expand(2, 3, 1, 4)
    dark, light = Gamma(1, (0.5, 2)).adjust(images, of(2, 0.5))
    assert dark[0, 0].tolist() == pytest.approx([0, 255 / 16, 255 / 4, 255])
    assert light[0, 0].tolist() == pytest.approx([0, 127.5, 255 * math.sqrt(0.5), 255])


def test_grey_by_hand():
    image = torch.tensor([100.0, 50.0, 200.0]).view(1, 3, 1, 1)
    assert grey(image).item() == pytest.approx(29.9 + 29.35 + 22.8)


def test_values_are_cut_off_after_each_transform():
    images = torch.full((1, 3, 8, 8), 200.0)
    lit = {"brightness": {"p": 1, "factor": [2, 2]}}
    dimmed = {"brightness": {"p": 1, "factor": [0.5, 0.5]}}
    assert run(pipeline(lit, dimmed), images)[0].unique().item() == 127.5
    assert run(pipeline(dimmed, lit), images)[0].unique().item() == 200
