from __future__ import annotations

import copy
import gc
import itertools
import pickle
import random
import re
from dataclasses import replace
from typing import Any

import pytest

from bench.plan.expand import load_trial, trial_config
from bench.plan.trial import Trial, _known, digest, fixed_settings_of, hash_common
from bench.spec.schema import TrialSettings

TREE: dict[str, Any] = {
    "task": "segmentation",
    "data": {"name": "oxford_pet", "root": "data", "image_size": 64},
    "model": {"name": "unet", "width": 0.5},
    "augment": [{"elastic": {"p": 0.2, "alpha": 30}}, "hflip"],
    "train": {"epochs": 3, "lr": 1e-3, "early_stopping": {"patience": 2}},
    "mistakes": ["eval_mode_leak", "unpaired_masks"],
}


def changed(**values: Any) -> dict[str, Any]:
    """`TREE` with `section__key=value` in it."""
    tree = copy.deepcopy(TREE)
    for path, value in values.items():
        node, (*parents, last) = tree, path.split("__")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def trial(tree: dict[str, Any], seed: int = 0, axes: dict[str, str] | None = None) -> Trial:
    return Trial("e", seed, axes or {}, TrialSettings.model_validate(tree))


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        return dict(rng.sample(items, len(items)))
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_keys_does_not_matter(seed: int) -> None:
    assert trial(shuffled(TREE, random.Random(seed))).id == trial(TREE).id


def test_the_order_of_axes_does_not_matter() -> None:
    axes = {"train.lr": "0.001", "augment": "none", "model": "unet", "data.seed": "1"}
    ids = {trial(TREE, axes=dict(order)).id for order in itertools.permutations(axes.items())}
    assert len(ids) == 1
    assert ids.pop().startswith("unet-none-1-0.001-s0-")


@pytest.mark.parametrize(
    "values",
    [
        {"train__lr": 0.001},
        {"task": {"name": "segmentation"}},
        {"mistakes": ["unpaired_masks", "eval_mode_leak"]},
        {"select": {"metric": "val/dice"}},
        {"augment": {"transforms": [{"name": "elastic", "p": 0.2, "alpha": 30.0}, {"hflip": {}}]}},
        # what is default
        {"train__batch_size": 20},
        {"model__upsample": "bilinear"},
        {"data__border": "foreground"},
        {"data__background": "first"},
        # what cannot change a result
        {"data__root": "/elsewhere"},
        {"data__download": False},
        {"machine__device": "cpu"},
        {"machine__threads": 3},
    ],
)
def test_what_makes_no_difference_to_the_id(values: dict[str, Any]) -> None:
    assert trial(changed(**values)).id == trial(TREE).id


@pytest.mark.parametrize(
    "values",
    [
        {"data__image_size": 65},
        {"data__normalize": "none"},
        {"data__border": "ignore"},
        {"data__background": "none"},
        {"task": {"name": "segmentation", "average": "split"}},
        {"task": {"name": "segmentation", "average": "both"}},
        {"task": {"name": "segmentation", "empty_mask": "missing"}},
        {"model__width": 0.51},
        {"model__upsample": "transposed"},
        {"model__name": "resnet34_unet"},
        {"model": {"target": "my.nets:Net", "width": 0.5}},
        {"augment": []},
        {"augment": ["hflip", {"elastic": {"p": 0.2, "alpha": 30}}]},
        {"augment": [{"elastic": {"p": 0.2, "alpha": 31}}, "hflip"]},
        {"train__lr": 0.0011},
        {"train__epochs": 4},
        {"train__early_stopping": None},
        {"train__early_stopping__min_delta": 0.1},
        {"train__channels_last": False},
        {"train__deterministic": True},
        {"train__precision": "fp32"},
        {"select": {"metric": "val/loss"}},
        {"mistakes": ["eval_mode_leak"]},
    ],
)
def test_anything_else_changes_the_id(values: dict[str, Any]) -> None:
    assert trial(changed(**values)).id != trial(TREE).id
    assert trial(changed(**values)).arm != trial(TREE).arm


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert trial(changed(model__width=1)).id == trial(changed(model__width=1.0)).id
    custom = {"target": "my.nets:Net", "depth": 3, "scales": [1, 2]}
    same = {"target": "my.nets:Net", "scales": [1.0, 2.0], "depth": 3.0}
    assert trial(changed(model=custom)).id == trial(changed(model=same)).id


def test_ids_of_the_first_release_stay_valid() -> None:
    # made by 0.1.0: a setting that is newer must not be part of it at its default
    assert trial(TREE).id == "s0-ff9d5357"


SEGMENTATION = {"task": "segmentation", "model": {"name": "unet"}, "data": {"name": "shapes"}}
DIFFUSION = {"task": "diffusion", "data": {"name": "shapes", "normalize": "symmetric"}}
FOLDER = {"name": "folder", "root": "x"}


