"""Folds: which image is in which, and a data set's splits for one of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import Split, Splits
from bench.data.cache import cache_root
from bench.data.folds import first_fold, in_folds
from bench.data.rows import Rows, is_mapped
from bench.data.settings import (
    DATASETS,
    ClassFolderSettings,
    CustomData,
    DataSettings,
    FolderSettings,
    OxfordPetSettings,
    ShapesSettings,
)
from bench.data.survey import survey_of
from bench.data.survey_warnings import data_warnings
from bench.errors import DataError
from tests.builders.image_folders import made


def shapes(**folds: Any) -> tuple[Splits, DataSettings]:
    settings = ShapesSettings(
        image_size=16,
        train=13,
        val=5,
        test=4,
        kinds=2,
        folds=folds,  # type: ignore[arg-type]  # as in a spec
    )
    return DATASETS.build(settings).prepare(), settings


def _same_images(split: Split, whole: Splits) -> None:
    """Every image, mask and label is that of its name."""
    of_name = {n: (s, i) for s in whole.splits.values() for i, n in enumerate(s.names)}
    for place, name in enumerate(split.names):
        source, row = of_name[name]
        assert (np.asarray(split.images[place]) == np.asarray(source.images[row])).all()
        if source.masks is not None:
            assert split.masks is not None
            assert (np.asarray(split.masks[place]) == np.asarray(source.masks[row])).all()
        if source.labels is not None:
            assert split.labels is not None
            assert (split.labels[place] == source.labels[row]).all()


def check_folds(whole: Splits, settings: DataSettings, pool: set[str]) -> list[Splits]:
    """Folds partition the pool; nothing else is in them, and nothing is decoded again."""
    assert settings.folds is not None
    before = sorted(path.name for path in cache_root().rglob("*"))
    found = [in_folds(whole, settings, fold, 0) for fold in range(settings.folds.k)]
    assert sorted(path.name for path in cache_root().rglob("*")) == before
    validated = [name for one in found for name in one.splits["val"].names]
    assert len(validated) == len(set(validated)) == len(pool)
    assert set(validated) == pool
    for one in found:
        train, val = one.splits["train"], one.splits["val"]
        assert set(train.names) == pool - set(val.names)
        for split in one.splits.values():
            _same_images(split, whole)
        assert one.fingerprint == found[0].fingerprint != whole.fingerprint
    return found


@pytest.mark.parametrize("of", ["trainval", "train", "all"])
def test_what_is_shared_out(of: str) -> None:
    whole, settings = shapes(k=4, of=of)
    shared = {"trainval": ("train", "val"), "train": ("train",), "all": ("train", "val", "test")}
    found = check_folds(whole, settings, {n for s in shared[of] for n in whole.splits[s].names})
    for one in found:
        if of == "all":
            assert "test" not in one.splits
        else:
            assert one.splits["test"].names == whole.splits["test"].names


def test_folds_are_rows_of_what_they_share() -> None:
    whole, settings = shapes(k=3)
    one, other = (in_folds(whole, settings, fold, 0).splits["train"].images for fold in (0, 1))
    assert isinstance(one, Rows)
    assert isinstance(other, Rows)
    assert is_mapped(one)
    assert np.shares_memory(one.array, other.array)
    assert np.shares_memory(one.array, whole.splits["train"].images)


def test_folds_again_with_every_seed() -> None:
    whole, settings = shapes(k=3, repartition=True)
    of_seed = [in_folds(whole, settings, 0, seed) for seed in (0, 1, 1)]
    assert of_seed[0].splits["val"].names != of_seed[1].splits["val"].names
    assert of_seed[1].splits["val"].names == of_seed[2].splits["val"].names
    assert of_seed[0].fingerprint == of_seed[1].fingerprint
    assert ", anew with every seed" in of_seed[0].notes[-1]


def test_without_folds_nothing_changes() -> None:
    whole = DATASETS.build(ShapesSettings(image_size=16, train=5, val=2, test=2)).prepare()
    assert in_folds(whole, ShapesSettings(), None, 0) is whole
    assert first_fold(whole, ShapesSettings(), 0) is whole


def test_folder_with_groups(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    settings = FolderSettings(
        root=str(root),
        image_size=16,
        groups=r"^p(\d)",
        folds={"k": 2, "of": "all"},  # type: ignore[arg-type]  # as in a spec
    )
    with pytest.raises(DataError, match="2 groups are too few to share out"):
        DATASETS.build(settings).prepare()
    settings = settings.model_copy(update={"groups": r"^p(\d\d)"})
    whole = DATASETS.build(settings).prepare()
    found = check_folds(whole, settings, {f"p{i:02d}" for i in range(12)})
    assert found[0].splits["val"].groups


def test_group_is_another_spelling_of_groups(tmp_path: Path) -> None:
    plain = FolderSettings.model_validate({"root": "x", "groups": r"^(a)"})
    for spelled in ({"group": r"^(a)"}, {"group": {"pattern": r"^(a)"}}):
        found = FolderSettings.model_validate({"root": "x", **spelled})
        assert found.identity() == plain.identity()
    with pytest.raises(ValueError, match="group: is another spelling of `groups:`"):
        FolderSettings.model_validate({"root": "x", "groups": "a", "group": "a"})


def test_groups_of_any_data_set(tmp_path: Path) -> None:
    whole, settings = shapes(k=3, group=r"(\d)$", of="all")
    found = check_folds(whole, settings, {n for s in whole.splits.values() for n in s.names})
    for one in found:
        val, train = one.splits["val"], one.splits["train"]
        assert not set(val.groups) & set(train.groups)
        assert all(name.endswith(group) for name, group in zip(val.names, val.groups, strict=True))


def test_a_group_may_not_cross_the_test_split() -> None:
    whole, settings = shapes(k=3, group=r"(\d)$")
    with pytest.raises(DataError, match=r"data\.folds: 4 of 10 groups are in more than one split"):
        in_folds(whole, settings, 0, 0)


def test_groups_in_a_file(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    lines = ["name,group", *(f"p{i:02d},g{i // 3}" for i in range(12))]
    (root / "groups.csv").write_text("\n".join(lines))
    settings = FolderSettings.model_validate(
        {
            "root": str(root),
            "image_size": 16,
            "folds": {"k": 4, "of": "all", "group": {"file": "groups.csv"}},
        }
    )
    whole = DATASETS.build(settings).prepare()
    found = check_folds(whole, settings, {f"p{i:02d}" for i in range(12)})
    assert [len(set(one.splits["val"].groups)) for one in found] == [1, 1, 1, 1]
    assert found[0].fingerprint != in_folds(whole, _without_group(settings), 0, 0).fingerprint


def _without_group(settings: FolderSettings) -> FolderSettings:
    assert settings.folds is not None
    folds = settings.folds.model_copy(update={"group": None})
    return settings.model_copy(update={"folds": folds})


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    root = tmp_path / "classes"
    for label, count in (("cat", 12), ("dog", 10), ("emu", 2)):
        (root / label).mkdir(parents=True)
        for i in range(count):
            pixels = np.full((8, 8, 3), 10 * i + len(label), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i}.png")
    return root


def test_class_folder_is_stratified_and_rare_classes_are_told(classes: Path) -> None:
    settings = ClassFolderSettings.model_validate(
        {
            "root": str(classes),
            "classes": ["cat", "dog", "emu"],
            "image_size": 8,
            "folds": {"k": 4, "of": "all"},
        }
    )
    whole = DATASETS.build(settings).prepare()
    names = {name for split in whole.splits.values() for name in split.names}
    for one in check_folds(whole, settings, names):
        labels = one.splits["val"].labels
        assert labels is not None
        counts = Counter(labels.tolist())
        assert counts[0] == 3
        assert counts[1] in (2, 3)
    notes = first_fold(whole, settings, 0).notes
    assert "24 images are shared out in 4 folds of 6 images" in notes[-3]
    assert notes[-2] == (
        "1 of 3 classes have fewer images than there are folds, so that some folds have none of "
        "them (emu: 2)"
    )


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"k": 19}, r"data\.folds\.k: 19 folds of 18 images \(training and validation images\): "),
        ({"k": 14, "of": "train"}, r"14 folds of 13 images \(training images\): take 13 folds"),
        (
            {"k": 11, "of": "all", "group": r"(\d)$"},
            r"11 folds of 10 groups \(images\): take 10 folds at most",
        ),
        ({"k": 3, "group": "^x"}, r"data\.folds\.group: '\^x' does not match the name"),
    ],
)
def test_more_folds_than_there_can_be(folds: dict[str, Any], message: str) -> None:
    whole, settings = shapes(**folds)
    with pytest.raises(DataError, match=message) as caught:
        first_fold(whole, settings, 0)
    assert "\n" not in str(caught.value)


def test_labels_to_stratify_by_have_to_be_there(tmp_path: Path) -> None:
    root = made(tmp_path / "data")
    settings = FolderSettings.model_validate(
        {"root": str(root), "image_size": 16, "folds": {"k": 2, "stratify": "label"}}
    )
    whole = DATASETS.build(settings).prepare()
    with pytest.raises(DataError, match=r"data\.folds\.stratify: the images have no labels"):
        in_folds(whole, settings, 0, 0)


def test_images_of_several_labels(tmp_path: Path) -> None:
    """Stratified by which labels an image has; one that too few images have is told."""
    (tmp_path / "images").mkdir()
    lines = ["image,label"]
    for i in range(16):
        Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(tmp_path / "images" / f"{i}.png")
        labels = ["a"] * (i % 2 == 0) + ["b"] * (i % 4 < 2) + ["c"] * (i == 0)
        lines.append(f"images/{i}.png,{'|'.join(labels)}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    settings = ClassFolderSettings.model_validate(
        {
            "root": str(tmp_path),
            "classes": ["a", "b", "c"],
            "table": {"file": "labels.csv", "separator": "|"},
            "image_size": 8,
            "folds": {"k": 4, "of": "all"},
        }
    )
    whole = DATASETS.build(settings).prepare()
    found = check_folds(whole, settings, {n for s in whole.splits.values() for n in s.names})
    for one in found:
        labels = one.splits["val"].labels
        assert labels is not None
        assert labels.shape == (4, 3)
        assert 1 <= labels[:, 0].sum() <= 3
    notes = first_fold(whole, settings, 0).notes
    assert any("(c: 1)" in note for note in notes)


def test_pets(pets_root: Path) -> None:
    settings = OxfordPetSettings.model_validate(
        {"root": str(pets_root), "download": False, "image_size": 16, "folds": {"k": 5}}
    )
    whole = DATASETS.build(settings).prepare()
    pool = {name for split in ("train", "val") for name in whole.splits[split].names}
    for one in check_folds(whole, settings, pool):
        labels = one.splits["val"].labels
        assert labels is not None
        every = Counter(whole.splits["train"].labels.tolist())  # type: ignore[union-attr]  # has
        assert set(labels.tolist()) == set(every)


class OwnData:
    """A data set of the user's own, without groups, labels or files."""

    def __init__(self, count: int) -> None:
        self._count = count

    def prepare(self, progress: Any = None) -> Splits:
        def split(name: str) -> Split:
            images = np.random.default_rng(len(name)).integers(
                0, 256, (self._count, 8, 8, 3), np.uint8
            )
            masks = np.zeros((self._count, 8, 8), np.uint8)
            return Split(images, masks, tuple(f"{name}{i}" for i in range(self._count)))

        return Splits({n: split(n) for n in ("train", "val", "test")}, ("bg", "fg"), "own")


