"""Artifact locations follow the results folder: MLflow keeps absolute ones in its database."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)
_OF_BENCH = (
    "SELECT r.run_uuid, r.artifact_uri, e.name, e.experiment_id, e.artifact_location FROM runs r "
    "JOIN experiments e ON e.experiment_id = r.experiment_id "
    "JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'bench.kind'"
)


def follow_folder(database: Path, artifacts: Path) -> int:
    """Let every artifact of our own database be found under `artifacts`; how many runs were not.

    What else lay under the earlier folder (a user's own runs) follows, too; locations elsewhere
    are left alone, but those of our runs: whoever made the database does not say where we write.

    Raises:
        sqlite3.Error: it cannot be read, or has to be changed and is read-only.
    """
    root = artifacts.resolve().as_uri()
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        stale = [row for row in connection.execute(_OF_BENCH) if _is_elsewhere(root, *row)]
        earlier = {found for row in stale if (found := _earlier_root(*row[:3]))}
        earlier |= _root_of_default(connection)
        earlier -= {root}
        if not stale and not earlier:
            return 0
        with connection:  # one transaction
            for old in sorted(earlier):
                _replace_beginning(connection, old, root)
            for run, _, name, experiment, _ in stale:
                _put_back(connection, root, run, name, experiment)
        return len(stale)


def _is_elsewhere(root: str, run: str, uri: str, name: str, _: int, location: str) -> bool:
    folder = f"{root}/{quote(str(name))}"
    return (uri, location) != (f"{folder}/{run}/artifacts", folder)


def _earlier_root(run: str, uri: str, name: str) -> str | None:
    """Where `mlartifacts` was, if a run's location is what we would have made it there."""
    tail = f"/mlartifacts/{quote(str(name))}/{run}/artifacts"
    found = str(uri).removesuffix(tail)
    return f"{found}/mlartifacts" if found != uri else None


def _root_of_default(connection: sqlite3.Connection) -> set[str]:
    """Where `mlartifacts` was when the database was made, by MLflow's first experiment."""
    query = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
    found = {str(row[0]).removesuffix("/0") for row in connection.execute(query)}
    return {uri for uri in found if uri.startswith("file:") and uri.endswith("/mlartifacts")}


def _replace_beginning(connection: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in _LOCATIONS:
        with contextlib.suppress(sqlite3.OperationalError):  # a table of a later MLflow
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names above
                f"WHERE substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old) + 1, f"{old}/"),
            )


def _put_back(
    connection: sqlite3.Connection, root: str, run: str, name: str, experiment: int
) -> None:
    folder = f"{root}/{quote(str(name))}"
    connection.execute(
        "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (f"{folder}/{run}/artifacts", run)
    )
    connection.execute(
        "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
        (folder, experiment),
    )
