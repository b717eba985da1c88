"""Designs: which configurations there are, what they set, and by what components are tested."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.errors import SpecError
from bench.plan.design import CONFIGURATION, Design
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.fraction import GENERATORS, Fraction
from bench.plan.plan import Plan
from bench.plan.recorded import check_identity
from bench.plan.sides import sides
from bench.spec.load import load_spec

HEAD = """\
experiment: ablation
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.1}
train: {epochs: 4, batch_size: 6, optimizer: adamw, lr: 1e-3}
"""
LEAVE_ONE_OUT = """\
augment: [{hflip: {p: 0.5}}]
design:
  leave_one_out:
    flips: {augment: []}
    adamw: {train.optimizer: adam}
    long training: {train.epochs: 2, train.lr: 2e-3}
"""
ADDED = """\
    flips: {augment: [{hflip: {p: 0.5}}]}
    decay: {train.weight_decay: 0.01}
    train.ema: 0.9
"""


def planned(folder: Path, text: str, *overrides: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(HEAD + text)
    return make_plan(load_spec(path, overrides))


def fault(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        planned(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'spec.yaml'}:")


def labels(plan: Plan) -> list[str]:
    return list(plan.axes[CONFIGURATION])


def test_leave_one_out_switches_one_component_off_at_a_time(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAVE_ONE_OUT, "seeds=2")
    assert labels(plan) == ["full", "without flips", "without adamw", "without long training"]
    assert len(plan.trials) == 8
    full, flips, adamw, training = (trial.settings for trial in plan.trials[:4])
    assert (len(full.augment.transforms), full.train.optimizer) == (1, "adamw")
    assert (len(flips.augment.transforms), flips.train.optimizer) == (0, "adamw")
    assert (len(adamw.augment.transforms), adamw.train.optimizer) == (1, "adam")
    assert (training.train.epochs, training.train.lr) == (2, 2e-3)
    assert plan.trials[1].id.startswith("without_flips-s0-")


def test_the_trials_are_those_of_a_grid_with_the_same_settings(tmp_path: Path) -> None:
    design = planned(tmp_path, LEAVE_ONE_OUT)
    grid = planned(tmp_path, "grid: {augment: {flip: [{hflip: {p: 0.5}}], none: []}}\n")
    assert {trial.arm for trial in grid.trials} == {trial.arm for trial in design.trials[:2]}
    hashes = {trial.id.rpartition("-")[2] for trial in design.trials}
    assert {trial.id.rpartition("-")[2] for trial in grid.trials} <= hashes


def test_trials_of_one_design_belong_in_one_table(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAVE_ONE_OUT)
    assert len({trial.common for trial in plan.trials}) == 1
    longer = planned(tmp_path, LEAVE_ONE_OUT, "train.batch_size=4")
    assert longer.trials[0].common != plan.trials[0].common


def test_a_trial_is_the_same_when_it_is_read_back(tmp_path: Path) -> None:
    trial = planned(tmp_path, LEAVE_ONE_OUT).trials[1]
    config = json.loads(json.dumps(trial_config(trial)))
    assert load_trial(config) == trial
    check_identity(config, trial.id, trial.experiment)


def test_a_plan_keeps_its_design(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAVE_ONE_OUT)
    assert plan.design is not None
    assert Design.of(json.loads(json.dumps(plan.record()))["design"]) == plan.design


@pytest.mark.parametrize(
    ("kind", "expected", "contrasts"),
    [
        (
            "add_one",
            ["base", "with flips", "with decay", "with train.ema"],
            [("with flips", "base"), ("with decay", "base"), ("with train.ema", "base")],
        ),
        (
            "cumulative",
            ["base", "plus flips", "plus decay", "plus train.ema"],
            [
                ("plus flips", "base"),
                ("plus decay", "plus flips"),
                ("plus train.ema", "plus decay"),
            ],
        ),
    ],
)
def test_components_are_added(
    kind: str, expected: list[str], contrasts: list[tuple[str, str]], tmp_path: Path
) -> None:
    plan = planned(tmp_path, f"design:\n  {kind}:\n{ADDED}")
    assert labels(plan) == expected
    last = plan.trials[-1].settings
    assert last.train.ema == 0.9
    assert last.train.weight_decay == (0.01 if kind == "cumulative" else 0)
    found = [(h.a[CONFIGURATION], h.b[CONFIGURATION]) for h in plan.hypotheses]  # type: ignore[index]
    assert found == contrasts
    assert {(h.metric, h.expect) for h in plan.hypotheses} == {("test_dice", "higher")}


def test_one_at_a_time_takes_values_and_named_alternatives(tmp_path: Path) -> None:
    text = """\
