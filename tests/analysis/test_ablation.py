"""What the records say of an ablation design, against effects that are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from bench.analysis.ablation import ablation_column, configurations, steps
from bench.analysis.arms import arms_of
from bench.analysis.explored import explore
from bench.analysis.hypotheses import HypothesisOutcome, outcomes
from bench.analysis.leaderboard import leaderboards
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.plan.design import CONFIGURATION
from bench.plan.plan import claims_digest
from tests.builders.designs import COMPONENTS, EFFECTS, built

ADD_ONE = f"design:\n  add_one:\n{COMPONENTS}"
CUMULATIVE = f"design:\n  cumulative:\n{COMPONENTS}"
FRACTION = f"design:\n  fractional: III\n  components:\n{COMPONENTS}"
FIVE = FRACTION + "    rate: {train.lr: 2e-3}\n    clipping: {train.clip_grad_norm: 1.0}\n"
MODELS = "grid: {model: {narrow: {name: unet, width: 0.1}, wide: {name: unet, width: 0.2}}}\n"


def found(folder: Path, text: str) -> tuple[Records, list[HypothesisOutcome], pd.DataFrame]:
    store, plan = built(folder, text)
    records = load(store, plan.experiment)
    tested = outcomes(records)
    frame = configurations(records, explore(records, tested), ablation_column(records))
    return records, tested, frame


def mean_of(records: Records, label: str) -> float:
    rows = records.runs[records.runs[f"axis.{CONFIGURATION}"] == label]
    return float(rows["test_dice"].mean())


@pytest.mark.parametrize("grid", ["", MODELS])
def test_every_component_is_tested_against_the_base(grid: str, tmp_path: Path) -> None:
    records, tested, frame = found(tmp_path, grid + ADD_ONE)
    verdicts = {one.hypothesis.id: str(one.verdict) for one in tested}
    assert verdicts == {
        "with_flips": "supported",
        "with_weight_decay": "inconclusive",
        "with_average": "refuted",
    }
    base = mean_of(records, "base")
    for row in frame.to_dict("records"):
        assert row["mean"] == pytest.approx(mean_of(records, row["configuration"]))
        if row["configuration"] == "base":
            assert math.isnan(row["delta"])
            assert row["against"] == ""
        else:
            assert row["delta"] == pytest.approx(row["mean"] - base)
            assert row["against"] == "base"
    assert list(frame["component.flips"]) == ["off", "on", "off", "off"]
    assert ("mean.wide" in frame) == bool(grid)


def test_the_table_and_the_verdicts_have_one_result(tmp_path: Path) -> None:
    _, tested, frame = found(tmp_path, ADD_ONE)
    by_id = {one.hypothesis.id: one for one in tested}
    for row in frame.iloc[1:].to_dict("records"):
        outcome = by_id[row["hypothesis"]]
        assert row["p_corrected"] == outcome.result.p_corrected
        assert row["delta"] == outcome.result.estimate.mean
        assert row["conclusion"] == str(outcome.verdict)


def test_steps_add_up_to_the_whole(tmp_path: Path) -> None:
    records, tested, frame = found(tmp_path, CUMULATIVE)
    assert records.design is not None
    last = frame.iloc[-1]
    assert frame["delta"].sum() == pytest.approx(last["from_reference"])
    assert list(frame["against"]) == ["", "base", "plus flips", "plus weight decay"]
    assert [str(one.verdict) for one in tested] == ["supported", "inconclusive", "refuted"]
    shown = steps(frame, records.design)
    assert list(shown["kind"]) == ["end", "step", "step", "step", "end"]
    assert list(shown["label"]) == ["base", *EFFECTS, "all components"]
    within = shown.iloc[1:-1]
    assert list(within["start"]) == list(frame["mean"][:-1])
    assert list(within["end"]) == list(frame["mean"][1:])


def test_there_are_no_steps_without_a_sequence(tmp_path: Path) -> None:
    records, _, frame = found(tmp_path, ADD_ONE)
    assert records.design is not None
    assert steps(frame, records.design).empty
    assert "from_reference" not in frame


@pytest.mark.parametrize("grid", ["", MODELS])
def test_effects_of_a_fraction_are_those_of_a_linear_model(grid: str, tmp_path: Path) -> None:
    """Coefficients of ±1 factors are half the effects (statsmodels, least squares)."""
    records, tested, _ = found(tmp_path, grid + FIVE)
    assert records.design is not None
    names = dict(zip(records.design.components, "ABCDE", strict=True))
    rows = []
    for run in records.runs.to_dict("records"):
        levels = records.design.configurations[run[f"axis.{CONFIGURATION}"]]
        signs = {names[name]: 1 if level == "on" else -1 for name, level in levels.items()}
        rows.append({**signs, "y": run["test_dice"]})
    fit = smf.ols("y ~ A + B + C + D + E + B:C + B:E", pd.DataFrame(rows)).fit()
    effects = explore(records, tested).components["test_dice"].set_index("effect")
    assert len(effects) == 7
    for name, letter in names.items():
        assert effects.loc[name, "estimate"] == pytest.approx(2 * fit.params[letter])
    pairs = {"weight decay × average": "B:C", "weight decay × clipping": "B:E"}
    for name, term in pairs.items():
        assert effects.loc[name, "estimate"] == pytest.approx(2 * fit.params[term])
    assert effects.loc["flips", "confounded_with"] == "weight decay × rate = average × clipping"
    assert effects.loc["weight decay × average", "confounded_with"] == "rate × clipping"


def test_components_of_a_fraction_are_hypotheses(tmp_path: Path) -> None:
    records, tested, frame = found(tmp_path, FRACTION)
    verdicts = [str(one.verdict) for one in tested]
    assert verdicts == ["supported", "inconclusive", "refuted"]
    effects = explore(records, tested).components["test_dice"]
    assert list(effects["hypothesis"]) == [one.hypothesis.id for one in tested]
    for one, (_, row) in zip(tested, effects.iterrows(), strict=True):
        assert row["p_corrected"] == one.result.p_corrected
        assert row["estimate"] == pytest.approx(one.result.estimate.mean)
    assert frame["delta"].isna().all()


def test_half_a_fraction_that_lacks_a_run_has_no_complete_seed(tmp_path: Path) -> None:
    store, plan = built(
        tmp_path,
        FRACTION,
        only=lambda trial: (trial.seed, trial.axes[CONFIGURATION]) != (3, "with flips"),
    )
    tested = outcomes(load(store, plan.experiment))
    assert [one.pairs.complete for one in tested] == [[0, 1, 2]] * 3
    assert all(len(one.pairs.by_seed) == 3 for one in tested)


def test_runs_of_a_fraction_are_not_compared_one_by_one(tmp_path: Path) -> None:
    records, tested, _ = found(tmp_path, MODELS + FRACTION)
    explored = explore(records, tested)
    assert set(explored.differences["test_dice"]["axis"]) == {"model"}
    assert explored.interactions["test_dice"].empty


def test_configurations_are_compared_with_the_full_one_only(tmp_path: Path) -> None:
    records, tested, _ = found(tmp_path, MODELS + ADD_ONE)
    explored = explore(records, tested)
    differences = explored.differences["test_dice"]
    assert set(differences["b"][differences["axis"] == CONFIGURATION]) == {"base"}
    changes = explored.interactions["test_dice"]
    assert len(changes) == 3
    assert np.isfinite(changes["estimate"]).all()


def test_a_fraction_is_read_back_from_its_record(tmp_path: Path) -> None:
    records, _, _ = found(tmp_path, FRACTION)
    assert records.design is not None
    assert records.design.fraction is not None
    assert records.design.fraction.generators == ("average = flips × weight decay",)


def test_losses_are_compared_only_where_no_component_changes_them(tmp_path: Path) -> None:
    of_loss = "    dice loss: {train.loss: dice}\n"
    store, plan = built(tmp_path / "one", ADD_ONE + of_loss)
    records = load(store, plan.experiment)
    explored = explore(records, outcomes(records))
    losses, dice = explored.differences["final_val_loss"], explored.differences["test_dice"]
    assert set(losses["a"]) == {"with flips", "with weight decay", "with average"}
    assert set(dice["a"]) == {*losses["a"], "with dice loss"}
    boards = leaderboards(records, arms_of(records), "final_val_loss", "min")
    assert [len(board.numbers) for board in boards] == [4]
    assert [
        len(b.numbers) for b in leaderboards(records, arms_of(records), "test_dice", "max")
    ] == [5]

    store, plan = built(tmp_path / "fraction", FRACTION.replace("III", "IV") + of_loss)
    records = load(store, plan.experiment)
    explored = explore(records, outcomes(records))
    by_loss = set(explored.components["final_val_loss"]["effect"])
    assert by_loss == {"flips", "weight decay", "average"}
    assert {"dice loss", "flips × weight decay"} <= {*explored.components["test_dice"]["effect"]}
    assert (
        "final_val_loss" not in explored.differences or explored.differences["final_val_loss"].empty
    )


def test_of_older_records_no_two_configurations_are_compared_by_the_loss(tmp_path: Path) -> None:
    store, plan = built(tmp_path, ADD_ONE + "    dice loss: {train.loss: dice}\n")
    record = store.plan(plan.experiment)
    assert record is not None
    del record["design"]["losses"]
    records = load(store, plan.experiment, record | {"hypotheses_digest": None})
    assert "final_val_loss" not in explore(records).differences


def test_what_a_changed_design_would_test_is_not_tested(tmp_path: Path) -> None:
    store, plan = built(tmp_path, ADD_ONE)
    record = store.plan(plan.experiment)
    assert record is not None
    design = record["design"] | {"metric": "final_val_iou"}
    assert load(store, plan.experiment, record | {"design": design}).hypotheses == ()
    without = claims_digest(record, with_design=False)  # as earlier versions wrote it
    assert without != record["hypotheses_digest"]
    assert (
        len(load(store, plan.experiment, record | {"hypotheses_digest": without}).hypotheses) == 3
    )
