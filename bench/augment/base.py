"""What a transform must have: one of three small protocols. The pipeline does the rest.

A class named by `target: package.module:name` in a spec is built with `p` and its other settings as
keywords. It is asked for as many samples as it was drawn for, and every sample must get draws of
its own, from the generator it is given: a CPU generator, whatever the device of the images, so that
every device gets the same draws. Draws and their use are apart, because a batch may be worked on in
pieces, and because a GPU need not wait for them.

Affine transforms and displacements move pixels, the mask's with the image's; photometric ones
change the image's values and leave the mask alone.
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

    def draw(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor | None:
        """What is random about `n` samples: (n, …) on the CPU; None where no pixel moves."""
        ...

    def displacement(self, drawn: Tensor, size: Size, /) -> Tensor:
        """How far from itself an output pixel looks in the input.

        Args:
            drawn: (k, …) some samples' draws, on the device of the images.
            size: (H, W).

        Returns:
            (k, 2, H, W) float32, on the device of `drawn`: pixels to the right, then pixels down.
        """
        ...


@runtime_checkable
class Linear(Displacement, Protocol):
    """A displacement with (k, 2, …) draws: along each axis it is linear in that axis's own.

    Mixing the draws of both axes then mixes their fields, so that none need be written down: it is
    added to the points right where it is computed, which saves two passes over memory.
    """

    def add(self, drawn: Tensor, points: Tensor, /) -> None:
        """Add the displacements to `points` (k, 2, H, W), in place."""
        ...


@runtime_checkable
class Photometric(Protocol):
    """A transform of the image's values; the mask stays as it is.

    Attributes:
        p: probability that it applies, drawn per sample.
    """

    p: float

    def draw(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """What is random about `n` samples: (n, …) on the CPU."""
        ...

    def adjust(self, images: Tensor, drawn: Tensor, /) -> Tensor:
        """The images with other values.

        Args:
            images: (k, 3, H, W) float32, 0–255; not to be written into.
            drawn: (k, …) these samples' draws, on the device of the images.

        Returns:
            (k, 3, H, W) float32; what is below 0 or above 255 is cut off afterwards.
        """
        ...


Geometric = Affine | Displacement
Transform = Affine | Displacement | Photometric
