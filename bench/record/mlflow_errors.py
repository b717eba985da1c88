"""What goes wrong in MLflow: what it means for the user first, the library's words after that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.errors import StoreError, first_line, truncate
from bench.masking import masked

# of the request, not of the server: another trial may well be taken
_REFUSALS = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST"})
_OF_THE_RECORD = (ArithmeticError, ValueError, TypeError, LookupError, AttributeError)
_MEANINGS = (
    (r"database is locked|\bbusy\b", "is locked by another program"),
    (r"disk is full|No space left", "cannot be written, its disk is full"),
    (r"readonly|read-only|unable to open", "cannot be written"),
    (r"not a database|malformed", "is damaged"),
    (r"too many \d+ error responses", "answers with errors only"),
    (r"timed? ?out", "does not answer"),
    (r"not in a valid JSON format", "does not answer as MLflow does"),
    (
        r"refused|unreachable|Name or service|resolve|Max retries|reset by peer|closed connection"
        r"|Connection aborted|server closed|Broken pipe|API request to \S+ failed with exception",
        "cannot be reached",
    ),
    (r"\b40[13]\b|UNAUTH|PERMISSION_DENIED|password", "does not let us in"),
)


_OF_URLLIB3 = re.compile(r"too many \d+ error responses|Read timed out|too many redirects")


class MirrorError(StoreError):
    """MLflow is down, slow, full or refuses. The files are complete; `bench sync` catches up.

    `doubtful`: it may be one trial's fault, by all that MLflow says.
    """

    doubtful = False


class RefusedError(StoreError):
    """MLflow does not take this trial. It may take others."""


class ArtifactError(StoreError):
    """Files that MLflow's artifact store did not take; everything else of the trial is there.

    `unreachable`: the store is to blame, not the files.
    """

    def __init__(self, message: str, *, unreachable: bool) -> None:
        super().__init__(message)
        self.unreachable = unreachable


def lacking_error(folder: Path, failures: Mapping[str, Exception]) -> ArtifactError:
    """The error that says which files of a trial are not in MLflow, and why."""
    name, error = next(iter(failures.items()))
    more = f" and {len(failures) - 1} more files" if len(failures) > 1 else ""
    return ArtifactError(
        f"{folder}: its figures are in MLflow, but {name}{more} could not be stored "
        f"there ({reason(error)})",
        unreachable=not isinstance(error, StoreError),
    )


def is_refusal(error: BaseException) -> bool:
    """Whether it is this record that MLflow does not take, rather than MLflow that fails."""
    if isinstance(error, OSError):
        return False
    code = getattr(error, "error_code", None)
    if code is None:
        return isinstance(error, _OF_THE_RECORD) and not isinstance(error, UnicodeError)
    cause = error.__cause__
    if isinstance(cause, Exception) and not isinstance(cause, _OF_THE_RECORD):
        # SQLAlchemy's: a value that does not fit is ours, a file that is no database is not
        return type(cause).__name__ in ("IntegrityError", "DataError", "StatementError")
    return code in _REFUSALS or isinstance(cause, _OF_THE_RECORD)


def failure(label: str, error: BaseException) -> MirrorError:
    """`MLflow at LABEL cannot be reached (Connection refused)`, in one line."""
    said = "\n".join(str(one) for one in _chain(error))
    found = [meaning for words, meaning in _MEANINGS if re.search(words, said, re.IGNORECASE)]
    meaning = found[0] if found else "failed"
    made = MirrorError(f"MLflow at {label} {meaning} ({reason(error)})")
    made.doubtful = not found
    return made


def reason(error: BaseException) -> str:
    """The innermost library's words, without a password, shortened at a word's end."""
    chain = list(_chain(error))
    for one in reversed(chain):
        if system := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(one)):
            return truncate(system[1])
        if plain := _OF_URLLIB3.search(str(one)):
            return plain[0]
    original = getattr(error.__cause__, "orig", None)  # SQLAlchemy adds the statement to it
    return truncate(masked(first_line(original or error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of, ten of them at most."""
    one: BaseException | None = error
    for _ in range(10):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__
