from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.spec.load import load_spec

SPEC = """\
experiment: e
task: segmentation
data: {name: shapes}
train: {epochs: 4}
zip:
  model: {unet: {name: unet}, resnet: {name: resnet34_unet}}
  train.batch_size: [20, 60]
grid:
  train.lr: [1e-3, 3e-4]
  train.loss: [cross_entropy, dice]
exclude:
  - {train.lr: 3e-4, train.loss: dice}
seeds: 3
"""
GOOD = "id: h, claim: c, metric: best_val_dice, a: {model: unet}, b: {model: resnet}, expect: lower"


def planned(folder: Path, *hypotheses: str, text: str = SPEC) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(text + "hypotheses:\n" + "".join(f"  - {{{each}}}\n" for each in hypotheses))
    return make_plan(load_spec(path))


def test_hypotheses_stand_in_the_plan_with_its_labels(tmp_path: Path) -> None:
    lr = "id: lr, claim: c, metric: overfit_gap, a: {train.lr: 0.001}, b: 0.1, expect: higher"
    plan = planned(tmp_path, GOOD, lr)
    assert [hypothesis.id for hypothesis in plan.hypotheses] == ["h", "lr"]
    assert plan.hypotheses[1].a == {"train.lr": "0.001"}
    assert plan.record()["hypotheses"] == [each.record() for each in plan.hypotheses]


def test_hypotheses_change_no_trial(tmp_path: Path) -> None:
    with_them = planned(tmp_path, GOOD)
    (tmp_path / "spec.yaml").write_text(SPEC)
    without = make_plan(load_spec(tmp_path / "spec.yaml"))
    assert without.hypotheses == ()
    assert [trial.id for trial in with_them.trials] == [trial.id for trial in without.trials]
    assert with_them.trials[0].common == without.trials[0].common


def test_the_design_s_hypothesis(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        'id: same_dice, claim: "The rate does not change the Dice", metric: best_val_dice, '
        "a: {train.lr: 1e-3}, b: {train.lr: 3e-4}, expect: equivalent, margin: 0.01",
    )
    assert plan.hypotheses[0].b == {"train.lr": "0.0003"}


CASES = {
    "unknown key": ("lower", "lower, margn: 1", ".margn", "unknown key (did you mean 'margin'?)"),
    "no claim": ("claim: c, ", "", ".claim", "is missing"),
    "empty claim": ("claim: c", "claim: ''", ".claim", ""),
    "id of a wrong form": ("id: h", "id: 'a b'", ".id", "letters, digits"),
    "unknown expectation": ("expect: lower", "expect: bigger", ".expect", "must be one of higher"),
    "margin missing": ("lower", "equivalent", "", "equivalent needs a `margin`"),
    "margin without effect": ("lower", "lower, margin: 1", ".margin", "no effect with expect"),
    "margin of zero": ("lower", "equivalent, margin: 0", ".margin", "must be greater than 0"),
    "unknown axis": ("a: {model:", "a: {modle:", ".a.modle", "did you mean 'model'?"),
    "unknown label": ("b: {model: resnet", "b: {model: resnt", ".b.model", "mean 'resnet'?"),
    "list of labels": ("a: {model: unet", "a: {model: [unet]", ".a.model", "a label, not a list"),
    "side is text": ("b: {model: resnet}", "b: resnet", ".b", "axes to labels, or a number"),
    "side is true": ("b: {model: resnet}", "b: true", ".b", "axes to labels, or a number"),
    "side is empty": ("a: {model: unet}", "a: {}", ".a", "is empty"),
    "same arms": ("b: {model: resnet", "b: {model: unet", ".b", "names the same arms as a"),
    "more axes in a": ("{model: unet}", "{model: unet, train.lr: 1e-3}", ".b", "level of train.lr"),
    "more axes in b": ("resnet}", "resnet, train.lr: 1e-3}", ".a", "no level of train.lr; name"),
    "excluded arm": (
        "a: {model: unet}, b: {model: resnet}",
        "a: {train.lr: 3e-4, train.loss: dice}, b: {train.lr: 1e-3, train.loss: dice}",
        ".a",
        "there is no arm with train.lr: 0.0003, train.loss: dice",
    ),
    "excluded arm in b": (
        "a: {model: unet}, b: {model: resnet}",
        "a: {train.lr: 1e-3, train.loss: dice}, b: {train.lr: 3e-4, train.loss: dice}",
        ".b",
        "there is no arm with train.lr: 0.0003, train.loss: dice",
    ),
    "unknown metric": ("best_val_dice", "best_val_dise", ".metric", "did you mean 'best_val_dice'"),
    "no number": ("best_val_dice", "memory_kind", ".metric", "unknown metric 'memory_kind'"),
    "metric of another task": ("best_val_dice", "best_val_top1", ".metric", "unknown metric"),
    "curve without an epoch": (
        "best_val_dice",
        "val/dice",
        ".metric",
        "say at which epoch (val/dice@10), or name best_val_dice or final_val_dice",
    ),
    "unknown curve": ("best_val_dice", "val/dise@2", ".metric", "did you mean 'val/dice'?"),
    "no such epoch": ("best_val_dice", "val/dice@5", ".metric", "there is no epoch 5"),
    "second of a difference": ("best_val_dice", "macs - mac", ".metric", "did you mean 'macs'?"),
    "incomparable": (
        "best_val_dice, a: {model: unet}, b: {model: resnet}",
        "best_val_loss, a: {train.loss: dice}, b: {train.loss: cross_entropy}",
        ".metric",
        "is not comparable across the levels of train.loss; take another, such as best_val_dice",
    ),
    "incomparable gap": (
        "best_val_dice, a: {model: unet}, b: {model: resnet}",
        "overfit_gap, a: {train.loss: dice}, b: {train.loss: cross_entropy}",
        ".metric",
        "not comparable across the levels of train.loss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_malformed(name: str, tmp_path: Path) -> None:
    old, new, key, expected = CASES[name]
    assert GOOD.count(old) >= 1
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, GOOD.replace("id: h", "id: first"), GOOD.replace(old, new, 1))
    message = str(caught.value)
    start = f"{tmp_path / 'spec.yaml'}:16: hypotheses.1{key}: "
    assert message.startswith(start), message
    assert expected in message
    assert "\n" not in message


def test_an_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r":16: hypotheses.1.id: 'h' appears twice"):
        planned(tmp_path, GOOD, GOOD)


