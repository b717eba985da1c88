"""A CUDA device that is none: tensors on the CPU that say they are on `cuda:0`.

Within `fake_cuda` a storage that was sent to `cuda`, or computed from one that was, is there. An
operation on tensors of both places raises, as on a GPU; whatever would make the host wait for a GPU
is noted. What is computed is what a CPU computes.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.train.placement import PrefetchingSource

CUDA = torch.device("cuda", 0)
# their size depends on values, or they give one to Python
_READING = frozenset({
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero",
    "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
    "aten::bincount",
})  # fmt: skip
_INDEXING = frozenset({"aten::index", "aten::index_put_", "aten::index_put"})
_TO_PYTHON = frozenset({"tolist", "numpy", "__array__"})
_FROM_PYTHON = frozenset({"tensor", "as_tensor", "asarray", "from_numpy"})


# for all of a process, as tables in bench are; storages are held, so that no address comes again
_THERE: dict[int, Any] = {}
_PINNED: dict[int, Any] = {}


class MixedDevicesError(RuntimeError):
    """Tensors of both places met in an operation."""


class Device:
    """What rests on the fake device, and what waited for it.

    Attributes:
        waits: since `waits.clear()`, each with the places in bench that it came from.
    """

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._there, self._pinned = _THERE, _PINNED

    def has(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._there

    def take(self, tensor: Tensor) -> Tensor:
        """From now on the tensor is on the device."""
        storage = tensor.untyped_storage()
        self._there[storage._cdata] = storage
        return tensor

    def pin(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._pinned[storage._cdata] = storage
        return tensor

    def is_pinned(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._pinned

    def note(self, what: str) -> None:
        """The host waits here."""
        frames = [f for f in traceback.extract_stack() if "/bench/" in f.filename]
        indices = [f"{f.name}:{f.lineno}" for f in reversed(frames[-3:])]
        self.waits.append(f"{what} at {' < '.join(indices)}")


class _Operations(TorchDispatchMode):
    """Every operation, forward and backward."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function._schema.name
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if self.device.has(tensor)]
        if there:
            # one number goes everywhere
            here = [each for each in tensors if each.dim() and not self.device.has(each)]
            self._check(name, args, kwargs or {}, here)
        result = function(*args, **(kwargs or {}))
        if there and name != "aten::copy_":
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self.device.take(leaf)
        return result

    def _check(self, name: str, args: Any, kwargs: Any, here: list[Tensor]) -> None:
        if name in _READING:
            self.device.note(name)
        if name in _INDEXING and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
            for index in args[1]
        ):
            self.device.note(f"{name} by a mask")
        if not here:
            return
        if name == "aten::copy_":
            self._copied(args, kwargs)
        elif name in _INDEXING:
            self.device.note(f"{name} by numbers of the CPU's")
        else:
            raise MixedDevicesError(f"{name} with tensors of the CPU's, {[t.shape for t in here]}")

    def _copied(self, args: Any, kwargs: Any) -> None:
        source = args[1]
        unheld = kwargs.get("non_blocking") or (len(args) > 2 and args[2])
        if self.device.has(source) or not (unheld and self.device.is_pinned(source)):
            self.device.note("copy_ between host and device")


