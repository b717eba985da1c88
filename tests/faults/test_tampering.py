"""A results folder that somebody changed: what contradicts itself is left out, the rest stays."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pandas as pd
import pytest
from ruamel.yaml import YAML

from bench.analysis.load import load
from bench.analysis.records import Records
from bench.commands.reporting import export
from bench.errors import UnconfirmedError
from bench.experiment.reports import make_report
from bench.record.confirm import recorded_window
from bench.record.files import read_yaml, write_yaml
from tests.faults.tampering import (
    OF_BOTH,
    OF_THE_FIRST,
    TamperedCopy,
    check,
    copy_as,
    edit_json,
    without_digest,
)


@pytest.mark.parametrize("name", OF_THE_FIRST)
def test_a_trial_that_was_tampered_with_is_left_out(
    tampered: TamperedCopy, before: Records, name: str
) -> None:
    tamper, reason = OF_THE_FIRST[name]
    tamper(tampered)
    check(tampered, before, {tampered.ids[0]: reason})


@pytest.mark.parametrize("name", OF_BOTH)
def test_trials_that_were_exchanged_are_left_out(
    tampered: TamperedCopy, before: Records, name: str
) -> None:
    tamper, reason = OF_BOTH[name]
    tamper(tampered)
    check(tampered, before, dict.fromkeys(tampered.ids[:2], reason))


@pytest.mark.parametrize("name", ["unet-none-s7-{}", "{} - Copy", "copy-s0-{}", "UNET-none-s0-{}"])
def test_a_copied_folder_is_no_further_seed(
    tampered: TamperedCopy, before: Records, name: str
) -> None:
    copy = copy_as(tampered, name.format(tampered.ids[0][-8:]))
    reason = "no trial's name" if " " in copy.name else "its config.yaml is that of"
    check(tampered, before, {copy.name: reason})


def test_a_copy_whose_config_was_edited_too(tampered: TamperedCopy, before: Records) -> None:
    """Seed, id and folder agree with each other, but not with the hash."""
    name = tampered.ids[0].replace("-s0-", "-s7-")
    copy_as(tampered, name)
    config = tampered.store.trial("built", name)
    record = read_yaml(config.config_path)
    assert record is not None
    write_yaml(config.config_path, record | {"id": name, "seed": 7})
    check(tampered, before, {name: "config.yaml was changed"})


def test_a_trial_copied_into_another_experiment(tampered: TamperedCopy) -> None:
    copy_as(tampered, tampered.ids[0], "elsewhere")
    records = load(tampered.store, "elsewhere")
    assert records.runs.empty
    assert [left.reason for left in records.left_out] == [
        "its config.yaml is of the experiment 'built'"
    ]


def rewritten(tampered: TamperedCopy, change: Callable[[str], bytes]) -> None:
    for files in (tampered.first, tampered.second):
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
    tampered: TamperedCopy, before: Records, change: Callable[[str], bytes], digest: bool
) -> None:
    """As git's autocrlf and spreadsheets spell them."""
    if not digest:
        without_digest(tampered, lambda _: None)
    rewritten(tampered, change)
    check(tampered, before, {})


def test_other_spellings_of_config_yaml_are_no_change(
    tampered: TamperedCopy, before: Records
) -> None:
    path = tampered.first.config_path
    text = path.read_text().replace("lr: 0.001", "lr: 1e-3").replace("epochs: 4", "epochs: 4.0")
    path.write_text(text.replace("epochs: 4.0", "epochs: 0x4").replace("\n", "\r\n"))
    check(tampered, before, {})
    record = YAML(typ="safe", pure=True).load(path.read_text())
    path.write_text(json.dumps(record))  # JSON is YAML, its order another one
    check(tampered, before, {})


def test_page_and_export_say_why(tampered: TamperedCopy, before: Records) -> None:
    edit_json(tampered.first.summary_path, best_val_dice=0.99)
    page = make_report(tampered.store, "built", tampered.root / "reports")
    manifest = json.loads((page.parent / "manifest.json").read_text())
    assert [left["id"] for left in manifest["left_out"]] == [tampered.ids[0]]
    assert "best_val_dice is 0.99" in manifest["left_out"][0]["reason"]
    for text in (page.read_text(), (page.parent / "report.md").read_text()):
        assert "summary.json says best\\_val\\_dice is 0.99" in text.replace(
            "best_val_dice is", "best\\_val\\_dice is"
        )
    said: list[str] = []
    runs, _ = export(tampered.store, "built", tampered.root / "tables", "csv", said.append)
    assert said[0].startswith(f"left out: {tampered.ids[0]}: summary.json says")
    rows = {row["id"]: row for row in csv.DictReader(runs.read_text().splitlines())}
    assert rows[tampered.ids[0]]["status"] == "planned"
    assert rows[tampered.ids[0]]["best_val_dice"] == ""


def test_a_report_with_nothing_left_is_a_report(tampered: TamperedCopy) -> None:
    for trial in tampered.store.trials("built"):
        edit_json(trial.summary_path, best_val_dice=0.99)
    page = make_report(tampered.store, "built", tampered.root / "reports")
    assert "12 trials: 12 planned" in page.read_text()


@pytest.mark.parametrize("source", ["paper", ""])
def test_who_logged_a_trial_stands_in_its_config(
    tampered: TamperedCopy, before: Records, source: str
) -> None:
    """An edited status.json makes no trial another program's, which no trial of ours meets."""
    edit_json(tampered.first.status_path, source=source)
    pd.testing.assert_frame_equal(tampered.load().runs, before.runs)


def test_the_window_that_images_are_predicted_with(tampered: TamperedCopy) -> None:
    files = tampered.first
    assert recorded_window(files) is None  # these were trained on 8 bits
    text = files.environment_path.read_text()
    edit_json(files.environment_path, window={"low": 0, "high": 1})
    with pytest.raises(
        UnconfirmedError, match=r"environment\.json was changed: it says how images"
    ):
        recorded_window(files)
    files.environment_path.unlink()
    with pytest.raises(UnconfirmedError, match=r"environment\.json is missing"):
        recorded_window(files)
    files.environment_path.write_text(text)
    assert recorded_window(files) is None
    # a record of an earlier release
    summary = json.loads(files.summary_path.read_text())
    del summary["environment_digest"], summary["summary_digest"]
    files.summary_path.write_text(json.dumps(summary))
    files.environment_path.unlink()
    assert recorded_window(files) is None
