"""Where training hands what happens. Training itself knows no path and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.history_row import HistoryRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bench.image_scores import TrialScores


class Recorder(Protocol):
    """Takes one trial's results as they come. Must be picklable: it is sent to the worker."""

    @property
    def best(self) -> Path:
        """Where the best epoch's weights are kept."""
        ...

    @property
    def last(self) -> Path:
        """Where the state to continue from is kept."""
        ...

    @property
    def previous(self) -> Path:
        """Where an earlier state is kept, should the last one not be readable."""
        ...

    @property
    def finished(self) -> Path:
        """Where the state without weights of a finished trial is kept."""
        ...

    def check(self) -> None:
        """Before anything is put into place: raises where the trial is another process's by now."""
        ...

    def relocated(self, folder: Path) -> Recorder:
        """One that writes the same into another folder, as nobody else does."""
        ...

    def begin(self, environment: Mapping[str, Any]) -> None:
        """The trial starts or goes on; `environment` describes the machine and the versions."""
        ...

    def resume(self, history: Sequence[HistoryRow]) -> None:
        """The history up to the checkpoint that training goes on from; what came after is void."""
        ...

    def record_epoch(self, row: HistoryRow) -> None:
        """One epoch is done, and its checkpoint is written."""
        ...

    def picture(self, name: str, image: npt.NDArray[np.uint8]) -> None:
        """A sample picture, (H, W, 3)."""
        ...

    def finish(self, facts: Mapping[str, Any], scores: TrialScores | None = None) -> None:
        """The trial is done.

        Args:
            facts: the columns of runs.csv that the history does not give.
            scores: of single images; None: the task gives none.
        """
        ...

    def retry(self, message: str) -> None:
        """The worker was killed, and the trial will go on by itself: said by the parent."""
        ...

    def stop(self, status: str, failure: str | None, message: str | None) -> None:
        """The trial ended otherwise: `failed` with its kind, `interrupted` or `pruned`."""
        ...
