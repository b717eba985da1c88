"""Cross-validation in the records: a seed's folds count as one, and only whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bench.analysis.arm_summary import arm_summary
from bench.analysis.contrast_tests import Basis
from bench.analysis.explored import explore
from bench.analysis.fold_pool import over_folds
from bench.analysis.hypotheses import outcomes
from bench.analysis.image_frame import out_of_fold_frame
from bench.analysis.image_scores import ImageFigure, read_image_scores
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.analysis.two_sources import Over, two_sources
from bench.plan.trial import Trial
from bench.record.store import Store
from tests.builders.folds import NAMES, crossed, fold_of

Array = npt.NDArray[np.float64]


def dice(model: str, seed: int) -> Array:
    """Arm a is better by 0.05; seeds, images and their interaction scatter."""
    random = np.random.default_rng([seed, ord(model)])
    image = np.linspace(0.5, 0.7, 30)
    own = random.normal(0, 0.03, 30) + random.normal(0, 0.01)
    return np.clip(image + 0.05 * (model == "a") + own, 0, 1).astype(np.float32).astype(float)


def pooled(store: Store) -> Records:
    return over_folds(load(store, "crossed"))


def test_a_row_for_each_arm_and_seed(tmp_path: Path) -> None:
    store, plan = crossed(tmp_path, dice)
    records = load(store, "crossed")
    assert len(records.runs) == len(plan.trials) == 18
    assert records.runs["fold"].tolist() == [trial.fold for trial in plan.trials]
    found = over_folds(records)
    assert len(found.runs) == 6
    assert "fold" not in found.runs
    assert set(found.runs["status"]) == {"done"}
    assert found.trial_records is records
    assert over_folds(found) is found
    for name, trials in found.trials_of.items():
        folds = records.runs.set_index("id")["fold"].loc[list(trials)].tolist()
        assert folds == [0, 1, 2], name


def test_without_folds_records_stay_as_they_are(tmp_path: Path) -> None:
    from tests.builders.experiments import build

    store, _ = build(tmp_path)
    records = load(store, "built")
    assert "fold" not in records.runs
    assert over_folds(records) is records
    assert out_of_fold_frame(records).empty


def test_figures_count_every_image_alike(tmp_path: Path) -> None:
    """Folds of 8, 8, 7 and 7 images: the mean of their means would be another number."""
    store, _ = crossed(tmp_path, dice, k=4)
    found = pooled(store)
    for _, row in found.runs.iterrows():
        exact = float(dice(row["axis.model"], row["seed"]).mean())
        assert row["final_val_dice"] == pytest.approx(exact, abs=1e-7)
        assert row["best_val_dice"] == pytest.approx(exact, abs=1e-7)
    of_test = found.trial_records.runs.groupby(["axis.model", "seed"])["test_dice"].mean()
    for _, row in found.runs.iterrows():
        assert row["test_dice"] == pytest.approx(of_test[row["axis.model"], row["seed"]])
    assert found.runs["params"].tolist() == [1234] * 6
    assert found.runs["epochs"].tolist() == [2] * 6
    assert len(found.history) == 12


def test_every_image_has_its_out_of_fold_score(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice)
    found = pooled(store)
    figure = ImageFigure("val", "dice", "selected")
    table = read_image_scores(found, [figure])
    assert table.problems == {}
    for _, row in found.runs.iterrows():
        images = table.images[table.images_hash[row["id"]]]["val"]
        assert images.names == tuple(sorted(NAMES))
        scores = table.columns[figure][row["id"]]
        assert scores == pytest.approx(dice(row["axis.model"], row["seed"]), abs=1e-7)
    assert len(set(table.images_hash.values())) == 1


def test_the_table_of_out_of_fold_scores(tmp_path: Path) -> None:
    store, plan = crossed(tmp_path, dice)
    frame = out_of_fold_frame(load(store, "crossed"))
    assert list(frame.columns[:7]) == [
        "axis.model", "seed", "fold", "image", "group", "id", "epoch",
    ]  # fmt: skip
    assert len(frame) == 6 * 30
    assert not frame.duplicated(["axis.model", "seed", "image"]).any()
    of_trial = {trial.id: trial for trial in plan.trials}
    for (name, fold), rows in frame.groupby(["id", "fold"], observed=True):
        trial = of_trial[str(name)]
        assert trial.fold == fold
        chosen = np.array(NAMES)[fold_of(trial)]
        assert rows["image"].tolist() == chosen.tolist()
        exact = dice(trial.axes["model"], trial.seed)[fold_of(trial)]
        assert rows["dice"].to_numpy() == pytest.approx(exact, abs=1e-7)


def differences() -> Array:
    return np.array([dice("a", seed) - dice("b", seed) for seed in range(3)])


def test_from_three_seeds_on_the_variance_pays_for_shared_training_images(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice)
    (outcome,) = outcomes(pooled(store))
    expected = two_sources(differences(), n_folds=3)
    plain = two_sources(differences())
    assert outcome.result.contrast.over is Over.BOTH
    assert outcome.result.p == pytest.approx(expected.p(), rel=1e-4)
    assert expected.variance == pytest.approx(plain.variance + 1.5 * plain.images, rel=1e-9)
    assert outcome.result.estimate.mean == pytest.approx(differences().mean(), abs=1e-7)
    assert outcome.result.estimate.n == 3


def test_hypotheses_are_over_folds_whoever_asks(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice)
    (outcome,), (of_trials,) = outcomes(pooled(store)), outcomes(load(store, "crossed"))
    assert of_trials.result.p == outcome.result.p
    assert of_trials.result.estimate == outcome.result.estimate


def test_images_alone_are_about_these_models(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice)
    (outcome,) = outcomes(pooled(store))
    of_images = {s.over: s.p for s in outcome.result.statements}[Over.IMAGES]
    assert of_images == pytest.approx(two_sources(differences()).p(over=Over.IMAGES), rel=1e-4)


def test_test_figures_are_of_these_training_sets(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice, metric="test_dice")
    (outcome,) = outcomes(pooled(store))
    assert outcome.result.sources is not None
    assert outcome.result.sources.correction == 0
    assert outcome.result.sources.n_images == 6
    assert outcome.seen.by_fold is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_seeds_are_tested_over_folds(seeds: int, tmp_path: Path) -> None:
    store, plan = crossed(tmp_path, dice, k=5, seeds=seeds)
    (outcome,) = outcomes(pooled(store))
    every = np.array([dice("a", seed) - dice("b", seed) for seed in range(seeds)])
    chosen = [fold_of(t) for t in plan.trials if t.seed == 0 and t.axes["model"] == "a"]
    by_fold = np.array([every[:, images].mean() for images in chosen])
    t = by_fold.mean() / np.sqrt(by_fold.var(ddof=1) * (1 / 5 + 1 / 4))
    assert outcome.result.basis is Basis.TEST
    assert outcome.result.p == pytest.approx(2 * stats.t.sf(abs(t), 4), rel=1e-3)


def test_few_folds_of_few_seeds_have_no_test(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice, k=4, seeds=2)
    (outcome,) = outcomes(pooled(store))
    assert outcome.result.basis is Basis.FEW


def test_folds_of_their_own_are_not_averaged_over_two_seeds(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path / "two", dice, k=5, seeds=2, more=", repartition: true")
    (outcome,) = outcomes(pooled(store))
    assert outcome.result.basis is Basis.FEW
    store, _ = crossed(tmp_path / "three", dice, k=5, seeds=3, more=", repartition: true")
    (outcome,) = outcomes(pooled(store))
    assert outcome.result.p == pytest.approx(two_sources(differences(), n_folds=5).p(), rel=1e-4)


def test_a_seed_counts_with_all_its_folds(tmp_path: Path) -> None:
    def is_lost(trial: Trial) -> bool:
        return (trial.seed, trial.fold, trial.axes["model"]) == (1, 2, "b")

    store, _ = crossed(tmp_path, dice, seeds=4, lost=is_lost)
    found = pooled(store)
    row = found.runs[(found.runs["seed"] == 1) & (found.runs["axis.model"] == "b")].iloc[0]
    assert row["status"] == "interrupted"
    assert row["message"] == "2 of 3 folds done"
    assert np.isnan(row["final_val_dice"])
    (outcome,) = outcomes(found)
    assert outcome.pairs.complete == [0, 2, 3]
    counts = arm_summary(found).set_index("axis.model")
    assert counts["n_done"].to_dict() == {"a": 4, "b": 3}
    assert counts["n_missing"].to_dict() == {"a": 0, "b": 1}


def test_a_fold_that_diverged_is_a_result_of_the_arm(tmp_path: Path) -> None:
    def is_lost(trial: Trial) -> bool:
        return (trial.seed, trial.fold, trial.axes["model"]) == (0, 1, "a")

    def well(model: str, seed: int) -> Array:
        return dice(model, seed) * (0.5 if model == "b" else 1)

    store, plan = crossed(tmp_path, well, seeds=4, lost=is_lost)
    trial = next(filter(is_lost, plan.trials))
    _fail(store, trial, "diverged")
    found = pooled(store)
    row = found.runs[found.runs["status"] == "failed"].iloc[0]
    assert (row["failure"], row["message"]) == ("diverged", "2 of 3 folds done (fold 1: diverged)")
    (outcome,) = outcomes(found)
    assert outcome.result.is_withheld


def _fail(store: Store, trial: Trial, failure: str) -> None:
    from bench.plan.expand import trial_config
    from bench.record.trial_files import TrialStatus
    from bench.states import Failure, Status

    files = store.trial(trial.experiment, trial.id)
    files.write_config(trial_config(trial))
    files.write_status(TrialStatus(Status.FAILED, Failure(failure), "no finite loss"))


def test_explored_contrasts_see_the_same(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path, dice, metric="test_dice")
    found = pooled(store)
    # so that the out-of-fold figures of the best epochs say which arm is best
    found.runs[["test_dice", "cross_val_dice"]] = np.nan
    frame = explore(found, outcomes(found)).differences["best_val_dice"]
    assert len(frame) == 1
    expected = two_sources(-differences(), n_folds=3)  # b, the later level, minus a
    assert frame["p"].iloc[0] == pytest.approx(expected.p(), rel=1e-4)
    assert frame["n"].iloc[0] == 3


def test_experiments_together_keep_their_folds(tmp_path: Path) -> None:
    """Of three and of two folds: each seed is over its own experiment's."""
    from bench.analysis.combine import combine_experiments

    parts = []
    for name, k in (("three", 3), ("two", 2)):
        store, _ = crossed(tmp_path / name, dice, k=k, name=name)
        parts.append(load(store, name))
    found = over_folds(combine_experiments(parts, "both"))
    assert found.runs["status"].tolist() == ["done"] * 12
    assert {len(trials) for trials in found.trials_of.values()} == {2, 3}
    for _, row in found.runs.iterrows():
        exact = float(dice(row["axis.model"], row["seed"]).mean())
        assert row["final_val_dice"] == pytest.approx(exact, abs=1e-7)


