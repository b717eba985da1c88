"""What a spec can say of a task of the user's own, without importing it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field, field_validator

from bench.registry import Custom
from bench.settings import excluded_from_builder
from bench.tasks.loss_settings import OWN_LOSS, LossName
from bench.tasks.metric_settings import COLUMN_PATTERN
from bench.tasks.settings import Mode, TargetForm, TaskSettings


class CustomTask(Custom, TaskSettings):
    """A task of the user's own: `target:`, what it learns and its scores; the rest is arguments.

    What its scores are called and which way they are better stands here, not in its code, so that
    a spec is checked and a report is made without running it.
    """

    # Of two bases pydantic takes the last one's `extra`, which forbids.
    model_config = ConfigDict(extra="allow")

    classes_at_end: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = (OWN_LOSS, *get_args(LossName))

    learns: TargetForm = excluded_from_builder(
        ...,
        description="what of the data set's samples it is given as targets: mask, label, labels "
        "(any number of them), or none",
    )
    scores: dict[Annotated[str, Field(pattern=COLUMN_PATTERN)], Mode] = excluded_from_builder(
        {},
        description="its scores beside the loss, each min or max: whether less or more is better; "
        "the first one chooses the best epoch unless `select` does",
    )
    output: Literal["auto", "map", "vector"] = excluded_from_builder(
        "auto",
        description="what a model gives of an image: a map (C, H, W) or a vector (C,); auto: a "
        "vector where labels are learnt, else a map",
    )
    outputs: int | None = excluded_from_builder(
        None, ge=1, description="its channels C; default: as many as there are classes"
    )

    @field_validator("scores")
    @classmethod
    def _are_new(cls, value: dict[str, Mode]) -> dict[str, Mode]:
        if "loss" in value:
            raise ValueError("loss is recorded anyhow, less being better: remove it")
        for name in value:
            if re.match(r"(best|final|last10|cross|test|baseline|constant|scored)_", name):
                raise ValueError(f"{name!r} begins as columns of other figures do: rename it")
        return value

    @property
    def name(self) -> str:
        """What records and messages call it: its target."""
        return self.target

    @property
    def target_form(self) -> TargetForm:
        """As `learns` says."""
        return self.learns

    @property
    def gives_vectors(self) -> bool:
        """Whether a model gives a vector of each image, not a map."""
        if self.output == "auto":
            return self.learns in ("label", "labels")
        return self.output == "vector"

    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:  # noqa: ARG002 - it says itself
        """The loss, and its scores."""
        return {"loss": "min", **self.scores}

    def default_metric(self) -> str:
        """The first of its scores, or the loss."""
        return next(iter(self.scores), "loss")

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """As `outputs` says, or one for each class."""
        return self.outputs or max(1, len(classes))

    def output_shape(self, classes: tuple[str, ...], size: tuple[int, int], /) -> tuple[int, ...]:
        """A vector of each image, or a map of its size."""
        return (1, self.out_channels(classes), *(() if self.gives_vectors else size))
