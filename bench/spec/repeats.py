"""The seeds that a spec asks for: fixed ones, or as many as its hypotheses take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from bench.durations import SPELLINGS, seconds_of
from bench.settings import Settings

FEWEST = 3
"""Seeds at the first look, at least."""
MOST = 200
"""Seeds at the last look, at most: boundaries are computed seed by seed."""


def looks(minimum: int, maximum: int) -> tuple[int, ...]:
    """Numbers of seeds at which to look: each a quarter more than the last, at least one more.

    3 to 20 seeds: 3, 4, 5, 6, 8, 10, 13, 16, 20.

    Raises:
        ValueError: fewer than three seeds at the first look, or a maximum under the minimum.
    """
    if not FEWEST <= minimum <= maximum:
        raise ValueError(f"need {FEWEST} ≤ minimum ≤ maximum seeds, not {minimum} and {maximum}")
    found = [minimum]
    while found[-1] < maximum:
        found.append(min(maximum, found[-1] + max(1, math.floor(found[-1] / 4 + 0.5))))
    return tuple(found)


def rising(counts: Iterable[int]) -> tuple[int, ...]:
    """The same numbers of seeds.

    Raises:
        ValueError: they do not rise from three or more.
    """
    n = tuple(counts)
    if not n or n[0] < FEWEST or any(later <= earlier for earlier, later in itertools.pairwise(n)):
        raise ValueError(f"must rise from {FEWEST} seeds or more, not {list(n)}")
    return n


def _seconds(value: Any) -> Any:
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    seconds = seconds_of(value) if isinstance(value, str) else float(value)
    if seconds is None or not 0 < seconds < math.inf:
        raise ValueError(f"must be {SPELLINGS}, not {value!r}")
    return seconds


class RepeatSettings(Settings):
    """Seeds are added until every hypothesis is settled, without a loss of validity."""

    until: Literal["settled"] = Field(description="what is waited for")
    looks: tuple[int, ...] | None = Field(
        None,
        strict=False,
        description="numbers of seeds at which hypotheses are tested; default: from `min` to "
        "`max`, each a quarter more than the last (3, 4, 5, 6, 8, 10, 13, 16, 20)",
    )
    min: int = Field(
        3,
        ge=FEWEST,
        le=MOST,
        validate_default=True,
        description="seeds of every arm, and at the first look",
    )
    max: int = Field(
        20, ge=FEWEST, le=MOST, validate_default=True, description="seeds at the last look"
    )
    budget: Annotated[
        float | None, BeforeValidator(_seconds, json_schema_input_type=float | str | None)
    ] = Field(
        None,
        description="training time of all trials together (seconds, or 90m, 8h, 2d), after which "
        "no further seeds are begun; asked between looks",
    )
    futility: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="a hypothesis gets no further seeds once its chance to be settled at the last "
        "look is below this; 0: it always gets them",
    )

    @field_validator("looks")
    @classmethod
    def _rising(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and value[-1:] > (MOST,):
            raise ValueError(f"must end at {MOST} seeds or before, not {value[-1]}")
        return None if value is None else rising(value)

    @field_validator("min", "max", mode="before")
    @classmethod
    def _of_looks(cls, value: Any, info: ValidationInfo) -> Any:
        """What `looks` say, where they are given; else as it is."""
        given = info.data.get("looks")
        if not given:
            return value
        name, meant = info.field_name, given[0] if info.field_name == "min" else given[-1]
        default = RepeatSettings.model_fields[str(name)].default
        if value not in (default, meant):
            raise ValueError(f"is {value}, but `looks` say {meant}: leave one of them out")
        return meant

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        low = info.data.get("min")
        if low is not None and value < low:
            raise ValueError(f"`max` ({value} seeds) must not be less than `min` ({low})")
        return value

    @property
    def all_looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which hypotheses are tested."""
        return self.looks or looks(self.min, self.max)


Seed = Annotated[int, Field(ge=0, lt=2**32)]
MAX_SEEDS = 10_000  # a larger count is a seed that was meant as a list


