"""How long others have given no sign of life, as far as we looked."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

BEATS = 6
"""Heartbeats in the time after which silence is death."""


@dataclass
class _Watched:
    """How long a sign has been the same, while we looked; seconds."""

    sign: Any
    looked: float
    silent: float = 0.0


class HeartbeatMonitor:
    """Watches signs that change as long as somebody is alive; any thread may ask.

    Args:
        expiry: seconds of silence that mean death.
    """

    def __init__(self, expiry: float) -> None:
        self._most = expiry / BEATS * 1.5
        self._watched: dict[Any, _Watched] = {}
        self._guard = threading.Lock()

    def seconds_since_change(self, name: Any, sign: Any) -> float:
        """Seconds for which `sign` was seen not to change. What was not watched counts little."""
        now = time.monotonic()
        with self._guard:
            before = self._watched.get(name)
            if before is None or before.sign != sign:
                self._watched[name] = _Watched(sign, now)
                return 0.0
            before.silent += min(now - before.looked, self._most)
            before.looked = now
            return before.silent
