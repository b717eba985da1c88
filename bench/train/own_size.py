"""What a trained model says of images at their own size; large ones are never whole in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.base import Images, OwnSizes
from bench.data.fitting import Region
from bench.data.threads import in_threads
from bench.data.window import EIGHT_BITS, Window
from bench.errors import DataError
from bench.tasks.base import Batch, Picture
from bench.tasks.outputs import main_output
from bench.tasks.own_size import own_size_bands
from bench.tasks.segmentation import Segmentation, predict_labels
from bench.tasks.tiles import Scored, blended_strips, tile_corners
from bench.train.evaluation import Evaluated, evaluate_images, strips_of_images
from bench.train.image_scores import scores_of
from bench.train.progress_watch import ProgressWatch
from bench.train.trial_parts import TrialParts, to_network_input


def score_strips(
    model: nn.Module, parts: TrialParts, values: Images, window: Window = EIGHT_BITS
) -> Iterator[Tensor]:
    """A segmentation network's scores of all that it sees of an image, (1, K, h, w) each, fp32.

    One strip, or several from top to bottom where it sees images by tiles. Called in evaluation
    mode, under the trial's autocast.

    Args:
        model: the network.
        parts: of its trial.
        values: (1, H, W, C), as the data set stores images.
        window: which of these values are 0 and 1.
    """
    tile, size = parts.tile, values.shape[1:3]
    if tile is None or size == tile:
        yield main_output(model(to_network_input(parts, values, window))).float()
        return
    missing = [max(0, wanted - own) for wanted, own in zip(tile, size, strict=True)]
    if any(missing):  # reflected at its bottom and right
        widths = [(0, 0), *((0, more) for more in missing), (0, 0)]
        values = cast("Images", np.pad(values, widths, mode="symmetric"))
    tiles = _scored_tiles(model, parts, values, window, tile)
    left = size[0]
    for strip in blended_strips(tiles, values.shape[1:3], tile):
        if left > 0:
            yield strip.scores[:, :, :left, : size[1]]
        left -= strip.scores.shape[2]


def _scored_tiles(
    model: nn.Module, parts: TrialParts, values: Images, window: Window, tile: tuple[int, int]
) -> Iterator[Scored]:
    corners, at_once = tile_corners(values.shape[1:3], tile), parts.batch_size
    for first in range(0, len(corners), at_once):
        images = [
            values[0, top : top + tile[0], left : left + tile[1]]
            for top, left in corners[first : first + at_once]
        ]
        stacked = cast("Images", np.stack(images))
        scores = main_output(model(to_network_input(parts, stacked, window)))
        yield from map(Scored, torch.split(scores.float(), 1))


def labels_of_bands(bands: Iterable[Tensor]) -> Picture:
    """Classes (H, W) of scores (1, K, h, W) that come from top to bottom."""
    return np.concatenate([predict_labels(band)[0].cpu().numpy() for band in bands])


def final_scores(
    parts: TrialParts,
    split: str,
    watch: ProgressWatch | None = None,
    model: nn.Module | None = None,
    *,
    what: str = "",
) -> Evaluated:
    """A model's metrics on one split, at the size that `data.evaluate_at` says.

    Args:
        parts: of the trial.
        split: which.
        watch: gets the progress.
        model: another one than `parts` has.
        what: what this is called; default: the split.
    """
    settings = parts.trial.settings
    model, what = model or parts.model, what or f"{split} split"
    final = bool(settings.task.end_metrics())
    if settings.data.scores_own_size:
        return _evaluate_at_own_size(parts, split, model, watch or ProgressWatch(), what, final)
    batches = parts.batches(split)
    return evaluate_images(
        model, parts.task, batches, parts.precision(), watch=watch, what=what, final=final
    )


class _Seen(NamedTuple):
    """What a network says of all that it sees of an image, and where the image is in that."""

    strips: Iterator[Tensor]
    region: Region


def _evaluate_at_own_size(
    parts: TrialParts, split: str, model: nn.Module, watch: ProgressWatch, what: str, final: bool
) -> Evaluated:
    """Scores of predictions that are resized to their masks' own sizes."""
    assert isinstance(parts.task, Segmentation), "planning refuses it for other tasks"
    originals, names = _originals(parts), parts.data.splits[split].names
    model.eval()
    meter = parts.task.meter(final=final)
    with torch.inference_mode(), parts.precision().autocast():
        seen = watch.iterate(_seen_images(parts, split, model), what, len(names))
        with closing(in_threads(originals.mask, names, threads=2)) as masks:
            for (strips, region), mask in zip(seen, masks, strict=True):
                truth = torch.from_numpy(mask)[None].to(parts.device)
                bands = own_size_bands(strips, region, mask.shape)
                meter.update_in_strips(_with_masks(bands, truth))
        return Evaluated(meter.compute(), scores_of(meter))


def targets_in_order(parts: TrialParts, split: str) -> Iterator[Batch]:
    """What a split's images are scored against, one at a time, without the images themselves."""
    originals = _originals(parts)
    names = parts.data.splits[split].names
    for index, mask in enumerate(in_threads(originals.mask, names, threads=2)):
        target = torch.from_numpy(mask)[None].to(parts.device)
        yield Batch(target.new_empty((1, 0, *mask.shape)), target, torch.tensor([index]))


def _originals(parts: TrialParts) -> OwnSizes:
    if parts.data.originals is None:
        raise DataError("data.evaluate_at: original: this data set has no files of masks")
    return parts.data.originals


def _seen_images(parts: TrialParts, split: str, model: nn.Module) -> Iterator[_Seen]:
    """Each image of a split, in order; one's strips are to be used before the next is asked for."""
    data, found = parts.data, parts.data.splits[split]
    settings, originals = parts.trial.settings.data, _originals(parts)
    if parts.sees_all:
        for name in found.names:
            values = originals.image(name)
            height, width = values.shape[1:3]
            own = score_strips(model, parts, values, data.window)
            yield _Seen(own, Region(0, 0, height, width))
        return
    exif = getattr(settings, "exif", "apply")
    regions = (settings.fitting.region(*fact.size(exif)) for fact in found.facts)
    batches = parts.batches(split)
    if batches.tile is not None:
        of_images = strips_of_images(model, batches.tiles_in_order(), batches)
        for strips, region in zip(of_images, regions, strict=True):
            yield _Seen((scores for scores, _ in strips), region)
        return
    each = (score for batch in batches.in_order() for score in _scores(model, batch.images))
    for scores, region in zip(each, regions, strict=True):
        yield _Seen(iter([scores]), region)


def _scores(model: nn.Module, images: Tensor) -> Iterator[Tensor]:
    return iter(torch.split(main_output(model(images)).float(), 1))


def _with_masks(bands: Iterable[Tensor], mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Bands of scores, each with its rows of the mask (1, H, W)."""
    top = 0
    for band in bands:
        yield band, mask[:, top : top + band.shape[2]]
        top += band.shape[2]
