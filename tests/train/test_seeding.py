"""Streams are named, not numbered."""

from __future__ import annotations

import random

import numpy as np
import torch

from bench.train.seeding import generator, seed_globals, stream_seed


def test_streams_are_stable_across_versions() -> None:
    # changing these changes every recorded result: a new release must say so
    assert stream_seed(0, "order", 1) == stream_seed(0, "order", 1) == 4374215849138048446
    assert stream_seed(3, "init") == 1165380285870581762


def test_streams_differ_by_seed_and_name() -> None:
    found = {stream_seed(s, n, e) for s in range(5) for n in ("order", "augment") for e in range(5)}
    assert len(found) == 50
    assert all(0 <= value < 2**63 for value in found)


def test_generator_repeats() -> None:
    first, second = (torch.randn(4, generator=generator(1, "x")) for _ in range(2))
    assert torch.equal(first, second)


def test_seed_globals_seeds_all_three() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()

    seed_globals(7, "epoch", 1)
    first = draw()
    seed_globals(7, "epoch", 1)
    assert draw() == first
    seed_globals(7, "epoch", 2)
    assert all(a != b for a, b in zip(draw(), first, strict=True))
