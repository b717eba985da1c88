"""The Fréchet distance between two sets of images, and whose features it is taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import DataError
from bench.tasks.settings import FrechetSettings

LoadClassifier = Callable[[str], nn.Module]
"""From a trial's folder to a network that takes (B, 3, H, W) images in 0…1: see `AsTrained`."""

_INCEPTION_SIZE = 299


class Gaussian(NamedTuple):
    """Mean (F,) and covariance (F, F) of features, float64."""

    mean: Tensor
    covariance: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """Of (N, F) features, N at least 2; the covariance is the unbiased one."""
    features = features.double()
    return Gaussian(features.mean(0), features.T.cov().view([features.shape[1]] * 2))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """|μ₁-μ₂|² + tr Σ₁ + tr Σ₂ - 2·tr (Σ₁^½ Σ₂ Σ₁^½)^½ (Heusel et al. 2017).

    The product is symmetric, so that its root's trace is the sum of its eigenvalues' roots; those
    that rounding made negative count as 0. Never below 0.
    """
    values, vectors = torch.linalg.eigh(one.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    both = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    spread = one.covariance.trace() + other.covariance.trace()
    return max(0.0, float(apart + spread - 2 * both))


class AsTrained(nn.Module):
    """A network under what its images went through in training: resizing and normalisation."""

    def __init__(
        self, model: nn.Module, size: int, scale: Iterable[float], offset: Iterable[float]
    ) -> None:
        """Images in 0…1 are resized to `size`, and become image·scale + offset per channel."""
        super().__init__()
        self.model, self.size = model, size
        self.scale = nn.Buffer(torch.tensor([*scale]).view(1, -1, 1, 1))
        self.offset = nn.Buffer(torch.tensor([*offset]).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0…1 to the network's output."""
        size = [self.size] * 2
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        found: Tensor = self.model(images * self.scale + self.offset)
        return found


class Extractor(NamedTuple):
    """Gives an image's features: what enters the network's last linear map.

    Attributes:
        name: which network, for the record.
        network: takes (B, 3, H, W) images in 0…1.
    """

    name: str
    network: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images in 0…1 to (B, F) features in fp32.

        Raises:
            DataError: the network has no linear map.
        """
        maps = [part for part in self.network.modules() if isinstance(part, nn.Linear)]
        if not maps:
            raise DataError(f"task.frechet: {self.name} has no linear layer to take features from")
        seen: list[Tensor] = []
        hook = maps[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with hook, torch.autocast(images.device.type, enabled=False):
            self.network(images.float())
        return seen[0].flatten(1)

    def all_features(self, batches: Iterable[Tensor]) -> Tensor:
        """(N, F) features of batches of images in 0…1, on the CPU."""
        return torch.cat([self.features(images).cpu() for images in batches])


def inception_weights() -> Path:
    """Where torchvision keeps its Inception's weights once they are downloaded."""
    from torchvision.models import Inception_V3_Weights

    name: str = Inception_V3_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    return Path(str(torch.hub.get_dir())) / "checkpoints" / name


def chosen(
    settings: FrechetSettings, load_classifier: LoadClassifier | None
) -> Callable[[], Extractor]:
    """What loads the extractor that the settings ask for, once it is needed.

    Raises:
        DataError: it is not there, or nothing was given to load a classifier with.
    """
    weights, folder = inception_weights(), settings.classifier
    if settings.extractor != "classifier" and weights.is_file():
        return partial(inception, weights)
    if folder is None:
        raise DataError(
            f"task.frechet: no Inception weights at {weights}: put torchvision's there, or name a "
            "trained classifier's folder as task.frechet.classifier"
        )
    if load_classifier is None or not (Path(folder) / "best.pt").is_file():
        raise DataError(
            f"task.frechet.classifier: no best.pt in {folder}: name the folder of a finished "
            "classification trial"
        )
    return partial(own_classifier, Path(folder), load_classifier)


def inception(weights: Path) -> Extractor:
    """torchvision's Inception with the weights in this file, in evaluation mode on the CPU."""
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False)
    network.load_state_dict(torch.load(weights, weights_only=True))
    # it was trained on -1…1, which is what `transform_input` of torchvision's own restores
    fitted = AsTrained(network, _INCEPTION_SIZE, [2.0] * 3, [-1.0] * 3)
    return Extractor("inception_v3 of torchvision (IMAGENET1K_V1)", fitted.eval())


def own_classifier(folder: Path, load: LoadClassifier) -> Extractor:
    """The best epoch of the trial in this folder, in evaluation mode."""
    return Extractor(f"classifier {folder.parent.name}/{folder.name}", load(str(folder)).eval())


def described(extractor: Extractor, generated: Tensor, real: Tensor) -> str:
    """The extractor and the sizes, with a warning where there are too few images."""
    features = generated.shape[1]
    text = (
        f"{extractor.name}: {features} features, {len(generated)} generated and {len(real)} "
        "test images"
    )
    if min(len(generated), len(real)) > features:
        return text
    return f"{text}; not more images than features: biased"
