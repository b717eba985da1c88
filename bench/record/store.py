"""Where things are under `results/`: no other module knows. Imports neither torch nor MLflow."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import DamagedError, StoreError, did_you_mean
from bench.record.files import read_json, write_json
from bench.record.leases import Leases, holder_of, holders
from bench.record.owners import Owner
from bench.record.plan_file import read_plan
from bench.record.trial_files import TrialFiles, TrialStatus, now
from bench.safe_files import refuse_link_out

if TYPE_CHECKING:
    from bench.record.data_file import DataSetRecord

LEASES = ".leases"
__all__ = ["Store", "TrialFiles", "TrialStatus", "now"]

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_RESERVED = frozenset({"mlartifacts"})


@dataclass(frozen=True)
class Store:
    """Everything under one results folder. Picklable; nothing is created before it is written."""

    root: Path

    @property
    def mlflow_uri(self) -> str:
        """The tracking URI of this store's own MLflow database."""
        return f"sqlite:///{self.root.resolve() / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Where this store's own MLflow keeps artifacts."""
        return self.root / "mlartifacts"

    @contextlib.contextmanager
    def mirroring(self, timeout: float) -> Iterator[None]:
        """Be the one process that writes to MLflow.

        Raises:
            TimeoutError: another one was, for `timeout` seconds.
            StoreError: the folder is not writable.
        """
        with Leases(self.root / LEASES) as leases, leases.hold("mlflow", timeout=timeout):
            yield

    def experiments(self) -> list[str]:
        """Names of the experiments that have a plan or a trial, sorted."""
        return sorted(
            path.name
            for path in _folders(self.root)
            if path.name not in _RESERVED
            and ((path / "plan.json").is_file() or any(map(_is_trial, _folders(path))))
        )

    def experiment(self, name: str) -> Path:
        """The folder of an experiment, there or not; StoreError where `name` cannot be one."""
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise StoreError(
                f"experiment name {name!r}: use letters, digits, '_', '-' and '.' (and not "
                f"{', '.join(sorted(_RESERVED))})"
            )
        return refuse_link_out(self.root / name, self.root)

    def existing(self, name: str) -> str:
        """`name`, if there are records of it; else a StoreError with the nearest name."""
        names = self.experiments()
        if name in names:
            return name
        hint = did_you_mean(name, names) if names else ""
        raise StoreError(f"{self.root}: no experiment {name!r}{hint or ' (there is none yet)'}")

    def trials(self, experiment: str) -> list[TrialFiles]:
        """The trials that have a folder, sorted by id; planned ones without are in the plan."""
        folders = _folders(self.experiment(experiment))
        return [
            TrialFiles(p)
            for p in folders
            if _NAME.fullmatch(p.name) and _is_trial(p) and self._inside(p)
        ]

    def strangers(self, experiment: str) -> dict[str, str]:
        """Names of folders that have a trial's files and are none: `x - Copy`; with the reasons."""
        found = {}
        for path in filter(_is_trial, _folders(self.experiment(experiment))):
            if not _NAME.fullmatch(path.name):
                found[path.name] = "its folder has no trial's name"
            elif not self._inside(path):
                found[path.name] = "its folder is a link that leads out of the results"
        return found

    def _inside(self, path: Path) -> bool:
        return not path.is_symlink() or path.resolve().is_relative_to(self.root.resolve())

    def trial(self, experiment: str, trial_id: str) -> TrialFiles:
        """The files of a trial, there or not."""
        if not _NAME.fullmatch(trial_id):
            raise StoreError(f"trial id {trial_id!r}: not a name")
        return TrialFiles(refuse_link_out(self.experiment(experiment) / trial_id, self.root))

    def find(self, text: str) -> TrialFiles:
        """A recorded trial by id, unique beginning of an id, `experiment/id`, or path.

        Raises:
            StoreError: none or several match; says which, or the nearest.
        """
        matches, trials = self._matching(text)
        if len(matches) == 1:
            return matches[0]
        if matches:
            found = ", ".join(f"{t.experiment}/{t.id}" for t in matches[:5])
            more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
            raise StoreError(f"trial {text!r} is ambiguous: {found}{more}")
        trial_id = text.strip("/").rpartition("/")[2]
        hint = did_you_mean(trial_id, (t.id for t in trials)) if trials else " (there is none yet)"
        raise StoreError(f"{self.root}: no trial {text!r}{hint[:400]}")

    def matching(self, text: str) -> list[TrialFiles]:
        """The recorded trials that `find` would choose from."""
        return self._matching(text)[0]

    def _matching(self, text: str) -> tuple[list[TrialFiles], list[TrialFiles]]:
        """The trials that match, and all that were looked at."""
        path = Path(text)
        if text and _is_trial(path):
            return [TrialFiles(path.absolute())], []
        experiment, _, trial_id = text.strip("/").rpartition("/")
        names = [self.existing(experiment)] if experiment else self.experiments()
        trials = [trial for name in names for trial in self.trials(name)]
        matches = [t for t in trials if t.id == trial_id] or [
            t for t in trials if trial_id and t.id.startswith(trial_id)
        ]
        return matches, trials

    def plan_path(self, experiment: str) -> Path:
        """`plan.json` of an experiment."""
        return self.experiment(experiment) / "plan.json"

    def plan(self, experiment: str) -> dict[str, Any] | None:
        """The latest plan, or None; a DamagedError where it is no plan."""
        return read_plan(self.plan_path(experiment))

    def write_plan(self, experiment: str, record: Mapping[str, Any]) -> None:
        """Keep the plan; `written` is added."""
        write_json(self.plan_path(experiment), {**record, "written": now()})

    def looks(self, experiment: str) -> dict[str, Any]:
        """What `looks.json` of an experiment keeps; empty where it is not there, or damaged."""
        with contextlib.suppress(DamagedError):
            return read_json(self._looks_path(experiment)) or {}
        return {}

    def write_looks(self, experiment: str, record: Mapping[str, Any]) -> None:
        """Keep what was decided, round by round."""
        write_json(self._looks_path(experiment), record)

    def _looks_path(self, experiment: str) -> Path:
        return self.experiment(experiment) / "looks.json"

    def data_path(self, experiment: str) -> Path:
        """`data.json` of an experiment."""
        return self.experiment(experiment) / "data.json"

    def data(self, experiment: str) -> tuple[DataSetRecord, ...]:
        """What the experiment's data sets were like; a DamagedError where it cannot be read."""
        from bench.record.data_file import read_data  # numpy and pydantic: `status` needs neither

        return read_data(self.data_path(experiment))

    def update_data(
        self, experiment: str, found: Sequence[DataSetRecord], planned: Collection[str]
    ) -> None:
        """Keep what data sets were found to be like, and earlier ones of `planned` trials."""
        from bench.record.data_file import update_data

        update_data(self.data_path(experiment), found, planned)

    def leases(self, experiment: str) -> Leases:
        """Our part in who runs what of an experiment, once it is entered."""
        return Leases(self.experiment(experiment) / LEASES)

    def running(self, experiment: str) -> dict[str, Owner]:
        """Who runs which trial just now, by its id; any other `running` one was interrupted.

        Of other machines this can only tell by the clock (see `holders`).
        """
        return holders(self.experiment(experiment) / LEASES)

    def runs(self, experiment: str, trial: str) -> bool:
        """Whether somebody runs a trial just now, by the same signs."""
        return holder_of(self.experiment(experiment) / LEASES, trial) is not None


def _folders(path: Path) -> list[Path]:
    """Visible folders in `path`, sorted; none where it is not there."""
    try:
        return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}): check its owner") from error


def _is_trial(path: Path) -> bool:
    return (path / "config.yaml").is_file()
