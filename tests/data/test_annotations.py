"""Masks from colours and COCO annotations, links, and data sets of the `datasets` library."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.palettes import CAMVID, CITYSCAPES, PALETTES, VOC
from bench.errors import DataError
from bench.labels import IGNORE_LABEL
from tests.data.test_layouts import SIZE, image, in_folder, pairs, read, read_labels, sizes


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def coloured(root: Path, colours: list[str], count: int = 10, mode: str = "RGB") -> None:
    """Masks with a band of rows of each colour."""
    for i in range(count):
        image(root / f"images/{i}.png", 10 * i)
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        for k, colour in enumerate(colours):
            pixels[4 * k : 4 * k + 4] = rgb(colour)
        (root / "masks").mkdir(exist_ok=True)
        made = Image.fromarray(pixels)
        made = made if mode == "RGB" else made.convert("P", palette=Image.Palette.ADAPTIVE)
        made.save(root / f"masks/{i}.png")


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colours_of_known_data_sets(mode: str, tmp_path: Path) -> None:
    colours = [
        VOC.classes["background"],
        VOC.classes["cat"],
        VOC.unscored[0],
        VOC.classes["tvmonitor"],
    ]
    coloured(tmp_path, colours, mode=mode)
    found = read(tmp_path, palette="voc")
    assert (len(found.classes), found.classes[8]) == (21, "cat")
    assert found.splits["val"].masks[0, ::4, 0].tolist() == [0, 8, IGNORE_LABEL, 20]


def test_palettes_give_each_class_a_colour_of_its_own() -> None:
    for palette in PALETTES.values():
        colours = [*palette.classes.values(), *palette.unscored]
        assert len(set(colours)) == len(colours)
    assert (rgb(VOC.classes["person"]), rgb(VOC.unscored[0])) == ((192, 128, 128), (224, 224, 192))
    assert rgb(CITYSCAPES.classes["road"]) == rgb(CAMVID.classes["Road"]) == (128, 64, 128)
    assert list(map(len, (VOC.classes, CITYSCAPES.classes, CAMVID.classes))) == [21, 19, 31]


def test_colours_of_ones_own(tmp_path: Path) -> None:
    coloured(tmp_path, ["#000000", "#00ff00", "#ff8000", "#010203"])
    palette = {"bare soil": [0, 0, 0], "crop (maize)": [0, 255, 0], "weed": [255, 128, 0]}
    with pytest.raises(DataError, match="unexpected mask value #010203"):
        read(tmp_path, palette=palette)
    found = read(tmp_path, palette=palette, ignore="#010203")
    assert found.classes == ("bare soil", "crop (maize)", "weed")
    assert found.splits["val"].masks[0, ::4, 0].tolist() == [0, 1, 2, IGNORE_LABEL]
    fewer = read(tmp_path, palette=palette, classes=["weed", "bare soil"], ignore="#010203")
    assert fewer.splits["val"].masks[0, ::4, 0].tolist() == [1, IGNORE_LABEL, 0, IGNORE_LABEL]


# COCO


def square(left: int, top: int, side: int) -> list[float]:
    right, bottom = left + side, top + side
    return [left, top, right, top, right, bottom, left, bottom]


def coco(
    file: Path, names: list[str], objects: list[tuple[int, int, Any]], categories: dict[int, str]
) -> None:
    """An annotation file; each object: index of its image, category, segmentation."""
    content = {
        "images": [
            {"id": 7 + i, "file_name": name, "height": SIZE, "width": SIZE}
            for i, name in enumerate(names)
        ],
        "annotations": [
            {"id": k, "image_id": 7 + i, "category_id": category, "segmentation": region,
             "area": 200 if isinstance(region, dict) else 10, "iscrowd": 0}
            for k, (i, category, region) in enumerate(objects)
        ],
        "categories": [{"id": key, "name": name} for key, name in categories.items()],
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_polygons_and_run_lengths(tmp_path: Path) -> None:
    from pycocotools import mask as codes

    names = [f"{i}.png" for i in range(10)]
    for i, name in enumerate(names):
        image(tmp_path / "images" / name, 10 * i)
    lower = np.zeros((SIZE, SIZE), np.uint8, order="F")
    lower[8:] = 1
    packed = codes.encode(lower)
    packed = {"size": packed["size"], "counts": packed["counts"].decode()}
    runs = {"size": [SIZE, SIZE], "counts": [8] + [8] * (2 * SIZE - 1)}  # column by column
    objects = [
        (0, 3, [square(2, 10, 4)]),
        (0, 90, packed),
        (1, 90, runs),
        (2, 5, [square(0, 0, 3)]),
    ]
    coco(tmp_path / "a.json", names, objects, {90: "traffic light", 3: "dog", 5: "unwanted"})
    found = read(tmp_path, annotations="a.json", classes=["background", "dog", "traffic light"])
    masks = dict(zip(found.splits["train"].names, found.splits["train"].masks, strict=True))
    masks |= {"0": found.splits["val"].masks[0]}
    expected = 2 * lower
    assert np.array_equal(masks["1"], expected)
    expected = expected.copy()
    expected[10:14, 2:6] = 1  # small objects lie on large ones
    assert np.array_equal(masks["0"], expected)
    assert not masks["2"].any()
    assert found.notes == ("categories that are no class stay background: unwanted",)


def test_annotations_of_each_split(tmp_path: Path) -> None:
    for k, split in enumerate(("train2017", "val2017")):
        names = [f"{10 * k + i:03}.jpg" for i in range(10 - 6 * k)]
        for name in names:
            image(tmp_path / split / name)
        file = tmp_path / f"annotations/instances_{split}.json"
        coco(file, names, [(0, 1, [square(0, 0, 8)])], {1: "cat"})
    settings = {"images": "{split}2017", "annotations": "annotations/instances_{split}2017.json"}
    found = read(tmp_path, **settings, classes=["background", "cat"])
    assert sizes(found) == (9, 4, 1)
    assert found.splits["val"].masks[0].sum() == 64


def change(tmp_path: Path, what: str) -> None:
    content = json.loads((tmp_path / "a.json").read_text())
    annotation = content["annotations"][0]
    if what == "outside":
        content["images"][0]["file_name"] = "../secret.png"
    elif what == "huge":
        content["images"][0]["height"] = 10**9
    elif what == "short":
        annotation["segmentation"] = [[1, 2, 3, 4]]
    elif what == "runs":
        annotation["segmentation"] = {"size": [SIZE, SIZE], "counts": [10**9, 5]}
    elif what == "code":
        annotation["segmentation"] = {"size": [SIZE, SIZE], "counts": "~~~~~~zzzzzzz" * 50}
    elif what == "size":
        annotation["segmentation"] = {"size": [10**6, 10**6], "counts": "a"}
    elif what == "keys":
        del annotation["image_id"]
    (tmp_path / "a.json").write_text("[1, 2" if what == "text" else json.dumps(content))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("outside", r"'\.\./secret\.png' is not in"),
        ("huge", "or more than 100,000,000"),
        ("short", "a polygon has three points"),
        ("runs", "run lengths are not as many pixels"),
        ("code", "is no region"),
        ("size", "its size is"),
        ("keys", "no COCO annotation file .*image_id"),
        ("text", "is no COCO annotation file"),
    ],
)
def test_annotations_that_cannot_be(what: str, message: str, tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(10)]
    for name in names:
        image(tmp_path / "images" / name)
    coco(tmp_path / "a.json", names, [(0, 1, [square(0, 0, 8)])], {1: "cat"})
    change(tmp_path, what)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, annotations="a.json", classes=["background", "cat"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_category_that_is_not_there(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.png"], [], {1: "cat"})
    with pytest.raises(DataError, match=r"has no category 'dog' \(it has cat\)"):
        read(tmp_path, annotations="a.json", classes=["background", "dog"])


# links


def test_links_are_followed_where_asked(tmp_path: Path) -> None:
    """DVC and git-annex keep files elsewhere; caches link whole folders."""
    root = tmp_path / "d"
    in_folder(tmp_path / "store", "images/{i}.png", "masks/{i}.png")
    root.mkdir()
    (root / "masks").symlink_to(tmp_path / "store/masks")
    (root / "images").mkdir()
    for i in range(10):
        (root / f"images/{i}.png").symlink_to(tmp_path / f"store/images/{i}.png")
    with pytest.raises(DataError, match=r"is a link to .*set `data\.follow_links: true`"):
        read(root)
    assert pairs(read(root, follow_links=True)) == {str(i): (10 * i, i) for i in range(10)}
    assert sizes(read(root, follow_links=True, images="images", masks="masks/{stem}.png"))[0] == 8


def test_links_in_circles_end(tmp_path: Path) -> None:
    in_folder(tmp_path, "images/{i}.png", "masks/{i}.png")
    (tmp_path / "images/again").symlink_to(tmp_path / "images")
    found = read(tmp_path, images="images/{path}.png", masks="masks/{path}.png", follow_links=True)
    assert len(pairs(found)) == 10


def test_classes_in_linked_folders(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for i in range(6):
            image(tmp_path / f"store/{label}/{i}.png")
        (tmp_path / "d" / label).mkdir(parents=True)
        (tmp_path / "d" / label / "more").symlink_to(tmp_path / "store" / label)
    with pytest.raises(DataError, match="no image there"):
        read_labels(tmp_path / "d", ("cat", "dog"))
    assert sizes(read_labels(tmp_path / "d", ("cat", "dog"), follow_links=True)) == (8, 2, 2)


# classes by a pattern


def test_labels_by_a_pattern(tmp_path: Path) -> None:
    for i in range(10):
        for label in ("healthy leaf", "rust"):
            image(tmp_path / f"field{i % 2}/{label}_{i}.png")
    found = read_labels(tmp_path, ("healthy leaf", "rust"), images="{field}/{class}_{stem}.png")
    assert sizes(found) == (16, 2, 2)
    for split in found.splits.values():
        assert ["rust" in name for name in split.names] == split.labels.astype(bool).tolist()
    with pytest.raises(DataError, match=r"no image of the class 'Rust' \(did you mean 'rust'"):
        read_labels(tmp_path, ("Rust", "healthy leaf"), images="{field}/{class}_{stem}.png")


# the library `datasets`


def png(array: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(content, "png")
    return content.getvalue()


def saved(tmp_path: Path) -> Path:
    """Ten samples with masks and labels, as `save_to_disk` leaves them."""
    import datasets

    masks = []
    for i in range(10):
        mask = np.zeros((SIZE, SIZE))
        mask[:, i] = 1
        masks.append({"bytes": png(mask), "path": None})
    images = [{"bytes": png(np.full((SIZE, SIZE, 3), 10 * i)), "path": None} for i in range(10)]
    features = datasets.Features(
        picture=datasets.Image(), mask=datasets.Image(), kind=datasets.ClassLabel(names=["a", "b"])
    )
    columns = {"picture": images, "mask": masks, "kind": [i % 2 for i in range(10)]}
    found = datasets.Dataset.from_dict(columns, features=features)
    folder = tmp_path / "saved"
    datasets.DatasetDict({"training": found}).save_to_disk(str(folder))
    return folder


def test_a_data_set_of_the_datasets_library(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    setting = {"name": str(folder), "split": {"train": "training"}, "image": "picture"}
    found = read(Path(), huggingface=setting)
    assert sizes(found) == (8, 1, 1)
    assert set(pairs(found).values()) == {(10 * i, i) for i in range(10)}
    labelled = read_labels(Path(), ("a", "b"), huggingface={**setting, "label": "kind"})
    assert sizes(labelled) == (6, 2, 2)
    assert read(Path(), huggingface=setting).fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": "picure"}, r"no column 'picure' \(did you mean 'picture'"),
        ({"image": "kind"}, "'kind' is no column of images"),
        ({"split": {"train": "trainin"}}, r"no split 'trainin' \(did you mean 'training'"),
        ({"split": {"val": "training"}}, "names no training split"),
        ({"name": "no/such-set"}, "cannot be loaded"),
    ],
)
def test_a_library_s_data_set_that_does_not_fit(
    settings: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    setting = {"name": str(saved(tmp_path)), "split": {"train": "training"}, "image": "picture"}
    with pytest.raises(DataError, match=message) as caught:
        read(Path(), huggingface=setting | settings)
    assert "\n" not in str(caught.value)
