from __future__ import annotations

import copy
from typing import Any

import pytest

from bench.spec.document import Document
from bench.spec.overrides import apply_overrides

TREE: dict[str, Any] = {
    "experiment": "small",
    "model": {"name": "unet"},
    "train": {"epochs": 4},
    "select": None,
    "grid": {
        "model": {"unet": {"name": "unet"}, "resnet.34": {"name": "resnet34_unet"}},
        "augment": {"none": []},
        "train.lr": [0.1, 0.2],
    },
    "zip": [{"data.seed": [0, 1]}],
    "exclude": [{"model": "unet"}],
}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=2", ("train", "epochs"), 2),
        ("train.momentum=1e-3", ("train", "momentum"), 0.001),
        ("train.early_stopping.patience=3", ("train", "early_stopping"), {"patience": 3}),
        ("select.mode=min", ("select",), {"mode": "min"}),
        ("experiment=no", ("experiment",), "no"),
        ("seeds=[0, 1]", ("seeds",), [0, 1]),
        ("data={name: shapes}", ("data",), {"name": "shapes"}),
        ("machine.device=a=b", ("machine", "device"), "a=b"),
        ("exclude.0.model=resnet", ("exclude", 0, "model"), "resnet"),
        ("exclude.0={train.lr: 0.1}", ("exclude", 0), {"train.lr": 0.1}),
        # axes and levels
        ("grid.train.lr=[1]", ("grid", "train.lr"), [1]),
        ("grid.train.lr.1=0.3", ("grid", "train.lr", 1), 0.3),
        ("grid.train.epochs=[1]", ("grid", "train.epochs"), [1]),
        ("grid.model.unet.width=0.5", ("grid", "model", "unet", "width"), 0.5),
        ("grid.model.resnet.34.width=2", ("grid", "model", "resnet.34", "width"), 2),
        ("grid.model.wide={name: unet}", ("grid", "model", "wide"), {"name": "unet"}),
        ("grid.augment.flip=[hflip]", ("grid", "augment", "flip"), ["hflip"]),
        ("grid.model.width=[1, 2]", ("grid", "model.width"), [1, 2]),
        ("grid.augment.mode=[append]", ("grid", "augment.mode"), ["append"]),
        ("zip.0.data.seed=[3]", ("zip", 0, "data.seed"), [3]),
        ("zip.0.train.epochs=[3, 4]", ("zip", 0, "train.epochs"), [3, 4]),
    ],
)
def test_an_override_sets_one_value(override: str, path: tuple[Any, ...], value: Any) -> None:
    document = Document(copy.deepcopy(TREE), "file")
    apply_overrides(document, [override])
    found: Any = document.tree
    for key in path:
        found = found[key]
    assert found == value
    assert document.location(path).source == f"override {override!r}"
    assert document.location(("train",)).source == "file"


def test_the_last_override_wins() -> None:
    document = Document({"train": {"epochs": 4}}, "file")
    apply_overrides(document, ["train.epochs=2", "train.epochs=3"])
    assert document.tree == {"train": {"epochs": 3}}


def test_an_axis_and_its_base_can_both_be_given_in_overrides() -> None:
    document = Document({"model": {"name": "unet"}}, "file")
    apply_overrides(document, ["grid.model.width=[1, 2]", "model.upsample=transposed"])
    assert document.tree["model"] == {"name": "unet", "upsample": "transposed"}
