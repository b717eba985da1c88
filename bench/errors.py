"""What can go wrong in a way that a user can mend: a line that says where, and the remedy."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

from bench.masking import masked


class BenchError(Exception):
    """A foreseen error. Its text is shown to the user as it is, without a traceback."""


class SpecError(BenchError):
    """A spec, an override or a part of one that cannot be used."""

    def __init__(
        self,
        message: str,
        *,
        source: str | Path | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        self.message, self.source, self.line, self.key = message, source, line, key
        location = "" if source is None else f"{source}:{line}: " if line else f"{source}: "
        super().__init__(location + (f"{key}: " if key else "") + message)


class DataError(BenchError):
    """Data that is missing or unreadable; the message says which file and what to put where."""


class NotDownloadedError(DataError):
    """A known data set that is not there yet."""


class WorkerStartError(BenchError):
    """A worker process that cannot be started, or is killed again and again: commands that meet it
    end as interrupted.
    """


class StoreError(BenchError):
    """A record that is missing, unreadable or not writable."""


class DamagedError(StoreError):
    """A record that was cut short, or is not what was written: it has to be made again."""


class UnconfirmedError(StoreError):
    """A trial's record that contradicts itself: nothing in it is counted.

    `reason` says why; the whole text also says whose record it is, and what to do.
    """

    def __init__(self, reason: str, folder: Path | None = None) -> None:
        self.reason = reason
        remedy = "restore the folder, or delete it and `bench run` trains the trial anew"
        super().__init__(reason if folder is None else f"{folder}: {reason}: {remedy}")


class UnwritableError(StoreError):
    """A disk that is full or read-only: no trial's fault, and nothing more can be recorded."""


class DeviceError(BenchError):
    """A device that was asked for and is not there."""


_MAX_LINE = (
    2000  # characters of a line: paths and lists of names are long, a foreign text is longer
)


def printable(text: object) -> str:
    """A text for a terminal, on one line: what comes from files may hold escape sequences.

    Passwords in URLs are hidden.
    """
    line = " ".join(masked(str(text)).splitlines())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 1]}…"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def truncate(text: str, most: int = 200) -> str:
    """A text of at most `most` characters, on one line, cut at a word's end."""
    words = " ".join(text.split())
    if len(words) <= most:
        return words
    whole = words[: most - 1].rsplit(" ", 1)[0]
    return f"{whole if len(whole) > most // 2 else words[: most - 2]} …"


def describe_exception(error: BaseException) -> str:
    """An unforeseen error in one line: its kind, what it says, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: ` (did you mean 'unet'?)`, or the known names."""
    names = sorted(known)
    # below 0.5, names match that share little more than letters
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(names)})"
