"""What the benchmarks share: taking turns, medians, a table, peers that may be missing."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import NamedTuple

import torch


class Line(NamedTuple):
    """A row of a table: what was measured, its figure with its unit, its ratio to another's."""

    name: str
    figure: str
    ratio: float | None = None


def alternate(
    runs: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1
) -> dict[str, float]:
    """Median seconds of each of `runs`, which take turns; the first `warmup` rounds do not count.

    A busy machine slows all of them alike, so compare what one call returned, never two calls.
    """
    found = every_round({name: partial(seconds, run) for name, run in runs.items()}, rounds, warmup)
    return {name: statistics.median(taken) for name, taken in found.items()}


def every_round(
    runs: Mapping[str, Callable[[], float]], rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """The seconds that each of `runs` says it took, in each round that counts.

    Every other round goes through them backwards, so that none always follows the same one.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warmup + rounds):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            taken[name].append(runs[name]())
    return {name: each[warmup:] for name, each in taken.items()}


def seconds(run: Callable[[], object]) -> float:
    """Seconds of one call, with CUDA's queue emptied before and after."""
    _synchronise()
    start = time.perf_counter()
    run()
    _synchronise()
    return time.perf_counter() - start


def table(rows: Iterable[Line | tuple[str, str] | tuple[str, str, float | None]]) -> None:
    """Print name, figure and ratio of each row."""
    lines = [Line(*row) for row in rows]
    names = max(len(line.name) for line in lines)
    figures = max(len(line.figure) for line in lines)
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:9.3g}×"
        print(f"{line.name:{names}s}  {line.figure:>{figures}s}{ratio}".rstrip())


def peer(module: str) -> ModuleType | None:
    """A library to compare with, or None, said in a line, where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        print(f"{module}: not installed ({error}), so not compared: pip install -e '.[peers]'")
        return None


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
