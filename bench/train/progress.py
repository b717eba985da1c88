"""How far a training is."""

from __future__ import annotations

from dataclasses import dataclass, field


class Diverged(Exception):  # noqa: N818 - the field's word
    """The training loss is no longer a number, or was none in too many steps."""


@dataclass
class Progress:
    """What changes from epoch to epoch besides the weights."""

    history: list[dict[str, float | int | None]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    reference: float | None = None
    """What early stopping wants improved: the best value by steps of `min_delta` at least."""
    waited: int = 0
    compile_seconds: float = 0.0
    """Part of the epochs' training time."""
    micro_batch: int | None = None
    """How many images of a batch went through the model at once; None: all."""
    skipped_steps: int = 0
    """Steps passed over, `train.bad_steps` at most."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)
