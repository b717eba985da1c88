"""Data sets that earlier releases read: the same arrays, fingerprints, cache keys and trial ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from bench.data.cache import cache_root
from bench.data.settings import DATASETS, ClassFolderSettings, FolderSettings
from bench.plan.expand import make_plan
from bench.spec.load import load_spec

OLD = 1_600_000_000_000_000_000  # ns; a file's time is part of its cache's key
# made by the release in which `folder` was a pair of folders and nothing else
# fingerprint of the content, name of the cache
FOLDER = ("005ebf7d625b5735", "b3ae89e21b87aacc3373f862")
MAPPED = ("14959804b21e13c2", "ce8b99f34a4011d1c205d2ce")
GROUPED = ("90053197780315ad", "e88a23224f77802bdd3a3f4e")
LISTED = ("f5105a2a1bce5466", "39c7f6d288842e130806ce4b")
DEEP = ("ccc1a71f912a2633", "759f6e4ee802af8d1e7646f9")
CLASSES = ("7fa610a4aeff903e", "08908afebddfcfe242c2e64c")


@pytest.fixture(autouse=True)
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache's key says of the libraries, whichever are installed."""
    monkeypatch.setattr(PIL, "__version__", "0")
    monkeypatch.setattr(torch, "__version__", "0")


def _save(array: Any, file: Path) -> None:
    # uncompressed: files of the same size whatever library wrote them
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(file)
    os.utime(file, ns=(OLD, OLD))


def _masked(root: Path, suffix: str = "", depth: int = 8) -> Path:
    for i in range(12):
        y, x = np.mgrid[:24, :40]
        if depth == 8:
            image = np.stack([(y * 7 + x * 3 * k + i * 11) % 256 for k in (1, 2, 3)], 2)
            _save(image.astype(np.uint8), root / f"images/a{i}.ppm")
        else:
            _save((y * 700 + x * 31 + i).astype(np.uint16), root / f"images/a{i}.tif")
        mask = ((x + i) % 20 < 9).astype(np.uint8) + ((y > 12) & (x > 30))
        _save(mask.astype(np.uint8), root / f"masks/a{i}{suffix}.pgm")
    return root


def _labelled(root: Path) -> Path:
    for label in ("cat", "dog"):
        for i in range(10):
            y, x = np.mgrid[:24, :24]
            image = np.stack(
                [(y * 7 + x * 3 * k + i * 11 + len(label)) % 256 for k in (1, 2, 4)], 2
            )
            _save(image.astype(np.uint8), root / label / f"{i}.ppm")
    return root


def _found(settings: Any) -> tuple[str, str]:
    """The data's fingerprint, and the name of the cache that was made."""
    before = set(cache_root().glob("*")) if cache_root().is_dir() else set()
    fingerprint = DATASETS.build(settings).prepare().fingerprint
    (made,) = {path for path in cache_root().glob("*") if path.suffix == ""} - before
    return fingerprint, made.name


def test_a_folder_with_masks(tmp_path: Path) -> None:
    root = str(_masked(tmp_path / "d"))
    three = ("background", "cat", "dog")
    assert _found(FolderSettings(root=root, image_size=16, classes=three)) == FOLDER
    mapped = {0: "background", 1: "foreground", 2: "foreground"}
    settings = FolderSettings(root=root, image_size=8, values=mapped, normalize="unit")
    assert _found(settings) == MAPPED
    settings = FolderSettings(root=root, image_size=8, ignore=2, groups=r"^a(\d)", exif="ignore")
    assert _found(settings) == GROUPED


def test_a_suffix_and_split_files(tmp_path: Path) -> None:
    root = _masked(tmp_path / "d", "_mask")
    for split, names in (("train", "a0\na3\na7"), ("val", "a1\na2"), ("test", "a4")):
        (root / f"{split}.txt").write_text(names)
    splits: Any = {split: f"{split}.txt" for split in ("train", "val", "test")}
    settings = FolderSettings(root=str(root), image_size=16, threshold=1, splits=splits)
    assert _found(settings) == LISTED


def test_sixteen_bits(tmp_path: Path) -> None:
    root = str(_masked(tmp_path / "d", depth=16))
    assert _found(FolderSettings(root=root, image_size=16, ignore=2)) == DEEP


def test_a_folder_per_class(tmp_path: Path) -> None:
    root = str(_labelled(tmp_path / "d"))
    assert _found(ClassFolderSettings(root=root, image_size=16, classes=("cat", "dog"))) == CLASSES


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{name: folder, root: d}", "unet-s0-143f83ba"),
        (
            "{name: folder, root: d, classes: [a, b, c], values: [0, 9, 8], ignore: 255}",
            "unet-s0-7c374ac9",
        ),
        (
            "{name: folder, root: d, splits: {train: a, val: b, test: c}, palette: index}",
            "unet-s0-5327c86a",
        ),
        ("{name: folder, root: d, groups: {file: a.csv}, window: percentiles}", "unet-s0-d1c46ba4"),
        ("{name: shapes, train: 8, val: 4, test: 4, image_size: 32}", "unet-s0-90089135"),
        ("{name: oxford_pet, image_size: 128}", "unet-s0-70addcf2"),
    ],
)
def test_trial_ids(tmp_path: Path, data: str, expected: str) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        f"experiment: s\ntask: segmentation\ndata: {data}\ngrid: {{model: [{{name: unet}}]}}\n"
    )
    assert make_plan(load_spec(spec)).trials[0].id == expected


def test_trial_ids_of_labels(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    data = "{name: class_folder, root: d, classes: [cat, dog], image_size: 64}"
    spec.write_text(
        f"experiment: s\ntask: classification\ndata: {data}\n"
        "grid: {model: [{name: resnet, depth: 18}]}\n"
    )
    assert make_plan(load_spec(spec)).trials[0].id == "resnet-s0-230f8322"
