"""The models of all folds of an arm together: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.data.fitting import Region
from bench.errors import BenchError, StoreError
from bench.inference.flips import FlipAveraged, Flips
from bench.inference.images import Image, ImageReader
from bench.inference.mean_scores import MeanScores, mean_scores, mean_scores_of
from bench.inference.trained import trained_parts
from bench.record.confirm import checked_config
from bench.record.store import Store, TrialFiles
from bench.tasks.base import LabelsImages, Picture
from bench.tasks.outputs import as_classes, main_output
from bench.tasks.own_size import own_size_bands
from bench.tasks.segmentation import Segmentation
from bench.tasks.settings import TaskSettings
from bench.train.own_size import labels_of_bands, score_strips
from bench.train.trial_parts import TrialParts, to_network_input


def fold_members(store: Store, text: str) -> list[TrialFiles]:
    """The trial that `Store.find` finds; or all folds of the one arm that `text` begins.

    `unet-s0` means the folds of seed 0, `unet` those of all seeds.

    Raises:
        StoreError: as `Store.find`; or some fold is missing.
    """
    found = store.matching(text)
    beginning = text.strip("/").rpartition("/")[2]
    whole = [files for files in found if files.id.startswith(f"{beginning}-")]
    found = whole or found  # of s1, not s10
    if len(found) < 2:
        return [store.find(text)]
    configs = [checked_config(files) for files in found]
    arms = {(config["experiment"], config["arm"]) for config in configs}
    if len(arms) > 1 or any(config.get("fold") is None for config in configs):
        return [store.find(text)]  # says that it is ambiguous
    k = int(configs[0]["settings"]["data"]["folds"]["k"])
    places = {(config["seed"], config["fold"]) for config in configs}
    for seed in sorted({config["seed"] for config in configs}):
        missing = [fold for fold in range(k) if (seed, fold) not in places]
        if missing:
            raise StoreError(
                f"{text}: of seed {seed} there is no trial of fold {missing[0]}: `bench run` its "
                "spec, or name one trial"
            )
    order = sorted(range(len(found)), key=lambda i: (configs[i]["seed"], configs[i]["fold"]))
    return [found[i] for i in order]


class Ensemble(nn.Module):
    """Several models as one, which gives the mean of their probabilities as scores."""

    def __init__(self, models: Sequence[nn.Module], mean: MeanScores = mean_scores) -> None:
        super().__init__()
        self.models, self._mean = nn.ModuleList(models), mean

    def forward(self, images: Tensor) -> Tensor:
        """(B, K, …) scores of images (B, 3, H, W)."""
        return self._mean([main_output(model(images)) for model in self.models])


class _Known(nn.Module):
    """A model that gives scores which are known already."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self._scores = scores

    def forward(self, _images: Tensor) -> Tensor:
        return self._scores


class _Region(nn.Module):
    """A model that gives the scores of a part of what it sees."""

    def __init__(self, model: nn.Module, region: Region) -> None:
        super().__init__()
        self.model, self._region = model, region

    def forward(self, images: Tensor) -> Tensor:
        top, left, height, width = self._region
        found = main_output(self.model(images))
        return found[..., top : top + height, left : left + width]


