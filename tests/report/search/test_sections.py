from __future__ import annotations

import json

import pandas as pd
import pytest

from bench.analysis.load import load
from bench.record.store import Store
from bench.report.page import write_report
from bench.report.search.search_record import read_search_record
from bench.report.search.sections import subject_records
from tests.builders import search_records as made_search
from tests.builders.records import MadeTrial, write_experiment
from tests.builders.search_records import CONFIRMED, point, record, write

LABELS = {"train.lr": "0.0001", "train.batch_size": "12", "train.optimizer": "adam"}


def trial(seed, dice, lr="0.0001", **more):
    summary = {"best_val_dice": dice, "epochs": 2, "best_epoch": 2}
    row = {"epoch": 1, "train/loss": 1.0, "val/loss": 1.0, "val/dice": dice}
    axes = LABELS | {"train.lr": lr, "train.momentum": "–"}
    return MadeTrial(seed, axes, summary=summary, history=[row, row | {"epoch": 2}], **more)


def experiment(root, *, fresh=(0.68, 0.70, 0.72), over=True, **changes):
    """Trials of point 2 and 0 with their ids in search.json, and fresh seeds of point 2."""
    searched = [trial(0, 0.6, "0.001"), trial(0, 0.8)]
    confirming = [trial(seed, dice) for seed, dice in enumerate(fresh, start=1)]
    pruned = trial(0, 0.1, "0.01", status="pruned", message="pruned after epoch 1")
    write_experiment(root, "exp", [*searched, *confirming, pruned])
    points = [dict(p) for p in made_search.POINTS]
    points[0]["ids"], points[2]["ids"] = [searched[0].id], [searched[1].id]
    found = CONFIRMED | {"ids": [t.id for t in confirming]}
    content = {"trials": points, "confirmations": [found] if fresh else [], "over": over}
    write(root / "exp", record(**content | changes))
    return searched, confirming


def report(root):
    page = write_report(Store(root), ["exp"], root / "reports")
    return page.read_text(), page.parent


def test_the_page_of_a_search(tmp_path):
    _, confirming = experiment(tmp_path)
    folder = tmp_path / "reports" / "exp"
    folder.mkdir(parents=True)
    (folder / "best.yaml").write_text("experiment: exp_best\n")
    page, folder = report(tmp_path)
    assert "Point 2 was chosen: best val Dice 0.800 in the search, 0.700 [0.650, 0.750]" in page
    assert "experiment: exp_best" in page
    assert '<a href="best.yaml">' in page
    for anchor in ("chosen", "points", "search_history", "search_parallel", "learning_curves"):
        assert page.count(f'id="{anchor}"') == 1
        assert f'href="#{anchor}"' in page
    assert 'id="effects"' not in page
    assert "The chosen, with fresh seeds" in page
    assert "pruned after epoch 2" in page
    assert "tpe (startup_trials 10, seed 0)" in page
    arms = pd.read_csv(folder / "tables" / "arms.csv")
    assert arms["trials"].tolist() == [" ".join(t.id for t in confirming)]
    assert arms["best_val_dice"].tolist() == pytest.approx([0.7])
    assert len(pd.read_csv(folder / "tables" / "points.csv")) == 7
    assert len(pd.read_csv(folder / "runs.csv")) == 6
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["search"]["sampler"]["name"] == "tpe"
    markdown = (folder / "report.md").read_text()
    assert "figures/search_history.png" in markdown
    assert "## The chosen, with fresh seeds" in markdown
    assert {"search_slices.png", "search_slices.svg"} <= {
        path.name for path in (folder / "figures").iterdir()
    }


def test_a_pruned_trial_is_not_offered_for_resuming(tmp_path):
    experiment(tmp_path)
    assert "the same <code>run</code> goes on with them" not in report(tmp_path)[0]


def test_what_arms_are_about(tmp_path):
    """Fresh seeds; else the chosen's own; else the best so far; else everything."""

    def seeds(root, **changes):
        experiment(root, **changes)
        records = load(Store(root), "exp")
        runs = subject_records(records, read_search_record(root / "exp")).runs
        return list(zip(runs["axis.train.lr"], runs["seed"], strict=True))

    assert seeds(tmp_path / "a") == [("0.0001", 1), ("0.0001", 2), ("0.0001", 3)]
    assert seeds(tmp_path / "b", fresh=()) == [("0.0001", 0)]
    assert seeds(tmp_path / "c", fresh=(), chosen=[], front=[0]) == [("0.001", 0)]
    assert len(seeds(tmp_path / "d", fresh=(), chosen=[], front=[])) == 3


@pytest.mark.parametrize("points", [[], [point(0, "running"), point(1, "failed")]])
def test_an_interrupted_search_without_any_result_has_a_page(tmp_path, points):
    write_experiment(tmp_path, "exp", [])
    open_yet = record(trials=points, over=False, chosen=[], front=[], confirmations=[],
                      importances={})  # fmt: skip
    write(tmp_path / "exp", open_yet)
    page, _ = report(tmp_path)
    assert "No point has come to its end yet." in page
    assert "Nothing yet." in page
    assert "best.yaml" not in page
