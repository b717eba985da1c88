"""Trials of one identity that saw different data must not stand in one table.

Where data lies is no part of a trial's identity, and files change; so what a finished trial was
trained on is compared with what is there now.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from bench.data.settings import DataSettings, FilesSettings, OxfordPetSettings
from bench.errors import BenchError, DamagedError, StoreError, UnconfirmedError
from bench.plan.plan import Plan
from bench.plan.trial import Trial, digest
from bench.record.confirm import verified_status
from bench.record.confirmed_index import ConfirmedIndex
from bench.record.files import read_json, write_json
from bench.record.store import Store
from bench.states import Status

_MOST_FILES = 200_000
"""Of a folder with more it takes seconds to look at all, each time that nothing is to be run."""


def moved_trials(
    plan: Plan, finished: Collection[str], store: Store, confirmed: ConfirmedIndex | None = None
) -> list[Trial]:
    """Finished trials whose data was somewhere else when they were trained, or is not known, or of
    which a file has changed since it was last looked at.

    What `confirmed` knows of them is not read again.
    """
    # all seeds of an arm share their settings
    data = {id(t.settings): digest(t.settings.data.model_dump(mode="json")) for t in _arms(plan)}

    def before(trial: Trial) -> str | None:
        known = None if confirmed is None else confirmed.data_digest(trial.id)
        return known or _data(trial, store)

    those, touched = set(finished), _touched(plan, store)
    return [
        trial
        for trial in plan.trials
        if trial.id in those
        and (before(trial) != data[id(trial.settings)] or _kind(trial) in touched)
    ]


def keep_stamps(plan: Plan, store: Store) -> None:
    """Remember what the files of the plan's data are like, now that they were looked at."""
    stamps = {kind: stamp for kind, stamp in _stamps(plan).items() if stamp is not None}
    with suppress(StoreError):  # what is not remembered is not compared
        write_json(_stamps_path(plan, store), stamps)


def _touched(plan: Plan, store: Store) -> set[str]:
    """Kinds of data of which a file was added, removed, or written since they were looked at."""
    before: Mapping[str, object] = {}
    with suppress(StoreError):
        before = read_json(_stamps_path(plan, store)) or {}
    return {k for k, stamp in _stamps(plan).items() if before.get(k, stamp) != stamp}


def _stamps(plan: Plan) -> dict[str, str | None]:
    """By kind of data: a digest of its files' names, sizes and times; None: of no files known."""
    data = {_kind(trial): trial.settings.data for trial in _arms(plan)}
    folders = {kind: _folder(settings) for kind, settings in data.items()}
    of_folder = {folder: _stamp(folder) for folder in set(folders.values())}
    return {kind: of_folder[folder] for kind, folder in folders.items()}


def data_stamp(data: DataSettings) -> str | None:
    """A digest of the names, sizes and times of a data set's files; None: of no files known."""
    return _stamp(_folder(data))


def _folder(data: DataSettings) -> Path | None:
    """Where a data set's files are; None: it has none, or only its own code knows."""
    if not isinstance(data, FilesSettings):
        return None
    root = Path(str(getattr(data, "root", "")))
    return root / "oxford-iiit-pet" if isinstance(data, OxfordPetSettings) else root


def _stamp(folder: Path | None) -> str | None:
    if folder is None or not folder.is_dir():
        return None
    found = sha256()
    for count, line in enumerate(_lines(folder)):
        if count == _MOST_FILES:
            return None
        found.update(line.encode(errors="surrogateescape"))
    return found.hexdigest()[:16]


def _lines(folder: Path) -> Iterator[str]:
    """A line for each file in a folder and those below, in a fixed order."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            with suppress(OSError):
                facts = (Path(root) / name).stat()
                yield f"{root}/{name} {facts.st_size} {facts.st_mtime_ns}\n"


def _stamps_path(plan: Plan, store: Store) -> Path:
    return store.experiment(plan.experiment) / ".data_files.json"


def _arms(plan: Plan) -> Iterable[Trial]:
    """A trial of each arm."""
    return {id(trial.settings): trial for trial in plan.trials}.values()


def refuse_changed_data(plan: Plan, fingerprints: Mapping[str, str], store: Store) -> None:
    """Refuse to go on with finished trials that saw other data than `fingerprints` (by trial) tell.

    Raises:
        BenchError: how many, and what to do.
    """
    now = {
        _kind(trial): fingerprints[trial.id] for trial in plan.trials if trial.id in fingerprints
    }
    other = [trial.id for trial in plan.trials if _differs(trial, now.get(_kind(trial)), store)]
    if other:
        raise BenchError(
            f"{len(other)} finished trials of {plan.experiment!r} were trained on other data than "
            "data.root holds now, or an earlier version read them otherwise (the first: "
            f"{other[0]}): give this experiment another name (experiment=…), or train them again "
            "with --force"
        )


def _data(trial: Trial, store: Store) -> str | None:
    """`digest` of the data settings that a trial was recorded with."""
    try:
        config = store.trial(trial.experiment, trial.id).config()
    except DamagedError:
        return None  # what is looked at again is written again
    return digest((config.get("settings") or {}).get("data"))


def _differs(trial: Trial, fingerprint: str | None, store: Store) -> bool:
    files = store.trial(trial.experiment, trial.id)
    if fingerprint is None:
        return False
    try:
        if verified_status(files).status is not Status.DONE:
            return False
    except UnconfirmedError:
        return False  # it does not count as finished
    return files.summary().get("data_fingerprint") not in (None, fingerprint)


def _kind(trial: Trial) -> str:
    """Trials of one kind are meant to see the same data."""
    return digest(trial.settings.data.identity())
