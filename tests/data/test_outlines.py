"""Outlines of YOLO and LabelMe as masks, and several masks of one image as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.data.annotation_proposal import names_of_yolo
from bench.data.outlines import polygon_area, read_shapes, read_yolo
from bench.errors import DataError
from tests.data.test_layouts import image, read, sizes

CLASSES = ["background", "crop", "weed"]
HEIGHT, WIDTH = 24, 32


def photos(root: Path, count: int = 10) -> None:
    for i in range(count):
        file = root / f"images/{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 20 * i, np.uint8)).save(file)


def labels(root: Path, texts: dict[int, str]) -> None:
    (root / "labels").mkdir()
    for i, text in texts.items():
        (root / f"labels/{i}.txt").write_text(text)


def masks_of(root: Path, **settings: Any) -> tuple[Any, dict[str, np.ndarray]]:
    found = read(root, images="images", image_size=[HEIGHT, WIDTH], **settings)
    parts = found.splits.values()
    return found, {n: m for s in parts for n, m in zip(s.names, s.masks, strict=True)}


def test_polygons_of_shares_are_drawn_where_pillow_draws_them(tmp_path: Path) -> None:
    photos(tmp_path)
    outline = [0.25, 0.125, 0.75, 0.125, 0.9, 0.9, 0.5, 0.6]
    inner = [0.5, 0.25, 0.625, 0.25, 0.625, 0.5, 0.5, 0.5]
    lines = [f"{label} " + " ".join(map(str, p)) for label, p in ((1, inner), (0, outline))]
    labels(tmp_path, dict.fromkeys(range(9), "\n".join(lines)))
    found, masks = masks_of(tmp_path, masks="labels/{stem}.txt", classes=CLASSES)
    expected = Image.new("L", (WIDTH, HEIGHT))
    for label, points in ((1, outline), (2, inner)):  # the smaller one stays visible
        corners = [(x * WIDTH, y * HEIGHT) for x, y in zip(points[::2], points[1::2], strict=True)]
        ImageDraw.Draw(expected).polygon(corners, fill=label)
    assert np.mean(masks["0"] != np.array(expected)) < 0.05  # Pillow draws the outline, too
    assert (masks["0"] == 2).sum() == 4 * 6
    assert not masks["9"].any()
    assert "1 of 10 images have no label file: they have no object" in found.notes


def test_values_of_outlines_can_be_merged(tmp_path: Path) -> None:
    photos(tmp_path)
    square = "0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"
    labels(tmp_path, {i: f"{i % 3} {square}\n" for i in range(10)})
    values = {0: "background", 1: "plant", 2: "plant", 3: "background"}
    _, masks = masks_of(
        tmp_path, masks="labels/{stem}.txt", classes=["background", "plant"], values=values
    )
    assert [int(masks[str(i)].max()) for i in range(3)] == [1, 1, 0]
    _, masks = masks_of(tmp_path, masks="labels/{stem}.txt", threshold=1)
    assert [int(masks[str(i)].sum()) for i in range(3)] == [12 * 16] * 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", r"0\.txt:1: is a box, not an outline"),
        ("2 0 0 1 0 1 1", r"0\.txt:1: is of class 2, which `classes:` does not name"),
        ("0 10 10 200 10 200 200", "coordinates are shares of the image's sides"),
        ("0 0 0 1 0 1", "needs a class and three points"),
        ("0 0 0 1 0 1 nan", "needs a class and three points"),
        ("crop 0 0 1 0 1 1", "is none of YOLO's"),
    ],
)
def test_lines_that_are_no_outlines(line: str, message: str, tmp_path: Path) -> None:
    photos(tmp_path)
    labels(tmp_path, {0: line, 1: ""})
    with pytest.raises(DataError, match=message):
        masks_of(tmp_path, masks="labels/{stem}.txt", classes=CLASSES)


def test_areas_by_the_shoelace_formula() -> None:
    assert polygon_area([0, 0, 4, 0, 4, 3, 0, 3]) == 12
    assert polygon_area([0, 0, 0, 2, 4, 0]) == 4


def shapes_file(file: Path, shapes: list[tuple[str, str, list[Any]]], **other: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    listed = [{"label": n, "shape_type": k, "points": p} for n, k, p in shapes]
    file.write_text(
        json.dumps({"imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": listed, **other})
    )


def test_shapes_of_labelme(tmp_path: Path) -> None:
    """Rectangles and circles too; later shapes lie above earlier ones, as LabelMe draws them."""
    photos(tmp_path)
    shapes = [
        ("weed", "circle", [[16, 12], [16, 4]]),
        ("stone", "polygon", [[0, 0], [4, 0], [0, 4]]),
        ("crop", "rectangle", [[10, 10], [30, 20]]),
    ]
    for i in range(10):
        shapes_file(tmp_path / f"labels/{i}.json", shapes)
    found, masks = masks_of(tmp_path, masks="labels/{stem}.json", classes=CLASSES)
    assert found.notes == ("objects of labels that are no class stay background: stone",)
    assert (masks["0"] == 1).sum() == 20 * 10
    disc = np.pi * 8**2
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = (rows - 12) ** 2 + (columns - 16) ** 2 < 64
    hidden = inside & (rows > 10) & (rows < 20) & (columns > 10) & (columns < 30)
    assert (masks["0"] == 2).sum() == pytest.approx(disc - hidden.sum(), rel=0.1)
    with pytest.raises(
        DataError, match=r"no object there is labelled 'wed' \(did you mean 'weed'\?\)"
    ):
        masks_of(tmp_path, masks="labels/{stem}.json", classes=["background", "wed"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no LabelMe file"),
        ('{"shapes": []}', r"is no LabelMe file \(KeyError: 'imageHeight'\)"),
        ('{"imageHeight": 1e9, "imageWidth": 10, "shapes": []}', "an image of"),
    ],
)
def test_files_that_are_not_labelme_s(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_shapes(tmp_path / "a.json")


def test_shapes_that_are_no_areas(tmp_path: Path) -> None:
    shapes_file(tmp_path / "labels/a.json", [("vein", "linestrip", [[0, 0], [5, 5]])])
    with pytest.raises(DataError, match="'vein' is a linestrip, which is no area"):
        read_shapes(tmp_path / "labels/a.json")


def test_an_empty_label_file_is_an_image_without_objects(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n \n")
    values, _ = read_yolo(tmp_path / "a.txt").draw((4, 6))
    assert values.shape == (4, 6)
    assert not values.any()


def test_masks_of_single_objects_are_merged(tmp_path: Path) -> None:
    for i in range(10):
        image(tmp_path / f"cells/{i}/images/x{i}.png", 10 * i)
        for k in range(2):
            mask = np.zeros((16, 16), np.uint8)
            mask[8 * k : 8 * k + 4, :8] = 255
            file = tmp_path / f"cells/{i}/masks/{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(file)
    settings = {"images": "cells/{case}/images/*.png", "masks": "cells/{case}/masks/*.png"}
    with pytest.raises(DataError, match="set `merge_masks: true` where each object has a mask"):
        read(tmp_path, **settings, values=[0, 255])
    found = read(tmp_path, **settings, values=[0, 255], merge_masks=True)
    assert sizes(found) == (8, 1, 1)
    expected = np.zeros((16, 16), np.uint8)
    expected[:4, :8] = expected[8:12, :8] = 1
    assert np.array_equal(found.splits["val"].masks[0], expected)
    assert found.originals is not None
    assert np.array_equal(found.originals.mask("0"), expected)
    Image.fromarray(np.zeros((8, 16), np.uint8)).save(tmp_path / "cells/3/masks/1.png")
    with pytest.raises(DataError, match=r"has another size than 0\.png, a mask of the same image"):
        read(tmp_path, **settings, values=[0, 255], merge_masks=True)


@pytest.mark.parametrize(
    "text",
    [
        "nc: 2\nnames: ['sugar beet', weed]\n",
        "names: [\n  sugar beet,\n  'weed' ]\nnc: 2\n",
        "names:\n  0: sugar beet\n  1: weed  # all of them\n\npath: x\n",
        "train: x\nnames:\n- 'sugar beet'\n- weed\nnc: 2\n",
        'names: {0: "sugar beet", 1: weed}',
    ],
)
def test_classes_that_a_data_yaml_names(text: str) -> None:
    assert names_of_yolo(text) == ["sugar beet", "weed"]


def test_a_data_yaml_without_names() -> None:
    assert names_of_yolo("nc: 2\ntrain: x\n") == []
