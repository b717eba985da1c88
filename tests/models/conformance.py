"""What every model must do; `test_conformance.py` asks it of every registered one."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.settings import MODELS, ModelSettings
from bench.registry import load_target

WIDTH = 0.1
SIDE = 40
# that come out
CHANNELS = {"segmentation": 2, "classification": 5, "multi_label": 5, "diffusion": 3}
# `Conformance.loss` of even scores for its two classes; and of predicting 0, where the images have
# a variance of 1 and the masks taken from them a mean square of 1/2.
TRIVIAL = dict.fromkeys(("segmentation", "classification", "multi_label"), math.log(2))
TRIVIAL |= {"diffusion": 1.5}
OF_IMAGES = ("classification", "multi_label")  # scores of whole images


@dataclass(frozen=True)
class Conformance:
    """A model with its options and one of the tasks that it serves.

    Attributes:
        smallest: the smallest image side that it takes.
        growth: how much more parameters a doubled width gives, at least; their number goes with the
            square of the channels, but for what has a fixed number of them at one end.
        encoder: how the names of its encoder's parameters begin.
    """

    name: str
    task: str
    smallest: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    growth: float = 3.5
    encoder: tuple[str, ...] = ("encoder.",)

    def __str__(self) -> str:
        options = (f"{key}={value}" for key, value in self.options.items())
        return "-".join(
            [self.name, *options, *([self.task] if len(self.supported_tasks) > 1 else [])]
        )

    @property
    def supported_tasks(self) -> frozenset[str]:
        return MODELS.entry(self.name).settings.supported_tasks

    def settings(self) -> ModelSettings:
        return MODELS.entry(self.name).settings(**self.options)

    def build(self, **arguments: Any) -> nn.Module:
        torch.manual_seed(0)
        builder = load_target(MODELS.entry(self.name).target)
        common = {"width": WIDTH, "out_channels": CHANNELS[self.task]}
        model = builder(**(common | self.options | arguments))
        assert isinstance(model, nn.Module)
        return model

    def inputs(
        self, count: int, height: int, width: int | None = None, channels: int = 3
    ) -> tuple[Tensor, ...]:
        """What the model is called with: images, and time steps in diffusion."""
        noise = torch.Generator().manual_seed(1)
        images = torch.randn(count, channels, height, width or height, generator=noise)
        steps = torch.tensor([20, 700, 999])[:count]
        return (images, steps) if self.task == "diffusion" else (images,)

    def output_shape(self, count: int, channels: int, *size: int) -> tuple[int, ...]:
        return (count, channels) if self.task in OF_IMAGES else (count, channels, *size)

    def loss(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """The task's main loss, with a target that is always the same."""
        found, images = model(*inputs), inputs[0]
        if self.task == "classification":
            return F.cross_entropy(found, torch.arange(len(images)))
        if self.task == "multi_label":
            labels = torch.eye(found.shape[1])[: len(images)]
            return F.binary_cross_entropy_with_logits(found, labels)
        masks = torch.zeros(len(images), *images.shape[-2:], dtype=torch.long)
        masks[0, :, : masks.shape[2] // 2] = 1
        masks[1:, : masks.shape[1] // 2] = 1
        if self.task == "diffusion":  # the images are noise and these masks
            return F.mse_loss(found, images - masks[:, None])
        return F.cross_entropy(found, masks)


def step(model: nn.Module, loss: Tensor) -> None:
    """One small step down the loss's gradient."""
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad


def gives_the_tasks_output(case: Conformance) -> None:
    model = case.build().eval()
    least, channels = case.smallest, CHANNELS[case.task]
    with torch.inference_mode():
        for size in [(SIDE, SIDE), (least, least), (33, 47), (50, least), (75, 64)]:
            found = model(*case.inputs(2, *size))
            assert found.shape == case.output_shape(2, channels, *size)


def takes_any_number_of_channels(case: Conformance) -> None:
    for inputs, outputs in [(1, 1), (4, 7)]:
        model = case.build(in_channels=inputs, out_channels=outputs).eval()
        with torch.inference_mode():
            found = model(*case.inputs(1, 33, channels=inputs))
        assert found.shape == case.output_shape(1, outputs, 33, 33)


def refuses_smaller_images_in_one_line(case: Conformance) -> None:
    model = case.build().eval()
    less = case.smallest - 1
    for size in [(less, SIDE), (SIDE, less)] if less else []:
        with pytest.raises(BenchError, match=rf"^data\.image_size: .*{case.smallest}×") as caught:
            model(*case.inputs(1, *size))
        assert "\n" not in str(caught.value)


def trains_on_one_smallest_image(case: Conformance) -> None:
    model = case.build().train()
    model(*case.inputs(1, case.smallest)).mean().backward()
    assert all(torch.isfinite(p).all() for p in model.state_dict().values())


def sends_a_gradient_to_every_parameter(case: Conformance) -> None:
    model, inputs = case.build().train(), case.inputs(2, SIDE)
    # A step first: what starts at 0 keeps gradients from what stands before it.
    step(model, case.loss(model, inputs))
    step(model, case.loss(model, inputs))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # A bias in front of BatchNorm has no influence, so its gradient is 0 up to rounding.
        assert parameter.ndim == 1 or parameter.grad.abs().sum() > 0, name


def names_the_stages_of_its_encoder(case: Conformance) -> None:
    model, stages = case.build(), case.settings().stages
    assert tuple(parts(model)) == stages
    if not stages:
        return
    found = [id(tensor) for modules in parts(model).values() for tensor in tensors(modules)]
    state = model.state_dict(keep_vars=True)
    encoder = [id(value) for name, value in state.items() if name.startswith(case.encoder)]
    assert len(found) == len(set(found))
    assert set(found) == set(encoder)


def sends_no_gradient_to_what_is_frozen(case: Conformance) -> None:
    for count in range(1, len(case.settings().stages) + 1):
        model = case.build().train()
        for modules in list(parts(model).values())[:count]:
            for module in modules:
                module.requires_grad_(False)
        case.loss(model, case.inputs(2, 33)).backward()
        kept = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert kept
        assert all(parameter.grad is not None for parameter in kept)
        assert sum(p.grad is not None for p in model.parameters()) == len(kept)


def is_deterministic_in_evaluation(case: Conformance) -> None:
    model, inputs = case.build().eval(), case.inputs(2, SIDE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        assert torch.equal(model(*inputs), model(*inputs))
        alone = model(*(values[1:] for values in inputs))
        torch.testing.assert_close(alone[0], model(*inputs)[1], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def scales_with_width(case: Conformance) -> None:
    with torch.device("meta"):
        counts = [_parameters(case.build(width=width)) for width in (0.25, 0.5, 1.0, 2.0)]
    for half, whole in pairwise(counts):
        assert case.growth < whole / half < 4.1
    model, (least, channels) = case.build(width=1e-3).eval(), (33, CHANNELS[case.task])
    assert model(*case.inputs(1, least)).shape == case.output_shape(1, channels, least, least)


def runs_in_bfloat16(case: Conformance) -> None:
    model = case.build().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(*case.inputs(2, 33))
    assert found.dtype == torch.bfloat16
    found.float().mean().backward()
    assert torch.isfinite(found).all()


def gives_the_same_in_channels_last(case: Conformance) -> None:
    model, (images, *others) = case.build().eval(), case.inputs(2, SIDE)
    with torch.inference_mode():
        expected = model(images, *others)
        model = model.to(memory_format=torch.channels_last)
        found = model(images.to(memory_format=torch.channels_last), *others)
    if found.ndim == 4:
        assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def comes_back_from_its_state_dict(case: Conformance) -> None:
    model, inputs = case.build().train(), case.inputs(2, SIDE)
    step(model, case.loss(model, inputs))  # neither weights nor statistics are their defaults
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    copy = case.build()
    copy.load_state_dict(torch.load(file, weights_only=True), strict=True)
    with torch.inference_mode():
        assert torch.equal(copy.eval()(*inputs), model.eval()(*inputs))


def overfits_one_batch(case: Conformance) -> None:
    model, inputs = case.build().train(), case.inputs(2, max(16, case.smallest))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.008)
    losses = []
    for _ in range(200):
        loss = case.loss(model, inputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < 0.3 * TRIVIAL[case.task]:
            return
    raise AssertionError(f"the loss went from {losses[0]} to {losses[-1]}")


def parts(model: nn.Module) -> dict[str, list[nn.Module]]:
    """The encoder's modules by stage; empty where the model has none."""
    found: Callable[[], dict[str, list[nn.Module]]] = getattr(model, "encoder_parts", dict)
    return found()


def tensors(modules: list[nn.Module]) -> Iterator[Tensor]:
    for module in modules:
        yield from module.state_dict(keep_vars=True).values()


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CHECKS: tuple[Callable[[Conformance], None], ...] = (
    gives_the_tasks_output,
    takes_any_number_of_channels,
    refuses_smaller_images_in_one_line,
    trains_on_one_smallest_image,
    sends_a_gradient_to_every_parameter,
    names_the_stages_of_its_encoder,
    sends_no_gradient_to_what_is_frozen,
    is_deterministic_in_evaluation,
    scales_with_width,
    runs_in_bfloat16,
    gives_the_same_in_channels_last,
    comes_back_from_its_state_dict,
    overfits_one_batch,
)
