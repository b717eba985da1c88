"""A PostgreSQL server of one's own, for tests; Debian's packages have one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

USER = "postgres"


def missing() -> str | None:
    """Why there can be no server; None where there can be."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed: pip install '.[postgres]'"
    if programs() is None:
        return "no PostgreSQL server: apt-get install postgresql"
    if os.getuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root, and there is no runuser"
    return None


def programs() -> Path | None:
    """The folder with initdb and pg_ctl, which Debian does not put on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    named = shutil.which("initdb")
    return found[0].parent if found else Path(named).parent if named else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of an empty database, whose password is `hunter2`."""
    folder.mkdir(mode=0o700)
    place = programs()
    assert place is not None
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "password").write_text("hunter2\n")
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, USER, USER)
    data = f"{folder}/data"
    call(place / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256",
         f"--pwfile={folder}/password", "--no-sync")  # fmt: skip
    options = f"-F -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    call(place / "pg_ctl", "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield f"postgresql://{USER}:hunter2@127.0.0.1:{port}/postgres"
    finally:
        call(place / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def call(*words: str | Path) -> None:
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    subprocess.run([*as_user, *map(str, words)], check=True, cwd="/", stdout=subprocess.DEVNULL)
