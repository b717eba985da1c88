"""`data.evaluate_at: original`: scores of predictions at the size of each image's own mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from bench.inference.ensemble import Predictor
from bench.train.own_size import final_scores
from bench.train.session import train_trial
from bench.train.trial_parts import TrialParts, build, to_network_input
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

SHAPES = [(60, 90), (90, 60), (64, 64), (33, 50), (100, 40), (37, 91)]
FITS: list[dict[str, Any]] = [
    {"fit": "stretch"},
    {"fit": "letterbox"},
    {"fit": "crop"},
    {"fit": "stretch", "crop": [32, 48]},
    {"fit": "letterbox", "crop": [32, 48]},
]
SIZE = (64, 96)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos of many shapes; one is turned by EXIF, one has a mask of half its size."""
    draws = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(20):
        height, width = SHAPES[i % len(SHAPES)]
        rows, columns = np.mgrid[:height, :width]
        inside = (rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (height / 3) ** 2
        image = np.where(inside[..., None], [200, 80, 40], [40, 90, 160])
        image = (image + draws.normal(0, 20, image.shape)).clip(0, 255).astype(np.uint8)
        mask = Image.fromarray(inside.astype(np.uint8))
        if i == 5:
            exif = Image.Exif()
            exif[0x0112] = 6  # stored lying, shown standing
            stored = Image.fromarray(np.rot90(image).copy())
            stored.save(tmp_path / f"images/{i:02}.png", exif=exif)
        else:
            Image.fromarray(image).save(tmp_path / f"images/{i:02}.png")
        if i == 15:
            mask = mask.resize((width // 2, height // 2), Image.Resampling.NEAREST)
        mask.save(tmp_path / f"masks/{i:02}.png")
    return tmp_path


def parts_of(root: Path, **data: Any) -> TrialParts:
    data = {"name": "folder", "root": str(root), "image_size": list(SIZE), **data}
    settings = {"epochs": 1, "batch_size": 5}
    parts = build(make_trial(data={"evaluate_at": "original", **data}, train=settings))
    return replace(parts, model=RedderThanBlue())


class RedderThanBlue(nn.Module):
    """Says where an image is redder than blue, from a few pixels around each."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Conv2d(3, 2, 7, padding=3, padding_mode="reflect")
        weights = torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]) / 49
        self.mean.weight.data = weights[..., None, None].expand(2, 3, 7, 7).clone()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.mean(images)
        return found


def seen_scores(parts: TrialParts, photo: Image.Image, fit: str) -> torch.Tensor:
    """(K, h, w) of the image itself: of what the network sees, without bars."""
    width, height = photo.size
    if fit == "stretch":
        inner = SIZE
    else:
        scales = SIZE[0] / height, SIZE[1] / width
        scale = min(scales) if fit == "letterbox" else max(scales)
        inner = (round(height * scale), round(width * scale))
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(pixels, inner, mode="bilinear", antialias=True)[0]
    whole = inner if fit == "crop" else SIZE
    top, left = (whole[0] - inner[0]) // 2, (whole[1] - inner[1]) // 2
    canvas = np.zeros((*whole, 3), np.uint8)
    rows, columns = slice(top, top + inner[0]), slice(left, left + inner[1])
    canvas[rows, columns] = small.permute(1, 2, 0).numpy()
    with torch.inference_mode():
        scores = parts.whole_image_model.eval()(to_network_input(parts, canvas[None]))
    return scores[0, :, rows, columns]


def dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    both = (predicted & truth).sum()
    return float((2 * both + 1e-6) / (predicted.sum() + truth.sum() + 1e-6))


@pytest.mark.parametrize("settings", FITS, ids=lambda s: "-".join(map(str, s.values())))
def test_dice_of_predictions_that_pillow_resizes(settings: dict[str, Any], root: Path) -> None:
    """Each class's score is an image of floats that Pillow resizes to the mask's size."""
    parts = parts_of(root, **settings)
    found = final_scores(parts, "test")
    names = parts.data.splits["test"].names
    expected = []
    for name in names:
        photo, truth = open_photo(root, name), np.array(Image.open(root / f"masks/{name}.png"))
        scores = seen_scores(parts, photo, settings["fit"]).numpy()
        planes = [pillow_resized(plane, truth.shape) for plane in scores]
        expected.append(dice(np.argmax(planes, 0) == 1, truth == 1))
    assert "05" in names
    assert "15" in names
    assert found.images is not None
    assert found.images.column("dice") == pytest.approx(expected, abs=2e-3)
    assert found.metrics["dice"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert 0.5 < min(expected) < max(expected) < 1


def open_photo(root: Path, name: str) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(root / f"images/{name}.png"))


def pillow_resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear without antialiasing; beyond the outermost pixels' centres their own values."""
    height, width = size
    across, down = plane.shape[1] / width, plane.shape[0] / height
    source = Image.fromarray(np.pad(plane.astype(np.float32), 1, mode="edge"))
    matrix = (across, 0, 1, 0, down, 1)  # from pixels of the result to those of the padded plane
    how = Image.Resampling.BILINEAR
    return np.array(source.transform((width, height), Image.Transform.AFFINE, matrix, how))


@pytest.mark.parametrize("settings", [FITS[1], FITS[2], FITS[3]])
def test_predicted_masks_have_these_scores(settings: dict[str, Any], root: Path) -> None:
    parts = parts_of(root, **settings)
    found = final_scores(parts, "test").images
    assert found is not None
    (name,) = (n for n in parts.data.splits["test"].names if n == "05")
    model = Predictor([parts])
    labels = model.labels(model.read(root / f"images/{name}.png"))
    truth = np.array(Image.open(root / f"masks/{name}.png"))
    place = parts.data.splits["test"].names.index(name)
    assert dice(labels == 1, truth == 1) == pytest.approx(found.column("dice")[place], abs=1e-9)


def test_training_validates_at_image_size_and_tests_at_the_own(root: Path, tmp_path: Path) -> None:
    data = {"name": "folder", "root": str(root), "image_size": [64, 96], "fit": "letterbox"}
    train = {"epochs": 2, "batch_size": 5}
    facts, rows, scores = [], [], []
    for way in ("image_size", "original"):
        recorder = MemoryRecorder(tmp_path / way)
        (tmp_path / way).mkdir()
        settings = make_trial(data={**data, "evaluate_at": way}, train=train)
        train_trial(settings, recorder, Silent())
        facts.append(recorder.facts)
        rows.append(results(recorder.rows))
        assert recorder.scores is not None
        scores.append(recorder.scores.splits["test"].selected)
    assert rows[0] == rows[1]
    assert facts[0]["baseline_val_dice"] == facts[1]["baseline_val_dice"]
    for metric in ("test_loss", "baseline_dice"):
        assert facts[0][metric] != facts[1][metric]
        assert facts[0][metric] == pytest.approx(facts[1][metric], abs=0.1)
    assert np.mean(scores[1].column("dice")) == pytest.approx(facts[1]["test_dice"])


def test_the_size_of_scores_is_part_of_a_trial_only_where_it_was_asked_for(root: Path) -> None:
    data = {"name": "folder", "root": str(root)}
    plain, own = make_trial(data=data), make_trial(data={**data, "evaluate_at": "original"})
    assert "evaluate_at" not in plain.identity["data"]
    assert own.identity["data"]["evaluate_at"] == "original"


def test_only_masks_have_scores_at_their_own_size() -> None:
    data = {"name": "class_folder", "root": "x", "classes": ["a", "b"], "evaluate_at": "original"}
    with pytest.raises(ValueError, match="original is for segmentation, not for classification"):
        make_trial(task={"name": "classification"}, data=data)
    with pytest.raises(ValueError, match="evaluate_at"):
        make_trial(data={"name": "shapes", "evaluate_at": "original"})
