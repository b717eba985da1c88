"""Ways to change a results folder, and what is left of it: for the tests of tampering."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench.analysis.load import load
from bench.analysis.records import Records
from bench.commands.inspect import status_rows, status_table
from bench.plan.plan import Plan
from bench.record.files import read_yaml, write_yaml
from bench.record.store import Store

Tamper = Callable[["TamperedCopy"], None]


class TamperedCopy:
    """A copy of a finished experiment, whose first trial is tampered with."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root, self.plan, self.store = root, plan, Store(root / "results")
        self.ids = [trial.id for trial in plan.trials]
        self.first, self.second = (self.store.trial("built", name) for name in self.ids[:2])

    def load(self) -> Records:
        """The records, as a report reads them."""
        return load(self.store, "built")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_config(tampered: TamperedCopy, **changes: object) -> None:
    record = read_yaml(tampered.first.config_path)
    assert record is not None
    write_yaml(tampered.first.config_path, record | changes)


def edit_rows(path: Path, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    rows = change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def swap(a: Path, b: Path) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


def copy_as(tampered: TamperedCopy, name: str, experiment: str = "built") -> Path:
    to = tampered.store.root / experiment / name
    return Path(shutil.copytree(tampered.first.folder, to))


def setting(tampered: TamperedCopy, section: str, key: str, value: object) -> None:
    record = read_yaml(tampered.first.config_path)
    assert record is not None
    record["settings"][section][key] = value
    write_yaml(tampered.first.config_path, record)


def scaled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row | {"val/dice": repr(float(row["val/dice"]) + 0.05)} for row in rows]


def consistent_forgery(tampered: TamperedCopy) -> None:
    """History and summary agree, but for the digest."""
    edit_rows(tampered.first.history_path, scaled)
    summary = json.loads(tampered.first.summary_path.read_text())
    for name in ("best_val_dice", "final_val_dice"):
        summary[name] += 0.05
    tampered.first.summary_path.write_text(json.dumps(summary))


def without_digest(tampered: TamperedCopy, then: Tamper) -> None:
    """As a record of the first release."""
    for files in (tampered.first, tampered.second):
        summary = json.loads(files.summary_path.read_text())
        del summary["history_digest"], summary["summary_digest"]
        files.summary_path.write_text(json.dumps(summary))
    then(tampered)


def shortened(tampered: TamperedCopy) -> None:
    """As a trial of the first release with fewer epochs."""
    without_digest(tampered, lambda _: None)
    edit_rows(tampered.first.history_path, lambda rows: rows[:2])
    edit_json(tampered.first.summary_path, epochs=2)


def exchanged_results(tampered: TamperedCopy) -> None:
    swap(tampered.first.summary_path, tampered.second.summary_path)
    swap(tampered.first.history_path, tampered.second.history_path)


