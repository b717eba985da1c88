from __future__ import annotations

import torch
from torch import nn

from bench.measure.activations import LiveTensors, bytes_per_image


def test_what_is_alive_at_once() -> None:
    start = torch.zeros(1000)
    with LiveTensors() as live:
        first = start + 1  # 4000 bytes
        second = first.view(10, 100)  # the same memory
        second.add_(1)
        del first, second
        assert (live.now, live.peak) == (0, 4000)
        third, fourth = start + 1, start[:500] + 1
        assert (live.now, live.peak) == (6000, 6000)
        del third, fourth
    assert (live.now, live.peak) == (0, 6000)


def test_what_autograd_keeps_counts() -> None:
    layers = nn.Sequential(nn.Linear(10, 20), nn.Sigmoid(), nn.Linear(20, 1))

    def forward(images: int) -> None:
        with torch.set_grad_enabled(training):
            layers(torch.zeros(images, 10))

    # sigmoid keeps its result, after which the first layer's is free; the input is kept as well
    training = True
    kept = bytes_per_image(forward, 2)
    assert kept == 4 * (10 + 20 + 20)  # at most at once: before the first layer's result is freed
    training = False
    assert bytes_per_image(forward, 2) == 4 * (10 + 20 + 20)
    deep = nn.Sequential(*(nn.Sigmoid() for _ in range(9)))
    assert bytes_per_image(lambda n: deep(torch.zeros(n, 5, requires_grad=True)), 2) == 4 * 5 * 10
    with torch.inference_mode():
        assert bytes_per_image(lambda n: deep(torch.zeros(n, 5)), 2) == 4 * 5 * 3
