"""Where samples rest: what is chosen, and that it makes no difference to what is read."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from bench.data.base import Split
from bench.data.window import EIGHT_BITS, Window
from bench.errors import DataError, DeviceError
from bench.spec.schema import Machine
from bench.train import placement
from bench.train.batches import ApplyWindow
from bench.train.placement import (
    Placement,
    PlacementChoice,
    PlacementKind,
    SampleSource,
    choose_placement,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MACHINES = [
    ("device", "cpu"),
    ("stream", "cpu"),
    *((k, "cuda") for k in ("device", "pinned", "stream")),
]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
PLACES = [
    pytest.param(kind, device, marks=needs_cuda if device == "cuda" else ())
    for kind, device in MACHINES
]


def made_split(count: int = 11, size: int = 6) -> Split:
    random = np.random.default_rng(0)
    return Split(
        random.integers(0, 256, (count, size, size, 3), np.uint8),
        random.integers(0, 2, (count, size, size), np.uint8),
        tuple(f"s{i}" for i in range(count)),
        random.integers(0, 9, count),
    )


def placed(
    kind: PlacementKind, device: str = "cpu", target: Any = "mask", threads: int = 2
) -> SampleSource:
    machine = Machine(placement=kind, loader_threads=threads)
    splits = {"train": made_split()}
    return Placement(PlacementChoice(kind, ""), splits, target, machine, torch.device(device))[
        "train"
    ]


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize(("kind", "device"), PLACES)
@pytest.mark.parametrize("target", ["mask", "label", "none"])
def test_every_sample_is_read_as_stored_and_in_order(
    kind: PlacementKind, device: str, target: Any
) -> None:
    split, order = made_split(), torch.tensor([3, 10, 0, 3, 7, 1, 9])
    targets = {"mask": split.masks, "label": split.labels, "none": None}[target]
    batches = list(placed(kind, device, target).read(order, 3))
    assert [len(batch.images) for batch in batches] == [3, 3, 1]
    for batch, indices in zip(batches, order.split(3), strict=True):
        assert batch.images.device.type == device
        assert torch.equal(batch.indices.cpu(), indices)
        pixels = torch.from_numpy(split.images[indices.numpy()]).permute(0, 3, 1, 2)
        assert torch.equal(batch.images.cpu(), pixels)
        assert batch.images.stride() == pixels.stride()
        if targets is None:
            assert batch.target is None
        else:
            assert torch.equal(batch.target.cpu(), torch.from_numpy(targets[indices.numpy()]))
    assert readers() == []


@pytest.mark.parametrize(("kind", "device"), PLACES)
def test_what_is_read_may_be_written_into(kind: PlacementKind, device: str) -> None:
    source, order = placed(kind, device), torch.arange(11)
    (first,) = source.read(order, 11)
    before = first.images.clone()
    first.images.zero_()
    assert torch.equal(next(iter(source.read(order, 11))).images, before)


def test_a_consumer_that_stops_leaves_no_threads() -> None:
    batches = placed("stream", threads=3).read(torch.arange(11), 1)
    next(batches)
    assert readers()
    batches.close()  # type: ignore[attr-defined]
    assert readers() == []


def test_no_more_than_a_few_batches_are_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[int] = []
    take = np.take

    def counted(array: Any, indices: Any, **options: Any) -> Any:
        gathered.append(int(indices[0]))
        return take(array, indices, **options)

    monkeypatch.setattr(np, "take", counted)
    batches = placed("stream", target="none", threads=2).read(torch.arange(11), 1)
    next(batches)
    time.sleep(0.2)
    assert sorted(gathered) == [0, 1, 2, 3]
    batches.close()  # type: ignore[attr-defined]  # it is a generator


def test_an_error_while_reading_reaches_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    take = np.take

    def torn(array: Any, indices: Any, **options: Any) -> Any:
        if 7 in indices:
            raise OSError("the disk is gone")
        return take(array, indices, **options)

    monkeypatch.setattr(placement.np, "take", torn)
    batches = placed("stream").read(torch.arange(11), 2)
    assert [next(batches).indices.tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert readers() == []


def test_a_split_is_placed_once() -> None:
    split = made_split()
    both = {"train": split, "val": split}
    made = Placement(PlacementChoice("device", ""), both, "mask", Machine(), CPU)
    assert made["train"] is made["train"]
    assert made["train"] is not made["val"]


def test_on_a_cpu_samples_are_not_copied() -> None:
    split = made_split()
    made = Placement(PlacementChoice("device", ""), {"train": split}, "mask", Machine(), CPU)
    source = made["train"]
    split.images[4] = 200
    (batch,) = source.read(torch.tensor([4]), 1)
    assert batch.images.min() == 200


def test_a_target_that_is_missing_is_reported() -> None:
    bare = Split(made_split().images, None, made_split().names)
    with pytest.raises(DataError, match="no masks, which the task needs"):
        choose_placement(Machine(), {"train": bare}, "mask", CPU)


# What is chosen. Images and masks of both splits: 2 · 11 · 6 · 6 · (3 + 1) = 3168 bytes; pinned, of
# each array the next power of two: 2 · (2048 + 512) = 5120.


def chosen(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, host: int, gpu: int = 0, **changes: Any
) -> str:
    monkeypatch.setattr(placement, "free_host_memory", lambda: host)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu, 10 * gpu))
    trials_per_device = changes.pop("trials_per_device", 1)
    splits = {"train": made_split(), "test": made_split()}
    return choose_placement(Machine(**changes), splits, "mask", device, trials_per_device).kind


@pytest.mark.parametrize(
    ("host", "gpu", "changes", "expected"),
    [
        (0, 6336, {}, "device"),
        (10240, 6335, {}, "pinned"),
        (10239, 6335, {}, "stream"),
        (0, 3168, {"memory_share": 1.0}, "device"),
        (0, 6336, {"trials_per_device": 2}, "stream"),
        (20480, 6336, {"trials_per_device": 2}, "pinned"),
        (0, 12672, {"trials_per_device": 2}, "device"),
        (0, 0, {"placement": "device"}, "device"),
        (0, 0, {"placement": "pinned"}, "pinned"),
        (10**9, 10**9, {"placement": "stream"}, "stream"),
    ],
)
def test_on_cuda(
    monkeypatch: pytest.MonkeyPatch, host: int, gpu: int, changes: Any, expected: str
) -> None:
    assert chosen(monkeypatch, CUDA, host, gpu, **changes) == expected


@pytest.mark.parametrize(
    ("host", "changes", "expected"),
    [
        (6336, {}, "device"),
        (6335, {}, "stream"),
        (6336, {"trials_per_device": 8}, "device"),  # all trials share one map
        (0, {"placement": "device"}, "device"),
        (10**9, {"placement": "stream"}, "stream"),
    ],
)
def test_on_a_cpu(monkeypatch: pytest.MonkeyPatch, host: int, changes: Any, expected: str) -> None:
    assert chosen(monkeypatch, CPU, host, **changes) == expected


def test_the_choice_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_host_memory", lambda: 20_000_000_000)
    splits = {"train": made_split()}
    expected = "placement: device (0.0 MB, within 50% of 20.0 GB free on cpu)"
    assert str(choose_placement(Machine(), splits, "mask", CPU)) == expected
    said = choose_placement(Machine(placement="stream"), splits, "mask", CPU)
    assert str(said) == "placement: stream (0.0 MB, as machine.placement says)"


def test_pinning_without_cuda_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"machine\.placement: pinned needs a CUDA device"):
        choose_placement(Machine(placement="pinned"), {"train": made_split()}, "mask", CPU)


@pytest.mark.parametrize("kind", ["device", "stream"])
def test_sixteen_bits_arrive_to_the_bit(kind: PlacementKind) -> None:
    images = np.random.default_rng(0).integers(0, 65536, (7, 8, 8, 3), np.uint16)
    split = Split(images, None, tuple("abcdefg"))
    placed = Placement(PlacementChoice(kind, ""), {"train": split}, "none", Machine(), CPU)["train"]
    order = torch.tensor([5, 0, 6])
    (stored,) = placed.read(order, 3)
    levels = ApplyWindow(Window(0, 65535, "uint16", "full"))(stored.images)
    expected = torch.from_numpy(images[order.numpy()].astype(np.float32)).permute(0, 3, 1, 2)
    assert torch.allclose(levels, expected * (255 / 65535), atol=1e-4)


def test_eight_bits_in_full_stay_themselves() -> None:
    images = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    assert ApplyWindow(EIGHT_BITS)(images) is images
