"""A spec's augmentations, applied to a batch: other libraries' transforms, one resampling, then
what changes values, then mixing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bench.augment.base import Affine, Displacement, Photometric, Size, Transform
from bench.augment.compose import AffineDraw, DisplacementDraw, Draw, Route, compose_routes
from bench.augment.foreign import foreign_pipeline, is_of_a_library
from bench.augment.mixing import MixedBatch, Mixing, as_shares
from bench.augment.resample import ResampledBatch, pieces, put, resample, take, to_device
from bench.augment.samples import SampleBatch, SampleTransform, change_samples
from bench.augment.settings import (
    AUGMENTATIONS,
    AugmentSettings,
    CustomTransform,
    TransformSettings,
)
from bench.augment.threads import call_on_one_thread, run_jobs
from bench.errors import SpecError
from bench.labels import IGNORE_LABEL


class OneOf:
    """At most one of several transforms: with probability `p`, member i with its own `p`."""

    def __init__(self, p: float, of: tuple[TransformSettings, ...]) -> None:
        self.p = p
        self.members = tuple(_build(settings) for settings in of)


Leaf = Transform | SampleTransform | Mixing
Node = Leaf | OneOf


@dataclass(frozen=True)
class _Change:
    """A photometric transform, the k samples it applies to, and its draws (k, …) for them."""

    transform: Photometric
    rows: list[int]
    drawn: Tensor


class Pipeline:
    """Random transforms, drawn per sample; image and mask move together.

    Those of other libraries come first (`change_samples`), sample by sample on the CPU.

    All geometric transforms of a sample compose into one sampling grid, in the order of the
    settings: the first one is the first to act on the image. Outside the frame the image goes on
    reflected.

    Photometric transforms come after that, in their order, wherever they stand among the others: so
    pixels are interpolated once, from the values they had, and neither noise nor the edges of a
    cutout are blurred by it. Values are cut off at 0 and 255 after each.

    Mixing with other samples of the batch is last (`mix`).

    Args:
        settings: the transforms.
        paired: False makes a published mistake: the mask gets a transform drawn afresh.
        classes: of masks or labels; at most as many as there are labels.
        size: of the images, for a pipeline that wants to know it; None: not known.
        masks: whether images have masks.
    """

    def __init__(
        self,
        settings: AugmentSettings,
        *,
        paired: bool = True,
        classes: int = IGNORE_LABEL + 1,
        size: Size | None = None,
        masks: bool = True,
    ) -> None:
        nodes: list[Node] = [_build(part) for part in settings.transforms]
        if settings.pipeline is not None:
            own = foreign_pipeline(settings.pipeline, size=size, classes=classes, masks=masks)
            nodes.insert(0, own)
        self._nodes = tuple(nodes)
        leaves = list(enumerate(leaf for node in self._nodes for leaf in _leaves(node)))
        self.sample_transforms = {i: t for i, t in leaves if isinstance(t, SampleTransform)}
        self._mixing = {i: leaf for i, leaf in leaves if isinstance(leaf, Mixing)}
        self._classes = classes
        # by their column; distinguished once, because to ask a class for a protocol takes long
        self._affine = {i: leaf for i, leaf in leaves if isinstance(leaf, Affine)}
        self._displacing = {i: leaf for i, leaf in leaves if isinstance(leaf, Displacement)}
        self._photometric = {i: leaf for i, leaf in leaves if isinstance(leaf, Photometric)}
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

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, so that labels are shares of classes."""
        return bool(self._mixing)

    def change_samples(
        self, batch: SampleBatch, chosen: Tensor, generator: torch.Generator
    ) -> SampleBatch:
        """Transforms of other libraries, one sample after the other, on the CPU.

        Args:
            batch: uint8 or float 0–255.
            chosen: (B, T), rows that `choose` drew for these samples.
            generator: gives each sample a seed of its own.

        Raises:
            SpecError: a transform fails, or gives what is no image or mask.
        """
        found = batch
        for column, transform in self.sample_transforms.items():
            rows = chosen[:, column].nonzero().flatten().tolist()
            if not rows:
                continue
            seeds = _seeds(len(rows), generator)
            changed = change_samples(transform, found, rows, seeds, classes=self._classes)
            if not self._paired and found.masks is not None:
                seeds = _seeds(len(rows), generator)
                other = change_samples(transform, found, rows, seeds, classes=self._classes)
                changed = SampleBatch(changed.images, other.masks)
            found = changed
        return found

    @torch.no_grad()
    def mix(
        self, images: Tensor, target: Tensor | None, chosen: Tensor, generator: torch.Generator
    ) -> MixedBatch:
        """Mix samples of a batch, (B, C, H, W) floats.

        Args:
            images: of any values.
            target: (B,) labels, (B, K) labels of several, (B, H, W) masks, or None.
            chosen: (B, T), rows that `choose` drew for these samples.
            generator: on the CPU.

        Returns:
            Labels as (B, K) shares of classes, where anything mixes: whether or not in this batch.
        """
        if target is not None and target.dim() < 3 and self.mixes:
            target = as_shares(target, self._classes)
        found = MixedBatch(images, target)
        for column, mixing in self._mixing.items():
            found = mixing(found, chosen[:, column], generator)
        return found

    @torch.no_grad()
    def apply(
        self,
        images: Tensor,
        masks: Tensor | None,
        chosen: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Transform a batch; samples that nothing applies to come back bit for bit.

        All draws are made first, on the CPU; the device is never waited for.

        Args:
            images: (B, 3, H, W), uint8 or float 0–255, of any memory format, on any device.
            masks: (B, H, W), integer.
            chosen: (B, T), rows that `choose` drew for these samples.
            generator: on the CPU, so that every device gets the same draws.

        Returns:
            Images, float32 0–255, and masks of the same dtype with no label that was not there.
            What is not touched is not copied.
        """
        size: Size = (images.shape[-2], images.shape[-1])
        unpaired = masks is not None and not self._paired
        draw = partial(self._draw, chosen, size, generator, unpaired)
        routes, changes, others = call_on_one_thread(draw, images.device)
        picture = ResampledBatch(images, torch.float32, self._interpolation, routes)
        if masks is None:
            resample([picture], routes, size)
            return _changed(picture.result, images, changes), None
        if self._paired:
            labels = ResampledBatch(masks[:, None], masks.dtype, "nearest", routes)
            resample([picture, labels], routes, size)
        else:
            labels = ResampledBatch(masks[:, None], masks.dtype, "nearest", others)
            resample([picture], routes, size)
            resample([labels], others, size)
        return _changed(picture.result, images, changes), labels.result[:, 0]

    def _draw(
        self, chosen: Tensor, size: Size, generator: torch.Generator, unpaired: bool
    ) -> tuple[list[Route], list[_Change], list[Route]]:
        """All that is random of a batch; the last are the masks' routes."""
        routes = self._routes(chosen, size, generator)
        changes = self._changes(chosen, size, generator)
        if not unpaired:
            return routes, changes, routes
        afresh = self._chosen_afresh(chosen, generator)
        return routes, changes, self._routes(afresh, size, generator)

    def _routes(self, chosen: Tensor, size: Size, generator: torch.Generator) -> list[Route]:
        """Draw all geometric transforms and compose them."""
        draws: list[Draw] = []
        for column, rows in enumerate(_applying(chosen)):
            if len(rows) and column in self._affine:
                matrices = self._affine[column].matrices(len(rows), size, generator)
                draws.append(AffineDraw(rows, matrices))
            elif len(rows) and column in self._displacing:
                leaf = self._displacing[column]
                drawn = leaf.draw(len(rows), size, generator)
                draws += [DisplacementDraw(rows, leaf, drawn)] if drawn is not None else []
        return compose_routes(draws, len(chosen), size)

    def _changes(self, chosen: Tensor, size: Size, generator: torch.Generator) -> list[_Change]:
        """Draw all photometric transforms."""
        rows = _applying(chosen)
        return [
            _Change(leaf, rows[column].tolist(), leaf.draw(len(rows[column]), size, generator))
            for column, leaf in self._photometric.items()
            if len(rows[column])
        ]

    def _chosen_afresh(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        afresh = self.choose(len(chosen), generator)
        # with appended copies, a sample without any transform is an original
        return afresh & chosen.any(1, keepdim=True) if self._keeps_originals else afresh


def _applying(chosen: Tensor) -> list[Tensor]:
    """For each column of `chosen` (B, T), the rows that are true."""
    return [column.nonzero().flatten() for column in chosen.unbind(1)]


def _seeds(n: int, generator: torch.Generator) -> list[int]:
    seeds: list[int] = torch.randint(2**63 - 1, (n,), generator=generator).tolist()
    return seeds


def _build(settings: TransformSettings) -> Node:
    if isinstance(settings, CustomTransform) and is_of_a_library(settings.target):
        raise SpecError(
            f"{settings.target!r} is of another library: write `augment: {{target: …}}`, or "
            "`augment: {pipeline: {target: …}, transforms: […]}` to have others after it"
        )
    built = AUGMENTATIONS.build(settings)
    if isinstance(built, OneOf | Affine | Displacement | Photometric | SampleTransform | Mixing):
        return built
    target = getattr(settings, "target", type(built).__name__)
    raise SpecError(
        f"{target!r} is no transform: it needs `p` and `matrices`, "
        "or `draw` and `displacement`, or `draw` and `adjust`"
    )


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, OneOf):
        for member in node.members:
            yield from _leaves(member)
    else:
        yield node


def _columns(node: Node, hit: Tensor, generator: torch.Generator) -> list[Tensor]:
    """For each leaf of `node`, which samples it applies to; `hit` (n,): those that got `node`."""
    if not isinstance(node, OneOf):
        return [hit]
    columns: list[Tensor] = []
    draw, low = torch.rand(len(hit), generator=generator, dtype=torch.float64), 0.0
    for member in node.members:
        columns += _columns(member, hit & (draw >= low) & (draw < low + member.p), generator)
        low += member.p
    return columns


def _changed(images: Tensor, given: Tensor, changes: list[_Change]) -> Tensor:
    """`images` (B, 3, H, W) with their values changed in place, but never what was `given`."""
    if changes and images is given:
        images = images.clone()
    size: Size = (images.shape[-2], images.shape[-1])

    def adjust(change: _Change, part: slice) -> None:
        rows, drawn = change.rows[part], to_device(change.drawn[part], images.device)
        put(images, rows, change.transform.adjust(take(images, rows), drawn).clamp(0, 255))

    for change in changes:  # one after the other, each on many samples at a time
        parts = pieces(len(change.rows), size, images.device)
        run_jobs([partial(adjust, change, part) for part in parts], images.device)
    return images
