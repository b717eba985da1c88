"""Which processes of a study are alive: on this machine by its process table, else by heartbeats.

Heartbeats are attributes of the study, so that machines need nothing in common but its storage.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from optuna.storages import BaseStorage

from bench.record.owners import Owner
from bench.record.silence import BEATS, Silence

_ALIVE, _WHO = "bench:alive:", "bench:who:"


def is_there(attributes: Mapping[str, Any]) -> Iterator[bool]:
    """Of each process that was in a study and did not say that it left: whether it may be there."""
    for key, sign in attributes.items():
        if key.startswith(_ALIVE) and sign != "left":
            owner = Owner.read(attributes.get(_WHO + key.removeprefix(_ALIVE)))
            yield owner is None or not owner.is_dead()


class Presence:
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
        self._others = Silence(owner.expiry)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._live, name="study", daemon=True)

    def __enter__(self) -> Presence:
        if self._beating:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        if self._beating:
            self._thread.join()
            with suppress(Exception):  # whoever cannot say that it left is found out in time
                self._sign("left")

    def is_dead(self, owner: Owner, signs: Mapping[str, Any]) -> bool:
        """Whether a process is gone. `signs`: the study's attributes, as they are now."""
        if owner.token == self.owner.token:
            return False
        if owner.is_near():
            return owner.is_dead()
        sign = signs.get(_ALIVE + owner.token)
        return sign == "left" or self.silence(owner.token, sign) >= owner.expiry

    def silence(self, name: str, sign: Any) -> float:
        """Seconds for which something was seen not to change."""
        return self._others.of(name, sign)

    def _live(self) -> None:
        beat = 0
        with suppress(Exception):
            who = _WHO + self.owner.token
            self._storage.set_study_user_attr(self._study, who, self.owner.record())
        while True:
            with suppress(Exception):  # the storage is away: whoever needs it will say so
                self._sign(beat)
            if self._leaving.wait(self.owner.expiry / BEATS):
                return
            beat += 1

    def _sign(self, sign: Any) -> None:
        self._storage.set_study_user_attr(self._study, _ALIVE + self.owner.token, sign)
