"""What a spec can say of a search: its space, its objectives, how it samples and when it stops."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, cast

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from bench.masking import masked_url
from bench.settings import Settings
from bench.spec.search_parts import (
    PRUNERS,
    SAMPLERS,
    Hyperband,
    NoPruning,
    Pruner,
    Sampler,
    Tpe,
    Wilcoxon,
    expand_name,
)
from bench.spec.train_settings import error_at
from bench.tasks.settings import Mode

PREDICTABLE = ("memory_mb", "params", "trainable_params", "macs")
"""What constraints can be about: it is known before a trial is trained."""
STORAGES = ("sqlite", "journal", "postgresql")

_CONSTRAINT = re.compile(r"\s*(\w+)\s*(<=|<)\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")

_KINDS = ("string", "number", "boolean", "null")
_Label = Annotated[
    Any, WithJsonSchema({"anyOf": [*({"type": kind} for kind in _KINDS), {"type": "array"}]})
]
When = Annotated[dict[str, _Label], Field(min_length=1)]
Bounds = Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=2)]
WholeBounds = Annotated[tuple[int, ...], Field(strict=False, min_length=2, max_length=2)]
_WHEN = "choices of other dimensions for which this one exists: {train.optimizer: sgd}"


class FloatRange(Settings):
    """Any number in a range."""

    bounds: Bounds = Field(alias="float", description="the lowest and the highest value")
    log: bool = Field(False, description="sampled log-uniformly")
    step: float | None = Field(
        None, gt=0, description="only values that are a multiple of this above the lowest"
    )
    when: When | None = Field(None, description=_WHEN)

    @model_validator(mode="after")
    def _is_a_range(self) -> FloatRange:
        _check_bounds(self.bounds, "float", log=self.log)
        if self.log and self.step is not None:
            raise error_at("cannot be combined with log: true; leave one of them out", "step")
        if self.step is not None and self.bounds[0] + self.step > self.bounds[1]:
            raise error_at("is longer than the range", "step")
        return self


class IntRange(Settings):
    """Any integer in a range."""

    bounds: WholeBounds = Field(alias="int", description="the lowest and the highest value")
    log: bool = Field(False, description="sampled log-uniformly")
    step: int = Field(
        1, ge=1, description="only values that are a multiple of this above the lowest"
    )
    when: When | None = Field(None, description=_WHEN)

    @model_validator(mode="after")
    def _is_a_range(self) -> IntRange:
        _check_bounds(self.bounds, "int", log=self.log)
        if self.log and self.step != 1:
            raise error_at("cannot be combined with log: true; leave one of them out", "step")
        if self.bounds[0] + self.step > self.bounds[1]:
            raise error_at("is longer than the range", "step")
        return self


class Choices(Settings):
    """One of several values."""

    choice: Annotated[
        dict[str, Any] | list[Any],
        WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array"}]}),
    ] = Field(description="values, or labels and values; a part needs a label or a `name`")
    when: When | None = Field(None, description=_WHEN)

    @field_validator("choice", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        if not isinstance(value, dict | list):
            raise ValueError("must be a list of values, or a mapping of labels to values")
        if len(value) < 2:
            raise ValueError("needs at least two values; a single one belongs into the settings")
        return value


def _check_bounds(bounds: tuple[float, ...], key: str, *, log: bool) -> None:
    low, high = bounds
    if low >= high:
        raise error_at(
            f"the lowest value must be less than the highest, not {low:g}, {high:g}", key
        )
    if log and low <= 0:
        raise error_at(f"must start above 0 with log: true, not at {low:g}", key)


def _kind_of_dimension(value: Any) -> str | None:
    if isinstance(value, dict):
        kinds = [kind for kind in ("float", "int", "choice") if kind in value]
        return f"a {kinds[0]}" if len(kinds) == 1 else None
    if isinstance(value, FloatRange):
        return "a float"
    if isinstance(value, IntRange):
        return "a int"
    return "a choice" if isinstance(value, Choices) else None


DimensionSettings = Annotated[
    Annotated[FloatRange, Tag("a float")]
    | Annotated[IntRange, Tag("a int")]
    | Annotated[Choices, Tag("a choice")],
    Discriminator(
        _kind_of_dimension,
        custom_error_type="dimension",
        custom_error_message="must be one of {float: [low, high]}, {int: [low, high]}, "
        "{choice: [value, …]}",
    ),
]


class ObjectiveSettings(Settings):
    """A figure of every trial, and which of its values are better."""

    metric: str = Field(
        description="a column of runs.csv from validation or a cost: best_val_dice, macs, "
        "epoch_seconds, peak_memory_mb, …; never from the test split"
    )
    direction: Mode | None = Field(
        None, description="min or max; default: the metric's own, and min for a cost"
    )


class Constraint(NamedTuple):
    """`memory_mb < 8000`: what is known of a trial before it starts, and the most it may be."""

    name: str
    limit: float
    strict: bool

    def excess(self, value: float) -> float:
        """How far `value` is beyond it: above 0 where it is."""
        over = value - self.limit
        # exactly at a strict limit violates it, however little
        return over if over > 0 else (1e-9 if self.strict and over == 0 else over)

    @property
    def bound(self) -> str:
        """`< 8000`."""
        return f"{'<' if self.strict else '<='} {self.limit:g}"

    def __str__(self) -> str:
        return f"{self.name} {self.bound}"


def read_constraint(text: str) -> Constraint:
    """A constraint from its spelling; a ValueError where it is none."""
    found = _CONSTRAINT.fullmatch(text)
    if found is None or found[1] not in PREDICTABLE:
        known = ", ".join(PREDICTABLE)
        raise ValueError(f"must be like `memory_mb < 8000`, about one of {known}, not {text!r}")
    return Constraint(found[1], float(found[3]), found[2] == "<")


class SearchSettings(Settings):
    """A search for the best settings."""

    trials: int = Field(ge=1, description="how many points are tried in total")
    timeout: float | None = Field(
        None, gt=0, description="seconds after which no new point is started"
    )
    seeds_per_trial: int = Field(
        1, ge=1, le=1000, description="how many seeds each point is trained with, from 0"
    )
    sampler: Annotated[Sampler, BeforeValidator(expand_name)] = Field(
        Tpe(), description="what chooses the next point: its name, or a mapping with `name:`"
    )
    pruner: Annotated[Pruner, BeforeValidator(expand_name)] = Field(
        NoPruning(),
        description="what stops unpromising trials early: its name, or a mapping with `name:`",
    )
    objectives: tuple[
        Annotated[ObjectiveSettings, BeforeValidator(lambda v: _expand_objective(v))], ...
    ] = Field(
        (),
        strict=False,
        description="one figure or several, validation's or costs; default: the best value of "
        "select.metric",
    )
    storage: str = Field(
        "sqlite",
        description="sqlite: results/optuna.db, for one process at a time; journal: "
        "results/optuna.journal, for several; or postgresql://…",
    )
    enqueue: tuple[dict[str, Any], ...] = Field(
        (), strict=False, description="points to try first; dimensions they do not name are sampled"
    )
    constraints: tuple[str, ...] = Field(
        (), strict=False, description="conditions a point must meet to be trained: memory_mb < 8000"
    )
    confirm_seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        cast("tuple[int, ...]", 3),
        strict=False,
        validate_default=True,
        description="new seeds with which the chosen points are trained again and scored on the "
        "test split: a list, or how many; 0: none",
    )
    confirm_trials: int | None = Field(
        None,
        ge=1,
        description="how many points are confirmed; default: the best, or 3 of the Pareto front",
    )
    space: dict[str, DimensionSettings] = Field(
        min_length=1,
        description="what varies: {train.lr: {float: [1e-5, 1e-2], log: true}}, for any axis",
    )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of every point."""
        return tuple(range(self.seeds_per_trial))

    @property
    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, read."""
        return tuple(map(read_constraint, self.constraints))

    @property
    def multi_objective(self) -> bool:
        """Whether there are several objectives."""
        return len(self.objectives) > 1

    @property
    def num_chosen(self) -> int:
        """How many points are chosen at the end."""
        return self.confirm_trials or (3 if self.multi_objective else 1)

    @field_validator("storage")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in STORAGES[:2] and not re.match(r"postgresql(\+\w+)?://", value):
            raise ValueError(
                f"must be sqlite, journal or postgresql://…, not {masked_url(value)!r}"
            )
        return value

    @field_validator("constraints")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            read_constraint(text)
        return value

    @field_validator("confirm_seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        if not 0 <= value <= 1000:
            raise ValueError(f"a count of seeds must be from 0 to 1000, not {value}")
        first = info.data.get("seeds_per_trial", 1)
        return tuple(range(first, first + value))

    @field_validator("confirm_seeds")
    @classmethod
    def _fresh(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        used = info.data.get("seeds_per_trial", 1)
        for place, seed in enumerate(value):
            if seed in value[:place]:
                raise ValueError(f"{seed} appears twice")
            if seed < used:
                raise ValueError(
                    f"{seed} is a seed of the search itself (0 to {used - 1}); use new ones"
                )
        return value

    @model_validator(mode="after")
    def _adds_up(self) -> SearchSettings:
        if isinstance(self.pruner, Wilcoxon):
            # the smallest two-sided p-value of a signed-rank test of n pairs is 2 · 0.5^n
            least = next(n for n in range(3, 64) if 0.5 ** (n - 1) < self.pruner.p)
            if self.multi_objective:
                raise error_at(
                    "supports one objective only; median and asha support several", "pruner"
                )
            if self.seeds_per_trial < least:
                raise error_at(
                    f"wilcoxon with p: {self.pruner.p:g} never prunes before the last of "
                    f"{self.seeds_per_trial} seeds; use at least {least}",
                    "seeds_per_trial",
                )
        if isinstance(self.pruner, Hyperband) and self.multi_objective:
            raise error_at("supports one objective only; median and asha support several", "pruner")
        return self


def _expand_objective(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


def search_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that `search:` knows in the mapping at `path` of it, however that is written."""
    kinds: dict[str, tuple[type[Settings], ...]] = {
        "space": (FloatRange, IntRange, Choices),
        "objectives": (ObjectiveSettings,),
        "sampler": SAMPLERS,
        "pruner": PRUNERS,
    }
    found = kinds.get(str(path[0]), ()) if path else (SearchSettings,)
    fields = [item for kind in found for item in kind.model_fields.items()]
    return [field.alias or name for name, field in fields]


def without_password(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's tree whose storage can be shown."""
    search = tree.get("search")
    if not isinstance(search, dict) or not isinstance(search.get("storage"), str):
        return dict(tree)
    return {**tree, "search": {**search, "storage": masked_url(search["storage"])}}