def test_sides_that_never_pair(tmp_path: Path) -> None:
    text = """\
experiment: e
task: segmentation
data: {name: shapes}
grid:
  model: {unet: {name: unet}, resnet: {name: resnet34_unet}}
  train.lr: [1e-1, 1e-2, 1e-3, 1e-4]
exclude:
  - {model: unet, train.lr: 1e-1}
  - {model: unet, train.lr: 1e-2}
  - {model: resnet, train.lr: 1e-3}
  - {model: resnet, train.lr: 1e-4}
"""
    with pytest.raises(SpecError, match=r"hypotheses.0: no arm of a has the same train.lr as"):
        planned(tmp_path, GOOD, text=text)


def test_a_fixed_value_may_be_compared_in_its_own_unit(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, GOOD.replace("best_val_dice", "best_val_loss").replace("{model: resnet}", "0.3")
    )
    assert plan.hypotheses[0].b == 0.3


def test_frechet_where_it_is_asked_for(tmp_path: Path) -> None:
    text = """\
experiment: e
task: {name: diffusion%s}
data: {name: shapes, normalize: symmetric}
model: {name: ddpm_unet}
grid: {train.lr: [1e-3, 1e-4]}
"""
    hypothesis = (
        "id: f, claim: c, metric: frechet, a: {train.lr: 1e-3}, b: {train.lr: 1e-4}, expect: lower"
    )
    assert planned(tmp_path, hypothesis, text=text % ", frechet: {}").hypotheses
    with pytest.raises(SpecError, match="unknown metric 'frechet'"):
        planned(tmp_path, hypothesis, text=text % "")


def test_a_metric_of_the_end_has_no_curve(tmp_path: Path) -> None:
    text = SPEC.replace("task: segmentation", "task: {name: segmentation, metrics: [hd95]}")
    planned(tmp_path, GOOD.replace("best_val_dice", "test_hd95"), text=text)
    with pytest.raises(SpecError, match=r"val/hd95 is computed at the end only .* best_val_hd95"):
        planned(tmp_path, GOOD.replace("best_val_dice", "val/hd95@2"), text=text)
    every = text.replace("[hd95]", "[{name: hd95, when: epoch}]")
    planned(tmp_path, GOOD.replace("best_val_dice", "val/hd95@2"), text=every)
    with pytest.raises(SpecError, match="give it `when: epoch`"):
        planned(tmp_path, GOOD, text=text + "select: {metric: val/hd95}\n")
