"""A results folder that somebody changed: what contradicts itself is left out, the rest stays."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.commands.inspect import status_rows, status_table
from bench.commands.reporting import export, make_report
from bench.plan.plan import Plan
from bench.record.files import read_yaml, write_yaml
from bench.record.store import Store
from tests.builders.experiments import build

Tamper = Callable[["Place"], None]


class Place:
    """A copy of a finished experiment, whose first trial is tampered with."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root, self.plan, self.store = root, plan, Store(root / "results")
        self.ids = [trial.id for trial in plan.trials]
        self.first, self.second = (self.store.trial("built", name) for name in self.ids[:2])

    def load(self) -> Records:
        """The records, as a report reads them."""
        return load(self.store, "built")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """Twelve finished trials; nobody changes them."""
    root = tmp_path_factory.mktemp("built")
    _, plan = build(root)
    return root, plan


@pytest.fixture
def place(good: tuple[Path, Plan], tmp_path: Path) -> Place:
    """A copy of them."""
    root, plan = good
    return Place(shutil.copytree(root, tmp_path / "copy"), plan)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_config(place: Place, **changes: object) -> None:
    record = read_yaml(place.first.config_path)
    assert record is not None
    write_yaml(place.first.config_path, record | changes)


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


def copy_as(place: Place, name: str, experiment: str = "built") -> Path:
    to = place.store.root / experiment / name
    return Path(shutil.copytree(place.first.folder, to))


def setting(place: Place, section: str, key: str, value: object) -> None:
    record = read_yaml(place.first.config_path)
    assert record is not None
    record["settings"][section][key] = value
    write_yaml(place.first.config_path, record)


def scaled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row | {"val/dice": repr(float(row["val/dice"]) + 0.05)} for row in rows]


def consistent_forgery(place: Place) -> None:
    """History and summary agree, but for the digest."""
    edit_rows(place.first.history_path, scaled)
    summary = json.loads(place.first.summary_path.read_text())
    for name in ("best_val_dice", "final_val_dice"):
        summary[name] += 0.05
    place.first.summary_path.write_text(json.dumps(summary))


def without_digest(place: Place, then: Tamper) -> None:
    """As a record of the first release."""
    for files in (place.first, place.second):
        summary = json.loads(files.summary_path.read_text())
        del summary["history_digest"], summary["summary_digest"]
        files.summary_path.write_text(json.dumps(summary))
    then(place)


def shortened(place: Place) -> None:
    """As a trial of the first release with fewer epochs."""
    without_digest(place, lambda _: None)
    edit_rows(place.first.history_path, lambda rows: rows[:2])
    edit_json(place.first.summary_path, epochs=2)


def exchanged_results(place: Place) -> None:
    swap(place.first.summary_path, place.second.summary_path)
    swap(place.first.history_path, place.second.history_path)


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


def check(place: Place, before: Records, expected: dict[str, str]) -> None:
    """All but the `expected` trials are as before; those have no number, and everybody says why."""
    records = place.load()
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
    rows = {row["id"]: row for row in status_rows(place.store, "built")}
    json.dumps(list(rows.values()))
    status_table(list(rows.values()))
    for trial in set(expected) & set(rows):  # a folder with a space in its name is no trial
        assert rows[trial]["left_out"] or rows[trial]["message"]


@pytest.fixture(scope="module")
def before(good: tuple[Path, Plan]) -> Records:
    """The records as they were."""
    return Place(*good).load()


@pytest.mark.parametrize("name", OF_THE_FIRST)
def test_a_trial_that_was_tampered_with_is_left_out(
    place: Place, before: Records, name: str
) -> None:
    tamper, reason = OF_THE_FIRST[name]
    tamper(place)
    check(place, before, {place.ids[0]: reason})


@pytest.mark.parametrize("name", OF_BOTH)
def test_trials_that_were_exchanged_are_left_out(place: Place, before: Records, name: str) -> None:
    tamper, reason = OF_BOTH[name]
    tamper(place)
    check(place, before, dict.fromkeys(place.ids[:2], reason))


@pytest.mark.parametrize("name", ["unet-none-s7-{}", "{} - Copy", "copy-s0-{}", "UNET-none-s0-{}"])
def test_a_copied_folder_is_no_further_seed(place: Place, before: Records, name: str) -> None:
    copy = copy_as(place, name.format(place.ids[0][-8:]))
    reason = "no trial's name" if " " in copy.name else "its config.yaml is that of"
    check(place, before, {copy.name: reason})


def test_a_copy_whose_config_was_edited_too(place: Place, before: Records) -> None:
    """Seed, id and folder agree with each other, but not with the hash."""
    name = place.ids[0].replace("-s0-", "-s7-")
    copy_as(place, name)
    config = place.store.trial("built", name)
    record = read_yaml(config.config_path)
    assert record is not None
    write_yaml(config.config_path, record | {"id": name, "seed": 7})
    check(place, before, {name: "config.yaml was changed"})


def test_a_trial_copied_into_another_experiment(place: Place) -> None:
    copy_as(place, place.ids[0], "elsewhere")
    records = load(place.store, "elsewhere")
    assert records.runs.empty
    assert [left.reason for left in records.left_out] == [
        "its config.yaml is of the experiment 'built'"
    ]


