"""Dividing machines that are not this one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.errors import DeviceError
from bench.run import shares
from bench.run.shares import divide
from bench.run.worker import Share


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "cpu_count", lambda: 8)
    monkeypatch.setattr(shares, "visible_gpus", lambda: ["2", "GPU-b"])
    memory = SimpleNamespace(available=20e9)
    monkeypatch.setattr(shares.psutil, "virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("device", "jobs", "threads", "expected"),
    [
        ("auto", None, None, [Share(4, "2"), Share(4, "GPU-b")]),
        ("cuda", 1, None, [Share(8, "2")]),
        ("cuda", 5, 3, [Share(3, "2"), Share(3, "GPU-b")]),
        ("cpu", None, None, [Share(1, "")] * 5),  # 4 GB for each
        ("cpu", None, 4, [Share(4, "")] * 2),
        ("cpu", 1, None, [Share(8, "")]),
        ("cpu", 3, None, [Share(2, "")] * 3),
        ("cpu", 16, None, [Share(1, "")] * 16),
    ],
)
@pytest.mark.usefixtures("machine")
def test_divide(device: str, jobs: int | None, threads: int | None, expected: list[Share]) -> None:
    assert divide(device, jobs, threads) == expected


def test_cuda_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "visible_gpus", list)
    with pytest.raises(DeviceError, match="no CUDA device"):
        divide("cuda", None, None)
    assert divide("auto", None, None)[0].gpus == ""
