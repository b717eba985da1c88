"""The mirror of the files in MLflow: whatever MLflow lacks is read from the files and pushed.

MLflow is asked each time what it has, so nothing is logged twice wherever either side was
interrupted; `mlflow.json` only remembers where to look and what state was pushed last.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.record import mlflow_fields as fields
from bench.record.columns import Status
from bench.record.files import write_json
from bench.record.mlflow_connect import ArtifactError, connect, load, place
from bench.record.mlflow_record import Pushed, Record, agrees, marker, memory_of
from bench.record.mlflow_tree import SOURCE, Tree
from bench.record.store import Store, TrialFiles
from bench.safe_files import refuse_link_out

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_METRICS_PER_BATCH, _PARAMS_PER_BATCH = 1000, 100
_LOCK_SECONDS = 90.0  # longer than it takes to see that another machine's process is dead


class MirrorError(StoreError):
    """MLflow is down, slow, full or refuses. The files are complete; `bench sync` catches up."""


@dataclass(frozen=True)
class Counts:
    """What `sync` did.

    Attributes:
        trials: how many have something to mirror.
        pushed: of how many of them MLflow lacked something.
        problems: why some could not be read, a line each.
    """

    trials: int
    pushed: int
    problems: tuple[str, ...] = ()


class Mirror:
    """Pushes a store's trials to MLflow. MLflow is imported when it is first needed.

    Args:
        store: the files.
        uri: a tracking server; default: MLFLOW_TRACKING_URI, else the store's own SQLite file.
    """

    def __init__(self, store: Store, uri: str | None = None) -> None:
        self.store = store
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or store.mlflow_uri
        self._known: dict[TrialFiles, Pushed] = {}

    @property
    def label(self) -> str:
        """The URI without a password, and for the store's own database without its folders."""
        if self.uri == self.store.mlflow_uri:
            return "sqlite:///mlflow.db"
        return _without_password(self.uri)

    def prepare(self) -> None:
        """Import MLflow and make sure that the store is there, before any work needs it.

        Raises:
            MirrorError: it cannot be reached or made.
        """
        with self._writing():
            self._client.search_experiments(max_results=1)

    def sync_trial(self, files: TrialFiles) -> bool:
        """Push what MLflow has not got of one trial; whether there was anything.

        Raises:
            MirrorError: MLflow failed; calling again goes on from there.
            StoreError: the trial's records cannot be read.
        """
        if files.status(strict=True).status is Status.PLANNED:
            return False
        known = self._known.pop(files, None)
        record = Record.read(files, known.record if known else None)
        with self._writing():
            run = self._append(known, record) or self._bring_up(record)
        if run is None:
            return False
        self._remember(run, record)
        return True

    def sync(self, experiment: str | None = None) -> Counts:
        """Push what MLflow has not got of an experiment, or of all.

        Raises:
            MirrorError: MLflow failed; calling again goes on from there.
        """
        names = self.store.experiments() if experiment is None else [experiment]
        trials, pushed, problems = 0, 0, []
        for files in (files for name in names for files in self.store.trials(name)):
            try:
                trials += files.status(strict=True).status is not Status.PLANNED
                pushed += self.sync_trial(files)
            except MirrorError:
                raise
            except StoreError as error:
                problems.append(str(error))
        if pushed:
            self.close_parents()
        return Counts(trials, pushed, tuple(problems))

    def close_parents(self) -> None:
        """Give the parent runs that were used the state of their children.

        Raises:
            MirrorError: MLflow failed.
        """
        with self._writing():
            self._tree.close()

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self.store, self.uri)

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._client, self.store, self.uri)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One process at a time, so that what MLflow has does not change after asking it."""
        try:
            load(self.uri)  # not under the lock: it takes seconds
            with self.store.mirroring(_LOCK_SECONDS):
                yield
        except (MirrorError, ArtifactError):
            raise
        except TimeoutError as error:
            raise MirrorError(
                f"MLflow at {self.label}: another process has been writing for "
                f"{_LOCK_SECONDS:.0f} s"
            ) from error
        except Exception as error:  # MLflow lets through what SQLAlchemy, requests, … raise
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            reason = _without_password(line)[:300]
            raise MirrorError(f"MLflow at {self.label}: {reason}") from error

    def _append(self, known: Pushed | None, record: Record) -> Run | None:
        """Push the epochs that were added; None where MLflow has to be asked what it has.

        A running trial is pushed again and again, and asking takes longer than pushing.
        """
        from mlflow.exceptions import MlflowException

        if known is None or not known.is_beginning_of(record):
            return None
        try:
            self._log_epochs(known.run, record, after=int(known.record.history[-1]["epoch"] or 0))
        except MlflowException:  # the run was deleted, perhaps
            return None
        self._known[record.files] = Pushed(known.run, record)
        return known.run

    def _bring_up(self, record: Record) -> Run | None:
        """Ask MLflow what it has and push the rest; None where it has all."""
        parent = self._tree.parent(record.files.experiment, str(record.config.get("common")))
        run, steps = self._find(record)
        if run and self._has_all(run, record, parent):
            return None
        if run and not agrees(steps, record):
            self._client.delete_run(run.info.run_id)
            run, steps = None, {}
        run = run or self._create(record, parent)
        last = max(steps, default=0)
        self._push(run, record, parent, after=last)
        if last <= len(record.history):
            self._known[record.files] = Pushed(run, record)
        return run

    def _find(self, record: Record) -> tuple[Run | None, dict[int, float]]:
        """The trial's run, and what it has of one column: step → value."""
        files, column = record.files, marker(record.history)
        run = self._remembered(files) or self._tree.search(
            files.experiment, kind="trial", id=files.id
        )
        if run is None:
            return None, {}
        metrics = self._client.get_metric_history(run.info.run_id, column)
        return run, {metric.step: metric.value for metric in metrics}

    def _remembered(self, files: TrialFiles) -> Run | None:
        """The run that mlflow.json names, if it is there, not deleted, and this trial's.

        If the trial was renamed since, the run of its old name is deleted: another one follows.
        """
        from mlflow.exceptions import MlflowException

        run_id = memory_of(files).get("run_id")
        if not isinstance(run_id, str):
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        experiment, name = (run.data.tags.get(f"bench.{key}") for key in ("experiment", "id"))
        if run.info.lifecycle_stage != "active" or experiment != files.experiment or not name:
            return None
        if name == files.id:
            return run
        if not self.store.trial(experiment, name).folder.exists():
            self._client.delete_run(run_id)
        return None

    def _has_all(self, run: Run, record: Record, parent: str) -> bool:
        """Whether what was pushed last is what the files say now."""
        memory = memory_of(record.files)
        known = (memory.get("uri"), memory.get("run_id"), memory.get("state"))
        return (
            known == (self.label, run.info.run_id, record.digest)
            and run.data.tags.get("mlflow.parentRunId") == parent
        )

    def _remember(self, run: Run, record: Record) -> None:
        write_json(
            record.files.mlflow_path,
            {
                "run_id": run.info.run_id,
                "uri": self.label,
                "epochs_logged": len(record.history),
                "finished": record.status.status is not Status.RUNNING,
                "state": record.digest,
            },
        )

    def _create(self, record: Record, parent: str) -> Run:
        return self._client.create_run(
            self._tree.experiment(record.files.experiment),
            start_time=fields.milliseconds(record.status.started),
            tags=_tags(record, parent),
            run_name=record.files.id,
        )

    def _push(self, run: Run, record: Record, parent: str, after: int) -> None:
        """Params and tags first, then the epochs after `after`, then what comes at the end."""
        self._log_params(run, fields.params(record.config))
        self._log_tags(run, _tags(record, parent))
        self._log_epochs(run, record, after)
        if record.status.status is not Status.RUNNING:
            self._finish(run, record)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")

    def _log_params(self, run: Run, params: Mapping[str, str]) -> None:
        """Those that are not there yet: MLflow does not let them be changed."""
        from mlflow.entities import Param

        lacking = [Param(k, v) for k, v in params.items() if k not in run.data.params]
        for start in range(0, len(lacking), _PARAMS_PER_BATCH):
            batch = lacking[start : start + _PARAMS_PER_BATCH]
            self._client.log_batch(run.info.run_id, params=batch)

    def _log_tags(self, run: Run, tags: Mapping[str, str]) -> None:
        """Those that differ."""
        from mlflow.entities import RunTag

        changed = [RunTag(k, v) for k, v in tags.items() if run.data.tags.get(k) != v]
        if changed:
            self._client.log_batch(run.info.run_id, tags=changed)

    def _log_epochs(self, run: Run, record: Record, after: int) -> None:
        """Whole epochs at a time: a batch is one transaction, so no epoch is half there."""
        from mlflow.entities import Metric

        start = fields.milliseconds(record.status.started) or run.info.start_time
        times = fields.epoch_times(record.history, start)
        batch: list[Metric] = []
        for row, time in zip(record.history, times, strict=True):
            step = int(row["epoch"] or 0)
            if step <= after:
                continue
            metrics = fields.epoch_metrics(row).items()
            if len(batch) + len(metrics) > _METRICS_PER_BATCH:
                self._client.log_batch(run.info.run_id, metrics=batch)
                batch = []
            batch += [Metric(name, value, time, step) for name, value in metrics]
        if batch:
            self._client.log_batch(run.info.run_id, metrics=batch)

    def _finish(self, run: Run, record: Record) -> None:
        """Summary, artifacts, and last the run's status."""
        from mlflow.entities import Metric

        files, run_id = record.files, run.info.run_id
        time = fields.milliseconds(record.status.updated) or run.info.start_time
        figures = fields.summary_metrics(record.summary).items()
        metrics = [Metric(name, value, time, len(record.history)) for name, value in figures]
        if metrics:
            self._client.log_batch(run_id, metrics=metrics)
        self._log_tags(run, fields.summary_tags(record.summary))
        state = fields.RUN_STATUS[record.status.status]
        try:
            self._place_all(run, files)
        finally:  # what is wrong with a file is no reason for a run that never ends
            self._client.set_terminated(run_id, state, end_time=time)

    def _place_all(self, run: Run, files: TrialFiles) -> None:
        """Make the trial's files artifacts of its run."""
        found = [(path, "") for path in (files.config_path, files.environment_path, files.best)]
        found += [(path, "samples") for path in sorted(files.samples.glob("*.png"))]
        for path, folder in found:
            if path.is_file():
                self._place(run.info.run_id, run.info.artifact_uri, path, folder)

    def _place(self, run_id: str, uri: str, path: Path, folder: str) -> None:
        """Make a file an artifact: in our own store in its own folder only, and no link."""
        if path.is_symlink() or path.parent.is_symlink():
            raise ArtifactError(f"{path}: is a link, and is not copied: records are plain files")
        place(self._client, run_id, uri, path, folder, self._artifacts)

    @property
    def _artifacts(self) -> Path | None:
        """The folder that the artifacts of the store's own MLflow have to be in."""
        if self.uri != self.store.mlflow_uri:
            return None
        return refuse_link_out(self.store.artifacts, self.store.root)


def _without_password(text: str) -> str:
    return re.sub("//[^/@ ]+@", "//***@", text)


def _tags(record: Record, parent: str) -> dict[str, str]:
    tags = fields.trial_tags(record.config, record.status)
    return tags | SOURCE | {"mlflow.parentRunId": parent}
