"""Files as people have them, from the disk to what is said about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.settings import DATASETS, FolderSettings
from bench.data.survey import Survey, survey_of
from bench.data.survey_kinds import Kind
from bench.data.survey_tables import fact_table
from bench.data.survey_warnings import data_warnings

Save = Callable[[np.ndarray, Path, int], None]


@pytest.fixture
def surveyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Survey]:
    """Writes 20 images of 40×30 in a way, and looks at them."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))

    def look(save: Save, ending: str = "png", **settings: Any) -> Survey:
        root = tmp_path / "data"
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True)
        random = np.random.default_rng(0)
        for i in range(20):
            save(random.integers(0, 256, (30, 40, 3), np.uint8), root / f"images/p{i}.{ending}", i)
            mask = np.zeros((30, 40), np.uint8)
            mask[5:15, 5:20] = 1
            Image.fromarray(mask).save(root / f"masks/p{i}.png")
        given = FolderSettings.model_validate(
            {"name": "folder", "root": str(root), "image_size": 16} | settings
        )
        return survey_of(DATASETS.build(given).prepare(), given)

    return look


def upside_down(image: np.ndarray, path: Path, i: int) -> None:
    photo = Image.fromarray(image)
    exif = photo.getexif()
    exif[274] = 3 if i % 2 else 1
    photo.save(path, exif=exif)


def deep(image: np.ndarray, path: Path, _i: int) -> None:
    Image.fromarray(image[..., 0].astype(np.uint16) * 16).save(path)


def stack(image: np.ndarray, path: Path, i: int) -> None:
    pages = [Image.fromarray(image), Image.fromarray(255 - image)]
    pages[0].save(path, save_all=True, append_images=pages[1:] if i == 3 else [])


def of_many_sizes(image: np.ndarray, path: Path, i: int) -> None:
    Image.fromarray(image).resize((40 + 4 * (i % 3), 30 + 3 * (i % 3))).save(path)


def row(found: Survey, name: str) -> tuple[str, ...]:
    return dict(fact_table(found).rows)[name]


def kinds(found: Survey) -> set[Kind]:
    return {warning.kind for warning in data_warnings(found, "mask")} - {Kind.FEW_IMAGES}


def test_exif_orientation(surveyed: Callable[..., Survey]) -> None:
    found = surveyed(upside_down, "jpg")
    turned = [int(cell.split()[0]) for cell in row(found, "EXIF orientation")]
    assert sum(turned) == 10
    assert row(found, "EXIF orientation")[0].endswith("(180°)")
    assert kinds(found) == {Kind.ORIENTATION}


def test_exif_orientation_that_is_ignored(surveyed: Callable[..., Survey]) -> None:
    assert kinds(surveyed(upside_down, "jpg", exif="ignore")) == {Kind.ORIENTATION_IGNORED}


def test_12_bits_in_16(surveyed: Callable[..., Survey]) -> None:
    found = surveyed(deep)
    assert row(found, "bits") == ("16", "16", "16")
    assert {cell.split()[-2] for cell in row(found, "stored values")} == {"(12"}
    assert found.window.high <= 4080
    assert kinds(found) == set()


def test_12_bits_in_16_under_the_full_window(surveyed: Callable[..., Survey]) -> None:
    assert kinds(surveyed(deep, window="full")) == {Kind.NARROW_RANGE}


def test_a_stack_of_pages(surveyed: Callable[..., Survey]) -> None:
    found = surveyed(stack, "tif", page=1)
    assert sum(int(cell.split()[0]) for cell in row(found, "several pages")) == 1
    assert kinds(found) == {Kind.SEVERAL_PAGES}


def test_sizes(surveyed: Callable[..., Survey]) -> None:
    found = surveyed(of_many_sizes)
    assert row(found, "smallest")[0] == "40×30"
    assert row(found, "largest")[0] == "48×36"
    assert row(found, "different sizes")[0] == "3"


def test_groups(surveyed: Callable[..., Survey]) -> None:
    found = surveyed(deep, groups=r"p(\d)")
    assert sum(map(int, row(found, "groups"))) == 10
    assert not found.crossings
