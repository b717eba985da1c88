"""Random streams, derived from a trial's seed by name.

No stream depends on another or on a trial's position in the plan, so trials with one seed see the
same order and the same draws whatever else differs, and a resumed epoch draws what it would have
drawn.
"""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def stream_seed(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream called `name` of a trial with this seed."""
    text = "/".join(str(part) for part in (seed, *name))
    # 63 bits: torch's generators take signed 64-bit seeds
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *name: str | int) -> torch.Generator:
    """A CPU generator for the stream called `name`."""
    return torch.Generator().manual_seed(stream_seed(seed, *name))


def generator_on(device: torch.device, seed: int, *name: str | int) -> torch.Generator:
    """The same on a device, for draws too many to be made on the CPU: each kind has its own."""
    return torch.Generator(device).manual_seed(stream_seed(seed, *name))


def seed_globals(seed: int, *name: str | int) -> None:
    """Seed Python's, NumPy's and torch's global generators, for code that draws from them."""
    value = stream_seed(seed, *name)
    random.seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002 - third-party code draws from the global one
    torch.manual_seed(value)