def _kind_of_seeds(value: Any) -> str:
    return "mapping" if isinstance(value, dict | RepeatSettings) else "list"


Seeds = Annotated[
    Annotated[tuple[Seed, ...], Field(strict=False, min_length=1), Tag("list")]
    | Annotated[RepeatSettings, Tag("mapping")],
    Discriminator(_kind_of_seeds),
]
"""The seeds of every arm, or as many as it takes."""


class EarlierLooks(Settings):
    """Looks that were in force before the spec was changed, and how many of them were taken.

    Attributes:
        looks: all of them.
        taken: how many were taken of the hypotheses.
        asked: the looks of that spec, of a path.
        steps: how many were taken of each step of a path.
    """

    looks: tuple[int, ...] = Field(strict=False)
    taken: int = Field(ge=0)
    asked: tuple[int, ...] = Field((), strict=False)
    steps: tuple[int, ...] = Field((), strict=False)

    def record(self) -> dict[str, Any]:
        """As plan.json has it; what concerns paths only of these."""
        return self.model_dump(mode="json", exclude=None if self.steps else {"asked", "steps"})


class RepeatPlan(Settings):
    """What plan.json keeps: the looks, and those in force when the first of them were taken.

    Attributes:
        asked: the looks of the spec.
        looks: those taken under earlier specs, then those of the spec that come after them.
        earlier: the former, the oldest first; their levels stand.
    """

    until: Literal["settled"] = "settled"
    asked: tuple[int, ...] = Field(strict=False)
    looks: tuple[int, ...] = Field(strict=False)
    earlier: tuple[EarlierLooks, ...] = Field((), strict=False)
    budget: float | None = None
    futility: float = 0.1

    @field_validator("looks", "asked")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return rising(value)

    @field_validator("earlier")
    @classmethod
    def _continued(
        cls, value: tuple[EarlierLooks, ...], info: ValidationInfo
    ) -> tuple[EarlierLooks, ...]:
        later = [*(one.looks for one in value[1:]), info.data.get("looks", ())]
        for one, looks in zip(value, later, strict=False):
            if one.looks[: one.taken] != looks[: one.taken]:
                raise ValueError(f"looks {list(looks)} do not begin with those already taken")
        return value

    @classmethod
    def of(cls, settings: RepeatSettings) -> RepeatPlan:
        """Of a spec that has not been changed."""
        asked = settings.all_looks
        return cls(asked=asked, looks=asked, budget=settings.budget, futility=settings.futility)

    def continuing(self, before: RepeatPlan, taken: int, steps: Sequence[int] = ()) -> RepeatPlan:
        """The same after looks under another spec's plan: these stand.

        Args:
            before: the other plan.
            taken: how many of its looks were taken.
            steps: the same of each step of an ablation path.
        """
        if before.asked == self.asked:
            return self.model_copy(update={"looks": before.looks, "earlier": before.earlier})
        if not taken and not any(steps):
            return self
        past = before.looks[:taken]
        asked = before.asked if any(steps) else ()
        stopped = EarlierLooks(looks=before.looks, taken=taken, asked=asked, steps=tuple(steps))
        return self.model_copy(
            update={
                "looks": (*past, *(n for n in self.asked if n > max(past, default=0))),
                "earlier": (*before.earlier, stopped),
            }
        )

    def of_step(self, step: int) -> RepeatPlan:
        """The looks of a step of an ablation path (0, 1, …), whose own looks stand."""
        asked = [*(one.asked for one in self.earlier), self.asked]
        found = self.model_copy(update={"asked": asked[0], "looks": asked[0], "earlier": ()})
        for one, following in zip(self.earlier, asked[1:], strict=True):
            new = self.model_copy(update={"asked": following, "looks": following, "earlier": ()})
            found = new.continuing(found, one.steps[step] if step < len(one.steps) else 0)
        return found

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return self.model_dump(mode="json") | {"earlier": [one.record() for one in self.earlier]}
