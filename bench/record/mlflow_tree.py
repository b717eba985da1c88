"""What stands above the trials in MLflow: the experiment, and a parent run per spec."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.record.columns import Status
from bench.record.mlflow_artifacts import Artifacts
from bench.record.mlflow_fields import RUN_STATUS
from bench.record.store import Store, TrialFiles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_SPEC = "bench.spec"
SOURCE = {"mlflow.source.name": "bench", "mlflow.source.type": "LOCAL"}


class Tree:
    """Experiments and parent runs, found or made, and remembered for as long as this lives.

    Args:
        client: MLflow.
        store: the files.
        artifacts: where its files are.
        own: whether it is the store's own database.
    """

    def __init__(
        self, client: MlflowClient, store: Store, artifacts: Artifacts, *, own: bool
    ) -> None:
        self._client, self._store, self._artifacts, self._own = client, store, artifacts, own
        self._experiments: dict[str, str] = {}
        self._parents: dict[tuple[str, str], Run] = {}

    def experiment(self, name: str) -> str:
        """MLflow's id of the experiment, which is made, or restored if it was deleted."""
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage != "active":
                self._client.restore_experiment(found.experiment_id)
            self._experiments[name] = found.experiment_id if found else self._create(name)
        return self._experiments[name]

    def search(self, experiment: str, **tags: str) -> Run | None:
        """The newest run with these `bench.*` tags that is not deleted."""
        found = self._client.search_runs(
            [self.experiment(experiment)],
            " and ".join(f"tags.`bench.{name}` = '{value}'" for name, value in tags.items()),
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0] if found else None

    def parent(self, experiment: str, common: str) -> str:
        """Id of the run above all trials that share the spec's common settings."""
        key = (experiment, common)
        if key not in self._parents:
            found = self.search(experiment, kind="experiment", common=common)
            self._parents[key] = found or self._create_parent(experiment, common)
        return str(self._parents[key].info.run_id)

    def close(self) -> None:
        """Give the parents that were used the state of their children."""
        for (experiment, common), run in self._parents.items():
            state = self._state(experiment, common)
            if state is Status.RUNNING:
                self._client.update_run(run.info.run_id, status="RUNNING")
            else:
                self._client.set_terminated(run.info.run_id, RUN_STATUS[state])

    def keep_specs(self) -> None:
        """Make the spec an artifact of each parent that was used, where it is not yet."""
        for (experiment, common), run in self._parents.items():
            if not self._keep_spec(run, experiment, common):
                return  # the next sync tries again

    def _keep_spec(self, run: Run, experiment: str, common: str) -> bool:
        """Make the spec an artifact of the parent; False where the artifact store fails."""
        plan = self._plan(experiment)
        if run.data.tags.get(_SPEC) or plan.get("common") != common or not plan.get("spec"):
            return True
        try:
            self._artifacts.put_text(run, experiment, str(plan["spec"]), "spec.yaml")
        except Exception:  # whatever its library raises: no trial's figures hang on it
            return False
        self._client.set_tag(run.info.run_id, _SPEC, "stored")
        run.data.tags[_SPEC] = "stored"
        return True

    def _create(self, name: str) -> str:
        location = (self._store.artifacts / name).resolve().as_uri() if self._own else None
        # else MLflow takes it for one of language-model evaluation and hides the curves
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return self._client.create_experiment(name, location, tags=kind)

    def _create_parent(self, experiment: str, common: str) -> Run:
        tags = {"bench.kind": "experiment", "bench.experiment": experiment, "bench.common": common}
        plan = self._plan(experiment)
        study = plan.get("search") or {}
        tags |= {f"bench.study.{name}": str(value) for name, value in study.items()}
        # a spec whose common settings were changed later is another parent, told apart by them
        is_first = self.search(experiment, kind="experiment") is None
        name = experiment if is_first else f"{experiment} (settings {common})"
        return self._client.create_run(
            self.experiment(experiment), tags=tags | SOURCE, run_name=name
        )

    def _state(self, experiment: str, common: str) -> Status:
        """Running if any of the planned trials is, else the worst of their states."""
        planned = self._plan(experiment).get("trials", ())
        ids = [str(trial["id"]) for trial in planned if trial.get("common") == common]
        trials = [self._store.trial(experiment, i) for i in ids] or self._store.trials(experiment)
        states = {_status(trial) for trial in trials}
        if states & {Status.RUNNING, Status.FAILED}:
            return Status.RUNNING if Status.RUNNING in states else Status.FAILED
        ended = Status.DONE in states and states <= {Status.DONE, Status.PRUNED}
        return Status.DONE if ended else Status.INTERRUPTED

    def _plan(self, experiment: str) -> dict[str, Any]:
        with contextlib.suppress(StoreError):  # a damaged plan is no reason to mirror nothing
            return self._store.plan(experiment) or {}
        return {}


def _status(trial: TrialFiles) -> Status:
    """Its state; interrupted where that cannot be read."""
    with contextlib.suppress(StoreError):
        return trial.status().status
    return Status.INTERRUPTED
