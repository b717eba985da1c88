from __future__ import annotations

import gc
import mmap
import sys
import threading
import time

import pytest
import torch

from bench.measure import memory
from bench.measure.memory import PeakMemory, is_out_of_memory


def allocate(megabytes: int) -> mmap.mmap:
    """Fill so much memory, fresh from the system: the heap may have some left over."""
    found = mmap.mmap(-1, megabytes * 1_000_000)
    for _ in range(megabytes):
        found.write(bytes(1_000_000))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps VmHWM")
def test_the_kernels_peak_starts_anew_with_each_trial() -> None:
    allocate(300).close()
    peak = PeakMemory("cpu")
    assert peak.kind == "resident"
    before = peak.megabytes()
    allocate(100).close()
    after = peak.megabytes()
    assert before is not None
    assert after is not None
    assert 95 < after - before < 120
    assert after - PeakMemory("cpu").megabytes() > 80  # type: ignore[operator]


def test_sampling_where_the_kernel_keeps_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    threads = threading.active_count()
    peak = PeakMemory("cpu")
    before = peak.megabytes()
    held = allocate(100)
    time.sleep(0.2)
    held.close()
    after = peak.megabytes()
    assert before is not None
    assert after is not None
    assert 95 < after - before < 120
    del peak
    gc.collect()
    time.sleep(0.2)
    assert threading.active_count() == threads


def test_no_proc_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(memory, "_CLEAR", memory.Path("no") / "such" / "file")
    assert not memory._reset_high_water_mark()


def test_cuda_tells_the_allocators_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3_500_000)
    peak = PeakMemory("cuda:0")
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 4_500_000)
    assert (peak.kind, peak.megabytes(), peak.reserved()) == ("allocated", 3.5, 4.5)
    assert reset == [torch.device("cuda:0")]


@pytest.mark.parametrize(
    "words",
    [
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA driver error: out of memory",
        "Triton Error [CUDA]: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    ],
)
def test_out_of_memory_in_the_libraries_words(words: str) -> None:
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(ValueError(words))  # text of a user's own error


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
        "out of resource: shared memory, Required: 278528, Hardware limit: 232448",
    ],
)
def test_other_errors_of_the_libraries(words: str) -> None:
    assert not is_out_of_memory(RuntimeError(words))
