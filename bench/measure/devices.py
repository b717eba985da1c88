"""Which GPUs and how many CPU cores this process may use; imports no torch, leaves CUDA alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pynvml

_GPU_MASKS = frozenset({"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"})
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def visible_gpus() -> list[str]:
    """What to put into a worker's CUDA_VISIBLE_DEVICES, one entry per GPU this process may use.

    An inherited CUDA_VISIBLE_DEVICES is respected. Without one, a GPU that is divided (MIG) counts
    as its instances. Without a driver the list is empty.
    """
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = _gpus()
    if mask is None and any(instances for _, instances in found):
        # a process sees one instance at most unless they are named
        entries = [instances or [uuid] for uuid, instances in found]
        return [entry for each in entries for entry in each]
    return gpus_in_mask(mask, [uuid for uuid, _ in found])


def gpus_in_mask(mask: str | None, uuids: Sequence[str]) -> list[str]:
    """The entries of `mask` that CUDA would heed on a machine with the GPUs `uuids`.

    CUDA's rules: no mask shows every GPU; an entry is an index, the beginning of a UUID that fits
    one GPU (`GPU-…`), or a part of a GPU (`MIG-…`); what follows an entry that names nothing (like
    -1) is hidden, and naming one GPU twice hides them all. Entries are handed on as they were
    written, so CUDA_DEVICE_ORDER means the same to a worker.
    """
    if not uuids:
        return []
    if mask is None:
        return [str(index) for index in range(len(uuids))]
    chosen: dict[str, str] = {}
    for entry in (part.strip() for part in mask.split(",")):
        uuid = _find_gpu(entry, uuids)
        if uuid is None:
            break
        if uuid in chosen:
            return []
        chosen[uuid] = entry
    return list(chosen.values())


def _find_gpu(entry: str, uuids: Sequence[str]) -> str | None:
    """Which GPU (or part of one) `entry` names."""
    if entry.isdecimal():
        return uuids[int(entry)] if int(entry) < len(uuids) else None
    if entry.startswith("MIG-"):
        return entry
    found = [uuid for uuid in uuids if entry.startswith("GPU-") and uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _gpus() -> list[tuple[str, list[str]]]:
    """Each GPU's UUID, and those of its instances where it is divided."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return [(uuid, []) for uuid in _uuids_by_cuda()]
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        found = [(_uuid(handle), _instances(handle)) for handle in handles]
    except pynvml.NVMLError:
        found = []
    finally:
        pynvml.nvmlShutdown()
    return found or [(uuid, []) for uuid in _uuids_by_cuda()]


def _uuid(handle: Any) -> str:
    return str(pynvml.nvmlDeviceGetUUID(handle))


def _instances(gpu: Any) -> list[str]:
    """UUIDs of a GPU's MIG instances; none where it is not divided."""
    try:
        present, _ = pynvml.nvmlDeviceGetMigMode(gpu)
        if present != pynvml.NVML_DEVICE_MIG_ENABLE:
            return []
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    except pynvml.NVMLError:  # cannot be divided
        return []
    found = []
    for number in range(count):
        try:
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
        except pynvml.NVMLError:  # fewer than there could be
            continue
        found.append(_uuid(instance))
    return found


_CUDA_UUID_SCRIPT = """
import ctypes, uuid
cuda = ctypes.CDLL("libcuda.so.1")
assert cuda.cuInit(0) == 0
count = ctypes.c_int()
assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
for ordinal in range(count.value):
    device, found = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    assert cuda.cuDeviceGet(ctypes.byref(device), ordinal) == 0
    assert cuda.cuDeviceGetUuid(found, device) == 0
    print("GPU-" + str(uuid.UUID(bytes=bytes(found))))
"""


def _uuids_by_cuda() -> list[str]:
    """The same by CUDA's driver, where NVML is not there: WSL, Jetson, some containers.

    In a process of its own, since a process that has used CUDA cannot fork any more.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _GPU_MASKS}
    try:
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-I", "-c", _CUDA_UUID_SCRIPT],
            capture_output=True,
            text=True,
            timeout=60,  # a driver may initialise for tens of seconds
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def gpu_names() -> list[str]:
    """What the machine's GPUs are called; empty without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def driver_version() -> str | None:
    """The NVIDIA driver's version, or None without one."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def cpu_count() -> int:
    """Cores this process may use: its affinity, and a container's CPU quota rounded down to ≥ 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # Linux only
        cores = os.cpu_count() or 1
    quota = cgroup_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cgroup_quota(root: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """The tightest CPU quota (in cores) of this process's control groups, None without one.

    Reads `cpu.max` (version 2) and `cpu.cfs_quota_us` (version 1) of its group and those above.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found = (_quota(folder, "cpu.max") for folder in _ancestors(root, path))
        elif "cpu" in controllers.split(","):
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            found = (_quota(folder, *names) for folder in _ancestors(root / "cpu", path))
        else:
            continue
        quotas += [quota for quota in found if quota is not None]
    return min(quotas, default=None)


def _ancestors(root: Path, path: str) -> Iterator[Path]:
    folder = root / path.strip("/")
    yield folder
    while folder != root and root in folder.parents:
        folder = folder.parent
        yield folder


def _quota(folder: Path, *names: str) -> float | None:
    """Quota / period, from one file with both or from a file each."""
    try:
        words = " ".join((folder / name).read_text() for name in names).split()
    except OSError:
        return None
    unlimited = words[0] in ("max", "-1")
    return None if unlimited else int(words[0]) / int(words[1])
