"""How much memory tensors take while something runs, and how that grows with the images."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's lacks types
    """Within a `with` block: the bytes of all tensors made in it that are alive at once.

    Every operator's results count, also those that autograd keeps for the backward pass; what an
    operator needs while it runs does not.

    Attributes:
        now: bytes at present.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.now = self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and note the memory of its results."""
        given = {storage._cdata for storage in _storages((args, kwargs))}
        results = func(*args, **(kwargs or {}))
        for storage in _storages(results):
            if storage._cdata not in given:  # no view, and not in place
                self._note(storage)
        return results

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def freed(_: object) -> None:
            self.now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def bytes_per_image(run: Callable[[int], object], few: int) -> float:
    """How much more memory each image more takes in `run`, which is called with their number."""
    return (_peak(run, 2 * few) - _peak(run, few)) / few


def _peak(run: Callable[[int], object], images: int) -> int:
    live = LiveTensors()
    with live:
        run(images)
    return live.peak
