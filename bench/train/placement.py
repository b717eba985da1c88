"""Where a trial's samples rest, and how they reach its device.

`device`: on the device; on a CPU that is the memory map itself, which all workers share. `pinned`:
in page-locked memory of the host. `stream`: on disk, memory-mapped. From the latter two, threads
gather each batch before it is asked for, and on CUDA copy it on along a stream of its own.
Wherever samples rest, every batch is the same to the bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data.base import Split
from bench.data.rows import Rows
from bench.data.threads import in_threads
from bench.errors import DataError, DeviceError
from bench.measure.free_memory import free_host_memory
from bench.spec.schema import Machine
from bench.tasks.settings import TargetForm

PlacementKind = Literal["device", "pinned", "stream"]
Array = npt.NDArray[Any] | Rows
_TYPES = {"uint8": torch.uint8, "int16": torch.int16, "int64": torch.int64}


class StoredBatch(NamedTuple):
    """Samples as they are stored, on the device.

    Attributes:
        images: (B, 3, H, W) uint8, channels last in memory, free to be written into; int16 that
            holds the bits of uint16 where images have more than 8 (torch gathers no uint16).
        target: (B, H, W) uint8, (B,) int64, or None.
        indices: (B,) int64, each sample's index in its split.
    """

    images: Tensor
    target: Tensor | None
    indices: Tensor


class Crops(NamedTuple):
    """Which part of each sample is read.

    Attributes:
        size: height and width of the parts.
        starts: (N, 2) int64 on the CPU, top and left of each.
    """

    size: tuple[int, int]
    starts: Tensor


class SampleSource(Protocol):
    """One split's samples, wherever they rest."""

    def __len__(self) -> int: ...

    def read(
        self, order: Tensor, batch_size: int, crops: Crops | None = None
    ) -> Iterator[StoredBatch]:
        """The samples at these indices (N,) on the CPU, in order, batch by batch; or parts of them.

        To end early, close the iterator: what reads ahead for it ends too.
        """
        ...


@dataclass(frozen=True)
class PlacementChoice:
    """Where samples rest, and why there, in a line."""

    kind: PlacementKind
    why: str

    def __str__(self) -> str:
        return f"placement: {self.kind} ({self.why})"


def check_placement(placement: str, device: torch.device) -> None:
    """Raise a DeviceError for memory that cannot be pinned."""
    if placement == "pinned" and device.type != "cuda":
        raise DeviceError(
            f"machine.placement: pinned needs a CUDA device, the trial's is the {device.type}: "
            "use auto, device or stream"
        )


def choose_placement(
    machine: Machine,
    splits: Mapping[str, Split],
    target: TargetForm,
    device: torch.device,
    trials_per_device: int = 1,
) -> PlacementChoice:
    """As `machine.placement` says; `auto`: the fastest place that the samples of all splits fit.

    A place fits when the samples take no more than `machine.memory_share` of its free memory; on
    CUDA, of a part of it for each of the `trials_per_device` trials that the device has at a time.

    Raises:
        DeviceError: the place is none on this device.
    """
    check_placement(machine.placement, device)
    arrays = [array for split in splits.values() for array in _arrays(split, target)]
    size = sum(array.nbytes for array in arrays)
    if machine.placement != "auto":
        return PlacementChoice(
            machine.placement, f"{_format_bytes(size)}, as machine.placement says"
        )
    host, on_cuda = free_host_memory(), device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_cuda else host
    share = machine.memory_share / (trials_per_device if on_cuda else 1)
    limit = f"{share:.0%} of {_format_bytes(free)} free on {device.type}"
    if size <= share * free:
        return PlacementChoice("device", f"{_format_bytes(size)}, within {limit}")
    if on_cuda and sum(map(_pinned_bytes, arrays)) <= share * host:
        return PlacementChoice("pinned", f"{_format_bytes(size)}, more than {limit}")
    return PlacementChoice("stream", f"{_format_bytes(size)}, more than {limit}")


