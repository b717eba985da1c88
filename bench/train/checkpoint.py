"""Checkpoints: plain state dicts, written beside and renamed into place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.errors import StoreError, first_line


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` so that `path` is at every instant absent, the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(dict(state), beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only plain data and tensors are accepted.

    Raises:
        StoreError: the file is missing, cut short or holds code.
    """
    try:
        found: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise StoreError(f"{path}: no checkpoint there") from None
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise StoreError(f"{path}: not a readable checkpoint ({first_line(error)})") from error
    return found