design:
  one_at_a_time:
    train.lr: [1e-4, 1e-2]
    augment: {flip: [{hflip: {p: 0.5}}]}
    recipe:
      slow: {train.epochs: 8, train.optimizer: sgd}
"""
    plan = planned(tmp_path, text)
    expected = ["base", "train.lr: 0.0001", "train.lr: 0.01", "augment: flip", "recipe: slow"]
    assert labels(plan) == expected
    assert plan.trials[4].settings.train.epochs == 8
    assert plan.design is not None
    assert plan.design.levels["train.lr"] == ("0.001", "0.0001", "0.01")
    assert plan.design.levels["recipe"] == ("base", "slow")
    assert plan.design.combinations == 12
    assert len(plan.hypotheses) == 4


def test_both_levels_of_a_component_can_be_given(tmp_path: Path) -> None:
    text = "design: {leave_one_out: {rate: {on: {train.lr: 0.1}, off: {train.lr: 0.2}}}}\n"
    plan = planned(tmp_path, text)
    assert [trial.settings.train.lr for trial in plan.trials] == [0.1, 0.2]


def test_a_grid_gives_strata(tmp_path: Path) -> None:
    grid = "grid: {model: {narrow: {name: unet, width: 0.1}, wide: {name: unet, width: 0.2}}}\n"
    plan = planned(tmp_path, grid + LEAVE_ONE_OUT)
    assert len(plan.trials) == 8
    assert plan.trials[0].axes == {"model": "narrow", CONFIGURATION: "full"}
    found = sides(plan.hypotheses[0], [trial.axes for trial in plan.trials], plan.design)
    assert (found.a, found.b, found.strata) == ((1, 5), (0, 4), ("model",))
    assert "exclude" not in fault(tmp_path, grid.replace("model", "augment", 1) + LEAVE_ONE_OUT)


def test_arms_of_a_design_can_be_excluded(tmp_path: Path) -> None:
    text = "exclude: [{configuration: without flips}]\n" + LEAVE_ONE_OUT
    plan = planned(tmp_path, text)
    assert labels(plan) == ["full", "without adamw", "without long training"]
    assert [h.id for h in plan.hypotheses] == ["without_adamw", "without_long_training"]


@pytest.mark.parametrize(
    ("resolution", "factors"), [(r, n) for r in GENERATORS for n in GENERATORS[r]]
)
def test_fractions_have_their_resolution(resolution: str, factors: int) -> None:
    """The shortest product of columns that is the same in all runs has so many of them."""
    made = Fraction(tuple("ABCDEFGHIJK"[:factors]), resolution)  # type: ignore[arg-type]
    signs = made.signs.astype(int)
    assert (signs.sum(axis=0) == 0).all()
    assert (signs.T @ signs == len(signs) * np.eye(factors)).all()
    words = (
        count
        for count in range(1, factors + 1)
        for columns in itertools.combinations(range(factors), count)
        if abs(signs[:, columns].prod(axis=1).sum()) == len(signs)
    )
    assert next(words) >= {"III": 3, "IV": 4, "V": 5}[resolution]


def test_a_fraction_names_its_aliases() -> None:
    found = Fraction(tuple("ABCDE"), "III")
    assert len(found.signs) == 8
    assert found.generators == ("D = A × B", "E = A × C")
    assert found.aliases(("A",)) == (("B", "D"), ("C", "E"))
    assert found.aliases(("B", "C")) == (("D", "E"),)
    whole = Fraction(tuple("ABCDE"), "V")
    assert all(len(each) == 1 for each in whole.alias_sets)
    assert len(whole.alias_sets) == 15


FRACTION = """\
design:
  fractional: III
  components:
    flips: {augment: [{hflip: {p: 0.5}}]}
    decay: {train.weight_decay: 0.01}
    average: {train.ema: 0.9}
