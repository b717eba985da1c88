"""Whether pretrained weights are used as the function that they were trained as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.models.weights_settings import ResolvedWeights
from bench.plan.trial import Trial

FUNCTION_CHANGING_SETTINGS = (("data", "normalize"), ("model", "residual"), ("model", "stride_in"))
"""Settings under which weights of the same names and shapes compute something else."""


def mismatch_warnings(trials: Iterable[Trial]) -> tuple[str, ...]:
    """A sentence for each kind of weights and each such setting that is another one here.

    What is held of a frozen encoder, weights and BatchNorm's statistics, then fits other inputs.
    """
    return tuple(dict.fromkeys(text for trial in trials for text in _of_trial(trial)))


def _of_trial(trial: Trial) -> Iterator[str]:
    weights = getattr(trial.settings.model, "weights", None)
    if not isinstance(weights, ResolvedWeights):
        return
    whose = "ImageNet's weights" if weights.source == "imagenet" else "the earlier weights"
    for section, key in FUNCTION_CHANGING_SETTINGS:
        theirs = weights.trained_as.get(f"{section}.{key}")
        ours = getattr(getattr(trial.settings, section), key, None)
        if theirs is not None and ours is not None and theirs != ours:
            yield (
                f"{whose} were trained with {section}.{key}: {_shown(theirs)}, but here it is "
                f"{_shown(ours)}: frozen weights and statistics do not match their inputs"
            )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
