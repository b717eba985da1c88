"""Times as people spell them."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPELLING = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
SPELLINGS = "seconds, or a time like 90s, 5m, 1h30m or 2d"


def seconds_of(text: str) -> float | None:
    """Seconds of `90`, `90s`, `5m`, `1h30m`, `2d`; None of another spelling."""
    if text.isdecimal():
        return float(text)
    found = _SPELLING.fullmatch(text)
    if found is None or not text:
        return None
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return float(sum(int(number) * unit for number, unit in parts if number))


def format_duration(seconds: float) -> str:
    """`1h30m` for 5400."""
    left, text = round(seconds), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def rough_duration(seconds: float) -> str:
    """About: `45s`, `2m30s`, `1h05m`, `2d 3h`."""
    if seconds < 60:
        return f"{seconds:.0f}s" if seconds >= 9.95 else f"{seconds:.1f}s"
    if seconds < 600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}m{rest:02}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 48 * 60:
        return f"{minutes // 60}h{minutes % 60:02}m"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days}d {hours}h"
