"""`design:` of a spec: which configurations of an ablation are trained.

What the components are made of is checked when the design is planned (`bench.plan.designs`), where
settings and their places in the file are known.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from bench.settings import Settings

COMPONENT_DESIGNS = ("leave_one_out", "add_one", "cumulative", "one_at_a_time")
"""The designs that list their components themselves."""
DESIGNS = (*COMPONENT_DESIGNS, "path", "fractional")
Resolution = Literal["III", "IV", "V"]

Components = Annotated[dict[str, Any], Field(min_length=1)]
_COMPONENT = (
    "name: settings (`{augment: []}`, one or several); or `{on: …, off: …}`, settings for both; a "
    "name that is a setting may have its value alone (`train.ema: 0.99`)"
)


class PathSettings(Settings):
    """An ablation path: from one configuration to another, one component at a time."""

    model_config = ConfigDict(populate_by_name=True)

    start: dict[str, Any] = Field(
        {},
        alias="from",
        description="component: its settings where the path begins; default: the spec's own",
    )
    to: dict[str, Any] = Field(
        {},
        description="component: its settings where the path ends; default: the spec's own",
    )

    @staticmethod
    def keys() -> tuple[str, ...]:
        """As a spec has them."""
        return ("from", "to")


class DesignSettings(Settings):
    """Which configurations of an ablation are trained, instead of every combination of a grid.

    The spec's own settings are the full configuration of `leave_one_out`, and the base of all
    others.
    """

    leave_one_out: Components | None = Field(
        None,
        description=f"the full configuration, and without each component. {_COMPONENT}; here the "
        "settings switch it off",
    )
    add_one: Components | None = Field(
        None,
        description=f"the base, and with each component alone. {_COMPONENT}; here the settings "
        "switch it on",
    )
    cumulative: Components | None = Field(
        None,
        description=f"the base, then one component after the other is added. {_COMPONENT}; here "
        "the settings switch it on",
    )
    one_at_a_time: Components | None = Field(
        None,
        description="the base, and each alternative to it alone. A setting and a list of values, "
        "or a name and `{alternative: settings}`",
    )
    path: PathSettings | None = Field(
        None,
        description="ablation analysis (Fawcett and Hoos 2016): from one configuration to another, "
        "in each round by the component that helps most",
    )
    fractional: Resolution | None = Field(
        None,
        description="a fraction of all combinations of `components`, by its resolution: in III "
        "main effects are confounded with interactions of two components, in IV these with each "
        "other, in V neither",
    )
    components: Components | None = Field(
        None,
        description=f"of a fraction. {_COMPONENT}; here the settings switch it on",
    )
    metric: str | None = Field(
        None,
        description="the figure in which the components are tested; default: the selected metric "
        "on the test images",
    )

    @model_validator(mode="after")
    def _is_one_design(self) -> DesignSettings:
        given = [name for name in DESIGNS if getattr(self, name) is not None]
        if not given:
            raise ValueError(f"names no design; give one of {', '.join(DESIGNS)}")
        if len(given) > 1:
            raise ValueError(
                f"has {' and '.join(given)}; keep one, and make a spec for each of the others"
            )
        if self.fractional is None and self.components is not None:
            raise ValueError(
                f"components are for `fractional`; write them below `{given[0]}` itself"
            )
        if self.fractional is not None and self.components is None:
            raise ValueError("fractional needs `components:`, each with the settings it stands for")
        return self

    @property
    def kind(self) -> str:
        """Which of `DESIGNS` it is."""
        return next(name for name in DESIGNS if getattr(self, name) is not None)
