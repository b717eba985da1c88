"""Results that are renamed, copied or opened elsewhere; databases that somebody else made."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.record.mlflow import Mirror, SyncCounts
from bench.record.mlflow_artifacts import local_path
from bench.record.store import Store
from bench.record.ui import served_uri
from tests.builders.trials import begin, finish, plan
from tests.record.seen_in_mlflow import children, client, losses, steps

LOCATIONS = "SELECT artifact_uri FROM runs UNION ALL SELECT artifact_location FROM experiments"


def change(store: Store, statement: str, *values: str) -> None:
    with sqlite3.connect(store.root / "mlflow.db") as database:
        assert database.execute(statement, values).rowcount
    database.close()


def locations(store: Store) -> list[str]:
    with sqlite3.connect(store.root / "mlflow.db") as database:
        found = [str(row[0]) for row in database.execute(LOCATIONS)]
    database.close()
    return found


def listed(store: Store) -> set[str]:
    """The artifacts of the only trial, as MLflow shows them; each of them can be read."""
    (run,) = children(store)
    there = client(store)
    names = {found.path for found in there.list_artifacts(run.info.run_id)}
    root = local_path(run.info.artifact_uri)
    assert root is not None
    assert root.is_relative_to(store.artifacts.resolve())
    for name in names - {"samples"}:
        assert Path(there.download_artifacts(run.info.run_id, name)).read_bytes()
    parent = there.get_run(run.data.tags["mlflow.parentRunId"])
    assert {found.path for found in there.list_artifacts(parent.info.run_id)} == {"spec.yaml"}
    return names


ALL = {"config.yaml", "environment.json", "best.pt", "samples"}


@pytest.fixture
def mirrored(mlflow_store: Store) -> Store:
    """A store with one finished trial, that MLflow has all of."""
    mlflow_store.write_plan("pets", plan("unet-s0"))
    finish(begin(mlflow_store, epochs=3))
    assert Mirror(mlflow_store).sync() == SyncCounts(1, 1)
    return mlflow_store


@pytest.mark.parametrize(
    "name", ["renamed", "with space", "größe 100% #1 +é", "mlartifacts", "a/mlartifacts/b"]
)
def test_artifacts_follow_a_folder_that_is_renamed(
    mirrored: Store, tmp_path: Path, name: str
) -> None:
    moved = Store(tmp_path / name / "results")
    moved.root.parent.mkdir(parents=True)
    mirrored.root.rename(moved.root)
    assert Mirror(moved).sync() == SyncCounts(1, 0)
    assert listed(moved) == ALL
    assert not mirrored.root.exists()
    assert steps(moved) == losses(1, 2, 3)
    finish(begin(moved, "second"))
    assert Mirror(moved).sync() == SyncCounts(2, 1)
    root = moved.artifacts.resolve().as_uri()
    assert all(uri.startswith(f"{root}/") for uri in locations(moved))
    back = Store(tmp_path / "back")
    moved.root.rename(back.root)
    assert Mirror(back).sync() == SyncCounts(2, 0)
    assert all(str(back.root) in uri for uri in locations(back))


def test_a_copy_and_its_original_are_both_usable(mirrored: Store, tmp_path: Path) -> None:
    copy = Store(tmp_path / "copy")
    shutil.copytree(mirrored.root, copy.root)
    assert Mirror(copy).sync() == SyncCounts(1, 0)
    files = finish(begin(copy, "only-in-the-copy"))
    files.best.unlink()
    files.best.write_bytes(b"the copy's")
    Mirror(copy).sync()
    assert listed(mirrored) == ALL
    assert [run.info.run_name for run in children(mirrored)] == ["unet-s0"]
    assert len(list(mirrored.artifacts.rglob("best.pt"))) == 1
    assert len(list(copy.artifacts.rglob("best.pt"))) == 2
    assert Mirror(mirrored).sync() == SyncCounts(1, 0)


def test_a_folder_named_by_a_relative_path(
    mirrored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    mirrored.root.rename(tmp_path / "work" / "results")
    monkeypatch.chdir(tmp_path / "work")
    store = Store(Path("results"))
    assert Mirror(store).sync() == SyncCounts(1, 0)
    assert listed(store) == ALL
    # however the store's own database is spelt, it is the same one
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///results/mlflow.db")
    finish(begin(store, "second"))
    assert Mirror(store).sync() == SyncCounts(2, 1)
    assert not (tmp_path / "work" / "mlruns").exists()


def test_a_read_only_folder_is_shown_with_its_artifacts(
    mirrored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Store(tmp_path / "moved")
    mirrored.root.rename(moved.root)
    before = (moved.root / "mlflow.db").read_bytes()
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.W_OK)
    uri = served_uri(moved)
    assert (moved.root / "mlflow.db").read_bytes() == before
    from mlflow import MlflowClient

    shown = MlflowClient(uri)
    experiment = shown.get_experiment_by_name("pets")
    assert experiment is not None
    for run in shown.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'trial'"):
        assert {found.path for found in shown.list_artifacts(run.info.run_id)} == ALL
    (moved.root / "mlflow.db").unlink()
    with pytest.raises(StoreError, match="read-only: copy it first"):
        served_uri(moved)


def test_a_users_own_run_follows_and_a_location_elsewhere_stays(
    mirrored: Store, tmp_path: Path
) -> None:
    there = client(mirrored)
    experiment = there.get_experiment_by_name("pets").experiment_id
    own = there.create_run(experiment).info.run_id
    there.log_text(own, "mine", "note.txt")
    elsewhere = there.create_experiment("elsewhere", "s3://bucket/mlartifacts/x")
    moved = Store(tmp_path / "moved")
    mirrored.root.rename(moved.root)
    Mirror(moved).prepare()
    assert [found.path for found in client(moved).list_artifacts(own)] == ["note.txt"]
    location = client(moved).get_experiment(elsewhere).artifact_location
    assert location == "s3://bucket/mlartifacts/x"


@pytest.mark.parametrize("how", ["plain", "dots", "run of the parent", "experiment"])
def test_nothing_is_written_where_a_foreign_database_says(
    mirrored: Store, tmp_path: Path, how: str
) -> None:
    target = tmp_path / "victim"
    target.mkdir()
    uri = target.as_uri()
    if how == "dots":
        uri = f"{mirrored.artifacts.resolve().as_uri()}/../../victim"
    if how == "experiment":
        change(mirrored, "UPDATE experiments SET artifact_location = ?", uri)
        finish(begin(mirrored, "second"))
    else:
        change(mirrored, "UPDATE runs SET artifact_uri = ?", uri)
    for files in mirrored.trials("pets"):
        files.mlflow_path.unlink(missing_ok=True)
    mirrored.write_plan("pets", plan("unet-s0", "second", spec="echo in somebody's profile"))
    counts = Mirror(mirrored).sync()
    assert counts.problems == ()
    assert counts.pushed == counts.trials
    assert list(target.iterdir()) == []
    for run in children(mirrored):
        assert {f.path for f in client(mirrored).list_artifacts(run.info.run_id)} == ALL


@pytest.mark.parametrize("what", ["mlartifacts", "experiment", "run", "samples"])
def test_links_out_of_the_artifacts_are_not_followed(
    mirrored: Store, tmp_path: Path, what: str
) -> None:
    (run,) = children(mirrored)
    folder = {
        "mlartifacts": mirrored.artifacts,
        "experiment": mirrored.artifacts / "pets",
        "run": mirrored.artifacts / "pets" / run.info.run_id,
        "samples": mirrored.artifacts / "pets" / run.info.run_id / "artifacts" / "samples",
    }[what]
    victim = tmp_path / "victim"
    victim.mkdir()
    shutil.rmtree(folder)
    folder.symlink_to(victim)
    (files,) = mirrored.trials("pets")
    files.mlflow_path.unlink()
    counts = Mirror(mirrored).sync()
    assert list(victim.iterdir()) == []
    assert len(counts.problems) == 1
    assert "leads out of" in counts.problems[0]


def test_a_database_that_is_a_link_is_not_written(mirrored: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    (mirrored.root / "mlflow.db").rename(other)
    (mirrored.root / "mlflow.db").symlink_to(other)
    before = other.read_bytes()
    with pytest.raises(StoreError, match="is a link"):
        Mirror(mirrored).sync()
    assert other.read_bytes() == before


def test_files_that_are_links_are_not_given_away(mlflow_store: Store, tmp_path: Path) -> None:
    """To MLflow's artifacts, which may be on a server."""
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    files = finish(begin(mlflow_store))
    files.best.unlink()
    files.best.symlink_to(secret)
    (files.samples / "x.png").symlink_to(secret)
    (problem,) = Mirror(mlflow_store).sync().problems
    assert "best.pt and 1 more files could not be stored there" in problem
    assert "is a link, and is not copied" in problem
    assert not [p for p in mlflow_store.artifacts.rglob("*") if p.is_file() and "secret" in
                p.read_bytes().decode(errors="replace")]  # fmt: skip


def test_a_store_of_somebody_else_is_not_rewritten(
    mirrored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    (mirrored.root / "mlflow.db").rename(theirs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{theirs}")
    moved = Store(tmp_path / "moved")
    mirrored.root.rename(moved.root)

    def there() -> list[str]:
        with sqlite3.connect(theirs) as database:
            return [row[0] for row in database.execute(LOCATIONS)]

    before = there()
    Mirror(moved).prepare()
    assert there() == before
