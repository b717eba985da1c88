"""`bench publish`: the records that a report is made from, for others to read.

Without checkpoints, pictures, logs and MLflow's runs, and without what only concerns the machine:
host names, process ids, absolute paths. `bench report --results FOLDER` makes the report of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.commands.disk import size_text
from bench.errors import BenchError, StoreError, UnconfirmedError
from bench.plan.recorded import check_identity
from bench.record.columns import ENVIRONMENT_DIGEST, SUMMARY_DIGEST, Status
from bench.record.confirm import confirmed, environment_digest, summary_digest
from bench.record.files import read_json, write_json
from bench.record.machine_traces import (
    MachineTraces,
    hosts_in,
    keys_of_paths,
    paths_in,
    with_value,
)
from bench.record.store import Store, TrialFiles
from bench.safe_files import open_plain, refuse_link_out

_OF_EXPERIMENT = ("plan.json", "data.json", "looks.json", "search.json")
_NAMES_OF_IMAGES = "images-*.json"
_OF_TRIAL = ("config.yaml", "status.json", "history.csv", "summary.json", "environment.json")
_SCORES = "scores"
_FINAL = (Status.DONE, Status.FAILED, Status.PRUNED)
_USERS_OWN = ("hypotheses", "axes", "trials", "design")
"""Of plan.json: what the user wrote for others to read, and what ids follow from."""


@dataclass
class Published:
    """What was published of an experiment.

    Attributes:
        folder: where it is.
        trials: how many trials.
        size: bytes in all.
        left_out: ids of trials that were not, and why.
        paths: keys whose absolute paths stay, since a trial's identity has them; with the number
            of trials.
    """

    folder: Path
    trials: int = 0
    size: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)


def publish(store: Store, experiments: Sequence[str], out: Path) -> list[Published]:
    """Write the records of experiments to `out/<experiment>/`, in place of earlier ones there.

    Raises:
        BenchError: there is no such experiment; or `out` has something else of that name.
        StoreError: a record cannot be read.
    """
    names = [store.existing(name) for name in experiments] or store.experiments()
    if not names:
        raise BenchError(f"no experiments in {store.root}: `bench run` makes one")
    if out.resolve() == store.root.resolve():
        raise BenchError(f"--out {out}: is the folder of the records themselves: choose another")
    for name in names:
        refuse_link_out(out / name, out)
        _refuse_others(out / name)
    return [_publish(store, name, out) for name in dict.fromkeys(names)]


def _refuse_others(folder: Path) -> None:
    """Refuse to replace a folder in which there is something that `publish` does not write."""
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        name = path.relative_to(folder)
        plain = not path.is_symlink() and (path.is_dir() or _is_published(name))
        if not plain or len(name.parts) > 3:
            raise BenchError(
                f"{path}: is nothing that `publish` writes, and would be deleted: choose another "
                "--out folder, or remove it"
            )


def _is_published(name: Path) -> bool:
    """Whether `publish` writes a file of this name, in the experiment's folder."""
    match name.parts:
        case (_,):
            return name.name in _OF_EXPERIMENT or name.match(_NAMES_OF_IMAGES)
        case (_, file):
            return file in _OF_TRIAL
        case (_, folder, _):
            return folder == _SCORES and name.suffix in (".npy", ".json")
    return False


def _publish(store: Store, experiment: str, out: Path) -> Published:
    """Write it under a temporary name, check it, and rename it as a whole."""
    out.mkdir(parents=True, exist_ok=True)
    found = Published(out / experiment)
    with TemporaryDirectory(dir=out, prefix=".publish-") as temporary:
        target = Store(Path(temporary))
        folder = target.experiment(experiment)
        folder.mkdir()
        traces = _traces(store, experiment)
        for files in store.trials(experiment):
            if (reason := _why_not(files)) is not None:
                found.left_out[files.id] = reason
                continue
            copied = target.trial(experiment, files.id)
            for key in _publish_trial(files, copied, traces):
                found.paths[key] = found.paths.get(key, 0) + 1
            confirmed(copied)
            found.trials += 1
        _publish_experiment(store.experiment(experiment), folder, traces)
        found.size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if found.folder.exists():
            shutil.rmtree(found.folder)
        folder.rename(found.folder)
    return found