OF_THE_FIRST: dict[str, tuple[Tamper, str]] = {
    "a score that the history does not give": (
        lambda p: edit_json(p.first.summary_path, best_val_dice=0.99),
        "summary.json says best_val_dice is 0.99",
    ),
    "a score beyond 1": (
        lambda p: edit_json(p.first.summary_path, best_val_dice=7.5),
        "best_val_dice is 7.5, which is outside 0 to 1",
    ),
    "a test score beyond 1": (
        lambda p: edit_json(p.first.summary_path, test_dice=1.5),
        "test_dice is 1.5",
    ),
    "a negative test score": (
        lambda p: edit_json(p.first.summary_path, test_iou=-0.1),
        "test_iou is -0.1",
    ),
    "a test score that could be": (
        lambda p: edit_json(p.first.summary_path, test_dice=0.99),
        "summary.json was changed",
    ),
    "a test score that is gone": (
        lambda p: edit_json(p.first.summary_path, test_dice=None),
        "summary.json was changed",
    ),
    "other data": (
        lambda p: edit_json(p.first.summary_path, data_fingerprint="cafe"),
        "summary.json was changed",
    ),
    "another window": (
        lambda p: edit_json(p.first.environment_path, window={"low": 0, "high": 1}),
        "environment.json was changed",
    ),
    "another machine": (
        lambda p: edit_json(p.first.environment_path, gpu="H100"),
        "environment.json was changed",
    ),
    "what the model costs": (
        lambda p: edit_json(p.first.summary_path, macs=1),
        "summary.json was changed",
    ),
    "a figure that no version has": (
        lambda p: edit_json(p.first.summary_path, new_thing=0.5),
        "summary.json was changed",
    ),
    "a count of 400 digits": (
        lambda p: edit_json(p.first.summary_path, params=10**400),
        "its params has 401 digits",
    ),
    "a final score": (
        lambda p: edit_json(p.first.summary_path, final_val_dice=0.5),
        "says final_val_dice is 0.5",
    ),
    "another best epoch": (lambda p: edit_json(p.first.summary_path, best_epoch=1), "best_epoch"),
    "a shorter training": (
        lambda p: edit_json(p.first.summary_path, train_seconds=0.1),
        "says train_seconds is 0.1",
    ),
    "a time that is negative": (
        lambda p: edit_rows(
            p.first.history_path, lambda rows: [row | {"epoch_seconds": "-1"} for row in rows]
        ),
        "epoch_seconds is -1, which is negative",
    ),
    "history and summary edited alike": (consistent_forgery, "history.csv is not the one"),
    "a history with its last epoch cut off": (
        lambda p: edit_rows(p.first.history_path, lambda rows: rows[:-1]),
        "3 of 4 epochs",
    ),
    "a history without its second epoch": (
        lambda p: edit_rows(p.first.history_path, lambda rows: [rows[0], *rows[2:]]),
        "3 of 4 epochs",
    ),
    "a history with an epoch more": (
        lambda p: edit_rows(
            p.first.history_path, lambda rows: [*rows, rows[-1] | {"epoch": "5"}]
        ),
        "5 of 4 epochs",
    ),
    "an epoch twice": (
        lambda p: edit_rows(p.first.history_path, lambda rows: [*rows[:3], rows[2]]),
        "epoch 3 after 3",
    ),
    "a history that was shortened consistently": (shortened, "2 of 4 epochs"),
    "no history": (lambda p: p.first.history_path.unlink(), "history.csv is missing"),
    "an empty history": (lambda p: p.first.history_path.write_text(""), "history.csv is missing"),
    "no summary": (lambda p: p.first.summary_path.unlink(), "summary.json is missing"),
    "status says it failed": (
        lambda p: edit_json(p.first.status_path, status="failed", failure="crash"),
        "status.json says failed, but summary.json has test_",
    ),
    "another seed": (lambda p: edit_config(p, seed=7), "config.yaml was changed"),
    "other labels": (
        lambda p: edit_config(p, axes={"model": "resnet", "augment": "none"}),
        "config.yaml was changed",
    ),
    "another learning rate": (
        lambda p: setting(p, "train", "lr", 0.5),
        "config.yaml was changed",
    ),
    "fewer epochs asked for": (
        lambda p: setting(p, "train", "epochs", 2),
        "config.yaml was changed",
    ),
    "another arm": (lambda p: edit_config(p, arm="deadbeef"), "its arm is not of its settings"),
    "another id": (
        lambda p: edit_config(p, id=p.ids[1]),
        "its config.yaml is that of",
    ),
    "another experiment": (
        lambda p: edit_config(p, experiment="other"),
        "its config.yaml is of the experiment 'other'",
    ),
    "no config": (lambda p: p.first.config_path.write_text("a: ["), "config.yaml cannot be used"),
}  # fmt: skip
OF_BOTH: dict[str, tuple[Tamper, str]] = {
    "exchanged folders": (
        lambda p: swap(p.first.folder, p.second.folder), "its config.yaml is that of",
    ),
    "exchanged configs": (
        lambda p: swap(p.first.config_path, p.second.config_path), "its config.yaml is that of",
    ),
    "exchanged histories": (
        lambda p: swap(p.first.history_path, p.second.history_path), "summary.json says",
    ),
    "exchanged summaries": (
        lambda p: swap(p.first.summary_path, p.second.summary_path), "summary.json says",
    ),
    "exchanged summaries of the first release": (
        lambda p: without_digest(p, lambda p: swap(p.first.summary_path, p.second.summary_path)),
        "summary.json says",
    ),
    "exchanged summaries and histories": (exchanged_results, "history.csv is not the one"),
}  # fmt: skip


def check(tampered: TamperedCopy, before: Records, expected: dict[str, str]) -> None:
    """All but the `expected` trials are as before; those have no number, and everybody says why."""
    records = tampered.load()
    reasons = dict(records.left_out)
    assert set(reasons) == set(expected)
    for trial, reason in expected.items():
        assert reason in reasons[trial], reasons[trial]
        assert "\n" not in reasons[trial]
    rest = ~records.runs["id"].isin(expected)
    pd.testing.assert_frame_equal(
        records.runs[rest].reset_index(drop=True),
        before.runs[~before.runs["id"].isin(expected)].reset_index(drop=True),
    )
    gone = records.runs[~rest]
    assert set(gone["status"]) <= {"planned"}
    assert gone["best_val_dice"].isna().all()
    assert gone["test_dice"].isna().all()
    assert not set(records.history["id"]) & set(expected)
    assert (records.axes, records.select, records.metrics) == (
        before.axes, before.select, before.metrics,
    )  # fmt: skip
    rows = {row["id"]: row for row in status_rows(tampered.store, "built")}
    json.dumps(list(rows.values()))
    status_table(list(rows.values()))
    for trial in set(expected) & set(rows):  # a folder with a space in its name is no trial
        assert rows[trial]["left_out"] or rows[trial]["message"]
