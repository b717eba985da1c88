"""Weights in a plan: settled into identities, refused with file, line and remedy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import BenchError, DataError, SpecError
from bench.experiment.earlier_experiments import lookup
from bench.models import weights as module
from bench.models.settings import MODELS, ModelSettings
from bench.plan.earlier import Earlier, EarlierTrial
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.plan import Plan
from bench.plan.pretrained import check_weights, fetch_weights, resolve_weights
from bench.record.store import Store, TrialStatus
from bench.spec.load import load_spec
from bench.states import Status
from tests.builders import experiments as built

HEAD = """\
experiment: later
task: segmentation
data: {name: shapes, image_size: 32}
train: {epochs: 1}
seeds: 2
"""
Maker = Callable[..., Plan]


def trial(label: str, seed: int, score: float | None, arm: str = "") -> EarlierTrial:
    axes = {"model": label, "train.lr": "0.001"}
    name = f"{label}-s{seed}"
    checkpoint = Path(f"results/{name}.pt")
    return EarlierTrial(name, seed, axes, arm or f"arm{label}", score, checkpoint, "cafe")


BREEDS = Earlier(
    "breeds",
    "max",
    (
        trial("small", 0, 0.2),
        trial("small", 1, 0.4),
        trial("big", 0, 0.9),
        trial("big", 1, None),
        trial("untrained", 0, None),
    ),
)


def known(name: str) -> Earlier:
    if name != "breeds":
        raise BenchError(f"no experiment {name!r}")
    return BREEDS


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def make(model: str, lookup: Any = known, head: str = "", task: str = "segmentation") -> Plan:
        path = tmp_path / "spec.yaml"
        data = next(line for line in HEAD.splitlines(True) if line.startswith("data"))
        text = HEAD.replace(data, head or data).replace("segmentation", task)
        path.write_text(text + model)
        return resolve_weights(make_plan(load_spec(path)), lookup)

    return make


def exact(plan: Plan) -> list[str]:
    return [trial.settings.model.weights.exactly for trial in plan.trials]


def test_a_plan_without_weights_stays_as_it_is(planned: Maker) -> None:
    plan = planned("model: {name: unet, width: 0.1}\n")
    assert all(trial.settings.model.weights == "none" for trial in plan.trials)
    assert plan.trials[0].identity["model"]["weights"] == "none"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("{name: resnet18_unet, weights: imagenet}", "ResNet18_Weights.IMAGENET1K_V1"),
        (
            "{name: encoder_unet, encoder: mobilenet_v3_small, weights: imagenet}",
            "MobileNet_V3_Small_Weights.IMAGENET1K_V1",
        ),
    ],
)
def test_imagenet_by_its_full_name(planned: Maker, model: str, name: str, tmp_path: Path) -> None:
    plan = planned(f"model: {model}\n")
    identity = plan.trials[0].identity["model"]["weights"]
    assert identity == {"source": "imagenet", "exactly": name}
    weights = plan.trials[0].settings.model.weights
    assert Path(weights.file).parent == tmp_path / "torch" / "hub" / "checkpoints"
    check_weights(plan)  # without the file


def test_a_file_is_its_content_not_its_place(planned: Maker, tmp_path: Path) -> None:
    ids = []
    for name, content in (("a.pt", b"one"), ("b.pt", b"one"), ("c.pt", b"two")):
        (tmp_path / name).write_bytes(content)
        plan = planned(f"model: {{name: unet, weights: {tmp_path / name}}}\n")
        ids.append(plan.trials[0].id)
        assert exact(plan)[0] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert ids[0] == ids[1] != ids[2]


def test_the_best_trial_of_an_earlier_experiment_for_all_seeds(planned: Maker) -> None:
    plan = planned("model: {name: resnet18_unet, weights: {experiment: breeds}}\n")
    assert exact(plan) == ["breeds/big-s0, data cafe"] * 2
    where = "{experiment: breeds, where: {model: small, train.lr: 1e-3}}"
    plan = planned(f"model: {{name: resnet18_unet, weights: {where}}}\n")
    assert exact(plan) == ["breeds/small-s1, data cafe"] * 2
    assert plan.trials[0].settings.model.weights.file == "results/small-s1.pt"
    assert plan.trials[0].arm == plan.trials[1].arm


def test_the_best_may_be_the_lowest(planned: Maker) -> None:
    lowest = Earlier("breeds", "min", BREEDS.trials)
    plan = planned("model: {name: unet, weights: {experiment: breeds}}\n", lambda _: lowest)
    assert exact(plan)[0] == "breeds/small-s0, data cafe"


def test_same_seed_pairs_the_trials_within_one_arm(planned: Maker) -> None:
    where = "{experiment: breeds, where: {model: small}, pick: same_seed}"
    plan = planned(f"model: {{name: resnet18_unet, weights: {where}}}\n")
    files = [trial.settings.model.weights.file for trial in plan.trials]
    assert files == ["results/small-s0.pt", "results/small-s1.pt"]
    # repeats of one arm, although each starts from another checkpoint
    assert plan.trials[0].arm == plan.trials[1].arm
    assert "armsmall" in exact(plan)[0]


@pytest.mark.parametrize("pick", ["best", "same_seed"])
def test_pretraining_on_other_data_makes_other_trials(planned: Maker, pick: str) -> None:
    weights = f"{{experiment: breeds, where: {{model: small}}, pick: {pick}}}"
    spec = f"model: {{name: resnet18_unet, weights: {weights}}}\n"
    changed = tuple(replace(trial, fingerprint="beef") for trial in BREEDS.trials)
    other = planned(spec, lambda _: Earlier("breeds", "max", changed))
    assert planned(spec).trials[0].id != other.trials[0].id


@pytest.mark.parametrize(("normalize", "warned"), [("unit", True), ("imagenet", False)])
def test_weights_of_other_inputs_are_reported(planned: Maker, normalize: str, warned: bool) -> None:
    data = f"data: {{name: shapes, image_size: 32, normalize: {normalize}}}\n"
    plan = planned("model: {name: resnet18_unet, weights: imagenet}\n", head=data)
    cautions = [
        f"ImageNet's weights were trained with data.normalize: imagenet, but here it is {normalize}"
        ": frozen weights and statistics do not match their inputs"
    ]
    assert list(plan.warnings) == plan.record()["cautions"] == (cautions if warned else [])


def test_earlier_weights_of_other_inputs_are_reported(planned: Maker) -> None:
    trained_as = {"data.normalize": "symmetric"}
    trials = tuple(replace(trial, trained_as=trained_as) for trial in BREEDS.trials)
    model = "model: {name: resnet18_unet, weights: {experiment: breeds}}\n"
    plan = planned(model, lambda _: replace(BREEDS, trials=trials))
    assert [caution.split(",")[0] for caution in plan.warnings] == [
        "the earlier weights were trained with data.normalize: symmetric"
    ]


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ("residual: false", "model.residual: true, but here it is false"),
        ("depth: 50, stride_in: v1", "model.stride_in: v1.5, but here it is v1"),
        ("depth: 50", None),
    ],
)
def test_weights_in_another_network_of_equal_shapes_are_reported(
    planned: Maker, change: str, reported: str | None
) -> None:
    data = "data: {name: oxford_pet, image_size: 32, normalize: imagenet}\n"
    model = f"model: {{name: resnet, weights: imagenet, {change}}}\n"
    cautions = planned(model, head=data, task="classification").warnings
    assert [reported in caution for caution in cautions] == ([True] if reported else [])


def test_what_was_settled_comes_back_from_the_record(planned: Maker) -> None:
    plan = planned("model: {name: resnet18_unet, weights: {experiment: breeds}}\n")
    for made in plan.trials:
        again = load_trial(trial_config(made))
        assert (again.id, again.settings) == (made.id, made.settings)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("gone.pt", r"'gone\.pt' is neither none nor imagenet, and as a file it cannot be read"),
        ("{experiment: later}", "an experiment cannot start from its own trials"),
        ("{experiment: bread}", "no experiment 'bread'"),
        (
            "{experiment: breeds, where: {modle: small}}",
            r"experiment 'breeds' has no axis 'modle' \(did you mean 'model'\?\)",
        ),
        (
            "{experiment: breeds, where: {model: smal}}",
            r"axis model of 'breeds' has no level 'smal' \(did you mean 'small'\?\)",
        ),
        (
            "{experiment: breeds, where: {model: untrained}}",
            r"none of 1 trials is finished: `bench run` its spec first",
        ),
        (
            "{experiment: breeds, pick: same_seed}",
            "needs one arm of 'breeds'; name it with `where`",
        ),
        (
            "{experiment: breeds, where: {model: big}, pick: same_seed}",
            "its trial of seed 1 is not finished: `bench run` its spec first",
        ),
        (
            "{experiment: breeds, where: {model: untrained}, pick: same_seed}",
            "its trial of seed 0 is not finished",
        ),
        ("{source: file, exactly: x, file: y}", "`source` is set by planning"),
    ],
)
def test_what_there_is_not_is_refused_at_its_line(
    planned: Maker, weights: str, message: str
) -> None:
    with pytest.raises(SpecError, match=rf"spec\.yaml:6: model\.weights: .*{message}"):
        planned(f"model: {{name: resnet18_unet, weights: {weights}}}\n")


def test_imagenet_for_a_model_without_such_an_encoder(planned: Maker) -> None:
    second = "    b:\n      name: unet\n      weights: imagenet\n"
    grid = "grid:\n  model:\n    a: {name: resnet18_unet}\n" + second
    with pytest.raises(
        SpecError, match=r"spec\.yaml:11: grid\.model\.b\.weights: torchvision has no"
    ):
        planned(grid)


def test_an_axis_of_weights_is_named_too(planned: Maker) -> None:
    text = "model: {name: resnet18_unet}\ngrid:\n  model.weights:\n    - none\n    - gone.pt\n"
    with pytest.raises(SpecError, match=r"spec\.yaml:10: grid\.model\.weights\.1: 'gone\.pt'"):
        planned(text)


def test_arms_that_start_alike_are_refused(planned: Maker, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.pt").write_bytes(b"one")
    levels = f"{{a: {tmp_path}/a.pt, b: {tmp_path}/b.pt}}"
    with pytest.raises(SpecError, match=r"the arms \(a\) and \(b\) start with the same weights"):
        planned(f"model: {{name: unet}}\ngrid: {{model.weights: {levels}}}\n")


def test_a_wrong_width_is_refused_before_anything_is_fetched(planned: Maker) -> None:
    plan = planned(
        "grid:\n  model:\n"
        "    right: {name: resnet18_unet, weights: imagenet}\n"
        "    narrow: {name: resnet18_unet, width: 0.5, weights: imagenet}\n"
    )
    with pytest.raises(SpecError, match=r"conv1\.weight is 64×3×7×7 .* \(arm: narrow\)"):
        check_weights(plan)


def test_a_checkpoint_of_another_depth_is_refused(planned: Maker, tmp_path: Path) -> None:
    kind = MODELS.entry("resnet").settings
    small = MODELS.build(kind(width=0.1), in_channels=3, out_channels=4)
    torch.save({"model": small.state_dict(), "epoch": 1}, tmp_path / "best.pt")
    weights = f"weights: {tmp_path}/best.pt"
    check_weights(planned(f"model: {{name: resnet18_unet, width: 0.1, {weights}}}\n"))
    with pytest.raises(SpecError, match=r"model\.weights: .* is 6×3×7×7 in sha256:"):
        check_weights(planned(f"model: {{name: encoder_unet, encoder: resnet34, {weights}}}\n"))


def test_every_network_is_fetched_once(planned: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(module, "fetch_imagenet", fetched.append)
    plan = planned(
        "grid:\n  model:\n    a: {name: resnet18_unet, weights: imagenet}\n    b: {name: unet}\n"
        "  train.lr: [0.1, 0.2]\n"
    )
    fetch_weights(plan.trials)
    assert fetched == ["resnet18"]


def test_without_network_nothing_is_trained(
    planned: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(module.torch.hub, "download_url_to_file", fail)
    with pytest.raises(DataError, match=r"resnet18-f37072fd\.pth and put it at .*checkpoints"):
        fetch_weights(planned("model: {name: resnet18_unet, weights: imagenet}\n").trials)


CLASSES = """\
experiment: breeds
task: classification
data: {name: shapes, image_size: 32, kinds: 3}
train: {epochs: 1}
grid: {model: {small: {name: resnet, width: 0.1}}}
seeds: 4
"""


def test_the_store_is_looked_up(tmp_path: Path) -> None:
    plan, store = built.planned(tmp_path, CLASSES), Store(tmp_path / "results")
    store.write_plan("breeds", plan.record())
    for trial, top1 in zip(plan.trials, (0.5, 0.9, 0.7, 0.6), strict=True):
        rows = [{"epoch": 1, "train/loss": 1.0, "val/loss": 1.0, "val/top1": top1}]
        built.finish(store, plan, trial, rows=rows).best.write_bytes(b"")
    ids = [trial.id for trial in plan.trials]
    store.trial("breeds", ids[1]).write_status(TrialStatus(Status.RUNNING))
    edited = store.trial("breeds", ids[3])
    edited.summary_path.write_text(edited.summary_path.read_text().replace("0.6", "0.99"))
    found = lookup(store, tmp_path)("breeds")
    assert (found.name, found.mode) == ("breeds", "max")
    scores = [(ids[0], 0.5), (ids[1], None), (ids[2], 0.7), (ids[3], None)]
    assert [(t.id, t.score) for t in found.trials] == scores
    assert found.trials[0].checkpoint == store.root / "breeds" / ids[0] / "best.pt"


def test_an_experiment_that_was_not_run_names_the_command(tmp_path: Path) -> None:
    find = lookup(Store(tmp_path / "results"), tmp_path)
    with pytest.raises(BenchError, match=r"no experiment 'breeds'.*; `bench run` its spec first"):
        find("breeds")
    (tmp_path / "breeds.yaml").write_text("experiment: breeds\n")
    with pytest.raises(BenchError, match=r"`bench run .*breeds\.yaml` first"):
        find("breeds")


def test_weights_are_no_argument_of_a_models_builder() -> None:
    for name in MODELS.names():
        assert issubclass(MODELS.entry(name).settings, ModelSettings)
    kind = MODELS.entry("unet").settings
    MODELS.build(kind(width=0.1, weights="imagenet"), in_channels=3, out_channels=2)
