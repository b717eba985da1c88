"""Folders of images as their owners have them, in small."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from bench.data.palettes import CAMVID, CITYSCAPES, CITYSCAPES_IDS, voc_colour

SIZE = 32
Array = np.ndarray[Any, Any]


def photo(i: int) -> Array:
    """(SIZE, SIZE, 3) uint8, another one for each i."""
    return np.random.default_rng(i).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def regions(i: int, values: list[int]) -> Array:
    """(SIZE, SIZE) with a block of each value; the first is the background."""
    found = np.full((SIZE, SIZE), values[0], np.int64)
    for k, value in enumerate(values[1:]):
        found[4 * k : 4 * k + 4, (3 * i) % 20 : (3 * i) % 20 + 10] = value
    return found


def save(values: Array, file: Path, **options: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(file, **options)


def colours(classes: Array, table: list[str]) -> Array:
    """(H, W) of numbers → (H, W, 3) of the table's colours."""
    return np.array([list(bytes.fromhex(c[1:])) for c in table], np.uint8)[classes]


def voc(root: Path) -> None:
    """VOCdevkit: palette masks with borders, some images without, lists of train and val."""
    palette = np.zeros((256, 3), np.uint8)
    for number in range(256):
        palette[number] = list(bytes.fromhex(voc_colour(number)[1:]))
    names = [f"2007_{i:06}" for i in range(30)]
    for i, name in enumerate(names):
        save(photo(i), root / f"VOC2012/JPEGImages/{name}.jpg")
        if i >= 24:
            continue
        for folder in ("SegmentationClass", "SegmentationObject"):
            values = [0, 8, 15, 255] if folder == "SegmentationClass" else [0, 1, 2, 255]
            mask = Image.fromarray(regions(i, values).astype(np.uint8), "L").convert("P")
            mask.putpalette(palette.flatten().tolist())
            file = root / f"VOC2012/{folder}/{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            mask.save(file)
    lists = root / "VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, part in {"train": names[:16], "val": names[16:24], "trainval": names[:24]}.items():
        (lists / f"{split}.txt").write_text("\n".join(part) + "\n")
    main = root / "VOC2012/ImageSets/Main"
    main.mkdir()
    (main / "train.txt").write_text("\n".join(names[:20]) + "\n")
    (root / "VOC2012/Annotations").mkdir()
    (root / "VOC2012/Annotations/2007_000000.xml").write_text("<annotation/>")


def cityscapes(root: Path) -> None:
    """leftImg8bit and gtFine: cities, and four files for each image."""
    numbers = [7, *list(CITYSCAPES_IDS)[1:4], 0]
    names = ("road", "sidewalk", "building", "wall")
    table = [CITYSCAPES.unscored[0], *(CITYSCAPES.classes[name] for name in names)]
    for split, cities in {"train": ["aachen", "bochum"], "val": ["lindau", "munster"],
                          "test": ["berlin", "bonn"]}.items():  # fmt: skip
        for city in cities:
            for i in range(6):
                stem = f"{city}_{i:06}_000019"
                left = root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png"
                save(photo(i + len(city)), left)
                mask = regions(i, numbers)
                fine = root / f"gtFine/{split}/{city}/{stem}_gtFine"
                save(mask, Path(f"{fine}_labelIds.png"))
                save(mask * 0 + i, Path(f"{fine}_instanceIds.png"))
                drawn = colours(np.searchsorted([0, 7, 8, 11, 12], mask), table)
                save(drawn, Path(f"{fine}_color.png"))
                Path(f"{fine}_polygons.json").write_text('{"objects": []}')


def camvid(root: Path) -> None:
    """train, train_labels, …: colour masks with a suffix, and a list of classes."""
    names = {**CAMVID.classes, "Void": CAMVID.unscored[0]}
    table = [names[n] for n in ("Road", "Sky", "Car", "Void")]
    for split, count in {"train": 16, "val": 6, "test": 6}.items():
        for i in range(count):
            stem = f"0001TP_{i:06}" if split == "train" else f"Seq05VD_f{split}{i:05}"
            save(photo(i), root / f"{split}/{stem}.png")
            mask = colours(regions(i, [0, 1, 2, 3]), table)
            save(mask, root / f"{split}_labels/{stem}_L.png")
    with (root / "class_dict.csv").open("w") as file:
        rows = [(name, *bytes.fromhex(colour[1:])) for name, colour in names.items()]
        csv.writer(file).writerows([("name", "r", "g", "b"), *rows])


