"""The figures of single epochs in runs.csv: cross-fitted, mean of the last ten, and which ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.analysis.arms import arms_of
from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.analysis.measured_optimism import measured_optimism
from bench.analysis.records import Records
from bench.image_scores import TrialScores
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.report.narrative.figure_notes import optimism_note
from tests.builders.image_scores import build_scored, scores_of
from tests.builders.records import MadeTrial, write_experiment

SPEC = """
experiment: scored
task: segmentation
data: {name: shapes, train: 8, val: 8, test: 8, image_size: 32}
model: {name: unet, width: 0.03}
train: {epochs: 12, batch_size: 4}
grid: {augment: {none: [], flip: [hflip]}}
seeds: 3
hypotheses:
  - {id: crossed, claim: c, metric: cross_val_dice, a: {augment: flip}, b: {augment: none},
     expect: higher}
  - {id: plateau, claim: c, metric: last10_val_dice, a: {augment: flip}, b: {augment: none},
     expect: higher}
"""
# images 0, 2, … choose the epoch of images 1, 3, …, and the reverse; so that cross_fitted differs
EPOCHS = np.zeros((12, 8), dtype=np.float16)
EPOCHS[3, ::2], EPOCHS[3, 1::2] = 0.75, 0.25
EPOCHS[7, ::2], EPOCHS[7, 1::2] = 0.5, 0.5


def curves_of(trial: Trial) -> TrialScores:
    """Scores by epoch that differ between arms by 0.25; the last ten epochs hold 0.25 in all."""
    more = 0.25 * (trial.axes["augment"] == "flip")
    jitter = np.float16(trial.seed / 1024)
    by_epoch = EPOCHS + np.float16(more) + jitter * np.arange(8, dtype=np.float16)
    return scores_of(by_epoch[3].astype(float), epochs=by_epoch)


def scored(folder: Path) -> Records:
    store, _ = build_scored(folder, SPEC, curves_of)
    return load(store, "scored")


def test_cross_fitted_by_hand(tmp_path: Path) -> None:
    records = scored(tmp_path)
    runs = records.runs.set_index(["axis.augment", "seed"])["cross_val_dice"]
    # even images choose epoch 4 for the odd ones (0.25), odd ones epoch 8 for the even ones (0.5)
    assert runs["none", 0] == pytest.approx((0.25 + 0.5) / 2)
    assert runs["flip", 0] == pytest.approx((0.5 + 0.75) / 2)


def test_last_ten_epochs_by_hand(tmp_path: Path) -> None:
    history = [
        {"epoch": n, "train/loss": 0.5, "val/loss": 0.5, "val/dice": n / 100} for n in range(1, 13)
    ]
    trials = [
        MadeTrial(0, {"m": arm}, history=rows, summary={"best_val_dice": len(rows) / 100})
        for arm, rows in (("a", history), ("b", history[:9]))
    ]
    write_experiment(tmp_path, "exp", trials)
    found = load(Store(tmp_path), "exp").runs["last10_val_dice"]
    assert found[0] == pytest.approx(np.mean(range(3, 13)) / 100)
    assert np.isnan(found[1])


def test_hypotheses_know_them_over_seeds_and_images(tmp_path: Path) -> None:
    crossed, plateau = outcomes(scored(tmp_path))
    assert crossed.result.contrast.over == "both"
    assert crossed.result.estimate.mean == pytest.approx(0.25, abs=1e-3)
    assert crossed.seen.sources is not None
    assert crossed.seen.sources.n_images == 8
    assert plateau.seen.sources is not None
    # the same curve by image: no seed has another difference
    assert plateau.seen.sources.mean == pytest.approx(0.25, abs=1e-3)


def test_optimism_is_measured_by_arm(tmp_path: Path) -> None:
    records = scored(tmp_path)
    done = records.done
    expected = (done["best_val_dice"] - done["cross_val_dice"]).groupby(done["axis.augment"]).mean()
    found = measured_optimism(records, arms_of(records))
    assert found.to_list() == pytest.approx([expected["none"], expected["flip"]])
    (text,) = optimism_note(records, arms_of(records))
    assert text.startswith(
        "Measured optimism: judged by images that did not choose the epoch, the best epoch's "
        f"validation Dice is too good by {found.mean():.4f} on average ("
    )
    assert f"{found.min():.4f} of " in text
    assert f"to {found.max():.4f} of " in text


def made(folder: Path, **figures: tuple[float | None, float | None]) -> Records:
    """Two arms of three seeds; by column the figure of each arm."""
    trials = [
        MadeTrial(seed, {"m": arm}, summary={k: v[place] for k, v in figures.items()})
        for place, arm in enumerate("ab") for seed in range(3)
    ]  # fmt: skip
    write_experiment(folder, "exp", trials)
    return load(Store(folder), "exp")


@pytest.mark.parametrize(
    ("test", "column"),
    [((0.5, 0.6), "test_dice"), ((0.5, None), "best_val_dice"), ((None, None), "best_val_dice")],
)
def test_the_test_split_ranks_where_every_arm_has_it(
    tmp_path: Path, test: tuple[float | None, float | None], column: str
) -> None:
    records = made(tmp_path, best_val_dice=(0.7, 0.8), test_dice=test)
    assert records.best_column == column
    assert records.selection_column == "best_val_dice"


def test_without_a_test_split_the_cross_fitted_figure_ranks(tmp_path: Path) -> None:
    records = scored(tmp_path)
    assert records.best_column == "test_dice"
    records.runs["test_dice"] = np.nan
    fresh = Records(**{f: getattr(records, f) for f in records.__dataclass_fields__})
    assert fresh.best_column == "cross_val_dice"
