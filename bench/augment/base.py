"""What a transform must have: one of two small protocols. The pipeline does the rest.

A class named by `target: package.module:name` in a spec is built with `p` and its other settings as
keywords. It is asked for as many samples as it was drawn for, and every sample must get draws of
its own, from the generator it is given (a CPU generator, whatever the device of the images).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Size = tuple[int, int]
"""(H, W) in pixels."""


@runtime_checkable
class Affine(Protocol):
    """A transform that moves every pixel by the same affine map.

    Attributes:
        p: probability that it applies, drawn per sample.
    """

    p: float

    def matrices(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """For each of `n` samples, where an output pixel looks in the input.

        Returns:
            (n, 2, 3) float64 on the CPU: [x, y] in = matrix · [x, y, 1] out, in pixels from the
            image's centre, x to the right and y down.
        """
        ...


@runtime_checkable
class Displacement(Protocol):
    """A transform that moves every pixel by its own amount.

    Attributes:
        p: probability that it applies, drawn per sample.
    """

    p: float

    def displacement(
        self, n: int, size: Size, generator: torch.Generator, device: torch.device, /
    ) -> Tensor | None:
        """For each of `n` samples, how far from itself an output pixel looks in the input.

        Returns:
            (n, 2, H, W) float32 on `device`: pixels to the right, then pixels down; None where no
            pixel moves.
        """
        ...


Transform = Affine | Displacement
