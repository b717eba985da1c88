"""What a preparation finds of the trials of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.data.survey import Survey

Costs = Mapping[str, int | None]
Report = Callable[[str, int, int], None]
"""Called with what is being prepared, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Prepared:
    """What the preparation found.

    Attributes:
        costs: `params`, `trainable_params` and `macs` by trial id.
        fingerprints: of the data's content, by trial id.
        notes: what a reader of the results should know of the data.
        placements: where each data set will rest, for whoever runs it.
        surveys: what each data set is like, by `data_key`; none where they were not asked for.
    """

    costs: Mapping[str, Costs]
    fingerprints: Mapping[str, str]
    notes: tuple[str, ...]
    placements: tuple[str, ...]
    surveys: Mapping[str, Survey] = field(default_factory=dict)
