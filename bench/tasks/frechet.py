"""The Fréchet distance between two sets of images, and whose features it is taken from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import DataError, SpecError
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor

LoadClassifier = Callable[[ResolvedExtractor], nn.Module]
"""The network of a trial, taking (B, 3, H, W) images in 0…1: see `WithPreprocessing`."""

_INCEPTION_SIZE = 299  # pixels: what the network was trained on


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


class WithPreprocessing(nn.Module):
    """A network under what its images went through in training: resizing and normalisation."""

    def __init__(
        self,
        model: nn.Module,
        size: tuple[int, int],
        scale: Iterable[float],
        offset: Iterable[float],
    ) -> None:
        """Images in 0…1 are resized to `size`, and become image·scale + offset per channel."""
        super().__init__()
        self.model, self.size = model, size
        self.scale = nn.Buffer(torch.tensor([*scale]).view(1, -1, 1, 1))
        self.offset = nn.Buffer(torch.tensor([*offset]).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0…1 to the network's output."""
        if tuple(images.shape[2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
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
            raise DataError(
                "there is no linear layer to take features from: give the network one at its end"
            )
        seen: list[Tensor] = []
        hook = maps[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with hook, torch.autocast(images.device.type, enabled=False):
            self.network(images.float())
        return seen[0].flatten(1)

    def all_features(self, batches: Iterable[Tensor]) -> Tensor:
        """(N, F) features of batches of images in 0…1, on the CPU."""
        return torch.cat([self.features(images).cpu() for images in batches])


def resolve_inception() -> ResolvedExtractor:
    """torchvision's Inception, whose weights must lie in torchvision's cache.

    Raises:
        DataError: they do not, or are damaged; says which file to put where.
    """
    from torchvision.models import Inception_V3_Weights

    weights = Inception_V3_Weights.IMAGENET1K_V1
    file = inception_file()
    if not file.is_file():
        raise DataError(
            f"no Inception weights at {file}: get {weights.url} and put it there, or name a "
            "trained classifier as task.frechet.classifier"
        )
    first = file.stem.rpartition("-")[2]  # the first digits of its SHA-256
    if not file_sha256(file).startswith(first):
        raise DataError(
            f"{file} is damaged (its SHA-256 does not begin with {first}): get {weights.url} again"
        )
    return ResolvedExtractor(
        source="inception",
        exactly=str(weights),
        sha256=first,
        name=f"inception_v3 of torchvision ({weights.name})",
        file=str(file),
    )


def inception_file() -> Path:
    """Where torchvision keeps its Inception's weights once they are downloaded."""
    from torchvision.models import Inception_V3_Weights

    name: str = Inception_V3_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    return Path(str(torch.hub.get_dir())) / "checkpoints" / name


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def check_unchanged(settings: FrechetSettings) -> ResolvedExtractor:
    """The extractor that planning settled, if its file still is what it was then.

    Raises:
        DataError: the file is gone or another one.
        SpecError: planning has settled none.
    """
    resolved = settings.resolved
    if resolved is None:
        raise SpecError(
            "not resolved: `resolve_extractors` of bench.plan.extractor does it", key="task.frechet"
        )
    if not file_sha256(Path(resolved.file)).startswith(resolved.sha256):
        raise DataError(
            f"task.frechet: {resolved.file} has changed since this trial was planned: `bench run` "
            "the spec again"
        )
    return resolved


def load_extractor(settings: FrechetSettings, load_classifier: LoadClassifier) -> Extractor:
    """The extractor that planning settled, in evaluation mode on the CPU.

    Raises:
        DataError: its file is gone or another one.
        SpecError: planning has settled none.
    """
    resolved = check_unchanged(settings)
    load = inception if resolved.source == "inception" else load_classifier
    return Extractor(resolved.name, load(resolved).eval())


def inception(resolved: ResolvedExtractor) -> nn.Module:
    """torchvision's Inception, taking images in 0…1."""
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False)
    network.load_state_dict(torch.load(resolved.file, weights_only=True))
    # it was trained on -1…1, which is what `transform_input` of torchvision's own restores
    return WithPreprocessing(network, (_INCEPTION_SIZE, _INCEPTION_SIZE), [2.0] * 3, [-1.0] * 3)


def describe_extractor(extractor: Extractor, generated: Tensor, real: Tensor) -> str:
    """The extractor and the sizes, with a warning where there are too few images."""
    features = generated.shape[1]
    text = (
        f"{extractor.name}: {features} features, {len(generated)} generated and {len(real)} "
        "test images"
    )
    if min(len(generated), len(real)) > features:
        return text
    return f"{text}; not more images than features: biased"
