"""Models that misbehave, named by `target:` in tests."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn


class Tiny(nn.Module):
    """One convolution; what goes wrong with it is up to its subclasses."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(images)
        return scores


class Crashing(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the model broke\nover two lines")


class NamingAServer(Tiny):
    """As requests' and SQLAlchemy's errors do, with all that gives access."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise ConnectionError("cannot reach https://me:hunter2@store.example/weights.pt")


class CrashingInTraining(Tiny):
    """Survives having its cost measured."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("the model broke")
        return super().forward(images)


class NamingNoText(Tiny):
    """Prints and raises what UTF-8 cannot say, as the name of a file may be."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        print(os.fsdecode(b"reading \xff.png"))
        raise RuntimeError(os.fsdecode(b"cannot read \xff.png"))


class OutOfMemory(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB.")


class OutOfMainMemory(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + torch.empty(10**15)[0]


class Killed(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


class KilledOnce(Tiny):
    """Killed in its fourth training step, unless the file `marker` is there already."""

    def __init__(self, in_channels: int, out_channels: int, marker: str) -> None:
        super().__init__(in_channels, out_channels)
        self.marker = Path(marker)
        self.passes = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes += self.training
        if self.passes > 3 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


class KilledWithAChild(Tiny):
    """Leaves a process behind that holds the worker's end of the line."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        if self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


class Segfaulting(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            ctypes.string_at(0)
        return super().forward(images)


class Exiting(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            os._exit(3)
        return super().forward(images)


class Hanging(Tiny):
    """A call that never comes back, within an epoch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            time.sleep(600)
        return super().forward(images)


class Slow(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        print("one step", flush=True)
        time.sleep(0.05)
        return super().forward(images)


class Hungry(Tiny):
    """Takes memory until there is none left, 100 MB at a time."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        taken = []
        while self.training:
            taken.append(torch.ones(25_000_000))
        return super().forward(images)