def test_data_of_ones_own() -> None:
    settings = CustomData.model_validate(
        {
            "target": "tests.data.test_folds:OwnData",
            "count": 4,
            "image_size": 8,
            "folds": {"k": 3},
        }
    )
    whole = DATASETS.build(settings).prepare()
    check_folds(whole, settings, {f"{n}{i}" for n in ("train", "val") for i in range(4)})


def test_deep_images_are_seen_through_the_window_of_their_fold(tmp_path: Path) -> None:
    """16 bits: the least and the greatest value of a fold's own training images."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(12):
        pixels = np.full((16, 16), 1000 * (i + 1), np.uint16)
        pixels[0, 0] += 500
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{i:02d}.png")
        Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / "masks" / f"p{i:02d}.png")
    settings = FolderSettings.model_validate(
        {"root": str(tmp_path), "image_size": 16, "folds": {"k": 3, "of": "all"}}
    )
    whole = DATASETS.build(settings).prepare()
    for one in check_folds(whole, settings, {f"p{i:02d}" for i in range(12)}):
        numbers = [int(name[1:]) for name in one.splits["train"].names]
        low, high = 1000 * (min(numbers) + 1), 1000 * (max(numbers) + 1) + 500
        assert (one.window.low, one.window.high) == (low, high)
    given = settings.model_copy(update={"window": (0.0, 20_000.0)})
    whole = DATASETS.build(given).prepare()
    assert in_folds(whole, given, 0, 0).window == whole.window


@pytest.mark.parametrize("of", ["trainval", "all"])
def test_copies_in_any_two_folds_are_found(of: str) -> None:
    """Also in those of which neither is the fold that a survey counts; and in the test split."""
    whole, settings = shapes(k=4, of=of)
    folds = [in_folds(whole, settings, fold, 0).splits["val"].names for fold in range(4)]

    def copy(source: str, target: str) -> None:
        (there, i), (here, j) = images[source], images[target]
        here.images[j] = there.images[i]  # type: ignore[index]  # an array

    whole = replace(
        whole,
        splits={k: replace(s, images=np.array(s.images)) for k, s in whole.splits.items()},
    )
    images = {name: (s, i) for s in whole.splits.values() for i, name in enumerate(s.names)}
    copy(folds[1][0], folds[3][0])
    if of != "all":
        copy(folds[2][1], whole.splits["test"].names[0])
    found = survey_of(first_fold(whole, settings, 0), settings)
    warnings = {str(w.kind): w.text for w in data_warnings(found, "mask")}
    pooled = 22 if of == "all" else 18
    assert warnings["shared_by_folds"].startswith(f"1 of {pooled} images are in another fold, too")
    assert f"{folds[3][0]} is {folds[1][0]}" in warnings["shared_by_folds"]
    assert ("shared_images" in warnings) == (of != "all")
    if of != "all":
        assert warnings["shared_images"].startswith("1 of 4 test images are in the folds, too")