class Placement:
    """All splits of a data set where `choice` says; a split is brought there when first used."""

    def __init__(
        self,
        choice: PlacementChoice,
        splits: Mapping[str, Split],
        target: TargetForm,
        machine: Machine,
        device: torch.device,
    ) -> None:
        self.choice = choice
        self._splits, self._target, self._device = splits, target, device
        self._threads = machine.loader_threads
        self._placed: dict[str, SampleSource] = {}

    def __getitem__(self, split: str) -> SampleSource:
        if split not in self._placed:
            self._placed[split] = self._place(*_arrays(self._splits[split], self._target))
        return self._placed[split]

    def on_host(self, split: str) -> SampleSource:
        """The split for what works on a CPU: batches come in its memory, not the device's."""
        host, arrays = torch.device("cpu"), _arrays(self._splits[split], self._target)
        if self.choice.kind == "device":
            return DeviceSource(*_with_target(arrays), host)
        return PrefetchingSource(*_with_target(arrays), host, self._threads)

    def _place(self, images: Array, target: Array | None = None) -> SampleSource:
        match self.choice.kind:
            case "device":
                return DeviceSource(images, target, self._device)
            case "pinned":
                locked = None if target is None else _pinned(target)
                return PrefetchingSource(_pinned(images), locked, self._device, self._threads)
            case "stream":
                return PrefetchingSource(images, target, self._device, self._threads)


class DeviceSource:
    """Samples that rest on the device: nothing crosses to it in a step."""

    def __init__(self, images: Array, target: Array | None, device: torch.device) -> None:
        self._device, self._count = device, len(images)
        self._images = _OnDevice(images, device)
        self._target = None if target is None else _OnDevice(target, device)

    def __len__(self) -> int:
        return self._count

    def read(
        self, order: Tensor, batch_size: int, crops: Crops | None = None
    ) -> Iterator[StoredBatch]:
        """See `SampleSource`."""
        if crops is not None:
            for indices, part in _batches_of_crops(order, batch_size, crops):
                target = None if self._target is None else self._target.parts(indices, part)
                images = self._images.parts(indices, part).permute(0, 3, 1, 2)
                yield StoredBatch(images, target, _to_device(indices, self._device))
            return
        for indices in torch.split(_to_device(order, self._device), batch_size):
            target = None if self._target is None else self._target.select(indices)
            images = self._images.select(indices)
            yield StoredBatch(images.permute(0, 3, 1, 2), target, indices)


class _OnDevice:
    """An array on the device; on a CPU the rows of a fold stay in the array that folds share."""

    def __init__(self, array: Array, device: torch.device) -> None:
        self._rows: Tensor | None = None
        if isinstance(array, Rows) and device.type == "cpu":
            self._rows = torch.from_numpy(array.rows)
            array = array.array
        self._tensor = _tensor(array).to(device)

    def select(self, indices: Tensor) -> Tensor:
        """Copies of the rows at these indices."""
        rows = indices if self._rows is None else self._rows.index_select(0, indices)
        # index_select copies whole samples: 27 times as fast on a CPU as indexing is
        return self._tensor.index_select(0, rows)

    def parts(self, indices: Tensor, crops: Crops) -> Tensor:
        """Copies of parts of the samples at these indices, which are on the CPU."""
        rows = indices if self._rows is None else self._rows.index_select(0, indices)
        starts = crops.starts.tolist()
        found = [
            _part(self._tensor[row], start, crops.size)
            for row, start in zip(rows.tolist(), starts, strict=True)
        ]
        return torch.stack(found)


def _batches_of_crops(
    order: Tensor, batch_size: int, crops: Crops
) -> Iterator[tuple[Tensor, Crops]]:
    """Batches of indices, each with its part of the crops."""
    starts = torch.split(crops.starts, batch_size)
    for indices, own in zip(torch.split(order, batch_size), starts, strict=True):
        yield indices, Crops(crops.size, own)


def _part(sample: Any, start: Sequence[int], size: tuple[int, int]) -> Any:
    """A sample's (H, W, …) part that begins at top and left."""
    (top, left), (height, width) = start, size
    return sample[top : top + height, left : left + width]


