"""A spec's augmentations, applied to a batch in one resampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bench.augment.base import Affine, Displacement, Transform
from bench.augment.grid import Grid, Part, Sampling, sample, take
from bench.augment.settings import AUGMENTATIONS, AugmentSettings, TransformSettings
from bench.errors import SpecError


class OneOf:
    """At most one of several transforms: with probability `p`, member i with its own `p`."""

    def __init__(self, p: float, of: tuple[TransformSettings, ...]) -> None:
        self.p = p
        self.members = tuple(_build(settings) for settings in of)


class Pipeline:
    """Random geometric transforms, drawn per sample; image and mask move together.

    All transforms of a sample compose into one sampling grid, in the order of the settings: the
    first one is the first to act on the image. Outside the frame the image goes on reflected.

    Args:
        settings: the transforms.
        paired: False makes a published mistake: the mask gets a transform drawn afresh.
    """

    def __init__(self, settings: AugmentSettings, *, paired: bool = True) -> None:
        self._nodes = tuple(_build(part) for part in settings.transforms)
        self._leaves = tuple(leaf for node in self._nodes for leaf in _leaves(node))
        self._interpolation = settings.interpolation
        self._keeps_originals = settings.mode == "append"
        self._paired = paired

    def choose(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw which transforms apply to each of `n` samples.

        Returns:
            (n, T) bool on the CPU, a column for each transform in order, those of one_of too.
        """
        columns: list[Tensor] = []
        for node in self._nodes:
            hit = torch.rand(n, generator=generator) < node.p
            columns += _columns(node, hit, generator)
        return torch.stack(columns, 1) if columns else torch.zeros(n, 0, dtype=torch.bool)

    @torch.no_grad()
    def apply(
        self,
        images: Tensor,
        masks: Tensor | None,
        chosen: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Transform a batch; samples that nothing applies to come back bit for bit.

        Args:
            images: (B, 3, H, W), uint8 or float 0–255, of any memory format, on any device.
            masks: (B, H, W), integer.
            chosen: (B, T), rows that `choose` drew for these samples.
            generator: on the CPU, so that every device gets the same draws.

        Returns:
            Images, float32 0–255, and masks of the same dtype with no label that was not there.
            What is not touched is not copied.
        """
        parts = self._parts(images, chosen, generator)
        moved = _resampled(images, torch.float32, parts, self._interpolation)
        if masks is None:
            return moved, None
        if not self._paired:
            parts = self._parts(images, self._chosen_afresh(chosen, generator), generator)
        return moved, _resampled(masks[:, None], masks.dtype, parts, "nearest")[:, 0]

    def _parts(self, images: Tensor, chosen: Tensor, generator: torch.Generator) -> list[Part]:
        """Where the samples that anything applies to look, by rows of the batch."""
        affected = chosen.any(1).nonzero().flatten()
        height, width = images.shape[-2:]
        grid = Grid(len(affected), (height, width), images.device)
        applies = chosen[affected]
        # an output pixel's place is traced back to the input, so the last transform comes first
        for column in reversed(range(len(self._leaves))):
            rows = applies[:, column].nonzero().flatten()
            if len(rows):
                grid.add(self._leaves[column], rows, generator)
        return [replace(part, rows=affected[part.rows]) for part in grid.parts()]

    def _chosen_afresh(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        afresh = self.choose(len(chosen), generator)
        # beside appended copies, a sample without any transform is an original
        return afresh & chosen.any(1, keepdim=True) if self._keeps_originals else afresh


def _build(settings: TransformSettings) -> Transform | OneOf:
    built = AUGMENTATIONS.build(settings)
    if isinstance(built, OneOf | Affine | Displacement):
        return built
    target = getattr(settings, "target", type(built).__name__)
    raise SpecError(f"{target!r} is no transform: it needs `p` and `matrices` or `displacement`")


def _leaves(node: Transform | OneOf) -> Iterator[Transform]:
    if isinstance(node, OneOf):
        for member in node.members:
            yield from _leaves(member)
    else:
        yield node


def _columns(node: Transform | OneOf, hit: Tensor, generator: torch.Generator) -> list[Tensor]:
    """For each leaf of `node`, which samples it applies to; `hit` (n,): those that got `node`."""
    if not isinstance(node, OneOf):
        return [hit]
    columns: list[Tensor] = []
    draw, low = torch.rand(len(hit), generator=generator, dtype=torch.float64), 0.0
    for member in node.members:
        columns += _columns(member, hit & (draw >= low) & (draw < low + member.p), generator)
        low += member.p
    return columns


def _resampled(
    batch: Tensor, dtype: torch.dtype, parts: list[Part], interpolation: Sampling
) -> Tensor:
    """`batch` (B, C, H, W) as `dtype`, its samples that are in `parts` looked at there."""
    looks: list[Tensor] = []
    for part in parts:
        how: Sampling = "nearest" if part.exact else interpolation
        look = sample(take(batch, part.rows), part.points, how)
        looks.append((look.clamp_(0, 255) if how == "bicubic" else look).to(dtype))
    if len(parts) == 1 and len(looks[0]) == len(batch):
        return looks[0]
    result = batch.to(dtype, copy=bool(parts))
    for part, look in zip(parts, looks, strict=True):
        result.index_copy_(0, part.rows.to(batch.device), look)
    return result
