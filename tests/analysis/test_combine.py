from __future__ import annotations

import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.combine import combine_experiments
from bench.analysis.leaderboard import marks_in_column
from bench.analysis.load import load
from bench.analysis.measurement_conditions import same_conditions
from bench.analysis.setting_differences import as_in_yaml
from bench.errors import StoreError
from bench.record.store import Store
from bench.report.narrative.headline import headline
from bench.report.page import write_one, write_together
from tests.builders.contrasts import difference_frame
from tests.builders.experiments import build
from tests.builders.records import MadeTrial, environment, write_experiment

DICE = "best_val_dice"


def write(root, name, dice, fingerprint="f1", plan=None, gpu="X", **summary):
    trials = [
        MadeTrial(
            seed,
            {"model": model},
            summary={DICE: dice + 0.01 * seed + 0.1 * (model == "b"), "epoch_seconds": 1.0,
                     "data_fingerprint": fingerprint, **summary},
            environment=environment() | {"gpu": gpu},
        )
        for model in "ab"
        for seed in range(3)
    ]  # fmt: skip
    write_experiment(root, name, trials, **(plan or {}))
    return trials


def together(root, *names):
    return combine_experiments([load(Store(root), name) for name in names], "both")


def test_the_experiment_is_an_axis(tmp_path):
    trials = write(tmp_path, "one", 0.5)
    write(tmp_path, "two", 0.6)
    records = together(tmp_path, "one", "two")
    assert records.axes == {"experiment": ["one", "two"], "model": ["a", "b"]}
    assert [arm.label for arm in arms_of(records)] == ["one · a", "one · b", "two · a", "two · b"]
    assert records.runs["id"].iloc[0] == f"one/{trials[0].id}"
    assert records.folders[f"two/{trials[0].id}"].parent.name == "two"
    assert len(records.runs) == 12
    assert records.runs["seed"].dtype == "Int64"


def test_trials_of_the_same_data_pair_by_seed(tmp_path):
    write(tmp_path, "one", 0.5)
    write(tmp_path, "two", 0.6)
    records = together(tmp_path, "one", "two")
    found = difference_frame(records, DICE).set_index("axis")
    assert found.loc["experiment", ["a", "b", "n"]].tolist() == ["two", "one", 3]
    assert found.loc["experiment", "estimate"] == pytest.approx(0.1)
    assert records.cautions == ()
    assert same_conditions(records, "epoch_seconds")


@pytest.mark.parametrize(
    ("fingerprint", "reason"),
    [("f2", "did not see the same data in the same splits"),
     (None, "is not known that all saw the same data")],
)  # fmt: skip
def test_other_data_makes_no_pairs(tmp_path, fingerprint, reason):
    write(tmp_path, "one", 0.5)
    write(tmp_path, "two", 0.6, fingerprint)
    records = together(tmp_path, "one", "two")
    for column in (DICE, "epoch_seconds", "epochs_to_95pct"):
        assert set(difference_frame(records, column)["axis"]) == {"model"}
    assert records.cautions[0].endswith(f"because {'it' if not fingerprint else 'they'} {reason}")
    arms = arms_of(records)
    found = headline(records, arm_summary(records), arms)
    assert found.title == "Validation Dice cannot rank the levels of experiment."
    assert {arms[i].levels["experiment"] for i in marks_in_column(records, arms, DICE, "max")} <= {
        "one", "two",
    }  # fmt: skip
    # strata of both count for what is asked within each, as seeds of their own mean
    assert difference_frame(records, DICE).set_index("axis").loc["model", "n"] == 3


def test_epoch_times_of_other_hardware_are_not_compared(tmp_path):
    write(tmp_path, "one", 0.5)
    write(tmp_path, "two", 0.6, gpu="Y")
    records = together(tmp_path, "one", "two")
    assert not same_conditions(records, "epoch_seconds")
    found = difference_frame(records, "epoch_seconds").set_index("axis")
    assert found.loc["experiment", ["n", "lost"]].tolist() == [0, 6]
    assert found.loc["model", "n"] == 3


