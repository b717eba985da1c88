"""Augmentations that a task cannot have are refused where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError, StoreError
from bench.plan.expand import check_targets, make_plan, refuse_foreign_code
from bench.plan.plan import Plan
from bench.spec.load import load_spec

SEGMENTATION = "experiment: e\ntask: segmentation\ndata: {name: shapes}\nmodel: {name: unet}\n"
CLASSIFICATION = (
    "experiment: e\ntask: classification\ndata: {name: shapes, kinds: 2}\nmodel: {name: resnet}\n"
)
DIFFUSION = (
    "experiment: e\ntask: diffusion\ndata: {name: shapes, normalize: symmetric}\n"
    "model: {name: ddpm_unet}\n"
)


def planned(folder: Path, text: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(text)
    return make_plan(load_spec(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SEGMENTATION + "augment: [hflip, mixup]\n", "5: augment: mixup has no meaning .* cutmix"),
        (
            SEGMENTATION + "augment: [{one_of: [hflip, {rand_augment: {p: 0.5}}]}]\n",
            "5: augment: rand_augment moves images and not their masks",
        ),
        (
            SEGMENTATION + "grid:\n  augment:\n    none: []\n    auto: [trivial_augment]\n",
            "8: grid.augment.auto: trivial_augment moves images and not their masks",
        ),
        (DIFFUSION + "augment: [cutmix]\n", "5: augment: cutmix mixes labels, and in diffusion"),
        (
            SEGMENTATION + "augment:\n  target: albumentations.Compose\n",
            r"augment.*target.*albumentations\.Compose",
        ),
        (
            SEGMENTATION + "augment:\n  target: m:f\n  transforms:\n    - {target: flip}\n",
            "augment.*package.module:name, not 'flip'",
        ),
        (
            SEGMENTATION + "mistakes: [unpaired_masks]\naugment: [cutmix]\n",
            "mistakes: unpaired_masks has no effect where no transform moves a pixel",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message):
        planned(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        SEGMENTATION + "augment: [cutmix, jpeg]\n",
        CLASSIFICATION + "augment: [rand_augment, trivial_augment, mixup, cutmix]\n",
        DIFFUSION + "augment: [trivial_augment, jpeg]\n",
        SEGMENTATION + "mistakes: [unpaired_masks]\naugment: {target: 'm:f'}\n",
        SEGMENTATION + "augment: {pipeline: {target: 'm:f'}, mode: append}\n",
    ],
)
def test_what_has_is_planned(text: str, tmp_path: Path) -> None:
    assert len(planned(tmp_path, text).trials) == 1


def test_pipelines_are_levels_named_after_their_targets(tmp_path: Path) -> None:
    text = (
        "grid:\n  augment:\n    - light\n    - {target: 'my_module:make_pipeline', size: 3}\n"
        "    - {target: 'albumentations:Compose', transforms: [{target: 'albumentations:Blur'}]}\n"
    )
    found = planned(tmp_path, SEGMENTATION + text)
    assert [t.axes["augment"] for t in found.trials] == ["light", "make_pipeline", "Compose"]
    assert len({t.id for t in found.trials}) == 3


def test_a_setting_of_a_pipeline_is_an_axis(tmp_path: Path) -> None:
    text = "augment: {target: 'm:f', size: 1}\ngrid: {augment.pipeline.size: [3, 5]}\n"
    found = planned(tmp_path, SEGMENTATION + text)
    sizes = [t.settings.augment.pipeline.model_extra["size"] for t in found.trials]
    assert sizes == [3, 5]
    short = "augment: {target: 'm:f', size: 1}\ngrid: {augment.size: [3, 5]}\n"
    other = planned(tmp_path, SEGMENTATION + short)
    sizes = [t.settings.augment.pipeline.model_extra["size"] for t in other.trials]
    assert sizes == [3, 5]


def test_the_parts_of_a_pipeline_are_imported_when_planning(tmp_path: Path) -> None:
    text = (
        "augment:\n  target: 'torchvision.transforms.v2:Compose'\n  transforms:\n"
        "    - {target: 'torchvision.transforms.v2:RandomHorizontalFlipp'}\n"
    )
    plan = planned(tmp_path, SEGMENTATION + text)
    with pytest.raises(SpecError, match=r"8: augment\.transforms\.0\.target: .* cannot be import"):
        check_targets(plan)


def test_parts_inside_of_recorded_parts_are_foreign_code_too(tmp_path: Path) -> None:
    text = "augment: {target: 'known:make', transforms: [{target: 'os:system'}]}\n"
    (trial,) = planned(tmp_path, SEGMENTATION + text).trials
    with pytest.raises(StoreError, match="is built by os:system"):
        refuse_foreign_code(trial.id, trial.settings, {"known:make"})
    refuse_foreign_code(trial.id, trial.settings, {"known:make", "os:system"})