"""


def test_half_of_a_fraction_is_compared_with_the_other_half(tmp_path: Path) -> None:
    plan = planned(tmp_path, FRACTION)
    assert labels(plan) == [
        "with average", "with decay", "with flips", "with all",
    ]  # fmt: skip
    first = plan.hypotheses[0]
    assert (first.a, first.b) == ({"flips": "on"}, {"flips": "off"})
    found = sides(first, [trial.axes for trial in plan.trials], plan.design)
    assert ({*found.a}, {*found.b}) == ({2, 3}, {0, 1})
    assert sorted(found.partners.items()) == [(0, "1"), (1, "2"), (2, "1"), (3, "2")]


def test_hypotheses_can_name_components(tmp_path: Path) -> None:
    text = (
        LEAVE_ONE_OUT
        + """\
hypotheses:
  - {id: mine, claim: "Flips help", metric: test_dice, a: {flips: on}, b: {flips: off},
     expect: higher}
  - {id: iou, claim: "Flips help", metric: best_val_iou, a: {flips: on}, b: {flips: off},
     expect: higher}
"""
    )
    plan = planned(tmp_path, text)
    found = sides(plan.hypotheses[0], [trial.axes for trial in plan.trials], plan.design)
    assert (found.a, found.b) == ((0,), (1,))
    ids = [hypothesis.id for hypothesis in plan.hypotheses]
    assert ids == ["mine", "iou", "without_adamw", "without_long_training"]


def test_the_design_can_name_the_figure(tmp_path: Path) -> None:
    plan = planned(tmp_path, LEAVE_ONE_OUT + "  metric: final_val_iou\n")
    assert {h.metric for h in plan.hypotheses} == {"final_val_iou"}
    found = fault(tmp_path, LEAVE_ONE_OUT + "  metric: test_dise\n")
    assert found.startswith("12: design.metric: unknown metric 'test_dise' (did you mean")


def test_components_of_the_loss_are_not_compared_by_it(tmp_path: Path) -> None:
    text = "design: {add_one: {dice: {train.loss: dice}}}\n"
    plan = planned(tmp_path, text)
    assert plan.incomparable["loss"] == (CONFIGURATION,)
    assert [h.metric for h in plan.hypotheses] == ["test_dice"]
    assert planned(tmp_path, text + "select: {metric: val/loss}\n").hypotheses == ()
    chosen = fault(tmp_path, text[:-2] + ", metric: best_val_loss}\n")
    assert "is not comparable across the levels of dice; take another" in chosen


def test_only_the_component_of_the_loss_is_not_compared_by_it(tmp_path: Path) -> None:
    components = "{dice: {train.loss: dice}, rate: {train.lr: 0.1}}"
    text = f"design: {{leave_one_out: {components}}}\n"
    plan = planned(tmp_path, text + "select: {metric: val/loss}\n")
    assert [h.id for h in plan.hypotheses] == ["without_rate"]
    assert plan.design is not None
    assert set(plan.design.losses) == {"dice"}
    assert plan.design.loss_of("full") == plan.design.loss_of("without rate")
    assert plan.design.loss_of("full") != plan.design.loss_of("without dice")
    assert Design.of(plan.design.record()) == plan.design
    assert plan.warnings[0].startswith("val/loss is not comparable across the levels of dice:")
    own = "hypotheses: [{id: r, claim: c, metric: best_val_loss, a: {X}, b: {Y}, expect: lower}]\n"
    same = own.replace("X", "rate: on").replace("Y", "rate: off")
    assert planned(tmp_path, text + same).hypotheses[0].id == "r"
    other = own.replace("X", "dice: on").replace("Y", "dice: off")
    assert "is not comparable across the levels of dice" in fault(tmp_path, text + other)
    by_label = own.replace("X", "configuration: full")
    of_rate = by_label.replace("Y", "configuration: without rate")
    assert planned(tmp_path, text + of_rate).hypotheses[0].id == "r"
    of_dice = by_label.replace("Y", "configuration: without dice")
    assert "is not comparable across the levels of dice" in fault(tmp_path, text + of_dice)


def test_alternatives_that_keep_the_loss_are_compared_by_it(tmp_path: Path) -> None:
    text = (
        "design: {one_at_a_time: {recipe: {slow: {train.lr: 0.1},"
        " focal: {train.loss: focal, train.lr: 0.2}}}}\nselect: {metric: val/loss}\n"
    )
    assert [h.id for h in planned(tmp_path, text).hypotheses] == ["recipe_slow"]


def test_a_section_that_says_nothing_of_the_loss_changes_none(tmp_path: Path) -> None:
    text = "design: {add_one: {sgd: {train: {optimizer: sgd, lr: 0.1}}}}\n"
    plan = planned(tmp_path, text)
    assert plan.design is not None
    assert plan.design.losses == {}


WRONG = {
    "changes nothing": (
        "design: {leave_one_out: {adamw: {train.optimizer: adamw}}}",
        "6: design.leave_one_out.adamw: changes nothing: the configuration 'full' has these",
    ),
    "changes nothing more": (
        "design: {cumulative: {a: {train.ema: 0.9}, b: {train.ema: 0.9}}}",
        "6: design.cumulative.b: changes nothing that 'plus a' has not changed before",
    ),
    "same settings": (
        "design: {add_one: {a: {train.ema: 0.9}, b: {train.ema: 0.9}}}",
        "6: design.add_one.b: the configurations 'with a' and 'with b' have the same settings",
    ),
    "same key, other value": (
        "design: {add_one: {a: {train.ema: 0.9}, b: {train.ema: 0.99}}}",
        "6: design.add_one.b.train.ema: 'a' sets train.ema too, to another value; make one",
    ),
    "beside a grid": (
        "grid: {train.lr: [1e-3, 1e-2]}\ndesign: {add_one: {rate: {train.lr: 0.1}}}",
        "7: design.add_one.rate.train.lr: is an axis too, at grid.train.lr; keep train.lr in the",
    ),
    "two designs": (
        "design: {add_one: {a: {train.ema: 0.9}}, cumulative: {a: {train.ema: 0.9}}}",
        "6: design: has add_one and cumulative; keep one",
    ),
    "no design": ("design: {metric: test_dice}", "6: design: names no design; give one of"),
    "empty": ("design: {add_one: {}}", "6: design.add_one: is empty; fill it"),
    "unknown design": ("design: {leave_one: {a: {}}}", "6: design.leave_one: unknown key (did you"),
    "unknown setting": (
        "design: {add_one: {a: {trian.ema: 0.9}}}",
        "6: design.add_one.a.trian.ema: is no setting that a component can change (did you mean",
    ),
    "unknown key of a setting": (
        "design: {add_one: {a: {train.emma: 0.9}}}",
        "6: design.add_one.a.train.emma: unknown key (did you mean 'ema'?)",
    ),
    "no settings": (
        "design: {add_one: {a: 3}}",
        "6: design.add_one.a: must be settings, such as {train.lr: 1e-3}, not 3",
    ),
    "bad value": (
        "design: {add_one: {a: {train.ema: 2}}}",
        "6: design.add_one.a.train.ema: must be less than 1, not 2",
    ),
    "another task": (
        "design: {add_one: {a: {task: diffusion}}}",
        "6: design.add_one.a.task: an experiment has one task",
    ),
    "too few for the resolution": (
        f"{FRACTION.replace('III', 'IV')}",
        "7: design.fractional: there is no fraction of resolution IV of 3 components, it takes 4: "
        "use III, or a grid of their 8 combinations",
    ),
    "no components": ("design: {fractional: IV}", "6: design: fractional needs `components:`"),
    "components elsewhere": (
        "design: {add_one: {a: {train.ema: 0.9}}, components: {b: {train.ema: 0.8}}}",
        "6: design: components are for `fractional`; write them below `add_one` itself",
    ),
    "part of a fraction": (
        f"exclude: [{{configuration: with flips}}]\n{FRACTION}",
        "6: exclude.0: a fractional design stays whole; remove this entry",
    ),
    "nothing left to compare with": (
        "exclude: [{configuration: base}]\ndesign: {add_one: {a: {train.ema: 0.9}}}",
        "6: exclude: leaves no 'base' to compare 'with a' with; keep it, or exclude 'with a', too",
    ),
    "a step left out": (
        "exclude: [{configuration: plus a}]\n"
        "design: {cumulative: {a: {train.ema: 0.9}, b: {train.lr: 0.1}}}",
        "6: exclude: leaves no 'plus a' to compare 'plus b' with",
    ),
    "folds": (
        "design: {add_one: {a: {data.folds: {k: 3}}}}",
        "6: design.add_one.a.data.folds: is no axis",
    ),
    "unused": (
        "design: {add_one: {a: {train.focal_gamma: 3}}}",
        "6: design.add_one.a.train.focal_gamma: has no effect",
    ),
    "reserved name": (
        "design: {add_one: {configuration: {train.ema: 0.9}}}",
        "6: design.add_one.configuration: 'configuration' is the axis of a design",
    ),
    "included": (
        "include: [{configuration: with b}]\ndesign: {add_one: {a: {train.ema: 0.9}}}",
        "6: include.0.configuration: unknown level 'with b' (did you mean 'with a'?)",
    ),
    "unknown end of a path": (
        "design: {path: {form: {}, to: {a: {train.ema: 0.9}}}}",
        "6: design.path.form: unknown key (did you mean 'from'?)",
    ),
    "an alternative like the base": (
        "design: {one_at_a_time: {train.lr: [1e-3, 1e-2]}}",
        "6: design.one_at_a_time.train.lr: changes nothing: the configuration 'base' has",
    ),
    "search": (
        "design: {add_one: {a: {train.ema: 0.9}}}\n"
        "search: {trials: 3, space: {train.lr: {choice: [1, 2]}}}",
        "7: search: is for `bench search`",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_named_with_a_remedy(name: str, tmp_path: Path) -> None:
    text, expected = WRONG[name]
    assert fault(tmp_path, f"{text}\n").startswith(expected)


def test_a_component_that_the_full_configuration_does_not_use(tmp_path: Path) -> None:
    text = "design: {leave_one_out: {focus: {train.focal_gamma: 2}, b: {train.lr: 0.1}}}\n"
    with pytest.raises(SpecError, match=r"design\.leave_one_out\.focus: has no effect with") as e:
        planned(tmp_path, text, "train.focal_gamma=3")
    assert "so that 'focus' changes nothing; leave it out" in str(e.value)


def blocks(language: str) -> list[str]:
    text = (Path(__file__).parents[2] / "docs/designs.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_the_guide_s_examples_can_be_planned(number: int, tmp_path: Path) -> None:
    block = blocks("yaml")[number]
    head = "" if "experiment:" in block else HEAD
    design = "" if "design:" in block else LEAVE_ONE_OUT
    path = tmp_path / "spec.yaml"
    path.write_text(head + design + block)
    plan = make_plan(load_spec(path))
    assert plan.design is not None
    assert plan.hypotheses
