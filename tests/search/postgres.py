"""A PostgreSQL server of one's own, for tests; Debian's packages have one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Server:
    """A server in a folder, which can be stopped and started again."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:hunter2@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = (
            f"-F -p {self.port} -c listen_addresses=127.0.0.1 "
            f"-c unix_socket_directories={self.folder}"
        )
        self._control("-o", options, "-l", f"{self.folder}/log", "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._control("-m", how, "stop")

    def _control(self, *words: str) -> None:
        binaries = programs()
        assert binaries is not None
        call(binaries / "pg_ctl", "-D", f"{self.folder}/data", *words)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of an empty database, whose password is `hunter2`."""
    with running(folder) as found:
        yield found.url


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server with an empty database, whose password is `hunter2`."""
    folder.mkdir(mode=0o700)
    binaries = programs()
    assert binaries is not None
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "password").write_text("hunter2\n")
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, USER, USER)
    call(binaries / "initdb", "-D", f"{folder}/data", "-U", USER, "-A", "scram-sha-256",
         f"--pwfile={folder}/password", "--no-sync")  # fmt: skip
    made = Server(folder, port)
    made.start()
    try:
        yield made
    finally:
        with suppress(subprocess.CalledProcessError):  # a test may have stopped it
            made.stop()


@contextmanager
def database(server: Server, name: str) -> Iterator[str]:
    """The URL of a further empty database of a server."""
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of ours
    yield server.url.removesuffix("/postgres") + f"/{name}"


def call(*words: str | Path) -> None:
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    subprocess.run([*as_user, *map(str, words)], check=True, cwd="/", stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
