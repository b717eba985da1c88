from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import SpecError, StoreError
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.plan import Plan
from bench.plan.space import read_space
from bench.spec import yaml12
from bench.spec.load import load_spec

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
HEAD = """\
experiment: e
task: segmentation
data: {name: shapes}
model: {name: unet}
train: {epochs: 4}
"""
MODELS = "  model: {unet: {name: unet}, resnet: {name: resnet34_unet}}\n"

Planner = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    def planned(text: str, *overrides: str) -> Plan:
        path = tmp_path / "spec.yaml"
        path.write_text(HEAD + text)
        return make_plan(load_spec(path, overrides))

    return planned


def arms(plan: Plan) -> list[str]:
    """The labels of each arm, as `unet/0.001`."""
    per_seed = len(plan.trials) // len(plan.spec.sweep.seeds)
    return ["/".join(trial.axes.values()) for trial in plan.trials[:per_seed]]


def test_no_axes_is_one_arm(plan: Planner) -> None:
    found = plan("seeds: [7]\n")
    assert [(trial.seed, dict(trial.axes)) for trial in found.trials] == [(7, {})]


def test_grid_is_a_product_and_its_last_axis_varies_fastest(plan: Planner) -> None:
    found = plan(f"grid:\n{MODELS}  train.lr: [1e-3, 3e-4, 1]\n")
    assert arms(found) == [
        *("unet/0.001", "unet/0.0003", "unet/1"),
        *("resnet/0.001", "resnet/0.0003", "resnet/1"),
    ]
    assert found.axes == {"model": ("unet", "resnet"), "train.lr": ("0.001", "0.0003", "1")}
    last = found.trials[-1].settings
    assert (last.model.name, last.train.lr, last.train.epochs) == ("resnet34_unet", 1.0, 4)


def test_seeds_come_first_so_that_an_interrupted_run_is_balanced(plan: Planner) -> None:
    found = plan(f"grid:\n{MODELS}seeds: 2\n")
    order = [(trial.seed, trial.axes["model"]) for trial in found.trials]
    assert order == [(0, "unet"), (0, "resnet"), (1, "unet"), (1, "resnet")]


def test_zip_varies_axes_together(plan: Planner) -> None:
    found = plan(f"zip:\n{MODELS}  train.batch_size: [20, 60]\ngrid: {{data.seed: [0, 1]}}\n")
    assert arms(found) == ["unet/20/0", "unet/20/1", "resnet/60/0", "resnet/60/1"]


def test_zip_can_have_several_groups(plan: Planner) -> None:
    found = plan("zip:\n  - {train.lr: [1, 2], train.epochs: [3, 4]}\n  - {data.seed: [0, 1]}\n")
    assert arms(found) == ["1/3/0", "1/3/1", "2/4/0", "2/4/1"]


def test_zip_can_repeat_a_level_but_not_a_row(plan: Planner) -> None:
    found = plan("zip: {train.lr: [1, 2, 3], train.batch_size: [20, 60, 20]}\n")
    assert arms(found) == ["1/20", "2/60", "3/20"]
    assert found.axes["train.batch_size"] == ("20", "60")
    with pytest.raises(SpecError, match="the levels 1, 20 appear together twice"):
        plan("zip: {train.lr: [1, 2, 1], train.batch_size: [20, 60, 20]}\n")


