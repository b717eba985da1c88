"""How long a worker may take, and times as people spell them. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import BenchError

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPELLING = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


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
    if text.isdecimal():
        return float(text) or None
    found = _SPELLING.fullmatch(text)
    if found is None or not text:
        raise BenchError(f"{option} {text}: write seconds, or a time like 90s, 5m, 1h30m or 2d")
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return float(sum(int(number) * unit for number, unit in parts if number)) or None


def format_duration(seconds: float) -> str:
    """`1h30m` for 5400."""
    left, text = round(seconds), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
