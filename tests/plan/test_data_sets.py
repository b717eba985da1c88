from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.plan.data_sets import data_key, data_set_uses
from bench.plan.trial import Trial
from tests.builders.training import make_trial


def trial(seed: int, axes: dict[str, str], **data: Any) -> Trial:
    return replace(make_trial(seed, data=data), axes=axes)


def test_trials_of_one_data_set() -> None:
    trials = [trial(seed, {"model": label}) for seed in (0, 1) for label in "ab"]
    (use,) = data_set_uses(trials).values()
    assert (use.label, use.target) == ("", "mask")
    assert use.trials == tuple(t.id for t in trials)
    assert use.settings == trials[0].settings.data


def test_data_sets_are_distinguished_by_the_levels_that_only_they_have() -> None:
    trials = [
        trial(seed, {"data.image_size": str(size), "model": model}, image_size=size)
        for seed in (0, 1)
        for size in (32, 64)
        for model in "ab"
    ]
    uses = data_set_uses(trials)
    assert [use.label for use in uses.values()] == ["data.image_size: 32", "data.image_size: 64"]
    assert [len(use.trials) for use in uses.values()] == [4, 4]
    assert list(uses) == [data_key(trials[0]), data_key(trials[2])]


def test_an_axis_that_changes_data_and_other_things_names_them_too() -> None:
    trials = [
        trial(0, {"setup": "small", "x": "1"}, train=10),
        trial(0, {"setup": "large", "x": "1"}, train=11),
    ]
    assert [use.label for use in data_set_uses(trials).values()] == ["setup: small", "setup: large"]