@pytest.mark.parametrize(
    ("levels", "labels"),
    [
        ("train.lr: [1e-3, 1.0, 1e-5, 0.1]", ("0.001", "1", "1e-5", "0.1")),
        ("train.lr: {1e-3: 1e-3, low: 3e-4}", ("0.001", "low")),
        ("train.channels_last: [true, False]", ("true", "false")),
        ("train.clip_grad_norm: [null, 1]", ("null", "1")),
        ("train.optimizer: [adam, sgd]", ("adam", "sgd")),
        ("model: [{name: unet}, {name: resnet34_unet}]", ("unet", "resnet34_unet")),
        ("mistakes: {none: [], leak: [eval_mode_leak]}", ("none", "leak")),
        ("augment: {none: [], flip: [hflip]}", ("none", "flip")),
        ("model.upsample: [bilinear, transposed]", ("bilinear", "transposed")),
        ("model.name: [unet, resnet34_unet]", ("unet", "resnet34_unet")),
    ],
)
def test_labels(levels: str, labels: tuple[str, ...], plan: Planner) -> None:
    found = plan(f"grid:\n  {levels}\n")
    assert tuple(found.axes.values()) == (labels,)
    assert len({trial.arm for trial in found.trials}) == len(labels)
    assert len({trial.common for trial in found.trials}) == 1


def test_an_axis_inside_another_is_put_in_after_it(plan: Planner) -> None:
    found = plan(f"grid:\n  model.width: [0.25, 0.5]\n{MODELS}")
    widths = [(trial.settings.model.name, trial.settings.model.width) for trial in found.trials]
    unet, resnet = "unet", "resnet34_unet"
    assert widths == [(unet, 0.25), (resnet, 0.25), (unet, 0.5), (resnet, 0.5)]


def test_an_axis_reaches_into_a_list_of_augmentations(plan: Planner) -> None:
    found = plan("augment: [hflip]\ngrid:\n  augment.mode: [replace, append]\n")
    kinds = [(t.settings.augment.mode, len(t.settings.augment.transforms)) for t in found.trials]
    assert kinds == [("replace", 1), ("append", 1)]


NOISE = """\
experiment: e
task: diffusion
data: {name: shapes, normalize: symmetric}
model: {name: ddpm_unet}
grid: {task.noise: [linear, cosine]}
"""


