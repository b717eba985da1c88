"""Which saved state a trial goes on from: the last one that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from bench.errors import DamagedError, StoreError
from bench.plan.trial import Trial, digest
from bench.train import checkpoint
from bench.train.progress import Progress
from bench.train.recorder import Recorder

SavedState = dict[str, Any]

_FINISHED = ("average_steps", "progress", "fingerprint", "threads")
_NEEDED = ("model", "optimizer", "scaler", "average", "progress", "fingerprint", "threads")


def saved_state(trial: Trial, recorder: Recorder, model: nn.Module) -> SavedState | None:
    """The state to go on from; None: there is none, and the trial starts from nothing.

    That is `last.pt`; where it is damaged or another trial's, `previous.pt`, an epoch or more
    earlier: the epochs between are trained again, to the same bits. A finished trial has
    `finished.pt` instead, without weights, from which its records are made again. Where none can be
    read, they are deleted and the trial starts from nothing. What was wrong is printed, for the
    log.

    Raises:
        StoreError: none can be used, but some could be read: they are left alone.
    """
    problems: list[str] = []
    whole: list[str] = []
    for path in (recorder.last, recorder.previous, recorder.finished):
        if not path.exists():
            continue
        try:
            state = checkpoint.load(path)
            if (problem := _mismatch(state, trial, model, path == recorder.finished)) is not None:
                raise StoreError(f"{path}: {problem}")
        except DamagedError as error:
            problems.append(str(error))
            continue
        except StoreError as error:
            whole.append(str(error))
            problems.append(str(error))
            continue
        if (problem := _why_best_is_lost(state, recorder.best)) is None:
            _log(problems, f"going on from {path.name}")
            return state
        problems.append(f"{path}: {problem}")
    if whole:
        raise StoreError(
            f"{whole[0]}: delete last.pt, previous.pt and finished.pt there, and "
            "`run --retry-failed` starts the trial anew"
        )
    _log(problems, "starting from nothing")
    _delete(recorder.last, recorder.previous, recorder.finished)
    return None


def _mismatch(state: SavedState, trial: Trial, model: nn.Module, finished: bool) -> str | None:
    """Why this is no state of this trial, if so."""
    lacking = [name for name in (_FINISHED if finished else _NEEDED) if name not in state]
    if lacking:
        return f"not a trial's state: it lacks {', '.join(lacking)}"
    if state.get("identity", digest(trial.identity)) != digest(trial.identity):
        return "the state of another trial"
    strange = set(state["progress"]) - {field.name for field in fields(Progress)}
    if strange:
        return f"written by another version of bench: it has {', '.join(sorted(strange))}"
    if finished:
        return None if _is_over(state, trial) else "not the state of a finished trial"
    if _shapes(state["model"]) != _shapes(model.state_dict()):
        return "the state of another model"
    return None


def _why_best_is_lost(state: SavedState, best: Path) -> str | None:
    """Why the best epoch's weights cannot be had any more, if so.

    The state's own epoch's are made from it; those of a later one will be trained again.
    """
    progress = Progress(**state["progress"])
    remade = "model" in state and progress.best_epoch == progress.epoch
    if progress.best_epoch == 0 or remade:
        return None
    try:
        found = checkpoint.load(best)
        if (identity := state.get("identity")) is not None:
            checkpoint.check_owner(found, best, identity)
    except StoreError as error:
        return f"of no use, since {error}"
    epoch = found.get("epoch", 0)
    if epoch == progress.best_epoch or epoch > progress.epoch:
        return None
    return f"of no use, since {best.name} is not of epoch {progress.best_epoch}, the best one"


def _is_over(state: SavedState, trial: Trial) -> bool:
    """Whether all epochs were trained, or early stopping has waited enough."""
    progress, train = Progress(**state["progress"]), trial.settings.train
    stopping = train.early_stopping
    return progress.epoch == train.epochs or (
        stopping is not None and progress.waited >= stopping.patience
    )


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "shape", None) for name, value in state.items()}


def _log(problems: list[str], what: str) -> None:
    for problem in problems:
        print(f"{problem}: {what}", flush=True)


def _delete(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be deleted ({error.strerror})") from error
