"""Weights of three channels in a model of more, or fewer."""

from __future__ import annotations

import pytest
import torch

from bench.models.settings import MODELS
from bench.models.weights import imagenet_shapes, load, match_weights, with_adapted_input
from bench.models.weights_settings import ResolvedWeights


def test_equal_channels_give_what_three_gave() -> None:
    weight = torch.randn(4, 3, 3, 3)
    image = torch.randn(1, 1, 8, 8)
    before = torch.conv2d(image.expand(1, 3, 8, 8), weight)
    for channels in (1, 2, 4, 5, 6, 13):
        own = {"stem.weight": torch.empty(4, channels, 3, 3)}
        found, how = with_adapted_input(own, {"stem.weight": weight})
        if channels in (1, 6):  # whole repetitions
            after = torch.conv2d(image.expand(1, channels, 8, 8), found["stem.weight"])
            assert torch.allclose(after, before, atol=1e-5)
        assert found["stem.weight"].shape == (4, channels, 3, 3)
        assert f"from 3 to {channels} channels" in how
    repeated, _ = with_adapted_input({"a": torch.empty(4, 5, 3, 3)}, {"a": weight})
    assert torch.equal(repeated["a"][:, 3], weight[:, 0] * (3 / 5))


def test_nothing_is_adapted_that_fits_or_is_another_layer() -> None:
    weight = torch.randn(4, 3, 3, 3)
    for own in (torch.empty(4, 3, 3, 3), torch.empty(4, 5, 7, 7), torch.empty(8, 5, 3, 3)):
        found, how = with_adapted_input({"a": own}, {"a": weight})
        assert found["a"] is weight
        assert how == ""


@pytest.mark.parametrize("name", ["resnet18_unet", "resnet50_linknet"])
def test_imagenet_weights_go_into_five_channels(name: str) -> None:
    settings = MODELS.entry(name).settings(name=name)
    model = MODELS.build(settings, in_channels=5, out_channels=2)
    resolved = ResolvedWeights.model_validate(
        {"source": "imagenet", "exactly": "those", "file": "x"}
    )
    from bench.models.weights_settings import torchvision_encoder

    match = match_weights(model, imagenet_shapes(str(torchvision_encoder(settings))), resolved)
    assert match.what == "the encoder"


def test_it_is_said_how(tmp_path: object) -> None:
    settings = MODELS.entry("unet").settings(name="unet", width=0.1)
    three = MODELS.build(settings, in_channels=3, out_channels=2)
    file = f"{tmp_path}/w.pt"
    torch.save(three.state_dict(), file)
    five = MODELS.build(settings, in_channels=5, out_channels=2)
    resolved = ResolvedWeights.model_validate({"source": "file", "exactly": "w.pt", "file": file})
    line = load(five, resolved)
    assert line.endswith("first layer adapted from 3 to 5 channels (repeated, times 3/5).")
