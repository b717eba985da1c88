"""What a command's exit status says."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit status of a command."""

    OK = 0
    SOME_FAILED = 1
    WRONG_REQUEST = 2
    INTERRUPTED = 130
