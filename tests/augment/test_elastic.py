import math

import pytest
import torch
from torchvision.transforms import v2

from bench.augment.elastic import Elastic
from tests.augment.conformance import seeded


def drawn(elastic: Elastic, n: int, height: int, width: int) -> torch.Tensor:
    size = height, width
    return elastic.displacement(elastic.draw(n, size, seeded()), size)


def test_deviation_is_that_of_smoothed_uniform_noise():
    assert Elastic(1, alpha=30, sigma=5).deviation == pytest.approx(0.977, abs=5e-4)
    # Simard's procedure: variance 1/3, times the window's sum of squares along each axis
    window = torch.exp(-(torch.arange(-60, 61, dtype=torch.float64) ** 2) / (2 * 5.0**2))
    left = ((window / window.sum()) ** 2).sum().item()
    assert Elastic(1, 30, 5).deviation == pytest.approx(30 * math.sqrt(1 / 3) * left, rel=1e-6)


@pytest.mark.parametrize(("alpha", "sigma"), [(30, 5), (60, 2.5), (400, 12), (10, 1)])
def test_displacements_have_the_stated_deviation(alpha: float, sigma: float):
    elastic = Elastic(1, alpha, sigma)
    field = drawn(elastic, 120, 96, 128)
    assert field.shape == (120, 2, 96, 128)
    # within 4 standard errors, from the number of independent patches of 4π sigma²
    tolerance = 4 / math.sqrt(2 * field.numel() / (4 * math.pi * sigma**2))
    for axis in (0, 1):
        std = field[:, axis].std().item()
        assert std == pytest.approx(elastic.deviation, rel=max(tolerance * math.sqrt(2), 0.005))
    corner = field[:, :, :3, :3].square().mean().sqrt().item()
    assert corner == pytest.approx(elastic.deviation, rel=0.25), "no weaker or stronger at edges"


@pytest.mark.parametrize("length", [100, 256])
@pytest.mark.parametrize("sigma", [1.0, 1.7, 5.0, 30.0, 300.0])
def test_covariance_is_that_of_smoothed_noise_everywhere(sigma: float, length: int):
    elastic, size = Elastic(1, 30, sigma), (1, length)
    _, _, down, right = elastic.draw(1, size, seeded()).shape
    # what each lattice point alone does to a row; the only row's own weights have norm 1
    lattice = torch.zeros(right, 2, down, right)
    lattice[range(right), :, :, range(right)] = 1
    response = elastic.displacement(lattice, size)[:, 0, 0].double()
    response /= response.square().sum(0).mean().sqrt()
    apart = torch.arange(length)[:, None] - torch.arange(length)
    expected = torch.exp(-(apart.double() ** 2) / (4 * sigma**2))
    covariance = response.T @ response
    assert torch.allclose(covariance, expected, atol=2e-4)
    assert torch.allclose(covariance.diagonal(), torch.ones(length).double(), atol=1e-5)


def test_axes_and_samples_are_independent():
    field = drawn(Elastic(1, 30, 5), 60, 64, 64).flatten(2)
    x, y = field[:, 0], field[:, 1]
    assert abs(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1]) < 0.06
    assert abs(torch.corrcoef(torch.stack([x[:-1].flatten(), x[1:].flatten()]))[0, 1]) < 0.06


def test_torchvisions_alpha_is_twice_ours():
    side, inner = 96, slice(20, 76)
    theirs = v2.ElasticTransform(alpha=60.0, sigma=5.0)
    picture = torch.zeros(1, 3, side, side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = [theirs.make_params([picture])["displacement"] for _ in range(60)]
    # in units of half the side
    pixels = torch.cat(fields)[:, inner, inner] * side / 2
    assert pixels.std().item() == pytest.approx(Elastic(1, 30, 5).deviation, rel=0.05)
