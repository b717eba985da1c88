"""How long a worker may take. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.durations import SPELLINGS, format_duration, seconds_of
from bench.errors import BenchError


@dataclass(frozen=True)
class Limits:
    """What ends a worker by force; its trial has then failed with `timeout`.

    Attributes:
        timeout: seconds since the worker's start; None: any number.
        hung_after: seconds without a sign from it; None: any number.
    """

    timeout: float | None = None
    hung_after: float | None = None

    def exceeded(self, age: float, silence: float) -> str | None:
        """Why a worker of this age, in seconds, which has been silent for so long has to end."""
        if self.timeout is not None and age > self.timeout:
            return (
                f"not done after {format_duration(self.timeout)} (--timeout): --retry-failed "
                "resumes from its last epoch"
            )
        if self.hung_after is not None and silence > self.hung_after:
            return (
                f"its worker made no progress for {format_duration(self.hung_after)} "
                "(--hung-after): --retry-failed resumes from its last epoch"
            )
        return None


def parse_duration(text: str, option: str) -> float | None:
    """Seconds of `90`, `90s`, `5m`, `1h30m`, `2d`; None for 0, which is no limit.

    Raises:
        BenchError: another spelling; `option` is what it was given for.
    """
    seconds = seconds_of(text)
    if seconds is None:
        raise BenchError(f"{option} {text}: write {SPELLINGS}")
    return seconds or None
