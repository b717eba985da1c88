"""A test of several cases, with pytest or without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Check = Callable[[], None]


class DutyError(AssertionError):
    """A part does not do what every part of its kind must."""


def require(holds: object, duty: str) -> None:
    """Raise DutyError with what a part must do, unless it does."""
    if not holds:
        raise DutyError(duty)


def as_test(checks: Sequence[Check]) -> Callable[..., None]:
    """One test with a case for each check, named after it."""

    def all_cases() -> None:
        for each in checks:
            each()

    try:
        import pytest
    except ImportError:
        return all_cases

    def test(check: Check) -> None:
        check()

    names = [check.__name__.lstrip("_") for check in checks]
    test.all_cases = all_cases  # type: ignore[attr-defined]  # for a call without pytest
    return pytest.mark.parametrize("check", checks, ids=names)(test)
