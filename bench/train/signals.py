"""How training talks to whoever started it."""

from __future__ import annotations

from typing import Protocol

from bench.history_row import HistoryRow


class Signals(Protocol):
    """How training talks to whoever started it."""

    def stopping(self) -> bool:
        """Whether to stop at the next step. Called every step: must be cheap."""
        ...

    def tick(self, epoch: int, step: int, steps: int) -> None:
        """Called about twice a second within an epoch."""
        ...

    def working(self, what: str, step: int, steps: int) -> None:
        """Called about twice a second in validation and other work that is no step of training."""
        ...

    def epoch(self, row: HistoryRow) -> None:
        """One epoch is recorded."""
        ...
