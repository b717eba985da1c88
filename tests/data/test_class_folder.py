from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from bench.data.base import Splits
from bench.data.class_folder import ClassFolder
from bench.data.settings import DATASETS, ClassFolderSettings
from bench.errors import DataError
from tests.data.conformance import conforms


def data(root: Path, **fields: Any) -> ClassFolder:
    settings = ClassFolderSettings.model_validate(
        {"root": str(root), "image_size": 16, "classes": ["dog", "cat"], **fields}
    )
    built = DATASETS.build(settings)
    assert isinstance(built, ClassFolder)
    return built


def prepared(root: Path, **fields: Any) -> Splits:
    return data(root, **fields).prepare()


def fails(root: Path, message: str, **fields: Any) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepared(root, **fields)
    assert "\n" not in str(caught.value)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Six cats and six dogs; a picture's red says which of them it is."""
    for place, name in enumerate(("cat", "dog")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 9, (20, 30, 3), np.uint8)
            pixels[..., 0] += 100 * place + 10 * i
            ending = "png" if i % 2 else "jpg"
            Image.fromarray(pixels).save(tmp_path / "animals" / name / f"p{i}.{ending}")
    return tmp_path / "animals"


def by_split(root: Path) -> Path:
    """The same pictures as train/cat/…; every split has the same stems."""
    target = root.with_name("split")
    for split in ("train", "val", "test"):
        shutil.copytree(root, target / split)
    return target


def repaint(root: Path) -> ClassFolder:
    Image.new("RGB", (30, 20), "red").save(root / "cat" / "p3.png")
    return data(root)


def test_class_folder_conforms(animals: Path):
    found = conforms(lambda: data(animals), changed=lambda: repaint(animals))
    assert (found.classes, found.labels, found.notes) == ((), ("dog", "cat"), ())


def test_the_order_of_classes_is_part_of_the_data(animals: Path):
    conforms(lambda: data(animals), changed=lambda: data(animals, classes=["cat", "dog"]))


def test_default_splits_go_class_by_class(animals: Path):
    splits = prepared(animals).splits
    assert splits["val"].names == ("cat/p0", "dog/p0")
    assert splits["test"].names == ("cat/p5", "dog/p5")
    assert len(splits["train"]) == 8
    assert splits["train"].names[:2] == ("cat/p1", "cat/p2")
    assert splits["val"].labels.tolist() == [1, 0]
    assert splits["test"].labels.tolist() == [1, 0]


def test_images_belong_to_their_labels(animals: Path):
    for split in prepared(animals).splits.values():
        red = split.images[..., 0].mean(axis=(1, 2))
        assert ((red > 90).astype(int) == 1 - split.labels).all()  # dogs, label 0, are red


def test_an_unreadable_image_is_skipped_where_asked(animals: Path):
    (animals / "cat" / "p3.png").write_bytes(b"rubbish")
    fails(animals, r"p3\.png: cannot be read as an image")
    train = prepared(animals, on_error="skip").splits["train"]
    assert len(train) == 7
    assert "cat/p3" not in train.names
    assert train.labels.tolist() == [int(name.startswith("cat")) for name in train.names]


def test_split_files(animals: Path):
    for split, names in (("train", "dog/p3\n\n cat/p1 \n"), ("val", "cat/p0"), ("test", "dog/p5")):
        (animals / f"{split}.txt").write_text(names)
    files = {split: f"{split}.txt" for split in ("train", "val", "test")}
    splits = prepared(animals, splits=files).splits
    assert {name: split.names for name, split in splits.items()} == {
        "train": ("dog/p3", "cat/p1"),
        "val": ("cat/p0",),
        "test": ("dog/p5",),
    }
    assert splits["train"].labels.tolist() == [0, 1]
    (animals / "val.txt").write_text("cat/p7")
    fails(animals, r"val\.txt:1: there is no image 'cat/p7' \(did you mean 'cat/p\d'\?\)",
          splits=files)  # fmt: skip


def test_a_folder_per_split(animals: Path):
    root = by_split(animals)
    found = conforms(lambda: data(root), changed=lambda: repainted_split(root))
    assert {name: len(split) for name, split in found.splits.items()} == {
        "train": 12, "val": 12, "test": 12,
    }  # fmt: skip
    assert found.splits["val"].names[0] == "val/cat/p0"
    assert found.splits["val"].labels.tolist() == [1] * 6 + [0] * 6


def repainted_split(root: Path) -> ClassFolder:
    repaint(root / "val")
    return data(root)


def test_a_class_called_like_a_split(animals: Path):
    (animals / "dog").rename(animals / "train")
    found = prepared(animals, classes=["cat", "train"])
    assert found.splits["val"].names == ("cat/p0", "train/p0")


def test_other_folders_are_told(animals: Path):
    (animals / "horse").mkdir()
    assert prepared(animals).notes == ("folders that are no class of the spec are left out: horse",)


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("place", ["", "train"])
def test_folders_and_classes_in_other_unicode_forms(
    forms: tuple[Literal["NFC", "NFD"], ...], place: str, animals: Path
):
    there, wanted = (unicodedata.normalize(form, "kätzchen") for form in forms)
    (animals / place).mkdir(exist_ok=True)
    (animals / "dog").rename(animals / place / "dog")
    (animals / "cat").rename(animals / place / there)
    found = prepared(animals, classes=["dog", wanted])
    assert [found.splits[split].labels.tolist() for split in ("val", "test")] == [[0, 1], [0, 1]]
    assert not any("left out" in note for note in found.notes)


def test_what_is_missing(animals: Path):
    fails(animals, r"horse: there is no such folder: .*data\.classes", classes=["cat", "horse"])
    (animals / "horse").mkdir()
    fails(animals, r"horse: no image there: ", classes=["cat", "horse"])
    root = by_split(animals)
    shutil.rmtree(root / "train")
    fails(root, r"split/train: there is no such folder, but test/, val/: put .*`splits:`")


def test_a_broken_image_is_named(animals: Path):
    (animals / "cat" / "p2.jpg").write_text("no picture")
    fails(animals, r"cat/p2\.jpg: cannot be read as an image")


def test_a_read_only_cache_gives_the_same(animals: Path, monkeypatch: pytest.MonkeyPatch):
    first = prepared(animals)
    monkeypatch.setenv("BENCH_CACHE", "/proc/nowhere")
    with pytest.warns(UserWarning, match="cannot be written"):
        again = prepared(animals)
    assert again.fingerprint == first.fingerprint
    assert again.splits["train"].masks is None


def test_class_folders_next_to_those_of_splits_are_named(animals: Path) -> None:
    for name in ("cat", "dog"):
        shutil.copytree(animals / name, animals / "train" / name)
    (animals / "train" / "bird").mkdir()
    (animals / "old").mkdir()
    notes = prepared(animals).notes
    assert "folders that are no class of the spec are left out: bird, old" in notes
    assert "folders of classes next to train/ are left out: cat, dog" in notes
    for name in ("cat", "dog"):
        shutil.rmtree(animals / name)
    assert not any("next to" in note for note in prepared(animals).notes)
