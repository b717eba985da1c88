from __future__ import annotations

import hashlib
import http.server
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.assemble import check_names
from bench.data.cache import cache_root
from bench.data.oxford_pet import OxfordPet, split_trainval
from bench.data.settings import DATASETS, OxfordPetSettings
from bench.errors import DataError
from tests.data.conformance import conforms


def data(root: Path, **fields: Any) -> OxfordPet:
    defaults = {"root": str(root), "download": False, "image_size": 32}
    built = DATASETS.build(OxfordPetSettings(**(defaults | fields)))
    assert isinstance(built, OxfordPet)
    return built


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A data set of the same layout: 12 pets in trainval, 2 in test; returns its root.

    Their classes are 1 (even numbers) and 37 (odd numbers).
    """
    base = tmp_path / "root" / "oxford-iiit-pet"
    for name in ("images", "annotations/trimaps"):
        (base / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    trimap = np.full((20, 30), 2, np.uint8)
    trimap[:, 5:25], trimap[:, 10:20] = 3, 1
    names = [f"Cat_{i}" for i in range(14)]
    for name in names:
        pixels = random.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(base / "images" / f"{name}.jpg")
        Image.fromarray(trimap).save(base / "annotations" / "trimaps" / f"{name}.png")
    for split, part in (("trainval", names[:12]), ("test", names[12:])):
        lines = "".join(f"{name} {1 + 36 * (int(name[4:]) % 2)} 1 1\n" for name in part)
        (base / "annotations" / f"{split}.txt").write_text(lines)
    return tmp_path / "root"


def repaint(root: Path) -> OxfordPet:
    Image.new("RGB", (30, 20)).save(root / "oxford-iiit-pet" / "images" / "Cat_3.jpg")
    return data(root)


# Splits


def test_split_rule_on_the_full_sets_count():
    names = tuple(map(str, range(3680)))
    train, val = split_trainval(names)
    assert (len(train), len(val)) == (3312, 368)
    assert val[:3] == ("0", "10", "20")
    assert train[:10] == ("1", "2", "3", "4", "5", "6", "7", "8", "9", "11")


def test_oxford_pet_conforms(small: Path):
    conforms(lambda: data(small), changed=lambda: repaint(small))


def test_another_breed_is_another_data_set_from_the_same_cache(small: Path):
    conforms(lambda: data(small), changed=lambda: rename(small))
    assert len(list(cache_root().glob("*/meta.json"))) == 1


def rename(root: Path) -> OxfordPet:
    listed = root / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    listed.write_text(listed.read_text().replace("Cat_3 37", "Cat_3 36"))
    return data(root)


def test_breeds_are_the_lists_class_numbers(small: Path):
    found = data(small).prepare()
    assert (len(found.labels), found.labels[0], found.labels[36]) == (
        37, "Abyssinian", "yorkshire_terrier",
    )  # fmt: skip
    assert found.labels == OxfordPetSettings().label_names()
    assert found.splits["train"].labels.tolist() == [36, 0, 36, 0, 36, 0, 36, 0, 36, 36]
    assert found.splits["val"].labels.tolist() == [0, 0]
    assert found.splits["test"].labels.tolist() == [0, 36]


def test_a_breed_that_there_is_not(small: Path):
    listed = small / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    listed.write_text(listed.read_text().replace("Cat_3 37", "Cat_3 38"))
    fails(small, r"trainval\.txt: Cat_3 is of class 38: .*1 to 37")


def test_files_order_decides(small: Path):
    splits = data(small).prepare().splits
    assert splits["val"].names == ("Cat_0", "Cat_10")
    assert splits["test"].names == ("Cat_12", "Cat_13")


@pytest.mark.parametrize(
    ("border", "label"), [("foreground", 1), ("ignore", 255), ("background", 0)]
)
def test_trimaps(small: Path, border: str, label: int):
    mask = data(small, border=border, image_size=30).prepare().splits["train"].masks[0]
    row = [0] * 5 + [label] * 5 + [1] * 10 + [label] * 5 + [0] * 5
    assert mask.tolist() == [row] * 30


def test_a_part_of_the_data_set_is_noted(small: Path):
    assert data(small).prepare().notes == (
        "a part of the data set: 10 training, 2 validation, 2 test images of 3,312 / 368 / 3,669",
        "2 of 37 breeds occur in training",
    )


# The provided pets


@pytest.mark.pets
def test_real_pets(pets_root: Path):
    splits = data(pets_root, image_size=64).prepare()
    counts = {name: len(split) for name, split in splits.splits.items()}
    assert counts == {"train": 270, "val": 30, "test": 298}
    assert splits.notes[0].startswith("a part of the data set: 270 training, 30 validation, 298")
    assert splits.notes[1] == "3 of 37 breeds occur in training"
    for split in splits.splits.values():
        # breeds have the numbers 1, 2 and 6, and every file is named after its breed
        assert set(split.labels.tolist()) == {0, 1, 5}
        own = [splits.labels[label] for label in split.labels]
        assert own == [name.rpartition("_")[0] for name in split.names]
        assert set(np.unique(split.masks)) == {0, 1}
        assert split.images.std(axis=(1, 2, 3)).min() > 5
    seconds = min(_seconds(lambda: data(pets_root, image_size=64).prepare()) for _ in range(5))
    assert seconds < 0.1


def _seconds(call: Any) -> float:
    start = time.process_time()  # other work on the machine disturbs it less
    call()
    return time.process_time() - start


@pytest.mark.pets
def test_the_png_with_alpha_among_the_jpg_files(pets_root: Path, tmp_path: Path):
    root = tmp_path / "one"
    base, source = root / "oxford-iiit-pet", pets_root / "oxford-iiit-pet"
    (base / "annotations" / "trimaps").mkdir(parents=True)
    (base / "images").mkdir()
    name = "Abyssinian_5"
    with Image.open(source / "images" / f"{name}.jpg") as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
    for other in ("Abyssinian_100", "Abyssinian_101", name):
        shutil.copy(source / "images" / f"{other}.jpg", base / "images")
        trimap = source / "annotations" / "trimaps" / f"{other}.png"
        shutil.copy(trimap, base / "annotations" / "trimaps")
    (base / "annotations" / "trainval.txt").write_text(
        "Abyssinian_100 1 1 1\nAbyssinian_101 1 1 1\n"
    )
    (base / "annotations" / "test.txt").write_text(f"{name} 1 1 1\n")
    test = data(root, border="ignore", image_size=64).prepare().splits["test"]
    assert test.names == (name,)
    assert set(np.unique(test.masks)) == {0, 1, 255}
    # A cat on a light ground: neither black (alpha multiplied in) nor flat.
    assert 60 < test.images.mean() < 220
    assert test.images.std() > 30


# What can be wrong


def fails(root: Path, message: str, **fields: Any) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data(root, **fields).prepare()
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path):
    fails(tmp_path, r"no Oxford-IIIT Pet there: put images/ and annotations/.*data.download=true")


def test_root_is_the_folder_itself(small: Path):
    fails(small / "oxford-iiit-pet", r"data\.root is the folder that holds oxford-iiit-pet/")


@pytest.mark.parametrize("gone", ["images/Cat_4.jpg", "annotations/trimaps/Cat_4.png"])
def test_a_listed_file_is_missing(small: Path, gone: str):
    (small / "oxford-iiit-pet" / gone).unlink()
    fails(small, f"{Path(gone).name}: cannot be read.*put it back")


def test_a_broken_list(small: Path):
    (small / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("Cat_12\n")
    fails(small, r"test\.txt: cannot be read.*every line is")


def test_a_name_twice(small: Path):
    listed = small / "oxford-iiit-pet" / "annotations" / "test.txt"
    listed.write_text("Cat_12 1 1 1\nCat_12 1 1 1\n")
    fails(small, r"test\.txt: a name appears twice")
    listed.write_text("Cat_1 1 1 1\n")
    fails(small, "'Cat_1' appears in train, test")


def test_an_empty_list(small: Path):
    (small / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("")
    fails(small, "the test split is empty: .*test.txt one")


def test_an_unreadable_pet_is_skipped_where_asked(small: Path):
    whole = data(small).prepare()
    (small / "oxford-iiit-pet" / "images" / "Cat_4.jpg").unlink()
    found = data(small, on_error="skip").prepare()
    names = tuple(name for name in whole.splits["train"].names if name != "Cat_4")
    assert found.splits["train"].names == names
    assert found.splits["train"].labels.tolist() == [36, 0, 36, 36, 0, 36, 0, 36, 36]
    assert "(1 of train): Cat_4.jpg: there is no such file" in found.notes[-1]
    assert found.fingerprint != whole.fingerprint


@pytest.mark.parametrize("name", ["../../../secret", "/etc/secret", "x/Cat_3"])
def test_a_name_in_a_list_leads_nowhere_else(small: Path, name: str):
    listed = small / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    listed.write_text(listed.read_text().replace("Cat_3 ", f"{name} "))
    for on_error in ("fail", "skip"):
        fails(small, r"trainval\.txt: a name leads to .*names have no folders", on_error=on_error)


def test_a_strange_trimap(small: Path):
    file = small / "oxford-iiit-pet" / "annotations" / "trimaps" / "Cat_4.png"
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(file)
    fails(small, r"Cat_4\.png: unexpected mask value 7: a trimap has 1 \(animal\)")


def test_check_names_passes_what_is_right():
    check_names({"train": ("a",), "val": ("b",)}, source="x", remedy="y")


# Download, from a server of our own


@pytest.fixture
def server(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves `small` as the two archives; returns the folder they are served from."""
    from torchvision.datasets import OxfordIIITPet

    served = tmp_path / "served"
    served.mkdir()
    for name in ("images", "annotations"):
        with tarfile.open(served / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(small / "oxford-iiit-pet" / name, arcname=name)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": _nothing})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=served))
    serve = partial(running.serve_forever, poll_interval=0.02)
    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{running.server_port}"
    resources = tuple(
        (f"{url}/{file.name}", hashlib.md5(file.read_bytes()).hexdigest())
        for file in sorted(served.iterdir(), reverse=True)
    )
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)
    yield served
    running.shutdown()


