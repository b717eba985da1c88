"""Strided 1×1 convolutions of few channels: the same function, without oneDNN's fault."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import Tensor, nn

from bench.models.onednn import FAULTY_BELOW, avoid_faulty_convolutions


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def pair(inputs: int, stride: int | tuple[int, int], groups: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """A convolution as torch computes it, and the same one routed."""
    conv = nn.Conv2d(inputs, 6 * groups, 1, stride=stride, groups=groups)
    return conv, avoid_faulty_convolutions(copy.deepcopy(conv))  # type: ignore[return-value]


@pytest.mark.parametrize("stride", [2, 3, (1, 2), (2, 1)])
@pytest.mark.parametrize(("inputs", "groups"), [(1, 1), (6, 1), (7, 1), (8, 1), (6, 2), (18, 2)])
def test_routed_is_the_same_function(
    inputs: int, groups: int, stride: int | tuple[int, int]
) -> None:
    """Contiguous tensors, which the fault does not touch, on both sides."""
    plain, routed = pair(inputs, stride, groups)
    images = torch.randn(2, inputs, 9, 16)
    ours, theirs = images.clone().requires_grad_(), images.clone().requires_grad_()
    found, expected = routed(ours), plain(theirs)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(routed.weight.grad, plain.weight.grad)


def test_single_images_without_a_batch() -> None:
    plain, routed = pair(3, 2, 1)
    images = torch.randn(3, 9, 9)
    torch.testing.assert_close(routed(images), plain(images))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 4, 1),
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Conv2d(3, 4, 1, stride=2, padding=1),
        nn.Conv2d(3, 4, (1, 3), stride=2),
    ],
)
def test_others_are_left_alone(conv: nn.Conv2d) -> None:
    avoid_faulty_convolutions(conv)
    assert "_conv_forward" not in vars(conv)


def test_copies_and_pickles_have_weights_of_their_own() -> None:
    _, routed = pair(3, 2, 1)
    images = torch.randn(1, 3, 8, 8)
    for other in (copy.deepcopy(routed), pickle.loads(pickle.dumps(routed))):
        torch.testing.assert_close(other(images), routed(images))
        nn.init.zeros_(other.weight)
        nn.init.zeros_(other.bias)
        assert not other(images).any()
        assert routed(images).any()


def test_lazy_convolutions_are_routed_too() -> None:
    lazy = avoid_faulty_convolutions(nn.LazyConv2d(4, 1, stride=2))
    plain = nn.Conv2d(3, 4, 1, stride=2)
    images = torch.randn(1, 3, 8, 8)
    lazy(images)
    lazy.load_state_dict(plain.state_dict())
    torch.testing.assert_close(lazy(images), plain(images))


TRAINS = """
    import torch
    from torch import nn
    from bench.models.onednn import avoid_faulty_convolutions
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for channels in range(1, {below}):
        for stride in (2, (1, 2)):
            conv = nn.Conv2d(channels, 13, 1, stride=stride, bias=False)
            conv = avoid_faulty_convolutions(conv).to(memory_format=torch.channels_last)
            for _ in range(10):
                images = torch.randn(4, channels, 16, 16)
                images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
                conv(images).sum().backward()
                junk = [torch.randn(n) for n in (100, 1000, 10000)]
    print("trained")
"""


@pytest.mark.parametrize("instructions", ["AVX2", "SSE41", "DEFAULT"])
def test_training_does_not_corrupt_memory(instructions: str) -> None:
    """In a process of its own, which the fault would abort; allocations are checked and filled."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRAINS.format(below=FAULTY_BELOW + 1))],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
