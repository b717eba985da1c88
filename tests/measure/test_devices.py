from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml
import pytest

from bench.measure import devices
from bench.measure.devices import cgroup_quota, cpu_count, gpus_in_mask, visible_gpus

UUIDS = ["GPU-aa11", "GPU-aa22", "GPU-bb33"]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (None, ["0", "1", "2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["2", "0"]),
        (" 1 , 2 ", ["1", "2"]),
        ("0,-1,1", ["0"]),  # what follows an entry that names nothing is hidden
        ("0,3,1", ["0"]),
        ("0,x,1", ["0"]),
        ("NoDevFiles", []),
        ("0,0", []),  # naming one twice hides all
        ("0,GPU-aa11", []),
        ("GPU-bb", ["GPU-bb"]),
        ("GPU-aa22,GPU-bb33", ["GPU-aa22", "GPU-bb33"]),
        ("GPU-aa", []),  # fits two
        ("GPU-cc", []),
        ("MIG-1,MIG-2", ["MIG-1", "MIG-2"]),
    ],
)
def test_mask(mask: str | None, expected: list[str]) -> None:
    assert gpus_in_mask(mask, UUIDS) == expected


@pytest.mark.parametrize("mask", [None, "0", "MIG-1"])
def test_no_driver_no_gpu(mask: str | None) -> None:
    assert gpus_in_mask(mask, []) == []


def fail(*_: object) -> Any:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


def pretend(monkeypatch: pytest.MonkeyPatch, instances: dict[str, list[str]]) -> list[bool]:
    """NVML with the GPUs `UUIDS`, some of them divided; it notes when it is closed."""
    closed: list[bool] = []

    def instance(gpu: str, number: int) -> str:
        return instances[gpu][number] if number < len(instances[gpu]) else fail()

    for name, function in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: closed.append(True),
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: UUIDS[index],
        "nvmlDeviceGetUUID": lambda handle: handle,
        "nvmlDeviceGetMigMode": lambda gpu: (1, 1) if gpu in instances else fail(),
        "nvmlDeviceGetMaxMigDeviceCount": lambda _: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": instance,
    }.items():
        monkeypatch.setattr(pynvml, name, function)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return closed


def test_visible_gpus_asks_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = pretend(monkeypatch, {})
    assert visible_gpus() == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == ["1"]
    assert closed == [True, True]


def test_a_divided_gpu_counts_as_its_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"GPU-aa22": ["MIG-1", "MIG-2"]})
    assert visible_gpus() == ["GPU-aa11", "MIG-1", "MIG-2", "GPU-bb33"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2")
    assert visible_gpus() == ["MIG-2"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    pretend(monkeypatch, {"GPU-aa11": []})  # in MIG mode without an instance: nothing to run on
    assert visible_gpus() == ["0", "1", "2"]


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == []
    assert devices.driver_version() is None


LIBCUDA = """
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetUuid(unsigned char *uuid, int device) { memset(uuid, 0xa0 + device, 16); return 0; }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_without_nvml_cuda_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cuda.c").write_text(LIBCUDA)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "cuda.c"], check=True)
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a1a1a1a1")
    assert visible_gpus() == ["GPU-a1a1a1a1"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_quota_of_version_2_is_the_tightest_on_the_way_up(tmp_path: Path) -> None:
    write(tmp_path / "membership", "0::/a/b\n")
    write(tmp_path / "a/b/cpu.max", "max 100000\n")
    write(tmp_path / "a/cpu.max", "250000 100000\n")
    write(tmp_path / "cpu.max", "400000 100000\n")
    assert cgroup_quota(tmp_path, tmp_path / "membership") == 2.5


def test_quota_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "membership", "4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n")
    write(tmp_path / "cpu/a/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "cpu/a/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path, tmp_path / "membership") == 0.5


def test_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path, tmp_path / "membership") is None
    write(tmp_path / "membership", "0::/a\n")
    assert cgroup_quota(tmp_path, tmp_path / "membership") is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 6), (2.5, 2), (0.5, 1), (64.0, 6)])
def test_cpu_count(monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(devices, "cgroup_quota", lambda: quota)
    assert cpu_count() == expected


def test_imports_no_torch() -> None:
    code = "import sys, bench.measure.devices; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
