"""Models of other packages by `target:`; `bench` itself depends on none of them.

They come with the `test` extra, and the tests of a package that is not installed are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.errors import SpecError
from bench.models.settings import MODELS
from bench.plan.cost import model_costs
from bench.plan.expand import make_plan
from bench.plan.trial import Trial
from bench.registry import Custom
from bench.spec.load import load_spec
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent

SMP = "segmentation_models_pytorch"

SEGMENTATION = """
experiment: foreign
task: segmentation
data: {name: shapes, image_size: 32, train: 8, val: 4, test: 4}
model:
  target: segmentation_models_pytorch:Unet
  encoder_name: resnet18
  encoder_weights: null  # none, so that nothing is downloaded
  classes: 2
train: {epochs: 1, batch_size: 4}
machine: {device: cpu, threads: 1}
"""

CLASSIFICATION = """
experiment: foreign
task: classification
data: {name: shapes, image_size: 32, kinds: 3, train: 8, val: 4, test: 4}
model: {target: "timm:create_model", model_name: resnet10t, num_classes: 3}
train: {epochs: 1, batch_size: 4}
machine: {device: cpu, threads: 1}
"""


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> None:
    pytest.importorskip(
        request.param, reason=f"{request.param} is not installed: pip install -e '.[test]'"
    )


def only_trial(folder: Path, text: str, *overrides: str) -> Trial:
    path = folder / "foreign.yaml"
    path.write_text(text)
    (trial,) = make_plan(load_spec(path, overrides)).trials
    return trial


@pytest.mark.parametrize(
    ("installed", "text", "shape"),
    [(SMP, SEGMENTATION, (2, 2, 32, 32)), ("timm", CLASSIFICATION, (2, 3))],
    indirect=["installed"],
    ids=[SMP, "timm"],
)
def test_is_planned_and_trained(
    installed: None, text: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    trial = only_trial(tmp_path, text)
    model = MODELS.build(trial.settings.model, in_channels=3, out_channels=shape[1])
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == shape
    (cost,) = model_costs([trial]).values()
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.macs
    recorder = MemoryRecorder(tmp_path)
    train_trial(trial, recorder, Silent())
    assert len(recorder.rows) == 1
    assert recorder.facts["test_loss"] > 0


@pytest.mark.parametrize("installed", [SMP], indirect=True)
def test_null_arrives_as_none(installed: None, tmp_path: Path) -> None:
    settings = only_trial(tmp_path, SEGMENTATION).settings.model
    assert isinstance(settings, Custom)
    assert settings.encoder_weights is None  # type: ignore[attr-defined]  # an argument of its own


@pytest.mark.parametrize(
    ("installed", "text", "override", "message"),
    [
        (SMP, SEGMENTATION, "model.classes=3", r"its output .* is \(1, 3, 32, 32\)"),
        (SMP, SEGMENTATION, "model.encoder_name=resnet19", "resnet19"),
        ("timm", CLASSIFICATION, "model.num_classes=4", r"its output .* is \(1, 4\)"),
        ("timm", CLASSIFICATION, "model.model_name=resnet19", "resnet19"),
    ],
    indirect=["installed"],
    ids=["smp-classes", "smp-encoder", "timm-classes", "timm-model"],
)
def test_a_wrong_argument_is_refused_when_planning(
    installed: None, text: str, override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=f"^model: .*cannot be used: .*{message}"):
        model_costs([only_trial(tmp_path, text, override)])
