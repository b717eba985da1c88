"""Seeds × images of a hypothesis's sides, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.analysis.image_scores import (
    by_trial,
    figures_of,
    image_figure,
    paired_images,
    read_image_scores,
)
from bench.analysis.load import load
from bench.analysis.pairing import pairs_of
from bench.analysis.score_reader import ImageFigure
from bench.analysis.two_sources import two_sources
from bench.image_scores import TrialScores
from bench.plan.trial import Trial
from bench.spec.hypotheses import Hypothesis, MetricTerm
from tests.builders.image_scores import build_scored, scores_of

SPEC = """\
experiment: scored
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 4, batch_size: 6}
grid:
  model: {unet: {name: unet, width: 0.05}, resnet: {name: resnet34_unet, width: 0.1}}
  augment: {none: [], elastic: [{elastic: {p: 0.2}}]}
seeds: 3
"""
BASE = np.array([0.5, 0.25, 0.75, 0.5])
EFFECT = np.array([0.0, 0.125, 0.0, 0.25])  # of elastic, by image
TEST = ImageFigure("test", "dice", "selected")


def hypothesis(metric: str = "test_dice", **changes: object) -> Hypothesis:
    record = {"id": "h", "claim": "c", "metric": metric, "a": {"augment": "elastic"},
              "b": {"augment": "none"}, "expect": "higher"}  # fmt: skip
    return Hypothesis.model_validate(record | changes)


def dice(trial: Trial) -> np.ndarray:
    resnet, elastic = "resnet" in trial.axes.values(), "elastic" in trial.axes.values()
    # twice the effect in one stratum: the mean over both is one and a half
    return BASE + EFFECT * elastic * (1 + resnet) - trial.seed / 16


def scored(trial: Trial) -> TrialScores | None:
    return scores_of(dice(trial), groups=("p", "q", "p", "r"))


def test_sides_are_means_over_strata_by_seed_and_image(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, scored)
    records = load(store, "scored")
    table = read_image_scores(records, [TEST])
    found = paired_images(records, hypothesis(), table)
    assert found is not None
    assert found.seeds == (0, 1, 2)
    assert found.names == ("image00", "image01", "image02", "image03")
    assert found.groups == ("p", "q", "p", "r")
    assert found.differences.tolist() == [(1.5 * EFFECT).tolist()] * 3
    assert found.a[1].tolist() == (BASE + 1.5 * EFFECT - 1 / 16).tolist()
    assert found.left_out == {}


def test_their_mean_is_the_difference_in_the_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store, _ = build_scored(tmp_path, SPEC, lambda _: scores_of(rng.random(7)))
    records = load(store, "scored")
    found = paired_images(records, hypothesis(), read_image_scores(records, [TEST]))
    assert found is not None
    by_seed = pairs_of(records, hypothesis()).by_seed
    assert found.differences.mean(axis=1) == pytest.approx(by_seed, abs=1e-6)
    assert two_sources(found.differences).mean == pytest.approx(by_seed.mean(), abs=1e-6)


def test_a_number_is_the_same_everywhere(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, scored)
    records = load(store, "scored")
    claim = hypothesis(b=0.5)
    found = paired_images(records, claim, read_image_scores(records, [TEST]))
    assert found is not None
    assert (found.b == 0.5).all()
    assert found.differences[0].tolist() == (BASE + 1.5 * EFFECT - 0.5).tolist()


def test_images_without_a_score_stay_missing(tmp_path: Path) -> None:
    def missing(trial: Trial) -> TrialScores:
        found = dice(trial)
        found[2] = np.nan
        return scores_of(found)

    store, _ = build_scored(tmp_path, SPEC, missing)
    records = load(store, "scored")
    found = paired_images(records, hypothesis(), read_image_scores(records, [TEST]))
    assert found is not None
    assert np.isnan(found.differences).sum(axis=0).tolist() == [0, 0, 3, 0]


def test_trials_on_other_images_make_no_pairs(tmp_path: Path) -> None:
    """As many images, of other names: all of seed 2, and one trial of seed 1."""

    def other(trial: Trial) -> TrialScores:
        one = trial.seed == 1 and set(trial.axes.values()) == {"unet", "none"}
        strange = trial.seed == 2 or one
        return scores_of(dice(trial), ("a", "b", "c", "d") if strange else ())

    store, _ = build_scored(tmp_path, SPEC, other)
    records = load(store, "scored")
    found = paired_images(records, hypothesis(), read_image_scores(records, [TEST]))
    assert found is not None
    assert len(found.seeds) == 1
    assert set(found.left_out.values()) == {"was scored on other images"}
    assert set(found.left_out) | set(found.seeds) == {0, 1, 2}


def test_a_seed_with_a_trial_of_an_earlier_version_is_left_out(tmp_path: Path) -> None:
    def old(trial: Trial) -> TrialScores | None:
        return None if trial.seed == 1 and "none" in trial.axes.values() else scored(trial)

    store, _ = build_scored(tmp_path, SPEC, old)
    records = load(store, "scored")
    found = paired_images(records, hypothesis(), read_image_scores(records, [TEST]))
    assert found is not None
    assert found.seeds == (0, 2)
    assert "has no scores of single images" in found.left_out[1]


def test_damaged_scores_are_named_and_make_no_pairs(tmp_path: Path) -> None:
    store, plan = build_scored(tmp_path, SPEC, scored)
    for trial in plan.trials:
        if trial.seed == 2:
            (store.trial("scored", trial.id).scores / "test.npy").write_bytes(b"")
    records = load(store, "scored")
    table = read_image_scores(records, [TEST])
    assert len(table.problems) == 4
    assert all("test.npy" in reason for reason in table.problems.values())
    found = paired_images(records, hypothesis(), table)
    assert found is not None
    assert found.seeds == (0, 1)
    assert "test.npy" in found.left_out[2]


def test_without_any_scores_there_is_nothing(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, lambda _: None)
    records = load(store, "scored")
    table = read_image_scores(records, [TEST])
    assert paired_images(records, hypothesis(), table) is None
    assert by_trial(table, TEST, records.runs["id"]) is None


def test_scores_that_are_not_what_the_figure_is_the_mean_of(tmp_path: Path) -> None:
    def split(trial: Trial) -> TrialScores:
        found = scored(trial)
        assert found is not None
        for both in found.splits.values():
            for each in (both.selected, both.last):
                object.__setattr__(each, "means", frozenset())
        return found

    store, _ = build_scored(tmp_path, SPEC, split)
    records = load(store, "scored")
    assert paired_images(records, hypothesis(), read_image_scores(records, [TEST])) is None
    assert not read_image_scores(records, [TEST]).columns[TEST]


def test_epochs_and_differences_of_figures(tmp_path: Path) -> None:
    def moving(trial: Trial) -> TrialScores:
        found = dice(trial)
        return scores_of(found, epochs=[found / 4, found / 2, found, found])

    store, _ = build_scored(tmp_path, SPEC, moving)
    records = load(store, "scored")
    claim = hypothesis("best_val_dice - val/dice@1")
    wanted = figures_of(claim, "dice")
    assert wanted == [ImageFigure("val", "dice", "selected"), ImageFigure("val", "dice", 1)]
    found = paired_images(records, claim, read_image_scores(records, wanted))
    assert found is not None
    assert found.differences[0] == pytest.approx(1.5 * EFFECT * 3 / 4, abs=1e-3)


@pytest.mark.parametrize(
    ("column", "epoch", "expected"),
    [
        ("test_dice", None, ImageFigure("test", "dice", "selected")),
        ("test_dice_cat", None, ImageFigure("test", "dice_cat", "selected")),
        ("final_val_iou", None, ImageFigure("val", "iou", "last")),
        ("best_val_dice", None, ImageFigure("val", "dice", "selected")),
        ("best_val_loss", None, None),  # its own best epoch is another
        ("val/dice", 3, ImageFigure("val", "dice", 3)),
        ("val/iou", 3, None),  # of the selected metric alone every epoch is kept
        ("train/loss", 3, None),
        ("epoch_seconds", None, None),
        ("baseline_dice", None, None),
        ("overfit_gap", None, None),
    ],
)
def test_which_figures_are_means_over_images(
    column: str, epoch: int | None, expected: ImageFigure | None
) -> None:
    assert image_figure(MetricTerm(column, epoch), "dice") == expected


def test_a_difference_across_splits_has_no_images() -> None:
    assert figures_of(hypothesis("best_val_dice - test_dice"), "dice") is None


def test_scores_by_trial(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, scored)
    records = load(store, "scored")
    trials = list(records.runs["id"][:3])
    found = by_trial(read_image_scores(records, [TEST]), TEST, trials)
    assert found is not None
    assert (found.values.shape, found.trials) == ((3, 4), tuple(trials))
    assert found.images.groups == ("p", "q", "p", "r")