def coco(root: Path) -> None:
    """train2017, val2017 and annotations of instances."""
    for split, count in {"train2017": 20, "val2017": 8}.items():
        images, annotations = [], []
        for i in range(count):
            name = f"{i + 1000 * (split == 'val2017'):012}.jpg"
            save(photo(i), root / split / name)
            images.append({"id": i, "file_name": name, "height": SIZE, "width": SIZE})
            for k, category in enumerate((17, 18)):
                x, y = float(i % 8), 12.0 * k
                polygon = [x, y, x + 20, y, x + 20, y + 10, x, y + 10]
                annotations.append({"id": 2 * i + k, "image_id": i, "category_id": category,
                                    "segmentation": [polygon], "area": 200.0, "iscrowd": 0,
                                    "bbox": [x, y, 20.0, 10.0]})  # fmt: skip
        categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "hot dog"}]
        file = root / f"annotations/instances_{split}.json"
        file.parent.mkdir(exist_ok=True)
        content = {"images": images, "annotations": annotations, "categories": categories}
        file.write_text(json.dumps(content))
        captions = {"images": images, "annotations": [{"image_id": 0, "caption": "A cat."}]}
        (root / f"annotations/captions_{split}.json").write_text(json.dumps(captions))


def carvana(root: Path) -> None:
    """train, train_masks with GIF of one bit, test without masks."""
    for i in range(24):
        stem = f"{i // 4:012x}_{i % 4:02}"
        save(photo(i), root / f"train/{stem}.jpg")
        mask = Image.fromarray(regions(i, [0, 255]).astype(np.uint8)).convert("1")
        file = root / f"train_masks/{stem}_mask.gif"
        file.parent.mkdir(exist_ok=True)
        mask.save(file)
    for i in range(5):
        save(photo(50 + i), root / f"test/ffff{i:08x}_01.jpg")
    (root / "train_masks.csv").write_text("img,rle_mask\n0_00.jpg,879386 40\n")


def isic(root: Path) -> None:
    """Folders of long names, masks with a suffix, super-pixels among the images."""
    for i in range(24):
        stem = f"ISIC_{i:07}"
        save(photo(i), root / f"ISIC2018_Task1-2_Training_Input/{stem}.jpg")
        folder = "ISIC2018_Task1_Training_GroundTruth"
        save(regions(i, [0, 255]), root / f"{folder}/{stem}_segmentation.png")
    (root / "ISIC2018_Task1-2_Training_Input/ATTRIBUTION.txt").write_text("thanks")


def yolo(root: Path) -> None:
    """images and labels below train, valid and test, and a data.yaml."""
    for split, count in {"train": 16, "valid": 6, "test": 6}.items():
        for i in range(count):
            save(photo(i), root / f"{split}/images/{split}_{i}.jpg")
            save(regions(i, [0, 1, 2]), root / f"{split}/masks/{split}_{i}.png")
    (root / "data.yaml").write_text("names: [crop, weed]\n")


