"""The table of all trials' scores by image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.image_frame import image_frame
from bench.analysis.load import load
from bench.image_scores import TrialScores
from bench.plan.trial import Trial
from tests.analysis.test_image_scores import SPEC
from tests.builders.image_scores import build_scored, scores_of


def scored(trial: Trial) -> TrialScores | None:
    if trial.seed == 2:
        return None
    return scores_of([0.5, math.nan, trial.seed / 4], groups=("p", "p", "q"))


def test_a_row_for_each_trial_and_image(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, scored)
    records = load(store, "scored")
    frame = image_frame(records)
    assert list(frame) == ["id", "split", "image", "group", "epoch", "dice"]
    assert len(frame) == 8 * 2 * 3, "eight of twelve trials, two splits, three images"
    trial = records.runs["id"][records.runs["seed"] == 1].iloc[0]
    rows = frame[(frame["id"] == trial) & (frame["split"] == "test")]
    assert list(rows["image"]) == ["image00", "image01", "image02"]
    assert list(rows["group"]) == ["p", "p", "q"]
    assert rows["dice"].tolist()[::2] == [0.5, 0.25]
    assert rows["dice"].isna().tolist() == [False, True, False]
    assert set(frame["epoch"]) == {3}
    assert frame["dice"].dtype == np.float32


def test_a_long_table_has_the_selected_metric_alone(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, scored)
    records = load(store, "scored")
    whole, short = image_frame(records), image_frame(records, most_rows=10)
    pd.testing.assert_frame_equal(whole, short)  # Dice is all that there is
    short.to_parquet(tmp_path / "x.parquet", index=False)
    assert len(pd.read_parquet(tmp_path / "x.parquet")) == len(whole)


def test_without_groups_and_without_scores(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path / "a", SPEC, lambda _: scores_of([0.5, 0.25]))
    assert image_frame(load(store, "scored"))["group"].isna().all()
    store, _ = build_scored(tmp_path / "b", SPEC, lambda _: None)
    assert image_frame(load(store, "scored")).empty