def test_settings_of_the_task_can_be_axes(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(NOISE)
    found = make_plan(load_spec(path, ["task.steps=100"]))
    tasks = [trial.settings.task for trial in found.trials]
    assert [(task.noise, task.steps) for task in tasks] == [("linear", 100), ("cosine", 100)]
    assert [trial.id[:10] for trial in found.trials] == ["linear-s0-", "cosine-s0-"]
    assert len({trial.common for trial in found.trials}) == 1
    assert found.record()["task"] == "diffusion"


def test_an_axis_of_whole_tasks_keeps_to_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    axis = "task: {a: diffusion, b: {name: diffusion, noise: cosine}}"
    path.write_text(NOISE.replace("task.noise: [linear, cosine]", axis))
    found = make_plan(load_spec(path))
    assert [trial.settings.task.noise for trial in found.trials] == ["linear", "cosine"]


def test_an_axis_gives_what_the_settings_lack(plan: Planner) -> None:
    found = plan("grid: {train.early_stopping.patience: [2, 3]}\n")
    assert [t.settings.train.early_stopping.patience for t in found.trials] == [2, 3]  # type: ignore[union-attr]


def test_exclude_takes_partial_arms_in_any_spelling(plan: Planner) -> None:
    grid = f"grid:\n{MODELS}  train.lr: [1e-3, 3e-4]\n"
    found = plan(grid + "exclude: [{model: unet, train.lr: 0.0003}]\n")
    assert arms(found) == ["unet/0.001", "resnet/0.001", "resnet/0.0003"]
    found = plan(grid + "exclude: [{train.lr: '3e-4'}]\n")
    assert arms(found) == ["unet/0.001", "resnet/0.001"]
    assert found.axes["train.lr"] == ("0.001",)


def test_exclude_keeps_a_bad_combination_from_being_checked(plan: Planner) -> None:
    grid = "grid:\n  train.epochs: [2, 9]\n  train.warmup_epochs: [0, 5]\n"
    with pytest.raises(SpecError, match="must be less than epochs"):
        plan(grid)
    found = plan(grid + "exclude: [{train.epochs: 2, train.warmup_epochs: 5}]\n")
    assert arms(found) == ["2/0", "9/0", "9/5"]


def test_include_adds_arms_of_old_and_new_levels(plan: Planner) -> None:
    found = plan(
        f"grid:\n{MODELS}  train.lr: [1e-3]\n"
        "include:\n"
        "  - {train.lr: 0.5, model: resnet}\n"
        "  - {model: {wide: {name: unet, width: 2}}, train.lr: 1e-3}\n"
        "  - {model: {name: resnet34_unet, width: 2}, train.lr: 0.5}\n"
    )
    assert arms(found) == [
        *("unet/0.001", "resnet/0.001", "resnet/0.5", "wide/0.001", "resnet34_unet/0.5")
    ]
    assert found.axes["model"] == ("unet", "resnet", "wide", "resnet34_unet")
    assert found.trials[3].settings.model.width == 2.0


def test_include_after_excluding_everything(plan: Planner) -> None:
    text = f"grid:\n{MODELS}exclude: [{{model: unet}}, {{model: resnet}}]\n"
    found = plan(text + "include: [{model: {wide: {name: unet, width: 2}}}]\n")
    assert arms(found) == ["wide"]
    assert found.axes == {"model": ("wide",)}


def test_overrides_reach_levels(plan: Planner) -> None:
    found = plan(f"grid:\n{MODELS}", "grid.model.unet.width=0.5", "seeds=1")
    assert [trial.settings.model.width for trial in found.trials] == [0.5, 1.0]


def test_the_order_of_axes_does_not_change_ids(plan: Planner) -> None:
    first = plan(f"grid:\n{MODELS}  train.lr: [1e-3, 3e-4]\n")
    second = plan(f"grid:\n  train.lr: {{3e-4: 3e-4, 0.001: 0.001}}\n{MODELS}")
    assert {trial.id for trial in first.trials} == {trial.id for trial in second.trials}


def test_record_is_plain_and_complete(plan: Planner, tmp_path: Path) -> None:
    found = plan(f"grid:\n{MODELS}seeds: 2\n", "train.epochs=3")
    record = json.loads(json.dumps(found.record()))
    spec = record.pop("spec")
    trials = record.pop("trials")
    assert record == {
        "experiment": "e",
        "task": "segmentation",
        "source": str(tmp_path / "spec.yaml"),
        "common": found.trials[0].common,
        "axes": {"model": ["unet", "resnet"]},
        "select": {"metric": "val/dice", "mode": "max"},
        "metrics": {"loss": "min", "dice": "max", "iou": "max"},
        "scoring": {
            "average": "image",
            "empty_mask": "one",
            "background": "background",
            "classes": ["foreground"],
        },
        "incomparable": {},
        "hypotheses": [],
        "hypotheses_digest": "4f53cda1",  # the SHA-256 of `[]`
        "cautions": [],
    }
    assert [trial["id"] for trial in trials] == [trial.id for trial in found.trials]
    assert trials[1] == {
        "id": found.trials[1].id,
        "seed": 0,
        "axes": {"model": "resnet"},
        "common": found.trials[1].common,
        "arm": found.trials[1].arm,
    }
    # the recorded spec has the overrides in it, and gives the same trials again
    again = tmp_path / "again.yaml"
    again.write_text(spec)
    assert make_plan(load_spec(again)).trials == found.trials


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_config_and_trial_are_inverse(path: Path) -> None:
    spec = load_spec(path)
    searched = spec.sweep.search is not None
    for trial in read_space(spec).sample_trials() if searched else make_plan(spec).trials:
        text = yaml12.dump(json.loads(json.dumps(trial_config(trial))))
        again = load_trial(yaml12.parse(text, "config.yaml")[0])
        assert again == trial
        assert again.id == trial.id


def test_a_custom_part_comes_back_from_its_config(plan: Planner) -> None:
    (trial,) = plan("grid: {model: {mine: {target: 'my.nets:Net', depth: 3}}}\n").trials
    assert load_trial(trial_config(trial)) == trial


def test_a_config_that_was_edited_is_refused(plan: Planner) -> None:
    config = trial_config(plan("").trials[0])
    config["settings"]["train"]["lr"] = 1.0
    with pytest.raises(StoreError, match=f"trial {config['id']} was changed"):
        load_trial(config)
    config["settings"]["train"]["lrr"] = 1.0
    with pytest.raises(StoreError, match=r"lrr.*not permitted") as caught:
        load_trial(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arms", "trials"), [("quickstart", 4, 12), ("seg_aug", 6, 30), ("pets_small", 6, 18)]
)
def test_experiments(name: str, arms: int, trials: int) -> None:
    found = make_plan(load_spec(EXPERIMENTS / f"{name}.yaml"))
    assert found.experiment == name
    assert len(found.trials) == trials
    assert len({trial.arm for trial in found.trials}) == arms


def test_the_published_study() -> None:
    """SYSTEMS.md, section 1: batch 20 for unet and 60 for resnet34_unet, 100 epochs, Adam 1e-3."""
    for trial in make_plan(load_spec(EXPERIMENTS / "seg_aug.yaml")).trials:
        settings = trial.settings
        batch = {"unet": 20, "resnet34_unet": 60}[settings.model.name]
        assert (settings.train.batch_size, settings.train.epochs) == (batch, 100)
        assert (settings.train.optimizer, settings.train.lr) == ("adam", 1e-3)
        assert (settings.data.image_size, settings.data.normalize) == (256, "none")
        transforms = settings.augment.transforms
        assert len(transforms) == (trial.axes["augment"] != "none")
        if trial.axes["augment"] == "elastic_or_crop":
            assert [(part.name, part.p) for part in transforms[0].of] == [
                ("elastic", 0.2),
                ("crop", 0.2),
            ]


def test_the_example_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "seg_aug.yaml"
    path.write_text(
        """\
experiment: seg_aug                  # also the MLflow experiment's name
task: segmentation
data:  {name: oxford_pet, root: data, image_size: 256, download: true}
train: {epochs: 100, batch_size: 20, optimizer: adam, lr: 1e-3, precision: auto}
select: {metric: val/dice, mode: max}
grid:
  model:   {unet: {name: unet}, resnet34_unet: {name: resnet34_unet}}
  augment: {none: [], elastic: [{elastic: {p: 0.2, alpha: 30}}]}
  train.lr: [1e-3, 3e-4]
exclude: [{model: unet, train.lr: 3e-4}]
seeds: [0, 1, 2, 3, 4]
"""
    )
    found = make_plan(load_spec(path))
    assert len(found.trials) == (2 * 2 * 2 - 2) * 5
    assert found.trials[0].id.startswith("unet-none-0.001-s0-")


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from bench.spec.load import load_spec;"
        "from bench.plan.expand import make_plan, check_targets;"
        f"plan = make_plan(load_spec(Path({str(EXPERIMENTS / 'seg_aug.yaml')!r})));"
        "check_targets(plan); print(len(plan.trials), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["30", "False"]


@pytest.mark.parametrize("setting", ["data.root", "data.download"])
def test_where_data_lies_is_no_axis(tmp_path: Path, setting: str) -> None:
    """Both arms would be one trial; the error says what to do instead."""
    values = {"data.root": "[a, b]", "data.download": "[true, false]"}[setting]
    head = HEAD.replace("{name: shapes}", "{name: oxford_pet}")
    (tmp_path / "spec.yaml").write_text(f"{head}grid:\n  {setting}: {values}\n")
    with pytest.raises(
        SpecError, match="differ only in where data lies or what runs them"
    ) as caught:
        make_plan(load_spec(tmp_path / "spec.yaml"))
    assert "make an experiment of each (experiment=NAME)" in str(caught.value)
    assert "remove one" not in str(caught.value)