@pytest.mark.parametrize(
    ("settings", "first_release", "same"),
    [
        ({}, "s0-b4c9e43a", True),
        ({"train": {"loss": "focal"}}, "s0-552983d8", True),
        ({"data": FOLDER}, "s0-143f83ba", True),
        (DIFFUSION | {"model": {"name": "ddpm_unet", "attention": False}}, "s0-cf5242c2", True),
        (
            {"task": "classification", "model": {"name": "resnet"}}
            | {"data": {"name": "shapes", "kinds": 3}},
            "s0-7e0894e3",
            True,
        ),
        # scores of absent classes
        ({"data": {"name": "shapes", "kinds": 3}}, "s0-95fc43f0", False),
        ({"data": FOLDER | {"classes": ["a", "b", "c"]}}, "s0-c2c7cf30", False),
        # the validation loss
        ({"train": {"loss": "dice"}}, "s0-bf77632e", False),
        ({"train": {"loss": "cross_entropy+dice"}}, "s0-de94bc8f", False),
        ({"data": {"name": "shapes", "border": "ignore"}}, "s0-0df3a675", False),
        ({"data": FOLDER | {"ignore": 255}}, "s0-d0f00152", False),
        # the initial weights
        (DIFFUSION | {"model": {"name": "ddpm_unet"}}, "s0-e43936b7", False),
    ],
)
def test_ids_change_only_where_the_same_settings_mean_something_else(
    settings: dict[str, Any], first_release: str, same: bool
) -> None:
    now = trial(SEGMENTATION | settings)
    assert (now.id == first_release) is same
    assert (now.arm == replace(now, revised=False).arm) is same
    # what is recorded stays readable under the id that it has
    config = trial_config(now) | {"id": first_release}
    assert load_trial(config).id == first_release
    assert load_trial(config).settings == now.settings
    assert pickle.loads(pickle.dumps(load_trial(config))).id == first_release


def test_a_revision_belongs_to_the_axis_that_sets_it() -> None:
    """Arms of an experiment share `common` though the meaning of some has changed."""
    axes = {"train.loss": "dice"}
    plain, dice = (
        trial(SEGMENTATION, axes=axes),
        trial(SEGMENTATION | {"train": {"loss": "dice"}}, axes=axes),
    )
    assert plain.common == dice.common
    assert dice.common == replace(dice, revised=False).common
    assert dice.arm != replace(dice, revised=False).arm


def test_true_is_not_one() -> None:
    assert digest({"a": True}) != digest({"a": 1})
    assert digest([None]) != digest([0])
    assert digest("1") != digest(1)


def test_the_digest_is_the_same_on_every_machine() -> None:
    # sha256 of '{"a":[1,0.5,null],"b":"\u00f6"}'
    assert digest({"b": "ö", "a": (1.0, 0.5, None)}) == "11cf8b88"


def test_the_seed_is_in_the_id_but_not_in_the_arm() -> None:
    first, second = trial(TREE, seed=0), trial(TREE, seed=1)
    assert first.id != second.id
    assert first.arm == second.arm
    assert re.fullmatch(r"s0-[0-9a-f]{8}", first.id)


@pytest.mark.parametrize(
    ("label", "part"),
    [
        ("elastic_or_crop", "elastic_or_crop"),
        ("1e-5", "1e-5"),
        ("0.001", "0.001"),
        ("a/b\\c:d*e", "a_b_c_d_e"),
        ("../../etc", "etc"),
        ("größe", "gr_e"),
        ("日本", "x"),
        ("two words-more", "two_words_more"),
        ("x" * 99, "x" * 24),
        ("con.", "con"),
    ],
)
def test_labels_make_file_names(label: str, part: str) -> None:
    assert trial(TREE, axes={"model": label}).id.startswith(f"{part}-s0-")


def test_many_axes_still_make_a_file_name() -> None:
    axes = {f"train.{i}": f"{i:02}" + "x" * 40 for i in range(30)}
    assert len(trial(TREE, seed=2**32 - 1, axes=axes).id) < 200


def test_common_leaves_out_what_the_axes_set() -> None:
    axes = {"model": "a", "train.lr": "b"}
    wide = changed(model__width=2, train__lr=0.5)
    assert trial(TREE, axes=axes).common == trial(wide, axes=axes).common
    assert trial(TREE, axes=axes).common != trial(changed(train__epochs=9), axes=axes).common
    assert trial(TREE, axes=axes).common != trial(TREE, axes={"model": "a"}).common


def test_common_when_the_axis_is_the_name_of_a_part() -> None:
    shapes = changed(data={"name": "shapes", "image_size": 64})
    axes = {"data.name": "x"}
    assert trial(TREE, axes=axes).common == trial(shapes, axes=axes).common


def test_a_trial_survives_pickling() -> None:
    before = trial(TREE, axes={"model": "unet"})
    after = pickle.loads(pickle.dumps(before))
    assert after == before
    assert after.id == before.id


def test_axes_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        trial(TREE, axes={"model": "unet"}).axes["model"] = "other"  # type: ignore[index]


def test_what_is_kept_of_settings_is_what_their_identity_gives() -> None:
    axes = {"model": "unet", "train.lr": "0.001", "augment": "x", "data.image_size": "64"}
    settings = TrialSettings.model_validate(TREE)
    for seed in (0, 7):
        for revised in (True, False):
            made = Trial("e", seed, axes, settings, revised)
            identity = settings.identity(revised=revised)
            assert digest(made.identity) == made.identity_sha256[:8] == made.id[-8:]
            assert made.arm == digest(identity)
            assert made.common == hash_common(fixed_settings_of(identity, axes), axes)
            assert hash_common(made.fixed_settings, axes) == made.common


def test_a_changed_copy_of_settings_has_an_identity_of_its_own() -> None:
    settings = TrialSettings.model_validate(TREE)
    first = Trial("e", 0, {}, settings).id
    train = settings.train.model_copy(update={"epochs": 4})
    copied = settings.model_copy(update={"train": train})
    assert Trial("e", 0, {}, copied).id == trial(changed(train__epochs=4)).id != first


def test_what_is_kept_of_settings_goes_with_them() -> None:
    made = trial(changed(train__epochs=5))
    assert made.id
    assert any(known[0]() is made.settings for known in _known.values())
    key = id(made.settings)
    del made
    gc.collect()
    assert not any(known == key and found[0]() is None for (known, *_), found in _known.items())
