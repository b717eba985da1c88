"""What chooses points: Optuna's samplers, seeded by each trial's number, with readable numbers."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench.plan.space import Value
from bench.spec.search_parts import GaussianProcess, Nsga2, RandomSampling, Sampler, Tpe

_RESOLUTION = 1e-3
"""Steps that a range is cut into by rounding, at least a thousand: far below what seeds do."""


def make_sampler(settings: Sampler, enqueued: Sequence[Mapping[str, Value]] = ()) -> BaseSampler:
    """The sampler that the spec names; the first trials take what is enqueued."""
    return PerTrialSeededSampler(settings, enqueued)


class PerTrialSeededSampler(BaseSampler):
    """A sampler that begins anew for each trial, with a seed made of its own and the number.

    So the n-th point follows from what is known when it is drawn, not from how often the search
    was interrupted, and several processes do not draw the same points. Numbers are rounded to what
    tells them apart, since people read them and type them again.

    Args:
        settings: the sampler that draws.
        enqueued: known values of the first trials, by number. Optuna's own queue would give two of
            them to one trial where several machines make trials at the same moment.
    """

    def __init__(self, settings: Sampler, enqueued: Sequence[Mapping[str, Value]] = ()) -> None:
        self._settings, self._enqueued = settings, enqueued
        self._inner = _make_inner(settings, settings.seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin anew."""
        # a hash: neighbouring seeds give correlated first draws in some generators
        text = f"{self._settings.seed} {trial.number}"
        seed = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 2**31
        self._inner = _make_inner(self._settings, seed)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What is drawn together."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for what is drawn together."""
        found = self._inner.sample_relative(study, trial, search_space)
        drawn = {name: round_readably(value, search_space[name]) for name, value in found.items()}
        known = self._known(trial)
        return drawn | {name: known[name] for name in search_space if name in known}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value for what is drawn alone."""
        known = self._known(trial)
        if param_name in known:
            return known[param_name]
        value = self._inner.sample_independent(study, trial, param_name, param_distribution)
        return round_readably(value, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let it know how a trial ended."""
        self._inner.after_trial(study, trial, state, values)

    def _known(self, trial: FrozenTrial) -> Mapping[str, Value]:
        return self._enqueued[trial.number] if trial.number < len(self._enqueued) else {}


def round_readably(value: Any, distribution: BaseDistribution) -> Any:
    """A drawn number with as many digits as tell it from its neighbours: `0.001234`."""
    if not isinstance(distribution, FloatDistribution):
        return value
    low, high = distribution.low, distribution.high
    if distribution.log:
        digits = max(3, math.ceil(-math.log10(_RESOLUTION * math.log(high / low))) + 1)
        found = float(f"{value:.{digits}g}")
    elif distribution.step is not None:
        found = round(value, 12)
    else:
        found = round(value, max(0, math.ceil(-math.log10(_RESOLUTION * (high - low)))))
    return min(max(found, low), high)


def _make_inner(settings: Sampler, seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and what it will be called one day
        if isinstance(settings, Tpe):
            return optuna.samplers.TPESampler(n_startup_trials=settings.startup_trials, seed=seed)
        if isinstance(settings, GaussianProcess):
            return optuna.samplers.GPSampler(
                n_startup_trials=settings.startup_trials,
                seed=seed,
                warn_independent_sampling=False,
            )
        if isinstance(settings, Nsga2):
            return optuna.samplers.NSGAIISampler(population_size=settings.population, seed=seed)
        assert isinstance(settings, RandomSampling)
        return optuna.samplers.RandomSampler(seed=seed)