def rewritten(place: Place, change: Callable[[str], bytes]) -> None:
    for files in (place.first, place.second):
        files.history_path.write_bytes(change(files.history_path.read_text()))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: ("\n".join(",".join(f'"{c}"' for c in line.split(","))
                                for line in text.splitlines()) + "\n").encode(),
        lambda text: text.replace(",0.001,", ",1E-03,").encode(),
        lambda text: text.replace("123.456", "123.4560").encode(),
    ],
    ids=["CRLF", "byte order mark", "quotes", "1E-03", "trailing zero"],
)  # fmt: skip
@pytest.mark.parametrize("digest", [True, False])
def test_another_spelling_of_the_same_figures_is_no_change(
    place: Place, before: Records, change: Callable[[str], bytes], digest: bool
) -> None:
    """As git's autocrlf and spreadsheets spell them."""
    if not digest:
        without_digest(place, lambda _: None)
    rewritten(place, change)
    check(place, before, {})


def test_other_spellings_of_config_yaml_are_no_change(place: Place, before: Records) -> None:
    path = place.first.config_path
    text = path.read_text().replace("lr: 0.001", "lr: 1e-3").replace("epochs: 4", "epochs: 4.0")
    path.write_text(text.replace("epochs: 4.0", "epochs: 0x4").replace("\n", "\r\n"))
    check(place, before, {})
    record = YAML(typ="safe", pure=True).load(path.read_text())
    path.write_text(json.dumps(record))  # JSON is YAML, its order another one
    check(place, before, {})


def exchange_axes(plan: dict) -> None:
    """Trials of `none` are called `elastic`, and the other way round."""
    other = {"none": "elastic", "elastic": "none"}
    for trial in plan["trials"]:
        trial["axes"]["augment"] = other[trial["axes"]["augment"]]


def exchange_seeds(plan: dict) -> None:
    for trial in plan["trials"]:
        trial["seed"] = 2 - trial["seed"]


def rename_axis(plan: dict) -> None:
    plan["axes"]["augmentation"] = plan["axes"].pop("augment")


def other_levels(plan: dict) -> None:
    plan["axes"]["model"] = ["unet", "resnet", "none", "transformer"]


def turn_directions(plan: dict) -> None:
    plan["metrics"]["dice"] = "min"


def other_selection(plan: dict) -> None:
    plan["select"] = {"metric": "val/loss", "mode": "min"}


def other_arms(plan: dict) -> None:
    for trial in plan["trials"]:
        trial["arm"] = plan["trials"][0]["arm"]


def a_trial_twice(plan: dict) -> None:
    plan["trials"] += plan["trials"][:3]


@pytest.mark.parametrize(
    ("change", "caution"),
    [
        (exchange_axes, "plan.json gave 12 trials other labels"),
        (exchange_seeds, "plan.json gave 8 trials other labels or seeds"),
        (rename_axis, None),
        (other_levels, None),
        (turn_directions, "another metrics"),
        (other_selection, "another select"),
        (other_arms, "plan.json gave 9 trials"),
        (a_trial_twice, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_edited_plan_moves_no_number(
    place: Place, before: Records, change: Callable[[dict], None], caution: str | None
) -> None:
    path = place.store.plan_path("built")
    plan = json.loads(path.read_text())
    change(plan)
    path.write_text(json.dumps(plan))
    records = place.load()
    pd.testing.assert_frame_equal(records.runs, before.runs)
    assert (records.axes, records.select, records.metrics) == (
        before.axes, before.select, before.metrics,
    )  # fmt: skip
    assert [o.record() for o in outcomes(records)] == [o.record() for o in outcomes(before)]
    if caution is not None:
        assert any(caution in text for text in records.cautions), records.cautions


def test_planned_trials_without_a_record_have_the_labels_of_their_ids(
    place: Place, before: Records
) -> None:
    shutil.rmtree(place.first.folder)
    path = place.store.plan_path("built")
    plan = json.loads(path.read_text())
    plan["trials"][0]["axes"]["augment"] = "elastic"
    path.write_text(json.dumps(plan))
    records = place.load()
    assert place.ids[0] not in set(records.runs["id"])
    assert "other labels or another seed than its id has" in dict(records.left_out)[place.ids[0]]


def test_page_and_export_say_why(place: Place, before: Records) -> None:
    edit_json(place.first.summary_path, best_val_dice=0.99)
    page = make_report(place.store, "built", place.root / "reports")
    manifest = json.loads((page.parent / "manifest.json").read_text())
    assert [left["id"] for left in manifest["left_out"]] == [place.ids[0]]
    assert "best_val_dice is 0.99" in manifest["left_out"][0]["reason"]
    for text in (page.read_text(), (page.parent / "report.md").read_text()):
        assert "summary.json says best\\_val\\_dice is 0.99" in text.replace(
            "best_val_dice is", "best\\_val\\_dice is"
        )
    said: list[str] = []
    runs, _ = export(place.store, "built", place.root / "tables", "csv", said.append)
    assert said[0].startswith(f"left out: {place.ids[0]}: summary.json says")
    rows = {row["id"]: row for row in csv.DictReader(runs.read_text().splitlines())}
    assert rows[place.ids[0]]["status"] == "planned"
    assert rows[place.ids[0]]["best_val_dice"] == ""


def test_a_report_with_nothing_left_is_a_report(place: Place) -> None:
    for trial in place.store.trials("built"):
        edit_json(trial.summary_path, best_val_dice=0.99)
    page = make_report(place.store, "built", place.root / "reports")
    assert "12 trials: 12 planned" in page.read_text()


@pytest.mark.parametrize("source", ["paper", ""])
def test_who_logged_a_trial_stands_in_its_config(
    place: Place, before: Records, source: str
) -> None:
    """An edited status.json makes no trial another program's, which no trial of ours meets."""
    edit_json(place.first.status_path, source=source)
    pd.testing.assert_frame_equal(place.load().runs, before.runs)
