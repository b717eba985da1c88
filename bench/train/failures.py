"""What an exception in a trial's process is called in its row."""

from __future__ import annotations

from bench.errors import BenchError, DataError, describe_exception
from bench.measure.memory import is_out_of_memory
from bench.states import Failure
from bench.train.devices import DeviceLostError
from bench.train.loop import Diverged


def describe_failure(error: Exception, devices: int = 1) -> tuple[Failure, str]:
    """The kind of failure, and a line that says what it was; of a trial of so many devices."""
    if isinstance(error, DeviceLostError):
        return error.failure, str(error)
    if isinstance(error, Diverged):
        return Failure.DIVERGED, str(error)
    if isinstance(error, DataError):
        return Failure.DATA, str(error)
    if isinstance(error, BenchError):
        return Failure.CRASH, str(error)
    if is_out_of_memory(error):
        parts = "train.micro_batch: auto" if devices == 1 else "a train.micro_batch of fewer images"
        remedy = f"{parts} or a smaller train.batch_size helps"
        return Failure.OUT_OF_MEMORY, f"{describe_exception(error)} ({remedy})"
    return Failure.CRASH, describe_exception(error)
