"""`bench data FOLDER`: what it prints reads the folder, from twelve owners to a report."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.commands.data_block import folder_text
from bench.data.settings import DATASETS
from bench.data.survey import survey_of
from bench.errors import DataError
from bench.plan.expand import make_plan
from bench.spec.load import load_spec
from tests.builders.owners_folders import FOLDERS, photo, regions, save

SPEC = """\
experiment: first
{block}
train: {{epochs: 1, batch_size: 8, lr: 1e-3}}
machine: {{threads: 1}}
grid: {{model: {{{models}}}}}
seeds: 1
"""
MODELS = {
    "segmentation": "narrow: {name: unet, width: 0.05}",
    "diffusion": "narrow: {name: ddpm_unet, width: 0.1}",
    "multi_label": "small: {name: resnet, depth: 18}",
}
SPLITS = {
    "voc": (14, 8, 2),
    "cityscapes": (12, 12, 12),
    "camvid": (16, 6, 6),
    "coco": (18, 8, 2),
    "carvana": (19, 3, 2),
    "isic": (19, 3, 2),
    "yolo": (16, 6, 6),
    "five_bands": (19, 3, 2),
    "twelve_bits": (18, 3, 3),
    "npy": (19, 3, 2),
    "plain": (19, 3, 2),
    "multi_label": (20, 6, 4),
    "yolo_outlines": (16, 6, 6),
    "labelme": (16, 2, 2),
    "nuclei": (16, 2, 2),
    "patients": (32, 4, 4),
}


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=280, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


def owner(name: str, tmp_path: Path) -> Path:
    root = tmp_path / name
    root.mkdir()
    FOLDERS[name](root)
    return root


@pytest.mark.long
@pytest.mark.parametrize("name", SPLITS)
def test_from_a_folder_to_a_report(name: str, tmp_path: Path) -> None:
    owner(name, tmp_path)
    printed = command("data", name, cwd=tmp_path)
    assert printed.returncode == 0, printed.stdout + printed.stderr
    task = yaml.safe_load(printed.stdout)["task"]
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC.format(block=printed.stdout, models=MODELS[task]))
    ran = command("run", "s.yaml", "-j", "1", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "reports/first/report.md").is_file()
    train, val, test = SPLITS[name]
    described = (tmp_path / "reports/first/report.md").read_text()
    assert all(str(count) in described for count in (train, val, test))


def prepared(block: str) -> tuple[Any, Any]:
    data = yaml.safe_load(block)["data"]
    settings = DATASETS.entry(data["name"]).settings.model_validate(data)
    return DATASETS.build(settings).prepare(), settings


@pytest.mark.parametrize("name", SPLITS)
def test_what_the_block_reads(name: str, tmp_path: Path) -> None:
    text, decided = folder_text(owner(name, tmp_path))
    assert decided, text
    found, _ = prepared(text)
    assert tuple(len(split) for split in found.splits.values()) == SPLITS[name]


def test_which_masks_are_meant_is_asked(tmp_path: Path) -> None:
    """Vessels, or the field of view? Both are masks of all images."""
    text, decided = folder_text(owner("vessels", tmp_path))
    assert not decided
    vessels, view = ("task:" + block for block in text.split("task:")[1:])
    assert yaml.safe_load(vessels)["data"]["images"] == "{split}/images/{stem}_{split}.tif"
    assert yaml.safe_load(view)["data"]["masks"] == "{split}/mask/{stem}_mask.gif"
    for block in (vessels, view):
        found, _ = prepared(block)
        assert [len(split) for split in found.splits.values()] == [18, 2, 20]


def test_groups_of_folders_and_a_mask_that_is_missing(tmp_path: Path) -> None:
    root = owner("patients", tmp_path)
    data = yaml.safe_load(folder_text(root)[0])["data"]
    assert (data["groups"], data["threshold"]) == ("^([^/]+)/", 128)
    (root / "Patient 02 – Łódź/masks/Foto 3.jpg").unlink()
    text, _ = folder_text(root)
    assert "1 has none (Patient 02 – Łódź/photos/Foto 3.png): remove it" in text
    with pytest.raises(DataError, match=r"Foto 3\.png: has no mask: put one at .*masks/Foto 3"):
        prepared(text)


def test_boxes_are_no_masks_and_other_formats_are_named(tmp_path: Path) -> None:
    for i in range(12):
        save(photo(i), tmp_path / f"d/images/{i}.jpg")
        (tmp_path / "d/labels").mkdir(exist_ok=True)
        (tmp_path / f"d/labels/{i}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match="has boxes of objects"):
        folder_text(tmp_path / "d")
    for file in (tmp_path / "d/labels").iterdir():
        file.rename(file.with_suffix(".xml"))
    text, _ = folder_text(tmp_path / "d")
    assert "12 XML (Pascal VOC, CVAT) files are not read" in text


def test_several_labels_are_read_and_surveyed(tmp_path: Path) -> None:
    text, decided = folder_text(owner("multi_label", tmp_path))
    assert decided
    assert yaml.safe_load(text)["task"] == "multi_label"
    found, settings = prepared(text)
    assert [len(split) for split in found.splits.values()] == [20, 6, 4]
    survey = survey_of(found, settings)
    expected = {"Edema": 10, "Pleural effusion": 10, "Pneumonia": 8}
    assert survey.splits["train"].labels == expected
    assert survey.splits["train"].groups == 10
    assert all(split.unknown_labels == 0 for split in survey.splits.values())
    assert not any(crossing.what == "groups" for crossing in survey.crossings)


def test_what_is_said_of_cityscapes(tmp_path: Path) -> None:
    """The numbers of classes, not those of objects, and not the colours."""
    text, _ = folder_text(owner("cityscapes", tmp_path))
    data = yaml.safe_load(text)["data"]
    assert data["images"] == "leftImg8bit/{split}/{path}_leftImg8bit.png"
    assert data["masks"] == "gtFine/{split}/{path}_gtFine_labelIds.png"
    assert (len(data["classes"]), data["background"]) == (19, "none")


def test_groups_and_depth_are_seen(tmp_path: Path) -> None:
    text, _ = folder_text(owner("twelve_bits", tmp_path))
    data = yaml.safe_load(text)["data"]
    assert data["groups"] == r"(patient\d+)_"
    assert "values 0 to 4095" in text
    found, _ = prepared(text)
    patients = [{name.partition("_")[0] for name in s.names} for s in found.splits.values()]
    assert max(Counter(p for part in patients for p in part).values()) == 1


def test_two_readings_are_both_shown(tmp_path: Path) -> None:
    """Masks and a table of diagnoses: only the user knows what is to be learnt."""
    for i in range(20):
        save(photo(i), tmp_path / f"d/images/{i}.png")
        save(regions(i, [0, 255]), tmp_path / f"d/masks/{i}.png")
    lines = [f"{i}.png,{'benign' if i % 2 else 'malignant'}" for i in range(20)]
    (tmp_path / "d/diagnoses.csv").write_text("\n".join(["image,diagnosis", *lines]))
    text, decided = folder_text(tmp_path / "d")
    assert not decided
    assert "It cannot be decided which of these 2 readings" in text
    blocks = ["task:" + block for block in text.split("task:")[1:]]
    assert [yaml.safe_load(b)["task"] for b in blocks] == ["segmentation", "classification"]
    for block in blocks:
        assert prepared(block)
    assert command("data", "d", cwd=tmp_path).returncode == 1


def test_a_folder_per_class(tmp_path: Path) -> None:
    for label in ("cat", "hot dog"):
        for i in range(6):
            save(photo(i), tmp_path / f"d/{label}/{i}.jpg")
    text, _ = folder_text(tmp_path / "d")
    data = yaml.safe_load(text)["data"]
    assert (data["name"], data["classes"]) == ("class_folder", ["cat", "hot dog"])


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "scan.dcm.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"has no images, but 1 \.gz files"):
        folder_text(tmp_path)
    assert command("data", str(tmp_path / "none"), cwd=tmp_path).returncode == 2


def test_masks_and_images_in_one_folder(tmp_path: Path) -> None:
    """As in BUSI: `benign (1).png` with `benign (1)_mask.png`."""
    for i in range(20):
        save(photo(i), tmp_path / f"d/benign ({i}).png")
        save(regions(i, [0, 255]), tmp_path / f"d/benign ({i})_mask.png")
    text, decided = folder_text(tmp_path / "d")
    assert decided
    found, _ = prepared(text)
    assert sum(len(split) for split in found.splits.values()) == 20


def test_the_spec_with_the_block_is_planned(tmp_path: Path) -> None:
    text, _ = folder_text(owner("camvid", tmp_path))
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC.format(block=text, models=MODELS["segmentation"]))
    settings = make_plan(load_spec(spec)).trials[0].settings
    assert settings.data.palette == "camvid"
    assert "val/dice_Column_Pole" not in settings.metrics
    assert "dice_Column_Pole" in settings.metrics
