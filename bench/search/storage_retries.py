"""A study's storage that comes and goes: asked again for minutes, while the workers train on.

All that the search does with its storage goes through `RetryingStorage`, so nothing else has
to know of lost connections. Calls can be repeated: Optuna's writes are idempotent, except a
trial's end, which is looked up, and a trial created twice, which is one too many and not counted.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from bench.errors import UnwritableError, first_line, truncate
from bench.masking import masked

T = TypeVar("T")

SERVER_SECONDS, FILE_SECONDS = 600.0, 60.0  # a server restarts; a lost file stays lost
VANISHED_SECONDS = 2.0
"""For which a folder may be away, as a file server's is for a moment."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class StudyUnavailableError(UnwritableError):
    """A study's storage that was away for too long: the search ends, and can go on later."""


class RetryPolicy:
    """How long, and how, a storage is waited for. Any thread may use it.

    Args:
        storage_name: the storage's name for people.
        seconds: for how long.
        renew: called before each further try: lets go of connections that may be dead.
        check: called where tries fail for `VANISHED_SECONDS`; an UnwritableError of it says why to
            wait is vain.

    Attributes:
        say: takes a line for a person; once when an outage begins, once when it is over.
        wait: spends some seconds; what runs meanwhile must not stand still for it.
        over: no more patience: each call is tried once, since the search is ending.
        gave_up: the storage is away, and was waited for in vain.
    """

    def __init__(
        self,
        storage_name: str,
        seconds: float,
        renew: Callable[[], object] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.say: Callable[[str], object] = lambda _: None
        self.wait: Callable[[float], object] = time.sleep
        self.over = self.gave_up = False
        self._storage_name, self._seconds, self._renew = storage_name, seconds, renew
        self._check = check

    def call(self, action: Callable[[], T]) -> T:
        """What the action gives, as soon as the storage lets it.

        Raises:
            StudyUnavailableError: it did not, for as long as there is patience.
        """
        begun: float | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                found = action()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                now = time.monotonic()
                if begun is None:
                    begun = now
                    self._announce(error)
                if now - begun >= VANISHED_SECONDS:
                    self._give_up_where_vain()
                if self.over or _is_full(error) or now - begun >= self._seconds:
                    raise self._unavailable_error(error, now - begun) from error
                self._wait(min(pause, max(0.0, begun + self._seconds - now)))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if begun is not None:
                    seconds = max(1.0, time.monotonic() - begun)
                    self.say(f"{self._storage_name} is back after {seconds:.0f} s.")
                return found

    def _give_up_where_vain(self) -> None:
        try:
            self._check()
        except UnwritableError as error:
            self.over = self.gave_up = True
            raise StudyUnavailableError(str(error)) from None

    def _announce(self, error: Exception) -> None:
        if not (self.over or _is_full(error)):
            self.say(
                f"Training goes on, but no new points begin: {self._storage_name} cannot be "
                f"reached ({reason(error)}); trying again for up to {_format_wait(self._seconds)}."
            )

    def _unavailable_error(self, error: Exception, waited: float) -> StudyUnavailableError:
        self.over = self.gave_up = True
        away = f"for {_format_wait(waited)} " if waited >= 1 else ""
        return StudyUnavailableError(
            f"the study in {self._storage_name} could not be reached {away}({reason(error)}); "
            "finished epochs are on record"
        )

    def _wait(self, seconds: float) -> None:
        try:
            self.wait(seconds)
            self._renew()
        except BaseException:  # Ctrl-C: what is left to be done is tried once
            self.over = True
            raise


def _repeated(name: str) -> Any:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        call = getattr(self.storage, name)
        return self.retry_policy.call(lambda: call(*arguments, **named))

    method.__name__ = name
    return method


class RetryingStorage(BaseStorage):
    """A storage of Optuna's, each call of which is repeated while the storage is away."""

    def __init__(self, storage: BaseStorage, retry_policy: RetryPolicy) -> None:
        self.storage, self.retry_policy = storage, retry_policy

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """A first try may have been heard, though its answer was lost."""
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            try:
                return self.storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if tries == 1:
                    raise
                found = self.storage.get_trial(trial_id)
                same = values is None or list(found.values or ()) == list(values)
                if found.state is state and same:
                    return True
                raise

        return self.retry_policy.call(attempt)

    create_new_study: Any = _repeated("create_new_study")
    delete_study: Any = _repeated("delete_study")
    set_study_user_attr: Any = _repeated("set_study_user_attr")
    set_study_system_attr: Any = _repeated("set_study_system_attr")
    get_study_id_from_name: Any = _repeated("get_study_id_from_name")
    get_study_name_from_id: Any = _repeated("get_study_name_from_id")
    get_study_directions: Any = _repeated("get_study_directions")
    get_study_user_attrs: Any = _repeated("get_study_user_attrs")
    get_study_system_attrs: Any = _repeated("get_study_system_attrs")
    get_all_studies: Any = _repeated("get_all_studies")
    create_new_trial: Any = _repeated("create_new_trial")
    get_trial_id_from_study_id_trial_number: Any = _repeated(
        "get_trial_id_from_study_id_trial_number"
    )
    set_trial_param: Any = _repeated("set_trial_param")
    set_trial_intermediate_value: Any = _repeated("set_trial_intermediate_value")
    set_trial_user_attr: Any = _repeated("set_trial_user_attr")
    set_trial_system_attr: Any = _repeated("set_trial_system_attr")
    get_trial: Any = _repeated("get_trial")
    get_all_trials: Any = _repeated("get_all_trials")
    get_best_trial: Any = _repeated("get_best_trial")
    remove_session: Any = _repeated("remove_session")


def is_unavailable(error: BaseException) -> bool:
    """Whether a call may succeed later: the connection, the server or the file is not there."""
    from sqlalchemy import exc

    lost = (exc.OperationalError, exc.InterfaceError, exc.DisconnectionError, exc.TimeoutError)
    for one in _chain(error):
        if isinstance(one, StudyUnavailableError):
            return False
        if isinstance(one, (*lost, OSError)) or getattr(one, "connection_invalidated", False):
            return isinstance(error, StorageInternalError | exc.SQLAlchemyError | OSError)
    return False


def reason(error: BaseException) -> str:
    """What the innermost library says, without a password, shortened at a word's end."""
    *_, last = _chain(error)
    original = getattr(last, "orig", None) or last
    if isinstance(original, OSError) and original.strerror:
        return truncate(original.strerror)
    return truncate(masked(first_line(original)), 160)


def _is_full(error: BaseException) -> bool:
    """Whether the disk is: others have to make room, and no trial can be recorded either."""
    return any(
        getattr(one, "errno", None) in _FULL or "disk is full" in str(one) for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the one that it was raised from, and so on until SQLAlchemy's."""
    from sqlalchemy import exc

    one: BaseException | None = error
    while one is not None:
        yield one
        one = None if isinstance(one, exc.SQLAlchemyError | OSError) else one.__cause__


def _format_wait(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} s"
