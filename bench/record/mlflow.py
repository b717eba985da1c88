"""The mirror of the files in MLflow: whatever MLflow lacks is read from the files and pushed.

MLflow is asked each time what it has, so nothing is logged twice wherever either side was
interrupted; `mlflow.json` only remembers where to look and what state was pushed last.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.masking import masked_url
from bench.record import mlflow_fields as fields
from bench.record.columns import Status
from bench.record.files import write_json
from bench.record.mlflow_artifacts import Artifacts, artifacts_of
from bench.record.mlflow_connect import connect, is_own, load
from bench.record.mlflow_data import data_set_input
from bench.record.mlflow_errors import (
    ArtifactError,
    MirrorError,
    RefusedError,
    failure,
    is_refusal,
    lacking_error,
    reason,
)
from bench.record.mlflow_record import (
    LACKING,
    Pushed,
    Record,
    agrees,
    end_time,
    marker,
    memory_of,
    stamp,
)
from bench.record.mlflow_sync import FAILURES, Check, Sync, SyncCounts, accept
from bench.record.mlflow_tree import SOURCE, Tree
from bench.record.store import Store, TrialFiles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_METRICS_PER_BATCH, _PARAMS_PER_BATCH = 1000, 100
_LOCK_SECONDS = 90.0  # longer than it takes to see that another machine's process is dead

__all__ = ["ArtifactError", "Mirror", "MirrorError", "RefusedError", "SyncCounts"]


class Mirror:
    """Pushes a store's trials to MLflow. MLflow is imported when it is first needed.

    Args:
        store: the files.
        uri: a tracking server; default: MLFLOW_TRACKING_URI, else the store's own SQLite file.
    """

    def __init__(self, store: Store, uri: str | None = None) -> None:
        self.store = store
        wanted = uri or os.environ.get("MLFLOW_TRACKING_URI") or store.mlflow_uri
        self._own = is_own(store, wanted)
        self.uri = store.mlflow_uri if self._own else wanted  # however it was written
        self._known: dict[TrialFiles, Pushed] = {}

    @property
    def label(self) -> str:
        """The URI without a password, and for the store's own database without its folders."""
        return "sqlite:///mlflow.db" if self._own else masked_url(self.uri)

    def prepare(self) -> None:
        """Import MLflow and make sure that the store is there, before any work needs it.

        Raises:
            MirrorError: it cannot be reached or made.
        """
        with self._writing():
            self._client.search_experiments(max_results=1)

    def is_well(self) -> bool:
        """Whether MLflow answers."""
        with contextlib.suppress(Exception):
            self.prepare()
            return True
        return False

    def push(self, files: TrialFiles) -> bool:
        """Push parameters, metrics and status that MLflow has not got; whether there were any.

        Raises:
            MirrorError: MLflow failed; calling again goes on from there.
            RefusedError: MLflow does not take this trial.
            StoreError: the trial's records cannot be read.
        """
        if files.status(strict=True).status is Status.PLANNED:
            return False
        known = self._known.pop(files, None)
        try:
            status = stamp(files)
            record = Record.read(files, known.record if known else None)
            with self._writing():
                run = self._append(known, record) or self._bring_up(record)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{files.folder}: cannot be read ({error.strerror})") from error
        except Exception as error:
            refused = f"MLflow at {self.label} does not take this trial"
            raise RefusedError(f"{files.folder}: {refused} ({reason(error)})") from error
        if run is None:
            memory = memory_of(files)
            if memory.get("status") != status:  # written anew, or copied: the same all the same
                write_json(files.mlflow_path, memory | {"status": status})
            return False
        self._remember(run, record, status)
        return True

    def push_artifacts(self, files: TrialFiles, failures_allowed: int = FAILURES) -> bool:
        """Push the files that MLflow has not got of a trial that has ended, each by itself.

        What lacks is remembered in the trial's `mlflow.json`. Returns whether there was anything.

        Args:
            failures_allowed: after so many the rest is not tried: each may take its time-out.

        Raises:
            MirrorError: MLflow failed.
            ArtifactError: its artifact store did not take some; the others are there.
        """
        memory = memory_of(files)
        if not (lacking := set(memory.get(LACKING) or ())):
            return False
        failures: dict[str, Exception] = {}
        with self._writing():
            if (run := self._remembered(files)) is None:
                return False  # deleted: the next push makes it again
            for path, folder in artifacts_of(files):
                name = f"{folder}/{path.name}".lstrip("/")
                if name not in lacking:
                    continue
                if len(failures) >= failures_allowed:
                    failures[name] = next(iter(failures.values()))
                    continue
                try:
                    self._artifacts.put(run, files.experiment, path, folder)
                except Exception as error:  # boto3's, requests', the system's, …
                    failures[name] = error
        write_json(files.mlflow_path, memory | {LACKING: sorted(failures)})
        if failures:
            raise lacking_error(files.folder, failures)
        return True

    def sync_trial(self, files: TrialFiles) -> bool:
        """Push all that MLflow has not got of one trial; whether there was anything.

        Raises:
            StoreError: as `push` and `push_artifacts`.
        """
        pushed = self.push(files)
        return self.push_artifacts(files) or pushed

    def sync(self, experiment: str | None = None, check: Check = accept) -> SyncCounts:
        """Push what MLflow has not got of an experiment, or of all.

        Figures and final states of all trials come first, artifacts last: an artifact store that
        cannot be reached keeps nothing else out. A trial of which `check` raises a StoreError is
        left out.

        Raises:
            MirrorError: MLflow failed; calling again goes on from there.
        """
        names = self.store.experiments() if experiment is None else [experiment]
        return Sync(self, names, check).run()

    def close_parents(self) -> None:
        """Give the parent runs that were used the state of their children.

        Raises:
            MirrorError: MLflow failed.
        """
        with self._writing():
            self._tree.close()

    def keep_specs(self) -> None:
        """Store the spec with the parent runs that were used; an artifact, hence last.

        Raises:
            MirrorError: MLflow failed.
        """
        with self._writing():
            self._tree.keep_specs()

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self.store, self.uri)

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._client, self.store, self._artifacts, own=self._own)

    @cached_property
    def _artifacts(self) -> Artifacts:
        return Artifacts(self._client, self.store, own=self._own)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One process at a time, so that what MLflow has does not change after asking it."""
        try:
            load(self.uri)  # not under the lock: it takes seconds
            with self.store.mirroring(_LOCK_SECONDS):
                yield
        except MirrorError:
            raise
        except TimeoutError as error:
            raise MirrorError(
                f"MLflow at {self.label} is locked: another process has been writing for "
                f"{_LOCK_SECONDS:.0f} s"
            ) from error
        except Exception as error:  # MLflow lets through what SQLAlchemy, requests, … raise
            if is_refusal(error):
                raise
            raise failure(self.label, error) from error

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
        running = record.status.status is Status.RUNNING
        if running and last <= len(record.history):  # of ended ones nothing is kept
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

    def _remember(self, run: Run, record: Record, status: list[int]) -> None:
        """What was pushed, of which status.json; of an ended trial all files are lacking yet."""
        finished = record.status.status is not Status.RUNNING
        found = artifacts_of(record.files) if finished else ()
        write_json(
            record.files.mlflow_path,
            {
                "run_id": run.info.run_id,
                "uri": self.label,
                "epochs_logged": len(record.history),
                "finished": finished,
                "state": record.digest,
                "status": status,
                LACKING: [f"{folder}/{path.name}".lstrip("/") for path, folder in found],
            },
        )

    def _create(self, record: Record, parent: str) -> Run:
        run = self._client.create_run(
            self._tree.experiment(record.files.experiment),
            start_time=fields.milliseconds(record.status.started),
            tags=_tags(record, parent),
            run_name=record.files.id,
        )
        if run.info.run_id:
            return run
        # a proxy that answers everything with `{}`
        raise MirrorError(f"MLflow at {self.label} does not answer as MLflow does")

    def _push(self, run: Run, record: Record, parent: str, after: int) -> None:
        """Params and tags first, then the epochs after `after`, then the summary and the state."""
        from mlflow.entities import RunTag

        ended = record.status.status is not Status.RUNNING
        tags = _tags(record, parent)
        tags |= fields.summary_tags(record.summary) if ended else {}
        self._log_params(run, fields.params(record.config))
        if changed := [RunTag(k, v) for k, v in tags.items() if run.data.tags.get(k) != v]:
            self._client.log_batch(run.info.run_id, tags=changed)
        self._log_epochs(run, record, after, self._summary(run, record) if ended else ())
        if ended:
            if (data_set := data_set_input(self.store, record)) is not None:
                for run_id in (run.info.run_id, parent):  # MLflow keeps each once
                    self._client.log_inputs(run_id, datasets=[data_set])
            state, at = fields.RUN_STATUS[record.status.status], end_time(record, run)
            self._client.set_terminated(run.info.run_id, state, end_time=at)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")

    def _log_params(self, run: Run, params: Mapping[str, str]) -> None:
        """Those that are not there yet: MLflow does not let them be changed."""
        from mlflow.entities import Param

        lacking = [Param(k, v) for k, v in params.items() if k not in run.data.params]
        for start in range(0, len(lacking), _PARAMS_PER_BATCH):
            self._client.log_batch(run.info.run_id, params=lacking[start:][:_PARAMS_PER_BATCH])

    def _log_epochs(
        self, run: Run, record: Record, after: int, more: Iterable[Metric] = ()
    ) -> None:
        """Whole epochs at a time, then `more`: a batch is one transaction, no epoch is half there.

        With as few batches as possible: each is a commit.
        """
        from mlflow.entities import Metric

        start = fields.milliseconds(record.status.started) or run.info.start_time
        times = fields.epoch_times(record.history, start)
        batch: list[Metric] = []
        parts = [
            [Metric(name, value, time, step) for name, value in fields.epoch_metrics(row).items()]
            for row, time in zip(record.history, times, strict=True)
            if (step := int(row["epoch"] or 0)) > after
        ]
        for metrics in [*parts, list(more)]:
            if len(batch) + len(metrics) > _METRICS_PER_BATCH:
                self._client.log_batch(run.info.run_id, metrics=batch)
                batch = []
            batch += metrics
        if batch:
            self._client.log_batch(run.info.run_id, metrics=batch)

    def _summary(self, run: Run, record: Record) -> list[Metric]:
        """What summary.json adds to the epochs."""
        from mlflow.entities import Metric

        time = end_time(record, run)
        figures = fields.summary_metrics(record.summary).items()
        return [Metric(name, value, time, len(record.history)) for name, value in figures]


def _tags(record: Record, parent: str) -> dict[str, str]:
    own = fields.trial_tags(record.config, record.status)
    return own | SOURCE | {"mlflow.parentRunId": parent}
