"""The published test vector, and where the embedding enters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.models.time_embedding import EMBEDDED, TimeShift, sinusoidal

PUBLISHED = [
    -0.5440, -0.0207, 0.8415, 0.3110, 0.0998, 0.0316, 0.0100, 0.0032,
    -0.8391, -0.9998, 0.5403, 0.9504, 0.9950, 0.9995, 0.9999, 1.0000,
]  # fmt: skip


def test_published_vector_of_step_10() -> None:
    found = sinusoidal(torch.tensor([10]), 16)
    assert found.shape == (1, 16)
    assert found[0].tolist() == pytest.approx(PUBLISHED, abs=6e-5)


def test_each_image_has_its_own_step() -> None:
    found = sinusoidal(torch.tensor([0, 10]), 16)
    assert found[0].tolist() == [0.0] * 8 + [1.0] * 8
    assert torch.equal(found[1], sinusoidal(torch.tensor([10]), 16)[0])


def test_the_shift_is_the_same_at_every_pixel_and_follows_the_activation() -> None:
    shift = TimeShift(2, nn.ReLU())
    linear = shift.project[1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight.fill_(1)
        linear.bias.copy_(torch.tensor([0.0, 5.0]))
    embedding = torch.zeros(1, EMBEDDED)
    embedding[0, :3] = torch.tensor([2.0, 1.0, -7.0])  # ReLU leaves 3 of it
    found = shift(torch.ones(1, 2, 2, 2), embedding)
    assert found[0, 0].tolist() == [[4, 4], [4, 4]]
    assert found[0, 1].tolist() == [[9, 9], [9, 9]]
