"""`bench init`: the spec that it writes is valid, says what the data are, and runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.commands.init import init, next_steps
from bench.errors import BenchError
from bench.plan.expand import Plan, make_plan
from bench.spec.load import load_spec

TINY = ["train.epochs=1", "train.batch_size=4", "data.image_size=32"]
TINY += ["seeds=1", "machine.threads=1"]
NARROW = ["grid.model={unet: {name: unet, width: 0.05}}"]


def made(tmp_path: Path, data: str, *overrides: str) -> Plan:
    return make_plan(load_spec(init("first", data, tmp_path / "specs"), overrides))


def save(array: Any, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8), **options).save(path)


def segmented(folder: Path, values: list[int], count: int = 12, size: int = 32) -> Path:
    """Images, each with a square of every value in its mask."""
    draws = np.random.default_rng(0)
    for i in range(count):
        save(draws.integers(0, 255, (size, size, 3)), folder / f"images/{i:02}.png")
        mask = np.full((size, size), values[0])
        for k, value in enumerate(values[1:]):
            mask[4 * k : 4 * k + 4, i : i + 4] = value
        save(mask, folder / f"masks/{i:02}.png")
    return folder


def photographed(folder: Path, classes: list[str], count: int = 10) -> Path:
    draws = np.random.default_rng(0)
    for number, label in enumerate(classes):
        for i in range(count):
            image = draws.integers(0, 100, (32, 32, 3)) + 50 * number
            save(image, folder / label / f"{i}.png")
    return folder


def run(spec: Path, *overrides: str) -> str:
    """The command, as a user calls it from the folder that the spec was written in."""
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", str(spec), *TINY, *overrides, "-j", "1"],
        cwd=spec.parent, capture_output=True, text=True, timeout=200, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return (spec.parent / "reports/first/report.md").read_text()


def test_shapes_are_the_default_and_run(tmp_path: Path) -> None:
    spec = init("first", "shapes", tmp_path)
    plan = make_plan(load_spec(spec))
    assert (len(plan.trials), plan.experiment) == (12, "first")
    report = run(spec, *NARROW, "data.train=8", "data.val=4", "data.test=4")
    assert "Flips raise the Dice on the test split" in report


def test_a_folder_with_masks_runs(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "my data", [0, 255])
    spec = init("first", str(folder), tmp_path)
    data = make_plan(load_spec(spec)).trials[0].settings.data
    assert (data.name, data.root, data.values) == ("folder", str(folder), (0, 255))
    assert data.class_names() == ("background", "foreground")
    assert "flips_help" in run(spec, *NARROW)


def test_a_folder_per_class_runs(tmp_path: Path) -> None:
    folder = photographed(tmp_path / "photos", ["Katze grau", "yes"])
    spec = init("first", str(folder), tmp_path)
    settings = make_plan(load_spec(spec)).trials[0].settings
    assert settings.task.name == "classification"
    assert settings.data.label_names() == ("Katze grau", "yes")
    models = "grid.model={small: {name: resnet, depth: 18, width: 0.1}}"
    assert "Flips raise the accuracy on the test split" in run(spec, models)


@pytest.mark.pets
def test_pets_that_are_there(tmp_path: Path, pets_root: Path) -> None:
    data = made(tmp_path, str(pets_root)).trials[0].settings.data
    assert (data.name, data.root, data.download) == ("oxford_pet", str(pets_root), False)
    assert "flips_help" in run(tmp_path / "specs/first.yaml", *NARROW)


def test_pets_to_be_downloaded(tmp_path: Path) -> None:
    data = made(tmp_path, "pets").trials[0].settings.data
    assert (data.name, data.root, data.download) == ("oxford_pet", "data", True)


@pytest.mark.parametrize(
    ("values", "classes", "written"),
    [
        ([0, 1], ("background", "foreground"), {"values": None, "ignore": None}),
        ([1, 2], ("background", "foreground"), {"values": (1, 2), "ignore": None}),
        ([0, 1, 2], ("background", "class_1", "class_2"), {"values": None, "ignore": None}),
        ([0, 1, 255], ("background", "foreground"), {"values": None, "ignore": 255}),
        (
            [0, 40, 90, 255],
            ("background", "class_1", "class_2"),
            {"values": (0, 40, 90), "ignore": 255},
        ),
    ],
)
def test_masks_are_looked_at(
    tmp_path: Path, values: list[int], classes: tuple[str, ...], written: dict[str, Any]
) -> None:
    data = made(tmp_path, str(segmented(tmp_path / "d", values))).trials[0].settings.data
    assert data.class_names() == classes
    assert {key: getattr(data, key) for key in written} == written


def test_soft_edges_get_a_threshold(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "d", [0, 255])
    for mask in (folder / "masks").iterdir():
        soft = np.zeros((32, 32), np.uint8)
        soft[4:28, 4:28] = 255
        soft[3, 4:28] = np.linspace(60, 200, 24)
        save(soft, mask)
    data = made(tmp_path, str(folder)).trials[0].settings.data
    assert (data.threshold, data.values) == (128, None)


def test_colours_become_classes(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "d", [0, 1])
    for mask in (folder / "masks").iterdir():
        colours = np.zeros((32, 32, 3), np.uint8)
        colours[:8], colours[8:12] = (255, 0, 0), (0, 128, 255)
        save(colours, mask)
    data = made(tmp_path, str(folder)).trials[0].settings.data
    assert data.values == {"#000000": "background", "#0080ff": "class_1", "#ff0000": "class_2"}


@pytest.mark.parametrize("data", ["shapes", "pets", "masks", "classes"])
def test_every_suggestion_is_valid(tmp_path: Path, data: str) -> None:
    """Lines that are commented out can be used as they are."""
    if data == "masks":
        data = str(segmented(tmp_path / "d", [0, 255]))
    elif data == "classes":
        data = str(photographed(tmp_path / "d", ["cat", "dog"]))
    spec = init("first", data, tmp_path)
    before = make_plan(load_spec(spec))
    text, count = re.subn(r"(?m)^  # (?=[a-z_.]+: \[)", "  ", spec.read_text())
    assert count == 2
    spec.write_text(text)
    assert len(make_plan(load_spec(spec)).trials) == 4 * len(before.trials)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    spec = init("first", "shapes", tmp_path)
    spec.write_text("mine")
    with pytest.raises(BenchError, match=r"first\.yaml: is there already and stays as it is"):
        init("first", "pets", tmp_path)
    assert spec.read_text() == "mine"
    (tmp_path / "linked.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(BenchError, match="is there already"):
        init("linked", "shapes", tmp_path)
    assert not (tmp_path / "elsewhere.yaml").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a/b", "shapes", "'a/b' is no experiment's name: use letters.*--out names another"),
        ("", "shapes", "is no experiment's name"),
        ("mlruns", "shapes", "is reserved for a store"),
        ("nul", "shapes", "cannot name a folder on Windows"),
        ("a", "shape", r"neither shapes nor pets nor a folder \(did you mean 'shapes'\?\)"),
        ("a", "empty", r"empty: has no images: put images there, with masks"),
        ("a", "file.txt", "no such folder"),
        ("a", "one value", "all masks have the one value 7"),
        ("a", "no masks", "no masks/masks: no mask there can be read: store masks as PNG"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file.txt").write_text("")
    segmented(Path("one value"), [7, 7])
    segmented(Path("no masks"), [0, 1])
    for mask in Path("no masks/masks").iterdir():
        mask.write_bytes(b"no image")
    with pytest.raises(BenchError, match=message) as caught:
        init(name, data, Path("specs"))
    assert "\n" not in str(caught.value)
    assert not Path("specs").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"file/first\.yaml: cannot be written \("):
        init("first", "shapes", tmp_path / "file")


def test_completion_is_offered() -> None:
    """The shell asks for what comes after `bench in`."""
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench in", "COMP_CWORD": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "bench"], env=os.environ | asked,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.stdout.split() == ["init"]
    script = subprocess.run(
        [sys.executable, "-m", "bench"], env=os.environ | {"_BENCH_COMPLETE": "source_bash"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "complete -o default -F _bench_completion bench" in script.stdout


@pytest.mark.parametrize("name", ["9", "1e5", "true", "null", "0x1F", "no", "2026-01-01"])
def test_names_that_yaml_reads_as_something_else(tmp_path: Path, name: str) -> None:
    assert load_spec(init(name, "shapes", tmp_path)).experiment == name


def test_a_file_name_is_no_experiment_name(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"NAME: 'first\.yaml' is a file's name"):
        init("first.yaml", "shapes", tmp_path)


def test_commands_to_paste_quote_a_path_with_spaces(tmp_path: Path) -> None:
    path = init("first", "shapes", tmp_path / "my specs")
    quoted = f"bench run '{path}'"
    assert quoted in path.read_text()
    assert any(quoted in line for line in next_steps(path))
