"""Deleting checkpoints that nothing needs any more.

Every record stays, so that reports are the same afterwards and no finished trial is run again.
Killed at any instant, it leaves trials that are finished as before, with some of their files; the
same command deletes the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.errors import StoreError, UnconfirmedError, UnwritableError, did_you_mean
from bench.record.confirm import verified_status
from bench.record.files import read_json
from bench.record.leases import Leases
from bench.record.owners import Owner
from bench.record.store import Store, TrialFiles
from bench.states import Status

Keep = Literal["best", "none"]


@dataclass(frozen=True)
class CleanOptions:
    """What is deleted.

    Attributes:
        keep: `best`: what training would go on from; `none`: the best epoch's weights as well.
        failed: failed trials' too, which `run --retry-failed` then starts from the first epoch.
        dry_run: nothing: only count.
    """

    keep: Keep = "best"
    failed: bool = False
    dry_run: bool = False


@dataclass
class Cleaned:
    """What was deleted of an experiment, or would be.

    Attributes:
        total: how many trials were looked at.
        trials: how many of them something was deleted of.
        size: bytes that this frees on the disk.
        left: a line for each trial that was left alone although it has something to delete.
    """

    experiment: str
    total: int = 0
    trials: int = 0
    size: int = 0
    left: list[str] = field(default_factory=list)


def clean(store: Store, texts: Sequence[str], options: CleanOptions) -> list[Cleaned]:
    """Delete checkpoints of the experiments and trials that `texts` name; of all, without any.

    Trials that are running, or can go on where they were interrupted, are not touched.

    Raises:
        StoreError: there is no such experiment or trial; nothing was deleted.
        UnwritableError: a file cannot be deleted; what was before stays deleted.
    """
    wanted = _requested_trials(store, texts)
    return [_clean(store, name, trials, options) for name, trials in wanted.items()]


def _requested_trials(store: Store, texts: Sequence[str]) -> dict[str, list[TrialFiles]]:
    """The trials by experiment."""
    names = store.experiments()
    found: dict[str, dict[str, TrialFiles]] = {}
    for text in texts or names:
        trials = store.trials(text) if text in names else [_trial(store, text, names)]
        for files in trials:
            found.setdefault(files.experiment, {})[files.id] = files
    return {name: list(trials.values()) for name, trials in found.items()}


def _trial(store: Store, text: str, names: Sequence[str]) -> TrialFiles:
    try:
        files = store.find(text)
    except StoreError as error:
        if "ambiguous" in str(error) or not names:
            raise
        hint = did_you_mean(text, [*names, *(t.id for name in names for t in store.trials(name))])
        raise StoreError(f"{store.root}: no experiment or trial {text!r}{hint}") from error
    if files.folder.absolute().parent.parent != store.root.absolute():
        raise StoreError(f"{files.folder}: is not in {store.root}: say --results FOLDER")
    return store.trial(files.experiment, files.id)


def _clean(
    store: Store, experiment: str, trials: Sequence[TrialFiles], options: CleanOptions
) -> Cleaned:
    cleaned = Cleaned(experiment, len(trials))
    running = store.running(experiment) if options.dry_run else {}
    candidates = [files for files in trials if any(_to_delete(store, files, options))]
    with ExitStack() as stack:
        leases = None
        if candidates and not options.dry_run:
            leases = stack.enter_context(store.leases(experiment))
        for files in candidates:
            if files.id in running:
                cleaned.left.append(f"{files.id} is running")
                continue
            _clean_trial(store, files, options, leases, cleaned)
    return cleaned


def _clean_trial(
    store: Store,
    files: TrialFiles,
    options: CleanOptions,
    leases: Leases | None,
    cleaned: Cleaned,
) -> None:
    """Delete under the trial's lease, which whoever runs a trial holds."""
    lease = None if leases is None else leases.claim(files.id)
    if isinstance(lease, Owner):
        cleaned.left.append(f"{files.id} is being run by {lease}")
        return
    try:
        if (reason := _why_kept(files, options)) is not None:
            cleaned.left.append(f"{files.id} {reason}")
            return
        paths = list(_to_delete(store, files, options))
        size = freed(paths)
        if not options.dry_run:
            for path in paths:
                _delete(path)
    finally:
        if leases is not None and lease is not None:
            leases.release(lease)
    cleaned.trials += 1
    cleaned.size += size


def _why_kept(files: TrialFiles, options: CleanOptions) -> str | None:
    """Why a trial's checkpoints are still of use; None: they are not."""
    try:
        status = verified_status(files).status
    except UnconfirmedError as error:
        return f"is left as it is: {error.reason}"
    if status in (Status.DONE, Status.PRUNED) or (status is Status.FAILED and options.failed):
        return None
    if status is Status.FAILED:
        return "failed, and can go on (--failed deletes its checkpoints)"
    return "is not finished, and goes on from its checkpoint"


def _to_delete(store: Store, files: TrialFiles, options: CleanOptions) -> Iterator[Path]:
    """What there is to delete, in order: what finished.pt and best.pt are for goes before them."""
    paths = [files.previous, files.last]
    if options.keep == "none":
        paths += [files.finished, *_mirrored(store, files), files.best]
    return (path for path in paths if path.is_file() or path.is_symlink())


def _mirrored(store: Store, files: TrialFiles) -> Iterator[Path]:
    """MLflow's best.pt in this store, mostly another name of the trial's own."""
    run = (read_json(files.mlflow_path) or {}).get("run_id")
    if isinstance(run, str) and run.isalnum():
        yield store.artifacts / files.experiment / run / "artifacts" / files.best.name


def freed(paths: Sequence[Path]) -> int:
    """Bytes that deleting the files frees: none where a file has another name that stays."""
    found: dict[tuple[int, int], list[int]] = {}
    for path in paths:
        stat = path.lstat()
        names = found.setdefault((stat.st_dev, stat.st_ino), [stat.st_nlink, stat.st_size])
        names[0] -= 1
    return sum(size for left, size in found.values() if left <= 0)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableError(
            f"{path}: cannot be deleted ({error.strerror}): make its folder writable"
        ) from error
