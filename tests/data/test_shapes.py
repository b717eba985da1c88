from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.data.settings import DATASETS, ShapesSettings
from bench.data.shapes import Shapes
from tests.data.conformance import conforms


def data(**fields: Any) -> Shapes:
    defaults = {"train": 6, "val": 3, "test": 2, "image_size": 32}
    built = DATASETS.build(ShapesSettings(**(defaults | fields)))
    assert isinstance(built, Shapes)
    return built


def scenes(n: int, **fields: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    source = data(image_size=64, **fields)
    pairs = [source.sample("train", i) for i in range(n)]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


def test_shapes_conforms():
    found = conforms(data, changed=lambda: data(seed=1))
    assert found.labels == ()


def test_shapes_with_kinds_and_ignored_border_conforms():
    found = conforms(
        lambda: data(kinds=3, border="ignore"), changed=lambda: data(kinds=3, border="background")
    )
    assert found.classes == ("background", "kind1", "kind2", "kind3")
    assert found.labels == ("kind1", "kind2", "kind3")
    for split in found.splits.values():
        shown = [set(np.unique(mask).tolist()) - {0, 255} for mask in split.masks]
        assert shown == [{label + 1} for label in split.labels.tolist()]
    assert set(np.unique(found.splits["train"].masks)) == {0, 1, 2, 3, 255}


def test_a_sample_does_not_depend_on_how_many_there_are():
    few, many = data().prepare().splits, data(train=9, val=4).prepare().splits
    assert np.array_equal(few["train"].images, many["train"].images[:6])
    assert np.array_equal(few["val"].images, many["val"].images[:3])
    assert np.array_equal(few["test"].images, many["test"].images)


def test_splits_seeds_and_indices_differ():
    images = [
        data(seed=seed).sample(split, i)[0].tobytes()
        for seed in (0, 1)
        for split in ("train", "val", "test")
        for i in (0, 1)
    ]
    assert len(set(images)) == 12


def test_normalize_shares_the_cache():
    data(normalize="none").prepare()
    calls: list[int] = []
    data(normalize="unit").prepare(lambda done, _: calls.append(done))
    assert calls == []


def test_the_same_scene_at_another_size():
    (_, small), (_, large) = (data(image_size=size).sample("val", 1) for size in (64, 128))
    agreement = (small == large[::2, ::2]).mean()
    assert agreement > 0.96


def test_difficulty_and_border_leave_the_scene_where_it_is():
    _, plain = data().sample("train", 0)
    _, hard = data(difficulty=1.0).sample("train", 0)
    assert np.array_equal(plain, hard)


@pytest.mark.parametrize("size", [64, 256])
def test_the_border_is_a_ring_about_the_outline(size: int):
    masks = {
        border: data(image_size=size, border=border).sample("train", 0)[1]
        for border in ("foreground", "ignore", "background")
    }
    ring = masks["ignore"] == 255
    assert np.array_equal(masks["foreground"] == 1, (masks["background"] == 1) | ring)
    assert not ((masks["background"] == 1) & ring).any()
    # Every border pixel is within the ring's width of both sides; so it is a few pixels wide.
    width = ring.sum() / _outline_length(masks["foreground"])
    assert 1 < width < 0.05 * size


def _outline_length(mask: np.ndarray[Any, Any]) -> int:
    inside = mask == 1
    return int((inside[:, 1:] != inside[:, :-1]).sum() + (inside[1:] != inside[:-1]).sum())


def test_share_of_foreground_and_the_baseline_it_gives():
    _, masks = scenes(120)
    share = (masks == 1).mean(axis=(1, 2))
    assert share.min() > 0.10
    assert share.max() < 0.50
    assert 0.2 < share.mean() < 0.4
    assert np.mean(2 * share / (1 + share)) < 0.55  # Dice of predicting all foreground


@pytest.mark.parametrize(
    ("difficulty", "low", "high"), [(0, 0.88, 1), (0.5, 0.6, 0.86), (1, 0, 0.6)]
)
def test_colour_alone_solves_easy_scenes_and_not_hard_ones(
    difficulty: float, low: float, high: float
):
    images, masks = scenes(60, difficulty=float(difficulty))
    colours = np.concatenate([images / 255.0, np.ones((*masks.shape, 1))], axis=-1)
    weights = np.linalg.lstsq(colours.reshape(-1, 4), masks.ravel().astype(float), rcond=None)[0]
    score = colours @ weights
    best = max(_dice(score > threshold, masks == 1) for threshold in np.linspace(0.1, 0.8, 15))
    assert low < best < high


def _dice(found: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> float:
    both, axes = found & truth, (1, 2)
    return float(np.mean(2 * both.sum(axes) / (found.sum(axes) + truth.sum(axes))))
