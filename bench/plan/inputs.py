"""Whether pretrained weights get images normalised like those that they were trained on."""

from __future__ import annotations

from collections.abc import Iterable

from bench.models.weights_settings import SettledWeights
from bench.plan.trial import Trial


def other_normalisation(trials: Iterable[Trial]) -> tuple[str, ...]:
    """A sentence for each kind of weights that was trained on images normalised otherwise.

    What is held of a frozen encoder, weights and BatchNorm's statistics, then fits other inputs.
    """
    found: dict[str, None] = {}
    for trial in trials:
        weights = getattr(trial.settings.model, "weights", None)
        ours = trial.settings.data.normalize
        if isinstance(weights, SettledWeights) and weights.normalize not in (None, ours):
            kind = "ImageNet's weights" if weights.source == "imagenet" else "the earlier weights"
            found[
                f"{kind} were trained with data.normalize: {weights.normalize}, but here it is "
                f"{ours}: an encoder that is frozen, or whose statistics are held, gets inputs "
                "that it was not trained for"
            ] = None
    return tuple(found)