SPEC = """
task: segmentation
data: {name: shapes, image_size: 32, train: 8, val: 4, test: 4}
grid: {model: {a: {name: unet, width: 0.05}, b: {name: unet, width: 0.1}}}
seeds: 1
"""


def test_what_else_differs_is_reported(tmp_path):
    """Epochs in one word; and a loss that is another one is not compared."""
    for name, train in (("one", "epochs: 1"), ("two", "epochs: 2, loss: dice")):
        build(tmp_path, f"experiment: {name}\ntrain: {{{train}}}{SPEC}")
    records = together(tmp_path / "results", "one", "two")
    (caution,) = records.cautions
    assert caution == "experiments differ in 2 settings besides their axes"
    assert records.setting_differences == {
        "train.epochs": ["1", "2"],
        "train.loss": ["cross_entropy", "dice"],
    }
    page = write_one(records, tmp_path / "reports").read_text()
    assert "<td>train.epochs</td><td>1</td><td>2</td>" in page
    assert "| train.epochs | 1 | 2 |" in (tmp_path / "reports/report.md").read_text()
    assert records.incomparable == {"loss": ("experiment",)}
    assert "experiment" not in set(difference_frame(records, "best_val_loss")["axis"])
    assert "experiment" in set(difference_frame(records, DICE)["axis"])


def test_settings_are_shown_as_a_spec_has_them(tmp_path):
    for name, train in (("one", "ema: null"), ("two", "ema: 0.9, deterministic: true")):
        build(tmp_path, f"experiment: {name}\ntrain: {{epochs: 1, {train}}}{SPEC}")
    records = together(tmp_path / "results", "one", "two")
    assert records.setting_differences["train.ema"] == ["null", "0.9"]
    values = [None, False, 1.0, 1e-3, "", "a", [1, None], {"hflip": {"p": 0.5}}, ()]
    assert [as_in_yaml(value) for value in values] == [
        "null", "false", "1", "0.001", '""', "a", "[1, null]", "{hflip: {p: 0.5}}", "[]",
    ]  # fmt: skip


def test_what_components_of_a_design_decide_sets_nothing_apart(tmp_path):
    for name, design in (("one", ""), ("two", "design: {add_one: {ema: {train.ema: 0.9}}}\n")):
        build(tmp_path, f"experiment: {name}\ntrain: {{epochs: 1}}{SPEC}{design}")
    assert "train.ema" not in together(tmp_path / "results", "one", "two").setting_differences


def test_what_cannot_stand_together(tmp_path):
    write(tmp_path, "one", 0.5, plan={"metrics": {"dice": "max", "score": "max"}})
    write(tmp_path, "two", 0.5, plan={"task": "diffusion"})
    write(tmp_path, "three", 0.5, plan={"metrics": {"score": "min"}})
    write(tmp_path, "four", 0.5, plan={"metrics": {"top1": "max"}, "select":
                                       {"metric": "val/top1", "mode": "max"}})  # fmt: skip
    for other, message in (("two", "segmentation and diffusion cannot be compared"),
                           ("three", "score is better the higher in one experiment only"),
                           ("four", "no metric in common")):  # fmt: skip
        with pytest.raises(StoreError, match=message):
            together(tmp_path, "one", other)
    for names, name, message in ((["one"], "x", "at least two"), (["one", "two"], "one", "is an"),
                                 (["one", "two"], "../x", "experiment name")):  # fmt: skip
        with pytest.raises(StoreError, match=message):
            write_together(Store(tmp_path), names, name, tmp_path / "reports")


def test_the_page(tmp_path):
    write(tmp_path / "results", "one", 0.5)
    write(tmp_path / "results", "two", 0.6, "f2")
    page = write_together(Store(tmp_path / "results"), ["one", "two"], "both", tmp_path / "reports")
    text = page.read_text()
    assert page == tmp_path / "reports" / "both" / "report.html"
    assert "python -m bench report one two --together both" in text
    assert "Hypotheses are tested in each experiment’s own report" in text
    assert "Mixed data fingerprint: f1 (6 trials), f2 (6 trials)" in text
