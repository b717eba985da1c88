"""Which processes of a study are alive: on this machine by its process table, else by heartbeats.

Heartbeats are attributes of the study, so that machines need nothing in common but its storage.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from optuna.storages import BaseStorage

from bench.record.heartbeats import BEATS, HeartbeatMonitor
from bench.record.owners import Owner

_HEARTBEAT_KEY, _OWNER_KEY = "bench:alive:", "bench:who:"


def may_be_alive(attributes: Mapping[str, Any]) -> Iterator[bool]:
    """Of each process that was in a study and did not say that it left: whether it may be there."""
    for key, heartbeat in attributes.items():
        if key.startswith(_HEARTBEAT_KEY) and heartbeat != "left":
            owner = Owner.read(attributes.get(_OWNER_KEY + key.removeprefix(_HEARTBEAT_KEY)))
            yield owner is None or not owner.is_dead()


class StudyPresence:
    """This process's part in a study. A context manager.

    Args:
        storage: Optuna's.
        study: its id there.
        owner: this process.
        beating: whether others can be there, to whom signs of life are given.
    """

    def __init__(self, storage: BaseStorage, study: int, owner: Owner, *, beating: bool) -> None:
        self.owner = owner
        self._storage, self._study = storage, study
        self._beating = beating
        self._monitor = HeartbeatMonitor(owner.expiry)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="study", daemon=True)

    def __enter__(self) -> StudyPresence:
        if self._beating:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        if self._beating:
            self._thread.join()
            with suppress(Exception):  # whoever cannot say that it left is found out in time
                self._write_heartbeat("left")

    def is_dead(self, owner: Owner, attributes: Mapping[str, Any]) -> bool:
        """Whether a process is gone. `attributes`: the study's attributes, as they are now."""
        if owner.token == self.owner.token:
            return False
        if owner.is_local():
            return owner.is_dead()
        heartbeat = attributes.get(_HEARTBEAT_KEY + owner.token)
        return (
            heartbeat == "left" or self.seconds_since_change(owner.token, heartbeat) >= owner.expiry
        )

    def seconds_since_change(self, name: str, heartbeat: Any) -> float:
        """Seconds for which something was seen not to change."""
        return self._monitor.seconds_since_change(name, heartbeat)

    def _run(self) -> None:
        beat = 0
        with suppress(Exception):
            who = _OWNER_KEY + self.owner.token
            self._storage.set_study_user_attr(self._study, who, self.owner.record())
        while True:
            with suppress(Exception):  # the storage is away: whoever needs it will say so
                self._write_heartbeat(beat)
            if self._leaving.wait(self.owner.expiry / BEATS):
                return
            beat += 1

    def _write_heartbeat(self, heartbeat: Any) -> None:
        self._storage.set_study_user_attr(self._study, _HEARTBEAT_KEY + self.owner.token, heartbeat)
