"""The distance of Gaussians by hand, and that the extractor is always named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.errors import DataError, SpecError
from bench.tasks.diffusion import refuse_classifier
from bench.tasks.frechet import (
    Extractor,
    Gaussian,
    WithPreprocessing,
    describe_extractor,
    file_sha256,
    frechet_distance,
    gaussian,
    load_extractor,
)
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor


def normal(mean: list[float], covariance: list[list[float]]) -> Gaussian:
    return Gaussian(
        torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64)
    )


def test_one_dimension_by_hand() -> None:
    # (3-1)² + (√4 - √9)²
    found = frechet_distance(normal([1], [[4]]), normal([3], [[9]]))
    assert found == pytest.approx(4 + 1)


def test_diagonal_covariances_by_hand() -> None:
    one, other = normal([0, 0], [[1, 0], [0, 16]]), normal([1, 2], [[4, 0], [0, 9]])
    assert frechet_distance(one, other) == pytest.approx(1 + 4 + (1 - 2) ** 2 + (4 - 3) ** 2)


def test_covariances_that_do_not_commute_by_hand() -> None:
    # Σ₁Σ₂ = [[2, 1], [4, 8]]: the trace of its root is √(tr + 2√det) = √(10 + 2√12)
    one, other = normal([0, 0], [[1, 0], [0, 4]]), normal([0, 0], [[2, 1], [1, 2]])
    expected = 5 + 4 - 2 * (10 + 2 * 12**0.5) ** 0.5
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(other, one) == pytest.approx(expected)


def test_equal_sets_are_0_apart_even_with_fewer_images_than_features() -> None:
    torch.manual_seed(0)
    features = torch.randn(10, 40)
    assert frechet_distance(gaussian(features), gaussian(features)) == pytest.approx(0, abs=1e-5)
    moved = gaussian(features + 0.5)
    assert frechet_distance(gaussian(features), moved) == pytest.approx(40 * 0.25, rel=1e-5)


def test_gaussian_of_features() -> None:
    found = gaussian(torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    assert found.mean.tolist() == [2, 2]
    assert found.covariance.tolist() == [[2, 4], [4, 8]]
    assert gaussian(torch.tensor([[1.0], [3.0]])).covariance.tolist() == [[2]]


class Classifier(nn.Module):
    """Its features are each image's mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.fc(images.mean((2, 3)))
        return found


def test_features_are_what_enters_the_last_linear_layer() -> None:
    network = WithPreprocessing(Classifier(), (8, 8), [2.0] * 3, [-1.0, 0.0, 1.0])
    images = torch.full((2, 3, 4, 4), 0.25)  # becomes 8×8, then 0.5 + offset
    extractor = Extractor("made", network)
    assert extractor.features(images).tolist() == [[-0.5, 0.5, 1.5]] * 2
    assert extractor.all_features([images, images[:1]]).shape == (3, 3)
    with pytest.raises(DataError, match="no linear layer"):
        Extractor("made", nn.Identity()).features(images)


def test_the_record_says_whose_features_and_whether_they_are_too_many() -> None:
    extractor = Extractor("classifier breeds/resnet-s0", Classifier())
    found = describe_extractor(extractor, torch.zeros(4, 3), torch.zeros(9, 3))
    assert found == "classifier breeds/resnet-s0: 3 features, 4 generated and 9 test images"
    assert describe_extractor(extractor, torch.zeros(3, 3), torch.zeros(9, 3)).endswith("biased")


def resolved(file: Path, source: str = "classifier") -> ResolvedExtractor:
    return ResolvedExtractor(
        source=source, exactly="x", sha256=file_sha256(file)[:8], name="made", file=str(file)
    )


def test_the_classifier_that_was_settled_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "best.pt"
    file.write_bytes(b"weights")
    asked: list[ResolvedExtractor] = []

    def load(found: ResolvedExtractor) -> nn.Module:
        asked.append(found)
        return Classifier()

    wanted = FrechetSettings(extractor="classifier", classifier=resolved(file))
    extractor = load_extractor(wanted, load)
    assert asked == [resolved(file)]
    assert extractor.name == "made"
    assert not extractor.network.training
    file.write_bytes(b"others")
    with pytest.raises(
        DataError, match=r"best\.pt has changed since .*: `bench run` the spec again"
    ):
        load_extractor(wanted, load)
    file.unlink()
    with pytest.raises(DataError, match=r"best\.pt cannot be read \(No such file"):
        load_extractor(wanted, load)
    with pytest.raises(SpecError, match=r"task\.frechet: not resolved"):
        load_extractor(FrechetSettings(classifier=str(tmp_path)), load)


def test_inception_under_its_normalisation(tmp_path: Path) -> None:
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False).eval()
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    found = resolved(tmp_path / "inception.pth", "inception")
    extractor = load_extractor(FrechetSettings(extractor=found), refuse_classifier)
    with torch.inference_mode():
        features = extractor.features(torch.rand(1, 3, 32, 32))
        assert features.shape == (1, 2048)
        # grey is 0 after normalisation
        grey = extractor.network(torch.full((1, 3, 299, 299), 0.5))
        torch.testing.assert_close(grey, network(torch.zeros(1, 3, 299, 299)))


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs `classifier`"):
        FrechetSettings(extractor="classifier")
    with pytest.raises(ValidationError, match="not used with extractor: inception"):
        FrechetSettings(extractor="inception", classifier="results/a/b")
