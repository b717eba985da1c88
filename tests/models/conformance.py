"""What every model must do; `test_conformance.py` asks it of every registered one."""

from __future__ import annotations

import io
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.settings import MODELS
from bench.registry import load_target

WIDTH = 0.1
SIDE = 64


@dataclass(frozen=True)
class Conformance:
    """A model with its options and the smallest image side that it takes."""

    target: str
    smallest: int
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.target.partition(":")[2], *map(str, self.options.values())])

    def build(self, **arguments: Any) -> nn.Module:
        torch.manual_seed(0)
        model = load_target(self.target)(**({"width": WIDTH} | self.options | arguments))
        assert isinstance(model, nn.Module)
        return model


def registered(smallest: dict[str, int]) -> list[Conformance]:
    """Every registered model with every combination of its options (its settings' literals)."""
    cases = []
    for name in MODELS.names():
        entry = MODELS.entry(name)
        choices = {
            key: typing.get_args(option.annotation)
            for key, option in entry.settings.model_fields.items()
            if key != "name" and typing.get_origin(option.annotation) is typing.Literal
        }
        for values in product(*choices.values()):
            options = dict(zip(choices, values, strict=True))
            cases.append(Conformance(entry.target, smallest[name], options))
    return cases


def images(count: int, height: int, width: int | None = None, channels: int = 3) -> Tensor:
    noise = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, height, width or height, generator=noise)


def gives_scores_of_the_images_size(case: Conformance) -> None:
    model = case.build().eval()
    least = case.smallest
    with torch.inference_mode():
        for height, width in [(SIDE, SIDE), (least, least), (33, 47), (50, least), (75, 64)]:
            assert model(images(2, height, width)).shape == (2, 2, height, width)


def takes_any_number_of_channels(case: Conformance) -> None:
    for inputs, outputs in [(1, 1), (4, 7)]:
        model = case.build(in_channels=inputs, out_channels=outputs).eval()
        with torch.inference_mode():
            assert model(images(1, 33, channels=inputs)).shape == (1, outputs, 33, 33)


def refuses_smaller_images_in_one_line(case: Conformance) -> None:
    model = case.build().eval()
    for height, width in [(case.smallest - 1, SIDE), (SIDE, case.smallest - 1)]:
        with pytest.raises(BenchError, match=rf"^data\.image_size: .*{case.smallest}×") as caught:
            model(images(1, height, width))
        assert "\n" not in str(caught.value)


def trains_on_one_smallest_image(case: Conformance) -> None:
    model = case.build().train()
    model(images(1, case.smallest)).mean().backward()
    assert all(torch.isfinite(p).all() for p in model.state_dict().values())


def sends_a_gradient_to_every_parameter(case: Conformance) -> None:
    model = case.build().train()
    F.cross_entropy(model(images(2, SIDE)), torch.zeros(2, SIDE, SIDE, dtype=torch.long)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # A bias in front of BatchNorm has no influence, so its gradient is 0 up to rounding.
        assert parameter.ndim == 1 or parameter.grad.abs().sum() > 0, name


def is_deterministic_in_evaluation(case: Conformance) -> None:
    model, batch = case.build().eval(), images(2, SIDE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        assert torch.equal(model(batch), model(batch))
        alone = model(batch[1:])
        torch.testing.assert_close(alone[0], model(batch)[1], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def scales_with_width(case: Conformance) -> None:
    with torch.device("meta"):
        counts = [_parameters(case.build(width=width)) for width in (0.25, 0.5, 1.0, 2.0)]
    # Parameters go with the square of the channels.
    for half, whole in pairwise(counts):
        assert 3.5 < whole / half < 4.1
    assert case.build(width=1e-3).eval()(images(1, 33)).shape == (1, 2, 33, 33)


def runs_in_bfloat16(case: Conformance) -> None:
    model = case.build().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model(images(2, 33))
    assert scores.dtype == torch.bfloat16
    scores.float().mean().backward()
    assert torch.isfinite(scores).all()


def gives_the_same_in_channels_last(case: Conformance) -> None:
    model, batch = case.build().eval(), images(2, SIDE)
    with torch.inference_mode():
        expected = model(batch)
        model = model.to(memory_format=torch.channels_last)
        found = model(batch.to(memory_format=torch.channels_last))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def comes_back_from_its_state_dict(case: Conformance) -> None:
    model = case.build().train()
    model(images(2, SIDE))  # so that BatchNorm's statistics are not their defaults
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    copy = load_target(case.target)(**({"width": WIDTH} | case.options))
    copy.load_state_dict(torch.load(file, weights_only=True), strict=True)
    with torch.inference_mode():
        assert torch.equal(copy.eval()(images(1, SIDE)), model.eval()(images(1, SIDE)))


def overfits_one_batch(case: Conformance) -> None:
    model, batch = case.build().train(), images(2, 32)
    masks = torch.zeros(2, 32, 32, dtype=torch.long)
    masks[0, :, :16] = 1
    masks[1, :16] = 1
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(model(batch), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CHECKS: tuple[Callable[[Conformance], None], ...] = (
    gives_scores_of_the_images_size,
    takes_any_number_of_channels,
    refuses_smaller_images_in_one_line,
    trains_on_one_smallest_image,
    sends_a_gradient_to_every_parameter,
    is_deterministic_in_evaluation,
    scales_with_width,
    runs_in_bfloat16,
    gives_the_same_in_channels_last,
    comes_back_from_its_state_dict,
    overfits_one_batch,
)