def _traces(store: Store, experiment: str) -> MachineTraces:
    """What the experiment's records say of machines."""
    hosts: set[str] = set()
    paths = {str(store.root.absolute()), str(Path.home())}
    for files in store.trials(experiment):
        try:
            for record in (files.environment(), read_json(files.status_path) or {}):
                hosts |= hosts_in(record)
            paths |= paths_in(files.config())
        except StoreError:
            continue  # such a trial is left out
    return MachineTraces(hosts, paths - {"/"})


def _why_not(files: TrialFiles) -> str | None:
    """Why a trial is not published; None: it is."""
    try:
        status = confirmed(files).status.status
    except UnconfirmedError as error:
        return error.reason
    except StoreError as error:
        return str(error)
    return None if status in _FINAL else f"is {status}, not finished"


def _publish_trial(files: TrialFiles, target: TrialFiles, traces: MachineTraces) -> list[str]:
    """Write one trial; the keys of its config.yaml whose absolute paths have to stay."""
    target.folder.mkdir()
    config, stay = _config(files, traces)
    target.write_config(config)
    status = traces.in_tree(read_json(files.status_path) or {})
    if isinstance(message := status.get("message"), str):
        status["message"] = traces.in_message(message)
    write_json(target.status_path, status)
    _copy(files.history_path, target.history_path)
    summary, environment = traces.in_tree(files.summary()), files.environment()
    if environment:
        environment = traces.in_tree(environment)
        write_json(target.environment_path, environment)
        if ENVIRONMENT_DIGEST in summary:
            summary[ENVIRONMENT_DIGEST] = environment_digest(files.id, environment)
    if summary:
        if SUMMARY_DIGEST in summary:
            summary[SUMMARY_DIGEST] = summary_digest(files.id, summary)
        write_json(target.summary_path, summary)
    refuse_link_out(files.scores, files.folder)
    for path in sorted(files.scores.glob("*")):
        if _is_published(Path(files.id, _SCORES, path.name)):
            target.scores.mkdir(exist_ok=True)
            _copy(path, target.scores / path.name)
    return stay


def _config(files: TrialFiles, traces: MachineTraces) -> tuple[dict[str, Any], list[str]]:
    """config.yaml without absolute paths, but for those that make the trial what it is."""
    config, stay = files.config(), []
    for key in keys_of_paths(config):
        value: Any = config
        for part in key:
            value = value[int(part) if isinstance(value, list) else part]
        changed = with_value(config, key, traces.in_text(value))
        try:
            check_identity(changed, files.id, files.experiment)
        except UnconfirmedError:
            stay.append(".".join(key))
        else:
            config = changed
    return config, stay


def _publish_experiment(source: Path, target: Path, traces: MachineTraces) -> None:
    for name in _OF_EXPERIMENT:
        if (record := read_json(source / name)) is None:
            continue
        kept = {key: record[key] for key in _USERS_OWN if name == "plan.json" and key in record}
        if isinstance(storage := record.get("storage"), str):
            kept["storage"] = storage.partition(":")[0]  # of a server's address its kind
        write_json(target / name, traces.in_tree(record) | kept)
    for path in sorted(source.glob(_NAMES_OF_IMAGES)):
        _copy(path, target / path.name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file that may be anybody's: no link is followed."""
    try:
        with open_plain(source) as file, target.open("xb") as copied:
            shutil.copyfileobj(file, copied)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{source}: cannot be copied ({error.strerror})") from error


def published_lines(found: Sequence[Published]) -> Iterator[str]:
    """What was published, a line each: what was left out, what stays to be seen, and how much."""
    for one in found:
        name = one.folder.name
        for trial, reason in one.left_out.items():
            yield f"{name}: left out: {trial}: {reason}"
        for key, count in one.paths.items():
            yield (
                f"Warning: {name}: {key} has an absolute path in {count} of {one.trials} trials, "
                "which stays, since their ids follow from it."
            )
        trials = "1 trial" if one.trials == 1 else f"{one.trials} trials"
        yield f"{name}: {trials}, {size_text(one.size)}: {one.folder}"
