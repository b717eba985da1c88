"""Predicting files of all kinds: as the trial's own images were read, one bad file apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.window import EIGHT_BITS, Window
from bench.errors import BenchError, DataError
from bench.inference import predict as module
from bench.inference.ensemble import Predictor
from bench.inference.flips import FlipAveraged
from bench.inference.predict import Predicted, predict_files
from bench.record.store import Store
from bench.train import own_size
from bench.train.trial_parts import TrialParts, build
from tests.builders.training import make_trial

Predict = Callable[..., Predicted]
TWELVE_BITS = Window(0, 4095, "uint16", "auto")


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Predicts with an untrained net that is said to have been trained with some window."""

    def call(
        *files: Path, window: Window = EIGHT_BITS, probabilities: bool = False, **data: Any
    ) -> Predicted:
        folder = {"name": "folder", "root": str(tmp_path), "image_size": 32, **data}
        parts = replace(build(make_trial(data=folder)), window=window)
        monkeypatch.setattr(module, "predictor", lambda *_, **__: Predictor([parts]))
        store, out = Store(tmp_path), tmp_path / "out"
        return predict_files(store, "t", files, out, "cpu", probabilities=probabilities)

    return call


def to_network_input(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, file: Path, window: Window
) -> Any:
    """What the network gets of a file."""
    seen: list[torch.Tensor] = []

    def keep(parts: TrialParts, images: Any, window: Window) -> torch.Tensor:
        from bench.train.trial_parts import to_network_input

        seen.append(to_network_input(parts, images, window))
        return seen[-1]

    monkeypatch.setattr(own_size, "to_network_input", keep)
    assert predict(file, window=window, normalize="unit").failed == []
    return seen[0][0].numpy()


def photo(path: Path, dtype: str = "uint8", scale: float = 1, **options: Any) -> Path:
    ramp = np.tile(np.arange(48) * 5, (32, 1))
    Image.fromarray((ramp * scale).astype(dtype)).save(path, **options)
    return path


def test_results_are_as_a_viewer_shows_the_photo(predict: Predict, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "phone.jpg", exif=exif)
    assert predict(tmp_path / "phone.jpg").failed == []
    for kind in ("mask", "overlay"):
        assert Image.open(tmp_path / f"out/phone_{kind}.png").size == (32, 48)
    predict(tmp_path / "phone.jpg", exif="ignore")
    assert Image.open(tmp_path / "out/phone_mask.png").size == (48, 32)


def test_a_folder_and_a_bad_file(predict: Predict, tmp_path: Path):
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("b.png", "a.JPG", "a.png", "c.gif"):
        photo(inside / name)
    (inside / "notes.txt").write_text("no image")
    (inside / "d.png").write_text("no image either")
    found = predict(inside)
    assert [file.name for file in found.written] == [
        f"{name}_{kind}.png"
        for name in ("a_JPG", "a_png", "b", "c")
        for kind in ("mask", "overlay")
    ]
    assert len(found.failed) == 1
    assert "d.png: cannot be read as an image" in found.failed[0]


def test_nothing_to_predict(predict: Predict, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: has no images: name image files"):
        predict(tmp_path / "empty")


def test_results_that_would_overwrite_each_other(predict: Predict, tmp_path: Path):
    with pytest.raises(BenchError, match=r"a/x\.png and b/x\.png would have the same results"):
        predict(Path("a/x.png"), Path("b/x.png"))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("c.jpg", "CMYK"), ("l.png", "LA"), ("p.png", "P"), ("1.png", "1"), ("t.tif", "L")],
)
def test_modes_and_sizes(name: str, mode: str, predict: Predict, tmp_path: Path):
    Image.new("RGB", (3, 2)).convert(mode).save(tmp_path / name)
    assert len(predict(tmp_path / name).written) == 2


RAMP = np.arange(48) * 5 / 255