def five_bands(root: Path) -> None:
    """Satellite tiles of five bands and 16 bits."""
    for i in range(24):
        values = np.random.default_rng(i).integers(0, 10_000, (SIZE, SIZE, 5), np.uint16)
        file = root / f"images/tile_{i:03}.tif"
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, values, photometric="minisblack", planarconfig="contig")
        mask = regions(i, [0, 1]).astype(np.uint8)
        (root / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(root / f"masks/tile_{i:03}.tif", mask)


def twelve_bits(root: Path) -> None:
    """Grey X-rays of 12 bits in 16, of patients with several."""
    for i in range(24):
        values = np.random.default_rng(i).integers(0, 4096, (SIZE, SIZE), np.uint16)
        stem = f"patient{i // 3:02}_slice{i % 3}"
        file = root / f"images/{stem}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(file)
        save(regions(i, [0, 255]), root / f"masks/{stem}.png")


def multi_label(root: Path) -> None:
    """A table with a column of 0 and 1 for each finding, patients, and its own splits."""
    rows = [("Path", "Patient ID", "split", "Edema", "Pleural effusion", "Pneumonia")]
    for i in range(30):
        save(photo(i), root / f"files/p{i // 2:03}/view{i % 2}.jpg")
        split = "train" if i < 20 else "valid" if i < 26 else "test"
        path = f"files/p{i // 2:03}/view{i % 2}.jpg"
        rows.append((path, f"p{i // 2}", split, *(str((i >> k) & 1) for k in range(3))))
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def npy(root: Path) -> None:
    """Arrays of NumPy: floats from 0 to 1, and masks of whole numbers."""
    for folder in ("x", "y_masks"):
        (root / folder).mkdir(parents=True)
    for i in range(24):
        values = np.random.default_rng(i).random((SIZE, SIZE), np.float32)
        np.save(root / f"x/{i:03}.npy", values)
        np.save(root / f"y_masks/{i:03}.npy", regions(i, [0, 1, 2]))


def plain(root: Path) -> None:
    """Images, and nothing else."""
    for i in range(24):
        save(photo(i), root / f"IMG_{i:04}.JPG")
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf")


def yolo_outlines(root: Path) -> None:
    """YOLO segmentation: a text file of polygons for each image that has objects, and names."""
    for split, count in {"train": 16, "valid": 6, "test": 6}.items():
        for i in range(count):
            save(photo(i), root / f"{split}/images/image {i}.jpg")
            file = root / f"{split}/labels/image {i}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            if i != 3:
                inner = "1 0.25 0.25 0.375 0.25 0.375 0.375 0.25 0.375"
                file.write_text(f"{inner}\n0 0.125 0.125 0.5 0.125 0.5 0.5 0.125 0.5\n")
    (root / "data.yaml").write_text("train: ../train/images\nnc: 2\nnames: [crop, weed]\n")


def labelme(root: Path) -> None:
    """Outlines in JSON files next to photos, names with spaces and umlauts, capital endings."""
    for i in range(20):
        stem = f"Aufnahme {i} Süd"
        save(photo(i), root / f"{stem}.JPG", format="JPEG")
        shapes = [
            {"label": "crack", "points": [[2, 2], [18, 3], [16, 20]], "shape_type": "polygon"},
            {"label": "moss", "points": [[20, 4], [30, 12]], "shape_type": "rectangle"},
        ]
        content = {"version": "5.4", "flags": {}, "shapes": shapes[: 1 + i % 2], "imageData": None,
                   "imagePath": f"{stem}.JPG", "imageHeight": SIZE, "imageWidth": SIZE}  # fmt: skip
        (root / f"{stem}.json").write_text(json.dumps(content))


def nuclei(root: Path) -> None:
    """Data Science Bowl 2018: a folder for each image, a mask for each nucleus; test without."""
    for i in range(20):
        case = f"{i * 7919:032x}"
        save(photo(i), root / f"stage1_train/{case}/images/{case}.png")
        for k in range(1 + i % 4):
            mask = np.zeros((SIZE, SIZE))
            mask[6 * k : 6 * k + 4, 4:20] = 255
            save(mask, root / f"stage1_train/{case}/masks/{i * 31 + k:08x}.png")
    for i in range(5):
        case = f"{i * 104_729 + 5:032x}"
        save(photo(50 + i), root / f"stage1_test/{case}/images/{case}.png")
    (root / "stage1_train_labels.csv").write_text("ImageId,EncodedPixels\nx,1 2\n")


def patients(root: Path) -> None:
    """Folders of patients, photos of several shapes and endings, one turned by EXIF, JPEG masks."""
    for i in range(40):
        height, width = (48, 64) if i % 3 else (80, 60)
        values = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        exif = Image.Exif()
        if i == 7:  # stored lying, shown standing
            exif[0x0112] = 6
            values = np.rot90(values)
        folder = root / f"Patient {i // 4:02} – Łódź"
        file = folder / f"photos/Foto {i % 4}{('.JPG', '.jpeg', '.png')[i % 3]}"
        save(values, file, exif=exif)
        mask = np.zeros((height, width))
        mask[height // 4 : height // 2, i % 5 : i % 5 + 12] = 255
        save(mask, folder / f"masks/Foto {i % 4}.jpg")


def vessels(root: Path) -> None:
    """DRIVE: vessels drawn by hand and masks of the field of view, the split's name in files."""
    for split, first in {"training": 21, "test": 1}.items():
        for i in range(first, first + 20):
            save(photo(i), root / f"{split}/images/{i:02}_{split}.tif")
            save(regions(i, [0, 255]), root / f"{split}/1st_manual/{i:02}_manual1.gif")
            seen = np.full((SIZE, SIZE), 255) * (np.arange(SIZE) > 2)
            save(seen, root / f"{split}/mask/{i:02}_{split}_mask.gif")


FOLDERS: dict[str, Callable[[Path], None]] = {
    "voc": voc,
    "cityscapes": cityscapes,
    "camvid": camvid,
    "coco": coco,
    "carvana": carvana,
    "isic": isic,
    "yolo": yolo,
    "five_bands": five_bands,
    "twelve_bits": twelve_bits,
    "multi_label": multi_label,
    "npy": npy,
    "plain": plain,
    "yolo_outlines": yolo_outlines,
    "labelme": labelme,
    "nuclei": nuclei,
    "patients": patients,
    "vessels": vessels,
}
