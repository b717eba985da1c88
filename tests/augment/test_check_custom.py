from typing import Any

import pytest
import torch
from torch import Tensor

from bench.augment.check_custom import check_custom_transforms
from bench.augment.settings import AugmentSettings
from bench.errors import SpecError

Size = tuple[int, int]


class Flat:
    """An affine transform whose matrices are as told."""

    def __init__(self, p: float, kind: str) -> None:
        self.p, self.kind = p, kind

    def matrices(self, n: int, _size: Size, _generator: torch.Generator) -> Any:
        if self.kind == "broken":
            raise ZeroDivisionError("half of nothing")
        found = torch.eye(3, dtype=torch.float64)[:2].repeat(n, 1, 1)
        return {"one": found[0], "single": found.float(), "list": found.tolist()}[self.kind]


class Wave:
    """A displacement whose draws and field are as told."""

    def __init__(self, p: float, draws: int = 2, channels: int = 2) -> None:
        self.p, self.draws, self.channels = p, draws, channels

    def draw(self, _n: int, _size: Size, _generator: torch.Generator) -> Tensor:
        return torch.zeros(self.draws, 1)

    def displacement(self, drawn: Tensor, size: Size) -> Tensor:
        return torch.zeros(len(drawn), self.channels, *size)


class Grey:
    """A change of values that returns one channel, which torch would stretch over three."""

    def __init__(self, p: float) -> None:
        self.p = p

    def draw(self, n: int, _size: Size, _generator: torch.Generator) -> Tensor:
        return torch.zeros(n)

    def adjust(self, images: Tensor, _drawn: Tensor) -> Tensor:
        return images.mean(1, keepdim=True)


class Nothing:
    def __init__(self, p: float) -> None:
        self.p = p


def settings(*transforms: dict[str, Any]) -> AugmentSettings:
    return AugmentSettings.model_validate(list(transforms))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"target": "Flat", "kind": "one"}, r"`matrices` must .* float64, .* returned \(2, 3\)"),
        ({"target": "Flat", "kind": "single"}, r"float64, .* returned \(2, 2, 3\) float32 on cpu"),
        ({"target": "Flat", "kind": "list"}, "`matrices` must return a tensor, not list"),
        ({"target": "Flat", "kind": "broken"}, "fails on 2 images: .*half of nothing"),
        ({"target": "Wave", "draws": 1}, r"row per sample.* for 2 samples it returned \(1, 1\)"),
        ({"target": "Wave", "channels": 1}, r"`displacement` must return \(2, 2, 8, 8\) float32"),
        ({"target": "Grey"}, r"`adjust` must return \(2, 3, 8, 8\) float32"),
        ({"target": "Nothing"}, "is no transform"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_with_its_target(transform: dict[str, Any], message: str) -> None:
    transform["target"] = f"{__name__}:{transform['target']}"
    for given in (transform, {"one_of": [{"p": 0.5, **transform}]}):
        with pytest.raises(SpecError, match=f"{transform['target']}.*{message}"):
            check_custom_transforms(settings(given), (8, 8))


def test_what_is_right_passes() -> None:
    custom = f"{__package__}.custom"
    check_custom_transforms(
        settings(
            {"target": f"{custom}:Shift", "most": 9},
            {"one_of": [{"target": f"{custom}:Ripple", "height": 3, "p": 0.5}]},
            {"target": f"{custom}:Tint", "share": 0.3},
            {"name": "hflip"},
        ),
        (8, 8),
    )