def test_the_trials_window_is_used(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = photo(tmp_path / "a.png", "uint16", 4095 / 255)
    found = to_network_input(predict, monkeypatch, file, TWELVE_BITS)
    expected = np.interp((np.arange(32) + 0.5) * 1.5 - 0.5, np.arange(48), RAMP)
    assert np.allclose(found[0, 16, 2:-2], expected[2:-2], atol=2e-3)


def test_sixteen_bits_for_a_trial_of_eight(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wide = to_network_input(
        predict, monkeypatch, photo(tmp_path / "a.png", "uint16", 257), EIGHT_BITS
    )
    narrow = to_network_input(predict, monkeypatch, photo(tmp_path / "b.png"), EIGHT_BITS)
    assert np.abs(wide - narrow).max() <= 1.01 / 255


def test_eight_bits_for_a_trial_of_sixteen(predict: Predict, tmp_path: Path):
    found = predict(photo(tmp_path / "a.png"), window=TWELVE_BITS)
    assert found.written == []
    assert (
        "stores uint8 values (0 to 235), the trial was trained on uint16 ones from 0 to 4095"
        in (found.failed[0])
    )


def test_eight_bits_where_each_type_covers_its_whole_range(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = Window(0, 65535, "uint16", "full")
    wide = to_network_input(predict, monkeypatch, photo(tmp_path / "a.png", "uint16", 257), whole)
    narrow = to_network_input(predict, monkeypatch, photo(tmp_path / "b.png"), whole)
    assert np.abs(wide - narrow).max() < 1e-4


def test_the_overlay_of_a_deep_image_shows_its_window(predict: Predict, tmp_path: Path):
    predict(photo(tmp_path / "a.png", "uint16", 4095 / 255), window=TWELVE_BITS)
    assert np.asarray(Image.open(tmp_path / "out/a_overlay.png")).max() > 200


@pytest.mark.parametrize("given", [True, False])
def test_floats_need_a_trial_of_floats(given: bool, predict: Predict, tmp_path: Path):
    window = Window(0, 1, "float32", "given", 0, 1 / 65535) if given else EIGHT_BITS
    found = predict(photo(tmp_path / "a.tif", "float32", 1 / 255), window=window)
    assert bool(found.written) == given


def test_what_was_trained_on_is_evaluated_with_its_window(tmp_path: Path):
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(6):
        photo(tmp_path / f"data/images/{i}.png", "uint16", 10 + i)
        Image.new("L", (48, 32)).save(tmp_path / f"data/masks/{i}.png")
    folder = {"name": "folder", "root": str(tmp_path / "data"), "image_size": 32}
    parts = build(make_trial(data=folder))
    assert parts.data.window.high == 235 * 14
    recorded = Window(0, 999, "uint16", "auto")
    assert replace(parts, window=recorded).data.window == recorded
    # before windows were recorded, all 16 bits were squeezed into 8
    assert replace(parts, window=EIGHT_BITS).data.window.limits == (0, 65535)


def test_probabilities_are_written_at_the_images_own_size(predict: Predict, tmp_path: Path) -> None:
    found = predict(photo(tmp_path / "a.png"), probabilities=True)
    chances = np.load(tmp_path / "out/a_probabilities.npy")
    assert [path.name for path in found.written][-1] == "a_probabilities.npy"
    assert (chances.shape, chances.dtype) == ((2, 32, 48), np.float16)
    np.testing.assert_allclose(chances.astype(float).sum(0), 1, atol=2e-3)
    mask = np.asarray(Image.open(tmp_path / "out/a_mask.png"))
    apart = abs(chances[1].astype(float) - 0.5) > 1e-2  # float16 rounds what is nearly even
    assert ((chances[1] > 0.5) == mask)[apart].all()


class Ramp(torch.nn.Module):
    """Scores that depend on the place alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        size = images.shape[-2:]
        ramp = torch.linspace(-2, 2, size[0] * size[1]).view(1, 1, *size)
        return torch.cat([torch.zeros_like(ramp), ramp], 1).expand(len(images), -1, -1, -1)


@pytest.mark.parametrize(("flips", "count"), [("none", 1), ("horizontal", 2), ("both", 4)])
def test_flips_average_the_probabilities_of_mirrors(flips: Any, count: int) -> None:
    images = torch.zeros(1, 3, 4, 6)
    found = FlipAveraged(Ramp(), flips)(images).softmax(1)
    one = Ramp()(images).softmax(1)
    mirrors = [one, one.flip(-1), one.flip(-2), one.flip(-2, -1)][:count]
    torch.testing.assert_close(found, torch.stack(mirrors).mean(0))


def test_flips_of_a_model_that_sees_no_side_change_nothing() -> None:
    images = torch.rand(2, 3, 8, 8)
    layer = torch.nn.Conv2d(3, 2, 1)
    torch.testing.assert_close(
        FlipAveraged(layer, "both")(images).softmax(1), layer(images).softmax(1)
    )