class _Functions(TorchFunctionMode):
    """Calls that name a device or ask for one."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        first = args[0] if args and isinstance(args[0], Tensor) else None
        name = getattr(function, "__name__", "")
        if first is not None and name == "__get__" and function in _ATTRIBUTES:
            return _ATTRIBUTES[function](function, self.device, first)
        if first is not None and name in ("to", "cuda", "cpu"):
            return self._sent(name, first, list(args[1:]), kwargs)
        if first is not None and name == "pin_memory":
            return self.device.pin(first.clone())
        if first is not None and name in _TO_PYTHON and self.device.has(first):
            self.device.note(name)
        if "device" in kwargs and kwargs["device"] is not None:
            return self._made(function, name, args, kwargs)
        pinned = kwargs.pop("pin_memory", False)
        result = function(*args, **kwargs)
        return self.device.pin(result) if pinned else result

    def _made(self, function: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """The result of a function that was given a device."""
        there = torch.device(kwargs.pop("device")).type == "cuda"
        pinned = kwargs.pop("pin_memory", False)
        result = function(*args, device="cpu", **kwargs)
        if not isinstance(result, Tensor):
            return result
        if there and name in _FROM_PYTHON:
            self.device.note(name)
        if there:
            self.device.take(result)
        return self.device.pin(result) if pinned else result

    def _sent(self, name: str, x: Tensor, rest: list[Any], kwargs: dict[str, Any]) -> Tensor:
        """`x` where it was sent, in the type and layout that were asked for."""
        wanted = {"cuda": "cuda", "cpu": "cpu"}.get(name) or _device(rest, kwargs)
        there = self.device.has(x)
        unheld = kwargs.pop("non_blocking", False)
        if rest and isinstance(rest[-1], bool):
            unheld = rest.pop()
        result = Tensor.to(x, *rest, **kwargs) if rest or kwargs else x
        if wanted is None or (wanted == "cuda") == there:
            return self.device.take(result) if there else result
        if there or not (unheld and self.device.is_pinned(x)):
            self.device.note(f"to {wanted}")
        if result.untyped_storage()._cdata == x.untyped_storage()._cdata:
            result = result.clone()
        if wanted == "cuda":
            return self.device.take(result)
        del self.device._there[result.untyped_storage()._cdata]
        return result


def _device(rest: list[Any], kwargs: dict[str, Any]) -> str | None:
    """The kind of device that `Tensor.to` was called with, which is taken out of its arguments."""
    found = kwargs.pop("device", None)
    if found is None and rest and isinstance(rest[0], str | torch.device):
        found = rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
    return None if found is None else torch.device(found).type


_ATTRIBUTES: dict[Any, Callable[[Any, Device, Tensor], Any]] = {
    Tensor.device.__get__: lambda get, device, x: CUDA if device.has(x) else get(x),
    Tensor.is_cuda.__get__: lambda _, device, x: device.has(x),
    Tensor.is_cpu.__get__: lambda _, device, x: not device.has(x),
}


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu", *args, **kwargs)


class _Stream:
    def wait_event(self, event: Any) -> None:
        pass

    def record_event(self) -> object:
        return object()


def _place(device: Device, group: Any) -> torch.device:
    tensors = [tensor for tensor in group[0][0] if tensor is not None]
    return CUDA if tensors and device.has(tensors[0]) else torch.device("cpu")


@contextlib.contextmanager
def fake_cuda() -> Iterator[Device]:
    """A machine with one GPU, within this."""
    device = Device()
    properties = SimpleNamespace(name="fake", total_memory=80e9, major=9, minor=0)
    stubs: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_properties": lambda _=None: properties,
        "get_device_capability": lambda _=None: (9, 0),
        "mem_get_info": lambda _=None: (70 * 10**9, 80 * 10**9),
        "_lazy_init": lambda: None,
        "synchronize": lambda _=None: device.note("synchronize"),
        "max_memory_allocated": lambda _=None: 10**9,
        "reset_peak_memory_stats": lambda _=None: None,
        "empty_cache": lambda: None,
        "manual_seed_all": lambda _: None,
        "is_current_stream_capturing": lambda: False,
        "Stream": lambda _=None: _Stream(),
        "current_stream": lambda _=None: _Stream(),
        "stream": lambda _: contextlib.nullcontext(),
    }
    group, gather = torch._C._group_tensors_by_device_and_dtype, PrefetchingSource._gather

    def grouped(tensors: Any, with_indices: bool = False) -> Any:
        """Groups name the device of their tensors."""
        found = group(tensors, with_indices)
        return {(_place(device, group_), kind): group_ for (_, kind), group_ in found.items()}

    def gathered(self: PrefetchingSource, indices: Tensor) -> Any:
        """Modes belong to a thread."""
        with _Functions(device), _Operations(device):
            return gather(self, indices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch._C, "_group_tensors_by_device_and_dtype", grouped)
        patch.setattr(PrefetchingSource, "_gather", gathered)
        for name, stub in stubs.items():
            patch.setattr(torch.cuda, name, stub)
        for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
            patch.setattr(torch.optim.Optimizer, name, lambda _: None, raising=False)
        patch.setattr(torch.Tensor, "record_stream", lambda *_: None)
        patch.setattr(torch, "autocast", _Autocast)
        patch.setattr("bench.models.resampling.kernels_work", lambda: False)
        with _Functions(device), _Operations(device):
            yield device
