"""From a spec with `search:` to what a search needs, without starting anything."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from bench.plan.objectives import Objective, pruning_objective, read_objectives
from bench.plan.space import Space, Value, enqueued, read_space
from bench.search.pruning import make_pruner
from bench.search.samplers import make_sampler
from bench.spec.load import Spec


@dataclass(frozen=True)
class SearchRequest:
    """What a spec asks for, checked.

    Attributes:
        space: the points.
        aims: the objectives.
        curve: the objective whose curve trials are pruned by.
        enqueued: what the first points are.
    """

    space: Space
    objectives: tuple[Objective, ...]
    curve: Objective | None
    enqueued: tuple[dict[str, Value], ...]

    @property
    def sampler(self) -> optuna.samplers.BaseSampler:
        """What draws points, after those that are enqueued."""
        return make_sampler(self.space.search.sampler, self.enqueued)

    @property
    def pruner(self) -> optuna.pruners.BasePruner:
        """What ends hopeless ones, where there is one objective."""
        if len(self.objectives) > 1:
            return optuna.pruners.NopPruner()
        points = self.space.samples()
        epochs = max(self.space.settings(point).train.epochs for point in points)
        return make_pruner(self.space.search.pruner, epochs)


def read_request(spec: Spec) -> SearchRequest:
    """What the spec's search asks for.

    Raises:
        SpecError: anything that cannot be used, with file, line and key.
    """
    space = read_space(spec)
    objectives = read_objectives(space)
    return SearchRequest(
        space, objectives, pruning_objective(space, objectives), tuple(enqueued(space))
    )
