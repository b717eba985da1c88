"""Weights to start with: read safely, fitted by name and shape, refused with the first misfit."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bench.errors import DataError, SpecError
from bench.models import weights as module
from bench.models.settings import MODELS
from bench.models.weights import (
    encoder_names,
    fetch_imagenet,
    imagenet,
    imagenet_file,
    imagenet_shapes,
    load,
    match_weights,
    read,
)
from bench.models.weights_settings import (
    TORCHVISION_MODELS,
    ResolvedWeights,
    torchvision_encoder,
)

HEAD = 2  # a linear layer's or a convolution's weight and bias


def model(name: str, classes: int = 2, **options: Any) -> nn.Module:
    settings = MODELS.entry(name).settings(name=name, **options)
    found: nn.Module = MODELS.build(settings, in_channels=3, out_channels=classes)
    return found


def randomised(source: nn.Module) -> dict[str, Tensor]:
    """A state dict of its names and shapes with values of no initialisation."""
    draws = torch.Generator().manual_seed(1)
    return {
        name: torch.randint(5, 99, value.shape, generator=draws).to(value.dtype)
        for name, value in source.state_dict().items()
    }


def settled(file: Path | str, source: str = "file") -> ResolvedWeights:
    return ResolvedWeights.model_validate({"source": source, "exactly": "those", "file": str(file)})


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(state: Any) -> Path:
        torch.save(state, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return save


@pytest.fixture
def fake_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Made-up weights of ResNet18 where torchvision's own would lie, as old as to lack counters."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = randomised(torchvision.models.resnet18(weights=None))
    state = {name: value for name, value in state.items() if not name.endswith("tracked")}
    file = imagenet_file("resnet18")
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    return state


def test_a_checkpoint_of_ours_and_a_plain_state_dict(saved: Callable[[Any], Path]) -> None:
    state = {"a.weight": torch.ones(2)}
    for content in (state, {"model": state, "epoch": 3}):
        assert list(read(saved(content))) == ["a.weight"]


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code ran",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 cut short", "not a readable file of weights"),
        (pickle.dumps(Evil(), 2), "not a readable file of weights"),
        ({}, "holds no state dict"),
        ([torch.ones(2)], "holds no state dict"),
        ({"model": {"a": 1}}, "holds no state dict"),
    ],
)
def test_bad_files_are_refused_by_name(
    saved: Callable[[Any], Path], content: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved({})
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        saved(content)
    with pytest.raises(DataError, match=rf"weights\.pt: {message}") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.pt: no such file of weights"):
        read(tmp_path / "gone.pt")


@pytest.mark.parametrize("name", ["unet", "resnet18_unet", "resnet", "ddpm_unet"])
def test_a_model_takes_its_own_checkpoint_whole(name: str, saved: Callable[[Any], Path]) -> None:
    options = {"width": 0.1} if name != "ddpm_unet" else {"width": 0.25}
    target = model(name, **options)
    state = randomised(target)
    reported = load(target, settled(saved(state)))
    assert reported == f"Starting from those: the whole model ({len(state)} tensors)."
    for key, value in target.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", ["unet", "resnet34_unet", "resnet18_unet", "resnet"])
def test_with_other_classes_only_the_output_layer_is_new(
    name: str, saved: Callable[[Any], Path]
) -> None:
    target = model(name, classes=5, width=0.1)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = randomised(model(name, classes=2, width=0.1))
    reported = load(target, settled(saved(state)))
    assert f"all but the output layer ({len(state) - HEAD} tensors)" in reported
    new = {key for key, value in target.state_dict().items() if torch.equal(value, before[key])}
    assert len(new) == HEAD
    assert {key.split(".")[0] for key in new} <= {"head", "fc"}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (("resnet", {"width": 0.1}), ("resnet18_unet", {"width": 0.1})),
        (("resnet18_unet", {"width": 0.1}), ("resnet", {"width": 0.1})),
        (("resnet", {}), ("encoder_unet", {"encoder": "resnet18", "width": 0.1})),
    ],
)
def test_a_trunk_goes_into_another_models_encoder(
    source: tuple[str, Any], target: tuple[str, Any], saved: Callable[[Any], Path]
) -> None:
    state = randomised(model(source[0], 37, **source[1]))
    into = model(target[0], 2, **target[1])
    before = {key: value.clone() for key, value in into.state_dict().items()}
    encoder = encoder_names(into)
    assert "the encoder (120 tensors)" in load(into, settled(saved(state)))
    for key, value in into.state_dict().items():
        bare = key.removeprefix("encoder.")
        there = bare if bare in state else f"encoder.{key}"
        assert torch.equal(value, state[there] if key in encoder else before[key]), key


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18_unet", {}),
        ("resnet", {"depth": 18}),
        ("encoder_unet", {"encoder": "resnet18", "width": 0.1}),
    ],
)
def test_imagenet_fills_the_encoder_and_nothing_else(
    name: str, options: dict[str, Any], fake_imagenet: dict[str, Tensor]
) -> None:
    target = model(name, 1000, **options)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    encoder = set(encoder_names(target))
    weights = settled(imagenet_file("resnet18"), "imagenet")
    assert load(target, weights) == "Starting from those: the encoder (100 tensors)."
    for key, value in target.state_dict().items():
        bare = key.removeprefix("encoder.")
        taken = key in encoder and not key.endswith("tracked")
        assert torch.equal(value, fake_imagenet[bare] if taken else before[key]), key


@pytest.mark.parametrize("encoder", ["vit_b_16", "inception_v3", "mobilenet_v3_small"])
def test_imagenet_fits_encoders_of_every_kind(encoder: str) -> None:
    target = model("encoder_unet", encoder=encoder, width=0.1)
    shapes = imagenet_shapes(encoder)
    assert all(value.is_meta for value in shapes.values())
    match = match_weights(target, shapes, settled("", "imagenet"))
    assert match.what == "the encoder"
    assert sorted(match.names) == sorted(encoder_names(target))
    # torchvision's `encoder.` of a Transformer is not mistaken for ours
    assert all(own == f"encoder.{there}" for own, there in match.names.items())


def test_every_model_that_offers_imagenet_takes_it() -> None:
    needed = {"encoder_unet": {"encoder": "resnet18"}}
    for name in TORCHVISION_MODELS:
        settings = MODELS.entry(name).settings(name=name, **needed.get(name, {}))
        encoder = torchvision_encoder(settings)
        assert encoder is not None
        match_weights(
            model(name, **needed.get(name, {})), imagenet_shapes(encoder), settled("", "imagenet")
        )
    others = set(MODELS.names()) - set(TORCHVISION_MODELS)
    for name in others:
        assert torchvision_encoder(MODELS.entry(name).settings(name=name)) is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18_unet", {"width": 0.5}, "conv1.weight is 64×3×7×7 in those and 32×3×7×7 in the"),
        ("resnet", {"depth": 34}, "those has no layer1.2.conv1.weight"),
        ("resnet", {"norm": "none"}, "those has no conv1.bias"),
    ],
)
def test_the_first_misfit_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=rf"model\.weights: {re.escape(message)}"):
        match_weights(model(name, **options), imagenet_shapes("resnet18"), settled("", "imagenet"))


def test_a_model_without_an_encoder_takes_all_or_nothing() -> None:
    narrow, wide = model("unet", width=0.1), model("unet", width=0.2)
    with pytest.raises(SpecError, match=r"is 6×3×3×3 in those and 13×3×3×3 in the model"):
        match_weights(wide, narrow.state_dict(), settled(""))
    with pytest.raises(SpecError, match="those has no "):
        match_weights(narrow, model("resnet", width=0.1).state_dict(), settled(""))


def test_imagenet_is_version_1_by_its_full_name(fake_imagenet: dict[str, Tensor]) -> None:
    assert str(imagenet("resnet50")) == "ResNet50_Weights.IMAGENET1K_V1"
    assert imagenet_file("resnet50").name == "resnet50-0676ba61.pth"


def test_what_is_in_the_cache_is_not_fetched(
    fake_imagenet: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.torch.hub, "download_url_to_file", lambda *a, **k: 1 / 0)
    fetch_imagenet("resnet18")


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("invalid hash value")])
def test_without_network_the_file_and_its_place_are_named(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, *_: Any, hash_prefix: str, **__: Any) -> None:
        assert (url.rpartition("/")[2], hash_prefix) == ("resnet18-f37072fd.pth", "f37072fd")
        raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(module.torch.hub, "download_url_to_file", fail)
    weights = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    with pytest.raises(
        DataError, match=rf"resnet18-f37072fd\.pth and put it at {weights}"
    ) as caught:
        fetch_imagenet("resnet18")
    assert "ResNet18_Weights.IMAGENET1K_V1" in str(caught.value)
