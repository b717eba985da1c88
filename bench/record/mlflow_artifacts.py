"""A trial's files as MLflow's artifacts: which, where, and never outside our own folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.atomic_files import replacing
from bench.errors import StoreError
from bench.record.store import Store, TrialFiles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUN_ID = re.compile(r"[0-9a-f]{32}")


class Artifacts:
    """Where a tracking server keeps the files of runs.

    Args:
        own: whether the server is the store's own database. Its artifacts lie under
            `results/mlartifacts`, whatever the database says: it may be somebody else's.
    """

    def __init__(self, client: MlflowClient, store: Store, *, own: bool) -> None:
        self._client, self._store, self._own = client, store, own

    def put(self, run: Run, experiment: str, path: Path, folder: str) -> None:
        """Make the file at `path` an artifact in `folder` of a run.

        A hard link where these are local files of the same file system, else a copy. Linking is
        safe because no file of ours is ever changed in place.

        Raises:
            StoreError: it is a link, would be written outside of our folder, or cannot be written.
        """
        if path.is_symlink() or path.parent.is_symlink():
            raise StoreError(f"{path}: is a link, and is not copied: records are plain files")
        if self._own:
            _link(path, self._folder(experiment, run.info.run_id, folder) / path.name)
        elif (root := local_path(run.info.artifact_uri)) is not None:
            _link(path, root / folder / path.name)
        else:
            self._client.log_artifact(run.info.run_id, str(path), folder or None)

    def put_text(self, run: Run, experiment: str, text: str, name: str) -> None:
        """Make a text an artifact of a run; else as `put`."""
        if not self._own:
            self._client.log_text(run.info.run_id, text, name)
            return
        with replacing(self._folder(experiment, run.info.run_id, "") / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def _folder(self, experiment: str, run_id: str, folder: str) -> Path:
        if not _RUN_ID.fullmatch(run_id):
            raise StoreError(f"{self._store.mlflow_uri}: a run's id is {run_id[:40]!r}")
        self._store.experiment(experiment)  # a name that can be a folder
        found = self._store.artifacts / experiment / run_id / "artifacts" / folder
        if not found.resolve().is_relative_to(self._store.root.resolve() / "mlartifacts"):
            raise StoreError(f"{found}: leads out of {self._store.artifacts}: remove the link")
        return found


def artifacts_of(files: TrialFiles) -> Iterator[tuple[Path, str]]:
    """The files of a trial that belong into MLflow, with the folder there."""
    for path in (files.config_path, files.environment_path, files.best):
        if path.is_file():
            yield path, ""
    for path in sorted(files.samples.glob("*.png")):
        yield path, "samples"


def local_path(uri: str) -> Path | None:
    """The folder that an artifact URI means, if it is a local one."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if not parts.scheme else None


def _link(path: Path, target: Path) -> None:
    if target.is_file() and target.samefile(path) and not target.is_symlink():
        return
    with replacing(target) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # another file system, or one without links
            shutil.copy2(path, temporary)