def _nothing(*_: object) -> None:
    return None


def test_download(server: Path, small: Path, tmp_path: Path):
    root = tmp_path / "new" / "data"
    found = data(root, download=True).prepare()
    assert found.fingerprint == data(small).prepare().fingerprint
    assert sorted(path.name for path in root.iterdir()) == [
        ".oxford-iiit-pet.lock", "oxford-iiit-pet"
    ]  # fmt: skip
    shutil.rmtree(server)
    assert data(root, download=True).prepare().fingerprint == found.fingerprint


def test_a_broken_download_can_go_on(server: Path, tmp_path: Path):
    annotations = server / "annotations.tar.gz"
    whole = annotations.read_bytes()
    annotations.write_bytes(whole[:100])
    fails(tmp_path / "new", "cannot be downloaded.*run the same command again", download=True)
    fails(tmp_path / "new", "no Oxford-IIIT Pet there")
    annotations.write_bytes(whole)
    (server / "images.tar.gz").unlink()  # has arrived already
    # An unpacking that was interrupted is done again.
    part = tmp_path / "new" / ".oxford-iiit-pet.part" / "oxford-iiit-pet"
    shutil.rmtree(part / "images")
    (part / "images").mkdir()
    (part / "annotations").mkdir()
    assert len(data(tmp_path / "new", download=True).prepare().splits["train"]) == 10


def test_no_network(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from torchvision.datasets import OxfordIIITPet

    nowhere = (("http://127.0.0.1:9/images.tar.gz", "0" * 32),)
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", nowhere)
    fails(tmp_path / "new", r"cannot be downloaded.*images\.tar\.gz.*download=false", download=True)
