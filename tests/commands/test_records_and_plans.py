"""What a new plan does with the records of an old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.experiment import changed_data, renamed_trials
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.record.store import Store
from bench.spec.load import load_spec
from bench.states import Status
from tests.builders.experiments import finish

SPEC = """\
experiment: tiny
task: segmentation
data: {name: folder, root: first}
train: {epochs: 2}
grid: {model: {plain: {name: unet, width: 0.05}, other: {name: resnet34_unet}}}
seeds: 2
"""


def planned(folder: Path, text: str = SPEC, *overrides: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(text)
    return make_plan(load_spec(path, overrides))


def finished(plan: Plan, folder: Path, fingerprint: str = "aaaa") -> Store:
    """A store in which every trial of the plan is done."""
    store = Store(folder / "results")
    for trial in plan.trials:
        finish(store, plan, trial, {"data_fingerprint": fingerprint})
    return store


def test_data_at_its_old_place_is_not_looked_at_again(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    ids = [trial.id for trial in plan.trials]
    store = finished(plan, tmp_path)
    assert changed_data.moved_trials(plan, ids, store) == []
    elsewhere = planned(tmp_path, SPEC, "data.root=second")
    assert [trial.id for trial in elsewhere.trials] == ids
    assert [trial.id for trial in changed_data.moved_trials(elsewhere, ids, store)] == ids
    assert changed_data.moved_trials(elsewhere, ids[:1], store)[0].id == ids[0]


def test_the_same_data_elsewhere_is_fine_and_other_data_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    store = finished(plan, tmp_path)
    # what one trial's preparation found holds for all trials on the same data
    first = plan.trials[0].id
    changed_data.refuse_changed_data(plan, {first: "aaaa"}, store)
    with pytest.raises(BenchError, match=r"4 finished trials of 'tiny' .* other data") as caught:
        changed_data.refuse_changed_data(plan, {first: "bbbb"}, store)
    assert "\n" not in str(caught.value)
    assert "--force" in str(caught.value)


def test_renamed_labels_keep_their_trials(tmp_path: Path) -> None:
    old = planned(tmp_path)
    store = finished(old, tmp_path)
    new = planned(tmp_path, SPEC.replace("plain:", "small:"))
    pairs = renamed_trials.adopt(new, store)
    assert [(a.split("-")[0], b.split("-")[0]) for a, b in pairs] == [("plain", "small")] * 2
    for trial in new.trials:
        files = store.trial("tiny", trial.id)
        assert files.status().status is Status.DONE
        assert files.config()["axes"] == dict(trial.axes)
    assert len(store.trials("tiny")) == 4
    assert renamed_trials.adopt(new, store) == []


def test_other_settings_under_an_old_label_are_other_trials(tmp_path: Path) -> None:
    store = finished(planned(tmp_path), tmp_path)
    changed = planned(tmp_path, SPEC, "train.epochs=7")
    assert renamed_trials.adopt(changed, store) == []
    assert len(store.trials("tiny")) == 4
