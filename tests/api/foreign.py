"""A model of somebody's own, which leaves a trace where it is built."""

from __future__ import annotations

from torch import Tensor, nn

TRACES: list[str] = []


class Traced(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        TRACES.append("built")
        self.layer = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images)
        return found
