"""Dividing machines that are not this one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.errors import DeviceError
from bench.run import resources
from bench.run.resources import assign_gpus, fit_on_gpu
from bench.run.worker import WorkerResources


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cpu_count", lambda: 8)
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["2", "GPU-b"])
    memory = SimpleNamespace(available=20e9)
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("device", "jobs", "threads", "expected"),
    [
        ("auto", None, None, [WorkerResources(4, "2"), WorkerResources(4, "GPU-b")]),
        ("cuda", 1, None, [WorkerResources(8, "2")]),
        ("cuda", 1, 3, [WorkerResources(3, "2")]),
        ("cpu", None, None, [WorkerResources(1, "", 5)] * 5),  # 4 GB for each
        ("cpu", None, 4, [WorkerResources(4, "", 2)] * 2),
        ("cpu", 1, None, [WorkerResources(8, "")]),
        ("cpu", 3, None, [WorkerResources(2, "", 3)] * 3),
        ("cpu", 16, None, [WorkerResources(1, "", 16)] * 16),
    ],
)
@pytest.mark.usefixtures("machine")
def test_divide(
    device: str, jobs: int | None, threads: int | None, expected: list[WorkerResources]
) -> None:
    assert assign_gpus(device, jobs, threads, 100) == expected


@pytest.mark.usefixtures("machine")
def test_more_workers_than_gpus_share_them_in_turn() -> None:
    first, second = WorkerResources(2, "2", 2), WorkerResources(2, "GPU-b", 2)
    assert assign_gpus("cuda", 4, None, 100) == [first, second, first, second]
    assert assign_gpus("auto", 3, None, 100) == [first, WorkerResources(2, "GPU-b", 1), first]


@pytest.mark.usefixtures("machine")
def test_no_more_at_a_time_than_fit() -> None:
    asked: list[int] = []

    def max_trials_per_gpu(wanted: int) -> int:
        asked.append(wanted)
        return 2

    assert len(assign_gpus("cuda", 7, None, 100, max_trials_per_gpu)) == 4
    assert len(assign_gpus("cuda", 3, None, 100, max_trials_per_gpu)) == 3
    assert len(assign_gpus("cuda", 2, None, 100, max_trials_per_gpu)) == 2
    assert len(assign_gpus("cpu", 7, None, 100, max_trials_per_gpu)) == 7
    assert asked == [4, 2]


@pytest.mark.parametrize(
    ("peaks", "wanted", "expected"),
    [
        ([4000.0, 1000.0, 3000.0], 3, 2),  # 4000 + 3000 + 600 of 9000; 1000 + 600 more do not fit
        ([4000.0, 1000.0, 2500.0], 3, 3),  # 4000 + 2500 + 1000 + 2 · 600 = 8700
        ([4000.0, 1000.0, 2500.0], 2, 2),
        ([8000.0, 500.0], 2, 1),
        ([100.0, None], 2, 1),
        ([20_000.0], 4, 1),
        ([100.0], 4, 1),
    ],
)
def test_side_by_side(peaks: list[float | None], wanted: int, expected: int) -> None:
    assert fit_on_gpu(peaks, 10_000, wanted) == expected


@pytest.mark.usefixtures("machine")
def test_few_trials_are_alone_but_keep_their_threads() -> None:
    assert assign_gpus("cuda", 4, None, 2) == [
        WorkerResources(2, "2"),
        WorkerResources(2, "GPU-b"),
    ]
    assert assign_gpus("cpu", None, None, 1) == [WorkerResources(1, "")]


@pytest.mark.usefixtures("machine")
def test_trials_of_two_devices_have_two_gpus_or_two_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def two(device: str, jobs: int | None = None) -> list[WorkerResources]:
        return assign_gpus(device, jobs, None, 100, devices=2)

    assert two("cuda") == [WorkerResources(4, "2,GPU-b")]
    assert two("cuda", 2) == [WorkerResources(2, "2,GPU-b", 2)] * 2
    assert two("cpu") == [WorkerResources(2, "", 2)] * 2  # 4 GB for each process
    assert two("cpu", 1) == [WorkerResources(4, "")]
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["0", "1", "2"])
    assert [worker.gpus for worker in two("cuda")] == ["0,1"]
    with pytest.raises(DeviceError, match=r"train\.devices: 4 is more than the GPUs .*\(3\)"):
        assign_gpus("auto", None, None, 100, devices=4)


def test_cuda_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "visible_gpus", list)
    with pytest.raises(DeviceError, match="no CUDA device"):
        assign_gpus("cuda", None, None, 1)
    assert assign_gpus("auto", None, None, 1)[0].gpus == ""