class Predictor:
    """One trained model, or those of all folds; each reads images as its own trial's were read."""

    def __init__(self, members: Sequence[TrialParts]) -> None:
        self.members = members
        self.task = members[0].task
        self._readers = [ImageReader(parts) for parts in members]

    @property
    def task_settings(self) -> TaskSettings:
        """Those of its task."""
        found: TaskSettings = self.members[0].trial.settings.task
        return found

    def read(self, path: Path) -> list[Image]:
        """The image of a file, as each of the models sees it.

        Raises:
            DataError: it cannot be read.
        """
        return [reader.read(path) for reader in self._readers]

    def labels(self, image: Sequence[Image]) -> Picture:
        """(H, W) labels at the image's own size."""
        parts = self.members[0]
        with torch.inference_mode(), parts.precision().autocast():
            if isinstance(self.task, Segmentation):
                return labels_of_bands(self._bands(image))
            # a task of the user's own: its model gives the image's part of all that it sees
            model, batch = self._known(image)
            if image[0].region != (0, 0, *batch.shape[2:]):
                model = _Region(model, image[0].region)
            found: Picture = self.task.predict(model, batch, image[0].size)[0].cpu().numpy()
            return found

    def values(self, image: Sequence[Image]) -> npt.NDArray[Any]:
        """What a task of the user's own that learns no masks predicts of an image, as it is."""
        parts = self.members[0]
        with torch.inference_mode(), parts.precision().autocast():
            model, batch = self._known(image)
            found: Tensor = self.task.predict(model, batch, image[0].size)[0]
        return (found.float() if found.is_floating_point() else found).cpu().numpy()

    def probabilities(self, image: Sequence[Image]) -> Tensor:
        """(K,) fp32, of a task that labels images."""
        assert isinstance(self.task, LabelsImages)
        parts = self.members[0]
        with torch.inference_mode(), parts.precision().autocast():
            model, batch = self._known(image)
            return self.task.probabilities(model, batch)[0]

    def class_probabilities(
        self, image: Sequence[Image], kind: npt.DTypeLike = np.float32
    ) -> npt.NDArray[Any]:
        """(K, H, W) probabilities of the classes of pixels, at the image's own size."""
        parts = self.members[0]
        with torch.inference_mode(), parts.precision().autocast():
            bands = (as_classes(band).softmax(1)[0] for band in self._bands(image))
            return np.concatenate([band.cpu().numpy().astype(kind) for band in bands], 1)

    def _bands(self, image: Sequence[Image]) -> Iterator[Tensor]:
        """Mean scores of the members at the image's own size, from top to bottom."""
        of_members = (
            score_strips(parts.model.eval(), parts, each.values, each.window)
            for parts, each in zip(self.members, image, strict=True)
        )
        strips = (mean_scores(strips) for strips in zip(*of_members, strict=True))
        return own_size_bands(strips, image[0].region, image[0].size)

    def _known(self, image: Sequence[Image]) -> tuple[nn.Module, Tensor]:
        """A model that gives the mean of the members', and what it takes."""
        batches = [
            to_network_input(parts, each.values, each.window)
            for parts, each in zip(self.members, image, strict=True)
        ]
        if len(self.members) == 1:
            return self.members[0].whole_image_model.eval(), batches[0]
        scores = [
            main_output(parts.whole_image_model.eval()(batch))
            for parts, batch in zip(self.members, batches, strict=True)
        ]
        return _Known(mean_scores_of(self.task)(scores)), batches[0]


def predictor(
    store: Store, name: str, device: str, *, trust_code: bool = False, flips: Flips = "none"
) -> Predictor:
    """Of a trial, or of the folds of an arm; see `fold_members`. `flips`: averaged over these.

    Raises:
        StoreError: as `trained_parts`.
    """
    files = fold_members(store, name)
    members = [trained_parts(each, device, trust_code=trust_code) for each in files]
    if flips != "none":
        members = [
            replace(each, model=FlipAveraged(each.model, flips, mean_scores_of(each.task)))
            for each in members
        ]
    return Predictor(members)


def joined_parts(members: Sequence[TrialParts], name: str, split: str) -> TrialParts:
    """Parts whose model is that of all folds, to be scored on the test split.

    Raises:
        BenchError: another split is asked for, or folds see deep images through other windows.
    """
    if split != "test":
        raise BenchError(
            f"--split {split}: each of the {len(members)} folds of {name} has another: name one "
            "trial, or see oof_val.csv of the report"
        )
    first = members[0]
    if any(parts.data.window != first.data.window for parts in members):
        raise BenchError(
            f"{name}: its folds see the images' values through different windows: set data.window"
        )
    models = [parts.model for parts in members]
    return replace(first, model=Ensemble(models, mean_scores_of(first.task)).eval())
