"""The state that a longer trial begins with, made of the last one of a shorter trial."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.atomic_files import write_bytes
from bench.errors import StoreError
from bench.plan.trial import Trial, digest
from bench.safe_files import open_plain, refuse_link_out
from bench.train import checkpoint
from bench.train.progress import Progress
from bench.train.trial_parts import build

_EPOCH_PICTURE = re.compile(r"epoch(\d+)_(.+)")


@dataclass(frozen=True)
class StatePaths:
    """A trial's files that training goes on from, and its pictures."""

    last: Path
    best: Path
    samples: Path


def take_over_state(
    trial: Trial, own: StatePaths, shorter: Trial, theirs: StatePaths, fingerprint: str
) -> int:
    """Give a trial the last state of a shorter one, under its own identity; the epochs done.

    `last.pt` comes last of all: killed before, the trial starts from nothing; after it, it goes on
    as one that was interrupted.

    Args:
        trial: nothing is recorded of it.
        own: where its files will be.
        shorter: the same with fewer epochs.
        theirs: where its files are, which stay.
        fingerprint: of the data as it is now.

    Raises:
        StoreError: the state cannot be used; why.
    """
    state = checkpoint.load(theirs.last)
    if state.get("identity") != digest(shorter.identity):
        raise StoreError(f"{theirs.last}: not the state of {shorter.id}")
    if state.get("fingerprint") != fingerprint:
        raise StoreError(f"the data is not what {shorter.id} was trained on")
    progress = Progress(**state["progress"])
    if progress.best_epoch:
        best = checkpoint.load(theirs.best)
        checkpoint.check_owner(best, theirs.best, digest(shorter.identity))
        if best.get("epoch") != progress.best_epoch:
            raise StoreError(f"{theirs.best}: not of epoch {progress.best_epoch}, the best one")
        checkpoint.save(own.best, best | {"identity": digest(trial.identity)})
    _take_over_pictures(trial, own.samples, theirs.samples, progress.epoch)
    state = state | {"identity": digest(trial.identity)}
    checkpoint.save(own.last, state, durable=True)
    return progress.epoch


def _take_over_pictures(trial: Trial, own: Path, theirs: Path, done: int) -> None:
    """Those of epochs after which the longer trial makes pictures, too, under its names."""
    refuse_link_out(theirs, theirs.parent)
    found = [
        (match, path)
        for path in sorted(theirs.glob("epoch*.png"))
        if (match := _EPOCH_PICTURE.fullmatch(path.name))
    ]
    if not found:
        return
    task, epochs = build(trial).task, trial.settings.train.epochs
    for match, path in found:
        epoch = int(match[1])
        if epoch <= done and task.makes_pictures_at(epoch, epochs):
            with open_plain(path) as picture:
                name = f"epoch{epoch:0{len(str(epochs))}}_{match[2]}"
                write_bytes(own / name, picture.read())