def test_a_seed_has_failed_when_all_its_folds_have_ended(tmp_path: Path) -> None:
    def is_lost(trial: Trial) -> bool:
        return trial.seed == 0 and trial.axes["model"] == "a" and trial.fold != 0

    store, plan = crossed(tmp_path, dice, lost=is_lost)
    failed, other = filter(is_lost, plan.trials)
    _fail(store, failed, "diverged")
    row = pooled(store).runs.query("status != 'done'").iloc[0]
    said = "1 of 3 folds done (fold 1: diverged)"
    assert (row["status"], row["message"]) == ("interrupted", said)
    _fail(store, other, "crash")
    row = pooled(store).runs.query("status != 'done'").iloc[0]
    assert (row["status"], row["failure"]) == ("failed", "diverged")


def test_two_seeds_left_of_four_are_too_few(tmp_path: Path) -> None:
    """Which test it is follows from the plan, not from which seeds are complete."""

    def is_lost(trial: Trial) -> bool:
        return (trial.seed, trial.fold) in ((0, 1), (2, 0))

    store, _ = crossed(tmp_path, dice, k=5, seeds=4, lost=is_lost)
    found = pooled(store)
    (outcome,) = outcomes(found)
    assert outcome.pairs.complete == [1, 3]
    assert outcome.result.basis is Basis.FEW
    found.runs[["test_dice", "cross_val_dice"]] = np.nan
    frame = explore(found).differences["best_val_dice"]
    assert np.isnan(frame["p"]).all()