class PrefetchingSource:
    """Samples in memory or on disk, gathered in threads before they are asked for."""

    def __init__(
        self, images: Array, target: Array | None, device: torch.device, threads: int
    ) -> None:
        self._arrays = [array for array in (images, target) if array is not None]
        self._device, self._threads = device, threads
        self._on_cuda = device.type == "cuda"
        # torch's class lacks types
        self._stream = torch.cuda.Stream(device) if self._on_cuda else None  # type: ignore[no-untyped-call]  # torch's has no types

    def __len__(self) -> int:
        return len(self._arrays[0])

    def read(
        self, order: Tensor, batch_size: int, crops: Crops | None = None
    ) -> Iterator[StoredBatch]:
        """See `SampleSource`; one batch for each thread is read ahead, and one more."""
        there = torch.split(_to_device(order, self._device), batch_size)
        jobs: list[tuple[Tensor, Crops | None]] = [
            (indices, None) for indices in torch.split(order, batch_size)
        ]
        if crops is not None:
            jobs = list(_batches_of_crops(order, batch_size, crops))
        ahead = in_threads(self._gather, jobs, threads=self._threads, ahead=self._threads + 1)
        with closing(ahead):
            for (tensors, copied), indices in zip(ahead, there, strict=True):
                # the copy runs on a stream of its own: wait, and keep its memory until used
                if copied is not None:
                    stream = torch.cuda.current_stream(self._device)
                    stream.wait_event(copied)
                    for tensor in tensors:
                        tensor.record_stream(stream)
                images, *target = tensors
                yield StoredBatch(
                    images.permute(0, 3, 1, 2), target[0] if target else None, indices
                )

    def _gather(
        self, job: tuple[Tensor, Crops | None]
    ) -> tuple[list[Tensor], torch.cuda.Event | None]:
        """A batch on the device, there once the event has happened. Called in a thread."""
        indices, crops = job
        staged = [self._staged(array, indices.numpy(), crops) for array in self._arrays]
        if self._stream is None:
            return staged, None
        # The pinned buffers may go at once: their allocator waits for the copies before reuse.
        with torch.cuda.stream(self._stream):
            moved = [tensor.to(self._device, non_blocking=True) for tensor in staged]
            return moved, self._stream.record_event()

    def _staged(self, array: Array, indices: npt.NDArray[np.int64], crops: Crops | None) -> Tensor:
        """`array[indices]`, or parts of them, in pinned memory where there is CUDA."""
        if isinstance(array, Rows):
            indices = array.rows[indices]
            array = array.array
        sample = array.shape[1:] if crops is None else (*crops.size, *array.shape[3:])
        shape, kind = (len(indices), *sample), _TYPES[array.dtype.name]
        staged = torch.empty(shape, dtype=kind, pin_memory=self._on_cuda)
        if crops is not None:  # no more than these parts is read from disk
            rows = zip(indices.tolist(), crops.starts.tolist(), strict=True)
            for own, (index, start) in zip(staged.numpy(), rows, strict=True):
                own[:] = _part(array[index], start, crops.size)
            return staged
        # NumPy's, as torch's would start as many threads again in each of ours; both release the
        # interpreter. `clip`: without a detour through a buffer; there is nothing to be clipped.
        np.take(array, indices, axis=0, out=staged.numpy(), mode="clip")
        return staged


def _to_device(order: Tensor, device: torch.device) -> Tensor:
    """A few numbers of the CPU's on the device, without waiting for what is queued there."""
    if device.type == "cuda":
        return order.pin_memory().to(device, non_blocking=True)
    return order.to(device)


def _arrays(split: Split, target: TargetForm) -> tuple[Array, ...]:
    """The images, and what the task learns where it learns something."""
    images = split.images.view(np.int16) if split.images.dtype == np.uint16 else split.images
    if target == "none":
        return (images,)
    array = split.masks if target == "mask" else split.labels
    if array is None:
        kind = "masks" if target == "mask" else "labels"
        raise DataError(f"the data set has no {kind}, which the task needs")
    if target != "mask" and (array.ndim == 2) != (target == "labels"):
        several = ("one label for each image", "several labels for an image")[array.ndim - 1]
        other = "multi_label" if array.ndim == 2 else "classification"
        raise DataError(f"the data set has {several}, as the task {other} learns them")
    return (images, array)


def _with_target(arrays: tuple[Array, ...]) -> tuple[Array, Array | None]:
    images, *target = arrays
    return images, target[0] if target else None


def _pinned(array: Array) -> npt.NDArray[Any]:
    """A copy in page-locked memory, which lives as long as the array."""
    pinned: npt.NDArray[Any] = _tensor(array).pin_memory().numpy()
    return pinned


def _pinned_bytes(array: Array) -> int:
    """What `_pinned` takes: torch's allocator rounds up to a power of two."""
    return 1 << max(0, array.nbytes - 1).bit_length()


def _tensor(array: Array) -> Tensor:
    """The array without a copy, so that workers share one cache."""
    with warnings.catch_warnings():
        # a read-only memory map: nothing here writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))


def _format_bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e8 else f"{size / 1e9:,.1f} GB"
