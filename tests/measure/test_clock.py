from __future__ import annotations

import time

import pytest
import torch

from bench.measure.clock import Stopwatch


@pytest.fixture
def synchronised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    devices: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: devices.append(str(device)))
    return devices


def test_measures_what_a_block_takes() -> None:
    with Stopwatch("cpu") as watch:
        time.sleep(0.05)
    taken = watch.seconds()
    time.sleep(0.02)
    assert watch.seconds() == taken
    assert 0.05 <= taken < 1.0


def test_start_begins_anew() -> None:
    watch = Stopwatch("cpu").start()
    time.sleep(0.05)
    first = watch.seconds()
    assert watch.start().seconds() < first


def test_not_started() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        Stopwatch("cpu").seconds()


def test_synchronises_cuda_at_both_ends_only(synchronised: list[str]) -> None:
    with Stopwatch("cuda:1") as watch:
        pass
    watch.seconds()
    assert synchronised == ["cuda:1", "cuda:1"]


def test_leaves_cuda_alone_on_the_cpu(synchronised: list[str]) -> None:
    with Stopwatch("cpu"):
        pass
    assert synchronised == []
